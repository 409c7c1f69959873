/** The script of a study's page: a grid of its cells, curves along its axes, and every cell by itself. */
const [W, H, PAD] = [380, 220, { left: 52, right: 12, top: 12, bottom: 30 }];
const SERIES = 8; // colours
const SHAPES = ["circle", "square", "triangle", "diamond"];
const MARKS = { mark: "Mark", reject: "Reject", rerun: "Run again" };

/** A value for people: percent where the unit says so. */
export function worded(value, unit) {
  if (value == null || !Number.isFinite(value)) return "\u2013";
  if (unit === "percent") return `${(100 * value).toFixed(Math.abs(value) < 0.1 ? 2 : 1)} %`;
  return `${Number(value.toPrecision(4))}${unit === "seconds" ? " s" : ""}`;
}

/** Round numbers within [low, high], three to five or so. */
export function ticks(low, high) {
  const span = high - low || Math.abs(high) || 1;
  const power = 10 ** Math.floor(Math.log10(span / 3));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => span / one <= 5);
  const first = Math.ceil(low / step - 1e-9);
  const count = Math.floor((low + span) / step + 1e-9) - first;
  return Array.from({ length: count + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

/** Where values of an axis lie, 0 .. 1: numbers by their size, words evenly. */
export function positions(values) {
  const numbers = values.every((value) => typeof value === "number");
  const [low, high] = [Math.min(...values), Math.max(...values)];
  if (numbers && high > low) return values.map((value) => (value - low) / (high - low));
  return values.map((_, i) => (values.length > 1 ? i / (values.length - 1) : 0.5));
}

/** One plot as SVG text. curve: of the study; unit: of its measure. */
export function plot(curve, unit) {
  const points = curve.series.flatMap((one) => one.points).filter((p) => p.mean != null);
  if (!points.length) return "";
  const low = Math.min(...points.map((p) => p.mean - (p.half ?? 0)));
  const high = Math.max(...points.map((p) => p.mean + (p.half ?? 0)));
  const marks = ticks(low, high);
  const [bottom, top] = [Math.min(low, marks[0]), Math.max(high, marks.at(-1), low + 1e-12)];
  const values = curve.series[0].points.map((p) => p.x);
  const [right, foot] = [W - PAD.right, H - PAD.bottom];
  const inset = 14; // the first and the last value stand off the frame
  const xs = positions(values).map((at) => PAD.left + inset + at * (right - PAD.left - 2 * inset));
  const y = (value) => foot - ((value - bottom) / (top - bottom)) * (foot - PAD.top);
  const parts = marks.map((mark) => `<path class="axis" d="M${PAD.left} ${f(y(mark))}H${right}"/>`
    + `<text x="${PAD.left - 6}" y="${f(y(mark) + 4)}" text-anchor="end">${escaped(worded(mark, unit))}</text>`);
  let free = -Infinity; // where the next word may begin
  for (const [i, value] of values.entries()) {
    const half = String(value).length * 3.3;
    if (xs[i] - half < free) continue;
    free = xs[i] + half + 4;
    parts.push(`<text x="${f(xs[i])}" y="${foot + 18}" text-anchor="middle">${escaped(String(value).slice(0, 24))}</text>`);
  }
  for (const [k, one] of curve.series.entries()) {
    const shown = one.points.map((p, i) => [xs[i] + 3 * (k - (curve.series.length - 1) / 2), p]).filter(([, p]) => p.mean != null);
    const colour = `var(--s${k % SERIES})`;
    parts.push(`<path d="M${shown.map(([x, p]) => `${f(x)} ${f(y(p.mean))}`).join("L")}" fill="none" stroke="${colour}" stroke-width="2"/>`);
    for (const [x, p] of shown) {
      if (p.half != null) parts.push(`<path d="M${f(x)} ${f(y(p.mean - p.half))}V${f(y(p.mean + p.half))}" stroke="${colour}" stroke-width="1.5"/>`);
      parts.push(`<g fill="${colour}">${shape(SHAPES[k % SHAPES.length], x, y(p.mean))}<title>${escaped(said(curve, one, p, unit))}</title></g>`);
    }
  }
  return `<svg viewBox="0 0 ${W} ${H}" role="img" aria-label="${escaped(spoken(curve, unit))}">${parts.join("")}</svg>`;
}

const f = (value) => Number(value.toFixed(1));
export const escaped = (text) => String(text).replace(/[&<>"]/g, (letter) => `&#${letter.charCodeAt(0)};`);

function shape(kind, x, y) {
  const r = 4.5;
  if (kind === "circle") return `<circle cx="${f(x)}" cy="${f(y)}" r="${r}"/>`;
  if (kind === "square") return `<rect x="${f(x - r)}" y="${f(y - r)}" width="${2 * r}" height="${2 * r}"/>`;
  if (kind === "triangle") return `<path d="M${f(x)} ${f(y - r - 1)}l${r + 1} ${2 * r}h${-2 * r - 2}z"/>`;
  return `<path d="M${f(x)} ${f(y - r - 1)}l${r + 1} ${r + 1}l${-r - 1} ${r + 1}l${-r - 1} ${-r - 1}z"/>`;
}

/** A point in words. */
export function said(curve, series, point, unit) {
  const where = [`${curve.axis} ${point.x}`, curve.split && `${curve.split} ${series.name}`].filter(Boolean).join(", ");
  const range = point.half == null ? "" : ` \u00b1 ${worded(point.half, unit)}`;
  return `${where}: ${worded(point.mean, unit)}${range} (${point.n} cell${point.n === 1 ? "" : "s"})`;
}

const spoken = (curve, unit) => curve.series.flatMap((one) => one.points.map((p) => said(curve, one, p, unit))).join("; ");

/** The rows at a place: those that agree with every value in it. */
export const at = (rows, place) => rows.filter((row) => Object.entries(place).every(([name, value]) => row.place[name] === value));

/** Columns and rows of the grid as places: the column's axis, the row's axis, and what is held. */
export function grid(study, columns, lines, held) {
  const of = (name) => study.axes.find((axis) => axis.name === name);
  const across = of(columns)?.values ?? [null];
  const down = of(lines)?.values ?? [null];
  const place = (x, y) => ({ ...held, ...(columns ? { [columns]: x } : {}), ...(lines ? { [lines]: y } : {}) });
  return { across, down, cells: down.map((y) => across.map((x) => at(study.rows, place(x, y))[0] ?? null)) };
}

const titled = (row) => Object.entries(row.place).map(([name, value]) => `${name} ${value}`).join(" \u00b7 ");

/** Fill the page. prompts(): the workflow of every cell, unpacked when first asked for. */
export function mount(place, study, prompts) {
  const make = (tag, facts = {}, ...children) => {
    const made = Object.assign(document.createElement(tag), facts);
    made.append(...children);
    return made;
  };
  const varied = study.axes.filter((axis) => axis.values.length > 1);
  const names = varied.map((axis) => axis.name);
  const key = `gg-study-${study.rows.map((row) => row.id).join("").slice(0, 64)}`;
  const marks = JSON.parse(remembered(key) ?? "{}");
  const state = { columns: names[0] ?? "", rows: names[1] ?? "", held: {}, shown: Object.keys(study.measures)[0] ?? "", axis: names[0] ?? "", split: "" };

  const choose = (label, options, name, change) => {
    const select = make("select", {}, ...options.map(([value, words]) => make("option", { value, textContent: words, selected: value === state[name] })));
    select.addEventListener("change", () => { state[name] = select.value; change(); });
    return make("label", {}, label, select);
  };

  const controls = () => {
    if (state.rows === state.columns) state.rows = names.find((name) => name !== state.columns) ?? "";
    const others = varied.filter((axis) => ![state.columns, state.rows].includes(axis.name));
    state.held = Object.fromEntries(others.map((axis) => [axis.name, axis.values.includes(state.held[axis.name]) ? state.held[axis.name] : axis.values[0]]));
    const holds = others.map((axis) => {
      const select = make("select", {}, ...axis.values.map((value, i) => make("option", { value: i, textContent: value, selected: value === state.held[axis.name] })));
      select.addEventListener("change", () => { state.held[axis.name] = axis.values[Number(select.value)]; draw(); });
      return make("label", {}, axis.name, select);
    });
    const axes = names.map((name) => [name, name]);
    const measures = Object.entries(study.measures).map(([name, one]) => [name, one.title]);
    place("controls").replaceChildren(choose("columns", axes, "columns", draw), choose("rows", axes, "rows", draw), ...holds,
      choose("below each", measures, "shown", draw));
  };

  const tile = (row) => {
    if (!row) return make("div", { className: "missing", textContent: "not done" });
    const picture = study.pictures[row.id];
    const measure = study.measures[state.shown];
    const made = make("button", { type: "button", className: "tile", title: titled(row) },
      picture ? make("img", { src: picture, alt: titled(row), loading: "lazy" }) : "no picture",
      make("span", { textContent: worded(row.measures[state.shown], measure?.unit) }));
    made.dataset.mark = marks[row.id] ?? "";
    made.addEventListener("click", () => open(row));
    return made;
  };

  const draw = () => {
    controls();
    const found = grid(study, state.columns, state.rows, state.held);
    const head = make("tr", {}, make("th"), ...found.across.map((x) => make("th", { scope: "col", textContent: `${state.columns} ${x ?? ""}` })));
    const body = found.cells.map((line, i) => make("tr", {}, make("th", { scope: "row", textContent: state.rows ? `${state.rows} ${found.down[i]}` : "" }),
      ...line.map((row) => make("td", {}, tile(row)))));
    place("grid").className = study.square ? "square" : "";
    place("grid").replaceChildren(make("table", {}, make("thead", {}, head), make("tbody", {}, ...body)));
    const count = (kind) => Object.values(marks).filter((one) => one === kind).length;
    const save = make("button", { type: "button", textContent: "Save the marks" });
    save.addEventListener("click", () => download("marks.json", { marks }));
    place("marks").replaceChildren(`${count("mark")} marked, ${count("reject")} rejected, ${count("rerun")} to run again (dev.py sweep --rerun marks.json). `, save);
  };

  const drawCurves = () => {
    if (state.split === state.axis) state.split = "";
    const splits = varied.filter((axis) => !axis.draw && axis.name !== state.axis && axis.values.length <= SERIES).map((axis) => [axis.name, axis.name]);
    place("curve-controls").replaceChildren(choose("along", names.map((name) => [name, name]), "axis", drawCurves),
      choose("a curve for each", [["", "\u2013"], ...splits], "split", drawCurves));
    const shown = study.curves.filter((one) => one.axis === state.axis && (one.split ?? "") === state.split);
    place("curves").replaceChildren(...shown.map((curve) => {
      const measure = study.measures[curve.measure];
      const figure = make("figure", { innerHTML: plot(curve, measure.unit) });
      if (!figure.firstChild) return "";
      figure.prepend(make("figcaption", { textContent: measure.title }));
      if (curve.split) {
        figure.append(make("div", { className: "key" }, ...curve.series.map((one, k) => {
          const word = make("span", { textContent: `\u25cf ${curve.split} ${one.name}` });
          word.style.color = `var(--s${k % SERIES})`;
          return word;
        })));
      }
      return figure;
    }));
  };

  const open = (row) => {
    const dialog = place("cell");
    const facts = [...Object.entries(row.place), ...Object.entries(row.measures).map(([name, value]) => [study.measures[name]?.title ?? name, worded(value, study.measures[name]?.unit)]),
      ["Time", worded(row.seconds, "seconds")]];
    const button = (words, act) => {
      const made = make("button", { type: "button", textContent: words });
      made.addEventListener("click", act);
      return made;
    };
    const marking = Object.entries(MARKS).map(([kind, words]) => button(marks[row.id] === kind ? `${words} \u2713` : words, () => {
      if (marks[row.id] === kind) delete marks[row.id];
      else marks[row.id] = kind;
      remember(key, JSON.stringify(marks));
      draw();
      open(row);
    }));
    dialog.className = study.square ? "square" : "";
    dialog.replaceChildren(make("h3", { id: "cell-name", textContent: titled(row) }),
      ...(study.pictures[row.id] ? [make("img", { src: study.pictures[row.id], alt: titled(row) })] : []),
      make("dl", {}, ...facts.flatMap(([name, value]) => [make("dt", { textContent: name }), make("dd", { textContent: value })])),
      ...(row.verdict ? [make("p", { className: "verdict", textContent: row.verdict })] : []),
      make("div", { className: "buttons" }, ...marking,
        button("Save its workflow", async () => download(`${row.id}.json`, (await prompts())[row.id])), button("Close", () => dialog.close())),
      make("p", { className: "note", textContent: "Drop the workflow on ComfyUI to open it." }));
    if (!dialog.open) dialog.showModal();
  };

  const heads = [...study.axes.map((axis) => axis.name), ...Object.values(study.measures).map((one) => one.title), "Time"];
  const lines = study.rows.map((row) => [...study.axes.map((axis) => row.place[axis.name]),
    ...Object.entries(study.measures).map(([name, one]) => worded(row.measures[name], one.unit)), worded(row.seconds, "seconds")]);
  const line = (tag, words) => make("tr", {}, ...words.map((word) => make(tag, { textContent: word })));
  place("rows").replaceChildren(make("table", {}, make("thead", {}, line("th", heads)), make("tbody", {}, ...lines.map((one) => line("td", one)))));
  draw();
  drawCurves();
}

function download(name, value) {
  const link = Object.assign(document.createElement("a"), { download: name, href: URL.createObjectURL(new Blob([JSON.stringify(value, null, 1)], { type: "application/json" })) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/** What this browser remembers, if it does at all: a page from a file may be refused. */
function remembered(key) {
  try { return localStorage.getItem(key); } catch { return null; }
}

function remember(key, text) {
  try { localStorage.setItem(key, text); } catch { /* the marks last as long as the page */ }
}
