/** The middle of a batch: percentiles over samples, as bands behind a curve. */
import { polygon } from "./commands.mjs";
import { sampleOf } from "./gram.mjs";
import { metric } from "./metrics.mjs";
import { samplesOf } from "./panel-record.mjs";

const FEWEST = 3; // samples; of fewer there is no band
const BAND = [0.1, 0.9];

/** Percentile of the known values, linear between neighbours; NaN where none is known. */
function quantile(values, share) {
  const known = values.filter(Number.isFinite).sort((a, b) => a - b);
  if (!known.length) return NaN;
  const place = share * (known.length - 1);
  const below = Math.floor(place);
  return known[below] + (place - below) * ((known[below + 1] ?? known[below]) - known[below]);
}

const FOUND = new WeakMap(); // step -> {name: value}: a step never changes, and a figure is drawn often

/** What `find` says of a step, asked once for each name. */
export function once(step, name, find) {
  if (!FOUND.has(step)) FOUND.set(step, {});
  return (FOUND.get(step)[name] ??= find());
}

/** 10th and 90th percentile of a metric at one step: of the whole batch where the record has them, else of what was sent. */
export const bandOf = (name, step, record) => once(step, `band ${name}`, () => ends(name, step, record));

function ends(name, step, record) {
  const sent = step.percentiles?.[name];
  if (sent) return [sent[step.percentiles.p.indexOf(10)] ?? NaN, sent[step.percentiles.p.indexOf(90)] ?? NaN];
  return spread(samplesOf(record).map((b) => metric(name, sampleOf(step, b), step, record)));
}

/** 10th and 90th percentile of the values of some samples; NaN for fewer than three. */
export function spread(values) {
  if (values.filter(Number.isFinite).length < FEWEST) return [NaN, NaN];
  return BAND.map((share) => quantile(values, share));
}

/** What the caption says of the bands, "" where there are none. */
export function bandWords(record) {
  const first = (record?.steps ?? []).find(Boolean);
  const count = first?.percentiles ? (record.batch ?? samplesOf(record).length) : samplesOf(record).length;
  return count < FEWEST ? "" : `bands: 10 to 90 % of ${count} samples`;
}

/** Paint a band. rows: [[i, [low, high]], ...]; unknown values break it. */
export function band(page, panelOf, rows, colour) {
  let part = [];
  const finish = () => {
    const edge = (k) => part.map(([i, ends]) => [panelOf.x(i), panelOf.y(ends[k])]);
    if (part.length > 1) page.commands.push(polygon([...edge(1), ...edge(0).reverse()], colour, { alpha: 0.15, name: "band" }));
    part = [];
  };
  for (const row of rows) {
    if (row[1].every((value) => Number.isFinite(panelOf.y(value)))) part.push(row);
    else finish();
  }
  finish();
}
