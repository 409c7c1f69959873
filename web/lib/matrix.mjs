// @ts-check
/** Cosines of the difference between all pairs of steps (D9), where the record has them. */
import { line, rectangle, text } from "./commands.mjs";
import { metric } from "./metrics.mjs";
import { setCaption } from "./plane.mjs";
import { nth, number } from "./words.mjs";

const MARGIN = 34; // of the step numbers
const BARS = 90; // room of the norms, at most

const SETTLED = 0.9; // cosine to every later difference from which on the direction counts as settled

/** The first step whose difference points where all later ones do, null where only the last one does.
 *
 * cosines: upper triangle over the steps, row by row; unknown ones are left out.
 * @param {number[]} steps @param {number[]} cosines
 */
export function settledFrom(steps, cosines) {
  const cosine = triangle(steps.length, cosines);
  /** @param {number} k */
  const agrees = (k) => steps.slice(k + 1).every((_, j) => !(cosine(k, k + 1 + j) < SETTLED));
  /** @param {number} k */
  const known = (k) => Number.isFinite(cosine(k, k));
  let first = steps.length - 1;
  while (first > 0 && agrees(first - 1)) first -= 1;
  while (first < steps.length && !known(first)) first += 1;
  return first < steps.length - 1 ? steps[first] : null;
}

/** (i, j) -> entry of a symmetric matrix of which the upper triangle is given.
 * @param {number} n @param {any} entries
 */
function triangle(n, entries) {
  return (/** @type {number} */ i, /** @type {number} */ j) => {
    const [low, high] = [Math.min(i, j), Math.max(i, j)];
    return entries[low * n - (low * (low - 1)) / 2 + high - low] ?? NaN;
  };
}

/** The figure, null where the record has no matrix for this sample.
 *
 * record.directions: {steps, error, subset, samples: [upper triangle of cosines, row by row, per sample of the subset]}.
 * @param {Page} page
 * @param {Run} record
 * @param {SampleRun} run
 */
export function matrix(page, record, run) {
  const { directions } = record ?? {};
  const place = directions?.subset ? directions.subset.indexOf(run.sample) : run.sample;
  const cosines = directions?.samples?.[place];
  if (!cosines) return null;
  const steps = directions.steps;
  const settled = settledFrom(steps, cosines);
  /** @type {Phrase} */
  const conclusion = settled === null ? "the direction never settles" : ["settled from step {i}: cos \u2265 {least} to all later", { i: nth(settled), least: SETTLED }];
  /** @type {Phrase} */
  const rounding = directions.error >= 5e-4 && ["\u00b1{error} at worst, from half precision", { error: number(directions.error, 1) }];
  const legend = ["blue \u22121, background 0, purple 1", "bars: size of the difference"];
  const area = setCaption(page, ["cosine of the differences of all pairs of steps", conclusion, ...run.facts, rounding, ...legend], 4);
  const cosine = triangle(steps.length, cosines);
  const side = Math.min(area.w - MARGIN, area.h - 20) / steps.length;
  const origin = { x: area.x + MARGIN, y: area.y + 2 };
  const { commands, theme } = page;
  steps.forEach((_, i) =>
    steps.forEach((__, j) => {
      const value = cosine(i, j);
      if (!Number.isFinite(value)) return;
      const box = { x: origin.x + j * side, y: origin.y + i * side, w: side, h: side };
      commands.push(rectangle(box, value < 0 ? theme.u : theme.delta, { alpha: Math.min(1, Math.abs(value)), name: "cell" }));
    }),
  );
  placeSteps(commands[0], steps, side, origin);
  ticks(page, steps, side, origin);
  chosenStep(page, steps.indexOf(run.chosen ?? NaN), steps.length * side, side, origin);
  norms(page, run, steps, side, { ...origin, x: origin.x + steps.length * side + 6 });
  return commands;
}

/** Frames around the row and the column of the chosen step; a step that was not captured has none.
 * @param {Page} page @param {number} k @param {any} whole @param {number} side @param {{x: number, y: number}} origin
 */
function chosenStep({ commands, theme }, k, whole, side, { x, y }) {
  if (k < 0) return;
  const middle = (k + 0.5) * side;
  const style = { alpha: 0.5, dash: [3, 3] };
  commands.push(line([[x + middle, y], [x + middle, y + whole]], theme.ink, 1, { ...style, name: "cursor" }));
  commands.push(line([[x, y + middle], [x + whole, y + middle]], theme.ink, 1, { ...style, name: "cursor-row" }));
}

/** Where the steps stand, on the sheet.
 * @param {any} sheet @param {number[]} steps @param {number} side @param {{x: number, y: number}} origin
 */
function placeSteps(sheet, steps, side, { x, y }) {
  /** @param {number} start */
  const along = (start) => steps.map((step, k) => [step, start + (k + 0.5) * side]);
  sheet.places = { top: y, bottom: y + steps.length * side, at: along(x), down: along(y) };
}

/** Bars of rms(delta) beside the rows: a cosine of a tiny difference means little.
 * @param {Page} page @param {SampleRun} run @param {number[]} steps @param {number} side @param {{x: number, y: number}} origin
 */
function norms({ commands, theme, w }, run, steps, side, { x, y }) {
  const sizes = steps.map((i) => metric("M2", run.rows.find((row) => row.i === i)?.gram ?? null));
  const most = Math.max(...sizes.filter(Number.isFinite));
  const room = Math.min(BARS, w - x - 4);
  if (!(most > 0) || room < 8) return;
  sizes.forEach((size, k) => {
    if (!Number.isFinite(size)) return;
    const box = { x, y: y + (k + 0.15) * side, w: (size / most) * room, h: 0.7 * side };
    commands.push(rectangle(box, theme.delta, { alpha: 0.45, name: "norm" }));
  });
}

/** @param {Page} page @param {number[]} steps @param {number} side @param {any} origin */
function ticks({ commands, theme }, steps, side, origin) {
  const every = Math.max(1, Math.ceil(26 / side));
  steps.forEach((step, k) => {
    if (k % every) return;
    const middle = (k + 0.5) * side;
    const style = { fill: theme.muted, name: "tick" };
    const foot = origin.y + steps.length * side + 14;
    commands.push(text(origin.x - 5, origin.y + middle + 4, String(nth(step)), { ...style, anchor: "end" }));
    commands.push(text(origin.x + middle, foot, String(nth(step)), { ...style, anchor: "middle" }));
  });
}
