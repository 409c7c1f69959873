// @ts-check
/** What a run says to someone who sees only its page: the report's answer and findings, how to read it, what is missing. No DOM. */
import { sampleOf } from "./gram.mjs";
import { metric } from "./metrics.mjs";
import { samplesOf } from "./panel-record.mjs";
import { verdictOf } from "./verdict.mjs";
import { counted, fillIn, nth } from "./words.mjs";

const SAID = /^the prediction without the prompt was not made|^at \d+ steps it was evaluated after the run[^.]*$/; // notes that are sentences of their own here
const SILENT = "There is no report in this record.";

/** -> [{question, verdict, words: [sentence, ...]}] about a run and one of its samples.
 * @param {Run} record
 * @param {number} sample
 */
export function answers(record, sample) {
  const found = [...reportAnswers(record), dashes(record, sample), gapAnswer(record)];
  return found.map(([question, verdict, ...words]) => ({ question, verdict, words: words.filter(Boolean) }));
}

/** @param {?Run} record */
const steps = (record) => (record?.steps ?? []).filter(Boolean);
/** @param {Run} record */
const both = (record) => steps(record).filter((step) => step.stage === "step" || step.stage === "reuse");
/** @param {?Run} record */
const later = (record) => steps(record).filter(({ stage }) => stage === "afterwards");

/** The report as two answers: the verdict, and what else the run tells; of all samples.  @param {Run} record */
function reportAnswers(record) {
  const { headline, why, reasons, findings: [first, ...others] } = verdictOf(record) ?? { headline: SILENT, why: [], reasons: [], findings: [] };
  const place = record.pictures?.steps?.length
    ? "In the picture: the view Where shows the places, Filmstrip what the prompt changes at each step."
    : "Where in the picture cannot be shown: no pictures were kept.";
  const all = record.batch > 1 ? `, of all ${record.batch} samples` : ""; // figures show one
  return [[`Is cfg too high${all}?`, headline, ...why, ...reasons], [`What else does it tell${all}?`, first ?? SILENT, ...others, place]];
}

/** @param {{i: number}[]} found */
const listed = (found) => `${fillIn("{n:step|steps}", { n: found.length })} ${found.map(({ i }) => nth(i)).join(", ")}`;

/** @param {Run} record @param {number} sample */
function dashes(record, sample) {
  const noisy = steps(record).some((step) => metric("M8", sampleOf(step, sample)) > 0);
  const noise = noisy ? "noise" : "fresh noise; this sampler adds none, so there is none here";
  return [
    "What is the dashed line?",
    "In Plane: the way to the prediction with the prompt.",
    "Plane and What if: dashed green runs from the noisy picture to the prediction with the prompt, dotted purple to"
      + ` the guided one, solid blue to the one without. Dashed orange is ${noise}.`,
    "Which steps: dashed green is the push after later steps have taken back part of it. Effective"
      + " scale: the level line is cfg, the curve below the share of the push that goes across. Lengths: dashed orange is noise,"
      + " dotted purple the guided push. A dashed vertical line marks the step that is shown.",
  ];
}

/** @param {Run} record */
function gapAnswer(record) {
  const all = steps(record), asked = all.filter(({ stage }) => stage !== "recur");
  const alone = asked.length - both(record).length - later(record).length;
  const shown = samplesOf(record).length;
  const blind = both(record).filter((step) => step.kappa == null).length;
  return [
    "What was not measured?",
    "Whether the picture is good, and any other run.",
    "Other seeds, and the picture at another cfg, need a new run: What if is exact for one step only.",
    alone && `At ${alone} of ${counted(asked.length, "step")} the prediction without the prompt was not made: there is no`
      + " difference to show.",
    laterWords(record),
    all.length < record.n && `${record.n - all.length} of ${record.n} steps are left out of this page.`,
    record.batch > shown && `${shown} of ${record.batch} samples are kept.`,
    pictureWords(record),
    blind && `At ${counted(blind, "step")} the sampler does not show how much of the prediction it takes over (\u03ba).`,
    !((record.sigma_data ?? 0) > 0) && "The size of clean data is unknown for this model (\u03c3_d).",
    ...(record.notes ?? []).filter((note) => !SAID.test(note)).map((note) => note.replace(/\.?$/, ".")),
    ...(record.problems ?? []),
  ];
}

/** @param {any} record */
function laterWords(record) {
  const { afterwards: { against, evaluations } = {} } = record;
  const spent = against ? `, against ${against} (${counted(evaluations, "evaluation")} more)` : "";
  return later(record).length > 0 && `At cfg 1 the prediction without the prompt plays no part. At ${listed(later(record))} it was`
    + ` made after the run${spent}: what is shown there changed no pixel.`;
}

/** @param {Run} record */
function pictureWords({ pictures, n }) {
  const kept = pictures?.steps?.length ?? 0;
  if (!kept) return `There are no pictures. ${pictures?.note ?? ""}`.trim();
  return kept < n && `Pictures of ${kept} of ${counted(n, "step")} are kept.`;
}
