import assert from "node:assert/strict";
import test from "node:test";
import { blame, partOf, partsOf, table, withSteps } from "../../web/lib/panel-record.mjs";
import { facts } from "../../web/lib/panel-words.mjs";
import { speaker } from "../../web/lib/strings.mjs";
import { fixture } from "./records.mjs";

const record = fixture("euler");
const told = { STG: { evals: 1, scale: 0.5, size: 0.25 } };
const sound = { ...record, part: "audio", passes: { STG: 3 }, steps: record.steps.map((step) => ({ ...step, passes: told })) };
const whole = { ...record, part: "video", parts: { audio: sound } };

test("a part of a run is a run by itself", () => {
  assert.deepEqual(partsOf(whole), ["video", "audio"]);
  assert.equal(partOf(whole, "audio"), sound);
  assert.equal(partOf(whole, "video"), whole);
});

test("further passes stand behind the step's numbers and in the table", () => {
  const words = speaker("en");
  assert.match(facts(sound, record.steps[0].i, 0, words), /STG \u00d7 0\.5 \(1 network run\)$/);
  assert.doesNotMatch(facts(record, record.steps[0].i, 0, words), /STG/);
  const [head, first] = table(sound, 0);
  assert.deepEqual(["evals STG", "scale STG", "pass STG"].map((name) => first[head.indexOf(name)]), [1, 0.5, 0.25]);
  assert.equal(head.length, first.length);
  const acting = { ...sound, steps: record.steps.map((step) => ({ ...step, passes: { STG: { ...told.STG, along: 0.75, across: 0.5 } } })) };
  assert.match(facts(acting, record.steps[0].i, 0, words), /STG \u00d7 0\.5 \(1 network run, like cfg \+0\.75\)$/);
  for (const [along, shown] of [[-6e-8, "\\+0"], [-0.5, "\u22120\\.5"]]) {
    const other = { ...sound, steps: record.steps.map((step) => ({ ...step, passes: { STG: { ...told.STG, along, across: 1 } } })) };
    assert.match(facts(other, record.steps[0].i, 0, words), new RegExp(`like cfg ${shown}\\)$`));
  }
  const [all, row] = table(acting, 0);
  assert.deepEqual(["along STG", "across STG"].map((name) => row[all.indexOf(name)]), [0.75, 0.5]);
  assert.equal(table(record, 0)[0].includes("evals STG"), false);
});

test("live, every part gathers its own steps, whichever comes first", () => {
  const parts = ["video", "audio"];
  const message = (part, i) => ({ run: "r", part, parts, steps: [{ ...record.steps[i], i, n: 9, N: part.length }] });
  const order = [["audio", 0], ["video", 0], ["video", 1], ["audio", 1], ["audio", 0]];
  const live = order.reduce((run, [part, i]) => withSteps(run, message(part, i)), null);
  assert.deepEqual(partsOf(live), parts);
  for (const part of parts) {
    const run = partOf(live, part);
    assert.deepEqual([run.part, run.live, run.n, run.N, run.steps.map(({ i }) => i)], [part, true, 9, 5, [0, 1]]);
  }
  blame(live, { fault: "stopped" });
  assert.deepEqual(parts.map((part) => partOf(live, part).fault), ["stopped", "stopped"]);
  const alone = withSteps(null, { run: "r", steps: [record.steps[0]] });
  assert.deepEqual([partsOf(alone), alone.steps.length], [[], 1]);
});
