// @ts-check
/** What the pointer is over: a step in a drawing over the run, or a named mark of the plane. No DOM. */
import { sampleOf, stepOf } from "./gram.mjs";
import { metric, NAMES } from "./metrics.mjs";
import { stepUnder } from "./panel-linking.mjs";
import { lengthOf } from "./panel-record.mjs";
import { viewOf } from "./views.mjs";
import { least, nth, number } from "./words.mjs";

const REACH = 14; // pixels
/** @type {Record<string, string>} */
const VECTOR = { delta: "delta", step: "move", noise: "noise", u: "u" };
/** @type {Record<string, string>} */
const MEANING = { delta: "difference that the prompt makes", step: "length of the step", noise: "noise that is added", u: "prediction without the prompt" };

/** -> {words, step}, or null where nothing is near; words "" where the line above the figure says all.
 *
 * marks: what the view drew. about: {view, run, step, sample, t}.
 * @param {any[]} marks @param {any} place @param {any} about
 */
export function hint(marks, place, about) {
  const step = stepUnder(marks, place);
  if (step !== null) return { step, words: aboutStep(step, about) };
  let best = null;
  for (const mark of marks ?? []) {
    if (!(mark.name?.replace("lens-", "") in VECTOR)) continue;
    const away = distance(mark, place.x, place.y);
    if (away <= REACH && away < (best?.away ?? Infinity)) best = { mark, away };
  }
  return best && { step: null, words: aboutVector(about, best.mark.name.replace("lens-", "")) };
}

/** @param {any} mark @param {number} x @param {number} y */
function distance(mark, x, y) {
  if (mark.points) return least(mark.points.slice(1).map((/** @type {number[]} */ b, /** @type {number} */ k) => fromSegment(mark.points[k], b, x, y)));
  return Math.hypot((mark.x ?? Infinity) - x, (mark.y ?? Infinity) - y);
}

/** Distance of a point from a segment.  @param {number[]} start @param {number[]} end @param {number} x @param {number} y */
function fromSegment([ax, ay], [bx, by], x, y) {
  const size = (bx - ax) ** 2 + (by - ay) ** 2;
  const share = size ? Math.max(0, Math.min(1, ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / size)) : 0;
  return Math.hypot(ax + share * (bx - ax) - x, ay + share * (by - ay) - y);
}

/** @param {number} i @param {{view: string, run: any, sample: number, t: Speaker}} about */
function aboutStep(i, { view, run, sample, t }) {
  const step = stepOf(run, i);
  if (!step) return t("hole", { i: nth(i) });
  const tells = viewOf(view)?.tells;
  if (!tells) return "";
  const place = t("at", { i: nth(i), sigma: number(step.sigma), next: number(step.sigma_next), gamma: number(step.gamma) });
  const values = tells.map((id) => `${t(NAMES[id][0])} ${number(metric(id, sampleOf(step, sample)))}`);
  return [place, ...values].join("\n");
}

/** @param {any} about @param {string} name */
function aboutVector({ run, step, sample, t }, name) {
  return `${t(MEANING[name])}: ${number(lengthOf(stepOf(run, step), sample, VECTOR[name]))} rms`;
}
