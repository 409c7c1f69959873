/** What a record says of a sample is looked up by name; another scale is reckoned from inner products. */
import assert from "node:assert/strict";
import { test } from "node:test";

import * as gram from "../../web/lib/gram.mjs";
import { metric } from "../../web/lib/metrics.mjs";
import { fixture } from "./records.mjs";

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
