// @ts-check
/** The verdict on the run that is shown: a line with a colour, its reasons, and the buttons that write the number it suggests. */
import { offerControls, verdictControls } from "./panel-controls.mjs";
import { placeName, readersOf } from "./panel-graph.mjs";
import { fillLists, put, putAll } from "./panel-parts.mjs";
import { reasonsOpen } from "./panel-state.mjs";
import { knobOf } from "./run-knobs.mjs";
import { verdictOf, verdictSoFar } from "./verdict.mjs";

export class VerdictView {
  /** @type {?{whole: ?Run, compared: boolean}} */ listed = null; // what the reasons that are listed are of

  /** panel: knows the run, what is tried of it, and where its number is set.  @param {InspectorPanel} panel */
  constructor(panel) {
    this.panel = panel;
  }

  /** It may come before the record. */
  verdict() {
    const { run, whole, state, editor, t } = this.panel;
    if (!run || state.trouble) return null;
    return verdictOf(whole, editor.locale()) ?? verdictSoFar(whole, this.panel.earlier()?.report?.range ?? null, t);
  }

  get isOpen() {
    return reasonsOpen(this.panel.choices, this.panel.host.clientWidth);
  }

  draw() {
    const { panel } = this;
    const { parts, whole, choices, advice, tries } = panel;
    const verdict = this.verdict();
    putAll(parts, verdictControls(verdict, Boolean(whole?.report), this.isOpen, choices.deep));
    if (choices.page === "advice") advice.draw(verdict && panel.judged());
    if (panel.offersTries) tries.draw();
    put(parts.present, { hidden: choices.page !== "advice" || !verdict || panel.shareable().columns.length < 2 });
    if (verdict) this.explain(verdict);
    this.offer(verdict ? this.offered : null);
  }

  /** Why, in three sentences; below them how that is known.  @param {any} verdict */
  explain({ why, errand, reasons, findings }) {
    const { whole, parts, occupied, advice } = this.panel;
    const compared = occupied || advice.isThere; // with a picture at another scale
    if (this.listed?.whole === whole && this.listed?.compared === compared) return;
    this.listed = { whole, compared };
    fillLists(parts.reasons, why.filter((/** @type {string} */ line) => !compared || line !== errand));
    fillLists(parts.evidence, reasons.filter((/** @type {string} */ line) => !why.includes(line)), findings);
  }

  /** The number that can be taken: the suggested one, or the one that was seen beside the run's own.  @returns {?number} */
  get offered() {
    const { whole, choices, advice } = this.panel;
    const seen = choices.page === "advice" && advice.isThere && !advice.isKept ? advice.value : null;
    return verdictOf(whole)?.suggested ?? seen;
  }

  /** The buttons that write a number, where there is a node that takes it, and none of what is tried says so by itself.
   * @param {?number} value
   */
  offer(value) {
    const { panel } = this;
    const root = panel.editor.root();
    const [source, knob] = [panel.knobSource(), knobOf(panel.whole)];
    const isWritten = value !== null && Boolean(source?.widget) && !panel.tryouts.takesValueOf(knob);
    const readers = isWritten && source ? readersOf(root, source).map(({ node }) => placeName(root, node, panel.t)) : [];
    putAll(panel.parts, offerControls(isWritten ? value : null, knob.name, readers, Boolean(panel.judged()), panel.t));
  }
}
