/** The figures of the inspector: figure(record, {w, h, theme, step, sample, gamma}) -> drawing commands.
 *
 * record: the header of a run with "steps", a list of step records in which some may be missing. step, sample: numbers,
 * left out for the ones that tell most. gamma: another scale, read by whatif only. Pure: no DOM, no time, no chance.
 */
import { direction, lengths, matters } from "./curves.mjs";
import { figure as plane } from "./plane.mjs";
import { figure as whatif } from "./whatif.mjs";

export { paint } from "./canvas.mjs";
export { toSVG } from "./svg.mjs";

export const FIGURES = {
  plane: { title: "Step plane", figure: plane },
  whatif: { title: "What if", figure: whatif },
  direction: { title: "Direction over the run", figure: direction },
  matters: { title: "Where guidance matters", figure: matters },
  lengths: { title: "Step and noise", figure: lengths },
};
