/** The effective scale: a curve with gaps beside cfg, the share across below it, words on top, and the push in the plane. */
import assert from "node:assert/strict";
import test from "node:test";

import { defaultSample, sampleOf, stepOf } from "../../web/lib/gram.mjs";
import { DARK, LIGHT } from "../../web/lib/theme.mjs";
import { viewOf } from "../../web/lib/views.mjs";
import { called, fixture, read } from "./records.mjs";

const words = (command) => command.runs.map((run) => run.t).join("");
const draw = (record, more = {}) => viewOf("effective").figure(record, { w: 700, h: 460, theme: LIGHT, step: 0, ...more });
const top = (record, more) => called(draw(record, more), "acts-like").map(words);

/** A run whose steps acted so: [M19, M19a] of every step, the same for all samples. acted: what Python makes of it. */
function acting(acts, { cfg = 8, ...acted } = {}) {
  const record = fixture("euler");
  const steps = acts.map(([M19, M19a], i) => {
    const { percentiles, ...step } = record.steps[i];
    return { ...step, n: acts.length, samples: step.samples.map((one) => ({ ...one, m: { ...one.m, M19, M19a } })) };
  });
  const [scales, shares] = [0, 1].map((k) => acts.map((pair) => pair[k]).filter((value) => value !== null));
  const [least, most] = scales.length ? [Math.min(...scales), Math.max(...scales)] : [null, null];
  const across = shares.reduce((sum, value) => sum + value, 0) / shares.length;
  const one = { step: 0, window: null, least, most, across, low: Math.min(0, least), high: Math.max(1, most, cfg ?? 1), alone: false, ...acted };
  const choices = { samples: [0, 1, 2, 3], ...Object.fromEntries(Object.entries(one).map(([name, value]) => [name, Array(4).fill(value)])) };
  return { ...record, cfg, n: acts.length, steps, choices };
}

test("what cfg acts like, and what goes across, stand on top in words", () => {
  const record = acting([[1.1, 0.8], [3, 0.3], [5.3, 0.13]]);
  assert.deepEqual(top(record), ["cfg 8 acts like 1.1 to 5.3; 41 % of the push goes across"]);
  assert.deepEqual(top(acting([[2, 0], [3, 0]], { cfg: null })), ["Guidance acts like 2 to 3"]);
  assert.deepEqual(top(fixture("euler")), ["Guidance acts as cfg says: 4"]);
  assert.deepEqual(top(acting([[4, 0.3], [4, 0.3]], { cfg: 4 })), ["cfg 4 acts like 4; 30 % of the push goes across"]);
  assert.deepEqual(top(acting([[2, 0]], { least: null, most: null })), ["What the run as a whole acts like is not known."]);
});

test("a step beyond the axis is a triangle at its rim, and the caption says so; rounding is none", () => {
  const drawn = draw(acting([[2, 0.1], [4, 0.4], [90, 1]], { most: 4, high: 8 }));
  const [beyond, ...others] = called(drawn, "beyond");
  assert.deepEqual(others, []);
  const [line] = called(drawn, "cfg");
  assert.ok(Math.abs(beyond.y - line.points[0][1]) < 1e-9, "at the rim, which is cfg here");
  assert.match(called(drawn, "caption").map(words).join(" "), /leaves out steps that push next to nothing.*triangles: beyond the axis/);
  const rounded = draw(acting([[8, 0], [8, 0], [8.000001, 0]], { most: 8, high: 8 }));
  assert.deepEqual(called(rounded, "beyond"), []);
  assert.doesNotMatch(called(rounded, "caption").map(words).join(" "), /triangles|leaves out/);
});

test("a step that does not know is a gap, never a zero", () => {
  for (const theme of [LIGHT, DARK]) for (const [w, h] of [[360, 240], [360, 640], [960, 540]]) {
    const drawn = draw(acting([[2, 0], [null, null], [3, 0.2], [4, 0.4]]), { w, h, theme });
    const at = drawn[0].places.at.map(([, x]) => x);
    for (const name of h > 300 ? ["scale", "across"] : ["scale"]) {
      assert.deepEqual(called(drawn, `${name}-mark`).map(({ x }) => x), [at[0], at[2], at[3]], `${name} ${w}x${h}`);
      assert.deepEqual(called(drawn, name).map(({ points }) => points.map(([x]) => x)), [[at[2], at[3]]], name);
    }
    assert.ok(called(drawn, "caption").some((chunk) => /gaps: steps whose difference is as small as rounding/.test(words(chunk))));
  }
});

const caption = (record, more) => called(draw(record, more), "caption").map(words).join(" ");

test("where guidance was off, that is said, and not that it acts as cfg says", () => {
  const record = acting([[4, 0], [4, 0], [null, null]], { cfg: 4 });
  const blank = record.steps[2].samples.map((one) => ({ ...one, n: one.n.map(() => null) }));
  record.steps[2] = { ...record.steps[2], gamma: 1, stage: "cond_only", samples: blank };
  assert.deepEqual(top(record), ["Guidance acts as cfg says: 4; guidance was off at 1 of 3 steps"]);
  assert.match(caption(record), /gaps: steps with one prediction alone/);
  assert.doesNotMatch(caption(record), /rounding/);
});

test("a run at cfg 1 that was looked at afterwards was off at all its steps", () => {
  const record = acting([[1, 0], [null, null], [1, 0]], { cfg: 1 });
  const steps = record.steps.map((step, k) => ({ ...step, gamma: 1, stage: k === 1 ? "cond_only" : "afterwards" }));
  assert.deepEqual(top({ ...record, steps }), ["Guidance was off"]);
});

test("the curve stands at its numbers beside cfg", () => {
  const drawn = draw(acting([[2, 0.5], [4, 0.25]]));
  const [cfg] = called(drawn, "cfg");
  const [first, second] = called(drawn, "scale-mark").map(({ y }) => y);
  const unit = (first - second) / 2;
  assert.ok(Math.abs(second - cfg.points[0][1] - 4 * unit) < 1e-9);
  const [half, quarter] = called(drawn, "across-mark").map(({ y }) => y);
  assert.ok(half < quarter);
  assert.equal(words(called(drawn, "cfg-words")[0]), "cfg 8");
});

/** The plane of a step of the run with a rule, whose push goes like this. */
function planeOf(change = {}) {
  const record = fixture("rule");
  const steps = record.steps.map((step) => ({ ...step, samples: step.samples.map((one) => ({ ...one, ...change })) }));
  const drawn = viewOf("plane").figure({ ...record, steps }, { w: 960, h: 540, theme: LIGHT, step: 1 });
  return { drawn, step: stepOf({ steps }, 1), gram: sampleOf(stepOf({ steps }, 1), defaultSample(record)) };
}

test("the plane splits a push into its part along the difference and its part across", () => {
  const { drawn, gram } = planeOf();
  const { M19: scale, M19a: share } = gram.m;
  assert.ok(share > 0.005);
  const [c, u] = ["c", "u"].map((role) => called(drawn, role)[0]);
  const [across] = called(drawn, "across");
  const foot = [u.x + scale * (c.x - u.x), u.y + scale * (c.y - u.y)];
  assert.ok(Math.hypot(across.points[0][0] - foot[0], across.points[0][1] - foot[1]) < 0.01, "along ends at the effective scale");
  const [D] = called(drawn, "D");
  assert.deepEqual(across.points[1], [D.x, D.y]);
  assert.equal(called(drawn, "other").length, 0);
  const caption = called(drawn, "caption").map(words).join(" ");
  assert.match(caption, /acts like .* % of the push across/);
  const [, outside] = caption.match(/of that ([\d.]+) % out of this plane/);
  assert.ok(read(outside) > 0 && read(outside) <= 100);
});

test("a film has a curve of its motion beside the share across, a picture has none", () => {
  const still = acting([[4, 0.1], [4, 0.2]]);
  const steps = still.steps.map((step) => ({ ...step, samples: step.samples.map((one) => ({ ...one, m: { ...one.m, M20: 0.25 } })) }));
  const drawn = draw({ ...still, steps });
  assert.equal(called(drawn, "motion-mark").length, 2);
  assert.match(called(drawn, "caption").map(words).join(" "), /25 % of the difference moves/);
  assert.equal(called(draw(still), "motion-mark").length, 0);
  assert.doesNotMatch(called(draw(still), "caption").map(words).join(" "), /moves/);
});
