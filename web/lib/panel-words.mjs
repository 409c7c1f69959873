// @ts-check
/** What a panel says in words: where it stands, what is shown, and what is missing. No DOM. */
import { sampleOf, stepOf } from "./gram.mjs";
import { metric } from "./metrics.mjs";
import { nearestSheet, rowOf } from "./panel-pictures.mjs";
import { lengthOf, samplesOf } from "./panel-record.mjs";
import { viewOf } from "./views.mjs";
import { nth, number } from "./words.mjs";

/** @type {Record<string, string>} */
const STAGES = { skip: "skip", reuse: "reuse", recur: "recur", from_zero: "fromZero", unseen: "outOfSight" };

const EMBEDDED = "embedded guidance 1"; // what stands for uncond where the model has its scale as an input

/** Sentences about the step that is shown. state: {run, step, sample, view: null where no step is, trouble, note}; t: `speaker`.
 * @param {any} state @param {Speaker} t
 */
export function status(state, t) {
  const { run, step: i, trouble, note } = state;
  if (trouble) return [t(trouble.key, trouble)];
  if (!run) return [t("empty")];
  const about = run.fault ? [t(run.fault, faultAt(run))] : [];
  if (!run.steps?.length && run.report) return about; // they come with the record
  if (!run.steps?.length) return [...about, run.n && run.live ? t("running", { i: 0, n: run.n }) : t("nothing")];
  if (!state.view) return [...about, note].filter(Boolean);
  const step = stepOf(run, i);
  if (!step) return [...about, t("hole", { i: nth(i) })];
  const going = run.live && !run.fault && !run.report ? t("running", { i: nth(run.steps.at(-1).i), n: run.n }) : null;
  return [...about, going, ...missing(state, step, t), note].filter(Boolean);
}

/** One line about a step: where it is, how strong guidance is there, and the lengths; "" where there is none.
 * @param {?Run} run
 * @param {number} i @param {number} sample @param {Speaker} t
 */
export function facts(run, i, sample, t) {
  const step = stepOf(run, i);
  if (!step) return "";
  const place = t("at", { i: nth(i), sigma: number(step.sigma), next: number(step.sigma_next), gamma: number(step.gamma) });
  const [delta, move, noise] = ["delta", "move", "noise"].map((vector) => lengthOf(step, sample, vector));
  const strength = metric("M1", sampleOf(step, sample));
  const known = { strength: number(strength), delta: number(delta), move: number(move) };
  const values = t(Number.isFinite(delta) ? "values" : "moveOnly", known);
  const further = Object.entries(step.passes ?? {}).filter(([, { evals }]) => evals > 0)
    .map(([name, { evals, scale, along }]) => t(Number.isFinite(along) ? "furtherAlong" : "further", { name, evals, scale: number(scale), along: added(along) }));
  return [place, values, noise > 0 && t("noisy", { noise: number(noise) }), ...further].filter(Boolean).join(" \u00b7 ");
}

/** What is added to cfg, with its sign: +1.24; +0 where only rounding is left.  @param {number} scale */
const added = (scale) => (Math.abs(scale) < 5e-3 ? "+0" : `${scale > 0 ? "+" : ""}${number(scale)}`);

/** @param {Run} run */
const faultAt = (run) => run.stopped ?? ({ i: nth(run.steps?.at(-1)?.i ?? 0), n: run.sigmas ? run.sigmas.length - 1 : run.n });

/**
 * @param {{run: Run, sample: number, view: string}} state
 * @param {Step} step
 * @param {Speaker} t
 */
function missing({ run, sample, view }, step, t) {
  const found = [];
  if (step.stage === "afterwards") found.push(t(run.afterwards?.against === EMBEDDED ? "embedded" : "afterwards"));
  if (step.stage === "cond_only") {
    found.push(step.gamma === 1 ? t("condOnly", { gamma: 1 }) : t("condOnlyElse"));
  } else if (STAGES[step.stage]) found.push(t(STAGES[step.stage]));
  else if (sampleOf(step, sample) && !Number.isFinite(lengthOf(step, sample, "delta"))) found.push(t("diverged"));
  else if (lengthOf(step, sample, "delta") === 0) found.push(t("noDifference"));
  const lacking = viewOf(view)?.lacking?.(step);
  if (lacking) found.push(t(lacking));
  const shown = samplesOf(run).length;
  if (step.subset && run.batch > shown) found.push(t("subset", { shown, batch: run.batch }));
  return found;
}

/** Why a run has no pictures to show.
 * @param {Run} run
 * @param {Speaker} t
 */
export const noPictures = ({ live, pictures }, t) =>
  live ? { missing: t("loading") } : { missing: t("noPictures"), advice: pictures?.note ?? "" };

/** One sentence for those who cannot see the figure.  @param {string} title @param {string[]} lines */
export function ariaWords(title, lines) {
  return `${title}. ${lines.join(" ")}`;
}

/** What is said of the pictures that a view shows: which step and sample they are of, and how they were scaled.
 * @param {{run: ?Run, step: number, sample: number, sheets: import("./panel-sheets.mjs").Sheets, t: Speaker}} drawn @param {string} view
 * @returns {string[]}
 */
export function pictureWords({ run, step, sample, sheets, t }, view) {
  const { pictures: drawsPictures, available } = viewOf(view);
  if (!drawsPictures || !run) return [];
  if (!available(run)) { // the figure itself says so; this is for those who do not see it
    const { missing, advice = "" } = noPictures(run, t);
    return [missing, advice].filter(Boolean);
  }
  const { pictures } = run;
  const sheet = nearestSheet(pictures, step);
  const { gain, clipped, scale } = sheet.scales ?? pictures;
  const gone = sheets.isGone(sheet) && t("noPicture", { i: nth(sheet.i) });
  const nearest = sheet.i !== step && t("nearest", { i: nth(sheet.i) });
  const kept = pictures.samples[rowOf(pictures, sample)];
  const other = kept !== sample && t("otherSample", { sample: kept });
  const facts = t("gain", { gain: number(gain), clipped: number(100 * clipped, 2), scale: number(scale) });
  return /** @type {string[]} */ ([gone, nearest, other, facts].filter(Boolean));
}

/** Sentences in a row; what does not end with a full stop is set off by a dot.  @param {string[]} lines */
export const joinSentences = (lines) => lines.map((line, k) => (k < lines.length - 1 && !line.endsWith(".") ? `${line} \u00b7` : line)).join(" ");
