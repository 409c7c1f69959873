// @ts-check
/** Elements of the panel. The only module that makes DOM nodes. */
import { STYLE } from "./panel-style.mjs";

const CORNERS = '<svg viewBox="0 0 12 12" width="12" height="12" fill="none" stroke="currentColor" stroke-width="1.5" aria-hidden="true">'
  + '<path d="M1 4V1h3M8 1h3v3M11 8v3H8M4 11H1V8"/></svg>'; // few fonts have the sign

/** An element with attributes, text and children.
 * @param {string} tag
 * @param {Record<string, any>} attributes null, undefined and false are left out
 * @param {(Node | string)[]} children
 * @returns {any} an HTMLElement with what its tag has
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** All parts of a panel, by name, and `content` that holds them. pages, views: keys of the tabs. t: `speaker`.
 * @param {string[]} pageKeys @param {string[]} views @param {Speaker} t
 * @returns {Record<string, any>}
 */
export function parts(pageKeys, views, t) {
  const tabs = views.map((view) => element("button", { type: "button", role: "tab", "data-view": view, title: `${t(`${view}Asks`)} ${t(`${view}Tip`)}`, tabindex: -1 }, t(view)));
  const pages = pageKeys.map((page) => element("button", { type: "button", role: "tab", "data-page": page, title: t(`${page}Tip`), tabindex: -1 }, t(page)));
  /** @type {Record<string, any>} */ const found = {
    tabs,
    pages,
    pageStrip: element("div", { class: "gg-pages", role: "tablist", "aria-label": t("pages") }, ...pages),
    aloud: element("p", { class: "gg-aloud", role: "status" }), // always on the page: what is shown anew is not always read aloud
    strip: element("div", { class: "gg-tabs", role: "tablist", "aria-label": t("views") }, ...tabs),
    second: element("select", { class: "gg-second", "aria-label": t("second"), title: t("second"), hidden: true },
      ...["none", ...views].map((view) => element("option", { value: view }, t(view)))),
    verdict: element("section", { class: "gg-verdict", "aria-label": t("verdict"), hidden: true }),
    sign: element("span", { class: "gg-sign", "aria-hidden": "true" }),
    headline: element("span", { class: "gg-headline", role: "heading", "aria-level": 2 }),
    note: element("p", { class: "gg-note", role: "status" }),
    apply: element("button", { type: "button", class: "gg-apply", hidden: true }),
    again: element("button", { type: "button", class: "gg-apply-again", hidden: true }),
    explain: element("section", { class: "gg-explain", "aria-label": t("why"), hidden: true }),
    why: element("button", { type: "button", class: "gg-why", "aria-expanded": "false", title: t("whyTip") }, t("why")),
    reasons: element("div", { class: "gg-reasons", hidden: true }),
    how: element("button", { type: "button", class: "gg-how", "aria-expanded": "false", title: t("howTip"), hidden: true }, t("how")),
    evidence: element("div", { class: "gg-evidence", hidden: true }),
    asks: element("p", { class: "gg-asks", role: "heading", "aria-level": 3 }),
    facts: element("p", { class: "gg-facts", title: t("valuesTip") }),
    info: element("button", { type: "button", class: "gg-info", "aria-pressed": "false", "aria-label": t("info"), title: t("info") }, "i"),
    says: element("p", { class: "gg-says", hidden: true }),
    main: surface({ class: "gg-figure", role: "tabpanel", "aria-label": t("figure") }),
    beside: surface({ class: "gg-figure", hidden: true }),
    track: surface({ class: "gg-ticks", title: t("ticksTip") }, t("ticksTip")),
    table: element("div", { class: "gg-table", hidden: true, tabindex: 0, "aria-label": t("numbers"), role: "region" }),
    words: element("p", { class: "gg-words", "aria-live": "polite" }),
    play: element("button", { type: "button", class: "gg-play", "aria-label": t("play"), title: t("play") }, "\u25b6"),
    scrub: element("input", { type: "range", min: 0, max: 0, step: 1, value: 0, "aria-label": t("stepLabel") }),
    count: element("output", {}, "\u2013"),
    part: element("select", { "aria-label": t("part"), title: t("part"), hidden: true }),
    sample: element("select", { "aria-label": t("sample"), title: t("sample") }),
    scale: element("input", { type: "range", min: 0, max: 16, step: 0.1, "aria-label": t("scale") }),
    scaleWords: element("output", {}),
    use: element("button", { type: "button", class: "gg-use" }),
    numbers: element("button", { type: "button", "aria-pressed": "false", title: t("numbersTip") }, t("numbers")),
    csv: element("button", { type: "button", title: t("csvTip") }, t("csv")),
    copy: element("button", { type: "button", title: t("copyTip"), hidden: true }, t("copy")),
    svg: element("button", { type: "button", title: t("svgTip") }, t("svg")),
    png: element("button", { type: "button", class: "gg-png" }),
    present: element("button", { type: "button", class: "gg-to-present", title: t("presentTip"), hidden: true }, t("present")),
    full: element("button", { type: "button", class: "gg-full", "aria-label": t("full"), title: t("full"), hidden: !document.fullscreenEnabled }),
  };
  found.full.innerHTML = CORNERS;
  found.main.box.append(found.table);
  found.verdict.append(found.sign, found.headline);
  found.acts = element("div", { class: "gg-acts" }, found.again, found.apply, found.note, found.present);
  found.top = element("div", { class: "gg-top" }, found.verdict, found.acts, found.pageStrip);
  found.explain.append(found.why, found.reasons, found.how, found.evidence);
  found.head = element("div", { class: "gg-head" }, found.strip, found.second);
  found.figures = element("div", { class: "gg-figures" }, found.main.box, found.beside.box);
  const track = element("div", { class: "gg-track" }, found.track.box, found.scrub);
  found.steps = element("div", { class: "gg-row gg-steps" }, found.play, track, found.count);
  const gamma = element("span", { "aria-hidden": "true" }, "\u03b3\u2032");
  found.what = element("div", { class: "gg-row gg-what", hidden: true }, gamma, found.scale, found.scaleWords, found.use);
  const space = element("span", { class: "gg-space" });
  found.files = element("div", { class: "gg-row gg-files" }, found.part, found.sample, space, found.numbers, found.copy, found.csv, found.svg, found.png, found.full);
  found.stage = element("div", { class: "gg-stage" }, found.figures, found.steps);
  const line = element("div", { class: "gg-row gg-line" }, found.facts, found.info);
  found.side = element("div", { class: "gg-side" }, found.asks, line, found.words, found.says, found.what, found.files);
  found.advice = element("div", { class: "gg-advice" });
  const style = element("style", {}, STYLE);
  const inside = [style, found.aloud, found.top, found.head, found.stage, found.side, found.advice, found.explain];
  const whole = { class: "gg-panel", role: "group", "aria-label": t("panel"), tabindex: 0, "data-capture-wheel": "true",
    "data-theme": "dark" };
  found.content = element("div", whole, ...inside);
  return found;
}

/** @type {WeakMap<Element, Record<string, any>>} */ const PUT = new WeakMap(); // element -> what was put there last: to ask the page takes longer than to draw

/** Bring an element in line, writing only what has changed: every write makes the browser look at the page again.
 *
 * Names that the element has are its properties, others attributes; null takes an attribute away. Nobody else may write
 * these, but for a value, which readers change.
 * @param {any} place @param {Record<string, any>} values
 */
export function put(place, values) {
  if (!PUT.has(place)) PUT.set(place, {});
  const last = PUT.get(place) ?? {};
  for (const name in values) {
    const value = values[name];
    if (last[name] === value && !(name === "value" && place.value !== value)) continue;
    last[name] = value;
    write(place, name, value);
  }
}

/** Bring parts in line, by their names.  @param {Record<string, any>} parts @param {Record<string, Record<string, any>>} values */
export function putAll(parts, values) {
  for (const name in values) put(parts[name], values[name]);
}

/** Words change within their text node: a new node would make the browser match the styles of the page anew.
 * @param {any} place @param {string} name @param {any} value
 */
function write(place, name, value) {
  if (name === "textContent") (place.firstChild ?? place.appendChild(document.createTextNode(""))).data = value;
  else if (name in place) place[name] = value;
  else if (value === null) place.removeAttribute(name);
  else place.setAttribute(name, value);
}

/** Hear an event of an element.  @param {HTMLElement} place @param {string} kind @param {(event: any) => void} act @param {object} [options] */
export const listen = (place, kind, act, options) => place.addEventListener(kind, act, options);

/** Where a view draws: a box with a canvas and the words beside the pointer.  label: of a drawing whose words do not change
 * @param {Record<string, any>} attributes @param {?string} [label]
 */
function surface(attributes, label = null) {
  const canvas = element("canvas", { role: "img", "aria-label": label });
  const tip = element("div", { class: "gg-tip", hidden: true });
  return { canvas, tip, box: element("div", attributes, canvas, tip) };
}

/** Fill a table element; the first column holds the step that a row stands for, counted from 1.
 * @param {Element} place
 * @param {any[][]} table
 * @param {(value: any) => any} words
 */
export function fillTable(place, table, words) {
  const [head, ...rows] = table;
  /** @param {any[]} row @param {string} tag */
  const cells = (row, tag) => row.map((value) => element(tag, tag === "th" ? { scope: "col" } : {}, words(value)));
  const lines = rows.map((row) => element("tr", { "data-step": row[0] - 1, tabindex: -1 }, ...cells(row, "td")));
  const body = element("tbody", {}, ...lines);
  place.replaceChildren(element("table", {}, element("thead", {}, element("tr", {}, ...cells(head, "th"))), body));
}

/** Lists of sentences, with a line between two of them.  @param {HTMLElement} place @param {...string[]} lists */
export function fillLists(place, ...lists) {
  /** @param {string[]} lines */
  const list = (lines) => element("ul", {}, ...lines.map((line) => element("li", {}, line)));
  place.replaceChildren(...lists.filter((lines) => lines.length).map(list));
}

/** Mark the chosen row, which the Tab key reaches, and the lit one.
 * @param {any} place @param {number} chosen @param {?number} lit
 */
export function markRows(place, chosen, lit) {
  for (const row of place.querySelectorAll("tr[data-step]")) {
    const step = Number(row.dataset.step);
    row.tabIndex = step === chosen ? 0 : -1;
    row.toggleAttribute("data-lit", step === lit);
    if (step === chosen) row.setAttribute("aria-current", "step");
    else row.removeAttribute("aria-current");
  }
}

/** Let the browser save a file.  @param {Blob} blob @param {string} name */
export function download(blob, name) {
  const address = URL.createObjectURL(blob);
  element("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

/** Say which of some tabs is chosen; the Tab key reaches it alone.  @param {any[]} tabs @param {(tab: any) => boolean} isChosen */
export function markTabs(tabs, isChosen) {
  for (const tab of tabs) {
    const chosen = isChosen(tab);
    put(tab, { "aria-selected": chosen, tabindex: chosen ? 0 : -1 });
  }
}

/** @type {Record<string, number>} */
const TURNS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

/** Arrows go from tab to tab, and choose.  @param {KeyboardEvent} event @param {any[]} tabs */
export function turnTab(event, tabs) {
  const turn = TURNS[event.key];
  if (!turn) return;
  event.preventDefault();
  event.stopPropagation();
  const next = tabs[(tabs.findIndex(({ ariaSelected }) => ariaSelected === "true") + turn + tabs.length) % tabs.length];
  next.click();
  next.focus();
}
