// @ts-check
/** The plots of a study's page, as SVG text: measures along an axis. No DOM. */
import { multiples, niceStep } from "./axes.mjs";
import { counted, greatest, least } from "./words.mjs";

const [W, H, PAD] = [380, 220, { left: 52, right: 12, top: 12, bottom: 30 }];
export const SERIES = 8; // colours
export const SHAPES = ["circle", "square", "triangle", "diamond"];

/** A value for people: percent where the unit says so.  @param {number} value @param {string} unit */
export function valueWords(value, unit) {
  if (value == null || !Number.isFinite(value)) return "\u2013";
  if (unit === "percent") return minus(`${(100 * value).toFixed(Math.abs(value) < 0.1 ? 2 : 1)} %`);
  return minus(`${Number(value.toPrecision(4))}${unit === "seconds" ? " s" : ""}`);
}

/** @param {string} words */
const minus = (words) => words.replace(/^-/, "\u2212"); // as wide as a digit

/** A round number beside a plot: as few digits as tell it from the next.  @param {number} mark @param {string} unit */
export const ticked = (mark, unit) => (unit === "percent" ? minus(`${Number((100 * mark).toPrecision(4))} %`) : valueWords(mark, unit));

/** Round numbers within [low, high], three to five or so.  @param {number} low @param {number} high */
export function ticks(low, high) {
  const span = high - low || Math.abs(high) || 1;
  return multiples(niceStep(span / 5), low, low + span);
}

/** Where values from low to high stand upwards, and the round ones to mark, which it holds too.
 * @param {number} low @param {number} high @param {number} foot @param {number} top
 */
export function linear(low, high, foot, top, marks = ticks(low, high)) {
  const [bottom, above] = [least(marks, low), greatest(marks, high)];
  return { log: false, marks, at: (/** @type {any} */ value) => foot - ((value - bottom) / (above - bottom || 1)) * (foot - top) };
}

/** Where values of an axis lie, 0 .. 1: numbers by their size, words evenly.  @param {any[]} values */
export function positions(values) {
  const numbers = values.every((value) => typeof value === "number");
  const [low, high] = [Math.min(...values), Math.max(...values)];
  if (numbers && high > low) return values.map((value) => (value - low) / (high - low));
  return values.map((_, i) => (values.length > 1 ? i / (values.length - 1) : 0.5));
}

/** A line across a plot with its value.
 * @param {number} y @param {number} left @param {number} right @param {string} words
 */
export const level = (y, left, right, words) => `<path class="axis" d="M${left} ${f(y)}H${right}"/>`
  + `<text x="${left - 6}" y="${f(y + 4)}" text-anchor="end">${escapeText(words)}</text>`;

/** Values below a plot, those that find room.  @param {any[]} values @param {number[]} xs @param {number} y */
export function footWords(values, xs, y) {
  const parts = [];
  let free = -Infinity; // where the next word may begin
  for (const [i, value] of values.entries()) {
    const half = String(value).length * 3.3;
    if (xs[i] - half < free) continue;
    free = xs[i] + half + 4;
    parts.push(`<text x="${f(xs[i])}" y="${f(y)}" text-anchor="middle">${escapeText(String(value).slice(0, 24))}</text>`);
  }
  return parts;
}

/** One plot as SVG text. curve: of the study; unit: of its measure.  @param {StudyCurve} curve @param {string} unit */
export function plot(curve, unit) {
  const points = curve.series.flatMap((series) => series.points).filter((p) => p.mean != null);
  if (!points.length) return "";
  const values = curve.series[0].points.map((p) => p.x);
  const [right, foot] = [W - PAD.right, H - PAD.bottom];
  const inset = 14; // the first and the last value stand off the frame
  const xs = positions(values).map((at) => PAD.left + inset + at * (right - PAD.left - 2 * inset));
  const { marks, at: y } = linear(least(points.map((/** @type {any} */ p) => p.low ?? p.mean)), greatest(points.map((/** @type {any} */ p) => p.high ?? p.mean)), foot, PAD.top);
  const parts = [...marks.map((mark) => level(y(mark), PAD.left, right, ticked(mark, unit))), ...footWords(values, xs, foot + 18)];
  for (const [k, one] of curve.series.entries()) {
    const aside = 3 * (k - (curve.series.length - 1) / 2); // series stand beside each other
    /** @type {[number, any][]} */
    const shown = one.points.flatMap((p, i) => (p.mean == null ? [] : [[xs[i] + aside, p]]));
    const colour = `var(--s${k % SERIES})`;
    parts.push(`<path d="M${shown.map(([x, p]) => `${f(x)} ${f(y(p.mean))}`).join("L")}" fill="none" stroke="${colour}" stroke-width="2"/>`);
    for (const [x, p] of shown) {
      if (p.low != null) parts.push(`<path d="M${f(x)} ${f(y(p.low))}V${f(y(p.high))}" stroke="${colour}" stroke-width="1.5"/>`);
      parts.push(`<g fill="${colour}">${shape(SHAPES[k % SHAPES.length], x, y(p.mean))}<title>${escapeText(pointWords(curve, one, p, unit))}</title></g>`);
    }
  }
  return `<svg viewBox="0 0 ${W} ${H}" role="img" aria-label="${escapeText(plotWords(curve, unit))}">${parts.join("")}</svg>`;
}

/** @param {number} value */
export const f = (value) => Number(value.toFixed(1));
/** @param {string} text */
export const escapeText = (text) => String(text).replace(/[&<>"]/g, (letter) => `&#${letter.charCodeAt(0)};`);

/** A mark of its own kind around a point.  @param {string} kind @param {number} x @param {number} y */
export function shape(kind, x, y) {
  const r = 4.5;
  if (kind === "circle") return `<circle cx="${f(x)}" cy="${f(y)}" r="${r}"/>`;
  if (kind === "square") return `<rect x="${f(x - r)}" y="${f(y - r)}" width="${2 * r}" height="${2 * r}"/>`;
  if (kind === "triangle") return `<path d="M${f(x)} ${f(y - r - 1)}l${r + 1} ${2 * r}h${-2 * r - 2}z"/>`;
  return `<path d="M${f(x)} ${f(y - r - 1)}l${r + 1} ${r + 1}l${-r - 1} ${r + 1}l${-r - 1} ${-r - 1}z"/>`;
}

/** A point in words.  @param {StudyCurve} curve @param {any} series @param {any} point @param {string} unit */
export function pointWords(curve, series, point, unit) {
  const where = [`${curve.axis} ${point.x}`, curve.split && `${curve.split} ${series.name}`].filter(Boolean).join(", ");
  const range = point.low == null ? "" : ` (${valueWords(point.low, unit)} to ${valueWords(point.high, unit)})`;
  return `${where}: ${valueWords(point.mean, unit)}${range}, ${counted(point.n, "cell")}`;
}

/** @param {StudyCurve} curve @param {string} unit */
const plotWords = (curve, unit) => curve.series.flatMap((series) => series.points.map((p) => pointWords(curve, series, p, unit))).join("; ");
