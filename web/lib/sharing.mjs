// @ts-check
/** What the page Advice shows as one picture for others: a sentence, the curve, the pictures, and which run it is. */
import { paint } from "./canvas.mjs";
import { line, rectangle, sheet, text } from "./commands.mjs";
import { curvePlot, curveStyle, leftOf, RIGHT } from "./curve-plot.mjs";
import { element } from "./panel-parts.mjs";
import { middleOf } from "./panel-pictures.mjs";
import { factsOf, fileName, SCALE, saveCanvas, TONES } from "./saving.mjs";
import { LIGHT } from "./theme.mjs";
import { cut, fillLines, wordsWidth } from "./words.mjs";

const [W, MARGIN, GAP, BAR] = [760, 24, 4, 14]; // pixels: of the sheet, at its edges, between pictures, beside the headline
const HIGHEST = 460; // pixels of a row of pictures
const BOLD = 1.08; // times as wide as other words
const [HEAD, SMALL, NAME, FOOT] = [{ size: 20, high: 27 }, { size: 13, high: 19 }, { size: 13, high: 20 }, { size: 11, high: 30 }];

/** Drawing commands, and where the rest goes: {commands, places: of the pictures of every value, curve: {x, y}}.
 *
 * headline, lines: words. tone: a colour. facts, hint: words about the run and the file. values: [{name, sizes: [[w, h], ...]}], one beside
 * another where there are more of them than pictures of each, or where a curve stands above, else one below another.
 * curve: {left, right, high}, pixels, whose columns the values have; null for none.
 * @param {{headline: string, lines: string[], tone: any, facts: string, hint: string, values: {name: string, sizes: number[][]}[], curve: any}} content
 */
export function layoutOf({ headline, lines, tone, facts, hint, values, curve }) {
  const { paper, ink, muted, hair } = LIGHT;
  const most = Math.max(1, ...values.map(({ sizes }) => sizes.length));
  const beside = Boolean(curve) || values.length >= most;
  const names = beside ? 0 : Math.max(...values.map(({ name }) => wordsWidth(name, NAME.size))) + 8;
  const [left, right] = curve ? [curve.left, curve.right] : [names, 0];
  const columns = beside ? values.length : most;
  const wide = (W - 2 * MARGIN - left - right) / Math.max(1, columns);
  const [w, h] = values.find(({ sizes }) => sizes.length)?.sizes[0] ?? [1, 0];
  const high = Math.min(HIGHEST, ((wide - GAP) * h) / w) + GAP;
  const marks = [];
  let y = MARGIN;
  /** @param {string[]} words @param {{size: any, high: any}} style @param {number} x @param {string} fill
   * @param {any} [more]
   */
  const put = (words, { size, high: step }, x, fill, more = {}) => {
    for (const phrase of words) marks.push(text(x, (y += step) - 0.3 * step, phrase, { size, fill, ...more }));
  };
  put(fillLines(headline, (W - 2 * MARGIN - BAR) / BOLD, HEAD.size), HEAD, MARGIN + BAR, ink, { weight: "bold", name: "headline" });
  marks.push(rectangle({ x: MARGIN, y: MARGIN + 4, w: 4, h: y - MARGIN - 4 }, tone));
  y += lines.length ? 4 : 0;
  put(lines.flatMap((phrase) => fillLines(phrase, W - 2 * MARGIN - BAR, SMALL.size)), SMALL, MARGIN + BAR, muted, { name: "line" });
  y += 12;
  const above = y;
  y += curve ? curve.high + GAP : 0;
  const named = !curve && beside && values.some(({ name }) => name);
  if (named) y += NAME.high;
  const places = values.map(({ name, sizes }, k) => {
    const [x, top] = [MARGIN + left + (beside ? k * wide : 0), y + (beside ? 0 : k * high)];
    const at = beside ? { x: x + wide / 2, y: top - 7, anchor: "middle" } : { x: MARGIN, y: top + high / 2 + 4, anchor: "start" };
    if (!curve && name) marks.push(text(at.x, at.y, cut(name, beside ? wide : names, NAME.size), { size: NAME.size, fill: ink, anchor: at.anchor, name: "name" }));
    return sizes.map((size, i) => middleOf({ size }, { x: x + (beside ? 0 : i * wide) + GAP / 2, y: top + (beside ? i * high : 0), w: wide - GAP, h: high - GAP }));
  });
  y += high * (beside ? most : values.length) * Number(values.length > 0) + 14;
  marks.push(line([[MARGIN, y], [W - MARGIN, y]], hair));
  const foot = { size: FOOT.size, fill: muted };
  marks.push(text(MARGIN, y + 18, cut(facts, W - 2 * MARGIN - wordsWidth(hint, FOOT.size) - BAR, FOOT.size), { ...foot, name: "run" }));
  marks.push(text(W - MARGIN, y + 18, hint, { ...foot, anchor: "end", name: "hint" }));
  return { commands: [sheet(W, Math.ceil(y + FOOT.high), paper, headline), ...marks], places, curve: { x: MARGIN, y: above } };
}

/** Save what is shown on the page as a PNG that opens the workflow of the run.  @param {InspectorPanel} panel */
export async function share(panel) {
  const { whole, t } = panel;
  const sources = panel.sources(); // of the run of now
  const { curve, columns, own, tone, ...words } = panel.shareable();
  const values = await Promise.all(words.values.map(async (/** @type {any} */ { name, shots }) => ({ name, shots: (await Promise.all(shots.map(loaded))).filter(Boolean) })));
  const wide = W - 2 * MARGIN;
  const plot = curve && (await loaded(imageOf(curvePlot(curve, own, t, wide, columns))));
  const edges = plot && { left: leftOf(curve.name, t), right: RIGHT, high: plot.height };
  const sizes = values.map(({ name, shots }) => ({ name, sizes: shots.map(sizeOf) }));
  const layout = layoutOf({ ...words, tone: TONES[tone] ?? LIGHT.u, facts: factsOf(whole, t), hint: t("shareHint"), values: sizes, curve: edges });
  const [{ w, h }] = layout.commands;
  const canvas = element("canvas", { width: SCALE * w, height: SCALE * h });
  const ctx = canvas.getContext("2d");
  paint(layout.commands, ctx, SCALE);
  if (plot) ctx.drawImage(plot, layout.curve.x, layout.curve.y, wide, plot.height);
  values.forEach(({ shots }, k) => shots.forEach((/** @type {any} */ shot, /** @type {number} */ i) => {
    const place = layout.places[k][i];
    ctx.imageSmoothingEnabled = place.w < 2 * sizeOf(shot)[0];
    ctx.imageSmoothingQuality = "high";
    ctx.drawImage(shot, place.x, place.y, place.w, place.h);
  }));
  await saveCanvas(canvas, sources, fileName(panel, "png"));
}

/** @returns {[number, number]}  @param {any} shot */
const sizeOf = (shot) => [shot.naturalWidth ?? shot.width, shot.naturalHeight ?? shot.height];

/** A picture once it has come, null where it does not; a canvas is there.  @param {any} picture */
async function loaded(picture) {
  await picture.decode?.().catch(() => null);
  return sizeOf(picture)[0] ? picture : null;
}

/** A plot with the colours of the sheet.  @param {string} svg */
function imageOf(svg) {
  const style = `${curveStyle(LIGHT.u, LIGHT.paper)} text { fill: ${LIGHT.ink}; font-family: ${LIGHT.font}; } .gg-curve-plot { color: ${LIGHT.ink}; }`;
  const whole = svg.replace(/<svg[^>]*>/, (tag) => `${tag}<style>${style}</style>`);
  return element("img", { src: `data:image/svg+xml;charset=utf-8,${encodeURIComponent(whole)}` });
}
