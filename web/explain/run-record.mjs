// @ts-check
/** The record of a run as the panel's figures read it: trace/record.py in the browser, for one picture of a flow model. */
import { dot, minus, plus } from "./vectors.mjs";


const VECTORS = ["u", "a", "delta", "D-G", "move", "noise"];
const ACROSS = 0.005; // of a push: a smaller share across the difference is neither drawn nor told
const SLIGHT = 0.1; // of the mean push: steps below it tell nothing of a run
const STILL = 0.4; // where in a run the step lies that is shown first
const COLLINEAR = 1e-6;

/** @param {StepTaken[]} steps @param {number} cfg @returns {Run} */
export function recordOf(steps, cfg, facts = {}) {
  const n = steps.length;
  const N = steps[0].x.length;
  const made = steps.map((step) => recordStep(step, n, N));
  const record = { v: 1, run: "page", n, N, batch: 1, sample: 0, space: "flow", sigma_data: 1, cfg, vectors: VECTORS, notes: [], steps: made,
    sigmas: [...steps.map(({ sigma }) => sigma), steps[n - 1].next], model: { name: "pocket-flow-1" }, ...facts };
  return /** @type {any} */ ({ ...record, choices: choicesOf(made, cfg) });
}

/** @param {StepTaken} step @param {number} n @param {number} N */
function recordStep({ i, sigma, next, kappa, gamma, x, u, c, D, move, noise }, n, N) {
  const level = { v: 1, run: "page", i, n, sigma, sigma_next: next, alpha: 1 - sigma, alpha_next: 1 - next, gamma, kappa, evals: u ? 2 : 1, floor: 0,
    space: "flow", N, vectors: VECTORS, numbers: [], stage: u ? "step" : "cond_only" };
  const alone = u ?? c;
  const delta = minus(c, alone);
  const rows = [alone, minus(alone, x), delta, minus(D, plus(alone, delta, gamma)), move, noise];
  const K = rows.flatMap((row, k) => rows.slice(k).map((other) => (u || k > 2 ? dot(row, other) : null)));
  const sample = u ? { ...metricsOf(rows, gamma, 1 - sigma, N) } : { m: sizes(move, noise, N), at: [] };
  return { ...level, samples: [{ K, ...sample }] };
}

/** @param {Float64Array} move @param {Float64Array} noise @param {number} N */
const sizes = (move, noise, N) => ({ M7: Math.sqrt(dot(move, move) / N), M8: Math.sqrt(dot(noise, noise) / N) });

/** Metrics of trace/metrics.py and places of trace/places.py, of the rows of VECTORS.
 * @param {Float64Array[]} rows @param {number} gamma @param {number} alpha @param {number} N
 */
function metricsOf([u, a, delta, beside, move, noise], gamma, alpha, N) {
  const unit = 1 / Math.sqrt(N);
  const change = plus(beside, delta, gamma); // D - u
  const away = plus(a, u, alpha - 1); // alpha (u - x / alpha)
  const square = dot(delta, delta);
  const scale = square > 0 ? gamma + dot(beside, delta) / square : NaN;
  const push = plus(beside, delta, gamma - 1); // D - c
  const across = plus(beside, delta, gamma - scale);
  const [whole, aside] = [dot(push, push), dot(across, across)];
  const share = whole > 0 ? aside / whole : NaN;
  const place = placeIn(a, delta);
  const [D, tip, step] = [change, move, plus(move, noise)].map(place);
  const outside = share >= ACROSS ? Math.min(D.height / Math.sqrt(aside), 1) : NaN;
  const way = Math.sqrt(dot(a, a));
  const at = [way, ...place(delta).at, ...D.at, ...tip.at].map((value) => value * unit);
  const m = {
    ...sizes(move, noise, N), M1: (alpha * Math.sqrt(dot(change, change))) / Math.sqrt(dot(away, away)), M2: Math.sqrt(square) * unit,
    M11: step.height / Math.sqrt(step.square), M19: scale, M19a: share,
  };
  return { m, at: [...at, outside] };
}

/** Coordinates of a vector in the plane of a and delta, and its height over it.  @param {Float64Array} a @param {Float64Array} delta */
function placeIn(a, delta) {
  const first = scaled(a);
  const rest = plus(delta, first, -dot(delta, first));
  const flat = dot(rest, rest) < COLLINEAR ** 2 * Math.max(dot(a, a), dot(delta, delta));
  const second = flat ? new Float64Array(a.length) : scaled(rest);
  return (/** @type {Float64Array} */ v) => {
    const at = [dot(v, first), dot(v, second)];
    const square = dot(v, v);
    return { at, square, height: Math.sqrt(Math.max(square - at[0] ** 2 - at[1] ** 2, 0)) };
  };
}

/** @param {Float64Array} v */
function scaled(v) {
  const length = Math.sqrt(dot(v, v));
  return length > 0 ? v.map((value) => value / length) : v;
}

/** What of a run is shown unless somebody asks for more: trace/choices.py.  @param {any[]} steps @param {number} cfg */
function choicesOf(steps, cfg) {
  const known = steps.filter(({ samples: [{ m }] }) => Number.isFinite(m.M19));
  const weights = known.map(({ kappa, samples: [{ m }] }) => Math.abs(kappa) * m.M2);
  const pushed = weights.map((weight, k) => (weight > 0 ? weight * Math.abs(known[k].samples[0].m.M19 - 1) : 0));
  const [whole, all] = [weights, pushed].map((list) => list.reduce((sum, value) => sum + value, 0));
  const telling = known.filter((_, k) => weights[k] * steps.length > SLIGHT * whole || pushed[k] * steps.length > all);
  const scales = telling.map(({ samples: [{ m }] }) => m.M19);
  const across = known.reduce((sum, { samples: [{ m }] }, k) => sum + (Number.isFinite(m.M19a) ? weights[k] * m.M19a : 0), 0) / whole;
  const step = Math.round(STILL * steps.length);
  return { samples: [0], step: [Math.min(step, steps.length - 1)], window: [null], least: [Math.min(...scales)], most: [Math.max(...scales)], across: [across],
    low: [Math.min(0, 1, cfg, ...scales)], high: [Math.max(1, cfg, ...scales)], alone: [false] };
}
