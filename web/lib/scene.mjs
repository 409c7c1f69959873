// @ts-check
/** One step of one sample as a figure needs it: positions in rms units and the facts its caption prints. */
import { asksOnce, defaultSample, defaultStep, dot, length, rms, sampleOf, stepOf } from "./gram.mjs";
import { metric } from "./metrics.mjs";
import { nth, number } from "./words.mjs";

const STILL = 1e-9; // a state that moves less than this share of |a| does not move
const FLOOR_FACTOR = 10; // a difference below this many precision floors means little
const PUSHED = 1e-6; // of the way to the one prediction: what moved it by less is rounding
export const ACROSS = 0.005; // of a push: a smaller share across the difference is neither drawn nor told

/** The scene, or {missing, advice} where there is nothing to draw.
 *
 * points: x, u, c, G, D, tip, along (foot of D on the difference), as [along, across] in rms units; moved: where the
 * tip is at another scale.
 * @param {Run} record
 * @param {{step?: number, sample?: number, gamma?: number}} options
 * @returns {any}
 */
export function sceneOf(record, { step, sample, gamma }) {
  const b = sample ?? defaultSample(record);
  const i = step ?? defaultStep(record, b);
  const at = stepOf(record, i);
  if (!(record?.steps ?? []).some(Boolean)) return absent(i, b, "no steps yet", "Queue the graph to record a run.");
  if (!at) return absent(i, b, "no record of this step", "It appears when the run has finished.");
  const gram = sampleOf(at, b);
  if (!gram) return absent(i, b, ["sample {sample} was not sent", { sample: b }], at.subset ? ["Choose one of {samples}.", { samples: at.subset.join(", ") }] : "Choose one of the others.");
  const facts = { ...at, i, sample: b, gram, shown: gamma ?? at.gamma };
  const bad = problem(at, gram);
  if (bad) return { ...facts, ...bad };
  return { ...facts, ...geometry(gram, at, facts.shown) };
}

/** @param {number} i @param {number} sample @param {Phrase} missing @param {Phrase} advice */
const absent = (i, sample, missing, advice) => ({ i, sample, missing, advice });

/** Why a step has no plane, null if it has one: {kind: of THERE, missing, advice}, and what can be drawn all the same.
 * @param {Step} step
 * @param {Gram} gram
 */
function problem(step, gram) {
  const kind = gapOf(step, gram);
  if (kind === null) return null;
  if (kind !== "alone") return { kind, ...REASONS[kind] };
  const missing = step.gamma === 1 ? "at cfg 1 only the prediction with the prompt is made" : "no prediction without the prompt at this step";
  const [alone, noise] = ["M7", "M8"].map((name) => metric(name, gram));
  const advice = "So there is no difference to draw. Choose a step at which both were made, or raise cfg above 1.";
  if (step.stage !== "cond_only" || !(alone > 0)) return { kind, missing, advice };
  const pushed = dot(gram, "D-G", "D-G");
  const still = pushed === 0 || pushed <= PUSHED ** 2 * dot(gram, "a", "a");
  return { kind, missing, advice, noise, ...(still ? { alone } : { pushed: pushedFrom(gram) }) };
}

/** @type {Record<string, {missing: string, advice: string}>} */
const REASONS = {
  unmeasured: { missing: "nothing was measured at this step", advice: "The notes say why." },
  recur: { missing: "noise was added again here, without a prediction", advice: "Choose the step before or after it." },
  unseen: { missing: "the predictions of this step were not seen", advice: "Choose another step." },
  zero: { missing: "the positive or the negative was empty here, and ComfyUI counts from zero", advice: "Choose another step." },
  scale: { missing: "the scale of this step is unknown", advice: "Choose another step." },
  broke: { missing: "the numbers broke down at this step", advice: "Lower cfg, or compute in a higher precision, such as fp32." },
};

/** The same of several steps.  @type {Record<string, string>} */
const THERE = {
  unmeasured: "Nothing was measured there. The notes say why.",
  recur: "There noise was added again, without a prediction.",
  alone: "There one prediction alone was made.",
  unseen: "There the predictions were not seen.",
  zero: "There the positive or the negative was empty, and ComfyUI counts from zero.",
  scale: "The scale is unknown there.",
  broke: "There the numbers broke down. Lower cfg, or compute in a higher precision, such as fp32.",
  kappa: "There this sampler does not show how far it follows a prediction.",
};

/** Stages that need not know the difference, and what is missing then.  @type {Record<string, any>} */
const LONE = { cond_only: "alone", skip: "unseen", unseen: "unseen", from_zero: "zero" };

/** What of a step is unknown, null where all of it is known.
 * @param {Step} step
 * @param {?Gram} gram
 * @returns {?("unmeasured" | "recur" | "alone" | "unseen" | "zero" | "scale" | "broke")}
 */
export function gapOf(step, gram) {
  const known = Boolean(gram?.K.every(Number.isFinite));
  if (!known && !Number.isFinite(step.evals)) return "unmeasured";
  if (step.stage === "recur") return "recur";
  if (step.stage === "cond_only" || (LONE[step.stage] && !known)) return LONE[step.stage];
  if (!known) return "broke";
  return Number.isFinite(step.gamma) ? null : "scale";
}

/** Why something is unknown at some steps of a run, a sentence for each reason, as a phrase.
 * @param {{step: Step, gram: ?Gram}[]} rows
 * @param {(words: string) => string} t
 */
export const whyUnknown = (rows, t) =>
  [...new Set(rows.map(({ step, gram }) => gapOf(step, gram) ?? (step.kappa == null ? "kappa" : "")).filter(Boolean))].map((kind) => t(THERE[kind])).join(" ");

/** Where a step with one prediction goes that a gradient or a rule pushed away from it: {c, D, tip} in the plane of the two,
 * the first axis towards the prediction; null where that is unknown.
 * @param {Gram} gram
 */
function pushedFrom(gram) {
  const way = length(gram, { a: 1 });
  /** @param {string} vector */
  const along = (vector) => dot(gram, vector, "a") / way;
  const [push, move] = [along("D-G"), along("move")];
  const across = Math.sqrt(Math.max(0, dot(gram, "D-G", "D-G") - push ** 2));
  const aside = across > 0 ? (dot(gram, "D-G", "move") - push * move) / across : 0;
  const unit = 1 / Math.sqrt(gram.count);
  const points = { c: [way * unit, 0], D: [(way + push) * unit, across * unit], tip: [move * unit, aside * unit] };
  return Object.values(points).flat().every(Number.isFinite) ? points : null;
}

/** a + factor b  @param {number[]} a @param {number[]} b */
const sum = (a, b, factor = 1) => a.map((value, k) => value + factor * b[k]);

/**
 * @param {Gram} gram
 * @param {Step} step
 * @param {any} shown
 */
function geometry(gram, step, shown) {
  const [along, dx, dy, Dx, Dy, tx, ty, outside] = /** @type {number[]} */ (gram.at);
  const [gamma, kappa] = [step.gamma ?? NaN, step.kappa ?? NaN];
  const [x, u, delta, tip] = [[0, 0], [along, 0], [dx, dy], [tx, ty]];
  /** @type {Record<string, number[]>} */
  const points = { x, u, c: sum(u, delta), G: sum(u, delta, gamma), D: sum(u, [Dx, Dy]), tip };
  points.along = sum(u, delta, metric("M19", gram));
  if (Number.isFinite(kappa) && asksOnce(step)) points.moved = sum(tip, delta, kappa * (shown - gamma)); // noise starts there
  const same = dot(gram, "delta", "delta") === 0;
  const still = length(gram, { move: 1, noise: 1 }) <= STILL * length(gram, { a: 1 });
  return {
    points,
    same,
    still,
    other: rms(gram, { "D-G": 1 }),
    across: Number.isFinite(outside) ? { share: metric("M19a", gram), outside } : null,
    noise: metric("M8", gram),
    residual: still ? NaN : metric("M11", gram),
    notes: notesOf({ same, collinear: dy === 0 }, metric("M2", gram), step, still),
  };
}

/** @param {{same: boolean, collinear: boolean}} shape @param {number} difference @param {Step} step @param {boolean} still */
function notesOf({ same, collinear }, difference, step, still) {
  const notes = [];
  if (same) notes.push("no difference: both predictions are the same");
  else if (collinear) notes.push("the noisy sample and both predictions lie on one line");
  if (!same && difference < FLOOR_FACTOR * (step.floor ?? 0)) notes.push("the difference is as small as rounding");
  if (still) notes.push("the step has no length");
  return notes;
}

/** The effective scale of a step, and where its push goes.  @param {Scene} scene */
function actsLike({ gram: { m }, across }) {
  if (!(m.M19a >= ACROSS)) return [];
  const outside = across && ["of that {share} % out of this plane", { share: number(100 * across.outside) }];
  return [["acts like cfg {cfg}, {share} % of the push across", { cfg: number(m.M19), share: number(100 * m.M19a, 2) }], outside];
}

/** What every plane figure prints, as `setCaption` takes it: levels, scale, strength, residual, sample, size.
 *
 * scale, strength: as to be printed.
 * @param {Run} record
 * @param {Phrase} scale
 * @param {Scene} scene
 */
export function factsOf(scene, record, scale = `\u03b3 ${number(scene.gamma)}`, strength = metric("M1", scene.gram)) {
  const median = record?.sample === scene.sample;
  const batch = record?.batch ?? (scene.subset ? null : scene.samples.length);
  return [
    ["step {i} of {n}", { i: nth(scene.i), n: scene.n }],
    `\u03c3 ${number(scene.sigma)} \u2192 ${number(scene.sigma_next)}`,
    scale,
    ["guidance strength {value}", { value: number(strength) }],
    ...actsLike(scene),
    Number.isFinite(scene.residual) && ["{share} % of the step points out of this plane", { share: number(100 * scene.residual, 2) }],
    [`sample {sample}${batch ? " of {batch}" : ""}${median ? " (median)" : ""}`, { sample: scene.sample, batch }],
    ["{n} values", { n: scene.N }],
    "drawn to scale",
    ...scene.notes,
  ];
}
