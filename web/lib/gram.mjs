// @ts-check
/** What a record says of a step and of one of its samples, and inner products of a sample's vectors.
 *
 * Python finds metrics, places and choices; here they are looked up by name. Recorded vectors are u, a = u - x,
 * delta = c - u, D-G, move and noise; a combination of them is {name: coefficient}.
 */
import { still } from "./still.mjs";

export const VECTORS = 6; // that every record has; further ones are gradients

/** The step numbered i of a record, null where it is missing.
 * @param {Run | null} record
 * @param {number} i
 * @returns {Step | null}
 */
export function stepOf(record, i) {
  const steps = record?.steps ?? [];
  if (steps[i]?.i === i) return steps[i];
  return steps.find((step) => step && step.i === i) ?? null;
}

/** One sample of a step: {vectors, K, m, at, count}, null where it was not sent.
 * @param {Step | null} step
 * @param {number} sample
 * @returns {Gram | null}
 */
export function sampleOf(step, sample) {
  const place = step?.subset ? step.subset.indexOf(sample) : sample;
  const told = step?.samples?.[place];
  if (!told) return null;
  return still(step, `sample ${place}`, [], () => {
    const numbers = Object.fromEntries((step.numbers ?? []).map((name, k) => [name, told.n?.[k] ?? null]));
    return { vectors: step.vectors, K: told.K, m: { ...told.m, ...numbers }, at: told.at ?? [], count: step.N };
  });
}

/** Whether a step has a difference: made in the run, taken over from an earlier step or, at cfg 1, made after it.
 * @param {Step} step
 */
export const hasPair = ({ stage }) => !stage || ["step", "reuse", "afterwards"].includes(stage);

/** Whether a step asked for each of its predictions once. Where it asked again, another scale leads the second time to
 * a place at which nobody asked.
 * @param {Step} step
 */
export function asksOnce({ stage, evals, passes }) {
  const others = Object.values(passes ?? {}).reduce((sum, { evals }) => sum + (evals ?? 0), 0);
  return (evals ?? 0) - others <= (stage === "afterwards" ? 1 : 2);
}

/** What was chosen for a sample of a finished run, such as its "step" or its "window"; null where nothing was.
 * @param {Run | null} record
 * @param {number} sample
 * @param {string} name
 */
export function choiceOf(record, sample, name) {
  const { choices } = record ?? {};
  return choices?.[name]?.[choices.samples.indexOf(sample)] ?? null;
}

/** The sample a figure shows unless told otherwise.
 * @param {Run | null} record
 */
export function defaultSample(record) {
  const first = (record?.steps ?? []).find(Boolean);
  return record?.sample ?? first?.subset?.[0] ?? 0;
}

/** The step a figure shows unless told otherwise; of a run that goes on the last.
 * @param {?Run} record @param {number} sample
 * @returns {number}
 */
export const defaultStep = (record, sample) => choiceOf(record, sample, "step") ?? record?.steps?.at(-1)?.i ?? 0;

/** <v, w> of two recorded vectors; NaN where unknown.
 * @param {Gram | null} gram
 * @param {string} first @param {string} second
 */
export function dot(gram, first, second) {
  if (!gram) return NaN;
  const p = gram.vectors.indexOf(first);
  const q = gram.vectors.indexOf(second);
  const i = Math.min(p, q);
  if (i < 0) return NaN;
  const j = Math.max(p, q);
  return gram.K[i * gram.vectors.length - (i * (i - 1)) / 2 + j - i] ?? NaN;
}

/** Length of a combination.
 * @param {Gram | null} gram
 * @param {Record<string, number>} v
 */
export function length(gram, v) {
  let square = 0;
  for (const first in v) for (const other in v) square += v[first] * v[other] * dot(gram, first, other);
  return Math.sqrt(Math.max(0, square));
}

/** The same per element.
 * @param {Gram | null} gram
 * @param {Record<string, number>} v
 */
export const rms = (gram, v) => length(gram, v) / Math.sqrt(gram?.count ?? NaN);
