import assert from "node:assert/strict";
import test from "node:test";
import { chooserOptions, offerControls, pageControls, scaleControls, stepControls, verdictControls } from "../../web/lib/panel-controls.mjs";
import { blame } from "../../web/lib/panel-record.mjs";
import { beginRun, choosePart, continueRun, FIRST_CHOICES, goToStep, lastStep, NO_RUN, ownScale, partnerOf, reasonsOpen, receiveSteps, restoreChoices, settleSample, shownRun, takeRecord,
  takeReport, usualSample } from "../../web/lib/panel-state.mjs";
import { pictureWords } from "../../web/lib/panel-words.mjs";
import { speaker } from "../../web/lib/strings.mjs";
import { fixture } from "./records.mjs";

const t = speaker("en");
const step = (i, more = {}) => ({ v: 1, run: "r", i, n: 5, sigma: 5 - i, gamma: 3, stage: "step", space: "ve", N: 4, vectors: [], samples: [{ K: [], m: {} }, { K: [], m: {} }], ...more });
const record = (more = {}) => ({ v: 1, run: "r", n: 5, N: 4, space: "ve", batch: 2, sample: 1, notes: [], steps: [0, 1, 2, 3, 4].map((i) => step(i)),
  choices: { samples: [0, 1], step: [2, 3] }, ...more });
const live = (...steps) => receiveSteps(NO_RUN, { run: "r", steps: steps.map((i) => step(i)) });
const taken = (state, more, start) => takeRecord(state, record(more), usualSample(record(more)), start);

test("a run that goes on shows its newest step, until somebody chooses one", () => {
  let state = live(0, 1);
  assert.equal(state.at, 1);
  state = goToStep(state, 0);
  state = receiveSteps(state, { run: "r", steps: [step(2)] });
  assert.deepEqual([state.at, state.follow, shownRun(state).steps.length], [0, false, 3]);
  const [next] = [receiveSteps({ ...state, scale: 7, note: "x", lit: 1 }, { run: "other", steps: [] })];
  assert.deepEqual([next.follow, next.scale, next.note, next.lit, next.at], [true, null, "", null, 0], "another run begins");
});

test("what comes late of a run whose record is there changes nothing", () => {
  const state = taken(NO_RUN);
  assert.equal(receiveSteps(state, { run: "r", steps: [step(4, { gamma: 9 })] }), state);
  assert.equal(receiveSteps({ ...state, finished: null }, { run: "r", steps: [step(4, { gamma: 9 })] }).whole.steps.at(-1).gamma, 9);
});

test("a record opens at the sample and the step that tell most; one that was live keeps where its reader stood", () => {
  assert.deepEqual([taken(NO_RUN).sample, taken(NO_RUN).at], [1, 3]);
  const followed = taken(live(0, 1));
  assert.deepEqual([followed.at, followed.sample, followed.finished], [3, 1, "r"]);
  const chosen = taken(goToStep(live(0, 1), 0));
  assert.deepEqual([chosen.at, chosen.follow], [0, false]);
  assert.equal(taken(goToStep(live(0, 1, 2), 1), { steps: [step(0)] }).at, 3, "a step that the record lacks is not kept");
  const again = takeRecord({ ...chosen, at: 4, scale: 7 }, record(), 0);
  assert.deepEqual([again.at, again.sample, again.scale], [4, 1, 7], "the same record once more moves nothing");
  assert.equal(takeRecord(goToStep(taken(NO_RUN), 3), record({ choices: { samples: [0, 1], step: [0, 1] } }), 1).at, 1, "nobody left the usual step");
});

test("the panel that replaces another one goes on where its reader stood", () => {
  const state = taken(NO_RUN, {}, { at: 2, sample: 0, follow: false });
  assert.deepEqual([state.at, state.sample, state.follow], [2, 0, false]);
});

test("a record that is gone, or newer, is told and leaves what is shown", () => {
  const state = taken(NO_RUN);
  assert.deepEqual(takeRecord(state, { gone: true }, 0), { ...state, trouble: { key: "gone" } });
  assert.deepEqual(takeRecord(state, { ...record(), v: 9 }, 0).trouble, { key: "newer", v: 9 });
  assert.equal(continueRun({ ...state, trouble: { key: "gone" } }, record()).trouble, null);
});

test("a report makes a new run of the one that is shown", () => {
  const state = taken(NO_RUN);
  const reported = takeReport(state, { headline: "x" });
  assert.deepEqual([reported.whole.report, reported.whole === state.whole, state.whole.report], [{ headline: "x" }, false, undefined]);
  assert.equal(takeReport(NO_RUN, {}), NO_RUN);
});

test("parts of the samples are shown one at a time, at the same step", () => {
  const whole = record({ part: "first", parts: { second: record({ part: "second", cfg: 9, steps: [step(0, { gamma: null })] }) } });
  const state = choosePart({ ...takeRecord(NO_RUN, whole, 0), scale: 5, note: "x", at: 0 }, "second");
  assert.deepEqual([shownRun(state).part, state.at, state.scale, state.note, ownScale(state)], ["second", 0, null, "", 9]);
  assert.deepEqual(chooserOptions(state, t).part, { options: [{ value: "first", words: "first" }, { value: "second", words: "second" }], chosen: "second", hidden: false });
  assert.equal(shownRun(choosePart(state, "no such part")).part, "first");
});

test("the sample is one that the run has", () => {
  const state = { ...live(0), sample: 7 };
  assert.equal(settleSample(state, 1).sample, 1);
  assert.equal(settleSample(state, 9).sample, 0, "a chosen one that is not there counts for nothing");
  assert.equal(settleSample(NO_RUN, 1), NO_RUN);
  assert.equal(usualSample(record(), 0), 0);
  const choosers = [live(0), takeRecord(NO_RUN, record({ steps: [step(0, { samples: [{}] })] }), 0)].map((state) => chooserOptions(state, t).sample);
  assert.deepEqual(choosers.map(({ options, hidden }) => [options.length, hidden]), [[2, false], [1, true]], "one sample is no choice");
});

test("steps end where the run does, as far as that is known", () => {
  assert.deepEqual([null, { steps: [] }, { n: 8, steps: [step(0)] }, { steps: [step(6)] }].map(lastStep), [0, 0, 7, 6]);
  assert.deepEqual([goToStep(taken(NO_RUN), 99).at, goToStep(taken(NO_RUN), -1).at], [4, 0]);
  assert.deepEqual([beginRun(taken(NO_RUN)).whole, ownScale(NO_RUN)], [null, 1]);
});

test("a workflow's choices are taken where they are known", () => {
  const kept = restoreChoices(FIRST_CHOICES, { gg_view: "lengths", gg_second: "none", gg_page: "geometry" });
  assert.deepEqual([kept.view, kept.second, kept.page], ["lengths", "none", "geometry"]);
  assert.deepEqual(restoreChoices(kept, { gg_view: "x", gg_second: 3, gg_page: null }), kept);
  assert.deepEqual(restoreChoices(kept), kept);
});

test("the second view is the partner of the first, unless another one was chosen, where there is room", () => {
  const second = (view, chosen, hasRoom = true) => partnerOf({ ...FIRST_CHOICES, view, second: chosen }, hasRoom);
  const usual = second("plane", null);
  assert.ok(usual && usual !== "plane");
  assert.deepEqual([second("plane", "plane"), second("plane", "lengths"), second("plane", "none"), second("plane", null, false)], [usual, "lengths", null, null]);
});

test("reasons stand open where there is room beside the pictures, or as a person chose", () => {
  const open = (chosen, page, width) => reasonsOpen({ ...FIRST_CHOICES, open: chosen, page }, width);
  assert.deepEqual([open(null, "advice", 900), open(null, "advice", 500), open(null, "geometry", 900), open(true, "geometry", 1), open(false, "advice", 900)], [true, false, false, true, false]);
});

test("the controls of a step tell where it stands, and of the lit one beside it", () => {
  const state = goToStep(taken(NO_RUN), 1);
  const { scrub, count, play, facts, csv } = stepControls(state, false, t);
  assert.deepEqual([scrub.max, scrub.value, scrub.disabled, count.textContent, play.title, csv.disabled], ["4", "1", false, "2/5", t("play"), false]);
  assert.match(facts.textContent, /^step\u00a02/);
  const lit = stepControls({ ...state, lit: 3 }, true, t);
  assert.match(lit.facts.textContent, /^step\u00a04/);
  assert.deepEqual([lit.facts["data-lit"], lit.scrub["aria-valuetext"], lit.play.title], ["", scrub["aria-valuetext"], t("pause")]);
  assert.equal(stepControls({ ...state, lit: 1 }, false, t).facts["data-lit"], null, "the lit step is the one that is shown");
  const none = stepControls(NO_RUN, false, t);
  assert.deepEqual([none.count.textContent, none.scrub["aria-valuetext"], none.numbers.disabled], ["\u2013", t("empty"), true]);
});

test("a page has what belongs to it alone", () => {
  const shown = (choices, partner = null) => pageControls(taken(NO_RUN), { ...FIRST_CHOICES, ...choices }, partner, true, t);
  const geometry = shown({ page: "geometry", view: "whatif", info: true });
  assert.deepEqual([geometry.head.hidden, geometry.advice.hidden, geometry.what.hidden, geometry.says.hidden, geometry.png.textContent], [false, true, false, false, t("png")]);
  const advice = shown({ page: "advice", view: "pictures" }, "plane");
  assert.deepEqual([advice.head.hidden, advice.advice.hidden, advice.what.hidden, advice.second.value, advice.svg.disabled, advice.svg.title], [true, false, true, "plane", true, t("noSvg")]);
  assert.equal(shown({ view: "plane" }, "whatif").what.hidden, false, "the second view has the slider, too");
});

test("another scale is shown on its slider, and why it cannot be written", () => {
  const state = { ...taken(NO_RUN), scale: 6.5 };
  const { controls, obstacle } = scaleControls(state, { node: { id: 3, title: "S" }, widget: {} }, t);
  assert.deepEqual([controls.scale, controls.use.disabled, obstacle], [{ max: "8", value: "6.5" }, false, null]);
  const listed = scaleControls(state, { node: { id: 3, type: "S" }, reason: "listed" }, t);
  assert.deepEqual([listed.controls.use.disabled, listed.obstacle], [true, t("listed", { node: "S (3)" })]);
  assert.equal(scaleControls({ ...state, scale: null }, null, t).controls.scale.value, "3");
  assert.equal(scaleControls({ ...NO_RUN, whole: record({ cfg: 5, steps: [] }) }, null, t).controls.scale.max, "10", "twice the own scale");
  assert.equal(scaleControls(NO_RUN, { node: { id: 3 }, widget: {} }, t).controls.use.disabled, true, "there is no run");
});

test("a verdict has its line, its reasons and its buttons, or none of them", () => {
  const verdict = { colour: "above", sign: "!", headline: "Too strong.", why: ["a"], reasons: ["b"], findings: [] };
  const open = verdictControls(verdict, false, true, false);
  assert.deepEqual([open.verdict, open.aloud.textContent, open.how.hidden, open.reasons.hidden, open.evidence.hidden], [{ hidden: false, "data-colour": "above" }, "", false, false, true]);
  assert.equal(verdictControls(verdict, false, false, true).evidence.hidden, true, "what is closed shows nothing");
  assert.equal(verdictControls({ ...verdict, reasons: [] }, true, true, true).how.hidden, true);
  assert.deepEqual(verdictControls(null, true, true, true), { verdict: { hidden: true, "data-colour": null }, explain: { hidden: true }, aloud: { textContent: "" } });
  assert.deepEqual(offerControls(null, "cfg", [], true, t), { apply: { hidden: true }, again: { hidden: true } });
  const { apply, again } = offerControls(5, "cfg", ["A", "B"], false, t);
  assert.deepEqual([apply.textContent, apply.title, again.hidden], [t("apply", { knob: "cfg", value: "5" }), t("shared", { nodes: "A, B" }), true]);
});

test("the pictures are told to be of another step or sample, and to be gone", () => {
  const run = fixture("ddpm");
  const pictures = { gain: 2, clipped: 0.01, scale: 1, samples: [1], steps: [{ i: 4, filename: "a" }], size: [8, 8], kinds: ["guided"] };
  const words = (more, gone = false, view = "pictures") => pictureWords({ run: { ...run, pictures }, step: 0, sample: 0, sheets: { isGone: () => gone }, t, ...more }, view);
  assert.deepEqual(words({}).slice(0, 2), [t("nearest", { i: 5 }), t("otherSample", { sample: 1 })]);
  assert.deepEqual(words({ step: 4, sample: 1 }, true)[0], t("noPicture", { i: 5 }));
  assert.equal(words({ step: 4, sample: 1 }).length, 1);
  assert.deepEqual([words({ run: null }), words({}, false, "plane")], [[], []]);
  assert.deepEqual(words({ run: { ...run, pictures: { note: "Off." } } }), [t("noPictures"), "Off."]);
});

test("a fault is told of every part of a run", () => {
  const whole = record({ parts: { second: record() } });
  blame(whole, { fault: "stopped" });
  assert.deepEqual([whole.fault, whole.parts.second.fault], ["stopped", "stopped"]);
});
