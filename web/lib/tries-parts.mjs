// @ts-check
/** What a panel shows of runs at other scales: a row of pictures that can be judged, what is known, and what to do. */
import { download, element, put } from "./panel-parts.mjs";
import { curvePlot, leftOf, RIGHT } from "./curve-plot.mjs";
import { canMeasure, costOf, PICTURES, valuesFor } from "./measure-model.mjs";
import { offer } from "./tab-parts.mjs";
import { runAgain } from "./run-again.mjs";
import { halfValue, knobName, triableKnobs } from "./run-knobs.mjs";
import { fillShots, shotsOf } from "./shots.mjs";
import { verdictOf } from "./verdict.mjs";
import { number, sentenceIn, span } from "./words.mjs";

const MORE = "help.more"; // what a report says where there are too few pictures to tell
const LONG = 8; // letters of a name that stands on a narrow picture
const MOST_SHOWN = 4; // pictures of a card

export class TriesView {
  /** panel: speaks, and has the place for them.  @param {InspectorPanel} panel */
  constructor(panel) {
    this.panel = panel;
    this.t = panel.t;
    const { t } = this;
    /** @param {string} name @param {() => void} act */
    const button = (name, act) => {
      const made = element("button", { type: "button", class: `gg-${name}`, title: t(`${name}Tip`) }, t(name));
      made.addEventListener("click", act);
      return made;
    };
    this.find = button("find", () => this.open("range", () => this.tryouts.openRange()));
    this.half = button("half", () => this.open("half", () => this.tryouts.openHalf()));
    this.measure = button("measureModel", () => this.open("measure", () => (this.addsPictures ? this.tryouts.addPictures() : this.tryouts.openMeasure())));
    this.halt = button("halt", () => this.tryouts.tries.halt());
    this.again = button("again", () => this.tryouts.tryAgain());
    this.ask = button("ask", () => this.tryouts.tries.judgeChooses());
    this.forget = button("forget", () => this.tryouts.forgetPicks());
    this.save = button("save", () => download(new Blob([`${JSON.stringify(this.tryouts.stored, null, 1)}\n`], { type: "application/json" }), "picks.json"));
    this.take = button("take", () => this.apply());
    this.takeAgain = button("takeAgain", () => this.applyAgain());
    this.files = element("input", { type: "file", accept: "image/*", multiple: true, hidden: true });
    this.files.addEventListener("change", () => this.askAbout());
    this.mine = button("mine", () => this.files.click());
    this.close = button("close", () => this.tryouts.close());
    this.cards = element("div", { class: "gg-shelf gg-cards", role: "group", "aria-label": t("find") });
    this.words = element("p", { class: "gg-tried", role: "status" });
    this.which = element("select", { class: "gg-knob", "aria-label": t("knobTip"), title: t("knobTip") });
    this.which.addEventListener("change", () => this.tryouts.chooseKnob(this.which.value));
    const row = element("div", { class: "gg-row" }, this.which, this.words, this.takeAgain, this.take, this.ask, this.halt, this.again, this.mine, this.files, this.forget, this.save, this.close);
    this.curve = element("div", { class: "gg-curve", hidden: true });
    this.box = element("div", { class: "gg-tries", hidden: true }, row, this.curve, this.cards);
    /** @type {{card: Card, box: any, name: any, shots: any}[]} */ this.drawn = [];
    panel.parts.apply.after(this.measure, this.half, this.find);
    panel.parts.advice.append(this.box);
  }

  /** The panel's, which may be another's that it has replaced. */
  get tryouts() {
    return this.panel.tryouts;
  }

  /** The buttons stand beside the figures, too, and what they open on the first page.
   * @param {string} kind @param {() => void} act
   */
  open(kind, act) {
    const { panel, tryouts } = this;
    const seen = panel.choices.page === "advice";
    if (!seen) panel.choosePage("advice");
    if (seen || tryouts.opened !== kind) act();
  }

  /** Whether so few pictures were measured that a click makes more of them at once. */
  get addsPictures() {
    return this.needsMore && this.tryouts.opened !== "measure";
  }

  draw() {
    const { tryouts, t } = this;
    const { tries, opened } = tryouts;
    const { run, record } = tryouts.owner.judged() ?? {};
    tryouts.askStored();
    const [knob, range] = [tryouts.knob(), tryouts.range()];
    const ready = Boolean(run && !run.live && !run.ended && record);
    put(this.find, { hidden: !ready, textContent: range ? this.named("range", range) : t("find"), title: t(range ? "rangeTip" : "findTip") });
    const half = ready ? halfValue(knob) : null;
    put(this.half, { hidden: half === null, textContent: half === null ? "" : t("half", { knob: knob.name, value: number(half) }) });
    this.needsMore = Boolean(record?.report?.reasons?.some((/** @type {any} */ { id }) => id === MORE));
    put(this.measure, { hidden: !ready || !canMeasure(record, knob), "data-main": this.addsPictures ? "" : null, textContent: this.addsPictures ? t("addPictures", { n: PICTURES }) : t(tryouts.curve() ? "measuredModel" : "measureModel") });
    const shown = opened && (record || opened !== "measure"); // a workflow whose runs are gone has nothing to measure
    put(this.box, { hidden: !shown });
    if (!shown) return;
    const cards = tries?.cards ?? [];
    this.drawCards(cards, tries?.kind);
    put(this.cards, { hidden: !cards.length && opened === "measure" });
    this.cards.classList.toggle("gg-columns", opened === "measure");
    this.drawCurve(opened === "measure" ? tryouts.curve() : null, cards.map((/** @type {any} */ { cfg }) => cfg), knob);
    if (opened === "measure") return this.drawMeasure(tries, record, knob);
    for (const button of [this.halt, this.mine]) put(button, { hidden: true });
    const judging = opened === "range";
    this.offerKnobs(judging ? triableKnobs(tryouts.record()) : [], knob);
    put(this.words, { textContent: this.sentence(tries, range, judging) });
    put(this.again, { "data-main": null, hidden: judging ? tries && !tries.isDone : !tries?.missing });
    const judge = judging && tries?.judgeName();
    put(this.ask, { hidden: !judge, textContent: t("ask", { judge }) });
    put(this.forget, { hidden: !judging || !range });
    put(this.save, { hidden: !judging || !range });
    const hidden = !judging || !range || !tryouts.source()?.widget;
    put(this.take, { hidden, textContent: t("take", { knob: knob.name, value: number(tryouts.wanted()) }) });
    put(this.takeAgain, { hidden, textContent: t("applyAgain", { knob: knob.name, value: number(tryouts.wanted()) }) });
  }

  /** The row of buttons and the words while the model is measured, and after.
   * @param {?Tries} tries @param {Run} record @param {Knob} knob
   */
  drawMeasure(tries, record, knob) {
    const { t, tryouts } = this;
    const goes = Boolean(tries?.cards.length && !tries.isDone);
    for (const button of [this.ask, this.save, this.take, this.takeAgain]) put(button, { hidden: true });
    this.offerKnobs(goes ? [] : triableKnobs(record), knob);
    const value = tryouts.wanted();
    for (const [one, key] of value !== null && tryouts.source()?.widget ? [[this.take, "take"], [this.takeAgain, "applyAgain"]] : []) put(one, { hidden: false, textContent: t(key, { knob: knob.name, value: number(value) }) });
    put(this.forget, { hidden: goes || !tryouts.range() });
    put(this.mine, { hidden: goes || !tryouts.curve(), disabled: Boolean(tryouts.mine?.isAsking) });
    put(this.halt, { hidden: !goes });
    put(this.again, { hidden: goes || Boolean(tries?.trouble), "data-main": (tries?.cards.length || tryouts.curve()) && !this.needsMore ? null : "", textContent: t(tries?.cards.length ? "morePictures" : tryouts.curve() ? "measureAnew" : "measureNow", { n: PICTURES }) });
    put(this.words, { textContent: this.measureWords(tries, record, knob) });
  }

  /** @param {any} tries @param {?Run} record @param {any} knob */
  measureWords(tries, record, knob) {
    const { t, tryouts } = this;
    if (tries?.trouble) return t(tries.trouble.key, { knob: tries.knob.name, node: nameOf(tries.trouble.node) });
    const curve = tryouts.curve();
    const liked = this.likedWords(knob);
    if (!tries?.cards.length) {
      if (curve) return [this.measuredOn(curve), liked].filter(Boolean).join(" ");
      return t("measureCost", costOf(record, valuesFor(knob.value, knob)));
    }
    if (!this.panel.editor.answers()) return t("triesAway");
    const progress = { i: tries.pictures, n: tries.wanted };
    if (!tries.isDone) return [t("measuring", progress), tries.ahead ? t("ahead", { n: tries.ahead }) : ""].join(" ");
    const range = tryouts.range();
    return [tries.fault ?? t("measuredNow", progress), liked || (range ? this.named("rangeWords", range) : t("judge"))].join(" ");
  }

  /** Which value liked pictures name, and by what; empty where nothing was liked.  @param {Knob} knob */
  likedWords(knob) {
    const { t, tryouts } = this;
    const { mine } = tryouts;
    if (mine?.isAsking) return t("mineAsking", { n: mine.count });
    if (mine?.fault) return t(mine.fault);
    const liked = tryouts.liked();
    if (!liked) return "";
    const [value, low, high] = liked.prompt_strength.map((/** @type {any} */ share) => number(share, 2));
    const facts = { knob: knob.name, strength: liked.prompt_strength[1] === null ? value : `${value} (${span(low, high, t)})`, value: number(tryouts.wanted()) };
    if (mine) return t(liked.value[0] === null ? "mineUnknown" : "mineNamed", { n: mine.count, ...facts });
    const key = liked.values.length === 1 ? "likedOne" : liked.by === "middle" ? "likedAlike" : "likedNamed";
    return t(key, { values: liked.values.map((/** @type {any} */ named) => number(named)).join(", "), ...facts });
  }

  /** Ask about the files that were chosen, which may be chosen once more. */
  askAbout() {
    const files = [...(this.files.files ?? [])];
    this.files.value = "";
    return files.length ? this.tryouts.askAbout(files) : null;
  }

  /** @param {Curve} curve */
  measuredOn({ when, pictures, values }) {
    return this.t("measuredOn", { when, pictures, n: values.length });
  }

  /** The curve, where there is one, above the cards of its values.
   * @param {Curve} curve @param {number[]} tried @param {Knob} knob
   */
  drawCurve(curve, tried, knob) {
    put(this.curve, { hidden: !curve });
    put(this.cards, { "data-curve": curve ? "" : null });
    this.box.style.setProperty("--gg-left", `${leftOf(curve?.name ?? knob.name, this.t)}px`);
    this.box.style.setProperty("--gg-right", `${RIGHT}px`);
    if (!curve) return;
    const columns = curve.values.every((value) => tried.includes(value)) ? tried : curve.values;
    const drawn = JSON.stringify([curve, knob.value, columns, this.curve.clientWidth]);
    if (this.curve.dataset.drawn === drawn) return;
    this.curve.dataset.drawn = drawn;
    this.curve.innerHTML = curvePlot(curve, knob.value ?? null, this.t, this.curve.clientWidth || undefined, columns);
  }

  /** What is shown, for others: as `AdviceView` tells it. */
  shareable() {
    const { tryouts, panel } = this;
    const { name, value } = tryouts.knob();
    const { headline = "", why = [], errand = null, colour } = verdictOf(tryouts.record(), panel.editor.locale()) ?? {};
    const there = this.drawn.filter(({ shots }) => shots.childElementCount);
    const tried = there.map(({ card }) => card.cfg);
    const measured = tryouts.opened === "measure" ? tryouts.curve() : null;
    const curve = !tried.length || measured?.values.every((/** @type {any} */ measuredValue) => tried.includes(measuredValue)) ? measured : null; // in whose columns they stand
    const lines = [...why.filter((/** @type {string} */ line) => line !== errand), ...(curve ? [this.measuredOn(curve)] : [])];
    const values = there.map((frame) => ({ name: frame.name.textContent, shots: [...frame.shots.children] }));
    return { headline, lines, tone: colour, values, columns: tried.length ? tried : (curve?.values ?? []), name, own: value ?? null, curve };
  }

  /** Which number is tried, where there are several.  @param {Knob[]} knobs @param {Knob} knob */
  offerKnobs(knobs, { key }) {
    offer(this.which, knobs.length > 1 ? knobs.map((knob) => ({ value: knob.key, words: knobName(knob) })) : [], key);
  }

  /** @param {any} tries @param {any} range @param {boolean} judging */
  sentence(tries, range, judging) {
    const { t, tryouts, panel } = this;
    if (tries?.trouble) return t(tries.trouble.key, { knob: tries.knob.name, node: nameOf(tries.trouble.node) });
    const waiting = tries?.cards.filter((/** @type {any} */ { state }) => state === "waiting").length ?? 0;
    if (tries && !panel.editor.answers()) return t("triesAway");
    if (tries && (waiting || !tries.cards.length)) return [t("trying", { i: tries.cards.length - waiting, n: tries.cards.length }), tries.ahead ? t("ahead", { n: tries.ahead }) : ""].join(" ");
    if (tries?.missing) return [t("missing", tries.missing), t(`missing_${tries.missing.why}`)].join(" ");
    if (!judging) return (tries?.said ?? []).map((/** @type {any} */ sentence) => sentenceIn(panel.editor.locale(), sentence)).join(" ") || t("noHalf");
    const source = range && tryouts.source();
    const elsewhere = source?.reason ? t(source.reason, { node: nameOf(source.node) }) : "";
    const known = range ? this.named("rangeWords", range) : t(tries ? "judge" : "noneStored");
    return [tryouts.unkept ? t(tryouts.unkept) : known, elsewhere].filter(Boolean).join(" ");
  }

  /** A sentence on a range, which is not called the user's where a judge chose some of it.
   * @param {string} key @param {any} range
   */
  named(key, range) {
    const judge = range.judges.join(", ");
    const facts = { knob: this.tryouts.knob().name, range: span(number(range.low), number(range.high), this.t), chosen: range.chosen.map((/** @type {number} */ cfg) => number(cfg)).join(", ") };
    if (!judge) return this.t(key, facts);
    return this.t(key.replace("range", "rangeJudged"), { ...facts, judge: range.yours ? this.t("youAnd", { judge }) : judge });
  }

  /** @param {any[]} cards @param {string} kind */
  drawCards(cards, kind) {
    if (this.drawn.length !== cards.length || cards.some((card, k) => card !== this.drawn[k]?.card)) {
      this.drawn = cards.map((card) => this.drawn.find((frame) => frame.card === card) ?? this.cardOf(card, kind));
      const at = /** @type {any} */ (document.activeElement);
      this.cards.replaceChildren(...this.drawn.map(({ box }) => box));
      if (this.cards.contains(at)) at.focus({ preventScroll: true }); // it was taken out for a moment
      this.cards.style.setProperty("--gg-frames", String(cards.length));
    }
    const label = this.tryouts.opened === "measure" && this.tryouts.knob().name.length > LONG ? "" : this.tryouts.knob().name; // a column is narrow
    for (const { card, box, name, shots } of this.drawn) {
      put(box, { "data-state": card.state, "aria-pressed": kind === "range" ? String(Boolean(card.good)) : null, disabled: kind === "range" && card.state !== "there" });
      put(name, { textContent: `${card.good || card.liked ? "\u2713 " : ""}${[label, number(card.cfg)].filter(Boolean).join(" ")}` });
      if (card.state === "there" && shots.childElementCount < Math.min(card.shots.length || 1, MOST_SHOWN)) fillShots(shots, this.cards, shotsOf(this.panel.editor, { record: card.seeds?.[0]?.record ?? card.record, shots: card.shots.slice(0, MOST_SHOWN) }, `${this.tryouts.knob().name} ${card.cfg}`), Boolean(card.seeds));
    }
  }

  /** @param {Card} card @param {string} kind */
  cardOf(card, kind) {
    const [name, shots] = [element("span", { class: "gg-name" }), element("span", { class: "gg-shots" })];
    const box = element(kind === "range" ? "button" : "figure", { class: "gg-frame gg-card", ...(kind === "range" && { type: "button" }) }, shots, name);
    if (kind === "range") box.addEventListener("click", () => this.tryouts.tries.judge(card));
    return { card, box, name, shots };
  }

  apply() {
    const [source, value] = [this.tryouts.source(), this.tryouts.wanted()];
    if (!source?.widget || value === null) return; // gone since the button was drawn
    this.panel.editor.write(source, value);
  }

  applyAgain() {
    const { tryouts } = this;
    const [source, value, run] = [tryouts.source(), tryouts.wanted(), tryouts.tries?.run ?? tryouts.owner.judged()?.run];
    return source?.widget && value !== null && run ? runAgain(this.panel, run, source, value) : null;
  }
}

/** @param {GraphNode} node */
const nameOf = (node) => (node ? `${node.title ?? node.type} (${node.id})` : "");
