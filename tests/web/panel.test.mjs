import assert from "node:assert/strict";
import test from "node:test";
import { inflateSync } from "node:zlib";
import { crc, pngWithSources, svgWithSources } from "../../web/lib/panel-files.mjs";
import { locatorOf, nodeAt, pathOf, scaleSource, writeScale } from "../../web/lib/panel-graph.mjs";
import { hint, hintAlong, stepPlaces } from "../../web/lib/panel-hints.mjs";
import { nearestSheet, rowOf } from "../../web/lib/panel-pictures.mjs";
import { csv, samplesOf, table, withSteps } from "../../web/lib/panel-record.mjs";
import { status } from "../../web/lib/panel-words.mjs";
import { speaker } from "../../web/lib/strings.mjs";

const VECTORS = ["u", "a", "delta", "D-G", "move", "noise"];
const K = [4, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0];
const step = (i, more = {}) => ({ v: 1, run: "r", i, n: 5, sigma: 5 - i, sigma_next: 4 - i, alpha: 1, gamma: 3, kappa: 0.2,
  stage: "step", space: "ve", N: 4, vectors: VECTORS, samples: [{ K, m: { M12: 1e-7 } }], ...more });
const t = speaker("en");
const said = (run, more) => status({ run, step: 0, sample: 0, view: "plane", ...more }, t).join(" ");

test("live steps are kept by number, whatever their order, and a new run starts afresh", () => {
  let run = withSteps(null, { run: "r", workflow_id: "w", steps: [step(0), step(3)] });
  run = withSteps(run, { run: "r", steps: [step(1), step(3, { gamma: 9 })] });
  assert.deepEqual(run.steps.map(({ i, gamma }) => [i, gamma]), [[0, 3], [1, 3], [3, 9]]);
  assert.deepEqual([run.n, run.N, run.space, run.batch], [5, 4, "ve", 1]);
  assert.equal(withSteps(run, { run: "other", steps: [] }).steps.length, 0);
});

test("a subset of a large batch names its samples", () => {
  const run = withSteps(null, { run: "r", steps: [step(0, { subset: [0, 39], samples: [{ K }, { K }] })] });
  assert.deepEqual([samplesOf(run), run.batch], [[0, 39], 40]);
});

test("the table holds one row a step, and what is unknown is an empty cell", () => {
  const run = withSteps(null, { run: "r", steps: [step(0), step(1, { kappa: null, stage: "a,b" })] });
  const rows = table(run, 0);
  assert.equal(rows[1][rows[0].indexOf("M2 difference size")], 0.5);
  assert.equal(rows[1][rows[0].indexOf("M12 identity residual")], 1e-7);
  const lines = csv(rows).split("\n");
  assert.equal(lines.length, 3);
  assert.match(lines[2], /^1,4,3,3,,,"a,b",/);
});

test("words say where the panel stands and what is missing", () => {
  const run = withSteps(null, { run: "r", steps: [step(0), step(2)] });
  assert.match(said(null), /No run yet/);
  assert.match(said(run), /step 3 of 5 \u00b7 live/);
  assert.match(said(run, { step: 1 }), /Step 1 did not arrive/);
  assert.match(said({ ...run, fault: "stopped" }), /Stopped at step 3 of 5/);
  assert.match(said({ ...run, fault: "leftOut" }), /not part of the last run/);
  assert.match(said({ ...run, live: false, steps: [] }), /took no step/);
  const alone = { ...run, steps: [step(0, { stage: "cond_only", gamma: 1, samples: [{ K: K.map(() => null) }] })] };
  assert.match(said(alone), /uncond was not evaluated: \u03b3 = 1/);
  assert.match(said({ ...run, steps: [step(0, { kappa: null })] }, { view: "whatif" }), /no fixed share/);
  assert.match(said({ ...run, steps: [step(0, { samples: [{ K: K.map(() => null) }] })] }), /not finite/);
  assert.match(said(run, { trouble: { key: "newer", v: 7 } }), /version 7/);
});

test("Chinese falls back to English word by word", () => {
  assert.notEqual(speaker("zh-TW")("plane"), "Plane");
  assert.equal(speaker("zh")("csv"), "CSV");
  assert.equal(speaker("fr")("plane"), "Plane");
});

const graphOf = (nodes, links = {}) => {
  const graph = { nodes, links };
  for (const node of nodes) node.graph = graph;
  return graph;
};
const link = (from, slot = 0) => ({ origin_id: from, origin_slot: slot });
const cfg = () => ({ name: "cfg", value: 4 });
const input = (name, id = null, widget) => ({ name, link: id, ...(widget && { widget: { name } }) });

test("the scale is found through nodes that pass the trace on, and written as a user would", () => {
  const sampler = { id: 4, title: "S", inputs: [input("cfg", null, true)], widgets: [cfg()] };
  const pass = { id: 5, inputs: [input("trace", 2)] };
  const panel = { id: 6, inputs: [input("trace", 1)] };
  const root = graphOf([sampler, pass, panel], { 1: link("5"), 2: link(4, 2) });
  const source = scaleSource(root, panel);
  assert.equal(source.node, sampler);
  let heard = null;
  source.widget.callback = (value) => (heard = value);
  writeScale(source, 6.5);
  assert.deepEqual([source.widget.value, heard], [6.5, 6.5]);
  const alone = { id: 6, inputs: [input("trace")] };
  assert.equal(scaleSource(graphOf([alone]), alone), null);
});

test("a linked scale names its source", () => {
  const number = { id: 3, inputs: [] };
  const sampler = { id: 4, inputs: [input("cfg", 2, true)], widgets: [cfg()] };
  const panel = { id: 6, inputs: [input("trace", 1)] };
  const root = graphOf([number, sampler, panel], { 1: link(4, 2), 2: link(3) });
  assert.deepEqual(scaleSource(root, panel), { node: number, reason: "linked" });
});

test("a scale promoted from a subgraph names the subgraph's node", () => {
  const sampler = { id: 4, inputs: [input("cfg", 2, true)], widgets: [cfg()] };
  const panel = { id: 6, inputs: [input("trace", 1)] };
  const inner = graphOf([sampler, panel], { 1: link(4, 2), 2: link(-10, 0) });
  inner.id = "inner";
  const box = { id: 12, inputs: [input("cfg")], subgraph: inner };
  const root = graphOf([box]);
  assert.deepEqual(scaleSource(root, panel), { node: box, reason: "promoted" });
  assert.equal(nodeAt(root, "12:6"), panel);
  assert.equal(pathOf(root, panel), "12:6");
  assert.equal(locatorOf(root, panel), "inner:6");
  assert.equal(locatorOf(root, box), "12");
  assert.equal(pathOf(root, {}), null);
});

test("an SVG and a PNG carry the workflow in ASCII", () => {
  const sources = { workflow: { title: "\u03b3 ]]> x" }, prompt: {} };
  const svg = svgWithSources('<svg width="1"><g/></svg>', sources);
  const data = svg.match(/<!\[CDATA\[(.*)\]\]><\/metadata>/)[1];
  assert.ok(!data.includes("]]>"));
  assert.deepEqual(JSON.parse(data), sources);
  const png = Buffer.from(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==", "base64");
  const whole = Buffer.from(pngWithSources(new Uint8Array(png), sources));
  const chunks = [];
  for (let at = 8; at < whole.length; at += whole.readUInt32BE(at) + 12) {
    const size = whole.readUInt32BE(at);
    const body = whole.subarray(at + 4, at + 8 + size);
    assert.equal(whole.readUInt32BE(at + 8 + size), crc(body));
    chunks.push([body.subarray(0, 4).toString(), body.subarray(4)]);
  }
  assert.deepEqual(chunks.map(([kind]) => kind), ["IHDR", "tEXt", "tEXt", "IDAT", "IEND"]);
  assert.deepEqual(JSON.parse(chunks[1][1].toString().split("\0")[1]), sources.workflow);
  assert.ok(inflateSync(chunks[3][1]).length > 0);
  assert.deepEqual(pngWithSources(new Uint8Array(png), { workflow: undefined }), new Uint8Array(png));
});

test("the nearest sheet and row are shown", () => {
  const pictures = { steps: [{ i: 0 }, { i: 4 }, { i: 9 }], samples: [0, 5, 11] };
  assert.equal(nearestSheet(pictures, 6).i, 4);
  assert.equal(rowOf(pictures, 9), 2);
  assert.equal(nearestSheet(undefined, 3), null);
});

test("the pointer finds steps along a run, boxes and vectors", () => {
  const run = withSteps(null, { run: "r", steps: [step(0), step(1), step(2)] });
  const about = { run, step: 0, sample: 0, t };
  const places = stepPlaces("lengths", run, (i) => [{ op: "line", name: "cursor", points: [[100 * i, 0], [100 * i, 9]] }]);
  assert.deepEqual(places.map(({ x }) => x), [0, 100, 200]);
  assert.equal(hintAlong("lengths", places, 110, about).step, 1);
  assert.equal(hintAlong("lengths", places, 150, about), null);
  assert.deepEqual(stepPlaces("plane", run, () => []), []);
  const marks = [{ op: "line", name: "lens-delta", points: [[0, 0], [10, 0]] }, { x: 50, y: 50, w: 10, h: 10, step: 2 }];
  assert.match(hint(marks, { x: 5, y: 3 }, about).words, /delta: 0.5 rms/);
  assert.equal(hint(marks, { x: 55, y: 55 }, about).step, 2);
  assert.equal(hint(marks, { x: 300, y: 300 }, about), null);
});
