// @ts-check
/** The marks of legends, drawn with the pens of the figures: draw(theme) -> commands. A row is [draw, words]. No DOM. */
import { arrow, line, marker, rectangle, sheet } from "./commands.mjs";
import { toSVG } from "./svg.mjs";
import { colourOf, PENS } from "./theme.mjs";

const [W, H] = [44, 16];
const MIDDLE = H / 2;

/** @type {(role: string) => (theme: Theme) => Command[]} */
export const ray = (role) => (theme) => {
  const { width, dash, marker: kind, size } = PENS[role];
  const colour = colourOf(theme, role);
  const end = [W - 8, MIDDLE];
  return [line([[2, MIDDLE], end], colour, width, { dash }), marker(end, kind, colour, size, theme.paper)];
};
/** @type {(role: string) => (theme: Theme) => Command[]} */
export const dot = (role) => (theme) => {
  const { marker: kind, size } = PENS[role];
  return [marker([W / 2, MIDDLE], kind, colourOf(theme, role), size, theme.paper)];
};
/** @type {(role: string) => (theme: Theme) => Command[]} */
export const vector = (role) => (theme) => arrow([2, MIDDLE], [W - 4, MIDDLE], colourOf(theme, role), PENS[role].width);
/** @type {(role: string, dash: any, kind?: string) => (theme: Theme) => Command[]} */
export const dashed = (role, dash, kind) => (theme) => {
  const colour = colourOf(theme, role);
  const stroke = line([[2, MIDDLE], [W - 2, MIDDLE]], colour, 1.8, { dash });
  return kind ? [stroke, marker([W / 2, MIDDLE], kind, colour, 6, theme.paper)] : [stroke];
};
/** @type {(role: string, alpha: number) => (theme: Theme) => Command[]} */
export const bar = (role, alpha) => (theme) => [rectangle({ x: W / 2 - 7, y: 1, w: 14, h: H - 2 }, colourOf(theme, role), { alpha })];
/** @param {Theme} theme */
const upright = (theme) => [line([[W / 2, 0], [W / 2, H]], theme.ink, 1, { alpha: 0.5, dash: [3, 3] })];
/** @param {Theme} theme */
export const scaled = (theme) => [line([[2, MIDDLE], [W - 4, MIDDLE]], theme.delta, 6, { alpha: 0.25 }), ...vector("scaled")(theme)];
/** @param {Theme} theme */
export const pale = (theme) => [marker([W / 2, MIDDLE], "diamond", theme.muted, 8, theme.paper)];

/** @type {View["marks"][0]} */
export const NOISE = [dashed("noise", PENS.noise.dash), "\u03b5, noise that the sampler adds. It points out of this plane; where the line is cut, the number beside it is its length"];
/** @type {View["marks"][0]} */
export const CURSOR = [upright, "the step that is shown"];
/** @type {View["marks"]} */
export const PREDICTIONS = [
  [dot("x"), "x_t, the noisy picture before the step"],
  [ray("u"), "x\u0302\u2080: the clean picture as predicted without the prompt"],
  [ray("c"), "x\u0302\u2080|y: the same with the prompt"],
  [ray("G"), "x\u0302\u2080+\u03b3\u03b4: the guided prediction, where the sampler aims"],
  [vector("delta"), "\u03b4, what the prompt adds"],
  [scaled, "\u03b3\u03b4, the same times the scale, starting at x\u0302\u2080"],
  [vector("step"), "the step that the sampler takes"],
  [dot("next"), "x_t\u22121, the picture after it"],
];

/** A mark as an SVG string.  @param {any} draw @param {Theme} theme */
export const swatch = (draw, theme) => toSVG([sheet(W, H, "none"), ...draw(theme)]);
