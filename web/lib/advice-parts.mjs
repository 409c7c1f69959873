// @ts-check
/** The pair of pictures on the page Advice: the run as it is, and the same noise at the advised scale. */
import { element, put } from "./panel-parts.mjs";
import { knobOf } from "./run-knobs.mjs";
import { fillShots, shotsOf } from "./shots.mjs";
import { scaleToSee } from "./verdict.mjs";
import { nth, number } from "./words.mjs";

export class AdviceView {
  isThere = false; // the picture at the advised scale

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
    panel.parts.advice.append(this.pair);
  }

  /** about: as `Advice` takes it; null where nothing is judged. */
  draw(about) {
    const { panel, own, other } = this;
    const { editor, t } = panel;
    const { advice } = editor;
    this.isThere = false;
    put(this.pair, { hidden: !about || !advice || panel.occupied });
    if (this.pair.hidden) return;
    this.about = about;
    const { record, run } = about;
    if (run.live && !record.report) return this.drawLive(run.node, record);
    const pair = advice.pairOf(run.run);
    const advised = panel.canTry() ? scaleToSee(record.report) : null;
    this.value = advised ?? pair?.value ?? null;
    const knob = knobOf(record);
    const words = Number.isFinite(knob.value) ? t("asItIs", { knob: knob.name, value: number(knob.value) }) : "";
    this.fill(own, { shots: advice.picturesOf(about), record }, words);
    put(other.box, { hidden: this.value === null });
    if (this.value === null) return this.fill(other, null, "");
    const card = pair && pair.value === this.value ? pair.cards.find((one) => one.cfg === pair.value) : null;
    this.isThere = card?.state === "there";
    this.fill(other, this.isThere ? card : null, t("asAdvised", { knob: knob.name, value: number(this.value) }));
    put(this.see, { hidden: Boolean(card && card.state !== "failed"), textContent: t("see", { knob: knob.name, value: number(this.value) }) });
    put(this.state, { textContent: stateOf(pair, card, t) });
  }

  /** While a run goes: the host's preview of it, else the picture of the run before. */
  drawLive(node, live) {
    const { panel, own, other } = this;
    const { editor, t } = panel;
    const { run, record } = panel.earlier() ?? {};
    const preview = editor.advice.previewOf(node);
    put(other.box, { hidden: true });
    if (preview) return this.fill(own, { shots: [preview] }, t("preview", { i: nth(live.steps.at(-1)?.i ?? -1), n: live.n }));
    put(this.pair, { hidden: !record });
    return this.fill(own, record ? { shots: editor.advice.picturesOf({ run }), record } : null, t("runBefore"));
  }

  /** found: {shots, record}, null for nothing yet; pictures are made anew only where they are others. */
  fill({ name, shots }, found, words) {
    put(name, { textContent: words });
    const key = JSON.stringify([found?.shots?.map(({ filename }) => filename) ?? null, found?.record?.pictures?.steps?.at(-1)?.filename ?? null]);
    if (shots.dataset.key === key) return;
    shots.dataset.key = key;
    fillShots(shots, this.pair, found ? shotsOf(this.panel.editor, found, words) : []);
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
