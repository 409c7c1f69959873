// @ts-check
/** The plane of a study's page: rules by prompt strength and denoising ratio, as SVG text, and the rows below it. No DOM. */
import { escapeText, f, footWords, level, SERIES, shape, SHAPES, ticks, valueWords } from "./study-plot.mjs";

const [W, H, PAD] = [720, 340, { left: 52, right: 16, top: 26, bottom: 34 }];
const ROOM = 1.12; // times what rules reach: beyond that the curve of plain guidance is cut
const RATIOS = [0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.3, 1.5, 1.7, 2, 2.5, 3, 4, 5, 7, 10, 20, 50, 100];
const VARIED = [2, 5]; // radius of a point at variety 0, and how much more it is at 1
const MISSING = { below: "stays below", above: "begins above" };
export const HEADS = ["rule", "cfg needed", "denoising ratio", "departure", "as plain cfg", "variety", "evaluations", "by scale alone", "against plain"];
export const WORDS = "Points: cfg; the larger, the more variety. Right: pictures show the prompt more strongly. Up: stranger to the model. "
  + "Departure: how many times the ratio lies above or below that of plain cfg 1. By scale alone: how much of a rule\u2019s change plain guidance at its effective scale has. "
  + "Rules are told apart only where the seeds prove it. This is no measure of quality.";

/** Strength, ratio, cfg and variety at every value of a curve that has both.  @param {any} curve */
export function pointsOf(curve) {
  return curve.values.flatMap((/** @type {number} */ value, /** @type {number} */ i) => {
    const [strength] = curve.prompt_strength[i];
    const [ratio, low, high] = curve.denoising_ratio[i];
    return strength == null || !(ratio > 0) ? [] : [{ value, strength, ratio, low, high, variety: curve.variety[i]?.[0] ?? null }];
  });
}

/** What the plane shows: all that rules reach, and of plain guidance a little more.  @param {any} plane */
export function extentOf(plane) {
  const rules = plane.rules.flatMap(pointsOf);
  const plain = pointsOf(plane.plain);
  const [right, top] = ["strength", "ratio"].map((name) => ROOM * Math.max(...(rules.length ? rules : plain).map((/** @type {any} */ point) => point[name])));
  const seen = [...rules, ...plain.filter((/** @type {any} */ point) => point.strength <= right && point.ratio <= top)];
  const strengths = seen.map((point) => point.strength);
  const ratios = seen.map((point) => point.ratio);
  const margin = 0.05 * (Math.max(...strengths) - Math.min(...strengths) || 1);
  return { strengths: [Math.min(...strengths) - margin, Math.max(...strengths) + 2 * margin], ratios: [Math.min(...ratios) / 1.08, Math.max(...ratios) * 1.1] };
}

/** The plane as SVG text.  at: index of the comparison whose strength is marked.  @param {any} plane @param {number} at */
export function planePlot(plane, at) {
  const { strengths, ratios } = extentOf(plane);
  const [right, foot] = [W - PAD.right, H - PAD.bottom];
  /** @param {number} value */
  const x = (value) => PAD.left + ((value - strengths[0]) / (strengths[1] - strengths[0])) * (right - PAD.left);
  /** @param {number} value */
  const y = (value) => foot - (Math.log(value / ratios[0]) / Math.log(ratios[1] / ratios[0])) * (foot - PAD.top);
  const every = RATIOS.filter((ratio) => ratio >= ratios[0] && ratio <= ratios[1]);
  const marks = every.length > 7 ? every.filter((_, i) => i % 2 === every.indexOf(1) % 2) : every;
  const across = ticks(strengths[0], strengths[1]).filter((value) => value <= strengths[1]);
  const parts = [`<clipPath id="plane-clip"><rect x="${PAD.left}" y="${PAD.top}" width="${right - PAD.left}" height="${foot - PAD.top}"/></clipPath>`,
    ...marks.map((mark) => level(y(mark), PAD.left, right, valueWords(mark, "number"))), ...footWords(across.map((value) => valueWords(value, "number")), across.map(x), foot + 16),
    `<text x="${PAD.left - 46}" y="12">denoising ratio</text>`, `<text x="${right}" y="${H - 2}" text-anchor="end">prompt strength</text>`];
  const here = plane.comparisons[at];
  if (here) {
    const place = f(x(here.prompt_strength[0]));
    parts.push(`<path class="mark" d="M${place} ${PAD.top}V${foot}" stroke-dasharray="5 4"/>`,
      `<text x="${Math.min(place, right - 70)}" y="${PAD.top - 8}" text-anchor="middle">as strong as plain cfg ${here.cfg}</text>`);
  }
  const curves = [plane.plain, ...plane.rules].map((curve) => ({ curve, points: pointsOf(curve) }));
  const band = curves[0].points.filter((/** @type {any} */ point) => point.low > 0 && point.high > 0);
  const edge = [...band.map((/** @type {any} */ point) => [point.strength, point.low]), ...band.reverse().map((/** @type {any} */ point) => [point.strength, point.high])];
  const inside = edge.length ? [`<path class="band" fill="var(--s0)" opacity="0.15" d="M${edge.map(([s, r]) => `${f(x(s))} ${f(y(r))}`).join("L")}Z"/>`] : [];
  for (const [k, { points }] of [...curves.entries()].reverse()) {
    const colour = `var(--s${k % SERIES})`;
    inside.push(`<path d="M${points.map((/** @type {any} */ point) => `${f(x(point.strength))} ${f(y(point.ratio))}`).join("L")}" fill="none" stroke="${colour}" stroke-width="${k ? 2 : 3.5}"/>`);
  }
  parts.push(`<g clip-path="url(#plane-clip)">${inside.join("")}</g>`);
  for (const [k, { curve, points }] of [...curves.entries()].reverse()) parts.push(...marksOf(curve, points, k, { x, y, right, top: PAD.top }));
  return `<svg viewBox="0 0 ${W} ${H}" role="img" aria-label="${escapeText(plotWords(plane))}">${parts.join("")}</svg>`;
}

/** Points of a curve with their cfg, each as large as its variety.
 * @param {any} curve @param {any[]} points @param {number} k @param {any} place
 */
function marksOf(curve, points, k, { x, y, right, top }) {
  const colour = `var(--s${k % SERIES})`;
  return points.filter((point) => x(point.strength) <= right && y(point.ratio) >= top).map((point) => {
    const size = (VARIED[0] + VARIED[1] * (point.variety ?? 0.5)) / 4.5;
    const [px, py] = [f(x(point.strength)), f(y(point.ratio))];
    const words = `${curve.name}, cfg ${point.value}: prompt strength ${valueWords(point.strength, "number")}, denoising ratio ${valueWords(point.ratio, "number")}`;
    return `<g fill="${colour}"><g transform="translate(${px} ${py}) scale(${f(size)})">${shape(SHAPES[k % SHAPES.length], 0, 0)}</g>`
      + `<text x="${px + 8}" y="${k ? py - 6 : py + 15}" style="fill:${colour}">${point.value}</text><title>${escapeText(words)}</title></g>`;
  });
}

/** The plane in words, for who does not see it.  @param {any} plane */
const plotWords = (plane) => [plane.plain, ...plane.rules].map((curve) => `${curve.name}: ${pointsOf(curve)
  .map((/** @type {any} */ point) => `cfg ${point.value} at prompt strength ${valueWords(point.strength, "number")}, denoising ratio ${valueWords(point.ratio, "number")}`).join("; ")}`).join(". ");

/** The rows of a comparison, under HEADS.  @param {any} comparison */
export function planeRows(comparison) {
  return [comparison.plain, ...comparison.rules].map((row) => {
    const explained = row.explained ? `${span(row.explained.map((/** @type {any} */ share) => (share == null ? null : 100 * share)), 0)} %` : "";
    if (row.missing) return [row.name, MISSING[/** @type {"below" | "above"} */ (row.missing)], "", "", "", "", "", explained, ""];
    const departure = row.departure.map((/** @type {any} */ value) => (value == null ? null : Math.exp(value)));
    return [row.name, span(row.cfg), span(row.ratio), span(departure), span(row.plain_cfg), span(row.variety), row.evaluations == null ? "" : String(Math.round(row.evaluations)), explained,
      row.p == null ? "" : row.verdict || "not told apart"];
  });
}

/** An estimate: its number and its interval.  @param {any} estimate */
function span(estimate, digits = 2) {
  if (!estimate || estimate[0] == null) return "";
  const [value, low, high] = estimate.map((/** @type {any} */ end) => (end == null ? "?" : end.toFixed(digits)));
  return low === high ? String(Number(value)) : `${value} (${low} to ${high})`;
}

/** The rules by their departure, where they are told apart.  @param {any} comparison */
export const orderWords = (comparison) => `By departure, where told apart: ${comparison.groups.map((/** @type {string[]} */ group) => group.join(", ")).join(" < ")}.`;
