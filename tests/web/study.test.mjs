import assert from "node:assert/strict";
import test from "node:test";
import { at, escaped, grid, plot, positions, said, ticks, worded } from "../../web/lib/study.mjs";

const axes = [{ name: "cfg", values: [1, 2, 8] }, { name: "rule", values: ["cfg", "APG"] }, { name: "seed", values: [0, 1] }];
const rows = axes[0].values.flatMap((cfg) => axes[1].values.flatMap((rule) => [0, 1].map((seed) => ({ id: `${cfg}${rule}${seed}`, place: { cfg, rule, seed } }))));
const curve = {
  measure: "saturation", axis: "cfg", split: "rule",
  series: [{ name: "cfg", points: [{ x: 1, mean: 0.1, half: 0.05, n: 2 }, { x: 2, mean: 0.2, half: null, n: 1 }, { x: 8, mean: null, half: null, n: 0 }] }],
};

test("numbers lie by their size and words evenly", () => {
  assert.deepEqual(positions([1, 2, 5]), [0, 0.25, 1]);
  assert.deepEqual(positions(["a", "b", "c"]), [0, 0.5, 1]);
  assert.deepEqual(positions([3]), [0.5]);
});

test("ticks are round, few and within the range", () => {
  for (const [low, high] of [[0, 1], [0.031, 0.2], [-7, 12000], [3, 3], [1e-7, 4e-7]]) {
    const found = ticks(low, high);
    assert.ok(found.length >= 1 && found.length <= 6, `${low} ${high}: ${found}`);
  }
});

test("the grid finds the cell of every place and leaves gaps", () => {
  const found = grid({ axes, rows: rows.filter((row) => row.id !== "2APG1") }, "cfg", "rule", { seed: 1 });
  assert.deepEqual(found.cells.map((line) => line.map((row) => row?.id ?? null)), [["1cfg1", "2cfg1", "8cfg1"], ["1APG1", null, "8APG1"]]);
  assert.equal(at(rows, { cfg: 1 }).length, 4);
});

test("a plot draws means and intervals, leaves out what is unknown, and stays on its sheet", () => {
  const svg = plot(curve, "percent");
  assert.equal(svg.match(/<circle/g).length, 2);
  assert.ok(svg.includes("cfg 1, rule cfg: 10.0 % \u00b1 5.00 % (2 cells)"));
  for (const [, x, y] of svg.matchAll(/cx="([\d.]+)" cy="([\d.]+)"/g)) assert.ok(x > 0 && x < 380 && y > 0 && y < 220);
  assert.equal(plot({ ...curve, series: [{ name: "a", points: [{ x: 1, mean: null }] }] }, "number"), "");
});

test("words of a plan are text and never markup", () => {
  const hostile = { ...curve, split: null, series: [{ name: null, points: [{ x: "<img src=x>\"", mean: 1, half: null, n: 1 }] }] };
  assert.ok(!plot(hostile, "number").includes("<img"));
  assert.equal(escaped("<&\">"), "&#60;&#38;&#34;&#62;");
  assert.equal(worded(null, "number"), "\u2013");
  assert.equal(said(curve, curve.series[0], curve.series[0].points[1], "percent"), "cfg 2, rule cfg: 20.0 % (1 cell)");
});
