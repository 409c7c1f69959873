// @ts-check
/** Runs of a flow model: noise levels, steps, and noise by seed. samplers/steps.py in the browser. */
import { RULES } from "./rules.mjs";
import { minus, plus } from "./vectors.mjs";

/** Share of the noise that a sampler draws anew.  @type {Record<string, number>} */
export const SAMPLERS = { euler: 0, ddpm: 1 };

/** Noise levels of a run, from 1 to 0.  @param {number} steps */
export const levelsOf = (steps) => Array.from({ length: steps + 1 }, (_, i) => 1 - i / steps);

/** Numbers from 0 to 1, by a seed: mulberry32, of 2^32 states.  @param {number} seed */
export function uniform(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Draws of standard normal vectors, by a seed and a purpose: the same again for the same.
 * @param {number} seed @param {number} purpose @param {number} size @returns {() => Vector}
 */
export function normal(seed, purpose, size) {
  const first = uniform(Math.imul(seed + 1, 0x9e3779b1) ^ Math.imul(purpose + 1, 0x85ebca6b));
  return () => Float64Array.from({ length: size }, () => Math.sqrt(-2 * Math.log(1 - first())) * Math.cos(2 * Math.PI * first()));
}

/** How a step goes from sigma to next: x' = x + kappa (D - x) + (kept - 1 + kappa) x + up eps.
 *
 * D counts alpha' - alpha down / sigma, x counts down / sigma.  eta: 0 keeps all of the old noise, 1 is the exact posterior.
 * Source: Song et al. 2020, arXiv 2010.02502, eq. 12 and 16, for x = alpha x0 + sigma eps with alpha = 1 - sigma.
 * @param {number} sigma @param {number} next @param {number} eta
 */
export function stepOf(sigma, next, eta) {
  const noisy = next < 1 && sigma > 0;
  const share = noisy ? (next * (1 - sigma)) / ((1 - next) * sigma) : 1;
  const up = eta * next * Math.sqrt(Math.max(1 - share ** 2, 0));
  const down = Math.sqrt(Math.max(next ** 2 - up ** 2, 0));
  return { kappa: 1 - next - ((1 - sigma) * down) / sigma, kept: down / sigma, up };
}

/** The steps of a run of several pictures, one after the other: [step of each picture].
 *
 * predict(x [B, N], sigma, labels) -> x0-hat; null: the label that means none.
 * @param {Predict} predict @param {number} none @param {RunOrder} order
 * @returns {Generator<StepTaken[]>}
 */
export function* run(predict, none, { labels, starts, draws, gamma: cfg, steps, sampler, rule }) {
  const { scale, guide } = RULES[rule];
  const levels = levelsOf(steps);
  const states = labels.map(() => ({}));
  let xs = starts;
  for (let i = 0; i < steps; i += 1) {
    const [sigma, next] = [levels[i], levels[i + 1]];
    const gamma = scale ? scale(cfg, i / steps) : cfg;
    const { kappa, kept, up } = stepOf(sigma, next, SAMPLERS[sampler]);
    const [cs, us] = predictBoth(predict, xs, sigma, labels, none, gamma !== 1);
    const taken = xs.map((x, b) => {
      const [c, u] = [cs[b], us?.[b] ?? null];
      const D = u ? guide({ x, u, c, gamma, i, state: states[b] }) : c;
      const move = x.map((value, k) => kappa * D[k] + (kept - 1) * value);
      const noise = up > 0 ? draws[b]().map((value) => up * value) : new Float64Array(x.length);
      return { i, sigma, next, kappa, gamma, x, u, c, D, move, noise, to: plus(plus(x, move), noise) };
    });
    yield taken;
    xs = taken.map(({ to }) => to);
  }
}

/** The predictions with the labels, and those without where they are needed, in one batch.
 * @param {Predict} predict @param {Vector[]} xs @param {number} sigma
 * @param {number[]} labels @param {number} none @param {boolean} both @returns {[Vector[], ?Vector[]]}
 */
export function predictBoth(predict, xs, sigma, labels, none, both) {
  const every = both ? [...xs, ...xs] : xs;
  const answers = split(predict(join(every), sigma, both ? [...labels, ...labels.map(() => none)] : labels), every.length);
  return [answers.slice(0, xs.length), both ? answers.slice(xs.length) : null];
}

/** @param {Vector[]} vectors */
export function join(vectors) {
  const whole = new Float64Array(vectors.length * vectors[0].length);
  vectors.forEach((vector, b) => whole.set(vector, b * vector.length));
  return whole;
}

/** @param {Float64Array} whole @param {number} count */
export const split = (whole, count) => Array.from({ length: count }, (_, b) => whole.slice((b * whole.length) / count, ((b + 1) * whole.length) / count));

/** x of a clean sample at a noise level.  @param {Vector} clean @param {Vector} eps @param {number} sigma */
export const noised = (clean, eps, sigma) => clean.map((value, k) => (1 - sigma) * value + sigma * eps[k]);

/** The prediction of the noise.  @param {Vector} x @param {Vector} D @param {number} sigma */
export const noiseOf = (x, D, sigma) => minus(x, D.map((value) => (1 - sigma) * value)).map((value) => value / sigma);
