/** Python and JavaScript read the same records and must find the same numbers. */
import assert from "node:assert/strict";
import { test } from "node:test";

import * as gram from "../../web/lib/gram.mjs";
import { metricsOf } from "../../web/lib/metrics.mjs";
import { fixture, NAMES } from "./records.mjs";

const CLOSE = 1e-6;

function same(found, expected, scale, words) {
  if (expected === null) return assert.ok(!Number.isFinite(found), `${words}: ${found} should be undefined`);
  return assert.ok(Math.abs(found - expected) <= CLOSE * Math.max(scale, Math.abs(expected)), `${words}: ${found} is not ${expected}`);
}

for (const name of NAMES) {
  test(`metrics and coordinates of ${name} are those of Python`, () => {
    const { record, expected } = fixture(name);
    for (const { i, sample, metrics, points } of expected) {
      const step = gram.stepOf(record, i);
      const one = gram.sampleOf(step, sample);
      const found = metricsOf(one, step, record);
      const stored = ["M9", "M9a", "M10", "M10c", "M11", "M11s", "M12", "M13", "M14", "M19", "M19a"];
      assert.deepEqual(Object.keys(metrics), Object.keys(found).filter((metric) => !stored.includes(metric)));
      for (const [metric, value] of Object.entries(metrics)) same(found[metric], value, 1e-3, `${name} step ${i} ${metric}`);
      const plane = gram.frame(one, step.gamma);
      const size = gram.length(one, { a: 1 }) || 1;
      for (const [point, place] of Object.entries(points)) {
        place.forEach((value, k) => same(plane.points[point][k], value, size, `${name} step ${i} ${point}`));
      }
    }
  });
}

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

test("another scale gives the metrics and the next state of that scale's vectors", () => {
  for (const gamma of [-1, 0, 1, 3.5, 30]) {
    const guided = SOME.u.map((value, k) => value + gamma * SOME.delta[k] + SOME["D-G"][k]);
    const x = SOME.u.map((value, k) => value - SOME.a[k]);
    const { one, step } = recordOf(SOME);
    const norm = (v) => Math.hypot(...v);
    const minus = (v, w) => v.map((value, k) => value - w[k]);
    const found = metricsOf(one, step, { sigma_data: 0.5 }, gamma);
    const near = (value, expected) => assert.ok(Math.abs(value - expected) < 1e-9 * Math.max(1, expected), `${value} ${expected}`);
    near(found.M1, norm(minus(guided, SOME.u)) / norm(SOME.a));
    near(found.M3, norm(guided) / Math.sqrt(3) / 0.5);
    near(found.M16, norm(SOME.delta) / norm(minus(guided, x)));
    const kappa = 0.3;
    const next = x.map((value, k) => value + SOME.move[k] + SOME.noise[k] + kappa * (gamma - 2) * SOME.delta[k]);
    near(gram.length(one, gram.nextState(2, kappa, gamma)), norm(next));
  }
});

test("distances in the plane are distances in space", () => {
  const { one } = recordOf(SOME);
  const { points } = gram.frame(one, 2);
  for (const [p, q] of [["x", "u"], ["x", "c"], ["u", "c"], ["x", "G"], ["u", "G"], ["c", "G"]]) {
    const there = gram.length(one, gram.added(gram.named(p, 2), gram.named(q, 2), -1));
    const here = Math.hypot(points[p][0] - points[q][0], points[p][1] - points[q][1]);
    assert.ok(Math.abs(there - here) < 1e-9, `${p}${q}`);
  }
});

test("a missing sample, step or number is undefined and no exception", () => {
  const { record } = fixture("batch_200");
  assert.equal(gram.sampleOf(record.steps[0], 1), null);
  assert.ok(gram.sampleOf(record.steps[0], record.steps[0].subset.at(-1)));
  assert.equal(gram.stepOf(record, 99), null);
  assert.equal(gram.stepOf({}, 0), null);
  assert.ok(Number.isNaN(gram.dot(null, "u", "a")));
  const { record: hole } = fixture("hole");
  const kept = hole.steps.map((step) => step.i);
  assert.ok(kept.length < hole.n && kept.includes(0) && kept.includes(hole.n - 1));
  for (const i of kept) assert.equal(gram.stepOf(hole, i).i, i);
});
