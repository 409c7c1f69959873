// @ts-check
/** What a panel shows as a file that stands alone: above it which run that was, and what is said of it. */
import { paint } from "./canvas.mjs";
import { sheet, text } from "./commands.mjs";
import { mixImage } from "./mix.mjs";
import { pngWithSources, svgWithSources } from "./panel-files.mjs";
import { download, element } from "./panel-parts.mjs";
import { drawView } from "./panel-view.mjs";
import { knobOf } from "./run-knobs.mjs";
import { toSVG } from "./svg.mjs";
import { LIGHT } from "./theme.mjs";
import { verdictOf } from "./verdict.mjs";
import { viewOf } from "./views.mjs";
import { cut, fillLines, nth, number, wordsWidth } from "./words.mjs";

const FIGURE = { w: 960, h: 540, theme: LIGHT, captioned: true };
export const SCALE = 2; // pixels of a PNG per pixel
const [MARGIN, LINE, GAP] = [16, 20, 12];
/** @type {Record<string, string>} */
export const TONES = { fine: LIGHT.c, above: LIGHT.noise };

/** Which run it is, in words.  t: `speaker`  @param {any} run @param {Speaker} t */
export function factsOf(run, t) {
  const knob = knobOf(run);
  const guided = Number.isFinite(knob?.value) && `${knob.name} ${number(knob.value)}`;
  const steps = Number.isFinite(run.n) && t("{n} {n:step|steps}", { n: run.n });
  return [run.model?.name, guided, [run.sampler, run.scheduler].filter(Boolean).join(" "), steps, run.seed != null && `seed ${run.seed}`].filter(Boolean).join(" \u00b7 ");
}

/** The same and what is said of it: drawing commands, on a sheet as high as they need.
 *
 * title: what is below. t: `speaker` of the locale.
 * @param {?Run} run @param {string} title @param {string} locale @param {Speaker} t
 */
export function headOf(run, title, locale, t, w = FIGURE.w) {
  const { paper, ink, muted } = LIGHT;
  const found = verdictOf(run, locale);
  const lines = found ? fillLines(`${found.sign} ${found.headline}`, w - 2 * MARGIN, 15) : [];
  const room = w - 2 * MARGIN - wordsWidth(title, 15) - 2 * GAP;
  return [
    sheet(w, MARGIN + LINE * (1 + lines.length) + GAP / 2, paper, [title, ...lines].join(". ")),
    text(MARGIN, MARGIN + 13, title, { size: 15, fill: ink, weight: "bold", name: "title" }),
    text(w - MARGIN, MARGIN + 13, cut(factsOf(run, t), room, 12), { size: 12, fill: muted, anchor: "end", name: "run" }),
    ...lines.map((words, k) => text(MARGIN, MARGIN + 13 + LINE * (k + 1), words, { size: 15, fill: TONES[found?.colour] ?? muted, name: "verdict" })),
  ];
}

/** One drawing below another, as SVG.  @param {any[]} head @param {string} body @param {number} h */
function stacked(head, body, h) {
  const [{ w, h: high, fill, label }, ...marks] = head;
  const whole = toSVG([sheet(w, high + h, fill, label), ...marks]);
  return whole.replace(/<\/svg>$/, `${body.replace("<svg ", `<svg y="${high}" `)}</svg>`);
}

/** What a figure shows, once all of its pictures are there: on a narrow panel some were not asked for.
 * @param {InspectorPanel} panel
 */
async function figureState(panel) {
  const state = { ...panel.drawn(), ...FIGURE };
  drawView(element("canvas"), panel.choices.view, state, 1);
  await Promise.all(state.sheets.coming);
  return state;
}

/** @param {InspectorPanel} panel */
const titleOf = (panel) => panel.t(viewOf(panel.choices.view).title ?? panel.choices.view);

/** The name of a file.  @param {InspectorPanel} panel @param {string} ending */
export const fileName = (panel, ending) =>
  panel.choices.page === "advice" ? `guidance-advice.${ending}` : `guidance-${panel.choices.view}-step-${nth(panel.state.at)}.${ending}`;

/** @param {InspectorPanel} panel */
export async function saveSVG(panel) {
  const { figure } = viewOf(panel.choices.view);
  const { run, whole } = panel;
  if (!figure || !run) return;
  const [name, title] = [fileName(panel, "svg"), titleOf(panel)];
  const commands = figure(run, await figureState(panel));
  const [{ picture }] = commands;
  if (picture) commands.push(await mixImage(picture));
  const drawn = stacked(headOf(whole, title, panel.editor.locale(), panel.t), toSVG(commands, { title }), FIGURE.h);
  download(new Blob([svgWithSources(drawn, await panel.sources())], { type: "image/svg+xml" }), name);
}

/** @param {InspectorPanel} panel */
export async function savePNG(panel) {
  const { whole, choices: { view } } = panel;
  const [name, title, sources, body] = [fileName(panel, "png"), titleOf(panel), panel.sources(), element("canvas")];
  drawView(body, view, await figureState(panel), SCALE);
  const head = headOf(whole, title, panel.editor.locale(), panel.t);
  const top = Math.round(SCALE * head[0].h);
  const canvas = element("canvas", { width: body.width, height: top + body.height });
  const ctx = canvas.getContext("2d");
  ctx.drawImage(body, 0, top);
  paint(head, ctx, SCALE);
  await saveCanvas(canvas, sources, name);
}

/** Save a canvas as a PNG that opens a workflow.  sources: a promise of it, as `pngWithSources` takes it
 * @param {any} canvas @param {object} sources @param {string} name
 */
export async function saveCanvas(canvas, sources, name) {
  const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
  const bytes = pngWithSources(new Uint8Array(await blob.arrayBuffer()), await sources);
  download(new Blob([bytes], { type: "image/png" }), name);
}
