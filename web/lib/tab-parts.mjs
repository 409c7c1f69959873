// @ts-check
/** Elements of the Guidance tab around the panel: the bar above it, and what is said while there is no run. */
import { element, put } from "./panel-parts.mjs";
import { nameOf, slotOf } from "./tab-runs.mjs";
import { verdictOf } from "./verdict.mjs";

/** All parts, by name: bar, the switch and the chooser in it, and the page without a run. t: `speaker`.
 * @param {Speaker} t
 */
export function tabParts(t) {
  const toggle = element("input", { type: "checkbox", role: "switch" });
  /** @type {Record<string, any>} */ const found = {
    toggle,
    label: element("label", { class: "gg-switch", title: t("recordTip") }, toggle, t("record")),
    runs: element("select", { class: "gg-runs", "aria-label": t("runs"), title: t("runs") }),
    keep: element("button", { type: "button", class: "gg-keep", title: t("keepTip") }, t("keep")),
    said: element("p", { class: "gg-said", role: "status" }),
    begin: element("button", { type: "button", class: "gg-begin", title: t("beginTip"), hidden: true }, t("begin")),
    rows: new Rows(t),
    fresh: element("button", { type: "button", class: "gg-fresh", title: t("freshTip"), hidden: true }, t("fresh")),
  };
  found.bar = element("div", { class: "gg-bar" }, found.label, found.runs, found.keep, found.said, found.begin, found.fresh);
  return found;
}

/** Offer runs: [{value, words}], one chosen.
 * @param {HTMLSelectElement} select @param {any[]} options @param {any} chosen
 */
export function offer(select, options, chosen) {
  const key = JSON.stringify(options);
  if (select.dataset.key !== key) {
    select.dataset.key = key;
    select.replaceChildren(...options.map(({ value, words }) => element("option", { value }, words)));
  }
  put(select, { value: chosen, hidden: !options.length });
}

const LEAST = 2; // samplers that are worth a list

/** Every sampler in a row of its own, where there are several: what is said of its run, or why it has none. */
class Rows {
  /** @param {Speaker} t */
  constructor(t) {
    this.box = element("div", { class: "gg-rows", role: "group", "aria-label": t("samplers"), hidden: true });
    this.choose = (/** @type {?string} */ _slot) => {};
    this.box.addEventListener("click", (/** @type {any} */ { target }) => {
      const row = target.closest("[data-slot]");
      if (row) this.choose(row.dataset.slot);
    });
  }

  /** samplers: as `Tab.samplers`. tab: knows what is said of a run, and which one is shown.
   * @param {any[]} samplers @param {GuidanceTab} tab @param {Speaker} t @param {string} locale
   */
  fill(samplers, tab, t, locale) {
    const shown = tab.choice();
    const rows = samplers.length < LEAST ? [] : samplers.map((sampler) => rowOf(sampler, tab, t, locale));
    put(this.box, { hidden: !rows.length });
    if (this.box.childElementCount !== rows.length) this.box.replaceChildren(...rows.map(emptyRow));
    rows.forEach(({ slot, colour, sign, name, words }, place) => {
      const row = this.box.children[place]; // it stays: a click on a row that is replaced while the button is down would be lost
      const texts = [sign, name, words];
      put(row, { "data-slot": slot, "data-colour": colour, title: words, disabled: !slot });
      texts.forEach((textContent, part) => put(row.children[part], { textContent }));
    });
    for (const row of this.box.children) row.setAttribute("aria-pressed", String(Boolean(shown) && row.dataset.slot === slotOf(shown)));
  }
}

/** A row that says nothing yet. */
const emptyRow = () => element("button", { type: "button", class: "gg-one" },
  element("span", { class: "gg-sign", "aria-hidden": "true" }), element("span", { class: "gg-who" }), element("span", { class: "gg-brief" }));

/** What a row says of a sampler: {slot: of its run, colour, sign, name, words}.
 * @param {{id: string, title: any, state: any, run: any}} sampler @param {GuidanceTab} tab @param {Speaker} t
 * @param {string} locale
 */
function rowOf({ id, title, state, run }, tab, t, locale) {
  if (!run) return { slot: null, colour: null, sign: "", name: `${title} (${id})`, words: t(`state_${state}`) };
  const name = nameOf(run, { stages: null, elements: tab.elements(run), unchanged: tab.unchanged }, t);
  if (state === "muted") return { slot: slotOf(run), colour: null, sign: "", name, words: t("state_muted") };
  const { colour = null, sign = "", headline = "" } = verdictOf({ report: tab.reports.get(run.run) }, locale) ?? {};
  return { slot: slotOf(run), colour, sign, name, words: headline };
}
