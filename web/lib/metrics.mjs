/** The metrics that inner products give, one function a metric: a number, NaN where undefined.
 *
 * Each takes (gram, {gamma, alpha, sigma, sigmaData}); stored ones come from the record's m. Metrics that compare with
 * the displacement use the VE-equivalent one, u - x/alpha, times alpha.
 */
import { added, combination, counted, displacement, length, named } from "./gram.mjs";

const METRICS = {
  M1: (gram, { gamma, alpha }) => ratio(alpha * length(gram, { delta: counted(gamma), "D-G": 1 }), length(gram, displacement(alpha))),
  M2: (gram) => rms(gram, { delta: 1 }),
  M2e: (gram, { sigma, alpha }) => ratio(alpha * rms(gram, { delta: 1 }), sigma),
  M3: (gram, { gamma, sigmaData }) => rms(gram, named("D", gamma)) / (sigmaData ?? NaN),
  M3c: (gram, { gamma }) => ratio(length(gram, named("D", gamma)), length(gram, named("c"))),
  M4: (gram, { alpha }) => Math.cos(directionAngle(gram, alpha)),
  M5: (gram) => cosine(gram, named("u"), named("c")),
  M6c: (gram) => cosine(gram, { delta: 1 }, named("c")),
  M6t: (gram, { alpha }) => cosine(gram, { delta: 1 }, displacement(alpha)),
  M7: (gram) => rms(gram, { move: 1 }),
  M8: (gram) => rms(gram, { noise: 1 }),
  M8r: (gram) => ratio(length(gram, { noise: 1 }), length(gram, { move: 1 })),
  M16: (gram, { gamma }) => ratio(length(gram, { delta: 1 }), length(gram, added(named("D", gamma), named("x"), -1))),
};

/** Names and units, for tables and axes. */
export const NAMES = {
  M1: ["guidance strength", ""],
  M2: ["difference size", "rms, data"],
  M2e: ["difference of noise predictions", "rms, noise"],
  M3: ["shell ratio", ""],
  M3c: ["shell ratio to cond", ""],
  M4: ["direction agreement", "cosine"],
  M5: ["prediction agreement", "cosine"],
  M6c: ["difference along cond", "cosine"],
  M6t: ["tug", "cosine"],
  M7: ["step length", "rms, state"],
  M8: ["noise length", "rms, state"],
  M8r: ["noise to step", ""],
  M9: ["straightness", "cosine"],
  M9a: ["move along the next prediction", "state squared"],
  M10: ["saturation", "share"],
  M10c: ["saturation excess over cond", "share"],
  M11: ["out-of-plane share", ""],
  M11s: ["out-of-span share", ""],
  M12: ["identity residual", "sigma"],
  M13: ["direction memory", "cosine"],
  M14: ["extrapolation error", ""],
  M16: ["sensitivity", "per unit of scale"],
  M19: ["effective scale", ""],
  M19a: ["share across the difference", "share"],
};

/** A metric of one step by its number, inner products or stored; gamma: another scale than the run's. */
export function metric(name, gram, step, record, gamma = step.gamma) {
  if (!gram) return NaN;
  const given = { gamma: gamma ?? NaN, alpha: step.alpha ?? NaN, sigma: step.sigma ?? NaN, sigmaData: record?.sigma_data };
  const value = METRICS[name] ? METRICS[name](gram, given) : gram.m[name];
  return value ?? NaN;
}

/** All metrics of one step: {M1: number or NaN, ...}. */
export function metricsOf(gram, step, record, gamma) {
  return Object.fromEntries(Object.keys(NAMES).map((name) => [name, metric(name, gram, step, record, gamma)]));
}

/** Radians between the displacements to u and to c; exact when tiny. */
export function directionAngle(gram, alpha = 1) {
  const w = displacement(alpha);
  return angle(gram, w, added(w, { delta: alpha }));
}

export const rms = (gram, v) => length(gram, v) / Math.sqrt(gram.count);

/** above/below, NaN where below is zero. */
const ratio = (above, below) => (below === 0 ? NaN : above / below);

function cosine(gram, v, w) {
  const value = ratio(combination(gram, v, w), length(gram, v) * length(gram, w));
  return Math.min(1, Math.max(-1, value));
}

/** atan2(|w across v|, <w, v>/|v|), the part across taken as a combination so that nothing large cancels. */
function angle(gram, v, w) {
  const size = length(gram, v);
  const along = ratio(combination(gram, v, w), size);
  const across = length(gram, added(w, v, -along / size));
  return length(gram, w) === 0 ? NaN : Math.atan2(across, along);
}
