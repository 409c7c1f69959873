import assert from "node:assert/strict";
import test from "node:test";
import { centreOf, FindRange, further, knownRange, ladder, picksOf, rangeOf } from "../../web/lib/find-range.mjs";
import { changeSince } from "../../web/lib/change.mjs";
import { mixPixels } from "../../web/lib/mix.mjs";
import { speaker } from "../../web/lib/strings.mjs";
import { LIGHT } from "../../web/lib/theme.mjs";
import { halfValue, knobOf, knobPlace, knobsOf, knobSource, triableKnobs } from "../../web/lib/run-knobs.mjs";
import { drawnFor, runAgain } from "../../web/lib/run-again.mjs";
import { lookAgain, obstacle } from "../../web/lib/tries.mjs";
import { judgementOf, judgeOf, picturesOf, promptAt, samplerOf, shownBy } from "../../web/lib/try-prompt.mjs";
import { TryHalf } from "../../web/lib/try-half.mjs";
import { Advice } from "../../web/lib/advice.mjs";
import { scaleToSee, verdictOf } from "../../web/lib/verdict.mjs";
import { viewOf } from "../../web/lib/views.mjs";
import { called, fixture } from "./records.mjs";

const PROMPT = {
  1: { class_type: "Loader", inputs: {} },
  4: { class_type: "KSampler", inputs: { cfg: 8, seed: 5, model: ["1", 0] } },
  6: { class_type: "CFGGuider", inputs: { cfg: 3, model: ["1", 0] } },
  7: { class_type: "SamplerCustomAdvanced", inputs: { guider: ["6", 0] } },
  8: { class_type: "VAEDecode", inputs: { samples: ["4", 0] } },
  9: { class_type: "SaveImage", inputs: { images: ["8", 0], filename_prefix: "x" } },
};
const RUN = { run: "r", prompt_id: "job", node: "4", list_index: 0, index: 0 };
const RECORD = { run: "r", cfg: 8, chain: "CFG", model: { name: "m", key: "ab" }, report: { sampler_class: "ode", range: null, plain: true } };

/** An editor whose jobs end at once; what was queued is kept. */
function editor({ known = true, fails = [] } = {}) {
  const queued = new Map();
  const root = { nodes: [{ id: 4, widgets: [{ name: "cfg", value: 8 }], inputs: [] }] };
  const [own, tried] = ["9", "gg-try"].map((id) => ({ [id]: { images: [{ filename: "a.png" }] } }));
  return {
    queued, root: () => root, dropped: [],
    sources: async () => ({ workflow: { id: "w" }, output: PROMPT }),
    job: async (id) => (queued.has(id) || known ? { prompt: PROMPT, workflow: { id: "w", extra: { guidance_geometry: { key: "k" } } }, outputs: queued.has(id) ? tried : own, ended: !fails.includes(queued.get(id)?.prompt[4].inputs.cfg) } : null),
    queue: async (prompt, workflow) => { queued.set(`q${queued.size}`, { prompt, workflow }); return `q${queued.size - 1}`; },
    runsOf: async (job) => [{ ...RUN, run: `of ${job}`, prompt_id: job }],
    run: async (run) => ({ ...RECORD, run }),
    report: async (...runs) => ({ findings: [{ id: "acts.steps" }, { id: "half.same", en: runs.join(" ") }] }),
    inQueue: async () => [], // all have ended
    dequeue(jobs) { this.dropped.push(...jobs); },
  };
}

const SCALE = knobOf(RECORD);
const SHARE = { key: "phi, GGRescale", kind: "rule", name: "phi", value: 0.7, title: "Rescale", node: "20", input: "phi", limits: [0, 1] };
const TOLD = { key: "guidance", kind: "guidance", name: "guidance", value: 3.5, title: "FluxGuidance", node: "3", input: "guidance", limits: [1, 100] };

test("values are even in ratio, within what a knob takes, and the run's own is always among them", () => {
  assert.deepEqual(ladder(null, 4, SCALE), [2, 4, 8]);
  assert.deepEqual(ladder(null, 1, SCALE), [1, 2, 4]);
  assert.deepEqual(ladder([2, 8], 8, SCALE), [2, 2.9, 4, 5.6, 8]);
  assert.deepEqual(ladder([2, 8], 4.01, SCALE), [2, 2.9, 4.01, 5.6, 7.8]);
  assert.deepEqual(ladder([1, 1], 1, SCALE), [1, 1.4, 2]);
  assert.deepEqual(ladder([1.89, 3.76], 13, SCALE), [1.4, 1.9, 2.7, 3.7, 13], "a second stage looks where its card says");
  assert.deepEqual(ladder(null, 0.7, SHARE), [0.35, 0.7, 1]);
  assert.deepEqual(ladder(null, 0.06, { ...SHARE, limits: [0, 1000] }), [0.03, 0.06, 0.12], "a small number keeps its digits");
  assert.deepEqual(ladder(null, 200, { ...SHARE, limits: [0, 1e6] }), [100, 200, 400]);
  for (let own = 0.9; own < 30; own += 0.7) {
    for (const range of [null, [own, own], [2, 4]]) {
      const found = ladder(range, own, SCALE);
      assert.ok(found.length >= 3 && found.length <= 5 && found.includes(own) && new Set(found).size === found.length, String(found));
      assert.ok(found.every((value) => value >= 1 || value === own));
    }
  }
  assert.deepEqual(further(4, [2, 4, 8], SCALE), [2.9, 5.6]);
  assert.deepEqual(further(4, [4, 8, 16], SCALE), [2, 1], "beyond the lowest");
  assert.deepEqual(further(4, [1, 2, 4], SCALE), [8, 16], "beyond the highest");
  assert.deepEqual(further(2, [2, 4, 8], SCALE), [1, 1.4], "below 1 guidance is off");
  assert.deepEqual(further(1, [1, 2, 4], SCALE), [1.4], "below 1 guidance is off");
  assert.deepEqual(further(1, [0.35, 0.7, 1], SHARE), [], "it takes no more, and all below was tried");
  assert.equal(centreOf([2, 8], 20), 4);
  assert.equal(centreOf(null, 7), 7);
});

test("half of a knob ends where it takes no less", () => {
  assert.deepEqual([8, 1.5, 1].map((value) => halfValue(SCALE, value)), [4, 1, null]);
  assert.deepEqual([halfValue(SHARE), halfValue(TOLD), halfValue({ ...SHARE, value: null })], [0.35, 1.75, null]);
});

test("a knob is set and queued at the node that the report names, also inside a subgraph", () => {
  const prompt = { ...PROMPT, "9:3": { class_type: "FluxGuidance", inputs: { conditioning: ["2", 0], guidance: 3.5 } } };
  const inner = { id: 3, title: "Told", widgets: [{ name: "guidance", value: 3.5 }], inputs: [] };
  const box = { id: 9, subgraph: { nodes: [inner] }, inputs: [] };
  const knob = { ...TOLD, node: "9:3" };
  assert.equal(knobPlace(prompt, "4", knob), "9:3");
  assert.equal(knobSource({ nodes: [box] }, "4", knob).widget, inner.widgets[0]);
  const read = { ...prompt, 4: { ...PROMPT[4], inputs: { ...PROMPT[4].inputs, positive: ["9:3", 0] } } };
  const found = promptAt(read, [{ id: "9:3", input: "guidance" }], 1.75, { id: "4", node: read[4] });
  assert.deepEqual([found["9:3"].inputs.guidance, found[4].inputs.cfg], [1.75, 8]);
  assert.equal(obstacle({ nodes: [box] }, prompt, "4", knob), null);
  assert.deepEqual(obstacle({ nodes: [box] }, PROMPT, "4", { ...knob, node: null }), { key: "noWidget", node: null });
});

test("under a preset a knob is tried and written by hand, and what the preset makes of it is no change", () => {
  const knob = { ...SHARE, node: "4", input: "scale", name: "scale", value: 4, beside: { preset: "scale" } };
  const [scale, preset] = [{ name: "scale", value: 7 }, { name: "preset", value: "strong" }];
  const source = knobSource({ nodes: [{ id: 4, widgets: [scale, preset], inputs: [] }] }, "4", knob);
  assert.deepEqual([source.widget, source.beside.map(({ widget, value }) => [widget, value])], [scale, [[preset, "scale"]]]);
  assert.equal(knobSource({ nodes: [{ id: 4, widgets: [scale], inputs: [] }] }, "4", knob), null, "its node has no preset any more");
  const prompt = { 4: { class_type: "GGClassifierGradient", inputs: { scale: 7, preset: "strong" } } };
  assert.deepEqual(promptAt(prompt, [{ ...knob, id: "4" }], 2, { id: "4", node: prompt[4] })[4].inputs, { scale: 2, preset: "scale" });
  const run = { run: "r" };
  assert.equal(changeSince(run, knob, source), null);
  preset.value = "scale";
  assert.equal(changeSince(run, knob, source).now, 7);
});

test("a person may choose among the knobs whose widget is known; without a report there is cfg", () => {
  const lost = { ...SHARE, key: "lost", node: null };
  const record = { ...RECORD, report: { ...RECORD.report, knobs: [TOLD, SCALE, SHARE, lost, { ...SHARE, key: "off", value: 0 }] } };
  assert.deepEqual(triableKnobs(record).map(({ key }) => key), ["guidance", "cfg", "phi, GGRescale"]);
  assert.deepEqual([knobOf(record).key, knobOf(record, "cfg").key, knobOf(record, "gone").key], ["guidance", "cfg", "guidance"]);
  assert.deepEqual(knobsOf({ cfg: 8 }).map(({ key, value }) => [key, value]), [["cfg", 8]]);
});

test("picks of each knob are kept apart", () => {
  const record = { ...RECORD, report: { ...RECORD.report, knobs: [TOLD, SCALE] } };
  const [told, cfg] = [TOLD, SCALE].map((knob) => picksOf(record, [{ cfg: 4, state: "there", good: true }], null, knob).picks[0]);
  assert.deepEqual([told.knob, told.chain, cfg.knob, cfg.chain], ["guidance", "guidance", "cfg", "CFG"]);
  const stored = { picks: [told, cfg, { ...cfg, cfg: 5 }], ranges: { ode: [4, 5] }, knobs: { guidance: { ode: [4, 4] } } };
  assert.deepEqual(rangeOf(stored, record).chosen, [4]);
  assert.deepEqual(rangeOf(stored, record, SCALE).chosen, [4, 5]);
  assert.deepEqual(knownRange(stored, record, TOLD), [4, 4]);
  assert.deepEqual(knownRange({ picks: [] }, { ...record, report: { ...record.report, range: [2, 3] } }, TOLD), [2, 3]);
  assert.equal(knownRange(null, { ...record, report: { ...record.report, range: [2, 3] } }, SCALE), null, "the range of another");
});

test("the scale is the sampler's own or its guider's", () => {
  assert.deepEqual(["4", "7", "1", "99"].map((id) => knobPlace(PROMPT, id, SCALE)), ["4", "6", null, null]);
  assert.equal(obstacle({ nodes: [{ id: 4, widgets: [{ name: "cfg" }], inputs: [] }] }, PROMPT, "4", SCALE), null);
  assert.equal(obstacle({ nodes: [] }, PROMPT, "1", SCALE).key, "nowhere");
});

const PLACE = [{ id: "4", input: "cfg" }];
const NO_GRAPH = { nodes: [] };
const FRAMES = { nodes: [{ id: 8, outputs: [{ type: "IMAGE" }] }, { id: 20, outputs: [{ type: "VIDEO" }] }, { id: 4, outputs: [{ type: "LATENT" }] }] };
const [{ 9: SAVED, ...NO_SAVER }, SAVES] = [PROMPT, { filename_prefix: "x" }];
const classes = (prompt) => Object.fromEntries(Object.entries(prompt).map(([id, node]) => [id, node.class_type]));
const tried = (prompt, root = NO_GRAPH, outputs = {}) => promptAt(prompt, PLACE, 2, shownBy({ prompt, outputs }, "4", root));

test("only the scale is another one, nothing is saved, and what the picture does not need is left out", () => {
  const found = tried({ ...PROMPT, 30: { class_type: "SaveLatent", inputs: { samples: ["4", 0], ...SAVES } }, 31: { class_type: "SaveImage", inputs: { images: ["32", 0], ...SAVES } }, 32: { class_type: "LoadImage", inputs: {} } });
  assert.deepEqual(classes(found), { 1: "Loader", 4: "KSampler", 8: "VAEDecode", "gg-try": "PreviewImage" });
  assert.deepEqual(found[4].inputs, { ...PROMPT[4].inputs, cfg: 2 });
  assert.deepEqual(found["gg-try"].inputs, { images: ["8", 0] });
  assert.deepEqual([found[1], PROMPT[4].inputs.cfg, PROMPT[9].class_type], [PROMPT[1], 8, "SaveImage"]);
});

test("a video is not saved: its frames are shown, and where nothing has a type, the latent is only made", () => {
  const video = { ...NO_SAVER, 20: { class_type: "CreateVideo", inputs: { images: ["8", 0], fps: 24 } }, 21: { class_type: "SaveVideo", inputs: { video: ["20", 0], ...SAVES } } };
  const found = tried(video, FRAMES, { 21: { images: [{ filename: "a.mp4" }] } });
  assert.deepEqual(classes(found), { 1: "Loader", 4: "KSampler", 8: "VAEDecode", "gg-try": "PreviewImage" });
  assert.deepEqual(found["gg-try"].inputs, { images: ["8", 0] });
  const latent = { 1: PROMPT[1], 4: PROMPT[4], 30: { class_type: "SaveLatent", inputs: { samples: ["4", 0], ...SAVES } } };
  assert.deepEqual(tried(latent)["gg-try"], { class_type: "PreviewAny", inputs: { source: ["4", 0] } });
  assert.deepEqual(tried({ 1: PROMPT[1], 4: PROMPT[4] }), { 1: PROMPT[1], 4: { ...PROMPT[4], inputs: { ...PROMPT[4].inputs, cfg: 2 } } });
});

test("the picture of a try is the nearest that the job showed, whatever saved it", () => {
  const animated = { ...NO_SAVER, 12: { class_type: "ImageScale", inputs: { image: ["8", 0] } }, 13: { class_type: "SaveAnimatedWEBP", inputs: { images: ["12", 0], ...SAVES } } };
  const graph = { nodes: [...FRAMES.nodes, { id: 12, outputs: [{ type: "IMAGE" }] }] };
  assert.deepEqual(tried(animated, graph, { 13: { images: [{ filename: "a.webp" }] } })["gg-try"], { class_type: "PreviewImage", inputs: { images: ["12", 0] } });
  const own = { ...NO_SAVER, 5: { class_type: "Figure", inputs: { trace: ["4", 2] } } }; // draws no picture that is wired to it
  assert.deepEqual(classes(tried(own, NO_GRAPH, { 5: { images: [{ filename: "a.png" }] } })), { 1: "Loader", 4: "KSampler", "gg-try": "Figure" });
  assert.equal(shownBy({ prompt: { ...own, 9: SAVED }, outputs: { 5: { images: [{ filename: "a.png" }] }, 9: {} } }, "4", NO_GRAPH).of, "9");
  const read = { 1: PROMPT[1], 4: PROMPT[4], 5: { class_type: "GGReadTrace", inputs: { latent: ["4", 0] } } };
  const both = shownBy({ prompt: read, outputs: { 4: { images: [{ filename: "a.png" }] } } }, "4", NO_GRAPH);
  assert.deepEqual([both.id, both.of], ["4", "4"], "the sampler shows its own picture, whoever reads it");
  const outputs = { 9: { images: [{ filename: "a.png" }, { filename: "b.mp4" }] }, 20: { images: [{ filename: "else.png" }] } };
  assert.deepEqual(picturesOf(outputs, shownBy({ prompt: PROMPT, outputs }, "4", NO_GRAPH).of), [{ filename: "a.png" }]);
});

test("a guide, a stage before and a tap stay; a stage after stays if the picture is its", () => {
  const stages = { ...PROMPT, "gg-1-0": { class_type: "GGTap", inputs: { model: ["1", 0] } },
    4: { ...PROMPT[4], inputs: { ...PROMPT[4].inputs, model: ["gg-1-0", 0], latent_image: ["3", 0] } },
    3: { class_type: "KSampler", inputs: { cfg: 5 } }, 8: { class_type: "VAEDecode", inputs: { samples: ["10", 0] } }, 10: { class_type: "KSampler", inputs: { cfg: 6, latent_image: ["4", 0] } } };
  assert.deepEqual(Object.keys(tried(stages)), ["1", "3", "4", "8", "10", "gg-1-0", "gg-try"]);
});

const settled = () => new Promise((done) => setTimeout(done, 5));

test("a job is waited for while it is in the queue, also on a server that does not always answer; no clock looks at it", async () => {
  const host = editor();
  const answers = { queue: [["other", "q0"], null, ["q0"], []], job: [undefined] };
  const known = host.job;
  host.inQueue = async () => (answers.queue.length ? answers.queue.shift() : []);
  host.job = async (id) => (id === "q0" && answers.job.length ? answers.job.pop() : known(id));
  const tries = new TryHalf(host, { run: RUN, record: RECORD }, () => {});
  const whole = tries.begin();
  await settled();
  assert.deepEqual([tries.cards.map(({ state }) => state), tries.ahead, answers.queue.length], [["there", "waiting"], 1, 3]);
  for (const left of [2, 1, 0]) { // no answer; still there; it has left the queue, and its history does not answer
    lookAgain();
    await settled();
    assert.deepEqual([answers.queue.length, tries.cards[1].state, tries.missing], [left, "waiting", null]);
  }
  lookAgain();
  await whole;
  assert.deepEqual(tries.cards.map(({ state }) => state), ["there", "there"]);
});

test("what became of a job without a picture is told: cleared, interrupted, failed, without a picture, or not taken", async () => {
  const ends = [[null, "cleared"], [{ ended: false, stopped: true }, "interrupted"], [{ ended: false, stopped: false }, "failed"], [{ ended: true, outputs: {} }, "noPicture"]];
  const known = editor().job;
  for (const [job, why] of ends) {
    const host = editor();
    host.job = async (id) => (id === "q0" ? job && { prompt: PROMPT, outputs: {}, ...job } : known("job"));
    host.run = async () => null;
    const tries = new TryHalf(host, { run: RUN, record: RECORD }, () => {});
    await tries.begin();
    assert.deepEqual([tries.cards.map(({ state }) => state), tries.missing, tries.isDone], [["there", "failed"], { n: 1, of: 2, why }, true]);
  }
  const host = editor();
  host.queue = async () => null;
  const tries = new TryHalf(host, { run: RUN, record: RECORD }, () => {});
  await tries.begin();
  assert.equal(tries.missing.why, "refused");
  for (const why of [...ends.map(([, one]) => one), "refused"]) assert.notEqual(speaker("en")(`missing_${why}`), `missing_${why}`);
});

test("three jobs at first; about the first good picture two more are queued, once, and every click is stored", async () => {
  const host = editor({ fails: [11.2] });
  const stored = [];
  const tries = new FindRange(host, { run: RUN, record: RECORD }, () => {}, (picks) => stored.push(picks));
  await tries.begin();
  const asked = () => [...host.queued.values()].map(({ prompt }) => prompt[4].inputs.cfg);
  assert.deepEqual(asked(), [4, 16]);
  const keys = [...host.queued.values()].map(({ workflow }) => workflow.extra.guidance_geometry);
  assert.ok(keys.every(({ record, key }) => record && key.startsWith("try-") && key.length <= 64), "the tab does not list them");
  tries.judge(tries.cards[1]);
  assert.deepEqual(stored[0].model, { name: "m", key: "ab" });
  assert.deepEqual(stored[0].picks.map(({ cfg, good }) => [cfg, good]), [[4, false], [8, true], [16, false]]);
  await tries.looked;
  assert.deepEqual(asked(), [4, 16, 5.7, 11.2]);
  assert.deepEqual(tries.cards.map(({ cfg, state }) => [cfg, state]), [[4, "there"], [5.7, "there"], [8, "there"], [11.2, "failed"], [16, "there"]]);
  assert.ok(tries.isDone);
  assert.deepEqual(stored[1].picks.map(({ cfg, good }) => [cfg, good]), [[4, false], [5.7, false], [8, true], [16, false]]);
  tries.judge(tries.cards[1]);
  assert.deepEqual(stored[2].picks.map(({ cfg, good }) => [cfg, good]), [[4, false], [5.7, true], [8, true], [16, false]]);
  tries.judge(tries.cards[1]);
  assert.ok(stored[3].picks.every(({ cfg, good }) => good === (cfg === 8)));
  assert.equal(host.queued.size, 4, "at most five runs in all");
});

test("about what is known of the model five close ones are queued at once", async () => {
  const host = editor();
  const record = { ...RECORD, report: { ...RECORD.report, range: [4, 16] } };
  const tries = new FindRange(host, { run: RUN, record }, () => {}, () => {});
  await tries.begin();
  tries.judge(tries.cards[1]);
  assert.deepEqual(tries.cards.map(({ cfg }) => cfg), [4.1, 5.7, 8, 11.2, 15.7]);
  assert.equal(host.queued.size, 4);
});

const JUDGED = {
  ...PROMPT,
  20: { class_type: "GGLabelEnergy", inputs: { classifier: ["21", 0] } },
  21: { class_type: "GGLoadClassifier", inputs: {} },
  22: { class_type: "GGReport", inputs: { trace: ["4", 2], energy: ["20", 0], half: ["30", 2], pictures: ["31", 0] } },
  30: { class_type: "GGGuidedSampler", inputs: {} },
  31: { class_type: "LoadImage", inputs: {} },
};

test("a judge that is wired to the report of the run goes along, without what it need not be asked again", () => {
  const judge = judgeOf(JUDGED, "4");
  assert.deepEqual([judge.of, judge.node.inputs], ["22", { trace: ["4", 2], energy: ["20", 0] }]);
  assert.equal(judgeOf(PROMPT, "4"), null);
  assert.equal(judgeOf({ ...JUDGED, 22: { class_type: "GGReport", inputs: { trace: ["4", 2] } } }, "4"), null, "it has no judge");
  const found = promptAt(JUDGED, PLACE, 2, shownBy({ prompt: JUDGED, outputs: {} }, "4", NO_GRAPH), judge);
  assert.deepEqual(Object.keys(found).sort(), ["1", "20", "21", "4", "8", "gg-judge", "gg-try"]);
  assert.deepEqual(judgementOf({ 22: { judge: [-0.5], judge_name: ["CLIP"] } }, "22"), { name: "CLIP", score: -0.5 });
  for (const none of [undefined, {}, { 22: { text: ["x"] } }, { 22: { judge: [NaN], judge_name: ["CLIP"] } }]) assert.equal(judgementOf(none, "22"), null);
});

test("a judge clicks what it finds about as good as its best, after a further look, and its name is stored with it", async () => {
  const host = editor();
  const scores = { 4: -0.3, 5.7: -0.1, 8: -0.05, 11.2: -0.2, 16: -4 };
  const job = host.job;
  host.job = async (id) => {
    const done = await job(id);
    const cfg = host.queued.get(id)?.prompt[4].inputs.cfg ?? 8;
    return { ...done, prompt: JUDGED, outputs: { ...done.outputs, [host.queued.has(id) ? "gg-judge" : "22"]: { judge: [scores[cfg]], judge_name: ["CLIP"] } } };
  };
  const stored = [];
  const tries = new FindRange(host, { run: RUN, record: RECORD }, () => {}, async (picks) => stored.push(picks));
  assert.equal(tries.judgeName(), null, "nothing is there yet");
  await tries.begin();
  assert.equal(tries.judgeName(), "CLIP");
  await tries.judgeChooses();
  assert.equal(stored.length, 1);
  assert.deepEqual(stored[0].picks.map(({ cfg, good, by }) => [cfg, good, by]), [[4, false, "CLIP"], [5.7, true, "CLIP"], [8, true, "CLIP"], [11.2, true, "CLIP"], [16, false, "CLIP"]]);
  assert.ok(tries.cards.every(({ good }) => !good), "the user has chosen nothing");
  tries.cards[0].found = null;
  assert.equal(tries.judgeName(), null, "it did not score every picture");
});

test("where the server has forgotten the job, the canvas is queued; who closes takes the rest out of the queue", async () => {
  const host = editor({ known: false });
  const tries = new FindRange(host, { run: RUN, record: RECORD }, () => {}, () => {});
  host.runsOf = async () => [];
  const queued = host.queue;
  host.queue = async (...given) => { const id = await queued(...given); if (host.queued.size === 3) tries.stop(); return id; };
  await tries.begin();
  assert.equal(host.queued.size, 3);
  assert.deepEqual(host.dropped.sort(), ["q0", "q1", "q2"]);
});

test("what is advised is queued once at one other scale, and the pair stays with its run", async () => {
  const host = editor();
  const advice = new Advice(host);
  const about = { run: { ...RUN, node: null, shown: "8" }, record: RECORD };
  const graph = { ...PROMPT, 8: { class_type: "GGInspector", inputs: { trace: ["9", 0] } }, 9: { class_type: "GGReadTrace", inputs: { recorder: ["2", 0], latent: ["4", 0] } } };
  assert.equal(samplerOf(graph, "8"), "4");
  let drawn = 0;
  advice.watchers.add({ redraw: () => (drawn += 1) });
  const [known] = [host.job];
  host.job = async (id) => ({ ...(await known(id)), prompt: graph });
  await advice.see(about, 2.7);
  assert.deepEqual([...host.queued.values()].map(({ prompt }) => prompt[4].inputs.cfg), [2.7]);
  assert.deepEqual(advice.pairOf(about.run.run).cards.map(({ cfg, state }) => [cfg, state]), [[8, "there"], [2.7, "there"]]);
  assert.equal(advice.pairOf("another"), null);
  assert.ok(drawn > 1);
});

test("the preview of a job goes when the job does, and its memory with it", (context) => {
  const revoked = context.mock.method(URL, "revokeObjectURL");
  const advice = new Advice(editor());
  advice.takePreview({ blob: new Blob(["a"]), displayNodeId: 4 });
  assert.ok(advice.previewOf("4"));
  advice.dropPreview();
  advice.dropPreview();
  assert.deepEqual([advice.previewOf("4"), revoked.mock.callCount()], [null, 1]);
});

test("the pictures of a run are asked for once for every job that ends, until they are there", async () => {
  const host = editor();
  const known = host.job;
  const asked = [];
  host.job = async (id) => (asked.push(id), asked.length > 1 ? known(id) : null);
  const advice = new Advice(host);
  const look = async () => [advice.picturesOf({ run: RUN }), await Promise.resolve(), await new Promise((done) => setTimeout(done))][0];
  assert.deepEqual([await look(), await look(), asked.length], [null, null, 1], "its job has not ended");
  advice.ended += 1;
  await look();
  assert.deepEqual(await look(), [{ filename: "a.png" }]);
  assert.equal(asked.length, 2);
});

test("beside a run stands what is suggested, half of it where only too strong is known, and else nothing", () => {
  assert.equal(scaleToSee({ colour: "above", cfg: 8, suggested: 2.7 }), 2.7);
  assert.equal(scaleToSee({ colour: "off", cfg: 1, suggested: 2.7 }), 2.7);
  assert.equal(scaleToSee({ colour: "above", cfg: 8, suggested: null }), 4);
  assert.equal(scaleToSee({ colour: "above", cfg: 1.5 }), 1);
  for (const report of [null, { colour: "above", cfg: null }, { colour: "above", cfg: 1 }, { colour: "unclear", cfg: 8 }]) assert.equal(scaleToSee(report), null);
});

test("why is at most three sentences, and the numbers behind it say nothing twice", () => {
  const sentence = (en) => ({ en, zh: `${en} zh` });
  const [why, reasons] = [["a", "b", "c", "d"], ["c", "e"]].map((part) => part.map(sentence));
  const report = { headline: sentence("h"), colour: "above", why, reasons, odds: sentence("o"), findings: [] };
  assert.deepEqual(verdictOf({ report }).why, ["a", "b", "c"]);
  assert.deepEqual(verdictOf({ report: { ...report, why: [sentence("plain")] } }, "zh").why, ["plain zh"]);
  assert.deepEqual(verdictOf({ report }).reasons, ["e", "o"]);
  assert.equal(verdictOf({ report }).errand, null);
  assert.equal(verdictOf({ report: { ...report, why: [sentence("plain"), { id: "help.use", ...sentence("queue") }] } }, "zh").errand, "queue zh");
});

test("what a job drew for a sampler is put back and fixed: its seed and what else changes after each job, and nothing else", () => {
  const widget = (name, value) => ({ name, value });
  const control = () => widget("control_after_generate", "randomize");
  const [noise, sampler, other, pack] = [[7, [widget("noise_seed", 99), control()]], [4, [widget("seed", 98), control(), widget("cfg", 2)]], [6, [widget("seed", 97), control()]], [8, [widget("seed", 96)]]]
    .map(([id, widgets]) => ({ id, widgets, inputs: [] }));
  const prompt = { 4: { inputs: { seed: 5, cfg: 8, noise: ["7", 0], positive: ["8", 0] } }, 6: { inputs: { seed: 1 } }, 7: { inputs: { noise_seed: 3 } }, 8: { inputs: { seed: 2 } } };
  const drawn = drawnFor({ nodes: [noise, sampler, other, pack] }, { prompt, outputs: {} }, "4").map(({ node, widget: { name }, value }) => [node.id, name, value]);
  const [seed, fixed] = [drawn.filter(([, name]) => name !== "control_after_generate"), drawn.filter(([, name]) => name === "control_after_generate")];
  assert.deepEqual(seed, [[4, "seed", 5], [7, "noise_seed", 3], [8, "seed", 2]]);
  assert.deepEqual(fixed, [[4, "control_after_generate", "fixed"], [7, "control_after_generate", "fixed"]]);
});

test("the picture that was judged is drawn again: stages behind its sampler too, and what a person fixed since stays", () => {
  const widget = (name, value) => ({ name, value });
  const drawing = (id, control, ...widgets) => ({ id, inputs: [], widgets: widgets.flatMap((one) => [one, widget("control_after_generate", control)]) });
  const prompt = {
    3: { class_type: "Size", inputs: { width: 512, height: 256 } }, 2: { class_type: "Number", inputs: { value: 5 } }, 30: { class_type: "Size", inputs: { width: 64 } },
    4: { class_type: "KSampler", inputs: { seed: ["2", 0], latent_image: ["3", 0], size: ["30", 0] } }, 5: { class_type: "KSampler", inputs: { seed: 6, latent_image: ["4", 0] } },
    8: { class_type: "PreviewImage", inputs: { images: ["5", 0] } },
  };
  const nodes = [drawing(2, "fixed", widget("value", 50)), drawing(3, "fixed", widget("width", 99), widget("height", 98)), drawing(30, "increment", widget("width", 65)), drawing(4, "randomize"), drawing(5, "randomize", widget("seed", 60))];
  const drawn = drawnFor({ nodes }, { prompt, outputs: {} }, "4").filter(({ value }) => value !== "fixed");
  assert.deepEqual(drawn.map(({ node, value, seed }) => [node.id, value, seed]).sort(([one], [other]) => one - other), [[2, 5, true], [5, 6, true], [30, 64, false]]);
});

test("a seed that is known runs again and is recorded; one that is not has its value written; without an answer nothing is", async () => {
  const seed = { name: "seed", value: 99 };
  for (const [job, expected] of [[null, ["seedLost"]], [undefined, ["noAnswer"]], [{ prompt: PROMPT, outputs: {} }, ["on", "seedKept", "queued"]]]) {
    const done = [];
    const host = { job: async () => job, root: () => ({ nodes: [{ id: 4, widgets: [seed], inputs: [] }] }), write: (_source, value, more) => done.push(more), queueGraph: () => done.push("queued"), say: (words) => done.push(words) };
    await runAgain({ editor: host, t: (key) => key, willRun: () => done.push("on") }, RUN, { node: {}, widget: {} }, 2.7);
    assert.deepEqual(done, expected);
  }
});

test("a try sets what Use will set: where the number is held, whatever its readers call it, and in the node that shows the picture", async () => {
  const host = editor();
  const graph = { links: { 1: { origin_id: 2, origin_slot: 0, target_id: 4, target_slot: 0 } }, nodes: [] };
  graph.nodes = [{ id: 2, graph, inputs: [], widgets: [{ name: "value", value: 8 }] }, { id: 4, graph, inputs: [{ name: "cfg", widget: { name: "cfg" } }], widgets: [{ name: "cfg", value: 1 }] }];
  const wired = { ...PROMPT, 2: { class_type: "Number", inputs: { value: 8 } }, 4: { ...PROMPT[4], inputs: { ...PROMPT[4].inputs, cfg: ["2", 0] } },
    9: { class_type: "Detailer", inputs: { strength: ["2", 0], samples: ["4", 0] } } };
  Object.assign(host, { root: () => graph, job: async (id) => ({ prompt: wired, workflow: {}, ended: true, outputs: { [id === "job" ? "9" : "gg-try"]: { images: [{ filename: "a.png" }] } } }) });
  const run = async () => {
    host.queued.clear();
    await new TryHalf(host, { run: RUN, record: RECORD }, () => {}).begin();
    return [...host.queued.values()][0].prompt;
  };
  assert.deepEqual((await run())[2].inputs, { value: 4 });
  wired[2].inputs.value = 64;
  const { 2: left, 4: sampler } = await run();
  assert.deepEqual([left.inputs.value, sampler.inputs.cfg], [64, 4], "it computes: the sampler alone gets the value");
  const shown = shownBy({ prompt: NO_SAVER, outputs: { 4: { images: [{ filename: "a.png" }] } } }, "1", NO_GRAPH);
  assert.equal(shown.of, "4");
  assert.equal(promptAt(PROMPT, PLACE, 2, shown)["gg-try"].inputs.cfg, 2);
});

test("half the scale is compared by the server", async () => {
  const host = editor();
  const tries = new TryHalf(host, { run: RUN, record: RECORD }, () => {});
  await tries.begin();
  assert.deepEqual(tries.cards.map(({ cfg }) => cfg), [8, 4]);
  assert.deepEqual(tries.said, [{ id: "half.same", en: "r of q0 9,gg-try" }], "with the nodes that show the pictures of both jobs");
});

test("what is stored is told for the model and the kind of sampler of the run alone", () => {
  const picks = [[4, true], [6, true], [9, false]].map(([cfg, good]) => ({ cfg, good, sampler_class: "ode", chain: "CFG", knob: "cfg" }));
  const stored = { picks: [...picks, { cfg: 1, good: true, sampler_class: "sde" }], ranges: { ode: [4, 7.3] } };
  assert.deepEqual(rangeOf(stored, RECORD), { low: 4, high: 7.3, middle: 5.4, chosen: [4, 6], judges: [], yours: true });
  assert.equal(rangeOf(stored, { report: { sampler_class: "ode-few" } }), null);
  const judged = rangeOf({ ...stored, picks: picks.map((pick, i) => ({ ...pick, by: i ? "CLIP" : null })) }, RECORD);
  assert.deepEqual([judged.judges, judged.yours], [["CLIP"], true]);
  assert.equal(rangeOf(null, RECORD), null);
  assert.equal(picksOf({ ...RECORD, model: { file: "f" } }, []).model.name, "f");
  const kept = (plain, chain) => picksOf({ ...RECORD, chain, report: { ...RECORD.report, plain } }, [{ cfg: 4, state: "there" }]).picks[0].chain;
  assert.deepEqual([kept(true, "CFGGuider"), kept(false, "CFGGuider")], ["CFG", "CFGGuider"]); // what another pack's patch changed is no plain run
  assert.deepEqual([kept(true, "CFG"), kept(false, "CFG"), kept(false, null)], ["CFG", "rules", "rules"]); // under no chain of ours, too
});

test("a mix is u + gamma (c - u) of the row that is shown, rounded and clipped once", () => {
  const values = new Int16Array([0, 0, 0, 100, 200, 301, 9, 9, 9, 200, 100, 32767]); // u and c, two rows, one pixel
  const pair = { values, scale: 1 / 1000, size: [1, 1], rows: 2 };
  const target = new Uint8ClampedArray(4);
  assert.deepEqual([...mixPixels(pair, 1, 0, target)], [26, 51, 77, 255]); // .1, .2, .3
  assert.deepEqual([...mixPixels(pair, 1, 3, target)], [102, 0, 255, 255]); // .4, -.1, 97.7
});

test("what if leaves room for the picture only where there is one, and says of which step it is", () => {
  const record = fixture("euler");
  const { figure } = viewOf("whatif");
  const pair = { i: 3, row: 0 };
  for (const [w, h] of [[900, 420], [420, 400], [300, 560]]) {
    const options = { w, h, theme: LIGHT, step: 3, gamma: 5, mix: () => pair };
    const [sheet] = figure(record, options);
    const { x, y, w: pw, h: ph, gamma } = sheet.picture;
    assert.ok(x >= 0 && y >= 0 && x + pw <= w && y + ph <= h && pw > 40 && ph > 30, `${w} x ${h}`);
    assert.equal(gamma, 5);
    assert.equal(figure(record, { ...options, mix: () => null })[0].picture, undefined);
  }
  const words = (i) => called(figure(record, { w: 900, h: 420, theme: LIGHT, step: 3, mix: () => ({ i, row: 0 }) }), "picture")[0];
  assert.doesNotMatch(JSON.stringify(words(3)), /step/);
  assert.match(JSON.stringify(words(5)), /step 6/);
});
