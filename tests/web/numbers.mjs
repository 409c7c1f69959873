/** What the panel paints of the records in a file, and reckons at other scales: `node numbers.mjs FILE` prints it.
 *
 * test_agreement.py finds the same in the traces and compares.
 */
import { readFileSync } from "node:fs";

import { runOf } from "../../web/lib/curves.mjs";
import { defaultStep, sampleOf } from "../../web/lib/gram.mjs";
import { NAMES } from "../../web/lib/metrics.mjs";
import { samplesOf, table } from "../../web/lib/panel-record.mjs";
import { sceneOf } from "../../web/lib/scene.mjs";
import { gammaRange, metricAt } from "../../web/lib/whatif.mjs";
import { number } from "../../web/lib/words.mjs";

const OF_SCALE = ["M1", "M3", "M3c"];

/** All of one record: {steps: [step][sample], runs: [sample], most}. places: of the samples, others: scales to try. */
function numbersOf([record, places], others) {
  const samples = places.map((k) => samplesOf(record)[k]);
  const steps = record.steps.map((step) => samples.map((b) => ofSample(record, step, b, others)));
  return { steps, runs: samples.map((b) => ofRun(record, b)), most: gammaRange(record) };
}

function ofSample(record, step, b, others) {
  const scene = sceneOf(record, { step: step.i, sample: b });
  const { points, noise, other, across } = scene;
  const split = across && [across.share, across.outside, ...points.along];
  const { x, u, c, G, D, tip } = points ?? {};
  const gram = sampleOf(step, b);
  return {
    scene: scene.missing ? null : { points: { x, u, c, G, D, tip }, noise, other, split },
    others: others.map((gamma) => ({
      metrics: OF_SCALE.map((name) => metricAt(name, { gram, alpha: step.alpha ?? NaN }, record, gamma)),
      moved: sceneOf(record, { step: step.i, sample: b, gamma }).points?.moved ?? null,
    })),
  };
}

function ofRun(record, b) {
  const [head, ...lines] = table(record, b);
  const first = head.indexOf("stage") + 1;
  const { where } = runOf(record, { sample: b });
  return { step: defaultStep(record, b), printed: lines.map((line) => line.slice(first).map((value) => number(value))), first: where.at(0) };
}

const { runs, others } = JSON.parse(readFileSync(process.argv[2]));
process.stdout.write(JSON.stringify({ names: NAMES, runs: runs.map((run) => numbersOf(run, others)) }));
