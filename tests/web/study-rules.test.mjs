import assert from "node:assert/strict";
import test from "node:test";
import { HEADS, extentOf, orderWords, planePlot, planeRows } from "../../web/lib/study-rules.mjs";

const near = (value) => [value, value * 0.9, value * 1.1];
const curve = (name, values, strengths, ratios) => ({ name, values, prompt_strength: strengths.map(near), denoising_ratio: ratios.map(near), variety: [], evaluations: [] });
const blank = { missing: "", cfg: null, ratio: null, departure: null, plain_cfg: null, variety: null, evaluations: null, explained: null, p: null, verdict: "" };
const rows = [
  { ...blank, name: "APG", cfg: [6.5, 5, 8], ratio: [1.1, 1, 1.2], departure: [Math.log(1.2), 0, Math.log(1.5)], plain_cfg: null, evaluations: 40, p: 0.01, verdict: "nearer" },
  { ...blank, name: "<b>", missing: "below", explained: [0.5, 0.25, null] },
];
const plane = {
  plain: curve("plain", [1, 4, 64], [1, 1.5, 9], [1, 1.1, 40]),
  rules: [curve("APG", [1, 4], [1, 1.4], [1, 1.05]), curve("<b>", [1, 4], [1, 1.2], [1, 0.9])],
  comparisons: [{ cfg: 4, prompt_strength: [1.5, 1.4, 1.6], plain: { ...blank, name: "plain", cfg: [4, 4, 4], ratio: [1.1, 1, 1.2], departure: [0, 0, 0.1] }, rules: rows, groups: [["APG"], ["plain"]] }],
};

test("the plane shows what rules reach, and marks the strength at which they are compared", () => {
  const { strengths, ratios } = extentOf(plane);
  assert.ok(strengths[1] < 2 && ratios[1] < 2); // not as far as cfg 64
  const svg = planePlot(plane, 0);
  assert.ok(svg.includes("as strong as plain cfg 4") && svg.includes("APG, cfg 4: prompt strength 1.4"));
  const points = [...svg.matchAll(/translate\(([-\d.]+) ([-\d.]+)\)/g)].map((one) => one.slice(1).map(Number));
  assert.equal(points.length, 6); // of plain cfg 64 there is none
  for (const [x, y] of points) assert.ok(x >= 52 && x <= 704 && y >= 26 && y <= 306);
  assert.ok(!svg.includes("<b>"));
});

test("a row has a word for every head, and one that is not reached says where it stays", () => {
  const [plain, apg, below] = planeRows(plane.comparisons[0]);
  assert.ok([plain, apg, below].every((row) => row.length === HEADS.length));
  assert.deepEqual([plain[1], plain[8]], ["4", ""]);
  assert.deepEqual([apg[1], apg[3], apg[4], apg[6], apg[8]], ["6.50 (5.00 to 8.00)", "1.20 (1.00 to 1.50)", "", "40", "nearer"]);
  assert.deepEqual([below[1], below[7]], ["stays below", "50 (25 to ?) %"]);
  assert.equal(orderWords(plane.comparisons[0]), "By departure, where told apart: APG < plain.");
});
