import assert from "node:assert/strict";
import test from "node:test";
import { proxies, runOf } from "../../web/lib/curves.mjs";
import { swatch } from "../../web/lib/legend.mjs";
import { metric } from "../../web/lib/metrics.mjs";
import { sampleOf, stepOf } from "../../web/lib/gram.mjs";
import { thinned } from "../../web/lib/panel-pictures.mjs";
import { captionOf } from "../../web/lib/page.mjs";
import { answers, cheapSteps, idleEnd, over, starStep } from "../../web/lib/reading.mjs";
import { DARK, LIGHT } from "../../web/lib/theme.mjs";
import { VIEWS } from "../../web/lib/views.mjs";
import { number } from "../../web/lib/words.mjs";
import { fixture, NAMES } from "./records.mjs";

const QUESTIONS = [/too high/, /guidance act/, /dashed line/, /could be skipped/, /not measured/];

test("every view of the panel has its legend, and every mark is drawn in both themes", () => {
  assert.equal(new Set(VIEWS.map(({ name }) => name)).size, VIEWS.length);
  for (const { says, marks } of VIEWS) {
    assert.ok(says.length > 40);
    for (const [draw, words] of marks) {
      assert.ok(words);
      for (const theme of [LIGHT, DARK]) assert.match(swatch(draw, theme), /^<svg.*<(polyline|polygon|circle).*<\/svg>$/);
    }
  }
});

for (const name of NAMES) {
  test(`five questions are answered in whole words: ${name}`, () => {
    const { record } = fixture(name);
    const found = answers(record, record.sample ?? 0);
    assert.equal(found.length, QUESTIONS.length);
    found.forEach(({ question, verdict, words }, k) => {
      assert.match(question, QUESTIONS[k]);
      for (const sentence of [verdict, ...words]) {
        assert.match(sentence, /[.?]$/);
        assert.doesNotMatch(sentence, /NaN|undefined|null|Infinity|\[object/);
      }
    });
    for (const { i } of record.steps) assert.doesNotMatch(captionOf(record, i, record.sample ?? 0), /NaN|undefined|null/);
  });
}

/** A run of steps whose only unknowns are what the test sets. u is as long as clean data times `length`. */
const VECTORS = ["u", "a", "delta", "D-G", "move", "noise"];
const triangle = ({ uu, aa, dd, ad }) => [uu, 0, 0, 0, 0, 0, aa, ad, 0, 0, 0, dd, 0, 0, 0, 0, 0, 0, 1, 0, 0];
const madeUp = ({ length = 1, tug = 0, kappa = 0.5, memory = 0.01, gamma = 1.5, n = 6, more = {} }) => ({
  v: 1, run: "r", n, N: 4, batch: 1, sample: 0, sigma_data: 0.5, notes: [], labels: ["cat"], model: { name: "m" },
  steps: Array.from({ length: n }, (_, i) => ({
    i, n, N: 4, space: "ve", vectors: VECTORS, sigma: 0.625 * 2 ** (2 - i), sigma_next: 0.625 * 2 ** (1 - i), alpha: 1, alpha_next: 1,
    gamma, kappa, stage: "step",
    samples: [{ K: triangle({ uu: 4 * (0.5 * length) ** 2, aa: 1, dd: 1e-4, ad: tug * 1e-2 }), m: { M14: memory, M11: 0 } }],
    ...more,
  })),
});
const verdict = (record, k) => answers(record, 0)[k].verdict;

test("gamma is called too high when the prediction is too long or the pull back too strong", () => {
  assert.equal(starStep(madeUp({})).i, 2);
  assert.match(verdict(madeUp({}), 0), /No sign/);
  assert.match(verdict(madeUp({ length: 1.1 }), 0), /Close to the limit/);
  assert.match(verdict(madeUp({ length: 1.2 }), 0), /Probably yes/);
  assert.match(verdict(madeUp({ tug: -0.3 }), 0), /Probably yes/);
  assert.match(verdict({ ...madeUp({}), sigma_data: null }, 0), /cannot tell/);
  assert.match(verdict(madeUp({ more: { stage: "cond_only", samples: [{ K: Array(21).fill(null), m: {} }] } }), 0), /off/);
});

test("the means that are quoted are means of the metric over the samples", () => {
  const { record } = fixture("ddpm");
  const step = record.steps[3];
  const values = step.samples.map((_, b) => metric("M6t", sampleOf(step, b), step, record));
  const found = over(record, step, "M6t");
  assert.ok(Math.abs(found.mean - values.reduce((sum, value) => sum + value, 0) / values.length) < 1e-12);
  assert.deepEqual([found.low, found.high], [Math.min(...values), Math.max(...values)]);
});

test("where the sampler follows the prediction by an unknown share, nothing is claimed about steps", () => {
  assert.match(verdict(madeUp({ kappa: null }), 1), /cannot tell/);
  assert.match(verdict(madeUp({ kappa: null }), 3), /cannot tell/);
  const once = madeUp({ kappa: null });
  once.steps.at(-1).kappa = 1; // a last step to sigma 0 always tells
  assert.match(verdict(once, 1), /cannot tell/);
  assert.match(verdict(madeUp({}), 1), /^In steps? \d/);
  assert.match(verdict(madeUp({ gamma: 1 }), 1), /Nowhere beyond/);
});

test("no pass is called free twice in a row, at the start, or where the next difference cannot be predicted", () => {
  const cheap = cheapSteps(madeUp({ memory: 0.001 }), 0).map(({ i }) => i);
  assert.deepEqual(cheap, [2, 4]);
  assert.match(verdict(madeUp({ memory: 0.001 }), 3), /some passes could be saved/);
  assert.match(verdict(madeUp({ memory: 0.5 }), 3), /none can be skipped/);
  assert.deepEqual(cheapSteps(madeUp({ memory: 0.5 }), 0), []);
  assert.deepEqual(cheapSteps(madeUp({ memory: null }), 0), []);
});

test("guidance can end where the last steps hold at most 2 % of the push", () => {
  const rows = [0.5, 0.47, 0.02, 0.006, 0.004].map((push, i) => ({ i, push, contracted: push, step: { stage: "step" } }));
  const { from, count, share } = idleEnd(rows);
  assert.deepEqual([from, count, number(share)], [3, 2, "0.01"]);
  assert.equal(idleEnd(rows.slice(0, 2)), null);
  const late = rows.map((row) => ({ ...row, contracted: 0.2 })); // pushed little, but nothing takes it back
  assert.equal(idleEnd(late), null);
  assert.equal(idleEnd(rows.map((row) => ({ ...row, contracted: NaN }))).from, 3);
});

test("the step that matters most is the one whose push later steps leave standing", () => {
  const { record } = fixture("euler");
  const { rows } = proxies(record, runOf(record, { sample: 0 }));
  const most = rows.reduce((best, row) => (row.contracted > best.contracted ? row : best));
  assert.match(answers(record, 0)[3].verdict, new RegExp(`^Step ${most.i + 1} matters most`));
  assert.match(answers(record, 0)[3].words.join(" "), /Without guidance from step \d+ on about [\d.]+ % of the push/);
});

test("the caption names model, sampler, levels, scale, strength, residual and sample", () => {
  const record = { ...madeUp({}), sampler: "euler" };
  const step = stepOf(record, 2);
  const strength = number(metric("M1", sampleOf(step, 0), step, record));
  assert.match(captionOf(record, 2, 0), new RegExp(`m \u00b7 euler \u00b7 step 3 of 6 .* \u03c3 0.625 \u2192 0.313 \u00b7 \u03b3 1.5 \u00b7 strength ${strength} \u00b7 residual out of the plane 0 \u00b7 sample 0, \u201ccat\u201d`));
});

test("a film with too little room leaves out steps evenly and keeps both ends", () => {
  const sheets = Array.from({ length: 20 }, (_, i) => ({ i }));
  assert.deepEqual(thinned(sheets, 5).map(({ i }) => i), [0, 5, 10, 14, 19]);
  assert.equal(thinned(sheets, 20), sheets);
  assert.equal(thinned(sheets, -3).length, 2);
  assert.deepEqual(thinned(sheets, 5, sheets[8]).map(({ i }) => i), [0, 5, 8, 14, 19]);
});
