// @ts-check
/** The script of a study's page: a grid of its cells, curves along its axes, its runs, and every cell by itself. */
import { cellDialog, download } from "./study-cell.mjs";
import { plot, SERIES, valueWords } from "./study-plot.mjs";
import { HEADS, orderWords, planePlot, planeRows, WORDS } from "./study-rules.mjs";
import { keyOf, metricsOf, plotRuns } from "./study-runs.mjs";
import { counted } from "./words.mjs";

const FIRST_METRIC = "M1";
const BELOW = ["judge", "strength", "saturation", "evaluations"]; // a picture at first: what tells most
const LEAST_WIDTH = 340; // of the plot of the runs
const OPEN = "Open a cell to see its run, and to mark it, reject it or have it run again.";
const OPEN_BARE = "Open a cell to mark it, reject it or have it run again. Its run is not in this page, which has too many cells; its trace is in the folder cells.";
const WAYS = [["step", "step"], ["level", "noise level"]];

/** The rows at a place: those that agree with every value in it.  @param {Cell[]} rows @param {Record<string, any>} place */
export const at = (rows, place) => rows.filter((row) => Object.entries(place).every(([name, value]) => row.place[name] === value));

/** Columns and rows of the grid as places: the column's axis, the row's axis, and what is held.
 * @param {Study} study @param {string} columns @param {string} lines @param {any} held
 */
export function grid(study, columns, lines, held) {
  /** @param {string} name */
  const of = (name) => study.axes.find((axis) => axis.name === name);
  const across = of(columns)?.values ?? [null];
  const down = of(lines)?.values ?? [null];
  /** @param {number} x @param {number} y */
  const place = (x, y) => ({ ...held, ...(columns ? { [columns]: x } : {}), ...(lines ? { [lines]: y } : {}) });
  return { across, down, cells: down.map((y) => across.map((x) => at(study.rows, place(x, y))[0] ?? null)) };
}

/** A cell in words, by the axes that tell it from others.  @param {Study} study */
export const titled = (study) => {
  const varied = study.axes.filter((axis) => axis.values.length > 1);
  const axes = varied.length ? varied : study.axes;
  return (/** @type {any} */ row) => axes.map(({ name }) => `${name} ${row.place[name]}`).join(" \u00b7 ");
};

/** The cells whose runs are drawn: those that are picked, else all that the grid shows.
 * @param {Study} study @param {any[][]} shown @param {Set<string>} picked
 */
export function drawnRuns(study, shown, picked) {
  const chosen = study.rows.filter((row) => picked.has(row.id));
  return chosen.length ? chosen : shown.flat().filter(Boolean);
}

/** An element with properties and children.
 * @param {string} tag @param {Record<string, any>} facts @param {any[]} children
 * @returns {any} an HTMLElement with what its tag has
 */
function make(tag, facts = {}, ...children) {
  const made = Object.assign(document.createElement(tag), facts);
  made.append(...children);
  return made;
}

/** Fill the page. files: {prompts(), runs(), panel()}: workflow and record of every cell, and the panel's module, when first asked for.
 * @param {(id: string) => any} place @param {Study} study @param {any} files
 */
export function mount(place, study, files) {
  const varied = study.axes.filter((axis) => axis.values.length > 1);
  const names = varied.map((axis) => axis.name);
  /** @type {any} */
  const page = { place, study, files, varied, names, title: titled(study), picked: new Set(), runs: {}, marks: marksOf(study) };
  page.state = { columns: names[0] ?? "", rows: names[1] ?? "", held: {}, shown: BELOW.find((name) => name in study.measures) ?? "", ...study.first,
    metric: FIRST_METRIC, along: "step", colour: names[0] ?? "" };
  page.dialog = cellDialog(page, make, () => drawGrid(page));
  drawGrid(page);
  drawCurves(page);
  drawPlane(page);
  drawTable(page);
  if (!study.runs) return page;
  setTimeout(async () => { // the pictures come first
    page.runs = await files.runs();
    page.metrics = metricsOf(page.runs);
    page.state.metric = page.metrics.some((/** @type {[string]} */ [name]) => name === FIRST_METRIC) ? FIRST_METRIC : (page.metrics[0]?.[0] ?? "");
    drawRuns(page);
    addEventListener("resize", () => drawRuns(page));
  });
  return page;
}

/** @param {StudyPage} page @param {string} label @param {any[]} options @param {string} name
 * @param {() => void} change
 */
function choose({ state }, label, options, name, change) {
  const select = make("select", {}, ...options.map(([value, words]) => make("option", { value, textContent: words, selected: value === state[name] })));
  select.addEventListener("change", () => {
    state[name] = select.value;
    change();
  });
  return make("label", {}, label, select);
}

/** @param {StudyPage} page */
function drawControls(page) {
  const { state, varied, names, study } = page;
  if (state.rows === state.columns) state.rows = names.find((name) => name !== state.columns) ?? "";
  const others = varied.filter((axis) => ![state.columns, state.rows].includes(axis.name));
  state.held = Object.fromEntries(others.map((axis) => [axis.name, axis.values.includes(state.held[axis.name]) ? state.held[axis.name] : axis.values[0]]));
  const holds = others.map((axis) => {
    const select = make("select", {}, ...axis.values.map((value, i) => make("option", { value: i, textContent: value, selected: value === state.held[axis.name] })));
    select.addEventListener("change", () => {
      state.held[axis.name] = axis.values[Number(select.value)];
      drawGrid(page);
    });
    return make("label", {}, axis.name, select);
  });
  const axes = names.map((name) => [name, name]);
  const measures = Object.entries(study.measures).map(([name, one]) => [name, one.title]);
  const redraw = () => drawGrid(page);
  const turns = names.length > 1 ? [choose(page, "columns", axes, "columns", redraw), choose(page, "rows", axes, "rows", redraw)] : [];
  page.place("controls").replaceChildren(...turns, ...holds, choose(page, "below each", measures, "shown", redraw));
}

/** @param {StudyPage} page @param {any} row */
function tile(page, row) {
  if (!row) return make("div", { className: "missing", textContent: "not done" });
  const { study, state, title } = page;
  const picture = study.pictures[row.id];
  const made = make("button", { type: "button", className: "tile", title: title(row) },
    picture ? make("img", { alt: title(row), loading: "lazy", decoding: "async", src: picture }) : "no picture",
    make("span", { textContent: valueWords(row.measures[state.shown], study.measures[state.shown]?.unit) }));
  made.dataset.mark = page.marks.of(row.id) ?? "";
  made.addEventListener("click", () => page.dialog.open(row));
  if (!study.runs) return made;
  const pick = make("input", { type: "checkbox", checked: page.picked.has(row.id), title: "Pick for the plot of the runs", ariaLabel: `Pick ${title(row)} for the plot of the runs` });
  pick.addEventListener("change", () => {
    page.picked[pick.checked ? "add" : "delete"](row.id);
    drawRuns(page);
  });
  return make("div", { className: "place" }, made, pick);
}

/** @param {StudyPage} page */
function drawGrid(page) {
  drawControls(page);
  const { place, state, study, marks } = page;
  const found = grid(study, state.columns, state.rows, state.held);
  page.shown = found.cells;
  /** @param {any} axis @param {number} value */
  const named = (axis, value) => (axis ? `${axis} ${value ?? ""}` : "");
  const head = make("tr", {}, make("th"), ...found.across.map((x) => make("th", { scope: "col", textContent: named(state.columns, x) })));
  const body = found.cells.map((line, i) => make("tr", {}, make("th", { scope: "row", textContent: named(state.rows, found.down[i]) }),
    ...line.map((row) => make("td", {}, tile(page, row)))));
  place("grid").className = study.square ? "square" : "";
  place("grid").style.setProperty("--columns", found.across.length);
  place("grid").replaceChildren(make("table", {}, make("thead", {}, head), make("tbody", {}, ...body)));
  const save = make("button", { type: "button", textContent: "Save the marks" });
  save.addEventListener("click", () => download("marks.json", { marks: marks.all }));
  /** @param {string} kind */
  const count = (kind) => Object.values(marks.all).filter((mark) => mark === kind).length;
  const counted = `${count("mark")} marked, ${count("reject")} rejected, ${count("rerun")} to run again (guidance-geometry sweep --rerun marks.json). `;
  const words = Object.keys(marks.all).length ? [counted, save] : [study.runs ? OPEN : OPEN_BARE];
  place("marks").replaceChildren(...words);
  if (page.metrics) drawRuns(page);
}

/** @param {StudyPage} page */
function drawCurves(page) {
  const { place, state, study, varied, names } = page;
  if (state.split === state.axis) state.split = "";
  const splits = varied.filter((axis) => !axis.draw && axis.name !== state.axis && axis.values.length <= SERIES).map((axis) => [axis.name, axis.name]);
  const redraw = () => drawCurves(page);
  const turn = () => {
    state.split = study.first.split;
    redraw();
  };
  place("curve-controls").replaceChildren(choose(page, "along", names.map((name) => [name, name]), "axis", turn),
    choose(page, "a curve for each", [["", "\u2013"], ...splits], "split", redraw));
  const shown = study.curves.filter((curve) => curve.axis === state.axis && (curve.split ?? "") === state.split);
  place("curves").replaceChildren(...shown.map((curve) => figureOf(curve, study.measures[curve.measure])));
}

/** @param {StudyCurve} curve @param {any} measure */
function figureOf(curve, measure) {
  const figure = make("figure", { innerHTML: plot(curve, measure.unit) });
  if (!figure.firstChild) return "";
  figure.prepend(make("figcaption", { textContent: measure.title }));
  if (!curve.split) return figure;
  figure.append(make("div", { className: "key" }, ...curve.series.map((series, k) => {
    const word = make("span", { textContent: `\u25cf ${curve.split} ${series.name}` });
    word.style.color = `var(--s${k % SERIES})`;
    return word;
  })));
  return figure;
}

/** Rules at equal prompt strength, where they were measured.  @param {StudyPage} page */
function drawPlane(page) {
  const { place, state, study } = page;
  if (!study.plane) return;
  const { comparisons, rules, plain } = study.plane;
  state.strength ??= String(middleReached(comparisons));
  const at = Number(state.strength);
  place("plane").hidden = false;
  const options = comparisons.map((/** @type {any} */ one, /** @type {number} */ i) => [String(i), `cfg ${one.cfg}`]);
  place("plane-controls").replaceChildren(choose(page, "at the prompt strength of plain", options, "strength", () => drawPlane(page)));
  place("plane-plot").innerHTML = planePlot(study.plane, at); // every word in it is escaped
  place("plane-key").replaceChildren(...[plain, ...rules].map((curve, k) => {
    const word = make("span", { textContent: `\u25cf ${curve.name}` });
    word.style.color = `var(--s${k % SERIES})`;
    return word;
  }));
  place("plane-rows").replaceChildren(tableOf(HEADS, planeRows(comparisons[at])));
  place("plane-words").textContent = `${orderWords(comparisons[at])} ${WORDS}`;
}

/** The comparison that is shown first: the greatest strength that most rules reach.  @param {any[]} comparisons */
function middleReached(comparisons) {
  const reach = comparisons.map((one) => one.rules.filter((/** @type {any} */ row) => !row.missing).length);
  return reach.lastIndexOf(Math.max(...reach));
}

/** @param {any[]} heads @param {any[][]} lines */
function tableOf(heads, lines) {
  /** @param {string} tag @param {any[]} words */
  const line = (tag, words) => make("tr", {}, ...words.map((word) => make(tag, { textContent: word })));
  return make("table", {}, make("thead", {}, line("th", heads)), make("tbody", {}, ...lines.map((cells) => line("td", cells))));
}

/** All picked runs over each other, or those of the grid.  @param {StudyPage} page */
function drawRuns(page) {
  const { place, state, study, varied, picked, runs, metrics } = page;
  const redraw = () => drawRuns(page);
  const rows = drawnRuns(study, page.shown, picked);
  const axis = varied.find((candidate) => candidate.name === state.colour);
  place("runs").hidden = !metrics?.length;
  place("run-controls").replaceChildren(choose(page, "metric", metrics ?? [], "metric", redraw), choose(page, "along", WAYS, "along", redraw),
    ...(varied.length ? [choose(page, "a colour for each", varied.map(({ name }) => [name, name]), "colour", redraw)] : []));
  const drawing = { name: state.metric, along: state.along, axis, words: page.title, w: Math.max(LEAST_WIDTH, place("run-plot").clientWidth) };
  place("run-plot").innerHTML = plotRuns(runs, rows, drawing); // every word in it is escaped
  place("run-plot").onclick = (/** @type {any} */ event) => {
    const line = event.target.closest("[data-id]");
    if (line) page.dialog.open(study.rows.find((/** @type {any} */ row) => row.id === line.dataset.id));
  };
  const lines = [...place("run-plot").querySelectorAll(".line")].map((line) => line.dataset.id);
  const seen = rows.filter((row) => lines.includes(row.id));
  place("run-key").replaceChildren(...(axis ? keyOf(axis).filter((_, k) => seen.some((row) => row.place[axis.name] === axis.values[k])) : []).map((key) => {
    const entry = make("span", { innerHTML: `<svg viewBox="0 0 14 14" aria-hidden="true">${key.mark}</svg>` });
    entry.style.setProperty("--hue", key.hue);
    entry.append(key.words);
    return entry;
  }));
  const clear = make("button", { type: "button", textContent: "Unpick all" });
  clear.addEventListener("click", () => {
    picked.clear();
    drawGrid(page);
  });
  const bare = rows.length - lines.length;
  const said = `${counted(rows.length, "cell")}, ${picked.size ? "picked" : "all in the grid"}${bare ? `, ${bare} without a value of this metric` : ""}.`;
  place("run-words").replaceChildren(...(picked.size ? [`${said} `, clear] : [`${said} Tick cells there to see only those; click a line to open its cell.`]));
}

/** @param {StudyPage} page */
function drawTable({ place, study }) {
  const heads = [...study.axes.map((axis) => axis.name), ...Object.values(study.measures).map((measure) => measure.title)];
  const lines = study.rows.map((row) => [...study.axes.map((axis) => row.place[axis.name]),
    ...Object.entries(study.measures).map(([name, one]) => valueWords(row.measures[name], one.unit))]);
  place("rows").replaceChildren(tableOf(heads, lines));
}

/** What the reader has marked, kept by this browser.  @param {Study} study */
function marksOf(study) {
  const key = `gg-study-${study.rows.map((row) => row.id).join("").slice(0, 64)}`;
  const all = JSON.parse(recall(key) ?? "{}");
  return {
    all,
    of: (/** @type {string} */ id) => all[id],
    /** @param {string} id @param {string} kind */
    turn(id, kind) {
      if (all[id] === kind) delete all[id];
      else all[id] = kind;
      remember(key, JSON.stringify(all));
    },
  };
}

/** What this browser remembers, if it does at all: a page from a file may be refused.  @param {string} key */
function recall(key) {
  try { return localStorage.getItem(key); } catch { return null; }
}

/** @param {string} key @param {string} text */
function remember(key, text) {
  try { localStorage.setItem(key, text); } catch { /* the marks last as long as the page */ }
}
