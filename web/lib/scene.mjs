/** One step of one sample as a figure needs it: positions in rms units and the facts its caption prints. */
import { added, coordinates, defaultSample, defaultStep, FLOOR_FACTOR, frame, hasPair, length, named, nextState, sampleOf, stepOf } from "./gram.mjs";
import { metric } from "./metrics.mjs";
import { nth, number } from "./words.mjs";

const STILL = 1e-9; // a state that moves less than this share of |a| does not move
export const ACROSS = 0.005; // of a push: a smaller share across the difference is neither drawn nor told
const NAMED = 0.02; // of a share: from here on a gradient or a further pass was taken out before it was measured

/** The scene, or {missing, advice} where there is nothing to draw.
 *
 * points: x, u, c, G, D, tip, next (foot of the next state) as [along, across] in rms units.
 */
export function sceneOf(record, { step, sample, gamma } = {}) {
  const b = sample ?? defaultSample(record);
  const i = step ?? defaultStep(record, b);
  const at = stepOf(record, i);
  if (!(record?.steps ?? []).some(Boolean)) return absent(i, b, "no steps yet", "Queue the graph to record a run.");
  if (!at) return absent(i, b, "no record of this step", "It appears when the run has finished.");
  const gram = sampleOf(at, b);
  if (!gram) return absent(i, b, `sample ${b} was not sent`, `Choose one of ${(at.subset ?? []).join(", ") || "the others"}.`);
  const facts = { ...at, i, sample: b, gram, shown: gamma ?? at.gamma };
  const bad = problem(at, gram);
  if (bad) return { ...facts, ...bad };
  return { ...facts, ...geometry(gram, at, facts.shown) };
}

const absent = (i, sample, missing, advice) => ({ i, sample, missing, advice });

/** Why a step has no plane, null if it has one. */
function problem(step, gram) {
  if (step.stage === "recur") {
    return { missing: "noise was added again here, without a prediction", advice: "Choose the step before or after it." };
  }
  if (!hasPair(step)) {
    const missing = step.gamma === 1 ? "at scale 1 only the conditional prediction is made" : "no unconditional prediction at this step";
    const [alone, noise] = ["move", "noise"].map((vector) => length(gram, { [vector]: 1 }) / Math.sqrt(gram.count));
    const advice = "There is no difference to draw. Choose a step at which both were made, or raise cfg.";
    return { missing, advice, ...(step.stage === "cond_only" && alone > 0 && { alone, noise }) };
  }
  if (!Number.isFinite(step.gamma)) return { missing: "the scale of this step is unknown", advice: "Choose another step." };
  if (!gram.K.every(Number.isFinite)) {
    if (!Number.isFinite(step.evals)) return { missing: "nothing was measured at this step", advice: "The notes say why." };
    return { missing: "values at this step are not finite", advice: "Lower the scale, or use a wider dtype." };
  }
  return null;
}

function geometry(gram, step, shown) {
  const unit = 1 / Math.sqrt(gram.count);
  const plane = frame(gram, step.gamma);
  const points = Object.fromEntries(Object.entries(plane.points).map(([name, place]) => [name, place.map((v) => v * unit)]));
  const other = length(gram, { "D-G": 1 }) * unit;
  points.shown = at(gram, added({ u: 1, delta: shown }, named("x"), -1), unit);
  if (Number.isFinite(step.kappa)) {
    const states = added(nextState(step.gamma, step.kappa, shown), { noise: 1 }, -1); // the noise is drawn at its tip
    points.moved = at(gram, added(states, named("x"), -1), unit);
  }
  points.along = at(gram, added({ u: 1, delta: gram.m.M19 ?? NaN }, named("x"), -1), unit);
  const travel = length(gram, { move: 1, noise: 1 });
  const still = travel <= STILL * length(gram, { a: 1 });
  const fromGram = still ? NaN : plane.height.next / travel;
  return {
    points,
    same: plane.same,
    still,
    other,
    across: acrossOf(gram, step.gamma, plane.height.D),
    noise: length(gram, { noise: 1 }) * unit,
    residual: still ? NaN : (gram.m.M11 ?? fromGram),
    exact: gram.m.M11 !== null && gram.m.M11 !== undefined,
    notes: notesOf(plane, length(gram, { delta: 1 }) * unit, step, still),
  };
}

/** The share of the push D - c that goes across delta, and how much of that part's length leaves the plane.
 *
 * null where nothing does, or D holds more than what the share is of.
 */
function acrossOf(gram, gamma, height) {
  const { M19: scale, M19a: share } = gram.m;
  if (!(share >= ACROSS)) return null;
  const across = length(gram, added(named("D", gamma), named("G", scale), -1));
  const whole = length(gram, added(named("D", gamma), named("c"), -1));
  return Math.abs((across / whole) ** 2 - share) < NAMED ? { share, outside: Math.min(1, height / across) } : null;
}

const at = (gram, v, unit) => coordinates(gram, v).at.map((value) => value * unit);

function notesOf(plane, difference, step, still) {
  const notes = [];
  if (plane.same) notes.push("u = c: no difference");
  else if (plane.collinear) notes.push("u, c and x_t are collinear");
  if (!plane.same && difference < FLOOR_FACTOR * (step.floor ?? 0)) notes.push("difference at the precision floor");
  if (still) notes.push("the step has no length");
  return notes;
}

/** The effective scale of a step, and where its push goes. */
function actsLike({ gram: { m }, across }) {
  if (!(m.M19a >= ACROSS)) return [];
  const outside = across && `of that ${number(100 * across.outside)} % out of plane`;
  return [`acts like ${number(m.M19)}, ${number(100 * m.M19a, 2)} % across`, outside];
}

/** What every plane figure prints: levels, scale, strength, residual, sample, size; scale: as it is to be printed. */
export function factsOf(scene, record, scale = `\u03b3 ${number(scene.gamma)}`) {
  const median = record?.sample === scene.sample ? " (median)" : "";
  const batch = record?.batch ?? (scene.subset ? null : scene.samples.length);
  return [
    `step ${nth(scene.i)} of ${scene.n}`,
    `\u03c3 ${number(scene.sigma)} \u2192 ${number(scene.sigma_next)}`,
    scale,
    `strength ${number(metric("M1", scene.gram, scene, record, scene.shown))}`,
    ...actsLike(scene),
    `x\u2032 out of plane ${scene.exact ? "" : "about "}${number(scene.residual)}`,
    `sample ${scene.sample}${batch ? ` of ${batch}` : ""}${median}`,
    `N ${scene.N}`,
    "to scale",
    ...scene.notes,
  ];
}
