// @ts-check
/** What was seen or measured at several values, for a room: one value at a time fills the screen. */
import { strangeAt } from "./advice.mjs";
import { curvePlot, leftOf, RIGHT } from "./curve-plot.mjs";
import { element, put } from "./panel-parts.mjs";
import { number } from "./words.mjs";

const LARGE = 2; // times the type of a plot
const LEAST = 520; // pixels of a plot whose words have room
const [ON, BACK] = [["ArrowRight", "ArrowDown", "PageDown"], ["ArrowLeft", "ArrowUp", "PageUp"]];

/** What is said of the pictures at a value beside those that the model finds least strange; empty where nothing is known.
 * t: `speaker`
 * @param {any} curve @param {number} value @param {Speaker} t
 */
export function saidAt(curve, value, t) {
  if (!curve?.values.includes(value)) return "";
  if (value === curve.least) return t("leastStrange", { value: `${curve.name} ${number(value)}` });
  const said = strangeAt(curve, value);
  return said ? t(said.key, said.facts) : "";
}

export class Presentation {
  at = 0;

  /** shown: as `shareable` tells it. own: value to begin at. theme: dark or light. t: `speaker`
   * @param {any} shareable @param {Theme} theme @param {Speaker} t
   */
  constructor({ headline, values, curve, columns, own, name }, theme, t) {
    this.curve = curve;
    this.columns = columns;
    this.own = own;
    this.name = name;
    this.t = t;
    /** @param {string} words @param {string} key @param {() => void} act */
    const button = (words, key, act) => {
      const made = element("button", { type: "button", "aria-label": t(key), title: t(key) }, words);
      made.addEventListener("click", act);
      return made;
    };
    this.slides = columns.map((/** @type {any} */ _, /** @type {number} */ k) => element("div", { class: "gg-slide" }, ...(values[k]?.shots ?? []).map(copyOf)));
    this.place = element("p", { class: "gg-at-value", role: "slider", tabindex: 0, "aria-label": name, "aria-valuemin": 1, "aria-valuemax": columns.length });
    this.said = element("p", { class: "gg-said-of", role: "status" });
    this.plot = element("div", { class: "gg-present-plot", hidden: !curve });
    this.plot.addEventListener("click", (/** @type {any} */ { clientX }) => this.goTo(this.columnAt(clientX)));
    const line = element("div", { class: "gg-present-line" }, button("\u2039", "before", () => this.goTo(this.at - 1)), this.place, button("\u203a", "next", () => this.goTo(this.at + 1)), this.said);
    const top = element("div", { class: "gg-present-top" }, element("h2", {}, headline), button("\u2715", "endPresent", () => this.box.close()));
    const stage = element("div", { class: "gg-slides", hidden: !values.some((/** @type {any} */ { shots }) => shots.length) }, ...this.slides);
    this.all = element("div", { class: "gg-present-all" }, top, stage, line, this.plot);
    this.box = element("dialog", { class: "gg-panel gg-present", "data-theme": theme, "aria-label": t("present") }, this.all);
    this.box.addEventListener("keydown", (/** @type {any} */ event) => this.turn(event));
    this.all.addEventListener("fullscreenchange", () => document.fullscreenElement === this.all || this.box.close());
    this.watcher = new ResizeObserver(() => this.draw());
  }

  /** Over all else in the window, and over the whole screen where the browser lets it.  home: element that holds it
   * @param {any} home
   */
  open(home) {
    /** @type {any} */ const opener = document.activeElement;
    this.box.addEventListener("close", () => this.leave(opener));
    home.append(this.box);
    this.box.showModal();
    this.watcher.observe(this.all);
    this.goTo(Math.max(0, this.columns.indexOf(this.own)));
    this.place.focus();
    this.all.requestFullscreen?.().catch(() => null); // then it fills the window
  }

  /** @param {any} opener */
  async leave(opener) {
    this.watcher.disconnect();
    if (document.fullscreenElement === this.all) await document.exitFullscreen();
    this.box.remove();
    opener.focus({ preventScroll: true });
  }

  /** @param {number} k */
  goTo(k) {
    this.at = Math.min(Math.max(k, 0), this.columns.length - 1);
    this.draw();
  }

  /** Nothing of it reaches the editor.  @param {KeyboardEvent} event */
  turn(event) {
    event.stopPropagation();
    const to = ON.includes(event.key) ? this.at + 1 : BACK.includes(event.key) ? this.at - 1 : /** @type {Record<string, number>} */ ({ Home: 0, End: this.columns.length - 1 })[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.goTo(to);
  }

  draw() {
    const { at, columns, curve, plot, t } = this;
    const words = `${this.name} ${number(columns[at])}`;
    this.slides.forEach((/** @type {any} */ slide, /** @type {number} */ k) => put(slide, { hidden: k !== at }));
    put(this.place, { textContent: words, "aria-valuenow": at + 1, "aria-valuetext": words });
    put(this.said, { textContent: saidAt(curve, columns[at], t) });
    if (!curve) return;
    plot.innerHTML = curvePlot(curve, this.own, t, Math.round(plot.clientWidth / this.scale), columns, columns[at]);
  }

  /** Times the size of a plot. */
  get scale() {
    return Math.min(LARGE, Math.max(1, this.plot.clientWidth / LEAST));
  }

  /** The column at a place of the plot.  @param {number} x */
  columnAt(x) {
    const [left, right] = [leftOf(this.curve.name, this.t), RIGHT].map((edge) => edge * this.scale);
    const box = this.plot.getBoundingClientRect();
    return Math.floor(((x - box.left - left) / (box.width - left - right)) * this.columns.length);
  }
}

/** A picture once more.  @param {any} shot */
function copyOf(shot) {
  if (shot.tagName !== "CANVAS") return shot.cloneNode();
  const copy = element("canvas", { width: shot.width, height: shot.height, role: "img", "aria-label": shot.ariaLabel });
  copy.getContext("2d").drawImage(shot, 0, 0);
  return copy;
}
