import assert from "node:assert/strict";
import test from "node:test";
import { swatch } from "../../web/lib/legend.mjs";
import { captionOf } from "../../web/lib/page.mjs";
import { answers } from "../../web/lib/reading.mjs";
import { DARK, LIGHT } from "../../web/lib/theme.mjs";
import { verdictOf } from "../../web/lib/verdict.mjs";
import { VIEWS } from "../../web/lib/views.mjs";
import { fixture, NAMES } from "./records.mjs";

const QUESTIONS = [/too high/, /else does it tell/, /dashed line/, /not measured/];
const sentence = (words) => ({ id: "x", facts: {}, en: words, zh: `\u4e2d ${words}` });
const REPORT = { v: 1, colour: "above", headline: sentence("cfg 8 is above."), why: [sentence("Plainly."), sentence("Do this.")], reasons: [sentence("Because."), sentence("Do this.")],
  suggested: 3, findings: [sentence("It acted."), sentence("It cost.")] };

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
  test(`four questions are answered in whole words: ${name}`, () => {
    const record = fixture(name);
    const found = answers({ ...record, report: REPORT }, record.sample ?? 0);
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

/** A run of six steps of one sample. */
const VECTORS = ["u", "a", "delta", "D-G", "move", "noise"];
const K = [1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1e-4, 0, 0, 0, 0, 0, 0, 1, 0, 0];
const [n, N, gamma] = [6, 4, 1.5];
const RUN = {
  v: 1, run: "r", n, N, batch: 1, sample: 0, sigma_data: 0.5, notes: [], labels: ["cat"], model: { name: "m" },
  steps: Array.from({ length: n }, (_, i) => ({
    i, n, N, space: "ve", vectors: VECTORS, sigma: 0.625 * 2 ** (2 - i), sigma_next: 0.625 * 2 ** (1 - i), alpha: 1, alpha_next: 1,
    gamma, kappa: 0.5, stage: "step", samples: [{ K, m: { M14: 0.01, M11: 0 } }],
  })),
};

test("the report is told as it was made, in the reader's language", () => {
  const found = verdictOf({ report: REPORT });
  assert.deepEqual([found.colour, found.sign, found.headline, found.suggested], ["above", "\u25b2", "cfg 8 is above.", 3]);
  assert.deepEqual([found.why, found.reasons, found.findings], [["Plainly.", "Do this."], ["Because."], ["It acted.", "It cost."]]);
  assert.equal(verdictOf({ report: REPORT }, "zh-CN").headline, "\u4e2d cfg 8 is above.");
  assert.equal(verdictOf({ report: REPORT }, "zh-TW").headline, "cfg 8 is above.");
  assert.equal(verdictOf({ report: REPORT }, "fr").headline, "cfg 8 is above.");
  const [high, else_] = answers({ ...RUN, report: REPORT }, 0);
  assert.deepEqual([high.verdict, ...high.words], ["cfg 8 is above.", "Plainly.", "Do this.", "Because."]);
  assert.deepEqual([else_.verdict, else_.words[0]], ["It acted.", "It cost."]);
});

test("a record without a report says so", () => {
  for (const record of [null, {}, { report: null }, { report: {} }]) assert.equal(verdictOf(record), null);
  assert.match(answers(RUN, 0)[0].verdict, /no report/);
});
