import assert from "node:assert/strict";
import test from "node:test";
import { MAPS } from "../../web/explain/map-figure.mjs";
import { LABELS } from "../../web/explain/network.mjs";
import { RULES } from "../../web/explain/rules.mjs";
import { levelsOf, normal, run, stepOf } from "../../web/explain/sampling.mjs";
import { CHOICES, inside, RANGES, readLink, SCREENS, writeLink } from "../../web/explain/settings.mjs";
import { framesOf } from "../../web/explain/tasks.mjs";
import { TEXTS, words } from "../../web/explain/text.mjs";
import { serve } from "../../web/explain/worker.mjs";
import { paintable } from "../../web/lib/commands.mjs";
import { DARK, LIGHT } from "../../web/lib/theme.mjs";
import { fillIn } from "../../web/lib/words.mjs";

const USUAL = readLink("");

test("a link gives back what was set, and nonsense is as usual", () => {
  const set = { ...USUAL, screen: 8, gamma: 2.25, label: "robot", rule: "apg", sampler: "ddpm", x: [-1.25, 0.4], cfg: 11, language: "zh", seed: 900 };
  assert.deepEqual(readLink(writeLink(set)), set);
  assert.deepEqual(readLink(writeLink(USUAL)), USUAL);
  const hostile = "#screen=1e9&gamma=NaN&steps=-3&label=<img>&x=1,&rule=toString&cfg=5&noise=&seed=1.4&__proto__=1";
  assert.deepEqual(readLink(hostile), { ...USUAL, screen: SCREENS, steps: RANGES.steps.least, seed: 1 });
  assert.equal(inside(RANGES.noise, 0.333), 0.34, "on the grid of the slider");
});

test("both languages say the same, and every choice has a word", () => {
  const names = (sentence) => [...new Set([...sentence.matchAll(/\{(\w+)/g)].map(([, name]) => name))].sort();
  for (const [key, sentence] of Object.entries(TEXTS.zh)) {
    assert.ok(key in TEXTS.en, key);
    assert.deepEqual(names(sentence), names(TEXTS.en[key]), key);
  }
  for (const value of [...CHOICES.sampler, ...CHOICES.label, ...CHOICES.rule]) assert.ok(TEXTS.en[value], value);
  for (const t of [words("en"), words("zh")]) {
    for (let k = 1; k <= SCREENS; k += 1) for (const part of ["", "a", "b", "c"]) assert.match(t(`s${k}${part}`), part ? /[.\u3002]$/ : /./);
  }
  assert.equal(words("zh")("apg"), "APG", "where a word is missing, the English one stands");
  assert.equal(words("en")("rowVariety"), "variety", "the panel has the rest");
  assert.deepEqual(Object.keys(RULES), CHOICES.rule);
  assert.equal(fillIn(TEXTS.en.saidNoise, { ends: 1 }).includes("1 label."), true);
});

test("every screen is drawn on its map at any size, and says so in whole words", () => {
  const t = words("en");
  for (const [w, h, theme] of [[300, 300, DARK], [900, 480, LIGHT]]) {
    for (const settings of [USUAL, { ...USUAL, gamma: 16, noise: 0.02, steps: 2, x: [2.5, -2.5] }, { ...USUAL, gamma: 0, noise: 0.98, steps: 50, sampler: "ddpm", label: "marble" }]) {
      MAPS.forEach((map, k) => {
        const { commands, words: said, under } = map(settings, { w, h, theme, t, quick: true });
        assert.equal(paintable(commands).length, commands.length, `screen ${k + 1}`);
        assert.match(said, /[.]$/);
        assert.doesNotMatch(said, /NaN|undefined|Infinity|\{/);
        for (const { points, values } of under) assert.ok([...(points ?? values)].every(Number.isFinite));
      });
    }
  }
});

test("a sampler ends at a clean sample, and draws noise only where it says so", () => {
  for (const [eta, noisy] of [[0, false], [1, true]]) {
    const levels = levelsOf(8);
    const ups = levels.slice(1).map((next, i) => stepOf(levels[i], next, eta).up);
    assert.deepEqual(ups.map((up) => up > 0), [...Array(7).fill(noisy), false]);
    const { kappa, kept } = stepOf(levels[7], 0, eta);
    assert.deepEqual([kappa, kept], [1, 0]);
  }
  const flat = (x) => x.map(() => 0.5); // a world of one picture
  const order = { labels: [0], starts: [normal(1, 0, 4)()], draws: [normal(1, 1, 4)], gamma: 3, steps: 5, sampler: "ddpm", rule: "cfg" };
  for (const value of [...run(flat, 9, order)].at(-1)[0].to) assert.ok(Math.abs(value - 0.5) < 1e-12);
  assert.deepEqual([...normal(4, 2, 3)()], [...normal(4, 2, 3)()], "a seed gives the same again");
  assert.deepEqual(framesOf(3, 5), [0, 1, 2]);
  assert.deepEqual(framesOf(20, 5), [0, 5, 10, 14, 19]);
});

test("a worker says what it could not do, and goes on", async () => {
  const scope = { said: [], postMessage(message) { this.said.push(message); } };
  const { port1, port2 } = new MessageChannel();
  const made = globalThis.MessageChannel;
  globalThis.MessageChannel = class { port1 = port1; port2 = port2; };
  serve(scope);
  globalThis.MessageChannel = made;
  for (const [id, stop] of [[1], [2], [3]]) scope.onmessage({ data: { id, task: "look", order: { label: 0, seed: 1, noise: 0.5 }, stop } });
  scope.onmessage({ data: { stop: 2 } });
  for (let k = 0; k < 200 && scope.said.length < 2; k += 1) await new Promise((done) => setTimeout(done, 20));
  port1.close();
  assert.deepEqual(scope.said.map(({ id, done, failed }) => [id, done, Boolean(failed)]), [[1, true, true], [3, true, true]], "no weights came");
  assert.equal(LABELS.length, 10);
});
