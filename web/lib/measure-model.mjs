// @ts-check
/** Measure my model: the workflow at several values of a knob on the same seeds, and what the model says of its pictures. No DOM. */
import { FindRange } from "./find-range.mjs";
import { CFG, LORA, roundWithin } from "./run-knobs.mjs";
import { FLAG, slotOf } from "./tab-runs.mjs";
import { promptAt, seedPlaces, upstream } from "./try-prompt.mjs";

export const PICTURES = 8; // of each value, before more are asked for
export const DRAWS = 1; // how often the model is asked about each
const ASKED = 24; // evaluations of the model for a picture that is asked about once
const OF_CFG = [1, 1.5, 2.5, 4, 6, 9, 14]; // from no guidance on
const OF_LORA = [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5]; // from nothing of it on
const OF_OTHERS = [1 / 4, 1 / 2, 1 / Math.SQRT2, 1, Math.SQRT2, 2, 4]; // times the own value
const FIRST = 4; // pictures of each value before it may stop
const SURE = 1.3; // upper end of the first mark over its lower end, below which it is decided
const NEAR = 1.1;

/** Whether the model can be asked about the pictures of a run: it goes to a finished picture, and its knob can be set.
 * @param {any} record @param {any} knob
 */
export const canMeasure = (record, knob) => Boolean(record.model?.key && knob.value !== null && record.steps?.at(-1)?.sigma_next === 0);

/** Values to measure at; the own one takes the place of the nearest, but not of the first where it does nothing there.
 * @param {any} own @param {any} knob
 */
export function valuesFor(own, knob) {
  const usual = knob.key === CFG ? OF_CFG : knob.kind === LORA ? OF_LORA : null;
  const values = usual ? [...usual] : [...new Set(OF_OTHERS.map((times) => roundWithin(knob, times * own)))];
  if (!(own > 0) || values.includes(own)) return values;
  const away = values.map((value, k) => (usual && k === 0 ? Infinity : Math.abs(Math.log(value / own))));
  const nearest = away.indexOf(Math.min(...away));
  if (own > Math.max(...values) * NEAR) values.push(own);
  else values[nearest] = own;
  return values.sort((value, other) => value - other);
}

/** How many runs like this one it takes: {values, pictures, runs}.  record: of the run
 * @param {any} record @param {number[]} values
 */
export function costOf(record, values, pictures = PICTURES) {
  const batch = record.batch || 1;
  const each = (record.evaluations || 2 * record.n || 1) / batch; // of a picture
  return { values: values.length, pictures, runs: Math.round(values.length * pictures * (1 + (ASKED * DRAWS) / each) / batch) };
}

/** Whether the first mark is known well enough, and whether the measure applies.  curve: of the server
 * @param {{pictures: any, gate: any, measured: any}} curve
 */
export const isDecided = ({ pictures, gate, measured }) => pictures >= FIRST && gate?.sure !== false && Boolean(measured?.[1] && measured[2] / measured[1] < SURE);

export class MeasureModel extends FindRange {
  /** @type {any} */ measured = null; // the curve, as the server tells it
  /** @type {?string} */ fault = null;
  stopped = false;
  wanted = PICTURES;

  /** measure(asked): the server makes the curve of these runs and keeps it.
   * @param {Editor} editor @param {Judged} about @param {() => void} changed @param {(picks: any) => any} keep
   * @param {(asked: any) => any} measure
   */
  constructor(editor, about, changed, keep, measure) {
    super(editor, about, changed, keep);
    this.scales = (/** @type {any} */ own) => valuesFor(own, this.knob);
    this.measure = measure;
    this.wide = false; // a click asks for no further values
  }

  /** Of every value as many pictures as are wanted, a seed after the other, so that whenever it stops all have the same.
   * @param {number[]} scales
   */
  async add(scales) {
    this.cards = scales.map((cfg) => ({ cfg, state: "waiting", shots: [], seeds: [], record: null, own: false }));
    this.changed();
    await this.goOn();
    return [];
  }

  /** Further pictures of every value. */
  async more() {
    this.wanted = this.pictures + PICTURES;
    this.stopped = false;
    await this.goOn();
  }

  /** How many pictures each value has by now. */
  get pictures() {
    return Math.min(...this.cards.map(({ seeds }) => seeds.length)) * (this.record.batch || 1);
  }

  async goOn() {
    while (!this.over && !this.stopped && this.pictures < this.wanted) {
      const before = this.pictures;
      await this.addSeed(Math.max(...this.cards.map(({ seeds }) => seeds.length)));
      await this.tell();
      if (this.pictures === before || (this.measured && isDecided(this.measured) && this.wanted === PICTURES)) break;
    }
    this.stopped = true;
    this.changed();
  }

  /** One more seed at every value.  @param {number} k */
  async addSeed(k) {
    const { prompt, places, workflow } = this.made;
    const seeds = seedPlaces(prompt, upstream(prompt, this.run.node));
    const seeded = seeds.reduce((changed, { id, input, value }) => ({ ...changed, [id]: { ...changed[id], inputs: { ...changed[id].inputs, [input]: value + k } } }), prompt);
    const measure = canMeasure(this.record, this.knob) ? DRAWS : 0;
    const asking = { ...workflow, extra: { ...workflow.extra, [FLAG]: { ...workflow.extra[FLAG], measure } } };
    const jobs = [];
    const ends = () => this.over || this.stopped;
    for (const card of this.cards) {
      const job = ends() ? null : await this.editor.queue(promptAt(seeded, places, card.cfg, this.shown), asking);
      if (job && ends()) this.editor.dequeue([job]);
      else if (job) jobs.push(this.followSeed(Object.assign(card, { job, state: card.seeds.length ? card.state : "waiting" }), job, k));
      else if (!card.seeds.length && !ends()) Object.assign(card, { state: "failed", why: "refused" });
    }
    await Promise.all(jobs);
  }

  /** card.seeds: what came of each seed, {k, run: its id, shots, record}.
   * @param {Card} card @param {string} id @param {number} k
   */
  async followSeed(card, id, k) {
    const job = await this.waitForJob(id);
    if (this.over) return;
    const { seeds } = card;
    const found = (job && (await this.editor.runsOf(id))) ?? [];
    const run = found.find((/** @type {any} */ listed) => slotOf(listed) === slotOf(this.run)) ?? null;
    this.take(card, job, run, run && (await this.editor.run(run.run)));
    const { state, shots, record } = card;
    if (state === "there" && run) card.seeds = [...seeds, { k, run: run.run, shots, record: shots.length ? null : record }];
    else if (seeds.length) card.state = "there";
    card.shots = card.seeds.flatMap((/** @type {any} */ seed) => seed.shots);
    this.changed();
  }

  /** Let the server make the curve of what is there. */
  async tell() {
    const runs = this.cards.flatMap(({ seeds }) => seeds.map((/** @type {{run: any}} */ { run }) => run));
    if (this.over || this.cards.filter(({ seeds }) => seeds.length).length < 2) return;
    const answer = await this.measure({ runs, knob: this.knob.key });
    this.fault = answer?.error ?? null;
    this.measured = answer?.curves?.[0] ?? this.measured;
    this.changed();
  }

  /** No further seed; what is there stays. */
  halt() {
    this.stopped = true;
    if (this.waits.size) this.editor.dequeue([...this.waits.keys()]);
    this.changed();
  }

  get isDone() {
    return this.stopped;
  }
}
