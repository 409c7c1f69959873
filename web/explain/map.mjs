// @ts-check
/** A world of two numbers a picture, known exactly: guidance/mixture.py on the plane, where no figure has to project.
 *
 * Each label has two looks, an outer and an inner one, both Gaussians. As in Pocket Flow's training a share of the labels
 * is wrong, so that p(x | y) is not p(x of that kind): guidance has something to repair.
 *
 *     x = (1 - s) x0 + s eps      r_m = softmax_m(ln w_m - |x - (1 - s) mean_m|^2 / (2 t_m) - ln t_m)      t_m = ((1 - s) d)^2 + s^2
 *     E[x0 | x] = sum_m r_m (mean_m + (1 - s) d^2 / t_m (x - (1 - s) mean_m))
 */
import { stepOf } from "./sampling.mjs";

const LABELS = 10;
export const WRONG = 0.3; // of the labels are drawn at random
export const SPREAD = 0.13; // d: deviation of a look
const RINGS = /** @type {const} */ ([[1.5, 0], [0.72, 108]]); // radius, and degrees by which a ring is turned

/** Centres of the looks: of label k the k-th of either ring.  @type {Point[]} */
export const MEANS = RINGS.flatMap(([radius, turn]) => Array.from({ length: LABELS }, (_, k) => {
  const angle = ((90 - 36 * k - turn) * Math.PI) / 180;
  return /** @type {Point} */ ([radius * Math.cos(angle), radius * Math.sin(angle)]);
}));
const LOOKS = MEANS.length;
const NOTHING = -30; // ln of a share that counts for nothing
export const REACH = SPREAD * Math.sqrt(-2 * Math.log(0.01)); // round its centre, holds 99 % of a look

/** Share of a look among pictures that are called so; without a label all are as many.  @param {number} m @param {number} label */
export const shareOf = (m, label) => (WRONG / LOOKS) + (m % LABELS === label ? (1 - WRONG) / RINGS.length : 0);

const [MEAN_X, MEAN_Y] = [0, 1].map((k) => Float64Array.from(MEANS, (mean) => mean[k]));
const SHARES = Array.from({ length: LABELS }, (_, label) => Float64Array.from(MEANS, (_, m) => shareOf(m, label)));
const near = new Float64Array(LOOKS); // of each look ln of its density, for the moment

/** Both predictions at a point, where the label is known and where it is not: [ux, uy, cx, cy, p(y | x)].
 *
 * Thousands of points ask it at every frame, so it makes no list.
 * @param {number} x @param {number} y @param {number} s noise level @param {number} label @param {number[] | Float64Array} into
 */
export function predict(x, y, s, label, into) {
  const signal = 1 - s;
  const t = (signal * SPREAD) ** 2 + s ** 2;
  const gain = (signal * SPREAD ** 2) / t;
  const called = SHARES[label];
  let most = -Infinity;
  for (let m = 0; m < LOOKS; m += 1) {
    const dx = x - signal * MEAN_X[m], dy = y - signal * MEAN_Y[m];
    near[m] = -(dx * dx + dy * dy) / (2 * t);
    if (near[m] > most) most = near[m];
  }
  let all = 0, ux = 0, uy = 0, own = 0, cx = 0, cy = 0;
  for (let m = 0; m < LOOKS; m += 1) {
    const below = near[m] - most;
    if (below < NOTHING) continue;
    const density = Math.exp(below);
    const share = density * called[m];
    all += density; ux += density * MEAN_X[m]; uy += density * MEAN_Y[m];
    own += share; cx += share * MEAN_X[m]; cy += share * MEAN_Y[m];
  }
  const kept = 1 - gain * signal;
  into[0] = (kept * ux) / all + gain * x;
  into[1] = (kept * uy) / all + gain * y;
  into[2] = (kept * cx) / own + gain * x;
  into[3] = (kept * cy) / own + gain * y;
  into[4] = (own / all) * (LOOKS / LABELS); // p(x | y) p(y) / p(x)
  return into;
}

/** Clean points that may lie behind a noisy one: so many draws from p(x0 | x), and how many looks are possible: e to the entropy.
 * @param {Point} at @param {number} s @param {number} count @param {() => number} draw normal @param {() => number} chance 0 to 1
 */
export function behind([x, y], s, count, draw, chance) {
  const signal = 1 - s;
  const t = (signal * SPREAD) ** 2 + s ** 2;
  const logs = MEANS.map(([dx, dy]) => -((x - signal * dx) ** 2 + (y - signal * dy) ** 2) / (2 * t));
  const most = Math.max(...logs);
  const shares = logs.map((log) => Math.exp(log - most));
  const all = shares.reduce((sum, share) => sum + share, 0);
  const [gain, rest] = [(signal * SPREAD ** 2) / t, (SPREAD * s) / Math.sqrt(t)];
  const points = Array.from({ length: count }, () => {
    let left = chance() * all;
    const m = Math.max(shares.findIndex((share) => (left -= share) <= 0), 0);
    return /** @type {Point} */ (MEANS[m].map((mean, k) => mean + gain * ([x, y][k] - signal * mean) + rest * draw()));
  });
  return { points, looks: Math.exp(-shares.reduce((sum, share) => sum + (share > 0 ? (share / all) * Math.log(share / all) : 0), 0)) };
}

/** How probable every label is at a point: p(y | x).  @param {Point} at @param {number} s @returns {number[]} */
export function classify([x, y], s) {
  const into = [0, 0, 0, 0, 0];
  return Array.from({ length: LABELS }, (_, label) => predict(x, y, s, label, into)[4]);
}

/** Where p(y | x) grows fastest, in units of a prediction: s^2 / (1 - s) grad ln p(y | x), by differences of the classifier alone.
 * @param {Point} at @param {number} s @param {number} label @returns {Point}
 */
export function push([x, y], s, label) {
  const into = [0, 0, 0, 0, 0];
  const h = 1e-4;
  /** @param {number} dx @param {number} dy */
  const log = (dx, dy) => Math.log(predict(x + dx, y + dy, s, label, into)[4]);
  const factor = s ** 2 / (1 - s) / (2 * h);
  return [factor * (log(h, 0) - log(-h, 0)), factor * (log(0, h) - log(0, -h))];
}

/** Density of clean points, p(x), and how probable the label is there.  @param {number} x @param {number} y @param {number} label */
export function density(x, y, label) {
  let all = 0, called = 0;
  for (let m = 0; m < LOOKS; m += 1) {
    const value = Math.exp(-((x - MEAN_X[m]) ** 2 + (y - MEAN_Y[m]) ** 2) / (2 * SPREAD ** 2)) / (2 * Math.PI * SPREAD ** 2);
    all += value / LOOKS;
    called += value * SHARES[label][m];
  }
  return { all, called: all > 0 ? called / all / LABELS : 1 / LABELS };
}

/** One step.  gamma: null where the label is not known, and D = u
 * @param {Point} x @param {number} s @param {number} next @param {{label: number, gamma: ?number, eta: number}} how
 * @param {() => number} draw @returns {MapStep}
 */
export function stepFrom(x, s, next, { label, gamma, eta }, draw) {
  const [ux, uy, cx, cy] = predict(x[0], x[1], s, label, [0, 0, 0, 0, 0]);
  const { kappa, kept, up } = stepOf(s, next, eta);
  /** @type {Point} */ const D = gamma === null ? [ux, uy] : [ux + gamma * (cx - ux), uy + gamma * (cy - uy)];
  /** @type {Point} */ const tip = [kept * x[0] + kappa * D[0], kept * x[1] + kappa * D[1]];
  const noise = up > 0 ? [up * draw(), up * draw()] : [0, 0];
  return { s, next, kappa, x, u: [ux, uy], c: [cx, cy], D, tip, to: [tip[0] + noise[0], tip[1] + noise[1]] };
}

/** A run from a point at a level to a clean one.  @param {Point} x @param {number} s @param {number} steps
 * @param {{label: number, gamma: ?number, eta: number}} how @param {() => number} draw
 */
export function pathFrom(x, s, steps, how, draw) {
  /** @type {MapStep[]} */ const path = [];
  for (let i = 0; i < steps; i += 1) path.push(stepFrom(path.at(-1)?.to ?? x, s * (1 - i / steps), s * (1 - (i + 1) / steps), how, draw));
  return path;
}

/** Where many runs from noise end: [x, y, x, y, ...].  noise: where they start, and what is drawn on the way
 * @param {Float64Array} starts @param {number} steps @param {{label: number, gamma: number, eta: number}} how @param {() => number} draw
 */
export function endsOf(starts, steps, { label, gamma, eta }, draw) {
  const ends = starts.slice();
  const into = new Float64Array(5);
  for (let i = 0; i < steps; i += 1) {
    const [s, next] = [1 - i / steps, 1 - (i + 1) / steps];
    const { kappa, kept, up } = stepOf(s, next, eta);
    for (let k = 0; k < ends.length; k += 2) {
      predict(ends[k], ends[k + 1], s, label, into);
      ends[k] = kept * ends[k] + kappa * (into[0] + gamma * (into[2] - into[0]));
      ends[k + 1] = kept * ends[k + 1] + kappa * (into[1] + gamma * (into[3] - into[1]));
      if (up > 0) {
        ends[k] += up * draw();
        ends[k + 1] += up * draw();
      }
    }
  }
  return ends;
}

/** The label whose look is nearest, and how far that look is.  @param {number} x @param {number} y */
export function nearest(x, y) {
  let least = Infinity, found = 0;
  for (let m = 0; m < LOOKS; m += 1) {
    const square = (x - MEAN_X[m]) ** 2 + (y - MEAN_Y[m]) ** 2;
    if (square < least) {
      least = square;
      found = m;
    }
  }
  return { label: found % LABELS, away: Math.sqrt(least) };
}
