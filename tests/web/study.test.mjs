import assert from "node:assert/strict";
import test from "node:test";
import { at, grid, titled } from "../../web/lib/study.mjs";
import { escapeText, plot, pointWords, valueWords } from "../../web/lib/study-plot.mjs";
import { metricsOf, plotRuns, pointsOf, scaleOf } from "../../web/lib/study-runs.mjs";
import { metric } from "../../web/lib/metrics.mjs";
import { sampleOf } from "../../web/lib/gram.mjs";
import { fixture, NAMES } from "./records.mjs";

const axes = [{ name: "cfg", values: [1, 2, 8] }, { name: "rule", values: ["cfg", "APG"] }, { name: "seed", values: [0, 1] }];
const rows = axes[0].values.flatMap((cfg) => axes[1].values.flatMap((rule) => [0, 1].map((seed) => ({ id: `${cfg}${rule}${seed}`, place: { cfg, rule, seed } }))));
const curve = {
  measure: "saturation", axis: "cfg", split: "rule",
  series: [{ name: "cfg", points: [{ x: 1, mean: 0.1, low: 0.05, high: 0.16, n: 2 }, { x: 2, mean: 0.2, low: null, high: null, n: 1 }, { x: 8, mean: null, low: null, high: null, n: 0 }] }],
};

test("an interval is drawn from its lower to its upper end, inside the frame, and ticks have few digits", () => {
  const points = [{ x: 1, mean: 0.04, low: 0.002, high: 0.18, n: 3 }, { x: 2, mean: 0.06, low: 0.05, high: 0.07, n: 3 }];
  const curve = { measure: "m", axis: "cfg", split: null, series: [{ name: null, points }] };
  const svg = plot(curve, "percent");
  const words = [...svg.matchAll(/text-anchor="end">([^<]+)/g)].map((one) => one[1]);
  assert.deepEqual(words, ["5 %", "10 %", "15 %"]);
  const bars = [...svg.matchAll(/<path d="M[\d.]+ ([\d.]+)V([\d.]+)"/g)].map((one) => one.slice(1).map(Number));
  assert.deepEqual(bars[0], [190, 12]); // the frame: the least and the largest end of all
  assert.ok(bars[1][0] < 190 && bars[1][1] > 12 && bars[1][0] > bars[1][1]);
});

test("the grid finds the cell of every place and leaves gaps", () => {
  const found = grid({ axes, rows: rows.filter((row) => row.id !== "2APG1") }, "cfg", "rule", { seed: 1 });
  assert.deepEqual(found.cells.map((line) => line.map((row) => row?.id ?? null)), [["1cfg1", "2cfg1", "8cfg1"], ["1APG1", null, "8APG1"]]);
  assert.equal(at(rows, { cfg: 1 }).length, 4);
});

test("a plot draws means and intervals, leaves out what is unknown, and stays on its sheet", () => {
  const svg = plot(curve, "percent");
  assert.equal(svg.match(/<circle/g).length, 2);
  assert.ok(svg.includes("cfg 1, rule cfg: 10.0 % (5.00 % to 16.0 %), 2 cells"));
  for (const [, x, y] of svg.matchAll(/cx="([\d.]+)" cy="([\d.]+)"/g)) assert.ok(x > 0 && x < 380 && y > 0 && y < 220);
  assert.equal(plot({ ...curve, series: [{ name: "a", points: [{ x: 1, mean: null }] }] }, "number"), "");
});

test("words of a plan are text and never markup", () => {
  const hostile = { ...curve, split: null, series: [{ name: null, points: [{ x: "<img src=x>\"", mean: 1, low: null, high: null, n: 1 }] }] };
  assert.ok(!plot(hostile, "number").includes("<img"));
  assert.equal(escapeText("<&\">"), "&#60;&#38;&#34;&#62;");
  assert.equal(valueWords(null, "number"), "\u2013");
  assert.equal(pointWords(curve, curve.series[0], curve.series[0].points[1], "percent"), "cfg 2, rule cfg: 20.0 %, 1 cell");
});

const record = fixture(NAMES[0]);
const runs = Object.fromEntries(rows.map((row) => [row.id, { ...record, sample: 0 }]));
const asked = { name: "M1", along: "step", axis: axes[0], words: titled({ axes }), w: 900 };

test("a run's line goes through the metric of every step", () => {
  const points = pointsOf(runs[rows[0].id], "M1", "step");
  assert.deepEqual(points, record.steps.map((step) => ({ x: step.i + 1, y: metric("M1", sampleOf(step, 0), step, record) })));
  const levels = pointsOf(runs[rows[0].id], "M1", "level").map((p) => p.x);
  assert.deepEqual(levels, record.steps.filter((step) => step.sigma > 0).map((step) => Math.log(step.sigma)));
  assert.ok(metricsOf(runs).some(([name, title]) => name === "M1" && title === "Guidance strength (M1)"));
});

test("the plot of runs has a line for each cell, in the colour of its value, inside its frame", () => {
  const shown = rows.slice(0, 5);
  for (const along of ["step", "level"]) {
    const svg = plotRuns(runs, shown, { ...asked, along });
    assert.deepEqual([...svg.matchAll(/data-id="([^"]*)"/g)].map(([, id]) => id), shown.map((row) => row.id));
    assert.ok(svg.includes(`<title>cfg 1 \u00b7 rule cfg \u00b7 seed 0</title>`));
    for (const [, path] of svg.matchAll(/class="seen" d="([^"]*)"/g)) {
      for (const [, x, y] of path.matchAll(/([\d.-]+) ([\d.-]+)/g)) assert.ok(x >= 0 && x <= 900 && y >= 0 && y <= 340, `${x} ${y}`);
    }
    assert.doesNotMatch(svg, /NaN|undefined|Infinity/);
  }
  assert.equal(plotRuns(runs, shown, { ...asked, name: "M99" }), "");
  assert.equal(plotRuns({}, shown, asked), "");
});

test("a step without a value is a gap and no zero", () => {
  const bare = { ...record, steps: record.steps.map((step, i) => (i === 3 ? { ...step, samples: [] } : step)) };
  const [row] = rows;
  const path = plotRuns({ [row.id]: bare }, [row], asked).match(/class="seen" d="([^"]*)"/)[1];
  assert.equal(path.split("M").length - 1, 2);
});

test("values that are far apart are drawn by their logarithm, zeros on a row of their own, negative ones never", () => {
  const far = scaleOf([0, 0.001, 1], 100, 0);
  assert.deepEqual([far.log, far.at(0), far.marks[0], far.at(1)], [true, 100, 0, 0]);
  assert.ok(Math.abs(far.at(0.1) - 82 / 3) < 1e-9 && far.at(0.001) === 82);
  assert.equal(scaleOf([-0.001, 1], 100, 0).log, false);
  assert.equal(scaleOf([0.5, 1], 100, 0).log, false);
  assert.equal(scaleOf([0, 0], 100, 0).at(0), 100);
});
