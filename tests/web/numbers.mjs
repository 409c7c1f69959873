/** Every number that the panel computes by itself, of the records in a file: `node numbers.mjs FILE` prints them.
 *
 * test_agreement.py computes the same in Python and compares.
 */
import { readFileSync } from "node:fs";

import { bandOf } from "../../web/lib/bands.mjs";
import { interval, pushesOf, runOf } from "../../web/lib/curves.mjs";
import { scalesOf, summary } from "../../web/lib/effective.mjs";
import { combination, defaultStep, frame, length, named, nextState, sampleOf } from "../../web/lib/gram.mjs";
import { directionAngle, metric, metricsOf, rms } from "../../web/lib/metrics.mjs";
import { lengthOf, samplesOf, table } from "../../web/lib/panel-record.mjs";
import { sceneOf } from "../../web/lib/scene.mjs";
import { gammaRange } from "../../web/lib/whatif.mjs";
import { number } from "../../web/lib/words.mjs";

const POINTS = ["x", "u", "c", "G", "D", "tip"];
const IN_BANDS = ["M2", "M7", "M8", "M13", "M19"];
const OF_SCALE = ["M1", "M3", "M3c", "M16"];

/** All of one record: {steps: [step][sample], runs: [sample], bands: [step], most}. places: of the samples, others: scales to try. */
function numbersOf([record, places], others) {
  const samples = places.map((k) => samplesOf(record)[k]);
  const steps = record.steps.map((step) => samples.map((b) => ofSample(record, step, b, others)));
  const bands = record.steps.map((step) => IN_BANDS.map((name) => bandOf(name, step, record)));
  return { steps, runs: samples.map((b) => ofRun(record, b)), bands, most: gammaRange(record) };
}

function ofSample(record, step, b, others) {
  const gram = sampleOf(step, b);
  const plane = frame(gram, step.gamma ?? NaN);
  const scene = sceneOf(record, { step: step.i, sample: b });
  const points = POINTS.map((name) => [name, scene.points?.[name]]);
  const split = scene.across && [scene.across.share, scene.across.outside, ...scene.points.along];
  const drawn = scene.missing ? null : { points: Object.fromEntries(points), noise: scene.noise, other: scene.other, split };
  return {
    dots: gram.vectors.map((v) => combination(gram, { [v]: 1 }, named("D", step.gamma))),
    lengths: gram.vectors.map((v) => lengthOf(step, b, v)),
    metrics: metricsOf(gram, step, record),
    angle: directionAngle(gram, step.alpha),
    points: plane.points,
    heights: plane.height,
    flags: [plane.collinear, plane.same, Boolean(scene.missing)],
    scene: drawn,
    others: others.map((other) => tried(record, step, gram, b, other)),
  };
}

function tried(record, step, gram, b, other) {
  const scene = sceneOf(record, { step: step.i, sample: b, gamma: other });
  return {
    metrics: OF_SCALE.map((name) => metric(name, gram, step, record, other)),
    state: rms(gram, nextState(step.gamma ?? NaN, step.kappa ?? NaN, other)),
    shown: scene.missing ? null : scene.points.shown,
    moved: scene.points?.moved ?? null,
  };
}

function ofRun(record, b) {
  const rows = pushesOf(record, b);
  const held = interval(rows);
  const [, ...lines] = table(record, b);
  const { low, high, across } = summary(scalesOf(record, runOf(record, { sample: b }).rows));
  return {
    step: defaultStep(record, b),
    shares: rows.map(({ push, contracted }) => [push, contracted]),
    acts: [low, high, across].map((value) => (Number.isFinite(value) ? value : null)),
    held: held && [held.first.i, held.last.i],
    printed: lines.map((line) => line.slice(7).map((value) => number(value))),
  };
}

const { runs, others } = JSON.parse(readFileSync(process.argv[2]));
process.stdout.write(JSON.stringify(runs.map((run) => numbersOf(run, others))));
