// @ts-check
/** Axes of the curves over a run: noise levels to the right as they fall, step numbers below them, a value upwards. */
import { boxOf, line, marker, rectangle, text } from "./commands.mjs";
import { meets } from "./layout.mjs";
import { greatest, least, nth, number } from "./words.mjs";

const LEFT = 52; // room of the value axis
const LEAST = 110; // height of what has keys
export const FOOT = 34; // room of the level axis, two rows
const DENSE = 7; // markers closer than this on the average are left out

/** Steps that are there, in order.
 * @param {Run | null} record
 * @returns {Step[]}
 */
export const stepsOf = (record) => (record?.steps ?? []).filter(Boolean);

/** Where every step stands, 0 left to 1 right: by log signal-to-noise, or by number where levels are unknown.
 *
 * -> {at: i -> 0..1, byLevel}. alpha: 1, or 1 - sigma on flow. A level without signal or noise gets its neighbour's gap.
 * @param {Run} record
 */
export function positions(record) {
  const steps = stepsOf(record);
  const n = steps[0]?.n ?? steps.length;
  const levels = Array.from({ length: n }, (_, i) => levelOf(record, steps, i));
  if (!Number.isFinite(levels[0]) && n > 2) levels[0] = 2 * levels[1] - levels[2];
  const rising = n > 1 && levels.every((level, i) => Number.isFinite(level) && (i === 0 || level > levels[i - 1]));
  const span = levels[n - 1] - levels[0];
  /** @param {number} i */
  const byNumber = (i) => (n > 1 ? i / (n - 1) : 0.5);
  return { at: rising ? (/** @type {number} */ i) => (levels[i] - levels[0]) / span : byNumber, byLevel: rising, n };
}

/** @param {Run} record @param {Step[]} steps @param {number} i */
function levelOf(record, steps, i) {
  const step = steps[i]?.i === i ? steps[i] : steps.find((found) => found.i === i);
  const sigma = step?.sigma ?? record?.sigmas?.[i] ?? NaN;
  const flow = (step ?? steps[0])?.space === "flow";
  const alpha = step?.alpha ?? (flow ? 1 - sigma : 1);
  return sigma > 0 ? Math.log(alpha / sigma) : NaN;
}

/** A panel with its value axis. box: outer box; values: numbers it must hold; log: logarithmic, zeros get a row "0".
 *
 * -> {inner, x(i), y(value)}; y of what cannot be shown is NaN.
 * @param {Page} page
 * @param {Box} box
 * @param {any} where
 * @param {{values: number[], log?: boolean, low?: number, high?: number, reserve?: number}} scale
 */
export function panel(page, box, where, { values, log = false, low = 0, high, reserve = 0 }) {
  const pad = Math.min(18, box.w / 12);
  const inner = { x: box.x + LEFT, y: box.y + 8, w: box.w - LEFT - 6, h: box.h - 12 };
  /** @param {number} i */
  const x = (i) => inner.x + pad + where.at(i) * (inner.w - 2 * pad);
  const shown = values.filter(Number.isFinite);
  const scale = log ? logScale(shown, inner) : linearScale(low, high ?? greatest(shown, low), inner, reserve);
  const { commands, theme } = page;
  /** @type {Box[]} */ const taken = [];
  for (const tick of scale.ticks) {
    const y = scale.y(tick);
    commands.push(line([[inner.x, y], [inner.x + inner.w, y]], theme.hair, 0.6, { alpha: 0.6 }));
    const label = text(inner.x - 6, y + 4, scale.print(tick), { fill: theme.muted, anchor: "end", name: "tick" });
    if (taken.some((other) => meets(boxOf(label), other, 1))) continue;
    taken.push(boxOf(label));
    commands.push(label);
  }
  commands.push(line([[inner.x, inner.y], [inner.x, inner.y + inner.h]], theme.hair, 1));
  return { inner, x, y: scale.y, base: scale.base, gap: gapOf(x, where.n), spacing: (x(where.n - 1) - x(0)) / where.n || DENSE };
}

/** Least distance in pixels of two steps.  @param {(i: number) => number} x @param {number} n */
function gapOf(x, n) {
  const gap = least(Array.from({ length: Math.max(n - 1, 0) }, (_, i) => x(i + 1) - x(i)));
  return Number.isFinite(gap) ? gap : 60;
}

/** @param {number} low @param {number} high @param {Box} box @param {number} reserve */
function linearScale(low, high, { y, h }, reserve) {
  const top = high > low ? high : low + 1;
  const wanted = niceStep((top - low) / Math.max(2, Math.min(5, h / 36)));
  const step = wanted < top - low ? wanted : niceStep((top - low) / 5); // at least two ticks
  /** @param {number} value */
  const place = (value) => y + h - ((value - low) / (top - low)) * (h - reserve);
  return { y: place, ticks: multiples(step, low, top), print: (/** @type {number} */ value) => number(value), base: y + h };
}

/** @param {any[]} values @param {Box} box */
function logScale(values, { y, h }) {
  const positive = values.filter((value) => value > 0);
  const zeros = values.some((value) => value === 0) || !positive.length;
  const foot = zeros ? 18 : 0;
  const low = Math.log10(positive.length ? least(positive) : 0.1);
  const high = Math.max(Math.log10(positive.length ? greatest(positive) : 1), low + 0.3);
  const [bottom, top] = [low - 0.06 * (high - low), high + 0.06 * (high - low)];
  const base = y + h - foot;
  /** @param {number} value */
  const place = (value) => (value === 0 ? y + h - 4 : base - ((Math.log10(value) - bottom) / (top - bottom)) * (base - y));
  const every = Math.max(1, Math.ceil(((top - bottom) * 22) / Math.max(base - y, 1)));
  const factors = top - bottom < 2.2 && base - y > 70 ? [1, 2, 5] : [1];
  const ticks = zeros ? [0] : [];
  for (let power = Math.floor(bottom); power <= top; power++) {
    if (power % every) continue;
    for (const factor of factors) {
      const value = factor * 10 ** power;
      if (Math.log10(value) >= bottom && Math.log10(value) <= top) ticks.push(value);
    }
  }
  return { y: place, ticks, print: (/** @type {number} */ value) => number(value), base };
}

/** The least of 1, 2, 5 times a power of ten that is no smaller.  @param {number} smallest */
export function niceStep(smallest) {
  const power = 10 ** Math.floor(Math.log10(smallest));
  return power * ([1, 2, 5, 10].find((factor) => power * factor >= smallest * (1 - 1e-9)) ?? 10);
}

/** Multiples of a step within [low, high].  @param {number} step @param {number} low @param {number} high */
export function multiples(step, low, high) {
  const first = Math.ceil(low / step - 1e-9);
  const count = Math.floor(high / step + 1e-9) - first + 1;
  return Array.from({ length: count }, (_, k) => Number(((first + k) * step).toPrecision(12)));
}

/** Two rows below a panel: sigma, and step numbers; as many as fit.
 * @param {Page} page
 * @param {Run} record
 * @param {Plot} panelOf @param {number} top
 */
export function levelAxis(page, panelOf, record, top) {
  const { commands, theme } = page;
  const { inner, x } = panelOf;
  /** @type {[string, number, (step: Step) => string][]} */
  const rows = [["\u03c3", 12, (step) => number(step.sigma)], ["step", 27, (step) => String(nth(step.i))]];
  for (const [head, down] of rows) {
    commands.push(text(inner.x - 6, top + down, page.t(head), { fill: theme.muted, anchor: "end", name: "axis" }));
  }
  const steps = stepsOf(record);
  /** @type {Box[]} */ const taken = [];
  for (const step of new Set([...steps.slice(0, 1), ...steps.slice(-1), ...steps])) {
    const style = { fill: theme.muted, anchor: "middle", name: "axis-tick" };
    const labels = rows.map(([, down, print]) => text(x(step.i), top + down, print(step), style));
    const boxes = labels.map(boxOf);
    const outside = boxes.some((box) => box.x < inner.x - 2 || box.x + box.w > page.w - 2);
    if (outside || boxes.some((box) => taken.some((other) => crowds(box, other)))) continue;
    taken.push(...boxes);
    commands.push(...labels);
  }
}

/** Whether two labels of one row come too close.  @param {Box} box @param {any} other */
const crowds = (box, other) => Math.abs(box.y - other.y) < 4 && meets(box, other, 8);

/** A curve through steps; unknown values break it. points: [[x, y], ...].
 * @param {Page} page
 * @param {{spacing: number}} panelOf
 * @param {number[][]} points
 * @param {{colour: string, kind?: string, dash?: number[], width?: number, name?: string}} style
 */
export function curve(page, panelOf, points, { colour, kind, dash, width = 2, name }) {
  const { commands, theme } = page;
  /** @type {number[][]} */ let part = [];
  const finish = () => {
    if (part.length > 1) commands.push(line(part, colour, width, { dash, name }));
    part = [];
  };
  for (const point of points) {
    if (point.every(Number.isFinite)) part.push(point);
    else finish();
  }
  finish();
  const known = points.filter((point) => point.every(Number.isFinite));
  if (panelOf.spacing < DENSE && known.length > 1) return;
  for (const point of known) commands.push(marker(point, kind, colour, 6, theme.paper, { name: name && `${name}-mark` }));
}

/** Bars from the base line; bar: {i, value, wide} in pixels.
 * @param {Page} page @param {Plot} panelOf @param {any[]} values
 * @param {{colour: string, alpha?: number, name?: string}} style
 */
export function bars(page, panelOf, values, { colour, alpha = 1, name }) {
  const wide = Math.max(1, Math.min(14, 0.7 * panelOf.gap));
  for (const [i, value] of values) {
    const y = panelOf.y(value);
    if (!Number.isFinite(y)) continue;
    const box = { x: panelOf.x(i) - wide / 2, y: Math.min(y, panelOf.base), w: wide, h: Math.abs(panelOf.base - y) };
    page.commands.push(rectangle(box, colour, { alpha, name }));
  }
}

/** The chosen step: a hairline through all panels.
 * @param {Page} page @param {number} x @param {number} top @param {number} bottom
 */
export function cursor(page, x, top, bottom) {
  page.commands.push(line([[x, top], [x, bottom]], page.theme.ink, 1, { alpha: 0.5, dash: [3, 3], name: "cursor" }));
}

/** Keys of a panel in rows above it: [{colour, kind, dash, words}]; none in a low one. -> height used.
 * @param {Page} page
 * @param {Box} box
 * @param {{words: string, colour: string, kind?: string, dash?: number[], bar?: number}[]} items
 */
export function keys(page, box, items) {
  if (box.h < LEAST) return 6; // the curves come first
  const { commands, theme } = page;
  let [x, y] = [box.x, box.y + 12];
  for (const { colour, kind, dash, words, bar } of items) {
    const label = text(x + 30, y, page.t(words), { fill: theme.ink, name: "key" });
    const wide = boxOf(label).w + 30;
    if (x > box.x && x + wide > box.x + box.w) [x, y] = [box.x, y + 16];
    label.x = x + 30;
    label.y = y;
    if (bar) commands.push(rectangle({ x: x + 6, y: y - 9, w: 14, h: 10 }, colour, { alpha: bar }));
    else {
      commands.push(line([[x, y - 4], [x + 24, y - 4]], colour, 2, { dash }));
      commands.push(marker([x + 12, y - 4], kind, colour, 6, theme.paper));
    }
    commands.push(label);
    x += wide + 14;
  }
  return y - box.y + 6;
}
