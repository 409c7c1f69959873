// @ts-check
/** The seven screens: each a live figure on the map, the same in the model's pictures, three sentences and a few controls. */
import { element } from "../lib/panel-parts.mjs";
import { number } from "../lib/words.mjs";
import { controlOf } from "./controls.mjs";
import { figureCanvas, pictureCanvas } from "./figure-canvas.mjs";
import { MAPS } from "./map-figure.mjs";
import { classify } from "./map.mjs";
import { LABELS, PICTURE } from "./network.mjs";
import { SAMPLERS } from "./sampling.mjs";
import { EDGE } from "./settings.mjs";

/** Pictures of a screen: tasks whose answers are shown as [caption, pixels] in one row or several.
 * @typedef {{key: string, task: string, order: any, show: (part: any, t: Speaker) => [string, any][], count: number, class?: string}} Wanted
 */

const FRAMES = 5;
const ENDINGS = 3; // of each sampler
const MUCH = [1, 2, 4, 8, 13];
const SETTLED = 150; // milliseconds after which a slider rests
const MOVE = 0.05; // of the map, at a press of an arrow key
/** @type {Record<string, [number, number]>} */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
const WITHOUT = { label: null, gamma: 1, rule: "cfg" }; // a run that is told no label

/** @param {Settings} settings */
const labelOf = ({ label }) => LABELS.indexOf(label);

/** @type {{controls: string[], wanted: (settings: Settings) => Wanted[], still?: boolean}[]} */
const SCREENS = [
  {
    controls: ["noise", "label", "seed"],
    wanted: ({ noise, seed, ...settings }) => [{ key: "look", task: "look", order: { label: LABELS.indexOf(settings.label), seed, noise }, count: 3,
      show: ({ pictures }, t) => ["clean", "noisy", "predicted"].map((key, k) => [t(key), pictures[k]]) }],
  },
  {
    controls: ["steps", "noise", "seed"],
    wanted: ({ steps, seed }) => [{ key: "film", task: "film", order: { ...WITHOUT, seed, steps, sampler: "euler", frames: FRAMES }, count: 2 * FRAMES + 1, class: "film", show: filmed }],
  },
  {
    controls: ["steps", "noise", "seed"],
    wanted: ({ steps, seed }) => Object.keys(SAMPLERS).map((sampler) => ({ key: sampler, task: "endings", order: { ...WITHOUT, seed, steps, sampler, count: ENDINGS }, count: ENDINGS,
      show: ({ pictures }, t) => pictures.map((/** @type {any} */ pixels, /** @type {number} */ k) => [t("ending", { sampler: t(`${sampler}Short`), i: k + 1 }), pixels]) })),
  },
  { controls: ["label", "noise"], wanted: () => [] },
  {
    controls: ["noise", "label", "seed"],
    wanted: (settings) => [{ key: "pair", task: "pair", order: pairOf(settings), count: 4,
      show: ({ pictures: [x, u, c, , d], times }, t) => [[t("noisy"), x], [t("withoutShort"), u], [t("withShort", { label: t(settings.label) }), c], [t("differenceShort", { times: number(times, 2) }), d]] }],
  },
  {
    controls: ["gamma", "noise", "label", "seed", "steps"],
    wanted: (settings) => [{ key: "pair", task: "pair", order: pairOf(settings), count: 3,
      show: ({ pictures: [, u, c, D] }, t) => [[t("withoutShort"), u], [t("withShort", { label: t(settings.label) }), c], [t("guidedShort", { gamma: number(settings.gamma) }), D]] }],
  },
  {
    still: true, // there is no x to drag
    controls: ["gamma", "label", "seed", "steps", "sampler"],
    wanted: (settings) => [...MUCH.map((gamma) => finished(settings, gamma, "atCfg")), finished(settings, settings.gamma, "yourCfg")],
  },
];

/** @param {Settings} settings */
const pairOf = ({ seed, noise, gamma, ...settings }) => ({ label: LABELS.indexOf(settings.label), seed, noise, gamma });

/** A finished picture.  @param {Settings} settings @param {number} gamma @param {string} key @returns {Wanted} */
const finished = ({ seed, steps, sampler, ...settings }, gamma, key) => ({ key: `${key} ${key === "yourCfg" ? "" : gamma}`, task: "runs", count: 1,
  order: { label: LABELS.indexOf(settings.label), seeds: [seed], gamma, steps, sampler, rule: "cfg", pairs: 0 }, show: ({ part }, t) => [[t(key, { gamma: number(gamma) }), part.pictures[0]]] });

/** @param {any} part @param {Speaker} t @returns {[string, any][]} */
function filmed({ pictures, steps }, t) {
  const pairs = steps.flatMap((/** @type {number} */ i, /** @type {number} */ k) => [[`${t("stepShort", { i: i + 1 })}: ${t("filmX")}`, pictures[2 * k]], [t("filmD"), pictures[2 * k + 1]]]);
  return [...pairs, [t("endShort"), pictures[pictures.length - 1]]];
}

/** One screen on the page.  page: settings, change(values), engine, t  @param {any} page @param {number} number from 1 */
export function lessonScreen(page, number) {
  const { t, change } = page;
  const screen = SCREENS[number - 1];
  /** @type {Map<string, {order: string, found: any, busy: boolean}>} */ const known = new Map();
  const map = figureCanvas({ class: "map", ...(screen.still ? {} : { tabindex: 0, role: "application", "aria-roledescription": t("inPlane") }) }, 1, (options) => MAPS[number - 1](page.settings, { ...options, t }));
  /** @type {any} */ let settling = null;
  /** @type {[string, any][]} */ let shown = []; // pictures and their captions
  const said = element("p", { class: "said", role: "status" });
  const pictures = element("div", { class: "pictures" });
  const controls = screen.controls.map((name) => controlOf(name, t, change));
  const beside = element("section", { class: "panel", "aria-label": t(number === 4 ? "probabilities" : "ofModel") }, element("h3", {}, t(number === 4 ? "probabilities" : "ofModel")), pictures);
  const whole = element("div", { class: "lesson" },
    element("section", { class: "panel", "aria-label": t("inPlane") }, element("h3", {}, t("inPlane")), map.canvas, element("p", { class: "hint" }, t(screen.still ? "mapMeaning" : "mapHint")), said),
    beside, element("div", { class: "controls" }, ...controls.map((control) => control.element)));
  if (!screen.still) drag(map, page);

  /** @param {boolean} quick */
  function showMap(quick) {
    map.draw(quick);
    if (said.textContent !== map.words) said.textContent = map.words;
  }

  /** One order of a kind at a time: while a slider moves, each is finished, and what is set by then follows.  @param {Wanted} wanted */
  async function ask({ key, task, order: wanted }) {
    const order = JSON.stringify(wanted);
    const before = known.get(key);
    if (before?.order === order || before?.busy) return;
    known.set(key, { order, found: before?.found ?? null, busy: true });
    const found = await page.ask(task, wanted, `lesson ${key}`, () => {}, task !== "runs");
    known.set(key, { order, found: found ?? before?.found ?? null, busy: false });
    if (!found) return; // it was given up, or could not be computed
    showPictures();
    screen.wanted(page.settings).forEach(ask);
  }

  function showPictures() {
    const wanted = screen.wanted(page.settings);
    const tiles = wanted.flatMap(({ key, show, count }) => {
      const { found } = known.get(key) ?? {};
      return found ? show(found, t) : Array.from({ length: count }, () => /** @type {[string, any]} */ (["\u2026", null]));
    });
    if (number !== 4 && tiles.length === shown.length && tiles.flat().every((value, k) => value === shown.flat()[k])) return;
    shown = tiles;
    pictures.className = `pictures ${wanted[0]?.class ?? ""} of-${tiles.length}`;
    pictures.replaceChildren(...(number === 4 ? bars(page) : tiles.map(([caption, pixels]) => element("figure", {}, pictureCanvas(pixels, caption, PICTURE), element("figcaption", {}, caption)))));
  }

  return {
    element: whole,
    draw() {
      showMap(Boolean(screen.still));
      clearTimeout(settling);
      if (screen.still) settling = setTimeout(() => showMap(false), SETTLED);
      controls.forEach((control) => control.show(page.settings));
      screen.wanted(page.settings).forEach(ask);
      showPictures();
    },
  };
}

/** How probable the classifier finds each label.  @param {any} page */
function bars({ settings, t }) {
  const shares = classify(settings.x, settings.noise);
  return [element("table", { class: "bars" }, ...LABELS.map((label, k) => {
    const bar = element("span", { class: "bar" });
    bar.style.width = `${(100 * shares[k]) / Math.max(...shares)}%`;
    return element("tr", { class: k === labelOf(settings) ? "own" : "" }, element("th", { scope: "row" }, t(label)), element("td", {}, bar), element("td", {}, `${number(100 * shares[k], 2)} %`));
  }))];
}

/** @param {number} value */
const onMap = (value) => Math.min(Math.max(value, -EDGE), EDGE);

/** x follows the pointer, and the arrow keys where the map has the focus.  @param {ReturnType<typeof figureCanvas>} map @param {any} page */
function drag(map, page) {
  const { canvas } = map;
  /** @param {PointerEvent} event */
  const follow = ({ clientX, clientY }) => {
    const box = canvas.getBoundingClientRect();
    const scale = Math.min(box.width, box.height) / 2 / map.extent;
    const place = [(clientX - box.left - box.width / 2) / scale, (box.top + box.height / 2 - clientY) / scale];
    page.change({ x: place.map((value, k) => onMap(value + map.centre[k])) });
  };
  canvas.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => {
    canvas.setPointerCapture(event.pointerId);
    follow(event);
  });
  canvas.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => event.buttons && follow(event));
  canvas.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    const way = ARROWS[event.key];
    if (!way) return;
    event.preventDefault();
    event.stopPropagation();
    const far = event.shiftKey ? 5 * MOVE : MOVE;
    page.change({ x: page.settings.x.map((/** @type {number} */ value, /** @type {number} */ k) => onMap(value + far * way[k])) });
  });
}
