import assert from "node:assert/strict";
import test from "node:test";
import { changeSince } from "../../web/lib/change.mjs";
import { keep } from "../../web/lib/keep.mjs";
import { speaker } from "../../web/lib/strings.mjs";
import { hindrance, samplerStates } from "../../web/lib/readiness.mjs";
import { CACHED, hasTwin, idOf, isOf, joinRecords, latest, mergeRuns, nameOf, NOTHING, series, slotOf, stateOf } from "../../web/lib/tab-runs.mjs";
import { Place } from "../../web/lib/tab-place.mjs";
import { Tab } from "../../web/lib/tab.mjs";
import { partOf } from "../../web/lib/panel-record.mjs";
import { status } from "../../web/lib/panel-words.mjs";
import { ticks } from "../../web/lib/panel-ticks.mjs";
import { viewOf } from "../../web/lib/views.mjs";
import { DARK } from "../../web/lib/theme.mjs";
import { called, fixture } from "./records.mjs";

const t = speaker("en");
globalThis.localStorage ??= { getItem: () => null, setItem() {} };
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

test("of every node the runs of its last job are offered, cached ones from earlier", () => {
  const runs = [run("4"), run("5"), run("5", { prompt_id: "k" }), run("5", { prompt_id: "k", index: 1 }), run("9")];
  assert.deepEqual(latest(runs, root(4, 5)).map((one) => [one.node, one.prompt_id, one.index]), [["4", "j", 0], ["5", "k", 0], ["5", "k", 1]]);
});

test("a run that ends while the server answers is not lost", () => {
  const [old, late] = [run("4"), run("4", { prompt_id: "k" })];
  assert.deepEqual(mergeRuns([old], [old, late], [old]), [old, late]);
  assert.deepEqual(mergeRuns([old], [old, late], [old, late]), [old, late]);
  assert.deepEqual(mergeRuns([old], [old], []), []); // the server let it go
});

/** A graph whose nodes have the types of their inputs and outputs. prompt: {node: {input: [from, slot]}} */
const typed = (types) => ({ nodes: Object.entries(types).map(([id, [inputs, outputs]]) => ({ id: Number(id),
  inputs: Object.entries(inputs).map(([name, type]) => ({ name, type })), outputs: outputs.map((type) => ({ type })) })) });
const api = (wired) => Object.fromEntries(Object.entries(wired).map(([id, inputs]) => [id, { inputs }]));
const SAMPLER = [{ model: "MODEL", positive: "CONDITIONING", latent_image: "LATENT" }, ["LATENT"]];
const DECODE = [{ samples: "LATENT", vae: "VAE" }, ["IMAGE"]];
const nodesOf = (chains) => chains.map((chain) => chain.map(({ node }) => node));

test("samplers in series are found along latents and images, whatever stands between them", () => {
  const graph = typed({ 4: SAMPLER, 5: SAMPLER, 6: DECODE, 7: [{ pixels: "IMAGE", vae: "VAE" }, ["LATENT"]], 8: SAMPLER, 9: [{ any: "*" }, ["*"]] });
  const prompt = api({ 4: { model: ["1", 0], seed: 3 }, 6: { samples: ["4", 0], vae: ["1", 2] }, 9: { any: ["6", 0] }, 7: { pixels: ["9", 0] },
    5: { model: ["1", 0], latent_image: ["7", 0] }, 8: { latent_image: ["8", 0], size: [512, 512] } });
  const found = series([run("4"), run("5"), run("8")], prompt, graph);
  assert.deepEqual(nodesOf(found), [["4", "5"]]);
  assert.deepEqual(series([run("4"), run("4", { index: 1 })], prompt, graph)[0].length, 2);
  assert.deepEqual(series([run("4"), run("8")], prompt, graph), []);
  assert.equal(slotOf({ chain: [run("4"), run("5"), run("6")] }), slotOf({ chain: found[0] }), "whoever chose it keeps it while it grows");
  assert.notEqual(slotOf({ chain: found[0] }), slotOf(run("4")));
  assert.equal(idOf({ chain: found[0] }), "4-j+5-j");
});

test("a picture that only guides another sampler does not make the two a series", () => {
  const graph = typed({ 4: SAMPLER, 5: SAMPLER, 6: DECODE, 7: [{ model: "MODEL", image: "IMAGE" }, ["MODEL"]],
    8: [{ positive: "CONDITIONING", pixels: "IMAGE" }, ["CONDITIONING"]], 10: [{}, ["LATENT"]],
    11: [{ model: "MODEL", latent_image: "LATENT", reference: "IMAGE" }, ["LATENT"]] });
  const prompt = api({ 4: { model: ["1", 0] }, 6: { samples: ["4", 0] }, 7: { model: ["1", 0], image: ["6", 0] }, 8: { pixels: ["6", 0] },
    5: { model: ["7", 0], positive: ["8", 0], latent_image: ["10", 0] }, 11: { latent_image: ["10", 0], reference: ["6", 0] } });
  assert.deepEqual(series([run("4"), run("5")], prompt, graph), []);
  assert.deepEqual(series([run("4"), run("11")], prompt, graph), []);
});

test("a run is called by what tells it from the others", () => {
  const about = (more) => ({ stages: null, elements: 1, unchanged: new Set(), ...more });
  const one = run("4", { title: "KSampler" });
  assert.match(nameOf(one, about(), t), /KSampler \(4\) \u00b7 \d\d:\d\d$/);
  assert.match(nameOf({ ...one, list_index: 2 }, about({ elements: 3, stages: [1, 2] }), t), /stage 1 of 2 .*item 3 of 3/);
  assert.match(nameOf(one, about({ unchanged: new Set(["4"]) }), t), /unchanged since \d\d:\d\d$/);
  assert.match(nameOf({ ...one, ended: "stopped at step 5: interrupted", stopped_at: 6 }, about(), t), /stopped at step 6 \u00b7 /);
  assert.match(nameOf({ ...one, live: {} }, about(), t), /recording$/);
});

test("the tab says where it stands", () => {
  const facts = { away: false, on: true, runs: 0, live: false, lost: false, hindrance: null, idle: null, since: "" };
  const silent = { key: "tabSilent", names: "A (4)" };
  const cases = [
    [{ on: false }, { key: "tabOff", offer: "begin" }], [{}, { key: "tabWaiting", offer: "begin" }], [{ unreached: ["A (4)"] }, null], [{ lost: true }, { key: "tabLost", offer: "begin" }],
    [{ live: true, runs: 1 }, { key: "tabRecording" }], [{ runs: 2 }, null], [{ runs: 2, on: false }, { key: "tabOffNow", offer: "begin" }],
    [{ away: true, live: true, runs: 1 }, { key: "tabAway" }], [{ hindrance: silent }, { ...silent, earlier: false }], [{ hindrance: silent, runs: 1 }, { ...silent, earlier: true }],
    [{ hindrance: { key: "tabNoSampler" }, runs: 1 }, null], [{ idle: CACHED }, { key: "tabCached", offer: "fresh", earlier: false }], [{ idle: NOTHING }, { key: "tabNothing", earlier: false }],
    [{ runs: 1, since: "14:03", idle: CACHED }, { key: "tabCachedRun", offer: "fresh", time: "14:03" }],
    [{ lost: true, idle: { key: "tabFailed", node: "L (1)" }, runs: 0 }, { key: "tabFailed", node: "L (1)", earlier: false }],
  ];
  for (const [given, said] of cases) assert.deepEqual(stateOf({ ...facts, ...given }), said, JSON.stringify(given));
  const keys = ["tabUnreached", "tabEmpty", "tabNoSampler", "tabNoOutput", "tabInterrupted", ...cases.flatMap(([, said]) => said?.key ?? [])];
  for (const key of keys) for (const language of ["en", "zh"]) assert.notEqual(speaker(language)(key), key);
});

test("samplers that could not be recorded are named until they are, and only those of this workflow", async () => {
  const missed = (node, more) => ({ node, title: "Mine", workflow_id: "w", key: "k", prompt_id: "j", ...more });
  const asked = [];
  const runs = async (id) => (asked.push(id), { runs: [], unreached: [missed("4"), missed("5"), missed("9"), missed("5", { key: "other" })] });
  const tab = new Tab({ root: () => root(4, 5), runs, report: async () => null, sources: async () => ({ output: {} }) });
  assert.deepEqual(tab.state().unreached, []);
  await tab.endJob("j", async () => ({ workflow: tab.root }));
  assert.deepEqual(asked, ["w"], "the server is asked when a job has ended");
  await Promise.resolve();
  assert.deepEqual(tab.state().unreached, ["Mine (4)", "Mine (5)"]);
  await tab.endRun(run("5"));
  assert.deepEqual(tab.state().unreached, ["Mine (4)"]);
});

test("what keeps a graph from leaving a run is named: nothing in it, no sampler, only silent ones, nothing that is shown", () => {
  const of = (shows) => ({ nodeData: { output_node: shows } });
  const sampler = { id: 4, title: "S", inputs: [{ type: "MODEL" }, { type: "LATENT" }], outputs: [{ type: "LATENT" }], mode: 0, constructor: of(false) };
  const saver = { id: 9, inputs: [], outputs: [], constructor: of(true) };
  const keys = (...nodes) => hindrance({ nodes })?.key ?? null;
  assert.equal(keys({ id: 7, subgraph: { nodes: [sampler] } }, saver), null);
  assert.equal(keys(sampler, { id: 9, constructor: class Unknown {} }), null, "nobody knows whether it shows something");
  assert.deepEqual([keys(), keys(saver), keys(sampler)], ["tabEmpty", "tabNoSampler", "tabNoOutput"]);
  assert.equal(keys(sampler, { ...saver, mode: 2 }), "tabNoOutput");
  assert.deepEqual(hindrance({ nodes: [saver, { id: 7, mode: 2, subgraph: { nodes: [sampler] } }] }), { key: "tabSilent", names: "S (7:4)" });
});

test("every sampler of a graph stands somewhere, and the node that a subgraph is is none", () => {
  const sampler = (id, mode = 0) => ({ id, title: `S${id}`, inputs: [{ type: "MODEL" }, { type: "LATENT" }], outputs: [{ type: "LATENT" }], mode });
  const box = { ...sampler(7), subgraph: { nodes: [sampler(4), sampler(5, 2)] } };
  const whole = { nodes: [box, sampler(8), sampler(9), sampler(10)] };
  const runs = [{ node: "8", title: "S8", live: {} }, { node: "9", title: "S9" }, { node: "3", title: "in a pipe" }];
  const known = { runs, unchanged: new Set(["9"]), unreached: ["10"], queued: false };
  const states = (more, graph = whole) => Object.fromEntries(samplerStates(graph, { ...known, ...more }).map(({ id, state }) => [id, state]));
  assert.deepEqual(states(), { 8: "live", 9: "cached", 3: "ran", "7:4": "idle", "7:5": "muted", 10: "unreached" });
  assert.equal(states({ queued: true })["7:4"], "queued");
  assert.equal(states({}, { nodes: [sampler(9, 4)] })[9], "muted", "its run is of before");
  assert.equal(hindrance({ nodes: [{ ...box, subgraph: { nodes: [sampler(5, 2)] } }] }).key, "tabSilent");
});

test("a run of an earlier job is not passed off as the result, unless the last job took it from the cache", async () => {
  const runs = [run("4"), run("5"), run("5", { prompt_id: "k" })];
  const editor = { root: () => root(4, 5), runs: async () => ({ runs }), report: async (id) => ({ colour: id === "4-j" ? "above" : "fine" }), sources: async () => ({ output: {} }) };
  const tab = new Tab(editor);
  const end = async (job, nodes) => {
    tab.tookFromCache({ prompt_id: job, nodes });
    const during = tab.choice().run;
    await tab.endJob(job, async () => ({ workflow: tab.root, samplers: ["4", "5"] }));
    return [during, tab.choice().run];
  };
  await tab.refresh();
  assert.deepEqual(await end("k", ["4"]), ["4-j", "4-j"]);
  runs.push(run("5", { prompt_id: "l" }));
  await tab.endRun(runs.at(-1));
  assert.deepEqual(await end("l", []), ["5-l", "5-l"], "the other one was bypassed");
  tab.tookFromCache({ prompt_id: "of another workflow", nodes: ["4"] });
  assert.deepEqual([tab.choice().run, tab.samplers().map(({ id, state }) => [id, state])], ["5-l", [["5", "ran"], ["4", "ran"]]]);
  await end("m", ["4"]);
  assert.equal(tab.choice().run, "4-j", "nothing ran, and only this was in the job");
});

test("a number that differs from the run's is a change since, whoever made it; undone, it is none", () => {
  const [node, run] = [{ id: 4 }, { cfg: 12 }];
  const at = (value, more, was = 12) => changeSince({ ...run, ...more }, { name: "cfg", value: was }, { node, widget: { name: "cfg", value } });
  assert.deepEqual([at(2.8).was, at(2.8).now, at(2.8).knob], [12, 2.8, "cfg"]);
  const knob = { name: "cfg", value: 12 };
  for (const none of [at(12), at(12 + 1e-9), at(2.8, { live: true }), at(2.8, { stages: [4] }), at(2.8, {}, null), changeSince(run, knob, { node, reason: "linked" }), changeSince(run, knob, null), changeSince(null, knob, null)]) assert.equal(none, null);
});

test("two stages are one run of all steps, and drawn as one", () => {
  const record = fixture("euler");
  const whole = joinRecords([{ ...record, run: "a", report: {} }, { ...record, run: "b", fault: "stopped", notes: ["n"] }]);
  assert.ok(!("report" in whole)); // that of a stage is not one of the whole
  const n = record.steps.length;
  assert.deepEqual([whole.run, whole.n, whole.steps.length, whole.stages, whole.fault], ["a+b", 2 * n, 2 * n, [n], "stopped"]);
  assert.deepEqual(whole.steps.map(({ i }) => i), Array.from({ length: 2 * n }, (_, i) => i));
  assert.equal(record.steps[0].n, n);
  const [own, both] = [record.choices, whole.choices];
  assert.deepEqual([both.step, both.low, both.high, both.least, both.most], [own.step, own.low, own.high, own.least, own.most]);
  assert.equal(both.window, undefined);
  assert.deepEqual(joinRecords([{ ...record, steps: record.steps.slice(0, 2), n: 2 }, record]).choices.step, own.step.map((step) => step + 2));
  assert.equal(joinRecords([record, { ...record, choices: undefined }]).choices, undefined);
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
  const sheets = joinRecords([record(2), record(5)]).pictures.steps;
  assert.deepEqual(sheets.map(({ i, scales }) => [i, scales.gain]), [[0, 2], [3, 2], [4, 5], [7, 5]]);
  assert.equal(joinRecords([record(2), record(5, { size: [9, 9] })]).pictures.steps, undefined);
});

test("every part of a series is joined with its own kind", () => {
  const part = (name, sizes, more) => ({ run: "r", part: name, n: sizes, notes: [], steps: Array.from({ length: sizes }, (_, i) => ({ i, n: sizes, of: name })), ...more });
  const first = part("video", 3, { parts: { audio: part("audio", 2) } });
  const audio = partOf(joinRecords([first, part("video", 2, { parts: { audio: part("audio", 2) } })]), "audio");
  assert.deepEqual(audio.steps.map(({ i, of, n }) => [i, of, n]), [0, 1, 3, 4].map((i) => [i, "audio", 5]));
  const some = joinRecords([first, part("video", 2)]);
  assert.equal(some.parts, undefined);
  assert.deepEqual(some.notes, ["audio is not in every stage: choose one stage to see it"]);
});

test("a stopped run says one step, alone and in a series", async () => {
  const broken = { ...record, ended: "stopped at step 3: no memory", sigmas: [9, 8, 7, 6, 5, 4], n: 2, steps: record.steps.slice(0, 2) };
  const tab = new Tab({ root: () => null, run: async (id) => (id === "a" ? { ...record, ended: "" } : broken) });
  const said = (run) => status({ run, step: run.steps[0].i, sample: 0, view: "lengths" }, t).join(" ");
  assert.match(said(await tab.recordOf({ run: "b" })), /Stopped at step 3 of 5/);
  const whole = await tab.recordOf({ chain: [{ run: "a" }, { run: "b" }] });
  assert.match(said(whole), new RegExp(`Stopped at step ${record.n + 3} of ${record.n + 5}`));
  assert.doesNotMatch(said(await tab.recordOf({ run: "a" })), /Stopped/);
});

const record = fixture("euler");

/** An answer that comes when the test says so. */
function later() {
  const made = {};
  made.answer = new Promise((come) => Object.assign(made, { come }));
  return made;
}

/** A place without elements: what its panel was told to show. */
function placeOf(tab) {
  const shown = [];
  const panel = { turn: () => shown.push("nothing"), show: async (one) => shown.push(one.run ?? one), goOn: (one) => shown.push(one) };
  return { shown, place: Object.assign(Object.create(Place.prototype), { tab, panel, draw() {} }) };
}

test("a late answer does not take the place of the run that was chosen after it", async () => {
  const slow = later();
  const tab = { recordOf: ({ run: id }) => (id === "a" ? slow.answer : Promise.resolve({ run: id })) };
  const { place, shown } = placeOf(tab);
  const first = place.show({ run: "a" });
  await place.show({ run: "b" });
  slow.come({ run: "a" });
  await first;
  assert.deepEqual(shown, ["nothing", "nothing", "b"]);
});

test("what was evaluated after the stages of a series keeps its steps", () => {
  const plain = fixture("gamma_1");
  const looked = (more) => ({ ...plain, afterwards: { steps: [0, 3], evaluations: 4, against: "the negative", drift: 1e-5, ...more } });
  assert.equal(joinRecords([plain, plain]).afterwards, undefined);
  assert.deepEqual(joinRecords([plain, looked()]).afterwards, { steps: [4, 7], evaluations: 4, against: "the negative", drift: 1e-5 });
  const both = joinRecords([looked(), looked({ steps: [1], evaluations: 2, against: "embedded guidance 1" })]).afterwards;
  assert.deepEqual([both.steps, both.evaluations, both.against], [[0, 3, 5], 6, "the negative, embedded guidance 1"]);
});

/** A node with the few methods of the editor's that wiring uses. */
const nodeOf = (id, type, inputs, outputs) => ({
  id, type, pos: [0, 0], size: [200, 100], inputs: inputs.map(([name, kind]) => ({ name, type: kind })), outputs: outputs.map((kind) => ({ type: kind })),
  connect(slot, target, at) {
    target.inputs[at].link = `${id} ${slot}`;
    this.graph.links[`${id} ${slot}`] = { origin_id: id, origin_slot: slot, target_id: target.id, target_slot: at };
  },
});

test("a guider's model is recorded for the sampler that uses it", () => {
  const made = {
    GGRecord: nodeOf("r", "GGRecord", [["model", "MODEL"]], ["MODEL", "GG_RECORDER"]),
    GGReadTrace: nodeOf("t", "GGReadTrace", [["recorder", "GG_RECORDER"], ["latent", "LATENT"]], ["GG_TRACE", "LATENT"]),
    GGInspector: nodeOf("i", "GGInspector", [["trace", "GG_TRACE"]], []),
  };
  const graph = { nodes: [], links: {}, add: (node) => graph.nodes.push(Object.assign(node, { graph })) };
  const loader = nodeOf(2, "Loader", [], ["MODEL"]);
  const guider = nodeOf(3, "CFGGuider", [["model", "MODEL"]], ["GUIDER"]);
  const sampler = nodeOf(4, "SamplerCustomAdvanced", [["guider", "GUIDER"]], ["LATENT"]);
  for (const node of [loader, guider, sampler]) graph.add(node);
  loader.connect(0, guider, 0);
  guider.connect(0, sampler, 0);
  keep(graph, sampler, (type) => made[type]);
  const from = (node, name) => node.inputs.find((one) => one.name === name).link;
  assert.deepEqual([from(guider, "model"), from(made.GGRecord, "model"), from(made.GGInspector, "trace")], ["r 0", "2 0", "t 0"]);
});
