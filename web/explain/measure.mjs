// @ts-check
/** What the model says of its own pictures: measure/levels.py, estimates.py and curve.py in the browser.
 *
 *     prompt strength    sum <x - u, c - u> / sigma^2  over  sum |c - u|^2 / sigma^2
 *     denoising ratio    geometric mean over levels of  sum |c - x|^2  over  sum sigma <n, c - x>
 *
 * It is no measure of quality: docs/own-measure.md says what these numbers cannot tell.
 */
import { predictBoth } from "./sampling.mjs";
import { dot, minus, plus } from "./vectors.mjs";

export const LEVELS = [12.8, 6.4, 3.2, 1.6, 0.8, 0.4, 0.2]; // noise over signal; the rms of clean latents is 1
const [COARSE, FINE] = [0.8, 1.6]; // from here up a level tells of the prompt; up to here, how strange a picture is
const SURE = 0.975;
const MARKS = { measured: 1.1, seen: 1.4 }; // times as strange as unguided: the first change that can be measured, that is seen
const UNGUIDED = 1; // the value of cfg at which nothing guides

/** The sums of finished pictures, each its own noise in pairs +n and -n: [picture][level].
 * @param {Predict} predict @param {number} none
 * @param {Vector[]} xs @param {number[]} labels @param {(() => Vector)[]} draws of noise, for each picture @param {number} pairs
 * @returns {Generator<?LevelSums[][]>} null where there is more to do; the sums last
 */
export function* queryLevels(predict, none, xs, labels, draws, pairs) {
  /** @type {LevelSums[][]} */ const sums = xs.map(() => []);
  for (const sigma of LEVELS) {
    const level = xs.map(() => ({ sigma, along: 0, length: 0, error: 0, expected: 0 }));
    for (let pair = 0; pair < pairs; pair += 1) {
      const eps = draws.map((draw) => draw());
      for (const sign of [1, -1]) {
        const signal = 1 / (1 + sigma);
        const ys = xs.map((x, b) => plus(x, eps[b], sign * sigma).map((value) => value * signal));
        const [cs, us] = predictBoth(predict, ys, sigma * signal, labels, none, sigma >= COARSE);
        xs.forEach((x, b) => addTo(level[b], x, cs[b], us?.[b] ?? null, eps[b].map((value) => sign * sigma * value)));
        yield null;
      }
    }
    level.forEach((sum, b) => sums[b].push(sum));
  }
  yield sums;
}

/** @param {LevelSums} level @param {Vector} x @param {Vector} c @param {?Vector} u @param {Vector} noise */
function addTo(level, x, c, u, noise) {
  const wrong = minus(c, x);
  level.error += dot(wrong, wrong);
  level.expected += dot(noise, wrong);
  if (!u) return;
  const push = minus(c, u);
  level.along += dot(minus(x, u), push);
  level.length += dot(push, push);
}

/** @param {number[][]} rows */
const totals = (rows) => rows[0].map((_, k) => rows.reduce((sum, row) => sum + row[k], 0));

/** A function of sums over pictures, with Student's interval of the jackknife's standard error.
 * @param {number[][]} rows sums of each picture @param {(sums: number[]) => number} of @returns {Estimate}
 */
export function jackknife(rows, of) {
  const total = totals(rows);
  return estimateOf(of(total), rows.map((row) => of(total.map((sum, k) => sum - row[k]))));
}

/** A number and its interval.  @param {number} value @param {number[]} without each picture left out in turn @returns {Estimate} */
export function estimateOf(value, without) {
  const count = without.length;
  if (count < 2) return [value, NaN, NaN];
  const mean = without.reduce((sum, v) => sum + v, 0) / count;
  const reach = studentsQuantile(count - 1) * Math.sqrt(((count - 1) / count) * without.reduce((sum, v) => sum + (v - mean) ** 2, 0));
  return [value, value - reach, value + reach];
}

/** The 97.5 % quantile of Student's t: P(|T| < sqrt(v) tan a) is the integral of cos^(v - 1) up to a, over that up to pi / 2.
 * @param {number} freedom
 */
export function studentsQuantile(freedom) {
  /** @param {number} end */
  const integral = (end) => { // Simpson's rule
    const [steps, width] = [400, end / 400];
    let sum = 0;
    for (let k = 0; k <= steps; k += 1) sum += (k === 0 || k === steps ? 1 : k % 2 ? 4 : 2) * Math.cos(k * width) ** (freedom - 1);
    return (sum * width) / 3;
  };
  const wanted = (2 * SURE - 1) * integral(Math.PI / 2);
  let [low, high] = [0, Math.PI / 2];
  for (let k = 0; k < 50; k += 1) [low, high] = integral((low + high) / 2) < wanted ? [(low + high) / 2, high] : [low, (low + high) / 2];
  return Math.sqrt(freedom) * Math.tan(low);
}

/** @param {LevelSums[]} levels @returns {number[]} */
const ratioSums = (levels) => levels.filter(({ sigma }) => sigma <= FINE).flatMap(({ error, expected }) => [error, expected]);

/** ln of the denoising ratio.  @param {number[]} sums error and expected of each level in turn */
function logRatio(sums) {
  let sum = 0;
  for (let k = 0; k < sums.length; k += 2) sum += Math.log(sums[k] / sums[k + 1]);
  return (2 * sum) / sums.length;
}

/** @param {Estimate} estimate @returns {Estimate} */
const exponential = ([value, low, high]) => [Math.exp(value), Math.exp(low), Math.exp(high)];

/** How strongly the pictures show their label: kappa.  @param {LevelSums[][]} levels of each picture */
export function promptStrength(levels) {
  const rows = levels.map((own) => totals(own.filter(({ sigma }) => sigma >= COARSE).map(({ sigma, along, length }) => [along / sigma ** 2, length / sigma ** 2])));
  return jackknife(rows, ([along, length]) => along / length);
}

/** How strange the pictures are to the model: 1 as its own.  @param {LevelSums[][]} levels of each picture */
export const denoisingRatio = (levels) => exponential(jackknife(levels.map(ratioSums), logRatio));

/** Mean distance between pictures, over that of the same seeds without guidance.
 * @param {Vector[]} xs @param {Vector[]} plainOnes @returns {Estimate}
 */
export function variety(xs, plainOnes) {
  if (xs.length < 2) return [NaN, NaN, NaN];
  /** @param {Vector[]} list @param {number} left */
  const apart = (list, left) => list.reduce((sum, x, i) => sum + list.slice(i + 1).reduce((more, y, j) => {
    const away = minus(x, y);
    return i === left || i + 1 + j === left ? more : more + Math.sqrt(dot(away, away));
  }, 0), 0);
  /** @param {number} left */
  const of = (left) => Math.log(apart(xs, left) / apart(plainOnes, left));
  return exponential(xs.length < 3 ? [of(-1), NaN, NaN] : estimateOf(of(-1), xs.map((_, b) => of(b))));
}

/** Everything at several scales, as curvePlot reads it.  points: levels and latents of the same seeds, at rising values
 * @param {{value: number, levels: LevelSums[][], latents: Vector[]}[]} points @returns {Curve}
 */
export function curveOf(points) {
  const values = points.map(({ value }) => value);
  const rows = points[0].levels.map((_, b) => points.flatMap(({ levels }) => ratioSums(levels[b])));
  const heights = (/** @type {number[]} */ sums) => points.map((_, s) => logRatio(sums.slice((s * sums.length) / points.length, ((s + 1) * sums.length) / points.length)));
  const total = heights(totals(rows));
  return {
    name: "cfg", values, pictures: rows.length, least: values[total.indexOf(Math.min(...total))],
    times_as_strange: points.map((_, s) => exponential(jackknife(rows, (sums) => heights(sums)[s] - Math.min(...heights(sums))))),
    prompt_strength: points.map(({ levels }) => promptStrength(levels)),
    ratio: points.map(({ levels }) => denoisingRatio(levels)),
    variety: points.map(({ latents }) => variety(latents, points[0].latents)),
    ...Object.fromEntries(Object.entries(MARKS).flatMap(([name, times]) => {
      const mark = markAt(values, total, times);
      return Number.isFinite(mark) ? [[name, [mark]]] : [];
    })),
  };
}

/** Which values the mark is read off: from the unguided one up to the first that is visibly strange.  @param {number[]} values @param {number[]} heights */
function nearOf(values, heights) {
  /** @type {number[]} */ const near = [];
  for (let i = values.findIndex((value) => value >= UNGUIDED); i >= 0 && i < values.length && Number.isFinite(heights[i]); i += 1) {
    near.push(i);
    if (near.length > 1 && heights[i] - Math.min(...near.map((k) => heights[k])) > Math.log(MARKS.seen)) break;
  }
  return near;
}

/** The value from which on pictures are so many times as strange as unguided ones; NaN where none is.
 *
 * ratio = r + a d + b d^2 over d = value - 1, with a and b not below 0, by least squares of relative errors: Curve.mark.
 * @param {number[]} values @param {number[]} heights ln of the ratios @param {number} times
 */
export function markAt(values, heights, times) {
  const near = nearOf(values, heights);
  if (near.length < 2) return NaN;
  const ratios = near.map((i) => Math.exp(heights[i]));
  const all = ratios.reduce((sum, ratio) => sum + ratio ** -2, 0);
  /** @param {number[]} v */
  const mean = (v) => v.reduce((sum, value, k) => sum + (value * ratios[k] ** -2) / all, 0);
  const d = near.map((i) => values[i] - UNGUIDED);
  const squares = d.map((value) => value ** 2);
  const [line, square, rise] = [d, squares, ratios].map((v) => v.map((value) => value - mean(v)));
  /** @param {number[]} v @param {number[]} w */
  const product = (v, w) => mean(v.map((value, k) => value * w[k]));
  const [xx, xy, yy, xr, yr] = [[line, line], [line, square], [square, square], [line, rise], [square, rise]].map(([v, w]) => product(v, w));
  const both = xx * yy - xy ** 2;
  let [a, b] = [(xr * yy - yr * xy) / both, (yr * xx - xr * xy) / both];
  if (a < 0 || near.length < 3) [a, b] = [0, Math.max(yr / yy, 0)];
  else if (b < 0) [a, b] = [Math.max(xr / xx, 0), 0];
  const above = (times - 1) * (mean(ratios) - a * mean(d) - b * mean(squares));
  const mark = UNGUIDED + (2 * above) / (a + Math.sqrt(a ** 2 + 4 * b * above));
  return mark <= values[values.length - 1] ? Math.max(mark, values[0]) : NaN;
}
