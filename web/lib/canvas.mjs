// @ts-check
/** Paints drawing commands on a 2D canvas context. */
import { paintable } from "./commands.mjs";
import { LIGHT } from "./theme.mjs";
import { runSize } from "./words.mjs";

/** Paint a figure. scale: device pixels per logical pixel. font: family of all text.
 * @param {Command[]} commands @param {CanvasRenderingContext2D} ctx
 */
export function paint(commands, ctx, scale = 1, font = LIGHT.font) {
  ctx.setTransform(scale, 0, 0, scale, 0, 0);
  for (const command of paintable(commands)) {
    ctx.globalAlpha = command.alpha ?? 1;
    PAINTERS[command.op](ctx, command, font);
  }
  ctx.globalAlpha = 1;
}

/** @type {Record<string, (ctx: CanvasRenderingContext2D, command: any, font: string) => void>} */
const PAINTERS = {
  sheet(ctx, { w, h, fill }) {
    ctx.clearRect(0, 0, w, h);
    if (!fill || fill === "none") return;
    ctx.fillStyle = fill;
    ctx.fillRect(0, 0, w, h);
  },
  line(ctx, command) {
    trace(ctx, command.points);
    stroke(ctx, command.stroke, command.width, command.dash);
  },
  polygon(ctx, command) {
    trace(ctx, command.points);
    ctx.closePath();
    fill(ctx, command.fill);
    if (command.stroke) stroke(ctx, command.stroke, command.width, command.dash);
  },
  marker(ctx, command) {
    const { x, y, kind, size } = command;
    ctx.beginPath();
    if (kind === "disc" || kind === "circle") ctx.arc(x, y, size / 2, 0, 2 * Math.PI);
    else trace(ctx, corners(kind, x, y, size));
    ctx.closePath();
    fill(ctx, command.fill);
    stroke(ctx, command.stroke, 1.8);
  },
  text(ctx, command, font) {
    const { runs, anchor, halo, size } = command;
    const fonts = runs.map((/** @type {TextRun} */ run) => fontOf(run, command, font));
    const alone = runs.length === 1; // then the browser aligns it, and nothing has to be measured
    const widths = alone ? [0] : runs.map((/** @type {TextRun} */ run, /** @type {number} */ k) => widthOf(ctx, run, fonts[k]));
    const whole = widths.reduce((/** @type {number} */ sum, /** @type {number} */ width) => sum + width, 0);
    ctx.textAlign = alone ? ALIGNMENT[anchor] : "left";
    ctx.textBaseline = "alphabetic";
    ctx.fillStyle = command.fill;
    if (halo) outline(ctx, halo);
    for (const pass of /** @type {("strokeText" | "fillText")[]} */ (halo ? ["strokeText", "fillText"] : ["fillText"])) {
      let x = command.x - (anchor === "middle" ? whole / 2 : anchor === "end" ? whole : 0);
      runs.forEach((/** @type {TextRun} */ run, /** @type {number} */ k) => {
        ctx.font = fonts[k];
        ctx[pass](run.t, x, command.y + (run.sub ? 0.22 * size : 0));
        x += widths[k];
      });
    }
  },
};

/** @type {Record<string, CanvasTextAlign>} */
const ALIGNMENT = { start: "left", middle: "center", end: "right" };

/** @param {CanvasRenderingContext2D} ctx @param {TextRun} run @param {string} font */
function widthOf(ctx, run, font) {
  ctx.font = font;
  return ctx.measureText(run.t).width;
}

/** Words get a seam of the paper's colour.  @param {CanvasRenderingContext2D} ctx @param {string} colour */
function outline(ctx, colour) {
  ctx.lineJoin = "round";
  ctx.lineWidth = 3;
  ctx.setLineDash([]);
  ctx.strokeStyle = colour;
}

/** Corners of a marker that is not round.
 * @param {string} kind @param {number} x @param {number} y @param {number} size
 */
export function corners(kind, x, y, size) {
  const r = size / 2;
  if (kind === "square") return [[x - r, y - r], [x + r, y - r], [x + r, y + r], [x - r, y + r]];
  if (kind === "diamond") return [[x, y - 1.3 * r], [x + 1.3 * r, y], [x, y + 1.3 * r], [x - 1.3 * r, y]];
  return [[x, y - 1.2 * r], [x + 1.1 * r, y + 0.8 * r], [x - 1.1 * r, y + 0.8 * r]];
}

/** @param {TextRun} run @param {Command} text @param {string} font */
function fontOf(run, { size, weight }, font) {
  return `${run.italic ? "italic " : ""}${weight ?? "normal"} ${runSize(run, size)}px ${font}`;
}

/** @param {CanvasRenderingContext2D} ctx @param {number[][]} points */
function trace(ctx, points) {
  ctx.beginPath();
  ctx.moveTo(points[0][0], points[0][1]);
  for (let k = 1; k < points.length; k += 1) ctx.lineTo(points[k][0], points[k][1]);
}

/** @param {CanvasRenderingContext2D} ctx @param {string} colour */
function fill(ctx, colour) {
  if (!colour || colour === "none") return;
  ctx.fillStyle = colour;
  ctx.fill();
}

/** @param {CanvasRenderingContext2D} ctx @param {string} colour @param {number} width @param {any} [dash] */
function stroke(ctx, colour, width, dash) {
  if (!colour || colour === "none") return;
  ctx.strokeStyle = colour;
  ctx.lineWidth = width ?? 1;
  ctx.setLineDash(dash ?? []);
  ctx.lineJoin = "round";
  ctx.stroke();
}
