// @ts-check
/** The pair of pictures on the page Advice: the run as it is and the same noise at another scale, seed by seed. */
import { LEAST, saidOf } from "./advice.mjs";
import { PairFrame } from "./pair-frame.mjs";
import { element, put } from "./panel-parts.mjs";
import { knobOf } from "./run-knobs.mjs";
import { shotsOf } from "./shots.mjs";
import { scaleToSee, verdictOf } from "./verdict.mjs";
import { nth, number } from "./words.mjs";

export class AdviceView {
  /** @type {any} */ about = null; // as `Advice` takes it
  isThere = false; // a picture at the other scale
  isKept = false; // the run's own value was liked more
  at = 0; // row that is shown large

  /** panel: says which run is judged, in which language, and has the place for the pair.
   * @param {InspectorPanel} panel
   */
  constructor(panel) {
    this.panel = panel;
    const { t } = panel;
    this.own = new PairFrame(panel.editor, t);
    this.other = new PairFrame(panel.editor, t);
    this.see = element("button", { type: "button", class: "gg-see", title: t("seeTip") });
    this.see.addEventListener("click", () => panel.editor.advice.see(this.about, this.value));
    this.state = element("span", { class: "gg-waiting", role: "status" });
    this.other.box.append(this.see, this.state);
    this.pair = element("div", { class: "gg-shelf gg-pair", style: "--gg-frames: 2" }, this.own.box, this.other.box);
    this.seeds = element("div", { class: "gg-seeds", role: "group", "aria-label": t("seeds") });
    for (const kind of ["click", "pointerover", "focusin"]) this.seeds.addEventListener(kind, (/** @type {any} */ event) => this.enlargeAt(event));
    this.own.flicker.listen(this.seeds, (event) => this.enlargeAt(event));
    this.keep = element("button", { type: "button", class: "gg-keep-own", hidden: true });
    this.keep.addEventListener("click", () => this.keepOwn());
    panel.parts.apply.before(this.keep);
    this.line = element("p", { class: "gg-strange", role: "status" });
    this.note = element("p", { class: "gg-means" });
    this.box = element("div", { class: "gg-seen" }, element("div", { class: "gg-both" }, this.seeds, this.pair), this.line, this.note);
    panel.parts.advice.append(this.box);
  }

  /** about: as `Advice` takes it; null where nothing is judged.  @param {any} about */
  draw(about) {
    const { panel, own, other } = this;
    const { editor, t } = panel;
    const { advice } = editor;
    Object.assign(this, { about, isThere: false, isKept: false });
    put(this.box, { hidden: !about || !advice || panel.occupied });
    put(this.keep, { hidden: true });
    if (this.box.hidden) return;
    const { record, run } = about;
    put(this.pair, { hidden: false });
    if (run.live && !record.report) return this.drawLive(run.node, record);
    const known = advice.pairOf(run.run);
    const advised = panel.canTry() ? scaleToSee(record.report) : null;
    this.value = advised ?? known?.value ?? null;
    const pair = known?.value === this.value ? known : null;
    const rows = pair?.rows ?? [];
    Object.assign(this, { isThere: rows.length > 0, isKept: Boolean(pair?.kept) });
    this.at = Math.min(this.at, Math.max(0, rows.length - 1));
    this.drawSeeds(rows, pair);
    const [line, note] = saidOf(pair, t);
    put(this.line, { textContent: line, hidden: !line });
    put(this.note, { textContent: note, hidden: !note });
    const [knob, row] = [knobOf(record), rows[this.at] ?? []];
    const words = [Number.isFinite(knob.value) ? t("asItIs", { knob: knob.name, value: number(knob.value) }) : "", t("asAdvised", { knob: knob.name, value: number(this.value) })];
    own.fill(this.pair, row.length ? row : [{ found: { shots: advice.picturesOf(about), record } }], words);
    put(other.box, { hidden: this.value === null });
    if (this.value === null) return other.fill(this.pair, [], ["", ""]);
    other.fill(this.pair, [...row].reverse(), [...words].reverse());
    const facts = { knob: knob.name, value: number(knob.value), other: number(this.value) };
    const keeps = this.isKept ? "takeBack" : "keepOwn";
    put(this.keep, { hidden: !this.isThere, textContent: t(keeps, facts), title: t(`${keeps}Tip`, facts) });
    const card = pair?.cards.find((/** @type {any} */ candidate) => candidate.cfg === pair.value);
    put(this.see, { hidden: this.isThere || Boolean(card && card.state !== "failed"), textContent: t("see", { knob: knob.name, value: number(this.value) }) });
    put(this.state, { textContent: this.isThere ? "" : stateOf(pair, card, t) });
  }

  /** A row for each seed, a column for each value.  @param {any[]} rows @param {?TryAdvice} pair */
  drawSeeds(rows, pair) {
    const { seeds, panel } = this;
    put(seeds, { hidden: rows.length < 2 });
    const key = JSON.stringify(rows.map((row) => row.map((/** @type {{found: any, i: number}} */ { found, i }) => [found.run, i])));
    if (seeds.dataset.key !== key) {
      seeds.dataset.key = key;
      seeds.style.setProperty("--gg-rows", String(Math.max(rows.length, LEAST))); // each has its place before it comes
      /** @param {{found: any, i: number}} shot */
      const picture = ({ found, i }) => shotsOf(panel.editor, found, "")[i];
      const head = element("div", { class: "gg-heads" }, ...(pair?.cards ?? []).map(({ cfg }) => element("span", {}, number(cfg))));
      seeds.replaceChildren(head, ...rows.map((row, i) => element("button", { type: "button", class: "gg-seed", "data-row": i, "aria-label": panel.t("seedOf", { i: nth(i), n: rows.length }) }, ...row.map(picture))));
    }
    for (const button of seeds.querySelectorAll("[data-row]")) button.setAttribute("aria-pressed", String(Number(button.dataset.row) === this.at));
  }

  /** The pair of a seed, from which an event comes; returns whether there is one.  @param {any} event */
  enlargeAt({ target }) {
    const row = target.closest("[data-row]");
    if (row && Number(row.dataset.row) !== this.at) {
      this.at = Number(row.dataset.row);
      this.draw(this.about);
    }
    return Boolean(row);
  }

  /** The run's own value is liked more than the one beside it, or that is taken back; stored at once. */
  async keepOwn() {
    const { panel, about } = this;
    const { tryouts, tries, t } = panel;
    const pair = panel.editor.advice.pairOf(about.run.run);
    pair.kept = pair.kept ? await tryouts.takeBack(pair.kept) : await tryouts.prefer(.../** @type {[number, number]} */ (pair.cards.map((/** @type {Card} */ { cfg }) => cfg)), pair.knob);
    const range = tryouts.range();
    panel.set({ note: tryouts.unkept ? t(tryouts.unkept) : pair.kept && range ? tries.named("rangeWords", range) : "" });
  }

  /** What is shown, for others: {headline, lines, tone: colour of a verdict, values: [{name, shots}], columns: as numbers, name:
   * of the knob, own: its value in the run, curve}.
   */
  shareable() {
    const { panel, about, own } = this;
    const pair = this.isThere ? panel.editor.advice.pairOf(about.run.run) : null;
    const said = pair?.isDone ? saidOf(pair, panel.t).filter(Boolean) : [];
    const rows = [...this.seeds.querySelectorAll("[data-row]")];
    const { name, value } = knobOf(about?.record ?? panel.whole);
    const columns = pair ? pair.cards.map((/** @type {{cfg: number}} */ { cfg }) => cfg) : [];
    const values = pair ? columns.map((/** @type {number} */ cfg, /** @type {number} */ k) => ({ name: `${name} ${number(cfg)}`, shots: rows.map((row) => row.children[k]) })) : [{ name: "", shots: [...own.shots.children] }];
    const { headline, why = [], colour } = verdictOf(about?.record ?? panel.whole, panel.editor.locale()) ?? {};
    const [first, ...lines] = said.length ? said : [headline ?? "", ...why];
    return { headline: first, lines, tone: said.length ? null : colour, values, columns, name, own: value, curve: null };
  }

  /** While a run goes: the host's preview of it, else the picture of the run before.
   * @param {string} node @param {any} live
   */
  drawLive(node, live) {
    const { panel, own, other } = this;
    const { editor, t } = panel;
    const { run, record } = panel.earlier() ?? {};
    const preview = editor.advice.previewOf(node);
    for (const box of [other.box, this.seeds, this.line, this.note]) put(box, { hidden: true });
    if (preview) return own.fill(this.pair, [{ found: { shots: [preview] } }], [t("preview", { i: nth(live.steps.at(-1)?.i ?? -1), n: live.n })]);
    put(this.pair, { hidden: !record });
    return own.fill(this.pair, [record ? { found: { shots: editor.advice.picturesOf({ run }), record } } : null], [t("runBefore")]);
  }
}

/** What stands in the empty frame.  @param {any} pair @param {any} card @param {Speaker} t */
function stateOf(pair, card, t) {
  const { trouble } = pair ?? {};
  if (trouble) return t(trouble.key, { knob: pair.knob.name, node: trouble.node ? `${trouble.node.title ?? trouble.node.type} (${trouble.node.id})` : "" });
  if (pair && !card) return t("seeing");
  /** @type {Record<string, string>} */ const words = { waiting: t("seeing"), failed: t("unseen") };
  return words[card?.state] ?? "";
}
