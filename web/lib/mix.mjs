// @ts-check
/** u + gamma (c - u) of a step as a picture. Colours of pixels and of previews are linear, so that colours are mixed. */
import { middleOf } from "./panel-pictures.mjs";

/** The prediction at a scale as RGBA.  pair: {values: Int16Array [u and c, rows, h, w, 3], scale, size: [w, h], rows}
 * @param {{values: any, scale: any, size: any, rows: any}} pair @param {number} row @param {number} gamma
 * @param {any} target
 */
export function mixPixels({ values, scale, size: [w, h], rows }, row, gamma, target) {
  const count = w * h * 3;
  const [u, c] = [row * count, (rows + row) * count];
  const factor = 255 * scale;
  for (let k = 0, at = 0; k < count; k += 3, at += 4) {
    for (let colour = 0; colour < 3; colour += 1) {
      const low = values[u + k + colour];
      target[at + colour] = factor * (low + gamma * (values[c + k + colour] - low)); // the array rounds and clips
    }
    target[at + 3] = 255;
  }
  return target;
}

/** @type {any} */ let canvas = null; // one for all: it is painted and read in one go
/** @type {any} */ let image = null;

/** It on a canvas, a pixel for each of its own.  @param {any} pair @param {number} row @param {number} gamma */
function mixed(pair, row, gamma) {
  const [pw, ph] = pair.size;
  if (image?.width !== pw || image?.height !== ph) {
    canvas = new OffscreenCanvas(pw, ph);
    image = new ImageData(pw, ph);
  }
  mixPixels(pair, row, gamma, image.data);
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/** Its place in a box, as large as it fits; sharp: its pixels are shown as squares.
 * @param {any} pair @param {Box} box
 */
function placeOf(pair, box) {
  const place = middleOf(pair, box);
  return { ...place, sharp: place.w >= 2 * pair.size[0] };
}

/** Paint it into a box.  @param {CanvasRenderingContext2D} ctx @param {any} picture */
export function paintMix(ctx, { pair, gamma, ...box }) {
  const { x, y, w, h, sharp } = placeOf(pair, box);
  ctx.imageSmoothingEnabled = !sharp;
  ctx.drawImage(mixed(pair, pair.row, gamma), x, y, w, h);
}

/** It as a command of drawing, for a file that holds all it shows.  @param {any} picture */
export async function mixImage({ pair, gamma, ...box }) {
  const blob = await mixed(pair, pair.row, gamma).convertToBlob();
  const address = await new Promise((done) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result);
    reader.readAsDataURL(blob);
  });
  return { op: "image", ...placeOf(pair, box), address };
}
