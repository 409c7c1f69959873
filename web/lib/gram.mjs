/** Inner products of one step and sample, and every position and length that follows from them.
 *
 * Recorded are u, a = u - x, delta = c - u, D-G, move and noise; x, c and any guided prediction are linear combinations.
 * A combination is {name: coefficient}. Vectors are looked up by name, never by position.
 */

const COLLINEAR = 1e-6; // delta across a, in units of the longer of the two, below which x, u and c lie on a line
export const VECTORS = 6; // that every record has; further ones are gradients
export const FLOOR_FACTOR = 10; // a difference below this many precision floors means little
const STILL = 0.4; // where in a run the default still lies
const ROUNDING = 2e-6; // share of |delta|^2 that 6 printed digits leave undecided

/** The step numbered i of a record, null where it is missing. */
export function stepOf(record, i) {
  const steps = record?.steps ?? [];
  if (steps[i]?.i === i) return steps[i];
  return steps.find((step) => step && step.i === i) ?? null;
}

/** One sample of a step: {vectors, K, sum, m, count}, null where it was not sent. */
export function sampleOf(step, sample) {
  const at = step?.subset ? step.subset.indexOf(sample) : sample;
  const found = step?.samples?.[at];
  if (!found) return null;
  return { vectors: step.vectors, K: found.K, sum: found.sum ?? [], m: found.m ?? {}, count: step.N };
}

/** Whether a step has both predictions, made in the run or, at cfg 1, after it. */
export const hasPair = ({ stage }) => !stage || stage === "step" || stage === "afterwards";

/** The sample a figure shows unless told otherwise. */
export function defaultSample(record) {
  const first = (record?.steps ?? []).find(Boolean);
  return record?.sample ?? first?.subset?.[0] ?? 0;
}

/** The step a figure shows unless told otherwise: nearest to 0.4 of the run among those with a real difference.
 *
 * A difference counts when it is above ten precision floors. Without any such step: the one nearest to 0.4.
 */
export function defaultStep(record, sample) {
  const steps = (record?.steps ?? []).filter(Boolean);
  if (!steps.length) return 0;
  const real = steps.filter((step) => isReal(step, sampleOf(step, sample)));
  const away = ({ i, n }) => Math.abs(i - STILL * (n ?? steps.length));
  return (real.length ? real : steps).reduce((best, step) => (away(step) < away(best) ? step : best)).i;
}

const isReal = (step, gram) => gram && length(gram, { delta: 1 }) / Math.sqrt(gram.count) > FLOOR_FACTOR * (step.floor ?? 0);

/** The same where a vector that was not asked for counts as zero: then c is u, the only prediction that was made. */
export function fillAbsent(gram) {
  return Number.isFinite(dot(gram, "u", "u")) ? { ...gram, K: gram.K.map((value) => value ?? 0) } : gram;
}

/** <v, w> of two recorded vectors; NaN where unknown. */
export function dot(gram, first, second) {
  if (!gram) return NaN;
  const p = gram.vectors.indexOf(first);
  const q = gram.vectors.indexOf(second);
  const i = Math.min(p, q);
  if (i < 0) return NaN;
  const j = Math.max(p, q);
  return gram.K[i * gram.vectors.length - (i * (i - 1)) / 2 + j - i] ?? NaN;
}

/** Inner product of two combinations: sum of p_i q_j <v_i, v_j>. */
export function combination(gram, first, second) {
  let total = 0;
  for (const v in first) for (const w in second) total += first[v] * second[w] * dot(gram, v, w);
  return total;
}

/** Squared length of a combination, never below zero. */
export const square = (gram, v) => Math.max(0, combination(gram, v, v));

export const length = (gram, v) => Math.sqrt(square(gram, v));

/** The scale from which D - G was counted: where gamma is unknown there is no G, and u stands for it. */
export const counted = (gamma) => (Number.isFinite(gamma) ? gamma : 0);

/** Coefficients of a point or vector over the recorded ones; gamma 0 is u, 1 is c.
 *
 *   x = u - a   c = u + delta   G = u + gamma delta   D = G + (D-G)   tip = x + move   next = tip + noise
 */
export function named(name, gamma = 1) {
  if (name === "G") return { u: 1, delta: gamma };
  if (name === "D") return { u: 1, delta: counted(gamma), "D-G": 1 };
  return POINTS[name] ?? { [name]: 1 };
}

const POINTS = {
  x: { u: 1, a: -1 },
  c: { u: 1, delta: 1 },
  tip: { u: 1, a: -1, move: 1 },
  next: { u: 1, a: -1, move: 1, noise: 1 },
};

/** Coefficients of first + factor second. */
export function added(first, second, factor = 1) {
  const total = { ...first };
  for (const name in second) total[name] = (total[name] ?? 0) + factor * second[name];
  return total;
}

/** The VE-equivalent displacement times alpha: (alpha - 1) u + a. It needs no division at alpha = 0. */
export const displacement = (alpha = 1) => ({ u: alpha - 1, a: 1 });

/** The next state had this step used the scale `other`, same noise: x' + kappa (other - gamma) delta. */
export const nextState = (gamma, kappa, other) => added(named("next"), { delta: kappa * (other - gamma) });

/** The step plane: x at the origin, the first axis points at u, delta has a positive second coordinate.
 *
 *   e1 = a/|a|   e2 = (delta - <delta, e1> e1)/|...|   u = (|a|, 0)   c = (|a| + <delta, e1>, <delta, e2>)
 *
 * points: {name: [along, across]} of x, u, c, G, D, tip, next. height: distance of D, tip, next from the plane.
 * a = 0: e1 points along delta. Frames of different steps are different planes.
 */
export function frame(gram, gamma) {
  const axes = axesOf(gram);
  const points = {};
  const height = {};
  for (const name of ["x", "u", "c", "G", "D", "tip", "next"]) {
    const place = coordinates(gram, added(named(name, gamma), named("x"), -1), axes);
    points[name] = place.at;
    if (["D", "tip", "next"].includes(name)) height[name] = place.height;
  }
  const across = combination(gram, { delta: 1 }, axes.second);
  const collinear = across <= COLLINEAR * length(gram, { a: 1 }) || across ** 2 < ROUNDING * square(gram, { delta: 1 });
  return { points, height, collinear, same: dot(gram, "delta", "delta") === 0 };
}

/** Where a vector stands in the step plane, and what of it is left outside. */
export function coordinates(gram, v, axes = axesOf(gram)) {
  const at = [combination(gram, v, axes.first), combination(gram, v, axes.second)];
  return { at, height: Math.sqrt(Math.max(0, square(gram, v) - at[0] ** 2 - at[1] ** 2)) };
}

function axesOf(gram) {
  const a = length(gram, { a: 1 });
  const delta = length(gram, { delta: 1 });
  const first = { a: inverse(a), delta: a === 0 ? inverse(delta) : 0 };
  const along = combination(gram, { delta: 1 }, first);
  let across = Math.sqrt(Math.max(0, delta ** 2 - along ** 2));
  if (a === 0 || across < COLLINEAR * Math.max(a, delta)) across = 0;
  const scale = inverse(across);
  return { first, second: { delta: scale * (1 - along * first.delta), a: -scale * along * first.a } };
}

/** 1/length, and 0 where the length is 0: that axis is absent. */
const inverse = (size) => (size === 0 ? 0 : 1 / size);
