/** What a run says to someone who sees only its page: five questions, answered with the numbers they rest on. No DOM. */
import { contraction, interval, leftOf, mattersMost, proxies, runOf } from "./curves.mjs";
import { sampleOf, stepOf } from "./gram.mjs";
import { metric } from "./metrics.mjs";
import { samplesOf } from "./panel-record.mjs";
import { nth, number } from "./words.mjs";

const TOO_LONG = 1.13; // rms(D)/sigma_d that no posterior mean has but by chance: 1 + 2 spreads of clean pictures
const LONG = 1.065; // 1 + 1 spread
const PULLED_BACK = -0.2; // M6t at sigma* beyond which the state has left the shell of the data
const STAR = 1.25; // sigma*, in sigma_d
const CHEAP = 0.01; // share of the run's whole push that one predicted difference may miss
const IDLE = 0.02; // share of the push below which the end of a run can do without guidance
const UNKNOWN = 0.1; // share of guided steps whose push may be unknown
const SAID = /^uncond was not evaluated|^at \d+ steps it was evaluated after the run[^.]*$/; // notes that are sentences of their own here
const TRUSTED = 2.5; // sigma in sigma_d up to which that estimate holds

/** -> [{question, verdict, words: [sentence, ...]}] about a run and one of its samples. */
export function answers(record, sample) {
  const found = [tooHigh(record), where(record, sample), dashes(record, sample), skippable(record, sample), unmeasured(record)];
  return found.map(([question, verdict, ...words]) => ({ question, verdict, words: words.filter(Boolean) }));
}

const steps = (record) => (record.steps ?? []).filter(Boolean);
const both = (record) => steps(record).filter((step) => step.stage === "step" || step.stage === "reuse");
const later = (record) => steps(record).filter(({ stage }) => stage === "afterwards");
const level = (step) => step.sigma / step.alpha;

/** Mean, least and greatest of a metric over the samples that are kept; null where none has it. */
export function over(record, step, name) {
  const values = samplesOf(record).map((b) => metric(name, sampleOf(step, b), step, record)).filter(Number.isFinite);
  if (!values.length) return null;
  return { mean: sumOf(values, (value) => value) / values.length, low: Math.min(...values), high: Math.max(...values) };
}

function ranged({ mean, low, high }) {
  return low === high ? number(mean) : `${number(mean)} on average (${number(low)} to ${number(high)})`;
}

/** The step with both predictions whose level is nearest to 1.25 sigma_d, null if none is within a factor of 2. */
export function starStep(record) {
  const away = (step) => Math.abs(Math.log(level(step) / (STAR * record.sigma_data)));
  const known = record.sigma_data > 0 ? both(record).filter((step) => away(step) <= Math.log(2)) : [];
  return known.reduce((best, step) => (!best || away(step) < away(best) ? step : best), null);
}

function tooHigh(record) {
  const question = "Is \u03b3 too high?";
  const end = both(record).at(-1);
  if (!end) {
    const same = "At \u03b3 = 1 the guided prediction is the one with the condition";
    const why = later(record).length ? same : "No step holds both predictions";
    return [question, "Guidance was off.", `${why}, so nothing was amplified.`];
  }
  const star = starStep(record);
  const length = over(record, end, "M3");
  const tug = star && over(record, star, "M6t");
  if (!length && !tug) {
    const look = "Look at the Filmstrip: burnt colours and flat patches are what too high a \u03b3 looks like.";
    return [question, "These numbers cannot tell.", "The size of clean data is not known here, and both signs need it.", look];
  }
  const high = length?.mean > TOO_LONG || tug?.mean < PULLED_BACK;
  const near = length?.mean > LONG;
  return [
    question,
    high ? "Probably yes." : near ? "Close to the limit." : "No sign of it.",
    length && `Length: the guided prediction of step ${nth(end.i)} is ${ranged(length)} times as long as clean pictures are.`
      + ` More than ${TOO_LONG} times is a sign that \u03b3 is too high.`,
    tug && `Pull-back: cos(\u03b4, direction to x\u0302\u2080) at step ${nth(star.i)}, \u03c3 ${number(star.sigma)}, is ${ranged(tug)}.`
      + ` A value below ${number(PULLED_BACK)} is a sign that \u03b3 is too high; 0 means that guidance has not pushed the`
      + " picture off course.",
    "One sign is enough for the answer above. Both limits come from an exact reference model: a hint, not proof. With a"
      + " negative prompt the pull-back says nothing.",
  ];
}

function where(record, sample) {
  const question = "Where does guidance act?";
  const { rows, held } = pushesOf(record, sample);
  const place = record.pictures?.steps?.length
    ? "In the picture: the view Where shows the places, Filmstrip what the condition changes at each step."
    : "Where in the picture cannot be shown: no pictures were kept.";
  if (!held) return [question, ...withoutPush(record), both(record).length + later(record).length && place];
  const first = held.first.step;
  const last = held.last.step;
  const stretch = held.count === 1 ? `step ${nth(first.i)}` : `steps ${nth(first.i)} to ${nth(last.i)}`;
  return [
    question,
    `In ${stretch}, noise level \u03c3 ${number(first.sigma)} to ${number(last.sigma_next)}.`,
    `${held.count} of ${rows.length} steps hold 80 % of guidance's push on sample ${sample}. This is the mean of two estimates;`
      + " The view Which steps shows both. Only runs without guidance at some of the steps would prove it.",
    place,
  ];
}

const listed = (found) => `step${found.length > 1 ? "s" : ""} ${found.map(({ i }) => nth(i)).join(", ")}`;

function withoutPush(record) {
  if (!both(record).length) {
    const when = later(record).length ? `only after the run, at ${listed(later(record))}` : "at no step";
    return ["Nowhere: guidance was off.", `The prediction without the condition was evaluated ${when}.`];
  }
  if (both(record).every((step) => step.gamma === 1)) {
    return ["Nowhere beyond the condition.", "At \u03b3 = 1 the guided prediction is the one with the condition."];
  }
  const reason = "At too many steps it is unknown how far the sampler follows the prediction (\u03ba)";
  return ["These numbers cannot tell.", `${reason}, and so how the push is distributed. Choose euler or ddpm to see it.`];
}

/** Shares of the push of one sample at every step, and the shortest stretch that holds 80 % of them.
 *
 * held is null where no step was guided or nothing is pushed, or where the push is unknown at so many steps that shares would mislead.
 */
function pushesOf(record, sample) {
  const { rows } = proxies(record, runOf(record, { sample }));
  const pairs = new Set(both(record));
  const guided = rows.filter(({ step }) => pairs.has(step));
  const unknown = guided.filter((row) => !Number.isFinite(row.push)).length;
  const told = guided.some((row) => row.push > 0) && unknown <= UNKNOWN * guided.length;
  return { rows, held: told ? interval(rows) : null };
}

function dashes(record, sample) {
  const noisy = steps(record).some((step) => metric("M8", sampleOf(step, sample), step, record) > 0);
  const noise = noisy ? "noise" : "fresh noise; this sampler adds none, so there is none here";
  return [
    "What is the dashed line?",
    "In Plane: the way to the prediction with the condition.",
    "Plane and What if: dashed green runs from the noisy picture to the prediction with the condition, dotted purple to"
      + ` the guided one, solid blue to the one without. Dashed orange is ${noise}.`,
    "Which steps: dashed green is the push after later steps have taken back part of it. Lengths: dashed orange is noise,"
      + " dotted purple the guided push. A dashed vertical line marks the step that is shown.",
  ];
}

/** Steps whose difference could have been continued from the two before it: never two in a row, never the first two. */
export function cheapSteps(record, sample) {
  const { rows } = pushesOf(record, sample);
  const kept = [];
  let before = rows[1];
  for (const row of rows.slice(2)) {
    const last = stepOf(record, row.i - 1);
    const cost = row.contracted * metric("M14", sampleOf(last, sample), last ?? {}, record); // M14 is about the next step
    const usable = last && row.step.stage === "step" && kept.at(-1)?.i !== before.i;
    if (usable && cost < CHEAP && level(row.step) <= TRUSTED * record.sigma_data) kept.push({ i: row.i, cost });
    before = row;
  }
  return kept;
}

function skippable(record, sample) {
  const question = "Which steps matter, which could be skipped?";
  const { rows, held } = pushesOf(record, sample);
  if (!held) return [question, ...withoutPush(record)];
  const most = mattersMost(rows);
  const idle = idleEnd(rows);
  const cheap = cheapSteps(record, sample);
  const some = cheap.length ? "some passes could be saved" : "none can be skipped";
  const spare = idle ? `guidance could end before step ${nth(idle.from)}` : some;
  return [
    question,
    `Step ${nth(most.i)} matters most; ${spare}.`,
    `Step ${nth(most.i)} holds ${percent(leftOf(most))} of what is left of the push at the end; an even share would be`
      + ` ${percent(1 / rows.length)}. This is the dashed green curve of Which steps; its bars count the push before later`
      + " steps take back part of it. It is an estimate, like the interval.",
    idle && `Without guidance from step ${nth(idle.from)} on about ${percent(idle.share)} of the push would be missing, and`
      + ` ${idle.count === 1 ? "one pass" : `${idle.count} passes`} without the condition would be saved.`,
    reuseWords(record, cheap),
  ];
}

function reuseWords(record, cheap) {
  if (!steps(record).some((step) => Number.isFinite(contraction(step, record.sigma_data, false)))) {
    return "What a skipped pass would cost is not estimated: the size of clean data is unknown.";
  }
  const how = "if the difference is extrapolated from the two steps before";
  if (!cheap.length) return `Between guided steps no pass could be skipped for less than 1 % of the push, even ${how}.`;
  const missed = percent(sumOf(cheap, ({ cost }) => cost));
  return `The pass without the condition could be skipped at ${listed(cheap)}, ${how}: an estimated`
    + ` ${missed} of the push would be lost in total.`;
}

const sumOf = (rows, value) => rows.reduce((sum, row) => sum + value(row), 0);

/** The longest end of the run that holds at most 2 % of the push: {from, share, count}, null where there is none. */
export function idleEnd(rows) {
  let count = 0;
  while (count < rows.length && sumOf(rows.slice(-count - 1), leftOf) <= IDLE) count += 1;
  if (!count) return null;
  const end = rows.slice(-count);
  return { from: end[0].i, share: sumOf(end, leftOf), count: end.filter(({ step }) => step.stage === "step").length };
}

const percent = (value) => (value < 0.001 ? "under 0.1 %" : `${number(100 * value, 2)} %`);

function unmeasured(record) {
  const all = steps(record), asked = all.filter(({ stage }) => stage !== "recur");
  const alone = asked.length - both(record).length - later(record).length;
  const shown = samplesOf(record).length;
  const blind = both(record).filter((step) => step.kappa == null).length;
  return [
    "What was not measured?",
    "Whether the picture is good, and any other run.",
    "Other seeds, and the end of a run at another \u03b3, need sampling again: What if is exact for one step only.",
    alone && `At ${alone} of ${asked.length} steps the prediction without the condition was not evaluated: there is no`
      + " difference to show.",
    laterWords(record),
    all.length < record.n && `${record.n - all.length} of ${record.n} steps are left out of this page.`,
    record.batch > shown && `${shown} of ${record.batch} samples are kept.`,
    pictureWords(record),
    blind && `At ${blind} steps it is unknown how far the sampler follows the prediction (\u03ba).`,
    !(record.sigma_data > 0) && "The size of clean data is unknown for this model (\u03c3_d).",
    ...(record.notes ?? []).filter((note) => !SAID.test(note)).map((note) => note.replace(/\.?$/, ".")),
    ...(record.problems ?? []),
  ];
}

function laterWords(record) {
  const { afterwards: { against, evaluations } = {} } = record;
  const spent = against ? `, against ${against} (${evaluations} evaluations more)` : "";
  return later(record).length > 0 && `At \u03b3 = 1 the prediction without the condition plays no part. At ${listed(later(record))} it was`
    + ` evaluated after the run${spent}: what is shown there changed no pixel.`;
}

function pictureWords({ pictures, n }) {
  const kept = pictures?.steps?.length ?? 0;
  if (!kept) return `There are no pictures. ${pictures?.note ?? ""}`.trim();
  return kept < n && `Pictures of ${kept} of ${n} steps are kept.`;
}
