// @ts-check
/** What another scale does to this step (D5): same predictions, exact for the prediction and, with kappa, the state. */
import { curve, keys, panel } from "./axes.mjs";
import { line, marker, text } from "./commands.mjs";
import { length, rms } from "./gram.mjs";
import { setCaption, drawPlane, nothing, pageOf, RULED } from "./plane.mjs";
import { factsOf, sceneOf } from "./scene.mjs";
import { still } from "./still.mjs";
import { greatest, nth, number, wordsWidth } from "./words.mjs";

const SIDE = 600; // from this width on the curves stand beside the plane
const TALL = 260; // narrower and lower than this there is no room for curves
const SAMPLES = 24;
const LINE = 14; // height of words below the picture
/** @type {Record<string, string>} */
const MEANING = { M1: "strength", M3: "size / data", M3c: "size / c" };

/** Metrics that another scale changes, as Python finds those of the run's own: trace/metrics.py.
 * @type {Record<string, (gram: Gram, gamma: number, about: {alpha: number, sigma_data: any}) => number>}
 */
const AT_SCALE = {
  M1: (gram, gamma, { alpha }) => (alpha * length(gram, { delta: gamma, "D-G": 1 })) / length(gram, { u: alpha - 1, a: 1 }),
  M3: (gram, gamma, { sigma_data: data }) => rms(gram, { u: 1, delta: gamma, "D-G": 1 }) / data,
  M3c: (gram, gamma) => length(gram, { u: 1, delta: gamma, "D-G": 1 }) / length(gram, { u: 1, delta: 1 }),
};

/** A metric of a scene at a scale.
 * @param {string} name @param {any} scene @param {Run} record @param {number} gamma
 */
export const metricAt = (name, { gram, alpha }, record, gamma) => AT_SCALE[name](gram, gamma, { alpha, sigma_data: record.sigma_data });

/** The largest scale the slider offers: twice the run's largest, at least 2.  @param {Run} record */
export function gammaRange(record) {
  const scales = (record?.steps ?? []).map((step) => step?.gamma ?? NaN).filter(Number.isFinite);
  return Math.max(2, 2 * greatest(scales, 0));
}

/** D5: figure(record, {w, h, theme, step, sample, gamma, mix}) -> commands. gamma: the other scale.
 *
 * mix(step): both predictions as colours (mix.mjs), null where they are not known. The sheet says where their mix belongs.
 * @type {Figure}
 */
export function figure(record, options) {
  const scene = sceneOf(record, options);
  const page = pageOf(options, "What another scale does to this step");
  if (scene.missing) return nothing(page, scene);
  const most = Math.max(gammaRange(record), scene.shown);
  const area = setCaption(page, wordsOf(scene, record));
  const beside = area.w >= SIDE;
  const side = beside
    ? { x: area.x + 0.68 * area.w, y: area.y + 16, w: 0.32 * area.w, h: area.h - 44 }
    : { x: area.x, y: area.y + area.h - 82, w: area.w, h: 66 };
  const curves = beside || area.h >= TALL;
  const left = beside ? { ...area, w: 0.66 * area.w } : { ...area, h: area.h - (curves ? 100 : 0) };
  const view = viewOf(scene, most);
  ownScale(page, drawPlane(page, view, left), view);
  const pair = (curves && options.mix?.(scene.i)) || null;
  if (curves) metricCurves(page, record, scene, pair ? besidePicture(page, scene, side, pair) : side, most);
  return page.commands;
}

/** Room for the picture of the prediction: above the curves, or left of them where they lie low; the rest is returned.
 * @param {Page} page @param {any} scene @param {Box} side @param {any} pair
 */
function besidePicture({ commands, theme, t }, scene, side, pair) {
  const upright = side.h > side.w;
  const size = upright ? Math.min(side.w, 0.55 * side.h) : Math.min(side.h, 0.4 * side.w);
  const words = t(`x\u0302\u2080 at \u03b3\u2032 {shown}${pair.i === scene.i ? "" : ", step {i}"}`, { shown: number(scene.shown), i: nth(pair.i) });
  const box = { x: side.x, y: side.y, w: size, h: size - LINE };
  commands[0].picture = { ...box, pair, gamma: scene.shown };
  commands.push(text(box.x + size / 2, box.y + size - 2, words, { fill: theme.ink, anchor: "middle", name: "picture" }));
  if (upright) return { ...side, y: side.y + size + LINE, h: side.h - size - LINE };
  return { ...side, x: side.x + size + LINE, w: side.w - size - LINE };
}

/** The facts of the plane for the other scale, and how far it can be trusted.
 * @param {Scene} scene @param {Run} record
 */
function wordsOf(scene, record) {
  const { shown, points, other } = scene;
  const size = [`${MEANING[shell(record)]} {value}`, { value: number(metricAt(shell(record), scene, record, shown)) }];
  const state = points.moved ? "x\u2032 is exact" : "x\u2032 is the run\u2019s own: where another cfg leads is unknown";
  const rules = other > RULED * Math.hypot(...points.G) ? "rules act as in the run" : "";
  return ["this step only", ...factsOf(scene, record, ["\u03b3\u2032 {shown} (run {gamma})", { shown: number(shown), gamma: number(scene.gamma) }], metricAt("M1", scene, record, shown)), size, state, rules];
}

/** Length of the prediction: against clean data where their rms is known, else against c.  @param {Run} record */
const shell = (record) => ((record?.sigma_data ?? 0) > 0 ? "M3" : "M3c");

/** The plane with the other scale's arrow; the fan is held up to the largest scale, so that nothing jumps.
 * @param {Scene} scene @param {number} most
 */
function viewOf(scene, most) {
  const { points, shown, gamma } = scene;
  const [u, c] = [points.u, points.c];
  /** @param {number} scale */
  const at = (scale) => [0, 1].map((k) => u[k] + scale * (c[k] - u[k]));
  const moved = { ...points, G: at(shown) };
  const extra = [at(most), at(Math.min(0, shown))];
  const tip = points.moved ?? points.tip;
  const words = { scaleName: shown === gamma ? "\u03b3" : "\u03b3\u2032", nextWords: scene.noise > 0 ? "before noise" : "" };
  const reach = at(most); // a dotted line to where the slider ends
  const drawn = { points: moved, predictions: ["u", "c", "G"], tip, noise: 0, extra, reach };
  return { scene, ...drawn, ...words, shownGamma: shown, own: at(gamma) };
}

/** Where the run itself went: a pale diamond on the way of gamma times delta.
 * @param {Page} page @param {any} drawn @param {any} view
 */
function ownScale(page, { near, lens, area, scene }, { own, shownGamma }) {
  if (scene.same || shownGamma === scene.gamma) return;
  const { commands, placer, theme, t } = page;
  const at = near.at(own);
  commands.push(marker(at, "diamond", theme.muted, 8, theme.paper, { name: "own" }));
  const words = t("run \u03b3 {gamma}", { gamma: number(scene.gamma) });
  const size = [wordsWidth(words, 11), 13];
  const box = placer.near(at, size, "e w se sw", lens?.frame ?? area);
  if (box) commands.push(text(box.x, box.y + 10, words, { fill: theme.muted, halo: theme.paper, name: "own-label" }));
}

/** M1 and the length of the prediction against the other scale: what a slider would do, at a glance.
 * @param {Page} page @param {Run} record @param {Scene} scene @param {Box} box @param {number} most
 */
function metricCurves(page, record, scene, box, most) {
  const { theme, commands } = page;
  /** @type {[string, string, any, string][]} */
  const series = [["M1", theme.delta, null, "diamond"], [shell(record), theme.ink, [5, 3], "disc"]];
  const low = Math.min(0, scene.shown);
  const scales = Array.from({ length: SAMPLES + 1 }, (_, k) => low + (k / SAMPLES) * (most - low));
  /** @param {string} name @param {number} gamma */
  const value = (name, gamma) => metricAt(name, scene, record, gamma);
  const found = still(scene.gram.K, "curves", [low, most, record?.sigma_data], () => // dragging leaves them as they are
    series.map(([name]) => scales.map((gamma) => value(name, gamma))));
  const where = { at: (/** @type {number} */ gamma) => (gamma - low) / (most - low), n: 2 };
  const items = series.map(([name, colour, dash, kind]) => ({ words: MEANING[name], colour, dash, kind }));
  const used = keys(page, { ...box, y: box.y - 4 }, items) - 4;
  const plot = panel(page, { ...box, y: box.y + used, h: box.h - used }, where, { values: found.flat(), reserve: 4 });
  rule(page, plot, scene.gamma, theme.muted, [2, 3]);
  rule(page, plot, scene.shown, theme.ink, null);
  for (const [row, [name, colour, dash, kind]] of series.entries()) {
    const points = scales.map((gamma, k) => [plot.x(gamma), plot.y(found[row][k])]);
    curve(page, { spacing: 0 }, points, { colour, kind, dash, name });
    const here = [plot.x(scene.shown), plot.y(value(name, scene.shown))];
    if (here.every(Number.isFinite)) commands.push(marker(here, kind, colour, 7, theme.paper, { name: `${name}-here` }));
  }
  const foot = plot.inner.y + plot.inner.h + 14;
  const style = { fill: theme.muted, anchor: "middle", name: "tick" };
  for (const gamma of [low, most]) commands.push(text(plot.x(gamma), foot, number(gamma), style));
  commands.push(text(plot.x((low + most) / 2), foot, "\u03b3\u2032", style));
}

/** @param {Page} page @param {Plot} plot @param {number} gamma @param {string} colour @param {any} dash */
function rule({ commands }, { x, inner }, gamma, colour, dash) {
  commands.push(line([[x(gamma), inner.y], [x(gamma), inner.y + inner.h]], colour, 1, { dash, name: "scale" }));
}
