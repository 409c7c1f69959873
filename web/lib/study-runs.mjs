// @ts-check
/** Runs of a study over each other: a metric of every step of every cell, in one plot. No DOM. */
import { defaultSample, sampleOf } from "./gram.mjs";
import { metric, NAMES } from "./metrics.mjs";
import { escapeText, f, footWords, level, linear, SERIES, shape, SHAPES, ticks, valueWords } from "./study-plot.mjs";
import { counted, greatest, least, nth } from "./words.mjs";

const [H, PAD] = [340, { left: 58, right: 16, top: 14, bottom: 44 }];
const ZERO = 18; // pixels of the row of zeros below a logarithmic scale
const WIDE_SPAN = 60; // largest over smallest value, from which on a plot is logarithmic
/** @type {Record<string, string>} */
const WAYS = { step: "Step", level: "Noise level \u03c3" };
const SHARES = ["M10", "M10c"];

/** Metrics that some step of some run has, as [name, title].  @param {Record<string, Run>} runs */
export function metricsOf(runs) {
  /** @param {string} name */
  const found = (name) => Object.values(runs).some((run) => run.steps.some((step) => Number.isFinite(valueOf(run, step, name))));
  return Object.keys(NAMES).filter(found).map((name) => [name, titleOf(name)]);
}

/** @param {string} name */
const titleOf = (name) => `${NAMES[name][0][0].toUpperCase()}${NAMES[name][0].slice(1)} (${name})`;
/** @param {Run} run @param {Step} step @param {string} name */
const valueOf = (run, step, name) => metric(name, sampleOf(step, defaultSample(run)));

/** A run as points {x, y}, in the order of its steps; y is NaN where nothing was measured. along: "step" or "level".
 * @param {Run} run @param {string} name @param {string} along
 */
export function pointsOf(run, name, along) {
  const x = along === "level" ? (/** @type {Step} */ step) => Math.log(step.sigma) : (/** @type {Step} */ step) => nth(step.i);
  return run.steps.map((step) => ({ x: x(step), y: valueOf(run, step, name) })).filter((p) => Number.isFinite(p.x));
}

/** Colour of the k-th of n values: a ramp of numbers, a palette of words.  @param {any[]} values @param {number} k */
export function hue(values, k) {
  const ramp = values.length > 1 && values.every((value) => typeof value === "number");
  if (!ramp) return `var(--s${k % SERIES})`;
  return `color-mix(in oklch, var(--s3) ${Math.round((100 * k) / (values.length - 1))}%, var(--s0))`;
}

/** The plot as SVG text, empty where no step has the metric. rows: of the cells; axis: whose values have a colour each; w: its width.
 * @param {Record<string, Run>} runs @param {Cell[]} rows
 * @param {{name: string, along: string, axis?: Axis, words: (row: Cell) => string, w: number}} drawing
 */
export function plotRuns(runs, rows, { name, along, axis, words, w }) {
  const lines = rows.filter((row) => runs[row.id]).map((row) => ({ row, points: pointsOf(runs[row.id], name, along) }));
  const all = lines.flatMap((line) => line.points).filter((p) => Number.isFinite(p.y));
  if (!all.length) return "";
  const [right, foot] = [w - PAD.right, H - PAD.bottom];
  const up = scaleOf(all.map((p) => p.y), foot, PAD.top);
  const across = acrossOf(all.map((p) => p.x), right, along);
  const unit = SHARES.includes(name) ? "percent" : "number";
  const frame = [...up.marks.map((mark) => level(up.at(mark), PAD.left, right, valueWords(mark, unit))),
    ...footWords(across.marks.map(([value]) => value), across.marks.map(([, x]) => x), foot + 18),
    `<text x="${(PAD.left + right) / 2}" y="${H - 6}" text-anchor="middle">${WAYS[along]}</text>`];
  const drawn = lines.map(({ row, points }) => {
    const k = axis ? axis.values.indexOf(row.place[axis.name]) : 0;
    const parts = pieces(points).map((piece) => piece.map((p) => `${f(across.at(p.x))} ${f(up.at(p.y))}`));
    const path = parts.map((piece) => `M${piece.join("L")}`).join("");
    if (!path) return "";
    const [x, y] = parts[parts.length - 1].slice(-1)[0].split(" ").map(Number);
    return `<g class="line" data-id="${escapeText(row.id)}" style="--hue: ${hue(axis?.values ?? [], k)}"><path class="near" d="${path}"/><path class="seen" d="${path}"/>`
      + `${shape(SHAPES[k % SHAPES.length], x, y)}<title>${escapeText(words(row))}</title></g>`;
  });
  const said = `${titleOf(name)} over the run, ${counted(lines.length, "cell")}${up.log ? ", logarithmic" : ""}`;
  return `<svg viewBox="0 0 ${w} ${H}" role="img" aria-label="${escapeText(said)}">${frame.join("")}${drawn.join("")}</svg>`;
}

/** A run without its gaps: pieces whose points all have a value.  @param {{x: number, y: number}[]} points */
function pieces(points) {
  /** @type {{x: number, y: number}[][]} */
  const found = [];
  /** @type {?{x: number, y: number}[]} */ let last = null; // the piece that goes on
  for (const p of points) {
    if (!Number.isFinite(p.y)) last = null;
    else if (last) last.push(p);
    else found.push((last = [p]));
  }
  return found;
}

/** Where values stand upwards, and round ones to mark; logarithmic where none is negative and they are far apart.
 * @param {any[]} values @param {number} foot @param {number} top
 */
export function scaleOf(values, foot, top) {
  const positive = values.filter((value) => value > 0);
  const log = least(values) >= 0 && greatest(positive) / least(positive) > WIDE_SPAN;
  if (!log) return linear(least(values), greatest(values), foot, top);
  const zeros = positive.length < values.length;
  const marks = decades(least(positive), greatest(positive));
  const { at } = linear(Math.log(marks[0]), Math.log(marks[marks.length - 1]), foot - (zeros ? ZERO : 0), top, []);
  return { log, marks: zeros ? [0, ...marks] : marks, at: (/** @type {number} */ value) => (value > 0 ? at(Math.log(value)) : foot) };
}

/** Powers of ten from the one below to the one above, every second or third of them where there are many.
 * @param {number} low @param {number} high
 */
function decades(low, high) {
  const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  const stride = Math.ceil((last - first) / 6);
  const count = Math.ceil((last - first) / stride);
  return Array.from({ length: count + 1 }, (_, i) => Number(`1e${first + i * stride}`));
}

/** Where steps or noise levels stand, noise falling to the right, and what is written below them: [words, x].
 * @param {any[]} values @param {number} right @param {string} along
 */
function acrossOf(values, right, along) {
  const [low, high] = [least(values), greatest(values)];
  /** @param {number} value */
  const share = (value) => (high > low ? (value - low) / (high - low) : 0.5);
  const turned = along === "level" ? (/** @type {number} */ value) => 1 - share(value) : share;
  /** @param {number} value */
  const at = (value) => PAD.left + 14 + turned(value) * (right - PAD.left - 28);
  if (along === "level") return { at, marks: decades(Math.exp(low), Math.exp(high)).filter((s) => s >= Math.exp(low) && s <= Math.exp(high)).map((s) => [s, at(Math.log(s))]) };
  const whole = [...new Set([low, ...ticks(low, high).map(Math.round)])].filter((i) => i >= low && i <= high);
  return { at, marks: whole.map((i) => [i, at(i)]) };
}

/** The words of a key: {words, hue, mark} for each value of an axis.  @param {Axis} axis */
export const keyOf = (axis) => axis.values.map((value, k) => ({ words: `${axis.name} ${value}`, hue: hue(axis.values, k), mark: shape(SHAPES[k % SHAPES.length], 7, 7) }));
