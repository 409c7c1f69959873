// @ts-check
/** The Guidance tab: the runs that the present workflow had recorded, in as many places as the editor shows them.
 *
 * What it knows outlives the places: the editor makes them anew at every opening.
 */
import { followed, nodeAt } from "./panel-graph.mjs";
import { blame, withSteps } from "./panel-record.mjs";
import { hindrance, samplersOf, samplerStates } from "./readiness.mjs";
import { knobSource } from "./run-knobs.mjs";
import { Place } from "./tab-place.mjs";
import { BADNESS, CACHED, clock, flagOf, hasTwin, isOf, joinRecords, latest, mergeRuns, nameOf, NOTHING, series, setFlag, slotOf, stoppedAt } from "./tab-runs.mjs";
import { Tryouts } from "./tryouts.mjs";

const HAD = "guidancegeometry:tab:"; // + key of a workflow that has had runs
const JUST = 2000; // milliseconds since a run ended: its record holds the report of now

export class Tab {
  asked = 0;
  places = new Map();
  view = { id: -1, properties: {}, inputs: [] };
  /** @type {?{run: string, at: number}} */ last = null;
  /** @type {?string} */ key = null;
  /** @type {?string} */ pick = null;
  lost = false;
  away = false;
  /** @type {?{key: string, node?: string}} */ idle = null;
  /** @type {any[]} */ runs = [];
  /** @type {any[]} */ unreached = [];
  /** @type {any[][]} */ chains = [];
  /** @type {?{job: string, nodes: Set<string>}} */ cached = null;
  answered = 0;
  coming = new Map();
  records = new Map();
  reports = new Map(); // id of a run -> what is said of it; null where nobody can
  unchanged = new Set();
  /** @type {?{job: string, ahead: number}} */ queued = null; // a recorded job of this workflow runs or waits

  /** editor: what the tab may ask it (see inspector.js).  @param {Editor} editor */
  constructor(editor) {
    this.editor = editor;
    this.tryouts = new Tryouts(editor, this);
  }

  forget() {
    Object.assign(this, { key: null, pick: null, lost: false, idle: null, runs: [], unreached: [], chains: [], cached: null, answered: 0 });
    Object.assign(this, { coming: new Map(), records: new Map(), reports: new Map(), unchanged: new Set(), queued: null });
    this.tryouts.forget();
  }

  /** @param {HTMLElement} box */
  mount(box) {
    if (this.places.get(box)?.panel.host.parentElement === box) return; // 1.58 asks for it at every change around the box
    this.unmount(box);
    const place = new Place(this);
    this.places.set(box, place);
    box.style.height = "100%"; // the editor's box is as high as what is in it
    box.replaceChildren(place.panel.host);
    place.panel.start();
    this.refresh();
  }

  /** @param {HTMLElement} box */
  unmount(box) {
    this.places.get(box)?.panel.dispose();
    this.places.delete(box);
  }

  /** Whether somebody can see it. */
  get isInView() {
    return [...this.places.values()].some(({ panel }) => panel.host.clientHeight > 0);
  }

  get root() {
    return this.editor.root();
  }

  /** @param {boolean} on */
  flag(on) {
    setFlag(this.root, { record: on, key: flagOf(this.root).key ?? freshKey() });
    this.idle = null;
  }

  /** Record this workflow, or not; one step of undo.  @param {boolean} on */
  record(on) {
    this.flag(on);
    this.editor.changed();
    this.refresh();
  }

  /** A copy of an open workflow gets a key of its own.  @param {any} workflows */
  partFromTwin({ activeWorkflow, openWorkflows }) {
    if (!hasTwin(this.root, activeWorkflow, openWorkflows)) return;
    setFlag(this.root, { key: freshKey() });
    this.editor.changed();
    this.refresh();
  }

  /** The graph is another one, or its runs may be: ask the server. */
  async refresh() {
    const key = `${this.root?.id} ${flagOf(this.root).key ?? ""}`;
    if (key !== this.key) this.forget();
    this.key = key;
    this.draw();
    if (!this.root?.extra?.guidance_geometry) return;
    this.asked += 1;
    const { runs: before, asked } = this;
    const answer = await this.editor.runs(this.root.id);
    if (!answer || key !== this.key || asked < this.answered) return; // a late answer knows less than one that came before it
    this.answered = asked;
    this.runs = mergeRuns(before, this.runs, answer.runs);
    this.unreached = answer.unreached ?? [];
    for (const { run } of this.runs) this.coming.delete(run);
    const [last] = this.entries().slice(-1);
    if (last) localStorage.setItem(HAD + this.key, last.run); // its event may not come any more
    this.lost = !last && this.had();
    await Promise.all([this.order(), this.askReports(), this.lookAtQueue()]);
  }

  /** What is said of every run, where several are to be compared: asked for those that ended unseen. */
  async askReports() {
    const { key, reports } = this;
    const unknown = this.entries().filter(({ run, live }) => !live && !reports.has(run));
    if (!unknown.length || this.entries().length < 2) return;
    for (const { run } of unknown) reports.set(run, null); // once
    const answers = await Promise.all(unknown.map(async ({ run }) => [run, await this.editor.report(run)]));
    if (key !== this.key) return;
    for (const [run, report] of answers) this.reports.set(run, report ?? null);
    this.draw();
  }

  /** Whether a job of this workflow runs or waits, and behind how many others. */
  async lookAtQueue() {
    const { key } = this;
    if (flagOf(this.root).record !== true) this.queued = null;
    else {
      const jobs = (await this.editor.queued?.()) ?? [];
      if (key !== this.key) return;
      const ahead = jobs.findIndex(({ workflow }) => workflow?.id === this.root?.id && flagOf(workflow).key === flagOf(this.root).key && flagOf(workflow).record);
      this.queued = ahead < 0 ? null : { job: jobs[ahead].job, ahead };
    }
    this.draw();
  }

  /** The queue has changed: that matters to whoever waits. */
  async hearQueue() {
    if (this.queued) await this.lookAtQueue();
  }

  had() {
    return localStorage.getItem(HAD + this.key) !== null;
  }

  /** See which samplers stand in series. */
  async order() {
    const { key } = this;
    const prompt = this.entries().length > 1 ? (await this.editor.sources()).output : null;
    if (key !== this.key) return;
    this.chains = prompt ? series(this.entries(), prompt, this.root) : [];
    this.draw();
  }

  entries() {
    return latest([...this.runs, ...this.coming.values()], this.root);
  }

  /** The run that is shown: the one picked, else the one that goes on, else the worst. */
  choice() {
    const entries = this.entries();
    const known = [...entries, ...this.whole(entries)];
    return known.find((run) => slotOf(run) === this.pick) ?? entries.findLast(({ live }) => live) ?? this.worstFirst(entries)[0] ?? null;
  }

  /** The worst of the last job first, what it took from the cache too; of those that are alike the last one first.
   * @param {any[]} runs
   */
  worstFirst(runs) {
    const newest = this.entries().at(-1)?.prompt_id;
    const known = this.cached && this.cached.job === newest ? this.cached.nodes : this.unchanged;
    /** @param {ListedRun} run */
    const isNow = ({ node, prompt_id: job }) => known.has(node) || (this.idle !== CACHED && job === newest);
    /** @param {ListedRun} run */
    const badness = (run) => (isNow(run) ? BADNESS.indexOf(this.reports.get(run.run)?.colour) : -BADNESS.length);
    return [...runs].reverse().sort((run, other) => badness(other) - badness(run));
  }

  /** Series of which every run has ended.  @param {any[]} entries */
  whole(entries) {
    /** @param {any[]} chain */
    const now = (chain) => chain.map((run) => entries.find((entry) => slotOf(entry) === slotOf(run)));
    return this.chains.map(now).filter((chain) => chain.every((run) => run && !run.live)).map((chain) => ({ chain }));
  }

  /** @param {?string} slot */
  choose(slot) {
    this.pick = null;
    const usual = this.choice();
    this.pick = usual && slot === slotOf(usual) ? null : slot; // what is shown anyway is followed
    this.draw();
  }

  /** Numbers of a run that is being recorded.  @param {Message} message */
  step(message) {
    if (!message.kept || !isOf(this.root, message) || this.runs.some((run) => run.run === message.run)) return;
    const { run, prompt_id: job, node, workflow_id: workflow, key } = message;
    const record = withSteps(this.coming.get(run)?.live ?? null, message);
    const index = this.runs.filter((entry) => entry.prompt_id === job && entry.node === node).length;
    const title = nodeAt(this.root, node).title ?? node;
    if (!this.coming.has(run)) localStorage.setItem(HAD + this.key, run); // it is missed if ComfyUI ends before the run does
    this.coming.set(run, { run, prompt_id: job, node, workflow_id: workflow, key, title, list_index: 0, index, live: record });
    Object.assign(this, { lost: false, idle: null });
    this.draw();
    for (const place of this.places.values()) place.step(message);
  }

  /** The report on a run that has just ended comes before its record: a summary, as `endRun` takes it, with "report".
   * @param {any} summary
   */
  takeVerdict(summary) {
    const { run, report, steps, ...where } = summary;
    if (!isOf(this.root, summary)) return;
    this.reports.set(run, report);
    if (!this.coming.has(run)) this.step({ run, kept: true, ...where }); // too short a run for a live step
    const live = this.coming.get(run)?.live;
    if (live && !live.n) live.n = steps;
    for (const place of this.places.values()) if (place.shown === run) place.panel.takeReport(report);
  }

  /** A run has ended: {run, node, ...} as the server lists it.  @param {any} summary */
  async endRun(summary) {
    this.coming.delete(summary.run);
    if (!isOf(this.root, summary)) return;
    localStorage.setItem(HAD + this.key, summary.run);
    this.runs = latest([...this.runs.filter(({ run }) => run !== summary.run), summary], this.root);
    for (const known of [this.records, this.reports]) for (const run of known.keys()) if (!this.runs.some((entry) => entry.run === run)) known.delete(run);
    Object.assign(this, { lost: false, idle: null });
    this.unchanged.delete(summary.node);
    this.unreached = this.unreached.filter(({ node }) => node !== summary.node);
    this.last = { run: summary.run, at: Date.now() };
    await Promise.all([this.order(), this.askReports()]);
  }

  /** The host took these nodes of a job from its cache.  @param {{prompt_id: string, nodes: string[]}} cached */
  tookFromCache({ prompt_id: job, nodes }) {
    this.cached = { job, nodes: new Set(nodes) };
  }

  /** A job has ended.  jobOf(job) asks the server which that was. how: {key, node} of why it broke off
   * @param {string} job @param {any} jobOf @param {any} [how]
   */
  async endJob(job, jobOf, how = null) {
    const { cached, key } = this;
    const nodes = cached && cached.job === job ? cached.nodes : new Set();
    const before = this.entries().filter(({ node }) => nodes.has(node));
    const on = flagOf(this.root).record === true;
    if (on) await this.refresh(); // what was not reached has no event
    if (on) for (const [run, one] of this.coming) if (one.prompt_id === job) this.coming.delete(run); // it left no record
    const came = () => [...this.runs, ...this.coming.values()].some(({ prompt_id: id }) => id === job);
    if (came()) Object.assign(this, { idle: null, unchanged: new Set() });
    if (!before.length && (!on || came())) return this.draw();
    const { workflow, samplers } = (await jobOf(job)) ?? {};
    if (key !== this.key || workflow?.id !== this.root?.id || flagOf(workflow).key !== flagOf(this.root).key) return;
    const now = this.entries().map(({ run }) => run);
    this.unchanged = new Set(before.filter(({ run }) => now.includes(run)).map(({ node }) => node));
    const missed = this.unreached.some(({ prompt_id: id }) => id === job); // that is said by itself
    if (!came()) this.idle = missed ? null : (how ?? (this.tookSampler(nodes, samplers) ? CACHED : NOTHING));
    this.draw();
  }

  /** Whether what came from the cache sampled once.  samplers: ids in the job, as the server names them, pipes too
   * @param {Set<string>} nodes
   */
  tookSampler(nodes, samplers = samplersOf(this.root).map(({ id }) => id)) {
    return samplers.some((id) => nodes.has(id));
  }

  /** A job has stopped: what was to come does not.  how: as of `endJob`
   * @param {string} job @param {any} jobOf @param {any} how
   */
  endEarly(job, jobOf, how) {
    for (const [run, one] of this.coming) if (!job || one.prompt_id === job) this.coming.delete(run);
    return this.endJob(job, jobOf, how);
  }

  /** ComfyUI answers, or does not: the editor's own connection says so.  jobs: that run or wait, none where nobody answers
   * @param {boolean} there @param {any} jobs
   */
  async hear(there, jobs) {
    this.away ||= !there;
    for (const [run, { prompt_id: job, live }] of this.coming) {
      if (there && !jobs.includes(job)) this.coming.delete(run); // what became of it is asked
      else blame(live, { fault: there ? undefined : "away" });
    }
    for (const { panel } of this.places.values()) panel.goOnWith(jobs);
    if (there) await this.refresh();
    this.away = !there;
    this.draw();
  }

  /** All that it takes to see something, in one click. */
  recordAndRun() {
    if (!flagOf(this.root).record) this.record(true);
    return this.editor.queueGraph();
  }

  /** Sample once more what ComfyUI has in its cache. */
  async runAfresh() {
    const { key } = flagOf(this.root);
    await this.editor.freshen(new URLSearchParams({ workflow_id: this.root?.id ?? "", ...(key && { key }) }));
    await this.editor.queueGraph();
  }

  /** What a finished run, or a series of them, recorded.  judged: the report on it is shown, too; of a series only the last one's is
   * @param {any} run
   */
  async recordOf({ run, chain, when, stopped_at: at }, judged = true) {
    if (chain) {
      const records = await Promise.all(chain.map((/** @type {any} */ entry) => this.recordOf(entry, entry === chain.at(-1))));
      return records.every(Boolean) ? joinRecords(records) : null;
    }
    const { records } = this; // of this workflow
    const known = records.get(run);
    const kept = known?.when === when ? known : null; // it grows while its node samples in pieces
    const record = kept ?? (await this.editor.run(run));
    if (!record) return null; // asked again at the next choice
    const fresh = !kept && this.last?.run === run && Date.now() - (this.last?.at ?? 0) < JUST;
    const report = judged && !fresh && record.model?.key && (await this.editor.report(run)); // what is stored may have changed since
    if (report) record.report = report;
    records.set(run, Object.assign(record, { when }));
    this.reports.set(run, record.report ?? null);
    const whole = { ...record };
    blame(whole, faultOf({ stopped_at: at, ...record }));
    return whole;
  }

  /** The one run that is shown; of a series its last. */
  single() {
    const chosen = this.choice();
    return chosen?.chain?.at(-1) ?? chosen;
  }

  /** The run whose scale is judged, with its record; null as long as that is not read. */
  judged() {
    const run = this.single();
    const record = this.records.get(run?.run);
    return record ? { run, record } : null;
  }

  /** Where a knob of a run is set.  @param {any} knob @param {ListedRun} run */
  sourceOf(knob, run) {
    const source = knobSource(this.root, run.node, knob);
    return followed(this.root, source, source?.held && this.editor.advice?.promptOf(run.prompt_id), knob.value);
  }

  /** The report on a run is another one by now.  @param {Run} run @param {any} report */
  renew(run, report) {
    Object.assign(this.records.get(run) ?? {}, { report });
    this.reports = new Map([[run, report]]); // what changed may be of the others, too
    this.askReports();
    for (const { panel } of this.places.values()) {
      if (panel.whole?.run === run) panel.takeReport(report);
    }
  }

  changed() {
    this.draw();
  }

  /** How many items of one list a sampler worked on.  @param {ListedRun} run */
  elements(run) {
    return this.entries().filter(({ node, index }) => node === run.node && index === run.index).length;
  }

  /** A name and a slot for every run that can be chosen.  @param {Speaker} t */
  options(t) {
    const entries = this.entries();
    /** @param {ListedRun} run */
    const stages = (run) => {
      const chain = this.chains.find((runs) => runs.some((other) => slotOf(other) === slotOf(run)));
      return chain ? [chain.findIndex((other) => slotOf(other) === slotOf(run)) + 1, chain.length] : null;
    };
    /** @param {any} run */
    const named = (run) => nameOf(run, { stages: stages(run), elements: this.elements(run), unchanged: this.unchanged }, t);
    return [...entries, ...this.whole(entries)].map((run) => ({ value: slotOf(run), words: named(run) }));
  }

  /** Every sampler with where it stands, the worst first: see readiness.mjs. */
  samplers() {
    const unreached = this.unreached.filter((entry) => isOf(this.root, entry)).map(({ node }) => node);
    const known = { runs: this.worstFirst(this.entries()), unchanged: this.unchanged, unreached, queued: this.queued !== null };
    return samplerStates(this.root, known);
  }

  state() {
    const [{ record: on }, chosen] = [flagOf(this.root), this.choice()];
    const { away, lost, idle } = this;
    const queued = this.entries().some(({ prompt_id: job }) => job === this.queued?.job) ? null : this.queued; // it has sampled
    const facts = { away, lost, idle, queued, on: on === true, runs: this.entries().length, live: Boolean(chosen?.live) };
    const since = chosen && this.unchanged.has(chosen.node) ? clock(chosen.when) : "";
    const unreached = this.unreached.filter((entry) => isOf(this.root, entry)).map(({ title, node }) => `${title} (${node})`);
    return { ...facts, chosen, unreached, since, hindrance: hindrance(this.root) };
  }

  draw() {
    for (const place of this.places.values()) place.draw();
  }
}

/** What the panel says of a run that broke off; n: the steps it should have had.  @param {Run} record */
function faultOf(record) {
  if (!record.ended) return {};
  const i = stoppedAt(record);
  const n = record.sigmas?.length ? record.sigmas.length - 1 : record.n;
  return { fault: "stopped", ended: record.ended, ...(i && { stopped: { i, n: Math.max(n, i) } }) };
}

/** 96 random bits. crypto.randomUUID is missing where the editor comes over http from another machine. */
const freshKey = () => [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
