// @ts-check
/** The strip above the scrubber: a tick for each step, as high as the root of its difference's length. No DOM. */
import { line, rectangle, sheet } from "./commands.mjs";
import { lengthOf } from "./panel-record.mjs";
import { still } from "./still.mjs";

const LEAST = 3; // pixels between two ticks; of a longer run every k-th step has one

/** Drawing commands. inset: pixels from either edge to the first and the last step, half of the scrubber's thumb.
 * @param {Run} run
 * @param {{w: number, h: number, theme: Theme, step: number, sample: number, inset: number}} options
 */
export function ticks(run, { w, h, theme, step, sample, inset }) {
  const n = Math.max(run?.n ?? 0, (run?.steps?.at(-1)?.i ?? -1) + 1);
  /** @param {number} i */
  const x = (i) => (n > 1 ? inset + (i / (n - 1)) * (w - 2 * inset) : w / 2);
  const every = Math.max(1, Math.ceil((LEAST * n) / Math.max(1, w - 2 * inset)));
  const rows = (run?.steps ?? []).filter((row, k) => k % every === 0 || row.i === step);
  /** @param {any} row */
  const root = (row) => Math.sqrt(lengthOf(row, sample, "delta")); // for the small ones to be seen
  const sizes = rows.map((row) => still(row, `tick ${sample}`, [], () => root(row)));
  const most = Math.max(...sizes.filter(Number.isFinite), 0);
  const wide = Math.max(1, Math.min(8, (0.6 * (w - 2 * inset) * every) / Math.max(1, n - 1)));
  const commands = [sheet(w, h, "none")];
  commands[0].places = { top: 6, bottom: h - 1, at: rows.map((row) => [row.i, x(row.i)]) };
  commands.push(line([[inset - wide / 2, h - 0.5], [w - inset + wide / 2, h - 0.5]], theme.hair, 1));
  rows.forEach((row, k) => {
    const high = most > 0 && Number.isFinite(sizes[k]) ? Math.max(2, (sizes[k] / most) * (h - 8)) : 2;
    const chosen = row.i === step;
    const box = { x: x(row.i) - wide / 2, y: h - high, w: wide, h: high };
    commands.push(rectangle(box, chosen ? theme.ink : theme.delta, { alpha: chosen ? 1 : 0.6, name: "tick" }));
  });
  for (const first of run?.stages ?? []) { // where the next sampler of a series begins
    const edge = (x(first - 1) + x(first)) / 2;
    commands.push(line([[edge, 0], [edge, h]], theme.ink, 1, { dash: [3, 2], name: "stage" }));
  }
  return commands;
}
