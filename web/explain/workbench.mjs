// @ts-check
/** The workbench: the same seeds at eight values of cfg, what the model says of them, and the steps of one picture. */
import { curvePlot, curveStyle, leftOf, RIGHT } from "../lib/curve-plot.mjs";
import { effective } from "../lib/effective.mjs";
import { element } from "../lib/panel-parts.mjs";
import { figure as plane } from "../lib/plane.mjs";
import { saidAt } from "../lib/present.mjs";
import { number } from "../lib/words.mjs";
import { controlOf } from "./controls.mjs";
import { figureCanvas, pictureCanvas, zoomOf } from "./figure-canvas.mjs";
import { curveOf } from "./measure.mjs";
import { LABELS, PICTURE } from "./network.mjs";
import { CFG } from "./settings.mjs";


const FIRST = [1, 8, 16, 4, 2, 11, 6, 3]; // in the order in which they are made: the ends of the story first
const PAIRS = 1; // of noise at each level, for each picture
const LEAST = 300; // pixels of a plot
const CONTROLS = ["label", "rule", "sampler", "steps", "pictures", "seed"];

/** What the pictures depend on.  @param {Settings} settings */
const orderOf = ({ label, rule, sampler, steps, pictures, seed }) => ({ label: LABELS.indexOf(label), rule, sampler, steps, seeds: Array.from({ length: pictures }, (_, k) => seed + k) });

/** page: settings, change(values), ask, t  @param {any} page */
export function workbench(page) {
  const { t, change } = page;
  /** @type {{key: string, columns: Map<number, any>, found: number, curve: Curve | null}} */ const made = { key: "", columns: new Map(), found: 0, curve: null };
  /** @type {Record<string, any[]>} */ const before = {};
  const controls = CONTROLS.map((name) => controlOf(name, t, change));
  const grid = element("div", { class: "grid", role: "group", "aria-label": t("benchSeeds") });
  const plot = element("div", { class: "plot" });
  const said = element("p", { class: "said", role: "status" });
  const table = element("div", { class: "numbers" });
  /** @param {Settings} settings */
  const recordOf = ({ cfg, picture }) => made.columns.get(cfg)?.records[picture - 1] ?? null;
  /** @param {(record: any, options: any) => Command[]} figure */
  const stepFigure = (figure) => (/** @type {any} */ options) => {
    const record = recordOf(page.settings);
    return { commands: figure(record ?? { steps: [] }, { ...options, t, step: stepIn(record), sample: 0, captioned: true }) };
  };
  /** @param {any} record */
  const stepIn = (record) => Math.min(page.settings.step, record?.n ?? 1) - 1;
  const planeView = figureCanvas({ class: "step-plane" }, 0.75, stepFigure(plane));
  const scaleView = figureCanvas({ class: "step-plane" }, 0.75, stepFigure(effective));
  const step = controlOf("step", t, change);
  const about = element("p", { class: "said" });
  const whole = element("div", { class: "bench" },
    element("div", { class: "controls" }, ...controls.map((control) => control.element)),
    element("section", { class: "panel wide" }, element("p", { class: "hint" }, t("benchSeeds")), grid, plot, said, element("details", {}, element("summary", {}, t("numbersOf")), table)),
    element("section", { class: "panel wide", "aria-label": t("planeTitle") }, about, step.element,
      element("div", { class: "two" }, element("div", {}, element("h3", {}, t("planeTitle")), planeView.canvas), element("div", {}, element("h3", {}, t("scaleTitle")), scaleView.canvas))));
  whole.prepend(element("style", {}, curveStyle("var(--delta)", "var(--card)")));
  new ResizeObserver(() => showCurve()).observe(plot);

  function start() {
    const order = orderOf(page.settings);
    const key = JSON.stringify(order);
    if (made.key === key) return;
    Object.assign(made, { key, columns: new Map(), curve: null });
    page.stop("bench");
    for (const gamma of FIRST) {
      page.ask("runs", { ...order, gamma, pairs: PAIRS }, `bench ${gamma}`, (/** @type {any} */ found) => {
        if (made.key !== key) return;
        made.columns.set(gamma, found.part ?? found);
        made.found += 1;
        if (found.levels) reckon();
        draw();
      }, false);
    }
  }

  /** The curve of the values that are measured, as soon as cfg 1 and another one are. */
  function reckon() {
    const points = CFG.flatMap((value) => (made.columns.get(value)?.levels ? [{ value, ...made.columns.get(value) }] : []));
    made.curve = points.length > 1 && points[0].value === CFG[0] ? curveOf(points) : null;
  }

  /** Whether what a part shows is other than before: it is made anew then alone.  @param {string} part @param {any[]} shown */
  function differs(part, ...shown) {
    const same = before[part]?.every((value, k) => value === shown[k]);
    before[part] = shown;
    return !same;
  }

  function showGrid() {
    const { settings } = page;
    if (!differs("grid", made.key, made.found, settings.cfg, settings.picture, zoomOf(grid))) return;
    const left = leftOf("cfg", t) * zoomOf(grid);
    grid.style.paddingLeft = `${left}px`;
    grid.style.paddingRight = `${RIGHT * zoomOf(grid)}px`;
    grid.style.gridTemplateColumns = `repeat(${CFG.length}, minmax(0, 1fr))`;
    const seeds = orderOf(settings).seeds;
    const tiles = seeds.flatMap((seed, row) => CFG.map((cfg) => tileOf(cfg, seed, row)));
    const heads = CFG.map((cfg) => element("span", { class: settings.cfg === cfg ? "head chosen" : "head", "aria-hidden": "true" }, String(cfg)));
    const focused = document.activeElement?.getAttribute("data-tile");
    grid.replaceChildren(...heads, ...tiles);
    if (focused) grid.querySelector(`[data-tile="${focused}"]`)?.focus();
  }

  /** @param {number} cfg @param {number} seed @param {number} row */
  function tileOf(cfg, seed, row) {
    const { settings } = page;
    const label = t("pictureAt", { cfg: number(cfg), seed });
    const pressed = settings.cfg === cfg && settings.picture === row + 1;
    const button = element("button", { type: "button", class: "tile", "aria-pressed": String(pressed), "aria-label": label, title: label, "data-tile": `${cfg} ${row}` },
      pictureCanvas(made.columns.get(cfg)?.pictures[row] ?? null, "", PICTURE));
    button.addEventListener("click", () => change({ cfg, picture: row + 1 }));
    return button;
  }

  function showCurve() {
    const { curve } = made;
    const width = Math.max(LEAST, Math.round(plot.clientWidth / zoomOf(plot)));
    if (!differs("curve", curve, width, page.settings.cfg)) return;
    if (!curve) {
      plot.replaceChildren(element("p", { class: "hint" }, t("benchWait")));
      said.textContent = "";
      table.replaceChildren();
      return;
    }
    plot.innerHTML = curvePlot(curve, null, t, width, CFG, page.settings.cfg); // numbers alone: nobody's words
    const words = [saidAt(curve, page.settings.cfg, t), t("benchSure", { pictures: curve.pictures })].filter(Boolean).join(" ");
    if (said.textContent !== words) said.textContent = words;
    table.replaceChildren(tableOf(curve, t));
  }

  function draw() {
    const { settings } = page;
    controls.forEach((control) => control.show(settings));
    step.show({ ...settings, step: Math.min(settings.step, settings.steps) });
    step.element.querySelector("input").max = settings.steps;
    start();
    showGrid();
    showCurve();
    const record = recordOf(settings);
    about.textContent = `${t("pictureAt", { cfg: number(settings.cfg), seed: settings.seed + settings.picture - 1 })}, ${t("stepNumber", { i: stepIn(record) + 1, n: settings.steps })}`;
    planeView.draw();
    scaleView.draw();
  }

  return { element: whole, draw };
}

/** @param {Curve} curve @param {Speaker} t */
function tableOf(curve, t) {
  const columns = [["timesOf", "times_as_strange", "ratioTip"], ["ratioOf", "ratio", "ratioTip"], ["strengthOf", "prompt_strength", "strengthTip"], ["varietyOf", "variety", "varietyTip"]];
  const head = element("tr", {}, element("th", { scope: "col" }, t("valueOf")), ...columns.map(([key, , tip]) => element("th", { scope: "col", title: t(tip) }, t(key))));
  /** @param {number[]} estimate */
  const cell = ([value, low, high]) => element("td", {}, Number.isFinite(low) ? t("range", { value: number(value), low: number(low), high: number(high) }) : number(value));
  return element("table", {}, head, ...curve.values.map((value, k) => element("tr", {}, element("th", { scope: "row" }, number(value)), ...columns.map(([, name]) => cell(curve[name][k])))));
}
