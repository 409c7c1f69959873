import assert from "node:assert/strict";
import test from "node:test";
import { inflateSync } from "node:zlib";
import { crc, pngWithSources, svgWithSources } from "../../web/lib/panel-files.mjs";
import { followed, locatorOf, nodeAt, pathOf, readersOf, scaleSource, writeScale } from "../../web/lib/panel-graph.mjs";
import { hint } from "../../web/lib/panel-hints.mjs";
import { lighting, stepUnder } from "../../web/lib/panel-linking.mjs";
import { csv, table, withSteps } from "../../web/lib/panel-record.mjs";
import { ticks } from "../../web/lib/panel-ticks.mjs";
import { facts, status } from "../../web/lib/panel-words.mjs";
import { EN, speaker, ZH } from "../../web/lib/strings.mjs";
import { DARK, LIGHT } from "../../web/lib/theme.mjs";
import { viewOf, VIEWS } from "../../web/lib/views.mjs";
import { called, fixture } from "./records.mjs";

const VECTORS = ["u", "a", "delta", "D-G", "move", "noise"];
const K = [4, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0];
const step = (i, more = {}) => ({ v: 1, run: "r", i, n: 5, sigma: 5 - i, sigma_next: 4 - i, alpha: 1, gamma: 3, kappa: 0.2,
  stage: "step", space: "ve", N: 4, vectors: VECTORS, numbers: ["M1", "M2"], samples: [{ K, m: { M12: 1e-7 }, n: [1, 0.5] }], ...more });
const t = speaker("en");
const said = (run, more) => status({ run, step: 0, sample: 0, view: "plane", ...more }, t).join(" ");

test("live steps are kept by number, whatever their order, and a new run starts afresh", () => {
  let run = withSteps(null, { run: "r", workflow_id: "w", steps: [step(0), step(3)] });
  run = withSteps(run, { run: "r", steps: [step(1), step(3, { gamma: 9 })] });
  assert.deepEqual(run.steps.map(({ i, gamma }) => [i, gamma]), [[0, 3], [1, 3], [3, 9]]);
  assert.deepEqual([run.n, run.N, run.space, run.batch], [5, 4, "ve", 1]);
  assert.equal(withSteps(run, { run: "other", steps: [] }).steps.length, 0);
});

test("the table holds one row a step, and what is unknown is an empty cell", () => {
  const run = withSteps(null, { run: "r", steps: [step(0), step(1, { kappa: null, stage: "a,b" })] });
  const rows = table(run, 0);
  assert.equal(rows[1][rows[0].indexOf("M2 difference size")], 0.5);
  assert.equal(rows[1][rows[0].indexOf("M12 identity residual")], 1e-7);
  const lines = csv(rows).split("\n");
  assert.equal(lines.length, 3);
  assert.match(lines[2], /^2,4,3,3,,,"a,b",/);
});

test("words say where the panel stands and what is missing", () => {
  const run = withSteps(null, { run: "r", steps: [step(0), step(2)] });
  assert.match(said(null), /No run yet/);
  assert.match(said(run), /step 3 of 5 \u00b7 live/);
  assert.match(said(run, { step: 1 }), /Step 2 is missing/);
  assert.match(said({ ...run, fault: "stopped" }), /Stopped at step 3 of 5/);
  const alone = { ...run, steps: [step(0, { stage: "cond_only", gamma: 1, samples: [{ K: K.map(() => null) }] })] };
  assert.match(said(alone), /only the prediction with the prompt was made: cfg is 1/);
  assert.match(said({ ...run, steps: [step(0, { kappa: null })] }, { view: "whatif" }), /does not show how far/);
  assert.match(said({ ...run, steps: [step(0, { evals: 4 })] }, { view: "whatif" }), /several times/);
  assert.match(said({ ...run, steps: [step(0, { samples: [{ K: K.map(() => null) }] })] }), /broke down/);
});

test("Simplified Chinese gets Chinese, and everyone else English: nobody gets a mix", () => {
  for (const locale of ["zh", "zh-CN", "zh-Hans-SG"]) assert.equal(speaker(locale)("plane"), ZH.plane);
  for (const locale of ["zh-TW", "zh-Hant", "zh-HK", "fr", "", undefined, "no locale"]) assert.equal(speaker(locale)("plane"), "Plane");
});

const graphOf = (nodes, links = {}) => {
  const graph = { nodes, links };
  for (const node of nodes) {
    node.graph = graph;
    node.inputs?.forEach(({ from }, slot) => from && Object.assign(links[from], { target_id: node.id, target_slot: slot }));
  }
  return graph;
};
const link = (from, slot = 0) => ({ origin_id: from, origin_slot: slot });
const cfg = () => ({ name: "cfg", value: 4 });
const input = (name, from = null, widget) => ({ name, from, ...(widget && { widget: { name } }) });

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

test("a linked scale leads to the one widget that sets it, through what is only drawn, and who shares it is known", () => {
  const number = (values, more) => ({ id: 3, inputs: [], widgets: values.map((value) => ({ name: value === "fixed" ? "control_after_generate" : "value", value })), ...more });
  const sampler = (id, from, name = "cfg") => ({ id, inputs: [input(name, from, true)], widgets: [cfg(), { name: "steps", value: 20 }] });
  const reroute = { id: 2, isVirtualNode: true, inputs: [input("", 2)] };
  const found = (source) => {
    const root = graphOf([source, reroute, sampler(4, 1), sampler(5, 3, "strength"), sampler(6, null)], { 1: link(2), 2: link(3), 3: link(3), 4: link(9) });
    const at = scaleSource(root, root.nodes[2], "4");
    return [at.widget === source.widgets[0], at.reason, readersOf(root, at).map(({ id }) => id)];
  };
  assert.deepEqual(found(number([8])), [true, undefined, ["4", "5"]]);
  assert.deepEqual(found(number([8, "fixed"])), [true, undefined, ["4", "5"]]);
  for (const values of [[8, 2], [8, "a + 1"]]) assert.deepEqual(found(number(values)), [false, "linked", []], "which number comes of it is not known");
  assert.deepEqual(found(number([8], { inputs: [input("a", 4)] })), [false, "linked", []], "it computes with what comes in");
});

test("a wire is followed to a number only where the job of the run had the run's number there", () => {
  const [number, sampler] = [{ id: 3, inputs: [], widgets: [{ name: "value", value: 9 }] }, { id: 4, inputs: [input("cfg", 1, true)], widgets: [cfg()] }];
  const root = graphOf([number, sampler], { 1: link(3) });
  const source = scaleSource(root, sampler, "4");
  const at = (prompt) => followed(root, source, prompt, 4).reason ?? null;
  const holding = (value) => ({ 3: { inputs: { value } } });
  assert.deepEqual([at(holding(4)), at(holding(16)), at({}), at(null)], [null, "linked", "linked", "linked"]);
  assert.equal(followed(root, { node: sampler, widget: {} }, null, 4).reason, undefined, "no wire");
});

test("a scale listed by a schedule names that schedule", () => {
  const schedule = { id: 3, type: "GGCFGSchedule", inputs: [], widgets: [{ name: "schedule", value: "list" }] };
  const rule = { id: 5, inputs: [input("guidance", 3)] };
  const sampler = { id: 4, inputs: [input("guidance", 2), input("cfg", null, true)], widgets: [cfg()] };
  const panel = { id: 6, inputs: [input("trace", 1)] };
  const root = graphOf([schedule, rule, sampler, panel], { 1: link(4, 2), 2: link(5), 3: link(3) });
  assert.deepEqual(scaleSource(root, panel), { node: schedule, reason: "listed" });
  schedule.widgets[0].value = "linear";
  assert.equal(scaleSource(root, panel).node, sampler);
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

test("of two nodes that are one subgraph, the one that leads to the run takes its scale, through every wall", () => {
  const walls = (id, subgraph, from) =>
    ({ id, subgraph, inputs: [{ name: "cfg", from, widget: { name: "scale" } }], widgets: [{ name: "scale" }] });
  const sampler = { id: 4, inputs: [input("cfg", 1, true)], widgets: [cfg()] };
  const inner = graphOf([sampler], { 1: link(-10) });
  const outer = graphOf([walls(7, inner, 1)], { 1: link(-10) });
  const [first, second] = [walls(12, outer), walls(13, outer)];
  const root = graphOf([first, second]);
  for (const [box, id] of [[first, "12:7:4"], [second, "13:7:4"]]) {
    assert.deepEqual(scaleSource(root, nodeAt(root, id), id), { node: box, widget: box.widgets[0] });
  }
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

test("the pointer finds steps, pictures and vectors", () => {
  const run = withSteps(null, { run: "r", steps: [step(0), step(1), step(2)] });
  const about = { view: "lengths", run, step: 0, sample: 0, t };
  const along = [{ op: "sheet", places: { top: 0, bottom: 9, at: [[0, 0], [1, 100], [2, 200]] } }];
  assert.equal(hint(along, { x: 110, y: 5 }, about).step, 1);
  assert.match(hint(along, { x: 110, y: 5 }, about).words, /step 2 .*\nstep length .*\nnoise length/);
  assert.equal(hint(along, { x: 150, y: 5 }, about), null);
  assert.equal(stepUnder(along, { x: 110, y: 80 }), null);
  const marks = [{ op: "line", name: "lens-delta", points: [[0, 0], [10, 0]] }, { x: 50, y: 50, w: 10, h: 10, step: 2 }];
  assert.match(hint(marks, { x: 5, y: 3 }, about).words, /difference that the prompt makes: 0.5 rms/);
  assert.equal(hint(marks, { x: 55, y: 55 }, about).step, 2);
  assert.equal(hint(marks, { x: 300, y: 300 }, about), null);
});

test("a step that is found in a view is lit there, and beside it in the strip", () => {
  const record = fixture("ddpm");
  const strip = ticks(record, { w: 300, h: 26, theme: DARK, step: 0, sample: 0, inset: 8 });
  for (const name of ["direction", "matters", "lengths"]) {
    const marks = viewOf(name).figure(record, { w: 500, h: 400, theme: DARK, step: 0 });
    const { at, top, bottom } = marks[0].places;
    const [i, x] = at.at(-2);
    assert.equal(stepUnder(marks, { x, y: (top + bottom) / 2 }), i);
    for (const drawn of [marks, strip]) {
      const [lit] = called(lighting(drawn, i, DARK), "lit");
      assert.equal(lit.points[0][0], drawn[0].places.at.find(([k]) => k === i)[1]);
    }
    assert.deepEqual(lighting(marks, 99, DARK), []);
  }
});

test("a tick stands for every step, as high as the root of its difference", () => {
  const run = withSteps(null, { run: "r", steps: [step(0), step(1), step(4)] });
  run.steps[1].samples[0].K = K.map((value, k) => (k === 11 ? 4 : value));
  const drawn = called(ticks(run, { w: 116, h: 28, theme: LIGHT, step: 4, sample: 0, inset: 8 }), "tick");
  const heights = drawn.map(({ points }) => points[2][1] - points[0][1]);
  assert.deepEqual(heights.map((high) => (high / heights[1]).toFixed(6)), ["0.707107", "1.000000", "0.707107"]);
  assert.deepEqual(drawn.map(({ points }) => (points[0][0] + points[1][0]) / 2), [8, 33, 108]);
  const long = withSteps(null, { run: "l", steps: Array.from({ length: 1000 }, (_, i) => step(i, { run: "l", n: 1000 })) });
  assert.ok(called(ticks(long, { w: 316, h: 28, theme: LIGHT, step: 999, sample: 0, inset: 8 }), "tick").length <= 101);
});

test("one line tells the numbers of a step", () => {
  const run = withSteps(null, { run: "r", steps: [step(0)] });
  assert.equal(facts(run, 0, 0, t), "step 1 \u00b7 noise level 5 \u2192 4 \u00b7 scale 3 \u00b7 guidance strength 1 \u00b7 the prompt changes 0.5 \u00b7 step length 0.5");
  assert.equal(facts(run, 3, 0, t), "");
});

test("every word exists in both languages, with the same values in it", () => {
  const names = (words) => [...words.matchAll(/\{\w+\}/g)].map(([name]) => name).sort();
  assert.deepEqual(Object.keys(ZH).sort(), Object.keys(EN).sort());
  for (const { name, says } of VIEWS.filter(({ zh }) => zh)) assert.notEqual(ZH[`${name}Says`], says, name);
  for (const key of Object.keys(EN)) assert.deepEqual(names(ZH[key]), names(EN[key]), key);
});

/** WCAG 2: (L1 + 0.05) / (L2 + 0.05) of relative luminances. */
function contrast(...colours) {
  const linear = (hex) => parseInt(hex, 16) / 255 <= 0.04045
    ? parseInt(hex, 16) / 255 / 12.92 : ((parseInt(hex, 16) / 255 + 0.055) / 1.055) ** 2.4;
  const [dark, light] = colours.map((colour) => {
    const [r, g, b] = colour.match(/[0-9a-f]{2}/gi).map(linear);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  }).sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

test("inks of the figures stand out from the paper by 4.5 to 1, light by 3 to 1", () => {
  for (const theme of [DARK, LIGHT]) {
    for (const role of ["ink", "muted", "u", "c", "delta", "noise"]) assert.ok(contrast(theme[role], theme.paper) >= 4.5, role);
    assert.ok(contrast(theme.lit, theme.paper) >= 3);
  }
});
