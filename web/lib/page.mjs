// @ts-check
/** The script of an exported page: the editor's panel without an editor, with words around it for those who see only this. */
import { sampleOf, stepOf } from "./gram.mjs";
import { swatch } from "./legend.mjs";
import { metric } from "./metrics.mjs";
import { openPanel, panelOf } from "./page-panel.mjs";
import { download, element } from "./panel-parts.mjs";
import { rowOf } from "./panel-pictures.mjs";
import { answers } from "./reading.mjs";
import { DARK, LIGHT } from "./theme.mjs";
import { viewOf } from "./views.mjs";
import { counted, fillIn, nth, number } from "./words.mjs";

const SMALL = 64; // pixels of a picture below which its pixels are shown as squares

/** Fill a page. place(id): its element; data: {record, sheets: {name: data URI}, sources: {workflow, prompt}}.
 * @param {any} place @param {any} data
 */
export function mount(place, { record, sheets, sources }) {
  const panel = panelOf(record, sheets, async () => ({ workflow: sources.workflow, output: sources.prompt }));
  const results = resultsOf(panel, record, sheets);
  place("results").replaceChildren(...results);
  place("kept").textContent = keptWords(record);
  place("panel").replaceChildren(panel.host);
  place("facts").replaceChildren(...factsOf(record));
  place("reopen").hidden = !(sources.workflow ?? sources.prompt);
  files(place, { record, sources });
  let [legend, read] = ["", -1]; // what is shown: of no view, of no sample
  panel.afterDraw = () => {
    const { choices: { view }, state: { sample } } = panel;
    const theme = panel.content.dataset.theme;
    place("caption").textContent = captionOf(record, panel.state.at, sample);
    if (legend !== view + theme) place("legend").replaceChildren(...legendOf(view, theme));
    if (read !== sample) place("answers").replaceChildren(...answers(record, sample).map(cardOf));
    [legend, read] = [view + theme, sample];
    results.forEach((/** @type {any} */ button) => button.setAttribute("aria-pressed", String(Number(button.dataset.sample) === sample)));
  };
  openPanel(panel, record);
  printLight(panel);
  return panel;
}

/** What stands under the figure: where the numbers come from, and those of the step that is shown.
 * @param {Run} record
 * @param {number} i @param {number} sample
 */
export function captionOf(record, i, sample) {
  const step = stepOf(record, i);
  const gram = sampleOf(step, sample);
  /** @param {string} name */
  const value = (name) => number(metric(name, gram));
  const levels = step && `\u03c3 ${number(step.sigma)} \u2192 ${number(step.sigma_next)} \u00b7 \u03b3 ${number(step.gamma)}`;
  const found = step?.stage === "cond_only" ? ["no prediction without the prompt"]
    : [`strength ${value("M1")}`, `residual out of the plane ${value("M11")}`,
      step?.stage === "afterwards" && "prediction without the prompt made after the run"];
  const from = [record.model?.name ?? "unnamed model", record.sampler ?? "unknown sampler", record.scheduler];
  const words = [...from, `step ${nth(i)} of ${record.n}`, levels ?? "not recorded", ...found, sampleWords(record, sample), `N ${record.N}`];
  return `Measured, not drawn by hand: ${words.filter(Boolean).join(" \u00b7 ")}.`;
}

/** @param {Run} record  @param {number} sample */
function sampleWords({ labels, batch, sample: median }, sample) {
  const label = labels?.[sample] ? `, \u201c${labels[sample]}\u201d,` : "";
  return `sample ${sample}${label} of ${batch} (from 0)${sample === median ? ", the median one" : ""}`;
}

/** The last guided picture of every sample; a press chooses the sample.
 * @param {InspectorPanel} panel @param {Run} record @param {any} sheets
 */
function resultsOf(panel, record, sheets) {
  const { pictures } = record;
  const last = pictures?.steps?.at(-1);
  if (!last) return [];
  return pictures.samples.map((/** @type {number} */ sample) => {
    const words = record.labels?.[sample] ?? `sample ${sample}`;
    const tile = tileOf(pictures, sheets[last.filename], sample);
    const name = element("span", {}, words);
    const button = element("button", { type: "button", "data-sample": sample, title: `Show sample ${sample}` }, tile, name);
    button.addEventListener("click", () => panel.set({ sample }));
    return button;
  });
}

/** One picture of a sheet: the whole sheet behind a window. A background would not be printed.
 * @param {Pictures} pictures @param {Sheet} sheet @param {number} sample
 */
function tileOf({ kinds, samples, size: [w, h] }, sheet, sample) {
  const image = element("img", { src: sheet, alt: "" });
  const tile = element("span", { class: "tile" }, image);
  tile.style.aspectRatio = `${w} / ${h}`;
  Object.assign(image.style, {
    width: `${100 * kinds.length}%`,
    height: `${100 * samples.length}%`,
    left: `${-100 * kinds.indexOf("guided")}%`,
    top: `${-100 * rowOf({ samples }, sample)}%`,
    imageRendering: Math.max(w, h) < SMALL ? "pixelated" : "auto",
  });
  return tile;
}

/** Which samples have a picture, where not all of them do.
 * @param {Run} record
 */
export function keptWords({ batch, pictures }) {
  const { samples } = pictures ?? {};
  if (!samples || samples.length >= batch) return "";
  return `Pictures of ${samples.length} of ${batch} samples are in this file: ${samples.join(", ")} (from 0).`;
}

/** On paper the page is light, and so is its figure: colours that are drawn know no style of a medium.
 * @param {InspectorPanel} panel
 */
function printLight(panel) {
  /** @param {boolean} printing */
  const change = (printing) => {
    document.documentElement.classList.toggle("on-paper", printing);
    panel.look();
    panel.draw(); // now: the next frame comes after the print
  };
  addEventListener("beforeprint", () => change(true));
  addEventListener("afterprint", () => change(false));
}

/** @param {string} view @param {any} theme */
function legendOf(view, theme) {
  const { says, marks } = viewOf(view);
  const rows = marks.map(([draw, words]) => {
    const picture = element("span", { class: "mark", "aria-hidden": "true" });
    picture.innerHTML = swatch(draw, theme === "light" ? LIGHT : DARK); // made by us, from no text of the run
    return element("li", {}, picture, element("span", {}, words));
  });
  return [element("p", {}, says), ...(rows.length ? [element("ul", {}, ...rows)] : [])];
}

/** @param {any} answer */
function cardOf({ question, verdict, words }) {
  const short = element("p", { class: "verdict" }, verdict);
  return element("article", {}, element("h3", {}, question), short, ...words.map((/** @type {string} */ line) => element("p", {}, line)));
}

/** How the run was made: [dt, dd, dt, dd, ...].
 * @param {Run} record
 */
function factsOf(record) {
  const { host = {}, model = {} } = record;
  const rows = {
    model: [model.name, model.hash && `sha256 ${model.hash.slice(0, 12)}\u2026`],
    sampler: [record.sampler, record.scheduler, counted(record.n, "step"), record.seed != null && `seed ${record.seed}`],
    guidance: [record.cfg != null && `${record.guider ? "" : "cfg "}\u03b3 ${number(record.cfg)}`, record.chain],
    samples: [`${record.batch} of ${(record.latent?.shape ?? []).join(" \u00d7 ")} values`, `N ${record.N} each`],
    evaluations: [record.evaluations != null && fillIn("{n} {n:run|runs} of the model", { n: record.evaluations }),
      ...Object.entries(record.passes ?? {}).map(([name, count]) => `of them ${name} ${count}`)],
    recorded: [record.split],
    "record check": [record.problems?.length ? record.problems.join(" ") : "nothing wrong found"],
    software: [host.comfyui && `ComfyUI ${host.comfyui}`, host.torch && `torch ${host.torch}`, host.device, host.dtype],
  };
  return Object.entries(rows).flatMap(([name, values]) => {
    const words = values.filter(Boolean).join(" \u00b7 ");
    return words ? [element("dt", {}, name), element("dd", {}, words)] : [];
  });
}

/** @param {any} place @param {any} data */
function files(place, { record, sources }) {
  /** @param {string} id @param {any} value @param {string} name */
  const save = (id, value, name) => {
    place(id).hidden = !value;
    const text = () => new Blob([JSON.stringify(value)], { type: "application/json" });
    place(id).addEventListener("click", () => download(text(), name));
  };
  save("save-workflow", sources.workflow ?? sources.prompt, "workflow.json");
  save("save-record", record, "guidance-record.json");
}
