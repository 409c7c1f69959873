// @ts-check
/** Elements of the Guidance tab around the panel: the bar above it, and what is said while there is no run. */
import { element, put } from "./panel-parts.mjs";

/** All parts, by name: bar, the switch and the chooser in it, and the page without a run. t: `speaker`. */
export function tabParts(t) {
  const toggle = element("input", { type: "checkbox", role: "switch" });
  const found = {
    toggle,
    label: element("label", { class: "gg-switch", title: t("recordTip") }, toggle, t("record")),
    runs: element("select", { class: "gg-runs", "aria-label": t("runs"), title: t("runs") }),
    keep: element("button", { type: "button", class: "gg-keep", title: t("keepTip") }, t("keep")),
    said: element("p", { class: "gg-said", role: "status" }),
    begin: element("button", { type: "button", class: "gg-begin", title: t("beginTip"), hidden: true }, t("begin")),
    fresh: element("button", { type: "button", class: "gg-fresh", title: t("freshTip"), hidden: true }, t("fresh")),
  };
  found.bar = element("div", { class: "gg-bar" }, found.label, found.runs, found.keep, found.said, found.begin, found.fresh);
  return found;
}

/** Offer runs: [{value, words}], one chosen. */
export function offer(select, options, chosen) {
  const key = JSON.stringify(options);
  if (select.dataset.key !== key) {
    select.dataset.key = key;
    select.replaceChildren(...options.map(({ value, words }) => element("option", { value }, words)));
  }
  put(select, { value: chosen, hidden: !options.length });
}
