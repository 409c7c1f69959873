// @ts-check
/** What the report of a run says, in one language: its sentences were made where the run was sampled. No DOM. */
import { halfValue, knobOf } from "./run-knobs.mjs";
import { greatest, least, nth, number, sentenceIn, span } from "./words.mjs";

/** @type {Record<string, string>} */
const SIGNS = { fine: "\u2713", above: "\u25b2", unclear: "?", off: "\u2013" };

const MOST_WHY = 3; // sentences
const UNMEASURED = /^head\.(unmeasured|strange|large)$/; // nothing is known of the model but this run
const ERRAND = /^help\.(use|half)/; // "queue the same seed and compare"

/** -> {colour, sign, headline, why, errand, reasons, findings: [sentence, ...], suggested} in a language; null without a report.
 *
 * why: for someone who knows only cfg. errand: the one of its sentences that is done once the pair of pictures is there.
 * reasons: the numbers behind it, without what `why` says.
 * @param {any} record
 */
export function verdictOf(record, locale = "en") {
  const { report } = record ?? {};
  if (!report?.headline) return null;
  /** @param {Sentence} sentence */
  const told = (sentence) => sentenceIn(locale, sentence);
  const { colour, suggested } = report;
  const plain = report.why.slice(0, MOST_WHY);
  const [why, errand] = [plain.map(told), plain.find((/** @type {{id: string}} */ { id }) => ERRAND.test(id))];
  const reasons = report.reasons.map(told).filter((/** @type {string} */ words) => !why.includes(words));
  const findings = report.findings.map(told);
  return { colour, sign: SIGNS[colour], headline: told(report.headline), why, errand: errand ? told(errand) : null, reasons, findings, suggested };
}

/** The same as far as a run that goes on has come: how strong guidance is; null where it does not go on.
 *
 * range: chosen values by the report on the run before it, null where there is none. t: `speaker`.
 * @param {any} run @param {any} range @param {Speaker} t
 */
export function verdictSoFar(run, range, t) {
  if (!run?.live || run.fault || !run.steps.length) return null;
  const scales = run.steps.map((/** @type {{gamma: number}} */ { gamma }) => gamma).filter(Number.isFinite);
  const facts = { i: nth(run.steps.at(-1).i), n: run.n, scale: span(number(least(scales)), number(greatest(scales)), t) };
  const why = range ? [t("rangeBefore", { range: span(number(range[0]), number(range[1]), t) })] : [];
  return { colour: "unclear", sign: "\u2026", headline: t(scales.length ? "soFar" : "justBegun", facts), why, errand: null, reasons: [], findings: [], suggested: null };
}

/** The scale to see beside a run's own: the suggested one, or half of it where only "too strong" or nothing is known; null for none.
 * @param {any} report
 */
export function scaleToSee(report) {
  const { suggested = null, colour, headline } = report ?? {};
  if (suggested !== null) return suggested;
  return colour === "above" || UNMEASURED.test(headline?.id ?? "") ? halfValue(knobOf({ report, cfg: report.cfg })) : null;
}
