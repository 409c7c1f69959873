// @ts-check
/** The sampler of a run queued again with another value of a knob and the same noise: how, and what became of it. No DOM.
 *
 * The graph on the canvas stays as it is: what is queued is the job that made the run, with another number in one input.
 */
import { followed, literalsOf } from "./panel-graph.mjs";
import { CFG, knobOf, knobPlace, knobSource } from "./run-knobs.mjs";
import { FLAG, slotOf } from "./tab-runs.mjs";
import { judgementOf, judgeOf, picturesOf, promptAt, samplerOf, shownBy } from "./try-prompt.mjs";

const WAITING = new Set(); // tries with jobs that have not ended

/** What keeps a sampler from being queued at another value of a knob: {key, node} of a sentence, null for nothing.
 * @param {?Graph} root @param {Prompt} prompt @param {string} sampler @param {Knob} knob
 */
export function obstacle(root, prompt, sampler, knob) {
  const source = knobSource(root, sampler, knob);
  if (source?.reason === "listed") return { key: source.reason, node: source.node };
  if (knobPlace(prompt, sampler, knob)) return null;
  return { key: knob.kind === CFG ? "nowhere" : "noWidget", node: null };
}

/** The queue has changed, or ComfyUI answers again: whoever waits for a job sees whether it has ended. */
export const lookAgain = () => WAITING.forEach((tries) => tries.look());

export class Tries {
  /** @type {Card[]} */ cards = [];
  waits = new Map(); // job -> what to do once it has left the queue
  looks = 0;
  looking = false;
  ahead = 0; // jobs of others that run first
  /** @type {?{key: string, node: any}} */ trouble = null;
  over = false;
  /** @type {any} */ shown = null;
  /** @type {any} */ judging = null;
  /** @type {any} */ made = null;

  /** run: as the tab lists it; or with `shown`, the node that shows it, where nobody said yet which one sampled. record: of it. knob: of it, its first one if none is given. scales(own): values to try.
   * changed(): something is to be drawn.
   * @param {Editor} editor @param {Judged} about @param {(own: any) => any[]} scales @param {() => void} changed
   */
  constructor(editor, { run, record, knob = knobOf(record) }, scales, changed) {
    this.editor = editor;
    this.run = run;
    this.record = record;
    this.knob = knob;
    this.scales = scales;
    this.changed = changed;
  }

  /** Queue, and follow until every picture is there. */
  async begin() {
    const { editor } = this;
    const job = await editor.job(this.run.prompt_id);
    const sources = job ?? { ...(await editor.sources()), outputs: {} };
    const prompt = sources.prompt ?? sources.output;
    this.run = { ...this.run, node: this.run.node ?? samplerOf(prompt, this.run.shown) };
    const { run } = this;
    const root = editor.root();
    this.trouble = obstacle(root, prompt, run.node, this.knob);
    if (this.trouble || this.over) return this.changed();
    const { input, beside, value } = this.knob;
    const [id, source] = [knobPlace(prompt, run.node, this.knob), followed(root, knobSource(root, run.node, this.knob), prompt, value ?? NaN)];
    const set = prompt[id].inputs[input];
    const literals = literalsOf(root, prompt, source ?? {}); // as it will be when it is used
    const places = Array.isArray(set) && literals.length ? literals : [...literals, { id, input, beside }];
    const own = beside || typeof set !== "number" ? value : set; // under a preset the widget says nothing
    this.shown = shownBy({ prompt, outputs: sources.outputs }, run.node, root);
    this.judging = judgeOf(prompt, run.node);
    this.made = { prompt, places, own, job, workflow: apart(sources.workflow ?? {}) };
    return this.add(this.scales(own));
  }

  /** Cards of these scales, queued and followed until every picture is there.  @param {number[]} scales */
  async add(scales) {
    const { prompt, places, own, job, workflow } = this.made;
    /** @type {Card[]} */
    const cards = scales.map((cfg) => ({ cfg, state: "waiting", shots: [], record: null, own: cfg === own }));
    this.cards = this.arrange([...this.cards, ...cards]);
    this.changed();
    for (const card of cards) {
      if (card.own && job) this.take(card, job, this.run, this.record);
      else await this.queue(card, promptAt(prompt, places, card.cfg, ...[this.shown, this.judging].filter(Boolean)), workflow);
    }
    return Promise.all(cards.map((card) => card.job && this.follow(card)));
  }

  /** In the order in which they are shown.  @param {any[]} cards */
  arrange(cards) {
    return cards;
  }

  /** @param {Card} card @param {Prompt} prompt @param {any} workflow */
  async queue(card, prompt, workflow) {
    const job = this.over ? null : await this.editor.queue(prompt, workflow);
    Object.assign(card, job ? { job } : { state: "failed", why: "refused" });
    if (job && this.over) this.editor.dequeue([job]);
  }

  /** @param {Card} card */
  async follow(card) {
    const job = await this.waitForJob(card.job);
    if (this.over) return;
    const runs = (job && (await this.editor.runsOf(card.job))) ?? [];
    const run = runs.find((/** @type {ListedRun} */ listed) => slotOf(listed) === slotOf(this.run)) ?? null;
    this.take(card, job, run, run && (await this.editor.run(run.run)));
  }

  /** A job once it has ended; null where it left the queue without a trace, as those do that are cleared from it.
   * @param {string} id
   */
  waitForJob(id) {
    WAITING.add(this);
    return new Promise((done) => {
      this.waits.set(id, done);
      this.look();
    });
  }

  /** See which jobs have left the queue. What is asked for meanwhile is one more look. */
  async look() {
    this.looks += 1;
    if (this.looking) return;
    this.looking = true;
    for (let seen = 0; seen !== this.looks && this.waits.size; ) {
      seen = this.looks;
      await this.settle();
    }
    this.looking = false;
    if (!this.waits.size) WAITING.delete(this);
  }

  async settle() {
    const waits = [...this.waits];
    const queued = await this.editor.inQueue(); // before the history: a job moves there
    for (const [id, done] of queued ? waits : []) {
      const job = queued?.includes(id) ? undefined : await this.editor.job(id);
      if (job === undefined) continue; // it waits, or nobody answers
      this.waits.delete(id);
      done(job);
    }
    const first = queued?.findIndex((id) => this.waits.has(id)) ?? 0;
    if (first !== this.ahead) Object.assign(this, { ahead: Math.max(0, first) }).changed();
  }

  /** @param {any} card @param {Job} job @param {?Run} run @param {?Run} record */
  take(card, job, run, record) {
    const shots = picturesOf(job?.outputs ?? {}, card.job ? this.shown.id : this.shown.of);
    const there = job?.ended && (shots.length || record?.pictures?.steps?.length);
    const found = judgementOf(job?.outputs, card.job ? this.judging?.id : this.judging?.of);
    Object.assign(card, { run, record, shots, found, ...(there ? { state: "there" } : { state: "failed", why: whyNot(job) }) });
    this.changed();
  }

  /** All pictures are there, or will not come. */
  get isDone() {
    return this.cards.length > 0 && this.cards.every(({ state }) => state !== "waiting");
  }

  /** Why pictures did not come: {n, of, why: key of a sentence}, null where all are there or may still come. */
  get missing() {
    const failed = this.cards.filter(({ state }) => state === "failed");
    return failed.length ? { n: failed.length, of: this.cards.length, why: failed[failed.length - 1].why } : null;
  }

  /** Nobody waits any longer. */
  stop() {
    this.over = true;
    const waiting = this.cards.filter(({ job, state }) => job && state === "waiting").map(({ job }) => job);
    const jobs = [...new Set([...waiting, ...this.waits.keys()])];
    for (const done of this.waits.values()) done(null);
    this.waits.clear();
    WAITING.delete(this);
    if (jobs.length) this.editor.dequeue(jobs);
  }
}

const TRY = "try-";

/** Whether a job was queued to try a scale out: it says nothing of the graph.  @param {any} workflow */
export const isTry = (workflow) => String(workflow?.extra?.[FLAG]?.key ?? "").startsWith(TRY);

/** What became of a job without a picture.  job: null where the server has none  @param {Job} job */
function whyNot(job) {
  if (!job) return "cleared";
  if (job.ended) return "noPicture";
  return job.stopped ? "interrupted" : "failed";
}

/** The workflow under a key of its own: its runs are recorded, and the tab does not list them.
 *
 * Apart from ComfyUI's cache of other jobs: a value that is taken after it was tried leaves a run of the graph, too.
 * @param {any} workflow
 */
export function apart(workflow) {
  const key = `${TRY}${[...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
  return { ...workflow, extra: { ...workflow.extra, [FLAG]: { ...workflow.extra?.[FLAG], record: true, key, apart: true } } };
}
