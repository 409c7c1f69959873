/** Cosines of the difference between all pairs of steps (D9), where the record has them. */
import { rectangle, text } from "./commands.mjs";
import { metric } from "./metrics.mjs";
import { captioned } from "./plane.mjs";
import { number } from "./words.mjs";

const MARGIN = 34; // of the step numbers
const BARS = 90; // room of the norms, at most

/** The figure, null where the record has no matrix for this sample.
 *
 * record.directions: {steps, error, samples: [upper triangle of cosines, row by row, per sample]}.
 */
export function matrix(page, record, run) {
  const { directions } = record ?? {};
  const cosines = directions?.samples?.[run.sample];
  if (!cosines) return null;
  const steps = directions.steps;
  const sketched = directions.error ? `sketched, \u00b1${number(directions.error)}` : "";
  const legend = ["blue \u22121, background 0, purple 1", "bars rms(\u03b4)"];
  const area = captioned(page, [...run.facts, "cos(\u03b4, \u03b4) of all pairs of steps", sketched, ...legend], 4);
  const side = Math.min(area.w - MARGIN, area.h - 20) / steps.length;
  const origin = { x: area.x + MARGIN, y: area.y + 2 };
  const { commands, theme } = page;
  steps.forEach((_, i) =>
    steps.forEach((__, j) => {
      const [low, high] = [Math.min(i, j), Math.max(i, j)];
      const value = cosines[low * steps.length - (low * (low - 1)) / 2 + high - low];
      if (!Number.isFinite(value)) return;
      const box = { x: origin.x + j * side, y: origin.y + i * side, w: side, h: side };
      commands.push(rectangle(box, value < 0 ? theme.u : theme.delta, { alpha: Math.min(1, Math.abs(value)), name: "cell" }));
    }),
  );
  ticks(page, steps, side, origin);
  norms(page, run, steps, side, { ...origin, x: origin.x + steps.length * side + 6 });
  return commands;
}

/** Bars of rms(delta) beside the rows: a cosine of a tiny difference means little. */
function norms({ commands, theme, w }, run, steps, side, { x, y }) {
  const sizes = steps.map((i) => metric("M2", run.rows.find((row) => row.i === i)?.gram, {}));
  const most = Math.max(...sizes.filter(Number.isFinite));
  const room = Math.min(BARS, w - x - 4);
  if (!(most > 0) || room < 8) return;
  sizes.forEach((size, k) => {
    if (!Number.isFinite(size)) return;
    const box = { x, y: y + (k + 0.15) * side, w: (size / most) * room, h: 0.7 * side };
    commands.push(rectangle(box, theme.delta, { alpha: 0.45, name: "norm" }));
  });
}

function ticks({ commands, theme }, steps, side, origin) {
  const every = Math.max(1, Math.ceil(26 / side));
  steps.forEach((step, k) => {
    if (k % every) return;
    const middle = (k + 0.5) * side;
    const style = { fill: theme.muted, name: "tick" };
    const foot = origin.y + steps.length * side + 14;
    commands.push(text(origin.x - 5, origin.y + middle + 4, String(step), { ...style, anchor: "end" }));
    commands.push(text(origin.x + middle, foot, String(step), { ...style, anchor: "middle" }));
  });
}
