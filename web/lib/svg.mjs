// @ts-check
/** Drawing commands as one SVG string: escapeText, fixed decimals, never NaN in an attribute. */
import { corners } from "./canvas.mjs";
import { paintable } from "./commands.mjs";
import { LIGHT } from "./theme.mjs";
import { runSize } from "./words.mjs";

/** @type {Record<string, string>} */
const ESCAPES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

/** An SVG document. font: family of all text. title: shown as a tooltip and read aloud.  @param {Command[]} commands */
export function toSVG(commands, { title = "", font = LIGHT.font } = {}) {
  const [{ w, h, label }] = commands;
  const head = `<svg xmlns="http://www.w3.org/2000/svg" width="${fixed(w)}" height="${fixed(h)}" `;
  const view = `viewBox="0 0 ${fixed(w)} ${fixed(h)}" role="img" font-family="${escapeText(font)}">`;
  const words = (title && `<title>${escapeText(title)}</title>`) + (label && `<desc>${escapeText(label)}</desc>`);
  return head + view + words + paintable(commands).map((command) => ELEMENTS[command.op](command)).join("") + "</svg>";
}

/** @type {Record<string, (command: any) => string>} */
const ELEMENTS = {
  sheet({ w, h, fill }) {
    return fill && fill !== "none" ? `<rect width="${fixed(w)}" height="${fixed(h)}" fill="${escapeText(fill)}"/>` : "";
  },
  line: (command) => `<polyline points="${places(command.points)}" fill="none"${strokeOf(command)}${more(command)}/>`,
  polygon: (command) => `<polygon points="${places(command.points)}"${fillOf(command)}${strokeOf(command)}${more(command)}/>`,
  marker(command) {
    const { x, y, kind, size } = command;
    const style = fillOf(command) + strokeOf({ ...command, width: 1.8, dash: null }) + more(command);
    if (kind === "disc" || kind === "circle") {
      return `<circle cx="${fixed(x)}" cy="${fixed(y)}" r="${fixed(size / 2)}"${style}/>`;
    }
    return `<polygon points="${places(corners(kind, x, y, size))}"${style}/>`;
  },
  text(command) {
    const { x, y, runs, size, fill, halo, anchor, weight } = command;
    const rim = halo
      ? ` stroke="${escapeText(halo)}" stroke-width="3" stroke-linejoin="round" paint-order="stroke"`
      : "";
    const bold = weight ? ` font-weight="${escapeText(weight)}"` : "";
    const place = `x="${fixed(x)}" y="${fixed(y)}" text-anchor="${escapeText(anchor)}" font-size="${fixed(size)}"`;
    return `<text ${place}${bold} fill="${escapeText(fill)}"${rim}${more(command)} xml:space="preserve">${spans(runs, size)}</text>`;
  },
  image({ x, y, w, h, address, sharp }) {
    const place = `x="${fixed(x)}" y="${fixed(y)}" width="${fixed(w)}" height="${fixed(h)}"`;
    return `<image ${place} href="${escapeText(address)}"${sharp ? ' image-rendering="pixelated"' : ""}/>`;
  },
};

/** @param {TextRun[]} runs @param {number} size */
function spans(runs, size) {
  let low = 0;
  return runs
    .map((run) => {
      const wanted = run.sub ? 0.22 * size : 0;
      const shift = wanted === low ? "" : ` dy="${fixed(wanted - low)}"`;
      low = wanted;
      const style = (run.italic ? ' font-style="italic"' : "") + (run.sub ? ` font-size="${fixed(runSize(run, size))}"` : "");
      return shift || style ? `<tspan${shift}${style}>${escapeText(run.t)}</tspan>` : escapeText(run.t);
    })
    .join("");
}

/** @param {number} value */
const fixed = (value) => String(Number(value.toFixed(3)) + 0);

/** @param {number[][]} points */
const places = (points) => points.map(([x, y]) => `${fixed(x)},${fixed(y)}`).join(" ");

/** @param {any} command */
const fillOf = ({ fill }) => ` fill="${escapeText(fill ?? "none")}"`;

/** @param {any} command */
function strokeOf({ stroke, width, dash }) {
  if (!stroke || stroke === "none") return "";
  const dashes = dash ? ` stroke-dasharray="${dash.map(fixed).join(" ")}"` : "";
  return ` stroke="${escapeText(stroke)}" stroke-width="${fixed(width ?? 1)}" stroke-linejoin="round"${dashes}`;
}

/** @param {any} command */
function more({ name, alpha }) {
  const id = name ? ` data-name="${escapeText(name)}"` : "";
  return id + (alpha === undefined || alpha === null ? "" : ` opacity="${fixed(alpha)}"`);
}

/** Text made safe for XML: markup escapeText, control characters and lone surrogates dropped.  @param {string} words */
export function escapeText(words) {
  const clean = String(words).replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|\p{Cs}/gu, "");
  return clean.replace(/[&<>"']/g, (letter) => ESCAPES[letter]);
}
