/** What the page of docs/ computes in the browser: `node explain-numbers.mjs WEIGHTS` prints it, with the noise that it drew.
 *
 * test_explain.py computes the same in Python and compares.
 */
import { readFileSync } from "node:fs";

import { density, MEANS, predict, push, shareOf, SPREAD } from "../../web/explain/map.mjs";
import { curveOf, markAt, queryLevels, studentsQuantile } from "../../web/explain/measure.mjs";
import { networkOf, NO_LABEL, VALUES } from "../../web/explain/network.mjs";
import { RULES } from "../../web/explain/rules.mjs";
import { recordOf } from "../../web/explain/run-record.mjs";
import { join, normal, run } from "../../web/explain/sampling.mjs";
import { readWeights } from "../../web/explain/weights.mjs";

const file = readFileSync(process.argv[2]);
const network = networkOf(readWeights(file.buffer.slice(file.byteOffset, file.byteOffset + file.length)));

/** A run of pictures, and all that it drew. */
function runOf(labels, order, purpose) {
  const starts = labels.map((_, b) => normal(b, purpose, VALUES)());
  const drawn = labels.map(() => []);
  const draws = labels.map((_, b) => {
    const draw = normal(b, purpose + 1, VALUES);
    return () => drawn[b][drawn[b].push([...draw()]) - 1];
  });
  const steps = [...run(network.predict, NO_LABEL, { labels, starts, draws, ...order })];
  const latents = steps.at(-1).map(({ to }) => to);
  const records = labels.map((_, b) => recordOf(steps.map((row) => row[b]), order.gamma));
  return { order, labels, starts: starts.map((v) => [...v]), drawn, latents, records };
}

const twenty = runOf(Array.from({ length: 20 }, (_, k) => k % 10), { gamma: 4, steps: 20, sampler: "euler", rule: "cfg" }, 0);
const pictures = [...network.decode(join(twenty.latents))];

const others = [...Object.keys(RULES).map((rule) => ({ rule, sampler: "euler", gamma: 7 })), { rule: "cfg", sampler: "ddpm", gamma: 3 }, { rule: "apg", sampler: "ddpm", gamma: 1 }]
  .map((order) => runOf([3, 7], { steps: 8, ...order }, 2));

const points = [1, 3, 5, 8].map((value) => {
  const { latents } = runOf([4, 4, 4], { gamma: value, steps: 8, sampler: "euler", rule: "cfg" }, 4);
  const drawn = latents.map((_, b) => Array.from({ length: 7 }, normal(b, 9, VALUES)));
  const draws = drawn.map((list) => { let k = 0; return () => list[k++]; });
  const levels = [...queryLevels(network.predict, NO_LABEL, latents, [4, 4, 4], draws, 1)].at(-1);
  return { value, latents, levels, drawn: drawn.map((list) => list.map((v) => [...v])) };
});

const places = [[0.3, -0.4, 0.6], [1.2, 0.9, 0.2], [-2, 0.1, 0.9]];
const map = {
  means: MEANS, spread: SPREAD, shares: Array.from({ length: 10 }, (_, label) => MEANS.map((_, m) => shareOf(m, label))),
  found: places.flatMap(([x, y, s]) => [0, 6].map((label) => ({ at: [x, y, s, label], both: predict(x, y, s, label, [0, 0, 0, 0, 0]), push: push([x, y], s, label), clean: density(x, y, label) }))),
};

const VALUES_OF_CFG = [1, 2, 3, 4, 6, 8];
const shapes = [[1, 1.05, 1.12, 1.2, 1.4, 1.7], [1, 0.98, 0.97, 1, 1.2, 1.6], [1, 1.2, 1.3, 1.35, 1.39, 1.5], [1, 1.01, 1, 1.01, 1, 1.01], [1, 2, 4, 8, 16, 32], [1.1, 1.05, 1, 0.95, 0.9, 0.85]];
const marks = shapes.map((ratios) => ({ values: VALUES_OF_CFG, ratios, found: [1.1, 1.4].map((times) => markAt(VALUES_OF_CFG, ratios.map(Math.log), times)) }));

const plain = (key, value) => (value instanceof Float64Array ? [...value] : value);
process.stdout.write(JSON.stringify({ twenty: { ...twenty, records: twenty.records.slice(0, 3), pictures }, others, points, curve: curveOf(points), map, marks,
  quantiles: [1, 2, 3, 7, 15, 31].map((freedom) => [freedom, studentsQuantile(freedom)]) }, plain));
