/** Elements of the panel. The only module that makes DOM nodes. */
import { STYLE } from "./panel-style.mjs";

/** An element with attributes, text and children. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** All parts of a panel, by name, and `content` that holds them. views: keys of the tabs. t: `speaker`. */
export function parts(views, t) {
  const tabs = views.map((view) => element("button", { type: "button", role: "tab", "data-view": view, tabindex: -1 }, t(view)));
  const found = {
    tabs,
    strip: element("div", { class: "gg-tabs", role: "tablist", "aria-label": t("views") }, ...tabs),
    canvas: element("canvas", { role: "img" }),
    tip: element("div", { class: "gg-tip", hidden: true }),
    table: element("div", { class: "gg-table", hidden: true, tabindex: 0 }),
    words: element("p", { class: "gg-words", "aria-live": "polite" }),
    play: element("button", { type: "button", class: "gg-play", "aria-label": t("play"), title: t("play") }, "\u25b6"),
    scrub: element("input", { type: "range", min: 0, max: 0, step: 1, value: 0, "aria-label": t("step") }),
    count: element("output", {}, "\u2013"),
    sample: element("select", { "aria-label": t("sample"), title: t("sample") }),
    scale: element("input", { type: "range", min: 0, max: 16, step: 0.1, "aria-label": t("scale") }),
    scaleWords: element("output", {}),
    use: element("button", { type: "button", class: "gg-use" }),
    numbers: element("button", { type: "button", "aria-pressed": "false", title: t("numbersTip") }, t("numbers")),
    csv: element("button", { type: "button", title: t("csvTip") }, t("csv")),
    svg: element("button", { type: "button", title: t("svgTip") }, t("svg")),
    png: element("button", { type: "button", title: t("pngTip") }, t("png")),
  };
  found.box = element("div", { class: "gg-figure", role: "tabpanel" }, found.canvas, found.table, found.tip);
  found.steps = element("div", { class: "gg-row" }, found.play, found.scrub, found.count);
  const gamma = element("span", { "aria-hidden": "true" }, "\u03b3\u2032");
  found.what = element("div", { class: "gg-row gg-what", hidden: true }, gamma, found.scale, found.scaleWords, found.use);
  const space = element("span", { class: "gg-space" });
  found.files = element("div", { class: "gg-row gg-files" }, found.sample, space, found.numbers, found.csv, found.svg, found.png);
  const style = element("style", {}, STYLE);
  const inside = [style, found.strip, found.box, found.words, found.steps, found.what, found.files];
  const whole = { class: "gg-panel", role: "group", "aria-label": t("panel"), tabindex: 0, "data-capture-wheel": "true",
    "data-theme": "dark" };
  found.content = element("div", whole, ...inside);
  return found;
}

/** Fill a table element. current: the value of the first column whose row is marked. */
export function fillTable(place, [head, ...rows], current, words) {
  const cells = (row, tag) => row.map((value) => element(tag, tag === "th" ? { scope: "col" } : {}, words(value)));
  const lines = rows.map((row) =>
    element("tr", row[0] === current ? { "aria-current": "step" } : {}, ...cells(row, "td")));
  const body = element("tbody", {}, ...lines);
  place.replaceChildren(element("table", {}, element("thead", {}, element("tr", {}, ...cells(head, "th"))), body));
}

/** Let the browser save a file. */
export function download(blob, name) {
  const address = URL.createObjectURL(blob);
  element("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}
