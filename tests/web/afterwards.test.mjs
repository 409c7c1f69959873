import assert from "node:assert/strict";
import test from "node:test";
import { captionOf } from "../../web/lib/page.mjs";
import { table } from "../../web/lib/panel-record.mjs";
import { status } from "../../web/lib/panel-words.mjs";
import { answers } from "../../web/lib/reading.mjs";
import { sceneOf } from "../../web/lib/scene.mjs";
import { speaker } from "../../web/lib/strings.mjs";
import { DARK } from "../../web/lib/theme.mjs";
import { viewOf } from "../../web/lib/views.mjs";
import { called, fixture } from "./records.mjs";

const t = speaker("en");

/** A run at cfg 1 whose first and last step were evaluated without the condition after it. */
function looked(more) {
  const whole = fixture("gamma_1");
  const blank = whole.steps[0].samples.map(() => ({ K: Array(21).fill(null), m: {} }));
  const steps = whole.steps.map((step) => (step.i % 3 ? { ...step, stage: "cond_only", samples: blank } : { ...step, stage: "afterwards", evals: 1, ...more }));
  const afterwards = { steps: [0, 3], evaluations: 4, against: "the negative", drift: 0 };
  const notes = ["the prediction without the prompt was not made in 4 of 4 steps", "at 2 steps it was evaluated after the run, against the negative: 4 evaluations more"];
  return { ...whole, steps, afterwards, notes };
}

test("a step evaluated after the run is drawn like any with both predictions, and says what it is", () => {
  const run = looked();
  assert.equal(sceneOf(run, { step: 0, sample: 0 }).missing, undefined);
  assert.ok(sceneOf(run, { step: 1, sample: 0 }).missing);
  const pens = (view, step) => called(viewOf(view).figure(run, { w: 700, h: 460, theme: DARK, step, sample: 0, gamma: 4 }), "delta").length;
  for (const view of ["plane", "whatif"]) assert.deepEqual([pens(view, 0) > 0, pens(view, 1)], [true, 0], view);
  const said = (run, step) => status({ run, step, sample: 0, view: "whatif" }, t).join(" ");
  assert.match(said(run, 0), /^At cfg 1 guidance is off\. The prediction without the prompt was made after the run/);
  assert.match(said(run, 1), /only the prediction with the prompt was made/);
  assert.match(said(looked({ kappa: null }), 0), /does not show how far it follows a prediction/);
  const embedded = { ...run, afterwards: { ...run.afterwards, against: "embedded guidance 1" } };
  assert.match(said(embedded, 0), /the same prompt at embedded guidance 1/);
  const [one] = run.steps[0].samples;
  const zero = one.K.map((value, at) => ([2, 7, 11, 12, 13, 14].includes(at) ? 0 : value));
  assert.match(said(looked({ samples: [{ ...one, K: zero }] }), 0), /made after the run.* predictions are the same here/);
  assert.match(captionOf(run, 0, 0), /strength 0\.\d+ .* made after the run/);
  const [head, row] = table(run, 0);
  assert.equal(row[head.indexOf("stage")], "afterwards");
  assert.ok(Number.isFinite(row[head.findIndex((name) => name.startsWith("M2 "))]));
});

test("a step evaluated after the run counts as cfg 1 where the push and what could be saved are told", () => {
  for (const more of [{}, { kappa: null }]) {
    const run = looked(more);
    const drawn = JSON.stringify(viewOf("matters").figure(run, { w: 700, h: 460, theme: DARK, step: 0, sample: 0 }));
    assert.match(drawn, /guidance pushed at no step/);
    const unmeasured = answers(run, 0).at(-1);
    const words = unmeasured.words.join(" ");
    assert.match(words, /^.*At 2 of 4 steps the prediction without the prompt was not made: there is no difference/);
    assert.match(words, /At steps 1, 4 it was made after the run, against the negative \(4 evaluations more\)/);
    assert.doesNotMatch(words, /at 2 steps it was/);
  }
});
