// @ts-check
/** What was measured of a model along a knob, as one picture: how strange its pictures are, with rows of numbers below. No DOM.
 *
 * Every value has a column of the same width, so that pictures can stand below them.
 */
import { escapeText } from "./svg.mjs";
import { number, wordsWidth } from "./words.mjs";

export const RIGHT = 10; // pixels beside the last column
const [TOP, HEIGHT, ROW, LINE, SIZE] = [18, 64, 15, 15, 12]; // pixels
const [LEAST, FLAT, MOST] = [0.8, 1.6, 4]; // times as strange: where the axis begins, and ends at least and at most
const NARROW = [56, 110]; // pixels, of the words at the left

/** Style of a plot.  accent: of the curve. paper: below it  @param {string} accent @param {string} paper */
export const curveStyle = (accent, paper) => `
.gg-curve-plot { display: block; font-size: ${SIZE}px; fill: currentColor; font-variant-numeric: tabular-nums; }
.gg-curve-plot .gg-behind { fill: ${paper}; }
.gg-curve-plot .gg-band { fill: ${accent}; opacity: .22; }
.gg-curve-plot .gg-lit { fill: ${accent}; opacity: .2; }
.gg-curve-plot .gg-line { fill: none; stroke: ${accent}; stroke-width: 2; }
.gg-curve-plot :is(.gg-grid, .gg-mark, .gg-own) { stroke: currentColor; opacity: .25; }
.gg-curve-plot .gg-mark { opacity: .7; stroke-dasharray: 4 3; }
.gg-curve-plot .gg-own { opacity: .8; stroke-width: 2; }`;

/** Pixels at the left of the first column. name: of the knob. t: `speaker`  @param {string} name @param {Speaker} t */
export function leftOf(name, t) {
  const widest = Math.max(...[name, t("rowStrength"), t("rowVariety")].map((label) => wordsWidth(label, SIZE)));
  return Math.round(Math.min(Math.max(widest + 10, NARROW[0]), NARROW[1]));
}

/** An SVG element as text. curve: as the server tells it. own: value of the run that is shown, or null. columns: values, those of
 * the curve among them. width: pixels. marked: the value whose column is marked, null for none. t: `speaker`.
 * @param {Curve} curve @param {?number} own @param {Speaker} t @param {?number} [marked]
 */
export function curvePlot(curve, own, t, width = 520, columns = curve.values, marked = null) {
  const { values, times_as_strange: times } = curve;
  const left = leftOf(curve.name, t);
  const column = (width - left - RIGHT) / columns.length;
  /** @param {number} value */
  const along = (value) => (columns[0] > 0 ? Math.log(value) : value);
  /** @param {number} value */
  const x = (value) => {
    const i = Math.min(Math.max(columns.findLastIndex((tried) => tried <= value), 0), columns.length - 2);
    const share = (along(value) - along(columns[i])) / (along(columns[i + 1]) - along(columns[i]));
    return left + column * (i + 0.5 + Math.min(Math.max(share, 0), 1));
  };
  const top = Math.min(Math.max(FLAT, ...times.map(([value, , end]) => Math.min(end ?? value, 1.3 * value))), MOST);
  /** @param {number} value */
  const y = (value) => TOP + HEIGHT * (1 - Math.log(Math.min(Math.max(value, LEAST), top) / LEAST) / Math.log(top / LEAST));
  const bottom = TOP + HEIGHT;
  /** @param {number} value @param {number} ratio */
  const place = (value, ratio) => `${x(value).toFixed(1)},${y(ratio).toFixed(1)}`;
  const band = [...times.map(([value, , end], k) => place(values[k], end ?? value)), ...times.map(([value, start], k) => place(values[k], start ?? value)).reverse()];
  const line = times.map(([value], k) => place(values[k], value));
  /** @param {string} kind @param {number} value @param {number} from */
  const upright = (kind, value, from) => `<line class="gg-${kind}" x1="${x(value).toFixed(1)}" x2="${x(value).toFixed(1)}" y1="${from}" y2="${bottom}"/>`;
  const marks = /** @type {[string, string][]} */ ([["seen", "markSeen"], ["measured", "markMeasured"]]).filter(([name]) => curve[name]).map(([name, key], k) => { // left of the marks the curve lies low
    const [value] = curve[name];
    const said = `${t(key)} ${number(value, 2)}`;
    const before = x(value) - 5 - wordsWidth(said, SIZE) > left;
    const [wide, from] = [wordsWidth(said, SIZE), TOP + LINE * k];
    const behind = `<rect class="gg-behind" x="${(x(value) + (before ? -4 - wide : 4)).toFixed(1)}" y="${from}" width="${wide.toFixed(1)}" height="${LINE - 2}"/>`; // what it lies on is hidden
    return upright("mark", value, from) + behind + words(x(value) + (before ? -5 : 5), from + 10, said, before ? "end" : "start");
  });
  const ticks = [1, 1.5, 2, 3].filter((ratio) => ratio <= top)
    .map((ratio) => `<line class="gg-grid" x1="${left}" x2="${width - RIGHT}" y1="${y(ratio).toFixed(1)}" y2="${y(ratio).toFixed(1)}"/>${words(left - 6, y(ratio) + 4, `${ratio}\u00d7`, "end")}`);
  const rows = /** @type {[string, string[], string][]} */ ([
    [curve.name, values.map((value) => number(value)), ""],
    [t("rowStrength"), curve.prompt_strength.map(([value]) => number(value, 2)), t("rowStrengthTip")],
    ...(curve.variety.length ? [[t("rowVariety"), curve.variety.map(([value]) => number(value, 2)), t("rowVarietyTip")]] : []),
  ]).map(([name, cells, tip], k) => words(left - 6, bottom + ROW * (k + 1), name, "end", tip) + cells.map((cell, i) => words(x(values[i]), bottom + ROW * (k + 1), cell, "middle")).join(""));
  const high = bottom + ROW * rows.length + 4;
  const at = columns.indexOf(marked ?? NaN);
  const lit = at < 0 ? "" : `<rect class="gg-lit" x="${(left + at * column).toFixed(1)}" y="${TOP}" width="${column.toFixed(1)}" height="${high - TOP}" rx="3"/>`;
  return `<svg xmlns="http://www.w3.org/2000/svg" class="gg-curve-plot" width="${width}" height="${high}" viewBox="0 0 ${width} ${high}" role="img" aria-label="${escapeText(t("curveLabel"))}">`
    + `${lit}${ticks.join("")}<polygon class="gg-band" points="${band.join(" ")}"/><polyline class="gg-line" points="${line.join(" ")}"/>`
    + `${ownOf()}${marks.join("")}${words(2, TOP - 8, t("rowStrange"), "start")}${rows.join("")}</svg>`;

  /** The value of the run, with its words beside those about the axis. */
  function ownOf() {
    if (own === null || own < columns[0] || own > columns[columns.length - 1]) return "";
    const said = `${t("yours")} ${number(own)}`;
    const half = wordsWidth(said, SIZE) / 2;
    const middle = Math.min(Math.max(x(own), wordsWidth(t("rowStrange"), SIZE) + half), width - half);
    return upright("own", own, TOP - 4) + words(middle, TOP - 8, said, "middle");
  }
}

/** @param {number} x @param {number} y @param {string} text @param {string} anchor */
const words = (x, y, text, anchor, tip = "") => `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}">${tip && `<title>${escapeText(tip)}</title>`}${escapeText(String(text))}</text>`;
