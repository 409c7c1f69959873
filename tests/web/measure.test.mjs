import assert from "node:assert/strict";
import test from "node:test";
import { Advice, saidOf } from "../../web/lib/advice.mjs";
import { curvePlot, leftOf, RIGHT } from "../../web/lib/curve-plot.mjs";
import { Flicker } from "../../web/lib/flicker.mjs";
import { costOf, isDecided, MeasureModel, PICTURES, valuesFor } from "../../web/lib/measure-model.mjs";
import { askingPrompt, LikedPictures } from "../../web/lib/liked-pictures.mjs";
import { saidAt } from "../../web/lib/present.mjs";
import { knobOf } from "../../web/lib/run-knobs.mjs";
import { speaker } from "../../web/lib/strings.mjs";
import { editor, PROMPT, RECORD, RUN } from "./hosts.mjs";

const t = speaker("en");
const CFG = knobOf(RECORD);
const FINISHED = { ...RECORD, batch: 1, n: 20, steps: [{ sigma_next: 0 }] };
const LORA = { key: "strength_model, detail, cfg 8", kind: "lora", name: "strength_model", value: 0.8, title: "Load LoRA", what: "detail", node: "2", input: "strength_model", limits: [0, 100], model: "ab+0" };
const SHARE = { key: "phi, GGRescale", kind: "rule", name: "phi", value: 0.5, limits: [0, 1] };

test("values to measure at begin where nothing guides, and the run's own is among them", () => {
  assert.deepEqual(valuesFor(4, CFG), [1, 1.5, 2.5, 4, 6, 9, 14]);
  assert.deepEqual(valuesFor(4.3, CFG), [1, 1.5, 2.5, 4.3, 6, 9, 14]);
  assert.deepEqual(valuesFor(30, CFG).at(-1), 30, "beyond the last one it is one more");
  assert.deepEqual(valuesFor(1.1, CFG)[0], 1, "where nothing guides is never replaced");
  assert.deepEqual(valuesFor(0.8, LORA), [0, 0.25, 0.5, 0.8, 1, 1.25, 1.5], "of a LoRA from nothing of it on");
  assert.deepEqual([valuesFor(0.1, LORA)[0], valuesFor(2, LORA).at(-1), valuesFor(0, LORA)[1]], [0, 2, 0.25]);
  const shares = valuesFor(0.5, SHARE);
  assert.ok(shares.includes(0.5) && shares.every((value) => value > 0 && value <= 1), String(shares));
  for (let own = 0.3; own < 40; own *= 1.3) {
    const found = valuesFor(own, CFG);
    assert.ok(found.includes(own) && found.includes(1), String(found));
    assert.deepEqual(found, [...new Set(found)].sort((one, other) => one - other));
  }
});

test("what it costs is told in runs like this one: those that sample, and those that ask", () => {
  assert.deepEqual(costOf({ batch: 1, evaluations: 24 }, [1, 2], 3), { values: 2, pictures: 3, runs: 12 });
  assert.equal(costOf({ batch: 4, evaluations: 96 }, [1, 2], 8).runs, 8, "a batch makes four of them at once");
  assert.equal(costOf({ n: 12 }, [1], 1).runs, 2);
});

test("it stops early only where the first mark is narrow and the measure applies", () => {
  const sure = { pictures: 4, measured: [5, 4.5, 5.5], gate: { applies: true, sure: true } };
  assert.ok(isDecided(sure));
  assert.ok(isDecided({ ...sure, gate: null }));
  for (const change of [{ pictures: 3 }, { measured: null }, { measured: [5, null, null] }, { measured: [5, 4, 6] }, { gate: { applies: false, sure: false } }]) assert.ok(!isDecided({ ...sure, ...change }), JSON.stringify(change));
});

/** A host that remembers what it was asked about, and answers with these curves, one after another. */
function host(curves, more = {}) {
  const found = Object.assign(editor(more), { asked: [], curves: async (method, asked) => (found.asked.push(asked), curves.length > 1 ? curves.shift() : curves[0]) });
  return found;
}
const measuring = (at, record = FINISHED) => new MeasureModel(at, { run: RUN, record }, () => {}, async () => {}, (asked) => at.curves("POST", asked));
const inputs = (at) => [...at.queued.values()].map(({ prompt }) => [prompt[4].inputs.cfg, prompt[4].inputs.seed]);
const flags = (at) => [...at.queued.values()].map(({ workflow }) => workflow.extra.guidance_geometry);
const UNSURE = { curves: [{ pictures: 1, measured: null, gate: null }] };

test("every value gets a seed before any gets the next, each is asked about, and the graph's own seed is the first", async () => {
  const at = host([UNSURE]);
  const tries = measuring(at);
  await tries.begin();
  const values = valuesFor(8, CFG);
  assert.deepEqual(inputs(at).slice(0, 14), [0, 1].flatMap((k) => values.map((value) => [value, 5 + k])));
  assert.equal(at.queued.size, 7 * PICTURES);
  assert.ok(flags(at).every(({ measure, record, key, apart }) => measure === 1 && record && apart && /^try-/.test(key)));
  assert.equal(at.asked.length, PICTURES, "after every seed");
  assert.equal(at.asked.at(-1).runs.length, 7 * PICTURES);
  assert.equal(at.asked[0].knob, "cfg");
  assert.deepEqual([tries.isDone, tries.pictures], [true, PICTURES]);
  await tries.more();
  assert.deepEqual([tries.pictures, inputs(at).at(-1)], [2 * PICTURES, [14, 5 + 2 * PICTURES - 1]]);
});

test("it ends when the answer is clear, when a value fails at once, and when somebody stops it", async () => {
  const decided = host([UNSURE, { curves: [{ pictures: 4, measured: [5, 4.8, 5.2], gate: null }] }]);
  await measuring(decided).begin();
  assert.equal(decided.queued.size, 14);
  const failing = host([UNSURE], { fails: [6] });
  const some = measuring(failing);
  await some.begin();
  assert.equal(failing.queued.size, 7, "no further seed");
  assert.equal(some.missing.n, 1);
  const stopped = host([UNSURE]);
  const tries = measuring(stopped);
  stopped.curves = async () => (tries.halt(), UNSURE);
  await tries.begin();
  assert.deepEqual([stopped.queued.size, tries.isDone, tries.pictures], [7, true, 1]);
});

test("what waits in the queue is taken out of it when somebody stops, and what is there stays", async () => {
  const at = host([UNSURE]);
  const tries = measuring(at);
  at.inQueue = async () => ["q3"]; // one waits
  const begun = tries.begin();
  for (let k = 0; k < 50 && tries.waits.size !== 1; k += 1) await new Promise((done) => setTimeout(done));
  tries.halt();
  assert.deepEqual(at.dropped, ["q3"]);
  at.job = async (id) => (id === "q3" ? null : { outputs: {} });
  at.inQueue = async () => [];
  await tries.look();
  await begun;
  assert.deepEqual([at.queued.size, tries.isDone], [7, true]);
  assert.equal(tries.cards.filter(({ seeds }) => seeds.length).length, 6);
});

const PAIR = { name: "cfg", values: [4, 8], least: 4, times_as_strange: [[1, null, null], [1.6, 1.4, 1.9]], prompt_strength: [[1.4, 1.2, 1.6], [1.9, 1.7, 2.1]], gate: null };

test("a run is seen beside another value on four seeds or more, and the model is asked about both at once", async () => {
  for (const [batch, seeds] of [[1, 4], [2, 2], [3, 2], [6, 1]]) {
    const at = host([{ curves: [PAIR] }]);
    const advice = new Advice(at);
    const record = { ...FINISHED, batch };
    await advice.see({ run: RUN, record }, 4);
    const pair = advice.pairOf("r");
    assert.deepEqual(inputs(at), Array.from({ length: seeds }, (_, k) => [[8, 5 + k], [4, 5 + k]]).flat());
    assert.ok(flags(at).every(({ measure }) => measure === 1));
    assert.deepEqual(at.asked.map(({ runs, knob, keep }) => [runs.length, knob, keep]), [[2 * seeds, "cfg", false]], "and nothing of it is kept");
    assert.equal(pair.rows.length, seeds, "a row for each picture");
    assert.ok(pair.rows.every(([own, other]) => own.found.k === other.found.k && own.found.run !== other.found.run));
    assert.match(saidOf(pair, t)[0], /^At cfg 8 .* 1.6 times as strange as at cfg 4 \(1.4 to 1.9, same seeds\)\. Both show the prompt\.$/);
  }
});

test("a run that cannot be asked about is shown, and nothing is said of it", async () => {
  const at = host([{ curves: [PAIR] }]);
  const advice = new Advice(at);
  await advice.see({ run: RUN, record: { ...FINISHED, steps: [{ sigma_next: 2 }] } }, 4);
  assert.deepEqual([at.asked, flags(at).map(({ measure }) => measure), saidOf(advice.pairOf("r"), t)], [[], Array(8).fill(0), ["", ""]]);
  assert.equal(advice.pairOf("r").rows.length, 4);
});

test("what is said of two values is no more than was measured", () => {
  const pair = (measured, more = {}) => /** @type {any} */ ({ cards: [{}, {}], isDone: true, pictures: 4, wanted: 4, measured: { ...PAIR, ...measured }, ...more });
  assert.deepEqual(saidOf(null, t), ["", ""]);
  assert.match(saidOf(pair({}, { isDone: false, pictures: 1 }), t)[0], /^1 of 4 pictures/);
  assert.match(saidOf(pair({}), t)[1], /can still be what you want/);
  const turned = { least: 8, times_as_strange: [[1.2, 1.1, 1.3], [1, null, null]] };
  assert.match(saidOf(pair(turned), t)[0], /^At cfg 4 .* as strange as at cfg 8 /);
  for (const [gained, said] of [[[0.5, 0.2, 0.8], "Those at cfg 4 show the prompt less"], [[-0.5, -0.8, -0.2], "Those at cfg 8 show the prompt less"], [[0.1, -0.2, 0.4], "prompt."], [[0.1, null, null], "prompt."]]) assert.match(saidOf(pair({ strength_gained: [[0, 0, 0], gained] }), t)[0], new RegExp(`Both show the prompt.*${said}`.replace(".*prompt.", "\\.$")));
  const lost = saidOf(pair({ pictures: 4, likelier_without: [1, 0] }), t)[0];
  assert.ok(/At cfg 4 the model takes 1 of 4 for pictures without the prompt\.$/.test(lost) && !/Both show/.test(lost), lost);
  const [alike, note] = saidOf(pair({ times_as_strange: [[1, 1, 1], [1.05, 0.9, 1.2]] }), t);
  assert.ok(/as strange as those at cfg 4 \(0.9 to 1.2 times, same seeds\)/.test(alike) && !note, alike);
  assert.match(saidOf(pair({ times_as_strange: [[1, 1, 1], [1.2, 1.02, 1.4]] }), t)[0], /^As far as/, "no more than the digits that are shown");
  assert.deepEqual(saidOf(pair({ times_as_strange: [[1, 1, 1], [1.6, null, null]] }), t), ["", ""], "how sure is not known");
  assert.match(saidOf(pair({ gate: { applies: false, sure: true } }), t)[0], /does not apply/);
  assert.deepEqual(saidOf(pair({ gate: { applies: false, sure: false } }), t), ["", ""]);
  for (const strength of [[[1.4, 1.2, 1.6], [0.6, 0.4, 0.8]], [[1.4, null, null], [1.9, null, null]]]) assert.doesNotMatch(saidOf(pair({ prompt_strength: strength }), t)[0], /Both show/);
  assert.match(saidOf(pair({}), speaker("zh"))[0], /8 .*4 .*1\.6/);
});

const CURVE = {
  name: "cfg", values: [1, 1.5, 2.5, 4, 6, 9, 14], times_as_strange: [[1.02, 1, 1.05], [1.01, 0.99, 1.03], [1, 1, 1], [1.03, 1, 1.06], [1.1, 1.05, 1.15], [1.3, 1.2, 1.4], [1.9, 1.7, 2.2]],
  prompt_strength: [0.95, 1.1, 1.3, 1.4, 1.6, 1.8, 2.2].map((value) => [value, null, null]), variety: [1, 0.95, 0.9, 0.8, 0.75, 0.7, 0.6].map((value) => [value, null, null]),
  measured: [6, 5, 7], seen: [10, 9, 11],
};

test("a person's own pictures are asked about with the model, the prompts and the VAE of the run, at its size", async () => {
  const wires = { model: ["1", 0], positive: ["2", 0], negative: ["3", 0] };
  const prompt = { ...PROMPT, 4: { ...PROMPT[4], inputs: { ...PROMPT[4].inputs, ...wires } }, 8: { class_type: "VAEDecode", inputs: { samples: ["4", 0], vae: ["1", 2] } }, 2: { class_type: "Text", inputs: {} }, 3: { class_type: "Text", inputs: {} } };
  const made = askingPrompt(prompt, "4", ["a.png", "b.png", "c.png"], [64, 48]);
  const of = (kind) => Object.values(made).filter(({ class_type }) => class_type === kind).map(({ inputs }) => inputs);
  assert.deepEqual(of("LoadImage").map(({ image }) => image), ["a.png", "b.png", "c.png"]);
  assert.ok(of("ImageScale").every(({ width, height, crop }) => width === 64 && height === 48 && crop === "center"));
  const { latent, noise_seed, draws, ...asked } = of("GGMeasure")[0];
  assert.deepEqual([asked, made[latent[0]].inputs.vae, of("ImageBatch").length], [wires, ["1", 2], 2]);
  assert.ok(!made[4] && !made[9], "nothing is sampled or saved");
  const guided = { ...prompt, 6: { class_type: "CFGGuider", inputs: { cfg: 3, ...wires } } };
  assert.ok(askingPrompt(guided, "7", ["a.png"], [64, 48]), "a guider has the prompts");
  assert.equal(askingPrompt(PROMPT, "4", ["a.png"], [64, 48]), null);

  const at = host([{ values: [], prompt_strength: [1.4, 1.3, 1.5], value: [3.3, 2.8, 4] }], { known: true });
  at.job = async (id) => ({ prompt, workflow: {}, outputs: at.queued.has(id) ? { "gg-liked-said": { text: ['{"prompt_strength": [1.4, 1.3, 1.5]}'] } } : { 9: { images: [{ filename: "a.png" }] } }, ended: true });
  Object.assign(at, { upload: async ({ name }) => name && `guidance_geometry/${name}`, sizeOf: async () => [64, 48] });
  const mine = new LikedPictures(at, { run: RUN, record: FINISHED, knob: CFG }, () => {});
  await mine.ask([{ name: "a.png" }]);
  assert.deepEqual([mine.isAsking, mine.liked.value[0], at.asked[0]], [false, 3.3, { run: "r", knob: "cfg", prompt_strength: [1.4, 1.3, 1.5] }]);
  assert.deepEqual(flags(at).map(({ record, key }) => [record, key.slice(0, 4)]), [[false, "try-"]], "and no run is listed");
  await mine.ask([{ name: "" }]);
  assert.deepEqual([mine.liked, mine.fault], [null, "mineNotSent"]);
});

/** Texts of a plot: [words, x of their left edge, x of the right one, y]. */
const texts = (svg) => [...svg.matchAll(/<text x="([\d.]+)" y="([\d.]+)" text-anchor="(\w+)">(?:<title>.*?<\/title>)?(.*?)<\/text>/g)].map(([, x, y, anchor, words]) => {
  const wide = 6.2 * words.length; // of letters of 12 pixels
  const left = Number(x) - { start: 0, middle: wide / 2, end: wide }[/** @type {"start"} */ (anchor)];
  return /** @type {[string, number, number, number]} */ ([words, left, left + wide, Number(y)]);
});

test("words of a curve overlap nowhere, whatever its width and wherever its marks lie", () => {
  for (const width of [290, 420, 700, 1000]) {
    for (const [measured, seen, own] of [[6, 10, 14], [5.5, 6.2, 1], [1.2, 1.6, 1.3], [13, null, 2.5], [null, null, null], [8, 13.9, 9]]) {
      const svg = curvePlot({ ...CURVE, measured: measured && [measured, null, null], seen: seen && [seen, null, null] }, own, t, width);
      assert.doesNotMatch(svg, /NaN|undefined|null/);
      const found = texts(svg);
      for (const [one, a, b, y] of found) {
        assert.ok(a >= -1 && b <= width + 1, `${one} at ${width}`);
        for (const [other, c, d, z] of found) assert.ok(one === other || Math.abs(y - z) >= 11 || b <= c + 1 || d <= a + 1, `${one} lies on ${other} at ${width}`);
      }
    }
  }
});

test("every value has a column as wide as the others, also those that have no number yet", () => {
  const centres = (columns) => texts(curvePlot(CURVE, null, t, 700, columns)).slice(-7).map(([, a, b]) => (a + b) / 2);
  const left = leftOf("cfg", t);
  const each = (columns) => (700 - left - RIGHT) / columns;
  centres(CURVE.values).forEach((x, i) => assert.ok(Math.abs(x - left - each(7) * (i + 0.5)) < 1));
  centres([...CURVE.values, 30]).forEach((x, i) => assert.ok(Math.abs(x - left - each(8) * (i + 0.5)) < 1));
});

test("a curve of a knob that begins at nothing is drawn, too, without the run's own value where that lies beyond it", () => {
  const svg = curvePlot({ ...CURVE, name: "phi", values: [0, 0.2, 0.4, 0.6, 0.8, 0.9, 1], measured: null, seen: null, variety: [] }, 3, t);
  assert.doesNotMatch(svg, /NaN|gg-own|variety/);
  assert.match(svg, /class="gg-line"/);
});

test("while it is pressed two pictures take turns twice a second, or stay swapped for those who asked for less motion", (context) => {
  context.mock.timers.enable({ apis: ["setInterval"] });
  for (const calm of [false, true]) {
    /** @type {boolean[]} */ const shown = [];
    const flicker = new Flicker((turned) => shown.push(turned), () => calm);
    flicker.begin();
    flicker.begin();
    context.mock.timers.tick(1100);
    flicker.end();
    flicker.end();
    context.mock.timers.tick(5000);
    assert.deepEqual(shown, calm ? [true, false] : [true, false, true, false]);
  }
});

test("at every value of a curve it is said how it compares with the least strange, in no more than was measured", () => {
  const curve = { ...CURVE, least: 2.5 };
  assert.match(saidAt(curve, 2.5, t), /at cfg 2.5 the least strange/);
  assert.match(saidAt(curve, 14, t), /^At cfg 14 .* 1.9 times as strange as at cfg 2.5 \(1.7 to 2.2, same seeds\)\.$/);
  assert.match(saidAt(curve, 4, t), /^As far as/);
  assert.deepEqual([saidAt(curve, 30, t), saidAt(null, 4, t)], ["", ""], "there was no measure");
});

test("a marked value has its whole column marked", () => {
  const [, x, wide] = curvePlot(CURVE, null, t, 700, CURVE.values, 4).match(/gg-lit" x="([\d.]+)" y="\d+" width="([\d.]+)"/) ?? [];
  const [left, each] = [leftOf("cfg", t), (700 - leftOf("cfg", t) - RIGHT) / 7];
  assert.ok(Math.abs(Number(x) - left - 3 * each) < 1 && Math.abs(Number(wide) - each) < 1);
  assert.doesNotMatch(curvePlot(CURVE, null, t), /gg-lit/);
});
