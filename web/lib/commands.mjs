// @ts-check
/** Drawing commands: plain objects in painting order, pixels, y downwards. Two back ends paint them: canvas and SVG.
 *
 * sheet {w, h, fill, label, places}   line {points, stroke, width, dash, alpha}   polygon {points, fill, stroke, width, alpha}
 * marker {x, y, kind, stroke, fill, size}   text {x, y, runs, size, fill, halo, anchor, weight}
 * image {x, y, w, h, address, sharp}: in files alone, a canvas has it from the place that its sheet names (mix.mjs)
 * Any of them may carry a name, which becomes its data-name in an SVG. A run of text is {t, italic, sub}.
 * places of a sheet, of figures over a run: where the steps stand (panel-linking.mjs reads it, nothing paints it).
 */
import { counted, runsWidth } from "./words.mjs";

const HEAD = 9; // length of an arrow head; heads are not data
export const SHORT = 8; // an arrow shorter than this is a dot

/** The paper; always the first command. label: one sentence that says what the figure shows.
 * @returns {Command}
 * @param {number} w @param {number} h @param {string} fill
 */
export const sheet = (w, h, fill, label = "") => ({ op: "sheet", w, h, fill, label });

/** @returns {Command}  @param {number[][]} points @param {string} stroke @param {Record<string, any>} [more] */
export const line = (points, stroke, width = 1, more = {}) => ({ op: "line", points, stroke, width, ...more });

/** @returns {Command}  @param {number[][]} points @param {string} fill @param {Record<string, any>} [more] */
export const polygon = (points, fill, more = {}) => ({ op: "polygon", points, fill, ...more });

/** An upright rectangle {x, y, w, h}.
 * @param {Box} box
 * @returns {Command}
 * @param {string} fill @param {Record<string, any>} [more]
 */
export const rectangle = ({ x, y, w, h }, fill, more = {}) =>
  polygon([[x, y], [x + w, y], [x + w, y + h], [x, y + h]], fill, more);

/** A point's marker; circles and diamonds are hollow.
 * @param {number[]} at
 * @returns {Command}
 * @param {any} kind @param {string} stroke @param {number} size @param {?string} paper
 * @param {Record<string, any>} [more]
 */
export function marker([x, y], kind, stroke, size, paper, more = {}) {
  const hollow = kind === "circle" || kind === "diamond";
  return { op: "marker", x, y, kind, stroke, fill: hollow ? (paper ?? "none") : stroke, size, ...more };
}

/** Words at a baseline. words: a string, or runs of {t, italic, sub}.
 * @returns {Command}
 * @param {number} x @param {number} y @param {string | TextRun[]} words @param {Record<string, any>} [more]
 */
export function text(x, y, words, more = {}) {
  const runs = typeof words === "string" ? [{ t: words }] : words;
  return { op: "text", x, y, runs, size: 11, anchor: "start", ...more };
}

/** A symbol whose first letter may wear a hat, drawn as two strokes: combining hats are missing in common fonts.
 * @returns {Command[]}
 * @param {number} x @param {number} y @param {TextRun[]} runs @param {Record<string, any>} [more]
 */
export function symbol(x, y, runs, more = {}) {
  const words = text(x, y, runs, more);
  if (!runs[0].hat) return [words];
  const { size, fill } = words;
  const hat = [[x + 0.2 * size, y - 0.62 * size], [x + 0.36 * size, y - 0.8 * size], [x + 0.5 * size, y - 0.62 * size]];
  return [words, line(hat, fill, Math.max(1, size / 13), { part: "hat" })];
}

/** An arrow whose head ends exactly at the tip; shorter than 8 px it is a dot.
 * @returns {Command[]}
 * @param {number[]} tail @param {number[]} tip @param {string} stroke @param {number} width
 * @param {Record<string, any>} [more]
 */
export function arrow(tail, tip, stroke, width, more = {}) {
  const [dx, dy] = [tip[0] - tail[0], tip[1] - tail[1]];
  const length = Math.hypot(dx, dy);
  if (!(length >= SHORT)) return [marker(tip, "disc", stroke, 5, null, { name: more.name })];
  const [ux, uy] = [dx / length, dy / length];
  /** @param {number} d @param {number} side */
  const along = (d, side) => [tip[0] - d * ux - side * uy, tip[1] - d * uy + side * ux];
  const half = 3 + width / 2;
  const neck = along(0.8 * HEAD, 0);
  return [
    line([tail, neck], stroke, width, more),
    polygon([tip, along(HEAD, half), neck, along(HEAD, -half)], stroke, { alpha: more.alpha }),
  ];
}

/** The box that a text fills, from tabulated letter widths of a wide font: real fonts stay inside.
 * @param {any} text
 * @returns {Box}
 */
export function boxOf({ x, y, runs, size, anchor }) {
  const w = runsWidth(runs, size);
  const left = x - (anchor === "end" ? w : anchor === "middle" ? w / 2 : 0);
  const down = runs.some((/** @type {TextRun} */ run) => run.sub) ? 0.36 : 0.24;
  return { x: left, y: y - 0.84 * size, w, h: (0.84 + down) * size };
}

/** The commands that can be painted; a mark with a non-finite number is left out, and a note says so.
 * @param {Command[]} commands
 */
export function paintable(commands) {
  const kept = commands.filter(isFinite);
  const lost = commands.length - kept.length;
  if (!lost) return kept;
  const { h } = commands[0];
  const words = `${counted(lost, "mark")} left out: a value is not finite`;
  return [...kept, text(6, h - 6, words, { fill: "#888888", name: "left-out" })];
}

const NUMBERS = ["x", "y", "w", "h", "width", "size", "alpha"];

/** @param {unknown} value */
const isKnown = (value) => value === undefined || value === null || Number.isFinite(value);

/** @param {Command} command */
function isFinite(command) {
  for (const name of NUMBERS) if (!isKnown(command[name])) return false;
  for (const [x, y] of command.points ?? []) if (!isKnown(x) || !isKnown(y)) return false;
  return !command.dash || command.dash.every(isKnown);
}
