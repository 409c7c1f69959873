// @ts-check
/** The run that a panel shows: pieces that arrive live, or the whole record. No DOM. */
import { rms, sampleOf } from "./gram.mjs";
import { metric, MOTION, NAMES } from "./metrics.mjs";
import { nth } from "./words.mjs";

const FROM_STEP = ["space", "N", "vectors"];

/** Where the server keeps a file of a run. file: {filename, subfolder, type}.  @param {any} file */
export const addressOf = ({ filename, subfolder, type }) => `/view?${new URLSearchParams({ filename, subfolder, type })}`;

/** A run with a live message added. Steps are kept by their number: messages may be lost or come twice.
 * @param {any} run @param {any} message
 */
export function withSteps(run, message) {
  const whole = run?.run === message.run ? run : beginRecord(message);
  const kept = partOf(whole, message.part) ?? whole;
  for (const step of message.steps ?? []) {
    put(kept.steps, step);
    kept.n = step.n ?? kept.n;
    for (const name of FROM_STEP) kept[name] ??= step[name];
    kept.batch = Math.max(kept.batch ?? 0, step.samples?.length ?? 0, ...(step.subset ?? []).map((/** @type {number} */ b) => b + 1));
  }
  return whole;
}

/** The record of a run without its steps, part by part.  @param {any} message */
function beginRecord({ run, workflow_id, prompt_id, parts: [first, ...others] = [] }) {
  /** @param {any} part */
  const empty = (part) => ({ v: 1, run, part, live: true, workflow_id, prompt_id, n: 0, notes: [], steps: [] });
  return { ...empty(first), ...(others.length > 0 && { parts: Object.fromEntries(others.map((/** @type {string} */ name) => [name, empty(name)])) }) };
}

/** @param {any[]} steps @param {Step} step */
function put(steps, step) {
  let at = steps.length;
  while (at > 0 && steps[at - 1].i >= step.i) at -= 1;
  steps.splice(at, steps[at]?.i === step.i ? 1 : 0, step);
}

/** The record of one part of a run; of the first where there is no such part.
 * @param {?Run} run
 * @param {string} name
 * @returns {?Run}
 */
export const partOf = (run, name) => run?.parts?.[name] ?? run;

/** Say of a run, and so of each of its parts, why it is not what one might think.
 * @param {any} run @param {object} fault
 */
export function blame(run, fault) {
  for (const part of [run, ...Object.values(run.parts ?? {})]) Object.assign(part, fault);
}

/** What the parts of a run's samples are called; nothing where there is no choice.
 * @param {?Run} run
 * @returns {any[]} names
 */
export const partsOf = (run) => (run?.parts ? [run.part, ...Object.keys(run.parts)] : []);

/** Numbers of the samples that the run holds: all of them, or the subset that was sent.
 * @param {Run | null} run
 * @returns {number[]}
 */
export function samplesOf(run) {
  const first = run?.steps?.[0];
  return first?.subset ?? (first?.samples ?? []).map((_, b) => b);
}

/** Rms per element of a recorded vector of a sample, NaN where unknown.
 * @param {Step | null} step
 * @param {number} sample @param {string} vector
 */
export function lengthOf(step, sample, vector) {
  return rms(sampleOf(step, sample), { [vector]: 1 });
}

const LEVELS = ["sigma", "sigma_next", "gamma", "kappa", "evals"];

/** One row a step of what a sample did: [[heading, ...], [value, ...], ...]; what is unknown is null or NaN.
 * @param {?Run} run
 * @param {number} sample
 */
export function table(run, sample) {
  const passes = Object.keys(run?.passes ?? {});
  const film = MOTION[0] in (sampleOf(run?.steps?.[0] ?? null, sample)?.m ?? {});
  const ids = Object.keys(NAMES).filter((id) => film || !MOTION.includes(id));
  const head = ["step", ...LEVELS, ...passes.flatMap((name) => ["evals", "scale", "pass", "along", "across"].map((what) => `${what} ${name}`)), "stage", ...ids.map((id) => `${id} ${NAMES[id][0]}`)];
  const rows = (run?.steps ?? []).map((step) => {
    const gram = sampleOf(step, sample);
    const levels = LEVELS.map((name) => /** @type {any} */ (step)[name] ?? null);
    const further = passes.flatMap((name) => ["evals", "scale", "size", "along", "across"].map((what) => /** @type {any} */ (step.passes)?.[name]?.[what] ?? null));
    return [nth(step.i), ...levels, ...further, step.stage, ...ids.map((id) => metric(id, gram))];
  });
  return [head, ...rows];
}

/** The table as comma-separated values; what is unknown is empty.  @param {any[][]} rows */
export const csv = (rows) => rows.map((row) => row.map(cell).join(",")).join("\n");

/** @param {any} value */
const cell = (value) => {
  const words = value === null || value === undefined || Number.isNaN(value) ? "" : String(value);
  return /[",\n]/.test(words) ? `"${words.replaceAll('"', '""')}"` : words;
};
