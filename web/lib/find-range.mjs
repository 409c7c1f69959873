// @ts-check
/** Find my range: one picture at several scales, and which of them a person finds good. No DOM. */
import { Tries } from "./tries.mjs";

const CLOSE = 1.4; // from one scale to the next: one good one gives a range of high / low 1.4, two give 2
const FAR = 2; // where nothing is known of the model
const MORE = 2; // scales that are queued about a good one
const NEAR = 1.1; // times the own scale: that one is tried instead
const SMALL = 1e-3; // a scale of nothing
const PLAIN = "CFG";
const ALIKE = Math.log(1.25); // below the best mean log-probability: as good to a judge
const LONGEST = 200; // characters of a name

/** Scales to try first: five close ones about the middle of what is known, else three wide apart about the run's own.
 *
 * None turns guidance off below 1. The run's own is always among them, in place of the nearest.
 */
export function ladder(record, own) {
  const known = Boolean(record.report?.range);
  const [step, places] = known ? [CLOSE, [-2, -1, 0, 1, 2]] : [FAR, [-1, 0, 1, 2]];
  const centre = centreOf(record, own);
  const scales = [...new Set(places.map((k) => roundScale(Math.max(1, step ** k * centre))))].slice(0, known ? 5 : 3);
  const away = scales.map((cfg) => Math.abs(Math.log(cfg / Math.max(own, SMALL))));
  scales[away.indexOf(Math.min(...away))] = own;
  return scales;
}

/** Scales to try next: beyond a good one that is the last on its side, else close about it; of those not tried yet. */
export function further(cfg, tried) {
  const side = cfg === Math.min(...tried) ? 1 / FAR : cfg === Math.max(...tried) ? FAR : null;
  const beyond = side ? [cfg * side, cfg * side ** 2] : [];
  const found = [];
  for (const one of [...beyond, cfg / CLOSE, cfg * CLOSE].map((scale) => roundScale(Math.max(1, scale)))) {
    if (![...tried, ...found].some((other) => Math.max(one, other) / Math.min(one, other) < NEAR)) found.push(one);
  }
  return found.slice(0, MORE);
}

/** Where to look first: in the middle of what is known of the model, else at the run's own scale. */
export function centreOf({ report }, own) {
  const [low, high] = report?.range ?? [own, own];
  return Math.sqrt(low * high) || own;
}

/** As widgets show it. */
export const roundScale = (cfg) => Number(cfg.toFixed(1));

/** The judged cards as the server takes them.  by: the judge that chose, null for the user
 * @param {any} record
 * @param {any[]} cards
 * @param {?string} by
 */
export function picksOf(record, cards, by = null) {
  const { report, chain, model } = record;
  const judged = cards.filter(({ state }) => state === "there");
  const picks = judged.map(({ cfg, good, liked }) => ({ cfg, good: Boolean(by ? liked : good), ...(by && { by: by.slice(0, LONGEST) }), sampler_class: report.sampler_class, chain: report.plain ? PLAIN : chain && chain !== PLAIN ? chain : "rules" }));
  return { format: "guidance-geometry/picks", version: 1, model: { name: String(model.name ?? model.file ?? "?").slice(0, 200), key: model.key }, picks };
}

/** What is stored of a run's model with its kind of sampler: {low, high, middle, chosen, judges, yours}, null where nothing is good.
 *
 * judges: names of those who chose. yours: the user did, too.
 */
export function rangeOf(stored, { report }) {
  const kind = report?.sampler_class;
  const range = stored?.ranges?.[kind];
  if (!range) return null;
  const own = stored.picks.filter((pick) => pick.sampler_class === kind && (pick.chain ?? PLAIN) === PLAIN && pick.good);
  const judges = [...new Set(own.map(({ by }) => by).filter(Boolean))].sort();
  return { judges, yours: own.some(({ by }) => !by), low: range[0], high: range[1], middle: roundScale(Math.sqrt(range[0] * range[1])), chosen: own.map(({ cfg }) => cfg).sort((a, b) => a - b) };
}

export class FindRange extends Tries {
  kind = "range";
  /** @type {?Promise<any>} */ looked = null;

  /** keep(picks): the server takes them. */
  constructor(editor, about, changed, keep) {
    super(editor, about, (own) => ladder(about.record, own), changed);
    this.keep = keep;
    this.wide = !about.record.report?.range;
  }

  arrange(cards) {
    return cards.sort((one, other) => one.cfg - other.cfg);
  }

  /** A person changes her mind about a card; at once on the server, so that nothing has to be confirmed.
   *
   * About the first that she likes after a wide look, two more are queued.
   */
  judge(card) {
    card.good = !card.good;
    this.changed();
    const kept = this.keep(picksOf(this.record, this.cards));
    if (card.good && this.wide) {
      this.wide = false;
      this.looked = this.lookFurther(card.cfg);
    }
    return kept;
  }

  /** What was shown and not chosen is stored too: the range ends before it. */
  async lookFurther(cfg) {
    await this.add(further(cfg, this.cards.map((card) => card.cfg)));
    if (!this.over) await this.keep(picksOf(this.record, this.cards));
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
    const best = there.reduce((one, other) => (other.found.score > one.found.score ? other : one));
    if (this.wide) {
      this.wide = false;
      await (this.looked = this.add(further(best.cfg, this.cards.map(({ cfg }) => cfg))));
      if (!this.over && this.judgeName()) await this.judgeChooses();
      return;
    }
    for (const card of there) card.liked = card.found.score >= best.found.score - ALIKE;
    this.changed();
    await this.keep(picksOf(this.record, this.cards, name));
  }
}
