import assert from "node:assert/strict";
import test from "node:test";
import { canKeep, keep } from "../../web/lib/keep.mjs";
import { scaleSource } from "../../web/lib/panel-graph.mjs";
import { speaker } from "../../web/lib/strings.mjs";
import { endedSince, flagOf, hasSampler, hasTwin, idOf, isOf, joined, latest, nameOf, series, setFlag, slotOf, stateOf } from "../../web/lib/tab-runs.mjs";
import { ticks } from "../../web/lib/panel-ticks.mjs";
import { viewOf } from "../../web/lib/views.mjs";
import { DARK } from "../../web/lib/theme.mjs";
import { called, fixture } from "./records.mjs";

const t = speaker("en");
const root = (...ids) => ({ id: "w", extra: { guidance_geometry: { record: true, key: "k" } }, nodes: ids.map((id) => ({ id })) });
const run = (node, more = {}) => ({ run: `${node}-${more.prompt_id ?? "j"}`, workflow_id: "w", key: "k", node, prompt_id: "j",
  title: `T${node}`, list_index: 0, index: 0, steps: 4, ended: "", when: 0, ...more });

test("a run belongs to the workflow with its id and its key, as long as its node is there", () => {
  assert.ok(isOf(root(4), run("4")));
  assert.ok(!isOf(root(4), run("4", { key: "other" })));
  assert.ok(!isOf(root(4), run("4", { workflow_id: "v" })));
  assert.ok(!isOf(root(5), run("4")));
  assert.ok(isOf({ id: "w", nodes: [{ id: 4 }] }, run("4", { key: null })));
  assert.ok(!isOf({ id: "w", nodes: [{ id: 4 }] }, run("4")));
});

test("a copy that keeps id and key is told from its original as soon as both are open", () => {
  const open = (key, id = "w") => ({ activeState: { id, extra: { guidance_geometry: { key } } } });
  const [copy, original, other] = [open("k"), open("k"), open("z")];
  assert.ok(hasTwin(root(4), copy, [original, copy]));
  assert.ok(!hasTwin(root(4), copy, [other, copy, open("k", "v")]));
  assert.ok(!hasTwin(root(4), other, [copy, other])); // the editor has not turned to it yet
  assert.ok(!hasTwin({ id: "w" }, open(undefined), [open(undefined)]));
});

test("the switch leaves the rest of the workflow's extra as it is", () => {
  const graph = { extra: { ds: 1, guidance_geometry: { key: "k" } } };
  setFlag(graph, { record: true });
  assert.deepEqual(graph.extra, { ds: 1, guidance_geometry: { key: "k", record: true } });
  assert.deepEqual(flagOf({}), {});
  assert.deepEqual(flagOf(null), {});
});

test("of every node the runs of its last job are offered, cached ones from earlier", () => {
  const runs = [run("4"), run("5"), run("5", { prompt_id: "k" }), run("5", { prompt_id: "k", index: 1 }), run("9")];
  assert.deepEqual(latest(runs, root(4, 5)).map((one) => [one.node, one.prompt_id, one.index]), [["4", "j", 0], ["5", "k", 0], ["5", "k", 1]]);
});

test("a run that ends while the server answers is not lost", () => {
  const [old, late] = [run("4"), run("4", { prompt_id: "k" })];
  assert.deepEqual(endedSince([old], [old, late], [old]), [late]);
  assert.deepEqual(endedSince([old], [old, late], [old, late]), []);
  assert.deepEqual(endedSince([old], [old], []), []);
});

test("samplers in series are found along the wires of the prompt, whatever stands between them", () => {
  const prompt = { 4: { inputs: { model: ["1", 0], seed: 3 } }, 6: { inputs: { samples: ["4", 0] } }, 5: { inputs: { x: ["6", 0] } },
    7: { inputs: { x: ["4", 0] } }, 8: { inputs: { loop: ["8", 0], size: [512, 512] } } };
  const found = series([run("4"), run("5"), run("8")], prompt);
  assert.deepEqual(found.map((chain) => chain.map(({ node }) => node)), [["4", "5"]]);
  assert.deepEqual(series([run("4"), run("4", { index: 1 })], prompt)[0].length, 2);
  assert.deepEqual(series([run("4"), run("8")], prompt), []);
  assert.equal(slotOf({ chain: found[0] }), "4/0/0+5/0/0");
  assert.equal(idOf({ chain: found[0] }), "4-j+5-j");
});

test("a run is called by what tells it from the others", () => {
  const about = (more) => ({ stages: null, elements: 1, unchanged: new Set(), ...more });
  const time = /KSampler \(4\) \u00b7 \d\d:\d\d$/;
  const one = run("4", { title: "KSampler" });
  assert.match(nameOf(one, about(), t), time);
  assert.match(nameOf(one, about({ stages: [1, 2] }), t), /\u00b7 stage 1 of 2 \u00b7/);
  assert.match(nameOf({ ...one, list_index: 2 }, about({ elements: 3 }), t), /item 3 of 3/);
  assert.match(nameOf(one, about({ unchanged: new Set(["4"]) }), t), /unchanged since \d\d:\d\d$/);
  assert.match(nameOf({ ...one, ended: "stopped at step 5: interrupted" }, about(), t), /stopped at step 4 \u00b7 /);
  assert.match(nameOf({ ...one, live: {} }, about(), t), /recording$/);
  assert.equal(nameOf({ chain: [one, run("5")] }, about(), t), "All stages: KSampler + T5");
});

test("the tab says where it stands", () => {
  const facts = { on: true, runs: 0, live: false, lost: false, sampler: true };
  const said = (more) => stateOf({ ...facts, ...more });
  assert.equal(said({ on: false }), "tabOff");
  assert.equal(said(), "tabWaiting");
  assert.equal(said({ sampler: false }), "tabNoSampler");
  assert.equal(said({ lost: true }), "tabLost");
  assert.equal(said({ live: true, runs: 1 }), "tabRecording");
  assert.equal(said({ runs: 2 }), "");
  assert.equal(said({ runs: 2, on: false }), "tabOffNow");
  for (const key of ["tabOff", "tabWaiting", "tabNoSampler", "tabLost", "tabRecording", "tabOffNow"]) assert.notEqual(t(key), key);
});

test("a sampler is whatever reads a MODEL and makes a sample, also in a subgraph, unless it is silent", () => {
  const sampler = { inputs: [{ type: "MODEL" }], outputs: [{ type: "LATENT" }], mode: 0 };
  const patch = { inputs: [{ type: "MODEL" }], outputs: [{ type: "MODEL" }] };
  assert.ok(hasSampler({ nodes: [patch, { subgraph: { nodes: [sampler] } }] }));
  assert.ok(!hasSampler({ nodes: [patch, { ...sampler, mode: 4 }] }));
  assert.ok(!hasSampler(undefined));
});

test("two stages are one run of all steps, and drawn as one", () => {
  const { record } = fixture("euler");
  const whole = joined([{ ...record, run: "a" }, { ...record, run: "b", fault: "stopped", notes: ["n"] }]);
  const n = record.steps.length;
  assert.deepEqual([whole.run, whole.n, whole.steps.length, whole.stages, whole.fault], ["a+b", 2 * n, 2 * n, [n], "stopped"]);
  assert.deepEqual(whole.steps.map(({ i }) => i), Array.from({ length: 2 * n }, (_, i) => i));
  assert.equal(record.steps[0].n, n);
  for (const view of ["plane", "matters", "lengths", "direction"]) {
    const drawn = viewOf(view).figure(whole, { w: 500, h: 400, theme: DARK, step: n + 1, sample: 0 });
    assert.ok(!JSON.stringify(drawn).includes("null,null"), view);
    assert.equal(called(drawn, "stage").length, view === "matters" || view === "lengths" || view === "direction" ? 1 : 0, view);
  }
  const strip = ticks(whole, { w: 300, h: 26, theme: DARK, step: 0, sample: 0, inset: 8 });
  const [mark] = called(strip, "stage");
  const at = new Map(strip[0].places.at);
  assert.equal(mark.points[0][0], (at.get(n - 1) + at.get(n)) / 2);
});

test("pictures of two stages stand one after the other, each with its own scale", () => {
  const pictures = (gain, more) => ({ kinds: ["x"], samples: [0], size: [8, 8], gain, clipped: 0, scale: 1, steps: [{ i: 0 }, { i: 3 }], ...more });
  const record = (gain, more) => ({ run: "r", n: 4, steps: [], pictures: pictures(gain, more) });
  const sheets = joined([record(2), record(5)]).pictures.steps;
  assert.deepEqual(sheets.map(({ i, scales }) => [i, scales.gain]), [[0, 2], [3, 2], [4, 5], [7, 5]]);
  assert.equal(joined([record(2), record(5, { size: [9, 9] })]).pictures.steps, undefined);
});

/** A graph with the few methods of the editor's that wiring uses. */
function graphOf(nodes) {
  const graph = { nodes: [], links: {}, inputs: [], add(node) {
    node.graph = this;
    this.nodes.push(node);
  } };
  for (const node of nodes) graph.add(node);
  return graph;
}
let numbers = 100;
function nodeOf(id, type, inputs, outputs) {
  return { id, type, pos: [0, 0], size: [200, 100], inputs: inputs.map(([name, kind]) => ({ name, type: kind, link: null })),
    outputs: outputs.map((kind) => ({ type: kind })),
    connect(slot, target, at) {
      numbers += 1;
      this.graph.links[numbers] = { origin_id: this.id, origin_slot: slot, target_id: target.id };
      target.inputs[at].link = numbers;
    } };
}
const create = (type) => ({
  GGRecord: () => nodeOf("r", type, [["model", "MODEL"]], ["MODEL", "GG_RECORDER"]),
  GGReadTrace: () => nodeOf("t", type, [["recorder", "GG_RECORDER"], ["latent", "LATENT"]], ["GG_TRACE", "LATENT"]),
  GGInspector: () => nodeOf("i", type, [["trace", "GG_TRACE"]], []),
})[type]();
const sourceOf = (node, slot) => node.graph.links[node.inputs[slot].link].origin_id;

test("an inspector is kept around a sampler: its model is recorded, its latent read", () => {
  const [loader, sampler] = [nodeOf(1, "L", [], ["MODEL"]), nodeOf(4, "KSampler", [["model", "MODEL"]], ["LATENT"])];
  const graph = graphOf([loader, sampler]);
  assert.ok(!canKeep(graph, sampler));
  loader.connect(0, sampler, 0);
  assert.ok(canKeep(graph, sampler));
  const inspector = keep(graph, sampler, create);
  const [, , record, trace] = graph.nodes;
  assert.deepEqual([sourceOf(record, 0), sourceOf(sampler, 0), sourceOf(trace, 0), sourceOf(trace, 1), sourceOf(inspector, 0)], [1, "r", "r", 4, "t"]);
  assert.ok(graph.nodes.slice(2).every(({ pos }) => pos[1] >= 100));
});

test("a guider's model is recorded for the sampler that uses it, and a MODEL may come through a subgraph's wall", () => {
  const guider = nodeOf(3, "CFGGuider", [["model", "MODEL"]], ["GUIDER"]);
  const sampler = nodeOf(4, "SamplerCustomAdvanced", [["guider", "GUIDER"]], ["LATENT"]);
  const graph = graphOf([guider, sampler]);
  guider.connect(0, sampler, 0);
  graph.links[7] = { origin_id: -10, origin_slot: 1 };
  guider.inputs[0].link = 7;
  const led = [];
  graph.inputs = [null, { connect: (slot, node) => led.push([slot, node.type]) }];
  const root = { nodes: [{ id: 12, inputs: [], subgraph: graph }] };
  keep(root, sampler, create);
  assert.deepEqual(led, [[graph.nodes[2].inputs[0], "GGRecord"]]);
  assert.equal(sourceOf(guider, 0), "r");
});

test("the scale of a run is that of the sampler itself, or of its guider", () => {
  const cfg = { name: "cfg", value: 4 };
  const sampler = { ...nodeOf(4, "KSampler", [["model", "MODEL"]], ["LATENT"]), widgets: [cfg] };
  assert.equal(scaleSource(graphOf([sampler]), sampler, true).widget, cfg);
  const guider = { ...nodeOf(3, "CFGGuider", [], ["GUIDER"]), widgets: [cfg] };
  const custom = nodeOf(4, "SamplerCustomAdvanced", [["guider", "GUIDER"]], ["LATENT"]);
  const graph = graphOf([guider, custom]);
  guider.connect(0, custom, 0);
  assert.equal(scaleSource(graph, custom, true).node, guider);
});
