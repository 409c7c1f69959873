/** Figures keep the rules of honest drawing on every record, at every size and scale. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { paint } from "../../web/lib/canvas.mjs";
import { boxOf } from "../../web/lib/commands.mjs";
import { proxies, runOf } from "../../web/lib/curves.mjs";
import { defaultSample, sampleOf, stepOf } from "../../web/lib/gram.mjs";
import { meets } from "../../web/lib/layout.mjs";
import { settledFrom } from "../../web/lib/matrix.mjs";
import { metric } from "../../web/lib/metrics.mjs";
import { sceneOf } from "../../web/lib/scene.mjs";
import { toSVG } from "../../web/lib/svg.mjs";
import { DARK, LIGHT } from "../../web/lib/theme.mjs";
import { VIEWS } from "../../web/lib/views.mjs";
import { gammaRange } from "../../web/lib/whatif.mjs";
import { called, fixture, NAMES, read } from "./records.mjs";

const FIGURES = Object.fromEntries(VIEWS.filter(({ figure }) => figure).map((view) => [view.name, view]));
const SIZES = [[360, 240], [600, 420], [1200, 675]];
const GAMMAS = [undefined, 0.5, 2, 30];

const words = (command) => command.runs.map((run) => run.t).join("");

/** Every step or, in long runs, some of them. */
function shown(record) {
  const all = (record.steps ?? []).map((step) => step.i);
  return all.length > 12 ? [all[0], all[all.length >> 1], all.at(-1)] : all.length ? all : [0];
}

function* drawings(names, figures = Object.keys(FIGURES), sizes = SIZES, scales = GAMMAS) {
  for (const name of names) {
    const record = fixture(name);
    for (const title of figures) {
      const gammas = title === "whatif" ? scales : [undefined];
      for (const [w, h] of sizes) for (const step of shown(record)) for (const gamma of gammas) {
        const commands = FIGURES[title].figure(record, { w, h, theme: LIGHT, step, gamma });
        yield { commands, record, step, gamma, w, h, where: `${title} of ${name}, step ${step}, scale ${gamma}, ${w}x${h}` };
      }
    }
  }
}

for (const name of NAMES) {
  test(`texts of ${name} are large enough, stay on the sheet and keep apart`, () => {
    for (const { commands, w, h, where } of drawings([name])) {
      const texts = commands.filter((command) => command.op === "text");
      assert.ok(texts.length > 0, where);
      const boxes = texts.map((text) => ({ ...boxOf(text), words: words(text) }));
      for (const [k, box] of boxes.entries()) {
        assert.ok(texts[k].size >= 11, `${where}: ${box.words} is too small`);
        const inside = box.x >= 0 && box.y >= 0 && box.x + box.w <= w && box.y + box.h <= h;
        assert.ok(inside, `${where}: ${box.words} leaves the sheet at ${[box.x, box.y, box.w, box.h].map(Math.round)}`);
        for (const other of boxes.slice(0, k)) assert.ok(!meets(box, other, -1), `${where}: ${box.words} on ${other.words}`);
      }
    }
  });
}

test("every SVG is well formed and holds no number that is not one", () => {
  for (const { commands, where } of drawings(NAMES, Object.keys(FIGURES), SIZES.slice(1, 2), [undefined, 30])) {
    const svg = toSVG(commands, { title: "a < b & \"c\"" });
    assert.doesNotMatch(svg, /NaN|Infinity|undefined|null/, where);
    assert.ok(wellFormed(svg), where);
  }
});

/** Tags balance, attributes are quoted, and no bare markup is left in texts. */
function wellFormed(svg) {
  const open = [];
  let at = 0;
  for (const found of svg.matchAll(/<(\/?)([A-Za-z]+)((?:\s+[\w:-]+="[^"<&]*(?:&(?:amp|lt|gt|quot|#39);[^"<&]*)*")*)\s*(\/?)>/g)) {
    if (/[<>]|&(?!amp;|lt;|gt;|quot;|#39;)/.test(svg.slice(at, found.index))) return false;
    at = found.index + found[0].length;
    if (found[1]) {
      if (open.pop() !== found[2]) return false;
    } else if (!found[4]) open.push(found[2]);
  }
  return open.length === 0 && at === svg.length;
}

test("positions are the record's coordinates times the printed scale and gain", () => {
  let lenses = 0;
  for (const { commands, record, step, where, w } of drawings(NAMES, ["plane"])) {
    const at = stepOf(record, step);
    const [x] = called(commands, "x");
    if (!x || at.stage === "cond_only") continue; // of that only the step is known
    const [bar] = called(commands, "bar");
    assert.ok(bar || w < 420, `${where} has no scale bar`);
    if (!bar) continue;
    const scale = (bar.points[1][0] - bar.points[0][0]) / read(words(called(commands, "bar-text")[0]));
    const { points: places } = sceneOf(record, { step });
    const [frameBox] = called(commands, "frame");
    const title = called(commands, "lens-title")[0];
    const gain = title ? Number(words(title).match(/\u00d7(\d+)/)[1]) : 1;
    assert.equal(Boolean(frameBox), Boolean(title), where);
    assert.ok(!title || (gain >= 2 && Number.isInteger(Math.log2(gain))), where);
    lenses += title ? 1 : 0;
    const origin = called(commands, "u")[0];
    for (const role of ["u", "c", "G"]) {
      const [mark] = called(commands, role);
      const offset = [0, 1].map((k) => (places[role][k] - places.u[k]) * scale * gain);
      assert.ok(Math.hypot(mark.x - origin.x + offset[0], mark.y - origin.y - offset[1]) < 0.5, `${where} ${role}`);
      const overview = called(commands, `overview-${role}`)[0] ?? (title ? null : mark);
      const ideal = [x.x - places[role][0] * scale, x.y + places[role][1] * scale];
      assert.ok(Math.hypot(overview.x - ideal[0], overview.y - ideal[1]) < 0.5, `${where} ${role}`);
    }
  }
  assert.ok(lenses > 20);
});

test("noise is drawn at its length or carries a cut mark and its length in words", () => {
  let [cuts, whole] = [0, 0];
  for (const { commands, record, step, where } of drawings(["ddpm", "batch_16"], ["plane"])) {
    const [noise] = called(commands, "noise");
    const [bar] = called(commands, "bar");
    if (!noise || !bar) continue;
    const scale = (bar.points[1][0] - bar.points[0][0]) / read(words(called(commands, "bar-text")[0]));
    const ideal = metric("M8", sampleOf(stepOf(record, step), defaultSample(record))) * scale;
    const [[x0, y0], [x1, y1]] = noise.points;
    const drawn = Math.hypot(x1 - x0, y1 - y0);
    const cut = called(commands, "cut").length > 0;
    assert.equal(cut, drawn < 0.99 * ideal, where);
    if (cut && called(commands, "words-noise").length) assert.match(words(called(commands, "words-noise")[0]), /rms .*cut/);
    if (!cut) assert.ok(Math.abs(drawn - ideal) < 0.5, where);
    cuts += cut ? 1 : 0;
    whole += cut ? 0 : 1;
  }
  assert.ok(cuts > 0 && whole > 0, `${cuts} cut, ${whole} whole`);
});

test("the what-if arrow follows the scale and nothing else moves", () => {
  const record = fixture("euler");
  for (const [w, h] of SIZES) {
    const draw = (gamma) => FIGURES.whatif.figure(record, { w, h, theme: DARK, step: 4, gamma });
    const [still, moved] = [draw(2), draw(7)];
    for (const role of ["x", "u", "c"]) assert.deepEqual(called(still, role)[0], called(moved, role)[0]);
    const [u, c] = ["u", "c"].map((role) => called(still, role)[0]);
    const G = called(moved, "G")[0];
    assert.ok(Math.hypot(u.x + 7 * (c.x - u.x) - G.x, u.y + 7 * (c.y - u.y) - G.y) < 1e-6);
    assert.ok(called(moved, "caption").some((line) => words(line).includes("this step only")));
  }
  assert.equal(gammaRange(record), 8);
});

test("what cannot be drawn is said", () => {
  const said = (name, step, figure = "plane") =>
    FIGURES[figure].figure(fixture(name), { w: 420, h: 300, theme: LIGHT, step }).filter(({ op }) => op === "text").map(words).join(" ");
  const hole = fixture("hole");
  const gone = hole.steps.map(({ i }) => i + 1).find((i) => !stepOf(hole, i));
  const cases = [
    ["missing_uncond", 3, "plane", /no prediction without the prompt/], ["nan", 3, "plane", /broke down/], ["equal", 1, "plane", /same/],
    ["zero_step", 1, "plane", /no length/], ["hole", gone, "plane", /no record/], ["gamma_30", 2, "plane", /one line/],
    ["gamma_1", 0, "matters", /pushed at no step/], ["euler", 0, "lengths", /adds no noise/],
  ];
  for (const [name, step, figure, word] of cases) assert.match(said(name, step, figure), word);
  for (const title of Object.keys(FIGURES)) {
    assert.match(said("empty", 0, title), /no steps yet/, title);
    const commands = FIGURES[title].figure(fixture("batch_200"), { w: 420, h: 300, theme: LIGHT, step: 0, sample: 1 });
    assert.ok(commands.some((command) => command.op === "text" && words(command).includes("sample 1 was not sent")), title);
  }
});

test("a step with one prediction is drawn at its length, on the way to that prediction", () => {
  const record = fixture("missing_uncond");
  const at = stepOf(record, 3);
  const drawn = FIGURES.plane.figure(record, { w: 420, h: 300, theme: LIGHT, step: 3 });
  const [[step], [bar], [way]] = ["step", "bar", "ray-c"].map((name) => called(drawn, name));
  const pixels = step.points[0][0] - called(drawn, "next")[0].x;
  const long = metric("M7", sampleOf(at, defaultSample(record)));
  assert.ok(Math.abs(pixels / (bar.points[1][0] - bar.points[0][0]) - long / bar.length) < 0.01 * (long / bar.length));
  assert.equal(way.points[0][1], way.points[1][1]);
});

/** A run of which nothing is known at some steps: not measured, as from a cache, or no longer numbers. */
const lost = (change, at = () => true) => {
  const blank = ({ m, n = [], K, at: places = [] }) => ({ K: K.map(() => null), n: n.map(() => null), at: places.map(() => null), m: Object.fromEntries(Object.keys(m).map((name) => [name, null])) });
  const { steps, ...whole } = fixture("euler");
  return { ...whole, steps: steps.map((step) => (at(step.i) ? { ...step, ...change, samples: step.samples.map(blank) } : step)) };
};

for (const [name, run, reason] of [
  ["unmeasured", lost({ evals: null, gamma: null }), /nothing was measured/i],
  ["some unmeasured", lost({ evals: null }, (i) => i % 2), /nothing was measured/i],
  ["broken", lost({}), /numbers broke down/],
]) {
  test(`no figure gives a false reason for what is unknown: ${name}`, () => {
    for (const { name: view, figure } of VIEWS.filter((one) => one.figure)) {
      const drawn = figure(run, { w: 640, h: 420, theme: LIGHT, step: 1, sample: 0 });
      const said = drawn.filter(({ op }) => op === "text").map(words).join(" ");
      assert.doesNotMatch(said, /Raise cfg|does not show how far|one prediction alone|both predictions/, view);
      if (!called(drawn, "axis").length) assert.match(said, reason, view);
    }
  });
}

test("the area between two estimates does not go over steps at which they are unknown", () => {
  const steps = fixture("missing_uncond").steps.filter(({ stage }) => stage === "cond_only").map(({ i }) => i);
  const drawn = FIGURES.matters.figure(fixture("missing_uncond"), { w: 640, h: 420, theme: LIGHT, sample: 0 });
  const places = new Map(drawn[0].places.at);
  const areas = called(drawn, "between").map(({ points }) => points.map(([x]) => x));
  assert.ok(areas.length > 0);
  for (const xs of areas) for (const i of steps) assert.ok(places.get(i) < Math.min(...xs) || places.get(i) > Math.max(...xs), `step ${i}`);
});

test("shares of the push add up, and the window that was chosen is shaded", () => {
  const record = fixture("ddpm");
  const { rows, unknown } = proxies(runOf(record, { sample: 0 }));
  for (const name of ["push", "contracted"]) assert.ok(Math.abs(rows.reduce((sum, row) => sum + row[name], 0) - 1) < 1e-9);
  assert.equal(unknown, 0);
  const drawn = FIGURES.matters.figure(record, { w: 700, h: 460, theme: LIGHT, step: 0, sample: 0 });
  const [[first, last], at] = [record.choices.window[0], new Map(drawn[0].places.at)];
  const [box] = called(drawn, "held").map(({ points }) => points.map(([x]) => x));
  assert.ok(box[0] < at.get(first) && at.get(last) < box[1] && !(at.get(last + 1) < box[1]));
  const { choices, ...going } = record;
  assert.equal(called(FIGURES.matters.figure(going, { w: 700, h: 460, theme: LIGHT, step: 0, sample: 0 }), "held").length, 0);
});

test("a number that is not finite becomes an omitted mark and a note, in both back ends", () => {
  const commands = [{ op: "sheet", w: 100, h: 50, fill: "#fff", label: "" }, { op: "line", points: [[0, NaN], [1, 2]], stroke: "#000", width: 1 },
    { op: "text", x: 4, y: 12, runs: [{ t: "<&\u0001>\ud800" }], size: 11, fill: "#000", anchor: "start" }];
  const svg = toSVG(commands);
  assert.match(svg, /1 mark left out/);
  assert.match(svg, /&lt;&amp;&gt;/);
  assert.ok(wellFormed(svg) && !svg.includes("NaN") && !svg.includes("polyline"));
  const painted = canvas();
  paint(commands, painted.context, 2);
  assert.ok(painted.texts.includes("1 mark left out: a value is not finite"));
});

test("the canvas paints every figure without a number that is not one", () => {
  for (const { commands } of drawings(["euler", "ddpm", "nan", "rule"], Object.keys(FIGURES), SIZES.slice(1, 2), [8])) {
    const painted = canvas();
    paint(commands, painted.context, 2);
    assert.equal(painted.depth(), 0);
    assert.ok(painted.numbers.every(Number.isFinite));
    for (const text of commands.filter(({ op }) => op === "text")) for (const run of text.runs) assert.ok(painted.texts.includes(run.t));
  }
});

/** A 2D context that notes what it is told. */
function canvas() {
  const [numbers, texts] = [[], []];
  let depth = 0;
  const note = (...values) => numbers.push(...values.filter((value) => typeof value === "number"));
  const context = { measureText: (text) => ({ width: 6 * text.length }), setLineDash: (dash) => note(...dash) };
  for (const name of ["setTransform", "clearRect", "fillRect", "beginPath", "moveTo", "lineTo", "closePath", "arc", "fill", "stroke"]) context[name] = note;
  for (const name of ["fillText", "strokeText"]) context[name] = (text, ...at) => (texts.push(text), note(...at));
  context.save = () => (depth += 1);
  context.restore = () => (depth -= 1);
  return { context, numbers, texts, depth: () => depth };
}

test("live steps without a header, with holes, are drawn as far as they go", () => {
  const record = fixture("euler");
  const steps = record.steps.map((step) => (step.i % 3 ? step : null));
  for (const title of Object.keys(FIGURES)) {
    const commands = FIGURES[title].figure({ steps }, { w: 420, h: 300, theme: {} });
    assert.ok(commands.length > 12, title);
    assert.doesNotMatch(toSVG(commands), /NaN|undefined|null/);
    assert.ok(FIGURES[title].figure({}, { w: 420, h: 300, theme: LIGHT }).some(({ op }) => op === "text"));
  }
  const [said] = called(FIGURES.plane.figure({ steps }, { w: 420, h: 300, theme: {}, step: 0 }), undefined).filter(({ op }) => op === "text");
  assert.match(words(said), /no record of this step/);
});

test("a matrix of directions is drawn where a record has one", () => {
  const record = fixture("audio");
  const n = record.steps.length;
  const cosines = Array.from({ length: n }, (_, i) => Array.from({ length: n - i }, (__, j) => 1 - 0.3 * j)).flat();
  const directions = { steps: record.steps.map((step) => step.i), error: 0.012, samples: [cosines, cosines] };
  for (const [w, h] of SIZES) {
    const commands = FIGURES.direction.figure({ ...record, directions }, { w, h, theme: LIGHT });
    const cells = called(commands, "cell");
    assert.equal(cells.length, n * n);
    const [first] = cells;
    assert.ok(Math.abs(first.points[1][0] - first.points[0][0] - (first.points[2][1] - first.points[1][1])) < 1e-9);
    assert.equal(called(commands, "norm").length, n);
    assert.ok(commands.some((command) => command.op === "text" && words(command).includes("\u00b10.01")));
  }
});

test("squares of step and noise fill a hundred percent, and the step's share is the one of the lengths", () => {
  const record = fixture("ddpm");
  const commands = FIGURES.lengths.figure(record, { w: 600, h: 420, theme: LIGHT, step: 4 });
  const [steps, noises] = ["step-square", "noise-square"].map((name) => called(commands, name));
  assert.equal(steps.length, record.steps.length);
  const height = ({ points }) => points[2][1] - points[0][1];
  const sample = defaultSample(record);
  for (const [k, step] of record.steps.entries()) {
    const [move, noise] = ["M7", "M8"].map((name) => metric(name, sampleOf(step, sample)) ** 2);
    assert.ok(Math.abs(height(steps[k]) / (height(steps[k]) + height(noises[k])) - move / (move + noise)) < 1e-9);
    assert.ok(Math.abs(height(steps[k]) + height(noises[k]) - height(steps[0]) - height(noises[0])) < 1e-9);
  }
});

test("bands stand around the curves of a batch, and a batch of two has none", () => {
  const bands = (name, view, mark) => called(FIGURES[view].figure(fixture(name), { w: 600, h: 420, theme: LIGHT }), mark).length;
  assert.ok(bands("batch_16", "lengths", "band") > 0 && bands("batch_16", "matters", "whisker") > 0);
  assert.equal(bands("flow", "lengths", "band"), 0);
});

test("a direction is settled from the first step that all later ones follow", () => {
  const cosines = [1, 0.5, 0.5, 0.5, 1, 0.95, 0.92, 1, 0.99, 1];
  assert.equal(settledFrom([0, 4, 8, 12], cosines), 4);
  assert.equal(settledFrom([0, 4, 8, 12], cosines.map((value) => (value === 1 ? 1 : 0))), null);
  assert.equal(settledFrom([0, 4, 8, 12], cosines.map(() => 1)), 0);
  assert.equal(settledFrom([0, 1, 2], [null, null, null, 1, 0.99, 1]), 1);
});

test("40,000 steps, as of several long stages, are drawn", () => {
  const record = fixture("euler");
  const n = 40_000;
  const steps = Array.from({ length: n }, (_, i) => ({ ...record.steps[i % record.steps.length], i, n }));
  const long = { ...record, n, steps };
  for (const view of VIEWS.filter(({ figure }) => figure)) {
    const commands = view.figure(long, { w: 700, h: 400, theme: DARK, step: n / 2, sample: 0 });
    assert.ok(commands.length > 2, view.name);
  }
});

test("a drawing without its caption has that room, and tells it aloud all the same", () => {
  const options = { w: 448, h: 294, theme: DARK, step: 3, sample: 0 };
  for (const { figure } of Object.values(FIGURES)) {
    const [whole, bare] = [true, false].map((captioned) => figure(fixture("euler"), { ...options, captioned }));
    assert.ok(whole.some(({ name }) => name === "caption") && bare.every(({ name }) => name !== "caption"));
    assert.equal(bare[0].label, whole[0].label);
    if (whole[0].places) assert.ok(bare[0].places.bottom > whole[0].places.bottom);
  }
});

test("why a step has no plane is said as it is: what was taken over is drawn, what nobody saw is not called alone", () => {
  const whole = fixture("euler");
  const at = (stage, known) => {
    const samples = whole.steps[0].samples.map((one) => ({ ...one, K: one.K.map((value) => (known ? value : null)) }));
    const steps = whole.steps.map((step) => ({ ...step, stage, samples: step.samples && samples }));
    return sceneOf({ ...whole, steps }, { step: 0, sample: 0 }).kind ?? null;
  };
  for (const stage of ["reuse", "from_zero"]) assert.equal(at(stage, true), null, stage);
  for (const [stage, kind] of [["skip", "unseen"], ["unseen", "unseen"], ["from_zero", "zero"], ["cond_only", "alone"]]) assert.equal(at(stage, false), kind, stage);
});
