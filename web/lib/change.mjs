// @ts-check
/** A run that is older than the numbers in the graph: what changed since, and the way back. */
import { element, put } from "./panel-parts.mjs";
import { ALIKE, placeName } from "./panel-graph.mjs";
import { knobsOf } from "./run-knobs.mjs";
import { number } from "./words.mjs";

/** What a person changed of a knob since a run: {knob, node, widget, was, now}; null where its widget says what the run had.
 *
 * Nothing is remembered: undo, another hand and a reload are told alike.  source: as `scaleSource` finds it
 * @param {?Run} run @param {any} knob @param {?Source} source
 */
export function changeSince(run, knob, source) {
  const byHand = (source?.beside ?? []).every(({ widget, value }) => widget.value === value);
  const [was, now] = [knob.value, byHand ? source?.widget?.value : undefined]; // what a preset makes is not known here
  if (!run || !source || run.live || run.stages || !Number.isFinite(was) || !Number.isFinite(now)) return null;
  return Math.abs(now - was) > ALIKE * Math.max(1, Math.abs(was)) ? { ...source, knob: knob.name, was, now } : null;
}

/** The line that says so on a panel. */
export class ChangeLine {
  /** @param {InspectorPanel} panel */
  constructor(panel) {
    this.panel = panel;
    const { t } = panel;
    /** @param {string} name @param {() => void} act */
    const button = (name, act) => {
      const made = element("button", { type: "button", class: `gg-${name}`, title: t(`${name}Tip`) }, t(name));
      made.addEventListener("click", act);
      return made;
    };
    this.words = element("span", { class: "gg-changed-words" });
    this.show = button("showNode", () => this.change && panel.editor.show(this.change.node));
    this.back = button("back", () => this.change && panel.editor.write(this.change, this.change.was));
    this.box = element("div", { class: "gg-changed gg-row", role: "status" }, this.words, this.show, this.back);
  }

  draw() {
    const { panel } = this;
    const { t } = panel;
    const changes = knobsOf(panel.whole).map((knob) => changeSince(panel.whole, knob, panel.sourceOf(knob)));
    this.change = changes.find(Boolean) ?? null;
    put(this.box, { "data-idle": this.change ? null : "" }); // stays on the page: what appears with its words is not read aloud
    put(panel.parts.verdict, { "data-before": this.change ? "" : null });
    if (!this.change) return put(this.words, { textContent: "" });
    const { knob, node, was, now } = this.change;
    const place = placeName(panel.editor.root(), node, t);
    put(this.words, { textContent: t("changed", { knob, node: place, was: number(was), now: number(now) }) });
    put(this.back, { textContent: t("back", { was: number(was) }) });
  }
}
