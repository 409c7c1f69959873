// @ts-check
/** The page: its screens, its settings in the address, and the workers; the same script is the worker's, where there is no page. */
import { element } from "../lib/panel-parts.mjs";
import { languageOf } from "../lib/words.mjs";
import { Engine } from "./engine.mjs";
import { lessonScreen } from "./lesson.mjs";
import { readLink, SCREENS, writeLink } from "./settings.mjs";
import { words } from "./text.mjs";
import { serve } from "./worker.mjs";
import { workbench } from "./workbench.mjs";

const LESSONS = SCREENS - 1;
const RESTED = 100; // milliseconds after which the address follows: browsers refuse one at every frame
/** @type {Record<string, number>} */
const TURNS = { ArrowRight: 1, PageDown: 1, ArrowLeft: -1, PageUp: -1 };
const TYPING = "input, select, textarea, [role=application], .grid";

class Page {
  /** root: element that the page fills. engine: of the model  @param {any} root @param {Engine} engine */
  constructor(root, engine) {
    this.root = root;
    this.engine = engine;
    this.settings = readLink(location.hash);
    this.change = this.change.bind(this);
    /** @type {any} */ this.t = null;
    /** @type {any} */ this.screen = null;
    this.waits = false;
    /** @type {any} */ this.resting = null;
    this.asked = 0;
    this.failure = "";
    engine.changed = () => this.showWork();
    addEventListener("hashchange", () => this.open(readLink(location.hash)));
    addEventListener("keydown", (event) => this.turn(event));
    document.addEventListener("fullscreenchange", () => this.markPresenting(Boolean(document.fullscreenElement)));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.later());
    this.build();
  }

  get language() {
    return this.settings.language || languageOf(navigator.language);
  }

  /** Everything anew, in the language of the settings. */
  build() {
    this.t = words(this.language);
    document.documentElement.lang = this.language === "zh" ? "zh-Hans" : "en";
    document.title = this.t("title");
    const { t } = this;
    /** @param {string} key @param {() => void} act */
    const button = (key, act, tip = "") => {
      const made = element("button", { type: "button", title: tip ? t(tip) : null }, t(key));
      made.addEventListener("click", act);
      return made;
    };
    this.tabs = Array.from({ length: SCREENS }, (_, k) => {
      const title = t(`s${k + 1}`);
      const tab = element("button", { type: "button", title, "aria-label": t("screenOf", { n: k + 1, all: SCREENS, title }) }, k < LESSONS ? String(k + 1) : t("workbench"));
      tab.addEventListener("click", () => this.change({ screen: k + 1 }));
      return tab;
    });
    this.copy = button("link", () => this.copyLink(), "linkTip");
    this.language2 = button("language", () => this.open({ ...this.settings, language: t("other") }));
    this.language2.lang = this.language === "zh" ? "en" : "zh-Hans";
    this.main = element("main", {});
    this.bar = element("progress", { max: 1, value: 1, "aria-label": t("computing") });
    this.work = element("span", { role: "status" });
    this.previous = button("back", () => this.change({ screen: this.settings.screen - 1 }));
    this.following = button("next", () => this.change({ screen: this.settings.screen + 1 }));
    this.root.replaceChildren(
      element("header", {}, element("div", { class: "name" }, element("h1", {}, t("title")), element("p", {}, t("lead"))),
        element("div", { class: "tools" }, this.language2, this.copy, button("again", () => this.open({ ...readLink(""), language: this.settings.language }), "againTip"), button("present", () => this.present(), "presentTip")),
        element("nav", { "aria-label": t("screens") }, ...this.tabs)),
      this.main,
      element("footer", {}, element("div", { class: "work" }, this.bar, this.work), element("div", { class: "turn" }, this.previous, this.following), sourcesOf(t)));
    this.screen = null;
    this.draw();
    this.showWork();
  }

  /** New settings, of a link or of another language.  @param {Settings} settings */
  open(settings) {
    this.settings = settings;
    this.keepLink();
    this.build();
  }

  /** Some settings are others now.  @param {Partial<Settings>} values */
  change(values) {
    this.settings = { ...this.settings, ...values };
    this.later();
  }

  /** Draw at the next frame, once. */
  later() {
    if (this.waits) return;
    this.waits = true;
    requestAnimationFrame(() => {
      this.waits = false;
      clearTimeout(this.resting);
      this.resting = setTimeout(() => this.keepLink(), RESTED);
      this.draw();
    });
  }

  keepLink() {
    const link = writeLink(this.settings);
    if (location.hash === link) return;
    history.replaceState(null, "", link);
  }

  draw() {
    const { settings, t } = this;
    if (this.screen?.number !== settings.screen) this.show(settings.screen);
    this.screen.draw();
    this.tabs?.forEach((tab, k) => tab.setAttribute("aria-current", k + 1 === settings.screen ? "step" : "false"));
    this.previous.disabled = settings.screen === 1;
    this.following.disabled = settings.screen === SCREENS;
    document.title = `${t(`s${settings.screen}`)} \u00b7 ${t("title")}`;
  }

  /** @param {number} number */
  show(number) {
    const { t } = this;
    this.stop("lesson");
    this.stop("bench");
    const made = number <= LESSONS ? lessonScreen(this, number) : workbench(this);
    this.screen = { ...made, number };
    const heading = element("h2", { tabindex: -1 }, number <= LESSONS ? element("span", { class: "number" }, String(number)) : "", t(`s${number}`));
    const sentences = ["a", "b", "c"].map((part) => `${t(`s${number}${part}`)}${this.language === "zh" ? "" : " "}`);
    const moved = Boolean(this.main.firstChild);
    this.main.replaceChildren(element("div", { class: "words" }, heading, element("p", {}, ...sentences)), made.element);
    if (moved && !document.activeElement?.closest("nav, footer")) heading.focus({ preventScroll: true });
    scrollTo(0, 0);
  }

  /** Ask the model; a failure is said in the line of progress.
   * @param {string} task @param {any} order @param {string} slot @param {(part: any) => void} told @param {boolean} [first]
   * @returns {Promise<any>} what was found; null where it was given up or failed
   */
  async ask(task, order, slot, told, first = true) {
    try {
      this.failure = "";
      return await this.engine.ask(task, order, told, { slot, first });
    } catch (error) {
      this.failure = error.message;
      this.showWork();
      return null;
    }
  }

  /** Stop all slots whose name begins so.  @param {string} kind */
  stop(kind) {
    for (const { slot } of [...this.engine.open.values()]) if (slot.startsWith(kind)) this.engine.stop(slot);
  }

  showWork() {
    const open = this.engine.open.size;
    this.asked = open ? Math.max(this.asked, open) : 0;
    const done = this.asked - open;
    const said = this.failure ? this.t("failed", { why: this.failure }) : open ? `${this.t("computing")}${this.asked > 1 ? ` ${this.t("computed", { done, all: this.asked })}` : ""}` : this.t("idle");
    if (this.work.textContent !== said) this.work.textContent = said;
    if (open && this.asked < 2) this.bar.removeAttribute("value");
    else this.bar.value = open ? done / this.asked : 1;
    this.root.dataset.busy = String(Boolean(open));
  }

  /** Arrow keys turn the screens, unless they are meant for a control.  @param {KeyboardEvent} event */
  turn(event) {
    const by = TURNS[event.key];
    const there = /** @type {Element} */ (event.target);
    if (!by || event.altKey || event.ctrlKey || event.metaKey || (event.key.startsWith("Arrow") && there.closest?.(TYPING))) return;
    const screen = this.settings.screen + by;
    if (screen < 1 || screen > SCREENS) return;
    event.preventDefault();
    this.change({ screen });
  }

  async copyLink() {
    this.keepLink();
    const done = await navigator.clipboard?.writeText(location.href).then(() => true, () => false);
    this.copy.textContent = this.t(done ? "linkCopied" : "linkShown");
    setTimeout(() => { this.copy.textContent = this.t("link"); }, 2000);
  }

  async present() {
    this.markPresenting(true);
    await document.documentElement.requestFullscreen?.().catch(() => null); // then it fills the window
    const leave = (/** @type {KeyboardEvent} */ { key }) => {
      if (key !== "Escape") return;
      removeEventListener("keydown", leave);
      this.markPresenting(false);
    };
    addEventListener("keydown", leave);
  }

  /** @param {boolean} presenting */
  markPresenting(presenting) {
    document.documentElement.classList.toggle("presenting", presenting);
    this.later();
  }
}

/** @param {Speaker} t */
function sourcesOf(t) {
  const docs = "https://guidance-geometry.github.io/comfyui-guidance-geometry";
  /** @param {string} key @param {string} href */
  const link = (key, href) => element("a", { href }, t(key));
  return element("p", { class: "sources" }, `${t("packOf")} `, link("post", "https://sander.ai/2023/08/28/geometry.html"), " \u00b7 ", link("plainStory", `${docs}/what-is-guidance.html`), " \u00b7 ",
    link("story", `${docs}/the-geometry-of-guidance.html`), " \u00b7 ", link("ownMeasure", `${docs}/own-measure.html`));
}

/** Weights of the page's text.  @param {string} text base64 */
function decoded(text) {
  const letters = atob(text.trim());
  const bytes = new Uint8Array(letters.length);
  for (let k = 0; k < letters.length; k += 1) bytes[k] = letters.charCodeAt(k);
  return bytes.buffer;
}

/** What the page does not work without, and older browsers lack.  @type {(() => any)[]} */
const NEEDED = [() => Worker, () => OffscreenCanvas, () => ResizeObserver, () => Intl.Segmenter, () => [].findLastIndex];

/** @param {() => any} find */
function isThere(find) {
  try {
    return Boolean(find());
  } catch { // a name that nobody has declared
    return false;
  }
}

/** Begin: as a worker where there is no page.  scope: globalThis  @param {any} scope */
export function begin(scope) {
  if (typeof document === "undefined") {
    serve(scope);
    return;
  }
  /** @param {string} id @returns {any} */
  const place = (id) => document.getElementById(id);
  if (!NEEDED.every(isThere)) return; // the page says so
  const engine = new Engine(place("gg-code").textContent, decoded(place("gg-weights").textContent));
  scope.guidancePage = new Page(place("page"), engine); // for whoever looks from outside, as tests do
}
