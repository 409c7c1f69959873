// @ts-check
/** Find my range: one picture at several scales, and which of them a person finds good. No DOM. */
import { CFG, halfWay, keyFor, knobOf, roundWithin } from "./run-knobs.mjs";
import { Tries } from "./tries.mjs";

const CLOSE = 1.4; // from one scale to the next: one good one gives a range of high / low 1.4, two give 2
const FAR = 2; // where nothing is known of the model
const MORE = 2; // scales that are queued about a good one
const NEAR = 1.1; // times the own scale: that one is tried instead
const SMALL = 1e-3; // a scale of nothing
const PLAIN = "CFG";
const ALIKE = Math.log(1.25); // below the best mean log-probability: as good to a judge
const LONGEST = 200; // characters of a name

/** Values to try first: five close ones about the middle of the range that is known, else three wide apart about the own.
 *
 * None lies outside what a knob takes; none of cfg turns guidance off below 1. The own one is always among them, in place
 * of the nearest.
 * @param {?number[]} range
 * @param {number} own @param {Knob} knob
 */
export function ladder(range, own, knob) {
  const [step, places] = range ? [CLOSE, [-2, -1, 0, 1, 2]] : [FAR, [-1, 0, 1, 2]];
  const centre = centreOf(range, own);
  const values = [...new Set(places.map((k) => roundWithin(knob, step ** k * centre)))].slice(0, range ? 5 : 3);
  const away = values.map((value) => Math.abs(Math.log(value / Math.max(own, SMALL))));
  values[away.indexOf(Math.min(...away))] = own;
  return values;
}

/** Values to try next: beyond a good one that is the last on its side, else close about it; of those not tried yet.
 * @param {number} value @param {number[]} tried @param {Knob} knob
 */
export function further(value, tried, knob) {
  const side = value === Math.min(...tried) ? 1 / FAR : value === Math.max(...tried) ? FAR : null;
  const beyond = side ? [value * side, value * side ** 2] : [];
  const found = [];
  for (const candidate of [...beyond, value / CLOSE, value * CLOSE].map((scale) => roundWithin(knob, scale))) {
    if (![...tried, ...found].some((other) => Math.max(candidate, other) / Math.min(candidate, other) < NEAR)) found.push(candidate);
  }
  return found.slice(0, MORE);
}

/** Where to look first: in the middle of what is known, else at the run's own value.
 * @param {any} range @param {number} own
 */
export function centreOf(range, own) {
  const [low, high] = range ?? [own, own];
  return halfWay(low, high) || own;
}

/** The judged cards as the server takes them.  by: the judge that chose, null for the user
 * @param {any} record
 * @param {any[]} cards
 * @param {?string} by
 */
export function picksOf(record, cards, by = null, knob = knobOf(record)) {
  const { report, chain, model } = record;
  const rules = report.plain ? PLAIN : chain && chain !== PLAIN ? chain : "rules";
  const facts = { sampler_class: report.sampler_class, chain: knob.key === CFG ? rules : knob.key, knob: knob.key };
  const judged = cards.filter(({ state }) => state === "there");
  const picks = judged.map(({ cfg, good, liked }) => ({ cfg, good: Boolean(by ? liked : good), ...(by && { by: by.slice(0, LONGEST) }), ...facts }));
  return { format: "guidance-geometry/picks", version: 1, model: { name: String(model.name ?? model.file ?? "?").slice(0, 200), key: keyFor(record, knob) }, picks };
}

/** What is stored of a knob of a run's model with its kind of sampler: {low, high, middle, chosen, judges, yours}, null where
 * nothing is good.
 *
 * judges: names of those who chose. yours: the user did, too.
 * @param {?Stored} stored @param {?Run} record
 */
export function rangeOf(stored, record, knob = knobOf(record)) {
  const kind = record?.report?.sampler_class;
  const range = (knob.key === CFG ? stored?.ranges : stored?.knobs?.[knob.key])?.[kind];
  if (!range || !stored) return null;
  /** @param {StoredPick} pick */
  const counts = (pick) => pick.knob === knob.key && (knob.key !== CFG || pick.chain === PLAIN);
  const own = stored.picks.filter((pick) => pick.sampler_class === kind && pick.good && counts(pick));
  const judges = [...new Set(own.map(({ by }) => by).filter(Boolean))].sort();
  const middle = roundWithin(knob, halfWay(range[0], range[1]));
  return { judges, yours: own.some(({ by }) => !by), low: range[0], high: range[1], middle, chosen: own.map(({ cfg }) => cfg).sort((a, b) => a - b) };
}

/** The good values that are known of a knob: those that the report names, or that are stored.
 * @returns {?number[]}
 * @param {any} stored @param {Run} record @param {Knob} knob
 */
export function knownRange(stored, record, knob) {
  if (knob.key === knobOf(record).key && record.report?.range) return record.report.range;
  const known = rangeOf(stored, record, knob);
  return known?.low ? [known.low, known.high] : null;
}

export class FindRange extends Tries {
  kind = "range";
  /** @type {?Promise<any>} */ looked = null;

  /** about.range: of the knob, as `knownRange`. keep(picks): the server takes them.
   * @param {Editor} editor @param {Judged} about @param {() => void} changed @param {(picks: any) => any} keep
   */
  constructor(editor, about, changed, keep) {
    const { range = about.record.report?.range ?? null } = about;
    super(editor, about, (own) => ladder(range, own, this.knob), changed);
    this.keep = keep;
    this.wide = !range;
  }

  /** @param {any[]} cards */
  arrange(cards) {
    return cards.sort((card, other) => card.cfg - other.cfg);
  }

  /** A person changes her mind about a card; at once on the server, so that nothing has to be confirmed.
   *
   * About the first that she likes after a wide look, two more are queued.
   * @param {Card} card
   */
  judge(card) {
    card.good = !card.good;
    this.changed();
    const kept = this.keep(picksOf(this.record, this.cards, null, this.knob));
    if (card.good && this.wide) {
      this.wide = false;
      this.looked = this.lookFurther(card.cfg);
    }
    return kept;
  }

  /** What was shown and not chosen is stored too: the range ends before it.  @param {number} cfg */
  async lookFurther(cfg) {
    await this.add(further(cfg, this.cards.map((card) => card.cfg), this.knob));
    if (!this.over) await this.keep(picksOf(this.record, this.cards, null, this.knob));
  }

  /** Name of the judge that scored every picture; null where none did. */
  judgeName() {
    const there = this.cards.filter(({ state }) => state === "there");
    return this.isDone && there.length && there.every(({ found }) => found) ? there[0].found.name : null;
  }

  /** The judge clicks instead: all that it finds about as good as the best; after a wide look it looks further first. */
  async judgeChooses() {
    const name = this.judgeName();
    const there = this.cards.filter(({ state }) => state === "there");
    const best = there.reduce((winner, other) => (other.found.score > winner.found.score ? other : winner));
    if (this.wide) {
      this.wide = false;
      await (this.looked = this.add(further(best.cfg, this.cards.map(({ cfg }) => cfg), this.knob)));
      if (!this.over && this.judgeName()) await this.judgeChooses();
      return;
    }
    for (const card of there) card.liked = card.found.score >= best.found.score - ALIKE;
    this.changed();
    await this.keep(picksOf(this.record, this.cards, name, this.knob));
  }
}
