// @ts-check
/** The metrics of a step, which Python finds and the record carries. */

/** Names and units, for tables and axes.  @type {Record<string, [string, string]>} */
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
  M20: ["motion of the difference", "share"],
  M20p: ["motion of the push", "share"],
};

/** Those that only films have. */
export const MOTION = ["M20", "M20p"];

/** A metric of a sample of a step by its number; NaN where unknown.
 * @param {string} name
 * @param {Gram | null} gram
 * @returns {number}
 */
export const metric = (name, gram) => gram?.m[name] ?? NaN;
