// @ts-check
/** A run beside itself at another scale: the pictures of both on the same seeds, and what the model says of them. No DOM.
 *
 * Both are kept with the run as long as the page of the editor lives.
 */
import { canMeasure, MeasureModel } from "./measure-model.mjs";
import { number } from "./words.mjs";
import { MOST_SHOTS, picturesOf, samplerOf, shownBy } from "./try-prompt.mjs";

const MOST_RUNS = 50; // whose pictures are kept
const MOST_JOBS = 4; // whose prompts are kept
export const LEAST = 4; // pictures of each value
const SHOWN = 0.5; // prompt strength above which a picture is more likely with its prompt than without
const LATE = 600; // milliseconds after which the server knows a job that has ended

/** Both values on a few seeds; the curve of the two is not kept. */
export class TryAdvice extends MeasureModel {
  kind = "advice";
  /** @type {any} */ kept = null; // what takes it back that the run's own value was chosen

  /** @param {Editor} editor @param {Judged} about @param {number} value @param {() => void} changed */
  constructor(editor, about, value, changed) {
    super(editor, about, changed, async () => {}, (asked) => editor.curves("POST", { ...asked, keep: false }));
    this.scales = (/** @type {number} */ own) => [own, value];
    this.value = value;
    this.wanted = Math.max(LEAST, this.record.batch || 1);
  }

  /** Once, of all of them. */
  async tell() {
    if (this.pictures >= this.wanted && canMeasure(this.record, this.knob)) await super.tell();
  }

  /** Pictures of the same noise at both values: [[own, other], ...], each {found: as `shotsOf` takes it, i: which of its pictures}. */
  get rows() {
    const [own, other] = this.cards.map(({ seeds }) => seeds);
    return (own ?? []).flatMap((/** @type {any} */ seed) => {
      const same = other.find((/** @type {{k: number}} */ { k }) => k === seed.k);
      const count = same ? Math.min(countOf(seed), countOf(same)) : 0;
      return Array.from({ length: count }, (_, i) => [seed, same].map((found) => ({ found, i })));
    });
  }
}

/** How many pictures `shotsOf` shows at most.  @param {{shots: any[], record: Run}} picture */
const countOf = ({ shots, record }) => Math.min(shots.length || record?.pictures?.samples?.length || 0, MOST_SHOTS);

/** What the model says of both values: [a line, what it means], empty where there is nothing to say.
 * @param {?TryAdvice} pair
 * @param {Speaker} t
 */
export function saidOf(pair, t) {
  if (!pair?.cards.length) return ["", ""];
  if (!pair.isDone) return [t("measuring", { i: pair.pictures, n: pair.wanted }), ""];
  const { values, least, gate, prompt_strength: strength } = pair.measured ?? /** @type {Partial<Curve>} */ ({});
  if (!values) return ["", ""];
  if (gate && !gate.applies) return [gate.sure ? t("pairRefused") : "", ""];
  const said = strangeAt(pair.measured, values.find((/** @type {number} */ value) => value !== least));
  if (!said) return ["", ""];
  const lost = lostIn(pair.measured, t);
  const shown = !lost.length && strength?.every((/** @type {[any, number]} */ [, low]) => low > SHOWN) ? t("bothShow") : "";
  return [[t(said.key, said.facts), shown, weakerIn(pair.measured, t), ...lost].filter(Boolean).join(" "), said.key === "pairStrange" ? t("pairNote") : ""];
}

/** At which values the model takes pictures for some without the prompt: a sentence for each.
 * @param {Curve} curve @param {Speaker} t
 */
function lostIn({ name, values, pictures, likelier_without: lost = [] }, t) {
  return values.flatMap((value, k) => (lost[k] ? [t("promptLost", { value: `${name} ${number(value)}`, lost: lost[k], n: pictures })] : []));
}

/** Which of two values surely shows the prompt less, on the same seeds; empty where neither does.
 * @param {Curve} curve @param {Speaker} t
 */
function weakerIn({ name, values, least, strength_gained: gained }, t) {
  const at = values.findIndex((value) => value !== least);
  const [, low = 0, high = 0] = gained?.[at] ?? [];
  if (!(low > 0 || high < 0)) return "";
  return t("showsLess", { value: `${name} ${number(low > 0 ? least : values[at])}` });
}

/** What a curve tells of a value beside the one that the model finds least strange: {key, facts} of a sentence; null for nothing.
 * @param {Curve} curve @param {any} value
 */
export function strangeAt({ name, values, least, times_as_strange: times }, value) {
  const [ratio, low, high] = times[values.indexOf(value)];
  if (low === null || high === null) return null;
  const facts = { value: `${name} ${number(value)}`, least: `${name} ${number(least)}`, times: number(ratio, 2), low: number(low, 2), high: number(high, 2) };
  return { key: Number(facts.low) > 1 ? "pairStrange" : "pairAlike", facts };
}

export class Advice {
  pairs = new Map(); // id of a run -> TryAdvice
  pictures = new Map(); // id of a run -> files of the server
  /** @type {?{node: string, src: string, filename: string}} */ preview = null; // the host's, of the sampler that runs
  watchers = new Set(); // panels
  jobs = new Map(); // id of a job -> {answer, job: it, once it came, ended: how many jobs had ended when it was asked for, runs: of which}
  ended = 0;

  /** editor: what may be asked of it (see inspector.js).  @param {Editor} editor */
  constructor(editor) {
    this.editor = editor;
  }

  changed() {
    for (const panel of this.watchers) panel.redraw();
  }

  /** The host shows how far a sampler has come.  @param {{blob: Blob, displayNodeId: any}} preview */
  takePreview({ blob, displayNodeId: node }) {
    this.dropPreview();
    const src = URL.createObjectURL(blob);
    this.preview = { node: String(node), src, filename: src };
    this.changed();
  }

  /** The sampler that it is of has ended, or another job has begun. */
  dropPreview() {
    if (!this.preview) return;
    URL.revokeObjectURL(this.preview.src);
    this.preview = null;
    this.changed();
  }

  /** @param {string} node */
  previewOf(node) {
    return this.preview?.node === node ? this.preview : null;
  }

  /** A job has ended: its pictures are there, or will be in a moment. */
  endJob() {
    this.ended += 1;
    this.dropPreview();
    this.changed();
    setTimeout(() => {
      this.ended += 1;
      this.changed();
    }, LATE);
  }

  /** Queue a run at its own scale and at another. about: {run, record}, as `Tries` takes them.
   * @param {Judged} about @param {number} value
   */
  see({ run, record }, value) {
    const { editor, pairs } = this;
    pairs.get(run.run)?.stop();
    const pair = new TryAdvice(editor, { run, record }, value, () => this.changed());
    pairs.set(run.run, pair);
    trim(pairs);
    this.changed();
    return pair.begin();
  }

  /** @param {Run} run */
  pairOf(run) {
    return this.pairs.get(run) ?? null;
  }

  /** What the server says of a job: it is asked once for all runs of it, and again when a job has ended.
   * @param {string} id
   */
  asked(id) {
    const { jobs, ended } = this;
    const before = jobs.get(id);
    if (before?.ended === ended) return before;
    const request = { ended, runs: new Set(), job: before?.job ?? null, answer: this.editor.job(id) };
    jobs.set(id, request);
    trim(jobs, MOST_JOBS);
    request.answer.then((job) => {
      if (!job) return;
      request.job = job;
      this.changed();
    });
    return request;
  }

  /** The prompt of a job; null as long as nobody knows.  @param {string} id */
  promptOf(id) {
    return (this.jobs.get(id)?.job ?? this.asked(id).job)?.prompt ?? null;
  }

  /** Pictures that the job of a run made; null as long as nobody knows.  @param {{run: any}} about */
  picturesOf({ run }) {
    if (!this.pictures.has(run.run)) this.ask(run);
    return this.pictures.get(run.run) ?? null;
  }

  /** Pictures of a run, from what the server says of its job.  @param {any} run */
  async ask({ prompt_id: id, ...run }) {
    const { runs, answer } = this.asked(id);
    if (runs.has(run.run)) return;
    runs.add(run.run);
    const job = await answer;
    const node = job && (run.node ?? samplerOf(job.prompt, run.shown));
    if (!job?.prompt[node]) return;
    this.pictures.set(run.run, picturesOf(job.outputs, shownBy(job, node, this.editor.root()).of));
    trim(this.pictures);
    this.changed();
  }
}

/** The oldest go first.  @param {Map<any, any>} kept */
function trim(kept, most = MOST_RUNS) {
  while (kept.size > most) kept.delete(kept.keys().next().value);
}
