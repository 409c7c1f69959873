/** What the pointer is over: a step in a figure over the run, or a named mark of the plane. No DOM. */
import { sampleOf, stepOf } from "./gram.mjs";
import { metric, NAMES } from "./metrics.mjs";
import { lengthOf } from "./panel-record.mjs";
import { number } from "./words.mjs";

const REACH = 14; // pixels
const VECTOR = { delta: "delta", step: "move", noise: "noise", u: "u" };

/** -> {words, step}, or null where nothing is near. marks: drawing commands, or boxes {x, y, w, h, step}. */
export function hint(marks, { x, y }, { run, step, sample, t }) {
  const box = (marks ?? []).find((mark) => !mark.op && inside(mark, x, y));
  if (box) return { step: box.step, words: aboutStep(run, box.step, t) };
  let best = null;
  for (const mark of marks ?? []) {
    if (!known(mark)) continue;
    const away = distance(mark, x, y);
    if (away <= REACH && away < (best?.away ?? Infinity)) best = { mark, away };
  }
  if (!best) return null;
  const { mark } = best;
  if (mark.tip) return { words: mark.tip, step: mark.step };
  if (Number.isInteger(mark.step)) return { words: aboutStep(run, mark.step, t), step: mark.step };
  return { words: aboutVector(run, mark.name.replace("lens-", ""), step, sample) };
}

const ALONG = { direction: ["M2", "M13"], matters: ["M1", "M2"], lengths: ["M7", "M8"] }; // views over the run: what to tell
const MOST_PLACES = 60;

/** Where the steps stand in a figure over the run: [{step, x}], from the cursor that the figure draws for each. */
export function stepPlaces(view, run, draw) {
  if (!(view in ALONG)) return [];
  const every = Math.ceil(run.steps.length / MOST_PLACES);
  return run.steps.filter((_, k) => k % every === 0).flatMap(({ i }) => {
    const cursor = draw(i).find((mark) => mark.name === "cursor");
    return cursor ? [{ step: i, x: cursor.points[0][0] }] : [];
  });
}

/** -> {words, step} of the step nearest to x. */
export function hintAlong(view, places, x, { run, sample, t }) {
  if (!places.length) return null;
  const nearest = places.reduce((best, place) => (Math.abs(place.x - x) < Math.abs(best.x - x) ? place : best));
  if (Math.abs(nearest.x - x) > 3 * REACH) return null;
  const step = stepOf(run, nearest.step);
  const values = ALONG[view].map((id) => `${NAMES[id][0]} ${number(metric(id, sampleOf(step, sample), step, run))}`);
  return { step: nearest.step, words: [aboutStep(run, nearest.step, t), ...values].join("\n") };
}

const known = (mark) => mark.tip || Number.isInteger(mark.step) || mark.name?.replace("lens-", "") in VECTOR;

const inside = (box, x, y) => x >= box.x && x <= box.x + box.w && y >= box.y && y <= box.y + box.h;

function distance(mark, x, y) {
  if (mark.points) return Math.min(...mark.points.slice(1).map((b, k) => fromSegment(mark.points[k], b, x, y)));
  return Math.hypot((mark.x ?? Infinity) - x, (mark.y ?? Infinity) - y);
}

function fromSegment([ax, ay], [bx, by], x, y) {
  const size = (bx - ax) ** 2 + (by - ay) ** 2;
  const share = size ? Math.max(0, Math.min(1, ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / size)) : 0;
  return Math.hypot(ax + share * (bx - ax) - x, ay + share * (by - ay) - y);
}

function aboutStep(run, i, t) {
  const step = stepOf(run, i);
  if (!step) return t("hole", { i });
  return t("at", { i, sigma: number(step.sigma), next: number(step.sigma_next), gamma: number(step.gamma) });
}

function aboutVector(run, name, i, sample) {
  return `${name}: ${number(lengthOf(stepOf(run, i), sample, VECTOR[name]))} rms`;
}
