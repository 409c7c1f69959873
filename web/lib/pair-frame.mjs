// @ts-check
/** A frame of a pair: the picture at one value, which takes turns with that at the other value while it is pressed. */
import { Flicker } from "./flicker.mjs";
import { element, put } from "./panel-parts.mjs";
import { fillShots, shotsOf } from "./shots.mjs";

export class PairFrame {
  words = ["", ""]; // under the picture, and under the one that takes turns with it
  paired = false;

  /** editor: knows where pictures are. t: `speaker`.  @param {Editor} editor @param {Speaker} t */
  constructor(editor, t) {
    this.editor = editor;
    this.t = t;
    this.name = element("figcaption", { class: "gg-name" });
    this.shots = element("div", { class: "gg-shots" });
    this.over = element("div", { class: "gg-shots gg-over", "aria-hidden": "true" });
    this.place = element("div", { class: "gg-turns" }, this.shots, this.over);
    this.box = element("figure", { class: "gg-frame" }, this.place, this.name);
    this.flicker = new Flicker(() => this.drawTurn());
    this.flicker.listen(this.place, () => this.paired);
  }

  /** shelf: it stands in. shown, beside: {found: as `shotsOf` takes it, i: the one picture of it that is shown, all without}, null for nothing yet;
   * the second takes turns with the first. words: of both.
   * @param {HTMLElement} shelf
   * @param {any[]} pictures
   * @param {string[]} words
   */
  fill(shelf, pictures, words) {
    const [shown, beside = null] = pictures;
    Object.assign(this, { words, paired: Boolean(shown && beside) });
    if (!this.paired) this.flicker.end();
    const title = this.paired ? this.t("turnTip") : null;
    put(this.place, { title: title ?? "", role: title && "button", tabIndex: title ? 0 : -1, "aria-label": title });
    this.fillWith(this.shots, shelf, shown, words[0]);
    this.fillWith(this.over, shelf, beside, words[1]);
    this.drawTurn();
  }

  /** Pictures are made anew only where they are others.
   * @param {HTMLElement} place @param {HTMLElement} shelf @param {any} shown @param {string} words
   */
  fillWith(place, shelf, shown, words) {
    const { found = null, i = null } = shown ?? {};
    const key = JSON.stringify([found?.shots?.map((/** @type {{filename: any}} */ { filename }) => filename) ?? null, found?.record?.pictures?.steps?.at(-1)?.filename ?? null, i]);
    if (place.dataset.key === key) return;
    place.dataset.key = key;
    const pictures = found ? shotsOf(this.editor, found, words) : [];
    fillShots(place, shelf, i === null ? pictures : pictures.slice(i, i + 1));
  }

  drawTurn() {
    const { turned } = this.flicker;
    put(this.place, { "data-turned": turned ? "" : null });
    put(this.name, { textContent: this.words[Number(turned)] });
  }
}
