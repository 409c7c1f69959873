import assert from "node:assert/strict";
import test from "node:test";
import { centreOf, FindRange, further, knownRange, ladder, picksOf, rangeOf } from "../../web/lib/find-range.mjs";
import { changeSince } from "../../web/lib/change.mjs";
import { mixPixels } from "../../web/lib/mix.mjs";
import { LIGHT } from "../../web/lib/theme.mjs";
import { halfValue, knobOf, knobPlace, knobsOf, knobSource, triableKnobs } from "../../web/lib/run-knobs.mjs";
import { drawnFor } from "../../web/lib/run-again.mjs";
import { obstacle } from "../../web/lib/tries.mjs";
import { judgeOf, picturesOf, promptAt, shownBy } from "../../web/lib/try-prompt.mjs";
import { TryHalf } from "../../web/lib/try-half.mjs";
import { scaleToSee, verdictOf } from "../../web/lib/verdict.mjs";
import { viewOf } from "../../web/lib/views.mjs";
import { editor, PROMPT, RECORD, RUN } from "./hosts.mjs";
import { fixture } from "./records.mjs";

const SCALE = knobOf(RECORD);
const SHARE = { key: "phi, GGRescale", kind: "rule", name: "phi", value: 0.7, title: "Rescale", node: "20", input: "phi", limits: [0, 1] };
const TOLD = { key: "guidance", kind: "guidance", name: "guidance", value: 3.5, title: "FluxGuidance", node: "3", input: "guidance", limits: [1, 100] };

test("values are even in ratio, within what a knob takes, and the run's own is always among them", () => {
  assert.deepEqual(ladder(null, 4, SCALE), [2, 4, 8]);
  assert.deepEqual(ladder(null, 1, SCALE), [1, 2, 4]);
  assert.deepEqual(ladder([2, 8], 4.01, SCALE), [2, 2.9, 4.01, 5.6, 7.8]);
  assert.deepEqual(ladder([1.89, 3.76], 13, SCALE), [1.4, 1.9, 2.7, 3.7, 13], "a second stage looks where its card says");
  assert.deepEqual(ladder(null, 0.7, SHARE), [0.35, 0.7, 1]);
  assert.deepEqual(ladder(null, 0.06, { ...SHARE, limits: [0, 1000] }), [0.03, 0.06, 0.12], "a small number keeps its digits");
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
  assert.deepEqual(further(1, [1, 2, 4], SCALE), [1.4], "below 1 guidance is off");
  assert.deepEqual(further(1, [0.35, 0.7, 1], SHARE), [], "it takes no more, and all below was tried");
  assert.deepEqual([centreOf([2, 8], 20), centreOf(null, 7)], [4, 7]);
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

test("picks of the strength of a LoRA are kept for the model without it", () => {
  const lora = { ...SHARE, kind: "lora", key: "strength_model, detail", model: "ab+0" };
  const [own, plain] = [lora, SHARE].map((knob) => picksOf(RECORD, [{ cfg: 0, state: "there", good: true }], null, knob));
  const stored = { picks: [], knobs: { [lora.key]: { ode: [0, 0.5] } } };
  assert.equal(rangeOf(stored, RECORD, lora).middle, 0.25, "from 0 the middle is half");
  assert.deepEqual([own.model.key, plain.model.key, own.picks[0].cfg], ["ab+0", "ab", 0]);
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
});

test("the picture of a try is the nearest that the job showed, whatever saved it", () => {
  const animated = { ...NO_SAVER, 12: { class_type: "ImageScale", inputs: { image: ["8", 0] } }, 13: { class_type: "SaveAnimatedWEBP", inputs: { images: ["12", 0], ...SAVES } } };
  const graph = { nodes: [...FRAMES.nodes, { id: 12, outputs: [{ type: "IMAGE" }] }] };
  assert.deepEqual(tried(animated, graph, { 13: { images: [{ filename: "a.webp" }] } })["gg-try"], { class_type: "PreviewImage", inputs: { images: ["12", 0] } });
  const own = { ...NO_SAVER, 9: SAVED, 5: { class_type: "Figure", inputs: { trace: ["4", 2] } } };
  assert.equal(shownBy({ prompt: own, outputs: { 5: { images: [{ filename: "a.png" }] }, 9: {} } }, "4", NO_GRAPH).of, "9");
  const outputs = { 9: { images: [{ filename: "a.png" }, { filename: "b.mp4" }] }, 20: { images: [{ filename: "else.png" }] } };
  assert.deepEqual(picturesOf(outputs, shownBy({ prompt: PROMPT, outputs }, "4", NO_GRAPH).of), [{ filename: "a.png" }]);
});

test("a guide, a stage before and a tap stay; a stage after stays if the picture is its", () => {
  const stages = { ...PROMPT, "gg-1-0": { class_type: "GGTap", inputs: { model: ["1", 0] } },
    4: { ...PROMPT[4], inputs: { ...PROMPT[4].inputs, model: ["gg-1-0", 0], latent_image: ["3", 0] } },
    3: { class_type: "KSampler", inputs: { cfg: 5 } }, 8: { class_type: "VAEDecode", inputs: { samples: ["10", 0] } }, 10: { class_type: "KSampler", inputs: { cfg: 6, latent_image: ["4", 0] } } };
  assert.deepEqual(Object.keys(tried(stages)), ["1", "3", "4", "8", "10", "gg-1-0", "gg-try"]);
});

test("what became of a job without a picture is told: cleared, interrupted, failed, without a picture, or not taken", async () => {
  const known = editor().job;
  const half = async (changes) => {
    const tries = new TryHalf({ ...editor(), run: async () => null, ...changes }, { run: RUN, record: RECORD }, () => {});
    await tries.begin();
    assert.deepEqual([tries.cards.map(({ state }) => state), tries.isDone], [["there", "failed"], true]);
    return tries.missing;
  };
  const ends = [[null, "cleared"], [{ ended: false, stopped: true }, "interrupted"], [{ ended: false, stopped: false }, "failed"], [{ ended: true }, "noPicture"]];
  for (const [job, why] of ends) {
    const ended = job && { prompt: PROMPT, outputs: {}, ...job };
    assert.deepEqual(await half({ job: async (id) => (id === "q0" ? ended : known("job")) }), { n: 1, of: 2, why });
  }
  assert.equal((await half({ queue: async () => null })).why, "refused");
});

test("three jobs at first; about the first good picture two more are queued, once, and every click is stored", async () => {
  const host = editor({ fails: [11.2] });
  const stored = [];
  const tries = new FindRange(host, { run: RUN, record: RECORD }, () => {}, (picks) => stored.push(picks));
  const picked = () => stored.at(-1).picks.map(({ cfg, good }) => [cfg, good]);
  await tries.begin();
  assert.deepEqual(tries.cards.map(({ cfg }) => cfg), [4, 8, 16]);
  for (const { workflow } of host.queued.values()) assert.match(workflow.extra.guidance_geometry.key, /^try-.{1,60}$/, "the tab does not list them");
  tries.judge(tries.cards[1]);
  assert.deepEqual([stored[0].model, picked()], [{ name: "m", key: "ab" }, [[4, false], [8, true], [16, false]]]);
  await tries.looked;
  assert.deepEqual(tries.cards.map(({ cfg, state }) => [cfg, state]), [[4, "there"], [5.7, "there"], [8, "there"], [11.2, "failed"], [16, "there"]]);
  assert.ok(tries.isDone);
  tries.judge(tries.cards[1]);
  assert.deepEqual(picked(), [[4, false], [5.7, true], [8, true], [16, false]]);
  assert.equal(host.queued.size, 4, "at most five runs in all");
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
  const found = promptAt(JUDGED, PLACE, 2, shownBy({ prompt: JUDGED, outputs: {} }, "4", NO_GRAPH), judge);
  assert.deepEqual(Object.keys(found).sort(), ["1", "20", "21", "4", "8", "gg-judge", "gg-try"]);
});

test("a judge clicks what it finds about as good as its best, after a further look, and its name is stored with it", async () => {
  const host = editor();
  const scores = { 4: -0.3, 5.7: -0.1, 8: -0.05, 11.2: -0.2, 16: -4 };
  const job = host.job;
  host.job = async (id) => {
    const score = scores[host.queued.get(id)?.prompt[4].inputs.cfg ?? 8];
    const done = await job(id);
    return { ...done, prompt: JUDGED, outputs: { ...done.outputs, [host.queued.has(id) ? "gg-judge" : "22"]: { judge: [score], judge_name: ["CLIP"] } } };
  };
  const stored = [];
  const tries = new FindRange(host, { run: RUN, record: RECORD }, () => {}, async (picks) => stored.push(picks));
  assert.equal(tries.judgeName(), null, "nothing is there yet");
  await tries.begin();
  await tries.judgeChooses();
  assert.deepEqual(stored[0].picks.map(({ cfg, good, by }) => [cfg, good, by]), [[4, false, "CLIP"], [5.7, true, "CLIP"], [8, true, "CLIP"], [11.2, true, "CLIP"], [16, false, "CLIP"]]);
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

test("beside a run stands what is suggested, half of it where only too strong or nothing is known, and else nothing", () => {
  assert.equal(scaleToSee({ colour: "above", cfg: 8, suggested: 2.7 }), 2.7);
  assert.equal(scaleToSee({ colour: "off", cfg: 1, suggested: 2.7 }), 2.7);
  assert.equal(scaleToSee({ colour: "above", cfg: 8, suggested: null }), 4);
  assert.equal(scaleToSee({ colour: "above", cfg: 1.5 }), 1);
  assert.equal(scaleToSee({ colour: "unclear", cfg: 8, headline: { id: "head.unmeasured" } }), 4, "nothing is known of the model");
  for (const report of [null, { colour: "above", cfg: null }, { colour: "above", cfg: 1 }, { colour: "unclear", cfg: 8 }]) assert.equal(scaleToSee(report), null);
});

test("why is at most three sentences, and the numbers behind it say nothing twice", () => {
  const sentence = (en) => ({ en, zh: `${en} zh` });
  const [why, reasons] = [["a", "b", "c", "d"], ["c", "e"]].map((part) => part.map(sentence));
  const report = { headline: sentence("h"), colour: "above", why, reasons, findings: [] };
  const found = verdictOf({ report });
  assert.deepEqual([found.why, found.reasons, found.errand], [["a", "b", "c"], ["e"], null]);
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

test("a try sets what Use will set: where the number is held, or the sampler alone where that computes", async () => {
  const graph = { links: { 1: { origin_id: 2, origin_slot: 0, target_id: 4, target_slot: 0 } }, nodes: [] };
  graph.nodes = [{ id: 2, graph, inputs: [], widgets: [{ name: "value", value: 8 }] }, { id: 4, graph, inputs: [{ name: "cfg", widget: { name: "cfg" } }], widgets: [{ name: "cfg", value: 1 }] }];
  const wired = { ...PROMPT, 2: { class_type: "Number", inputs: { value: 8 } }, 4: { ...PROMPT[4], inputs: { ...PROMPT[4].inputs, cfg: ["2", 0] } } };
  const run = async () => {
    const job = async (id) => ({ prompt: wired, workflow: {}, ended: true, outputs: { [id === "job" ? "9" : "gg-try"]: { images: [{ filename: "a.png" }] } } });
    const host = Object.assign(editor(), { root: () => graph, job });
    await new TryHalf(host, { run: RUN, record: RECORD }, () => {}).begin();
    const { 2: number, 4: sampler } = [...host.queued.values()][0].prompt;
    return [number?.inputs.value, sampler.inputs.cfg];
  };
  assert.deepEqual(await run(), [4, ["2", 0]]);
  wired[2].inputs.value = 64;
  assert.deepEqual(await run(), [undefined, 4]);
});

test("what is stored is told for the model and the kind of sampler of the run alone", () => {
  const picks = [[4, true], [6, true], [9, false]].map(([cfg, good]) => ({ cfg, good, sampler_class: "ode", chain: "CFG", knob: "cfg" }));
  const stored = { picks: [...picks, { cfg: 1, good: true, sampler_class: "sde" }], ranges: { ode: [4, 7.3] } };
  assert.deepEqual(rangeOf(stored, RECORD), { low: 4, high: 7.3, middle: 5.4, chosen: [4, 6], judges: [], yours: true });
  assert.equal(rangeOf(stored, { report: { sampler_class: "ode-few" } }), null);
  const judged = rangeOf({ ...stored, picks: picks.map((pick, i) => ({ ...pick, by: i ? "CLIP" : null })) }, RECORD);
  assert.deepEqual([judged.judges, judged.yours], [["CLIP"], true]);
  const kept = (plain, chain) => picksOf({ ...RECORD, chain, report: { ...RECORD.report, plain } }, [{ cfg: 4, state: "there" }]).picks[0].chain;
  assert.deepEqual([kept(true, "CFGGuider"), kept(false, "CFGGuider")], ["CFG", "CFGGuider"], "what another pack's patch changed is no plain run");
  assert.deepEqual([kept(true, "CFG"), kept(false, "CFG"), kept(false, null)], ["CFG", "rules", "rules"], "under no chain of ours, too");
});

test("a mix is u + gamma (c - u) of the row that is shown, rounded and clipped once", () => {
  const values = new Int16Array([0, 0, 0, 100, 200, 301, 9, 9, 9, 200, 100, 32767]); // u and c, two rows, one pixel
  const pair = { values, scale: 1 / 1000, size: [1, 1], rows: 2 };
  const target = new Uint8ClampedArray(4);
  assert.deepEqual([...mixPixels(pair, 1, 0, target)], [26, 51, 77, 255]); // .1, .2, .3
  assert.deepEqual([...mixPixels(pair, 1, 3, target)], [102, 0, 255, 255]); // .4, -.1, 97.7
});

test("what if leaves room for the picture only where there is one", () => {
  const { figure } = viewOf("whatif");
  for (const [w, h] of [[900, 420], [300, 560]]) {
    const options = { w, h, theme: LIGHT, step: 3, gamma: 5, mix: () => ({ i: 3, row: 0 }) };
    const [sheet] = figure(fixture("euler"), options);
    const { x, y, w: pw, h: ph, gamma } = sheet.picture;
    assert.ok(x >= 0 && y >= 0 && x + pw <= w && y + ph <= h && pw > 40 && ph > 30, `${w} x ${h}`);
    assert.equal(gamma, 5);
    assert.equal(figure(fixture("euler"), { ...options, mix: () => null })[0].picture, undefined);
  }
});
