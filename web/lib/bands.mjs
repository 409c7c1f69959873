// @ts-check
/** The middle of a batch: percentiles over its samples, as bands behind a curve. */
import { polygon } from "./commands.mjs";

const UNKNOWN = [NaN, NaN];

/** 10th and 90th percentile of a metric over the batch at one step; NaN where it has none, or too few samples.
 * @param {string} name
 * @param {Step} step
 * @returns {number[]}
 */
export function bandOf(name, { percentiles }) {
  const told = percentiles?.[name];
  return told ? [10, 90].map((share) => told[percentiles.p.indexOf(share)] ?? NaN) : UNKNOWN;
}

/** What the caption says of the bands, as `setCaption` takes it; "" where there are none.
 * @param {Run} record
 */
export function bandWords(record, what = "bands") {
  const some = (record?.steps ?? []).find((step) => step?.percentiles);
  return some ? [`${what}: 10 to 90 % of {n} samples`, { n: record.batch ?? some.samples.length }] : "";
}

/** Paint a band. rows: [[i, [low, high]], ...]; unknown values break it.
 * @param {Page} page
 * @param {Plot} panelOf @param {any[]} rows @param {string} colour
 */
export function band(page, panelOf, rows, colour) {
  /** @type {any[]} */ let part = [];
  const finish = () => {
    /** @param {number} k */
    const edge = (k) => part.map(([i, ends]) => [panelOf.x(i), panelOf.y(ends[k])]);
    if (part.length > 1) page.commands.push(polygon([...edge(1), ...edge(0).reverse()], colour, { alpha: 0.15, name: "band" }));
    part = [];
  };
  for (const row of rows) {
    if (row[1].every((/** @type {number} */ value) => Number.isFinite(panelOf.y(value)))) part.push(row);
    else finish();
  }
  finish();
}
