// @ts-check
/** One drawing of a panel: a figure or pictures on a canvas, what the pointer finds there, and the step that is lit. */
import { sheet } from "./commands.mjs";
import { paint } from "./canvas.mjs";
import { hint } from "./panel-hints.mjs";
import { lighting, stepUnder } from "./panel-linking.mjs";
import { paintMix } from "./mix.mjs";
import { noPictures } from "./panel-words.mjs";
import { ticks } from "./panel-ticks.mjs";
import { nothing, pageOf } from "./plane.mjs";
import { viewOf } from "./views.mjs";

const FONT = "Inter, Arial, sans-serif";
const INSET = 8; // half of a scrubber's thumb

/** Draw a view on a canvas; returns its marks: drawing commands, or boxes with a step. scale: device pixels per pixel.
 * @param {HTMLCanvasElement} canvas @param {string} name @param {any} state @param {number} scale
 */
export function drawView(canvas, name, state, scale) {
  const { w, h, theme, run } = state;
  const size = [Math.round(w * scale), Math.round(h * scale)];
  if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
  const ctx = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const marks = marksOf(name, state);
  paint(marks, ctx, scale);
  if (marks[0]?.picture) paintMix(ctx, marks[0].picture);
  const view = viewOf(name);
  if (!view?.pictures || !view.available(run)) return marks;
  ctx.setTransform(scale, 0, 0, scale, 0, 0);
  return view.pictures(ctx, run.pictures, state.image, { ...state, font: FONT, theme });
}

/** @param {string} name @param {any} state */
function marksOf(name, state) {
  if (name === "ticks") return ticks(state.run, { ...state, inset: INSET });
  const { figure, available, title } = viewOf(name);
  const { run, w, h, theme } = state;
  if (figure && run) return figure(run, state);
  return run && !available(run) ? nothing(pageOf(state, title ?? name), noPictures(run, state.t)) : [sheet(w, h, theme.paper)];
}

export class View {
  /** @type {?string} */ name = null;
  /** @type {any[]} */ marks = [];
  size = { w: 0, h: 0 };

  /** surface: {box, canvas, tip}. panel: gives the state to draw, and takes the step that is lit or picked.
   * @param {{box: HTMLElement, canvas: HTMLCanvasElement, tip: HTMLElement}} surface @param {InspectorPanel} panel
   */
  constructor({ box, canvas, tip }, panel) {
    this.box = box;
    this.canvas = canvas;
    this.tip = tip;
    this.panel = panel;
    canvas.addEventListener("pointermove", (event) => this.hover(this.place(event)));
    canvas.addEventListener("pointerleave", () => this.hover(null));
    canvas.addEventListener("click", (event) => {
      const step = stepUnder(this.marks, this.place(event));
      if (step !== null) panel.goTo(step);
    });
  }

  /** Draw a view; null for none.  @param {any} name @param {Theme} theme */
  draw(name, theme) {
    this.name = name;
    const { w, h } = this.size; // as the browser last told it: to ask again would lay the page out anew
    if (!name || w < 20 || h < 20) return;
    const { lit } = this.panel.state;
    /** @type {any} */
    const state = { ...this.panel.drawn(), w, h, theme };
    if (lit !== null && viewOf(name)?.ofStep) state.step = lit;
    const scale = 2 * (globalThis.devicePixelRatio || 1);
    this.marks = drawView(this.canvas, name, state, scale);
    if (lit !== null) paint(lighting(this.marks, lit, theme), /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d")), scale);
  }

  /** Where a pointer is, in the drawing's own pixels: the editor zooms the whole panel.  @param {MouseEvent} event */
  place(event) {
    const seen = this.canvas.getBoundingClientRect();
    const zoom = seen.width / this.size.w || 1;
    return { x: (event.clientX - seen.left) / zoom, y: (event.clientY - seen.top) / zoom };
  }

  /** @param {any} place */
  hover(place) {
    const state = this.panel.drawn();
    const found = place && state.run ? hint(this.marks, place, { ...state, view: this.name }) : null;
    this.panel.light(found?.step ?? null);
    this.tell(found?.words, place);
  }

  /** @param {any} words @param {any} place */
  tell(words, place) {
    this.tip.hidden = !words;
    if (!words) return;
    const { w, h } = this.size;
    const right = place.x > w / 2;
    this.tip.textContent = words;
    this.tip.style.left = right ? "auto" : `${place.x + 12}px`;
    this.tip.style.right = right ? `${w - place.x + 12}px` : "auto";
    this.tip.style.top = `${Math.max(0, Math.min(place.y + 10, h - 60))}px`;
  }
}
