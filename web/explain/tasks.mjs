// @ts-check
/** What a worker computes, in parts: each task yields null between them, and what it found last. No DOM. */
import { queryLevels } from "./measure.mjs";
import { LABELS, NO_LABEL, PICTURE, VALUES } from "./network.mjs";
import { recordOf } from "./run-record.mjs";
import { join, noised, normal, predictBoth, run, split } from "./sampling.mjs";
import { minus, plus } from "./vectors.mjs";

const CLEAN = { gamma: 2, steps: 20, sampler: "euler", rule: "cfg" }; // how the clean picture of the first screens is made
const [START, STEPS, LEVEL, ASKED] = [0, 1, 2, 3]; // purposes of noise: they share none

/** @param {Float64Array} values [B, 3, 32, 32] in -1 .. 1 @returns {Uint8ClampedArray[]} */
function pixelsOf(values) {
  const area = PICTURE * PICTURE;
  return split(values, values.length / area / 3).map((picture) => {
    const pixels = new Uint8ClampedArray(4 * area).fill(255);
    for (let k = 0; k < 3 * area; k += 1) pixels[4 * (k % area) + Math.floor(k / area)] = 127.5 * (picture[k] + 1);
    return pixels;
  });
}

/** @param {PocketFlow} network @param {Vector[]} latents */
const decode = (network, latents) => pixelsOf(network.decode(join(latents)));

/** A run of several seeds of one label.
 * @param {PocketFlow} network @param {{label: number, seeds: number[], streams?: number[], gamma: number, steps: number, sampler: string, rule: string}} order
 * streams: of the noise on the way, where runs of one start shall differ
 * @returns {Generator<StepTaken[]>}
 */
function runOf(network, { label, seeds, streams = seeds, ...order }) {
  const starts = seeds.map((seed) => normal(seed, START, VALUES)());
  const draws = streams.map((seed) => normal(seed, STEPS, VALUES));
  return run(network.predict, NO_LABEL, { labels: seeds.map(() => label), starts, draws, ...order });
}

/** @type {Map<string, Vector>} */ const made = new Map(); // clean latents by label and seed

/** A clean latent of a label: the model's own.  @param {PocketFlow} network @param {number} label @param {number} seed @returns {Generator<?Vector>} */
function* cleanOf(network, label, seed) {
  const key = `${label} ${seed}`;
  if (!made.has(key)) {
    let last = null;
    for (const [step] of runOf(network, { label, seeds: [seed], ...CLEAN })) {
      last = step.to;
      yield null;
    }
    made.set(key, /** @type {Vector} */ (last));
  }
  yield made.get(key) ?? null;
}

/** The last of what a task yields; what it yields before is handed on.  @param {Generator<any>} task @returns {Generator<null, any>} */
function* lastOf(task) {
  let last = null;
  for (const part of task) {
    last = part;
    yield null;
  }
  return last;
}

/** Steps of a run that a film shows, evenly, the first and the last among them.  @param {number} steps @param {number} frames */
export const framesOf = (steps, frames) => [...new Set(Array.from({ length: frames }, (_, k) => Math.round((k * (steps - 1)) / Math.max(frames - 1, 1))))];

/** @type {Record<string, (network: PocketFlow, order: any) => Generator<any>>} */
export const TASKS = {
  /** A clean picture, the same under noise, and what is predicted then: the label is not told. */
  * look(network, { label, seed, noise }) {
    const clean = yield* lastOf(cleanOf(network, label, seed));
    const x = noised(clean, normal(seed, LEVEL, VALUES)(), noise);
    const [[u]] = predictBoth(network.predict, [x], noise, [NO_LABEL], NO_LABEL, false);
    yield { pictures: decode(network, [clean, x, u]) };
  },

  /** Both predictions at a noise level, the guided one, and the difference, made visible. */
  * pair(network, { label, seed, noise, gamma }) {
    const clean = yield* lastOf(cleanOf(network, label, seed));
    const x = noised(clean, normal(seed, LEVEL, VALUES)(), noise);
    const [[c], us] = predictBoth(network.predict, [x], noise, [label], NO_LABEL, true);
    const [u] = /** @type {Vector[]} */ (us);
    const delta = minus(c, u);
    const decoded = split(network.decode(join([x, u, c, plus(u, delta, gamma)])), 4);
    const shown = minus(decoded[2], decoded[1]);
    const most = shown.reduce((value, other) => Math.max(value, Math.abs(other)), 1e-9);
    yield { pictures: pixelsOf(join([...decoded, shown.map((value) => value / most)])), times: 1 / most,
      share: Math.sqrt(delta.reduce((sum, value) => sum + value ** 2, 0) / minus(u, x).reduce((sum, value) => sum + value ** 2, 0)) };
  },

  /** x and the prediction at some steps of a run, and where it ends. */
  * film(network, { label, seed, frames, ...order }) {
    const shown = framesOf(order.steps, frames);
    /** @type {StepTaken[]} */ const steps = [];
    for (const [step] of runOf(network, { label: label ?? NO_LABEL, seeds: [seed], ...order })) {
      steps.push(step);
      yield null;
    }
    const latents = [...shown.flatMap((i) => [steps[i].x, steps[i].D]), steps[steps.length - 1].to];
    yield { pictures: decode(network, latents), steps: shown };
  },

  /** Where runs from one start end: each draws its own noise on the way. */
  * endings(network, { label, seed, count, ...order }) {
    const streams = Array.from({ length: count }, (_, k) => seed + 1000 * k);
    const last = yield* lastOf(runOf(network, { label: label ?? NO_LABEL, seeds: streams.map(() => seed), streams, ...order }));
    yield { pictures: decode(network, last.map((/** @type {StepTaken} */ step) => step.to)) };
  },

  /** Whole runs with their records, and what the model says of the pictures where `pairs` of noise are asked for. */
  * runs(network, { label, seeds, pairs, ...order }) {
    /** @type {StepTaken[][]} */ const steps = seeds.map(() => []);
    for (const taken of runOf(network, { label, seeds, ...order })) {
      taken.forEach((step, b) => steps[b].push(step));
      yield null;
    }
    const latents = steps.map((own) => own[own.length - 1].to);
    const facts = { sampler: order.sampler, labels: [LABELS[label]] };
    const found = { latents, pictures: decode(network, latents), records: steps.map((own, b) => recordOf(own, order.gamma, { ...facts, seed: seeds[b] })) };
    yield { part: found };
    if (!pairs) return;
    const draws = seeds.map((/** @type {number} */ seed) => normal(seed, ASKED, VALUES));
    const levels = yield* lastOf(queryLevels(network.predict, NO_LABEL, latents, seeds.map(() => label), draws, pairs));
    yield { ...found, levels };
  },
};
