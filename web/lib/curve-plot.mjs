// @ts-check
/** What was measured of a model along a knob, as one picture: how strange its pictures are, with two rows below. No DOM. */
import { escapeText } from "./svg.mjs";
import { number } from "./words.mjs";

const [LEFT, RIGHT, TOP, HEIGHT, ROW] = [76, 16, 24, 96, 18]; // pixels
const MOST = 4; // times as strange, at least shown to here

/** An SVG element as text. curve: as the server tells it. own: value of the run that is shown, or null. t: `speaker`. */
export function curvePlot(curve, own, t, width = 520) {
  const { values, times_as_strange: times } = curve;
  const log = values[0] > 0;
  const at = (value) => (log ? Math.log(value) : value);
  const [low, high] = [at(values[0]), at(values.at(-1))];
  const x = (value) => LEFT + ((width - LEFT - RIGHT - 24) * (Math.min(Math.max(at(value), low), high) - low)) / (high - low) + 12;
  const top = Math.min(Math.max(1.6, ...times.map(([value, , end]) => Math.min(end ?? value, 1.3 * value))), MOST);
  const y = (value) => TOP + HEIGHT * (1 - Math.log(Math.min(Math.max(value, 0.8), top) / 0.8) / Math.log(top / 0.8));
  const place = (value, ratio) => `${x(value).toFixed(1)},${y(ratio).toFixed(1)}`;
  const band = [...times.map(([value, , end], k) => place(values[k], end ?? value)), ...times.map(([value, start], k) => place(values[k], start ?? value)).reverse()];
  const line = times.map(([value], k) => place(values[k], value));
  const bottom = TOP + HEIGHT;
  const marks = [["measured", "markMeasured"], ["seen", "markSeen"]].filter(([name]) => curve[name]).map(([name, key], k) => {
    const [value] = curve[name];
    const right = x(value) > width / 2;
    return `<line class="gg-mark" x1="${x(value)}" x2="${x(value)}" y1="${TOP}" y2="${bottom}"/>`
      + words(x(value) + (right ? -4 : 4), TOP + 10 + 13 * k, `${t(key)} ${number(value, 2)}`, right ? "end" : "start");
  });
  const ticks = [1, 1.5, 2, 3].filter((ratio) => ratio <= top).map((ratio) => `<line class="gg-grid" x1="${LEFT}" x2="${width - RIGHT}" y1="${y(ratio)}" y2="${y(ratio)}"/>` + words(LEFT - 6, y(ratio) + 4, `${ratio}\u00d7`, "end"));
  const rows = [
    [curve.name, values.map((value) => number(value))],
    [t("rowStrength"), curve.prompt_strength.map(([value]) => number(value, 2))],
    ...(curve.variety.length ? [[t("rowVariety"), curve.variety.map(([value]) => number(value, 2))]] : []),
  ].map(([name, cells], k) => words(LEFT - 6, bottom + ROW * (k + 1), name, "end") + cells.map((cell, i) => words(x(values[i]), bottom + ROW * (k + 1), cell, "middle")).join(""));
  const dot = own !== null && own >= values[0] && own <= values.at(-1) ? `<line class="gg-own" x1="${x(own)}" x2="${x(own)}" y1="${TOP}" y2="${bottom}"/>${words(x(own), TOP - 6, `${t("yours")} ${number(own)}`, "middle")}` : "";
  const tall = bottom + ROW * rows.length + 10;
  return `<svg xmlns="http://www.w3.org/2000/svg" class="gg-curve-plot" viewBox="0 0 ${width} ${tall}" role="img" aria-label="${escapeText(t("curveLabel"))}">`
    + `${ticks.join("")}<polygon class="gg-band" points="${band.join(" ")}"/><polyline class="gg-line" points="${line.join(" ")}"/>${marks.join("")}${dot}${words(4, TOP - 6, t("rowStrange"), "start")}${rows.join("")}</svg>`;
}

const words = (x, y, text, anchor) => `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}">${escapeText(String(text))}</text>`;
