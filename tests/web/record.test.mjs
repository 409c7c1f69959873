/** What the panel reads of a record: numbers by name, its parts, and steps that were evaluated after the run. */
import assert from "node:assert/strict";
import { test } from "node:test";

import * as gram from "../../web/lib/gram.mjs";
import { metric } from "../../web/lib/metrics.mjs";
import { captionOf } from "../../web/lib/page.mjs";
import { blame, partOf, partsOf, table, withSteps } from "../../web/lib/panel-record.mjs";
import { facts, status } from "../../web/lib/panel-words.mjs";
import { answers } from "../../web/lib/reading.mjs";
import { sceneOf } from "../../web/lib/scene.mjs";
import { speaker } from "../../web/lib/strings.mjs";
import { DARK } from "../../web/lib/theme.mjs";
import { viewOf } from "../../web/lib/views.mjs";
import { fixture } from "./records.mjs";

const t = speaker("en");

/** A record of plain vectors: u, a, delta, D-G, move, noise in three dimensions. */
function recordOf(vectors, extra = {}) {
  const names = Object.keys(vectors);
  const dot = (v, w) => v.reduce((sum, value, k) => sum + value * w[k], 0);
  const K = names.flatMap((first, i) => names.slice(i).map((second) => dot(vectors[first], vectors[second])));
  const step = { i: 0, n: 1, N: 3, vectors: names, gamma: 2, alpha: 1, sigma: 1, samples: [{ K, m: {} }], ...extra };
  return { one: gram.sampleOf(step, 0), step };
}

const SOME = { u: [3, 1, 0], a: [2, -1, 1], delta: [0.5, 0.5, -1], "D-G": [0, 0.1, 0], move: [1, 0.2, 0], noise: [0, 0, 2] };

test("vectors are found by name, in any order and beside unknown ones", () => {
  const shuffled = { gradient: [1, 1, 1], noise: SOME.noise, delta: SOME.delta, move: SOME.move, a: SOME.a, u: SOME.u, "D-G": SOME["D-G"] };
  const [first, second] = [recordOf(SOME).one, recordOf(shuffled).one];
  for (const v of Object.keys(SOME)) for (const w of Object.keys(SOME)) assert.equal(gram.dot(first, v, w), gram.dot(second, v, w));
  assert.ok(Number.isNaN(gram.dot(first, "gradient", "u")));
});

test("numbers of a sample are found by the names that its step gives", () => {
  const step = { ...recordOf(SOME).step, numbers: ["push", "M1"], samples: [{ K: [], m: { M9: 3 }, n: [5, null] }] };
  const one = gram.sampleOf(step, 0);
  assert.deepEqual(["push", "M9", "M1", "M7"].map((name) => metric(name, one)), [5, 3, NaN, NaN]);
});

test("what was chosen is told for each sample, and nothing while a run goes on", () => {
  const record = { sample: 4, choices: { samples: [1, 4], step: [2, 3], window: [[0, 1], null] }, steps: [{ i: 0 }, { i: 7 }] };
  assert.deepEqual([gram.defaultStep(record, 4), gram.choiceOf(record, 1, "window"), gram.choiceOf(record, 4, "window")], [3, [0, 1], null]);
  assert.deepEqual([gram.defaultStep(record, 2), gram.defaultStep({ steps: [] }, 0), gram.defaultSample(record)], [7, 0, 4]);
});

test("a missing sample, step or number is undefined and no exception", () => {
  const record = fixture("batch_200");
  assert.equal(gram.sampleOf(record.steps[0], 1), null);
  assert.ok(gram.sampleOf(record.steps[0], record.steps[0].subset.at(-1)));
  assert.equal(gram.stepOf(record, 99), null);
  assert.equal(gram.stepOf({}, 0), null);
  assert.ok(Number.isNaN(gram.dot(null, "u", "a")));
  const hole = fixture("hole");
  const kept = hole.steps.map((step) => step.i);
  assert.ok(kept.length < hole.n && kept.includes(0) && kept.includes(hole.n - 1));
  for (const i of kept) assert.equal(gram.stepOf(hole, i).i, i);
});

const record = fixture("euler");
const told = { STG: { evals: 1, scale: 0.5, size: 0.25 } };
const sound = { ...record, part: "audio", passes: { STG: 3 }, steps: record.steps.map((step) => ({ ...step, passes: told })) };

test("further passes stand behind the step's numbers and in the table", () => {
  const acting = { ...sound, steps: record.steps.map((step) => ({ ...step, passes: { STG: { ...told.STG, along: -0.5, across: 0.5 } } })) };
  assert.match(facts(acting, record.steps[0].i, 0, t), /STG \u00d7 0\.5 \(1 network run, like cfg \u22120\.5\)$/);
  assert.doesNotMatch(facts(record, record.steps[0].i, 0, t), /STG/);
  const [head, first] = table(acting, 0);
  const columns = ["evals STG", "scale STG", "pass STG", "along STG", "across STG"];
  assert.deepEqual(columns.map((name) => first[head.indexOf(name)]), [1, 0.5, 0.25, -0.5, 0.5]);
  assert.equal(table(record, 0)[0].includes("evals STG"), false);
});

test("live, every part gathers its own steps, whichever comes first", () => {
  const parts = ["video", "audio"];
  const message = (part, i) => ({ run: "r", part, parts, steps: [{ ...record.steps[i], i, n: 9, N: part.length }] });
  const order = [["audio", 0], ["video", 0], ["video", 1], ["audio", 1], ["audio", 0]];
  const live = order.reduce((run, [part, i]) => withSteps(run, message(part, i)), null);
  assert.deepEqual(partsOf(live), parts);
  for (const part of parts) {
    const run = partOf(live, part);
    assert.deepEqual([run.part, run.live, run.n, run.N, run.steps.map(({ i }) => i)], [part, true, 9, 5, [0, 1]]);
  }
  blame(live, { fault: "stopped" });
  assert.deepEqual(parts.map((part) => partOf(live, part).fault), ["stopped", "stopped"]);
  const alone = withSteps(null, { run: "r", steps: [record.steps[0]] });
  assert.deepEqual([partsOf(alone), alone.steps.length], [[], 1]);
});

/** A run at cfg 1 whose first and last step were evaluated without the condition after it. */
function looked(more) {
  const whole = fixture("gamma_1");
  const blank = whole.steps[0].samples.map(() => ({ K: Array(21).fill(null), m: {} }));
  const steps = whole.steps.map((step) => (step.i % 3 ? { ...step, stage: "cond_only", samples: blank } : { ...step, stage: "afterwards", evals: 1, ...more }));
  const afterwards = { steps: [0, 3], evaluations: 4, against: "the negative", drift: 0 };
  const notes = ["the prediction without the prompt was not made in 4 of 4 steps", "at 2 steps it was evaluated after the run, against the negative: 4 evaluations more"];
  return { ...whole, steps, afterwards, notes };
}

test("a step evaluated after the run is drawn like any with both predictions, and says what it is", () => {
  const run = looked();
  assert.equal(sceneOf(run, { step: 0, sample: 0 }).missing, undefined);
  assert.ok(sceneOf(run, { step: 1, sample: 0 }).missing);
  const said = (step) => status({ run, step, sample: 0, view: "whatif" }, t).join(" ");
  assert.match(said(0), /^At cfg 1 guidance is off\. The prediction without the prompt was made after the run/);
  assert.match(said(1), /only the prediction with the prompt was made/);
  assert.match(captionOf(run, 0, 0), /strength 0\.\d+ .* made after the run/);
  const [head, row] = table(run, 0);
  assert.equal(row[head.indexOf("stage")], "afterwards");
  assert.ok(Number.isFinite(row[head.findIndex((name) => name.startsWith("M2 "))]));
  const drawn = JSON.stringify(viewOf("matters").figure(run, { w: 700, h: 460, theme: DARK, step: 0, sample: 0 }));
  assert.match(drawn, /guidance pushed at no step/);
  assert.match(answers(run, 0).at(-1).words.join(" "), /At 2 of 4 steps .*At steps 1, 4 it was made after the run, against the negative \(4 evaluations more\)/);
});
