// @ts-check
/** What a panel shows as a file that stands alone: above it which run that was, and what is said of it. */
import { paint } from "./canvas.mjs";
import { sheet, text } from "./commands.mjs";
import { mixImage } from "./mix.mjs";
import { middleOf } from "./panel-pictures.mjs";
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
const SCALE = 2; // pixels of a PNG per pixel
const [MARGIN, LINE, GAP] = [16, 20, 12];
const HIGHEST = 400; // of a picture on the page Advice
const TONES = { fine: LIGHT.c, above: LIGHT.noise };

/** Which run it is and what is said of it: drawing commands, on a sheet as high as they need.
 *
 * title: what is below. t: `speaker` of the locale.
 */
export function headOf(run, title, locale, t, w = FIGURE.w) {
  const { paper, ink, muted } = LIGHT;
  const knob = knobOf(run);
  const guided = Number.isFinite(knob?.value) && `${knob.name} ${number(knob.value)}`;
  const steps = Number.isFinite(run.n) && t("{n} {n:step|steps}", { n: run.n });
  const facts = [run.model?.name, guided, [run.sampler, run.scheduler].filter(Boolean).join(" "), steps, run.seed != null && `seed ${run.seed}`];
  const found = verdictOf(run, locale);
  const lines = found ? fillLines(`${found.sign} ${found.headline}`, w - 2 * MARGIN, 15) : [];
  const room = w - 2 * MARGIN - wordsWidth(title, 15) - 2 * GAP;
  return [
    sheet(w, MARGIN + LINE * (1 + lines.length) + GAP / 2, paper, [title, ...lines].join(". ")),
    text(MARGIN, MARGIN + 13, title, { size: 15, fill: ink, weight: "bold", name: "title" }),
    text(w - MARGIN, MARGIN + 13, cut(facts.filter(Boolean).join(" \u00b7 "), room, 12), { size: 12, fill: muted, anchor: "end", name: "run" }),
    ...lines.map((words, k) => text(MARGIN, MARGIN + 13 + LINE * (k + 1), words, { size: 15, fill: TONES[found?.colour] ?? muted, name: "verdict" })),
  ];
}

/** The page Advice: pictures side by side as high as fit, their names, and the reasons below.
 *
 * frames: [{name, size: [w, h]}] -> {commands, boxes: where the pictures go}
 */
export function adviceOf(frames, reasons, w = FIGURE.w) {
  const { paper, ink } = LIGHT;
  const wide = (w - 2 * MARGIN - GAP * (frames.length - 1)) / Math.max(1, frames.length);
  const high = Math.min(HIGHEST, ...frames.map(({ size }) => (wide * size[1]) / size[0]));
  const boxes = frames.map(({ size }, k) => middleOf({ size }, { x: MARGIN + k * (wide + GAP), y: GAP, w: wide, h: high }));
  const foot = frames.length ? GAP + high + LINE : 0;
  const lines = reasons.flatMap((words) => fillLines(words, w - 2 * MARGIN, 13));
  const names = frames.map(({ name }, k) => text(boxes[k].x + boxes[k].w / 2, foot - 4, cut(name, wide, 13), { size: 13, fill: ink, anchor: "middle", name: "name" }));
  const words = lines.map((line, k) => text(MARGIN, foot + GAP + 13 + LINE * k, line, { size: 13, fill: ink, name: "reason" }));
  return { commands: [sheet(w, foot + LINE * lines.length + 2 * GAP, paper), ...names, ...words], boxes };
}

/** One drawing below another, as SVG. */
function stacked(head, body, h) {
  const [{ w, h: high, fill, label }, ...marks] = head;
  const whole = toSVG([sheet(w, high + h, fill, label), ...marks]);
  return whole.replace(/<\/svg>$/, `${body.replace("<svg ", `<svg y="${high}" `)}</svg>`);
}

/** What a figure shows, once all of its pictures are there: on a narrow panel some were not asked for. */
async function figureState(panel) {
  const state = { ...panel.state(), ...FIGURE };
  drawView(element("canvas"), panel.view, state, 1);
  await Promise.all(panel.coming);
  return state;
}

const titleOf = (panel) => panel.t(viewOf(panel.view).title ?? panel.view);

/** The name of a file. */
export const fileName = (panel, ending) =>
  panel.page === "advice" ? `guidance-advice.${ending}` : `guidance-${panel.view}-step-${nth(panel.at)}.${ending}`;

export async function saveSVG(panel) {
  const { figure } = viewOf(panel.view);
  const { run, whole } = panel;
  if (!figure || !run) return;
  const [name, title] = [fileName(panel, "svg"), titleOf(panel)];
  const commands = figure(run, await figureState(panel));
  const [{ picture }] = commands;
  if (picture) commands.push(await mixImage(picture));
  const drawn = stacked(headOf(whole, title, panel.editor.locale(), panel.t), toSVG(commands, { title }), FIGURE.h);
  download(new Blob([svgWithSources(drawn, await panel.sources())], { type: "image/svg+xml" }), name);
}

export async function savePNG(panel) {
  const { page, view, whole } = panel;
  const name = fileName(panel, "png");
  const body = element("canvas");
  if (page === "advice") drawAdvice(body, panel);
  else drawView(body, view, await figureState(panel), SCALE);
  const head = headOf(whole, page === "advice" ? panel.t("advice") : titleOf(panel), panel.editor.locale(), panel.t);
  const top = Math.round(SCALE * head[0].h);
  const canvas = element("canvas", { width: body.width, height: top + body.height });
  const ctx = canvas.getContext("2d");
  ctx.drawImage(body, 0, top);
  paint(head, ctx, SCALE);
  const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
  const bytes = pngWithSources(new Uint8Array(await blob.arrayBuffer()), await panel.sources());
  download(new Blob([bytes], { type: "image/png" }), name);
}

/** The frames of the page that are in view, and the reasons. */
function drawAdvice(canvas, { content, whole, editor }) {
  const shown = [...content.querySelectorAll(".gg-frame")].filter((frame) => frame.checkVisibility() && shotsIn(frame).length);
  const frames = shown.map((frame) => ({ name: frame.querySelector(".gg-name").textContent, shots: shotsIn(frame), ...gridOf(frame) }));
  const { why = [], errand = null } = verdictOf(whole, editor.locale()) ?? {};
  const { commands, boxes } = adviceOf(frames, why.filter((line) => frames.length < 2 || line !== errand)); // then it is done
  const [{ w, h }] = commands;
  Object.assign(canvas, { width: SCALE * w, height: Math.round(SCALE * h) });
  const ctx = canvas.getContext("2d");
  paint(commands, ctx, SCALE);
  frames.forEach(({ shots, columns }, k) => {
    const [across, down] = [boxes[k].w / columns, boxes[k].h / Math.ceil(shots.length / columns)];
    shots.forEach((shot, n) => {
      const size = sizeOf(shot);
      const cell = { x: boxes[k].x + (n % columns) * across, y: boxes[k].y + Math.floor(n / columns) * down, w: across, h: down };
      const place = middleOf({ size }, cell);
      ctx.imageSmoothingEnabled = place.w < 2 * size[0];
      ctx.drawImage(shot, place.x, place.y, place.w, place.h);
    });
  });
}

/** @returns {[number, number]} */
const sizeOf = (shot) => [shot.naturalWidth ?? shot.width, shot.naturalHeight ?? shot.height];

/** Pictures of a frame that have come. */
const shotsIn = (frame) => [...frame.querySelectorAll(".gg-shots > *")].filter((shot) => sizeOf(shot)[0] > 0);

/** How the pictures of a frame stand in it.
 * @returns {{columns: number, size: [number, number]}}
 */
function gridOf(frame) {
  const columns = Number(frame.querySelector(".gg-shots").style.getPropertyValue("--gg-columns")) || 1;
  const shots = shotsIn(frame);
  const [w, h] = sizeOf(shots[0]);
  return { columns, size: [columns * w, Math.ceil(shots.length / columns) * h] };
}
