// @ts-check
/** A canvas that shows drawing commands at the size that it has on the page, sharp at any zoom. */
import { paint } from "../lib/canvas.mjs";
import { element } from "../lib/panel-parts.mjs";
import { DARK, LIGHT } from "../lib/theme.mjs";

const FONT = 16; // pixels of the page's type at which figures have their own size

/** Colours of the figures as the reader's system has them. */
export const themeOf = () => (matchMedia("(prefers-color-scheme: dark)").matches ? DARK : LIGHT);

/** How much larger than usual the page's type is; as usual where an element is on no page.  @param {Element} place */
export const zoomOf = (place) => (parseFloat(getComputedStyle(place).fontSize) || FONT) / FONT;

/** A canvas of its own width, and as high as `ratio` says.  draw({w, h, theme, quick}) -> {commands, under, words}, asked anew where the size changes.
 * @param {Record<string, any>} attributes @param {number} ratio height over width
 * @param {(options: {w: number, h: number, theme: Theme, quick: boolean}) => {commands: Command[], under?: any[], extent?: number, centre?: Point, words?: string}} draw
 */
export function figureCanvas(attributes, ratio, draw) {
  const canvas = element("canvas", { role: "img", ...attributes });
  canvas.style.aspectRatio = String(1 / ratio);
  const view = { canvas, words: "", extent: 1, centre: [0, 0], draw: (/** @type {boolean} */ _quick = false) => {} };
  view.draw = (quick = false) => {
    const { clientWidth: wide, clientHeight: high } = canvas;
    if (!wide || !high) return;
    const zoom = zoomOf(canvas);
    const scale = devicePixelRatio * zoom;
    const [w, h] = [wide / zoom, high / zoom];
    const [across, down] = [Math.round(wide * devicePixelRatio), Math.round(high * devicePixelRatio)];
    if (canvas.width !== across || canvas.height !== down) Object.assign(canvas, { width: across, height: down });
    const drawn = draw({ w, h, theme: themeOf(), quick });
    const context = canvas.getContext("2d");
    const [sheet, ...commands] = drawn.commands;
    paint([sheet], context, scale);
    for (const under of drawn.under ?? []) paintUnder(context, under, { w, h, extent: drawn.extent ?? 1 });
    paint(commands, context, scale);
    Object.assign(view, { words: drawn.words ?? "", extent: drawn.extent ?? 1, centre: drawn.centre ?? [0, 0] });
    canvas.setAttribute("aria-label", [sheet.label, drawn.words].filter(Boolean).join(". "));
  };
  new ResizeObserver(() => view.draw()).observe(canvas);
  return view;
}

/** Points, or a field of shares, where the map has them.
 * @param {CanvasRenderingContext2D} context @param {any} under @param {{w: number, h: number, extent: number}} page
 */
function paintUnder(context, under, { w, h, extent }) {
  const scale = Math.min(w, h) / 2 / extent;
  if (under.points) {
    context.fillStyle = under.colour;
    context.globalAlpha = under.alpha;
    const half = under.size / 2;
    for (let k = 0; k < under.points.length; k += 2) context.fillRect(w / 2 + scale * under.points[k] - half, h / 2 - scale * under.points[k + 1] - half, under.size, under.size);
    context.globalAlpha = 1;
    return;
  }
  const { n, values, colour } = under;
  const field = new OffscreenCanvas(n, n);
  const image = new ImageData(n, n);
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  for (let k = 0, at = 0; k < values.length; k += 1, at += 4) {
    image.data[at] = red;
    image.data[at + 1] = green;
    image.data[at + 2] = blue;
    image.data[at + 3] = 150 * Math.sqrt(values[k]);
  }
  /** @type {OffscreenCanvasRenderingContext2D} */ (field.getContext("2d")).putImageData(image, 0, 0);
  context.imageSmoothingEnabled = true;
  context.drawImage(field, w / 2 - scale * extent, h / 2 - scale * extent, 2 * scale * extent, 2 * scale * extent);
}

/** A small picture of the model, its pixels as squares.  @param {Uint8ClampedArray<ArrayBuffer> | null} pixels @param {string} label @param {number} side */
export function pictureCanvas(pixels, label, side) {
  const canvas = element("canvas", { width: side, height: side, role: "img", "aria-label": label, class: "pixels" });
  if (pixels) canvas.getContext("2d").putImageData(new ImageData(pixels, side, side), 0, 0);
  return canvas;
}
