// @ts-check
/** Pictures of a run from its sheets: a filmstrip over the steps, and one step large. Paints on a context, knows no DOM. */
import { nth } from "./words.mjs";

const ROWS = ["x", "uncond", "cond", "guided", "difference", "where"];
const LARGE = ["cond", "guided", "difference", "where"];
const GAP = 3;
const NAMES = 70; // width of the rows' names
const LEAST = 22; // side of a picture in the filmstrip, in pixels: of more steps some are left out

/** The sheet whose step is nearest to `step`.  @param {any} pictures @param {number} step */
export function nearestSheet(pictures, step) {
  /** @param {Sheet} sheet */
  const distance = (sheet) => Math.abs(sheet.i - step);
  return (pictures?.steps ?? []).reduce((/** @type {any} */ best, /** @type {any} */ sheet) => (!best || distance(sheet) < distance(best) ? sheet : best), null);
}

/** Row of the sheets that shows this sample, or the nearest that was kept.
 * @param {any} pictures @param {number} sample
 */
export function rowOf(pictures, sample) {
  const away = pictures.samples.map((/** @type {number} */ kept) => Math.abs(kept - sample));
  return away.indexOf(Math.min(...away));
}

/** Rows of kinds, columns of steps. images: sheet -> image, or null while there is none. Returns [{box, step}].
 * @param {CanvasRenderingContext2D} ctx @param {Pictures} pictures @param {(sheet: any) => any} images
 * @param {{w: number, h: number, theme: Theme, step: number, sample: number, t: Speaker, font: string, run: any}} drawn
 */
export function filmstrip(ctx, pictures, images, { w, h, theme, step, sample, t, font, run }) {
  const { kinds } = pictures;
  const chosen = nearestSheet(pictures, step);
  const steps = thinSheets(pictures.steps, Math.floor((w - NAMES - 8) / (LEAST + GAP)), chosen);
  const room = { x: 0, y: 0, w: Math.max(8, (w - NAMES - 8) / steps.length - GAP), h: Math.max(8, (h - 28) / ROWS.length - GAP) };
  const cell = middleOf(pictures, room);
  const [across, down] = [cell.w + GAP, cell.h + GAP];
  const top = 22 + Math.max(0, (h - 28 - ROWS.length * down) / 2);
  const left = NAMES + Math.max(0, (w - NAMES - 8 - steps.length * across) / 2);
  /** @type {(Box & {step: number})[]} */ const boxes = [];
  ctx.font = `11px ${font}`;
  ROWS.forEach((kind, row) => label(ctx, t(kind), left - 8, top + row * down + cell.h / 2 + 4, theme, "right"));
  if (isVideo(run)) label(ctx, t("middle frame"), 4, h - 6, theme, "left");
  const every = Math.ceil(24 / across);
  steps.forEach((sheet, column) => {
    const x = left + column * across;
    if (column % every === 0) label(ctx, String(nth(sheet.i)), x + cell.w / 2, top - 8, theme, "center", sheet === chosen);
    const column0 = { x, y: top, w: cell.w, h: ROWS.length * down - GAP };
    boxes.push({ ...column0, step: sheet.i });
    ROWS.forEach((kind, row) => {
      tile(ctx, pictures, images(sheet), kinds.indexOf(kind), rowOf(pictures, sample),
        { x, y: top + row * down, w: cell.w, h: cell.h }, theme);
    });
    if (sheet === chosen) frame(ctx, column0, theme);
  });
  return boxes;
}

/** One step large: the two predictions, what the condition changes, and where.
 * @param {CanvasRenderingContext2D} ctx @param {Pictures} pictures @param {(sheet: any) => any} images
 * @param {{w: number, h: number, theme: Theme, step: number, sample: number, t: Speaker, font: string, run: any}} drawn
 */
export function heatMap(ctx, pictures, images, { w, h, theme, step, sample, t, font, run }) {
  const sheet = nearestSheet(pictures, step);
  /** @param {number} columns */
  const cellOf = (columns) => middleOf(pictures, { x: 0, y: 0, w: (w - 16) / columns - 8, h: (h - 8) / (LARGE.length / columns) - 24 });
  const across = [4, 2, 1].reduce((best, columns) => (cellOf(columns).w > cellOf(best).w ? columns : best));
  const cell = cellOf(across);
  const start = (w - across * (cell.w + 8) + 8) / 2;
  ctx.font = `12px ${font}`;
  const top = 20 + Math.max(0, (h - 8 - (LARGE.length / across) * (cell.h + 24)) / 2);
  if (isVideo(run)) label(ctx, t("middle frame"), 4, h - 3, theme, "left");
  LARGE.forEach((kind, k) => {
    const x = start + (k % across) * (cell.w + 8);
    const y = top + Math.floor(k / across) * (cell.h + 24);
    label(ctx, t(kind), x + cell.w / 2, y - 6, theme, "center");
    const place = { x, y, w: cell.w, h: cell.h };
    /** @param {string} name */
    const show = (name) => tile(ctx, pictures, images(sheet), pictures.kinds.indexOf(name), rowOf(pictures, sample), place, theme);
    if (kind === "where") overDimmed(ctx, place, () => show("guided"), () => show(kind));
    else show(kind);
  });
  return [];
}

/** Whether a sample has several frames, of which the one in the middle is shown: channels, frames, height, width.
 * @param {?Run} run
 */
const isVideo = (run) => run?.latent?.shape?.length === 4 && run.latent.shape[1] > 1;

/** The largest box of a run's pictures in the middle of another.  @param {{size: any}} pictures @param {Box} box */
export function middleOf({ size: [tw, th] }, { x, y, w, h }) {
  const scale = Math.min(w / tw, h / th);
  return { x: x + (w - tw * scale) / 2, y: y + (h - th * scale) / 2, w: tw * scale, h: th * scale };
}

/** As many sheets, evenly over the run, as there is room for; the chosen one stands for the nearest of them.
 * @param {any[]} sheets @param {number} room @param {?Sheet} chosen
 */
export function thinSheets(sheets, room, chosen) {
  const most = Math.max(2, room);
  if (sheets.length <= most) return sheets;
  const found = Array.from({ length: most }, (_, k) => sheets[Math.round((k * (sheets.length - 1)) / (most - 1))]);
  if (chosen) found[found.indexOf(nearestSheet({ steps: found }, chosen.i))] = chosen;
  return found;
}

/** A heat map over a picture: the picture dimmed, the warmth added to it.
 * @param {CanvasRenderingContext2D} ctx @param {Box} box @param {() => void} picture @param {() => void} warmth
 */
function overDimmed(ctx, { x, y, w, h }, picture, warmth) {
  ctx.save();
  ctx.fillStyle = "#000";
  ctx.fillRect(x, y, w, h);
  ctx.globalAlpha = 0.4;
  picture();
  ctx.globalAlpha = 1;
  ctx.globalCompositeOperation = "lighter";
  warmth();
  ctx.restore();
}

/** @param {CanvasRenderingContext2D} ctx @param {Pictures} pictures @param {any} image @param {number} column
 * @param {number} row @param {Box} place @param {Theme} theme
 */
function tile(ctx, pictures, image, column, row, place, theme) {
  const { x, y, w, h } = middleOf(pictures, place);
  if (!image) {
    ctx.strokeStyle = theme.hair;
    ctx.strokeRect(x + 0.5, y + 0.5, w - 1, h - 1);
    return;
  }
  const [tw, th] = pictures.size;
  ctx.imageSmoothingEnabled = w < 2 * tw;
  ctx.drawImage(image, column * tw, row * th, tw, th, x, y, w, h);
}

/** @param {CanvasRenderingContext2D} ctx @param {Box} box @param {Theme} theme */
function frame(ctx, { x, y, w, h }, theme) {
  ctx.strokeStyle = theme.ink;
  ctx.lineWidth = 2;
  ctx.setLineDash([]);
  ctx.strokeRect(x - 2, y - 2, w + 4, h + 4);
}

/** @param {CanvasRenderingContext2D} ctx @param {string} words @param {number} x @param {number} y
 * @param {Theme} theme @param {any} align
 */
function label(ctx, words, x, y, theme, align, strong = false) {
  ctx.fillStyle = strong ? theme.ink : theme.muted;
  ctx.textAlign = align;
  ctx.textBaseline = "alphabetic";
  ctx.fillText(words, x, y);
}
