// @ts-check
/** The pair of pictures on the page Advice: the run as it is and the same noise at another scale, seed by seed. */
import { LEAST, saidOf } from "./advice.mjs";
import { element, put } from "./panel-parts.mjs";
import { knobOf } from "./run-knobs.mjs";
import { fillShots, shotsOf } from "./shots.mjs";
import { scaleToSee } from "./verdict.mjs";
import { nth, number } from "./words.mjs";

export class AdviceView {
  isThere = false; // a picture at the other scale
  at = 0; // row that is shown large

  /** panel: says which run is judged, in which language, and has the place for the pair. */
  constructor(panel) {
    this.panel = panel;
    const { t } = panel;
    this.own = frame();
    this.other = frame();
    this.see = element("button", { type: "button", class: "gg-see", title: t("seeTip") });
    this.see.addEventListener("click", () => panel.editor.advice.see(this.about, this.value));
    this.state = element("span", { class: "gg-waiting", role: "status" });
    this.other.box.append(this.see, this.state);
    this.pair = element("div", { class: "gg-shelf gg-pair", style: "--gg-frames: 2" }, this.own.box, this.other.box);
    this.seeds = element("div", { class: "gg-seeds", role: "group", "aria-label": t("seeds") });
    for (const kind of ["click", "pointerover", "focusin"]) this.seeds.addEventListener(kind, ({ target }) => this.enlarge(target.closest("[data-row]")));
    this.line = element("p", { class: "gg-strange", role: "status" });
    this.note = element("p", { class: "gg-means" });
    this.box = element("div", { class: "gg-seen" }, element("div", { class: "gg-both" }, this.seeds, this.pair), this.line, this.note);
    panel.parts.advice.append(this.box);
  }

  /** about: as `Advice` takes it; null where nothing is judged. */
  draw(about) {
    const { panel, own, other } = this;
    const { editor, t } = panel;
    const { advice } = editor;
    this.isThere = false;
    put(this.box, { hidden: !about || !advice || panel.occupied });
    if (this.box.hidden) return;
    this.about = about;
    const { record, run } = about;
    put(this.pair, { hidden: false });
    if (run.live && !record.report) return this.drawLive(run.node, record);
    const known = advice.pairOf(run.run);
    const advised = panel.canTry() ? scaleToSee(record.report) : null;
    this.value = advised ?? known?.value ?? null;
    const pair = known?.value === this.value ? known : null;
    const rows = pair?.rows ?? [];
    this.isThere = rows.length > 0;
    this.at = Math.min(this.at, Math.max(0, rows.length - 1));
    this.drawSeeds(rows, pair);
    const [line, note] = saidOf(pair, t);
    put(this.line, { textContent: line, hidden: !line });
    put(this.note, { textContent: note, hidden: !note });
    const [knob, row] = [knobOf(record), rows[this.at]];
    const words = Number.isFinite(knob.value) ? t("asItIs", { knob: knob.name, value: number(knob.value) }) : "";
    this.fill(own, row?.[0] ?? { found: { shots: advice.picturesOf(about), record } }, words);
    put(other.box, { hidden: this.value === null });
    if (this.value === null) return this.fill(other, null, "");
    const card = pair?.cards.find((one) => one.cfg === pair.value);
    this.fill(other, row?.[1] ?? null, t("asAdvised", { knob: knob.name, value: number(this.value) }));
    put(this.see, { hidden: this.isThere || Boolean(card && card.state !== "failed"), textContent: t("see", { knob: knob.name, value: number(this.value) }) });
    put(this.state, { textContent: this.isThere ? "" : stateOf(pair, card, t) });
  }

  /** A row for each seed, a column for each value. */
  drawSeeds(rows, pair) {
    const { seeds, panel } = this;
    put(seeds, { hidden: rows.length < 2 });
    const key = JSON.stringify(rows.map((row) => row.map(({ found, i }) => [found.run, i])));
    if (seeds.dataset.key !== key) {
      seeds.dataset.key = key;
      seeds.style.setProperty("--gg-rows", String(Math.max(rows.length, LEAST))); // each has its place before it comes
      const picture = ({ found, i }) => shotsOf(panel.editor, found, "")[i];
      const head = element("div", { class: "gg-heads" }, ...(pair?.cards ?? []).map(({ cfg }) => element("span", {}, number(cfg))));
      seeds.replaceChildren(head, ...rows.map((row, i) => element("button", { type: "button", class: "gg-seed", "data-row": i, "aria-label": panel.t("seedOf", { i: nth(i), n: rows.length }) }, ...row.map(picture))));
    }
    for (const one of seeds.querySelectorAll("[data-row]")) one.setAttribute("aria-pressed", String(Number(one.dataset.row) === this.at));
  }

  enlarge(row) {
    if (!row || Number(row.dataset.row) === this.at) return;
    this.at = Number(row.dataset.row);
    this.draw(this.about);
  }

  /** While a run goes: the host's preview of it, else the picture of the run before. */
  drawLive(node, live) {
    const { panel, own, other } = this;
    const { editor, t } = panel;
    const { run, record } = panel.earlier() ?? {};
    const preview = editor.advice.previewOf(node);
    for (const one of [other.box, this.seeds, this.line, this.note]) put(one, { hidden: true });
    if (preview) return this.fill(own, { found: { shots: [preview] } }, t("preview", { i: nth(live.steps.at(-1)?.i ?? -1), n: live.n }));
    put(this.pair, { hidden: !record });
    return this.fill(own, record ? { found: { shots: editor.advice.picturesOf({ run }), record } } : null, t("runBefore"));
  }

  /** shown: {found: as `shotsOf` takes it, i: the one picture of it that is shown, all without}, null for nothing yet.
   *
   * Pictures are made anew only where they are others.
   */
  fill({ name, shots }, shown, words) {
    put(name, { textContent: words });
    const { found = null, i = null } = shown ?? {};
    const key = JSON.stringify([found?.shots?.map(({ filename }) => filename) ?? null, found?.record?.pictures?.steps?.at(-1)?.filename ?? null, i]);
    if (shots.dataset.key === key) return;
    shots.dataset.key = key;
    const pictures = found ? shotsOf(this.panel.editor, found, words) : [];
    fillShots(shots, this.pair, i === null ? pictures : pictures.slice(i, i + 1));
  }
}

function frame() {
  const [name, shots] = [element("figcaption", { class: "gg-name" }), element("div", { class: "gg-shots" })];
  return { box: element("figure", { class: "gg-frame" }, shots, name), name, shots };
}

/** What stands in the empty frame. */
function stateOf(pair, card, t) {
  const { trouble } = pair ?? {};
  if (trouble) return t(trouble.key, { knob: pair.knob.name, node: trouble.node ? `${trouble.node.title ?? trouble.node.type} (${trouble.node.id})` : "" });
  if (pair && !card) return t("seeing");
  return { waiting: t("seeing"), failed: t("unseen") }[card?.state] ?? "";
}
