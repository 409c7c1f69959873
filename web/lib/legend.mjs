/** How to read each view: its marks with the words for them, drawn with the pens of the figures. No DOM. */
import { arrow, line, marker, rectangle, sheet } from "./commands.mjs";
import { toSVG } from "./svg.mjs";
import { colourOf, PENS } from "./theme.mjs";

const [W, H] = [44, 16];
const MIDDLE = H / 2;

const ray = (role) => (theme) => {
  const { width, dash, marker: kind, size } = PENS[role];
  const colour = colourOf(theme, role);
  const end = [W - 8, MIDDLE];
  return [line([[2, MIDDLE], end], colour, width, { dash }), marker(end, kind, colour, size, theme.paper)];
};
const dot = (role) => (theme) => {
  const { marker: kind, size } = PENS[role];
  return [marker([W / 2, MIDDLE], kind, colourOf(theme, role), size, theme.paper)];
};
const vector = (role) => (theme) => arrow([2, MIDDLE], [W - 4, MIDDLE], colourOf(theme, role), PENS[role].width);
const dashed = (role, dash, kind) => (theme) => {
  const colour = colourOf(theme, role);
  const stroke = line([[2, MIDDLE], [W - 2, MIDDLE]], colour, 1.8, { dash });
  return kind ? [stroke, marker([W / 2, MIDDLE], kind, colour, 6, theme.paper)] : [stroke];
};
const bar = (role, alpha) => (theme) => [rectangle({ x: W / 2 - 7, y: 1, w: 14, h: H - 2 }, colourOf(theme, role), { alpha })];
const upright = (theme) => [line([[W / 2, 0], [W / 2, H]], theme.ink, 1, { alpha: 0.5, dash: [3, 3] })];
const scaled = (theme) => [line([[2, MIDDLE], [W - 4, MIDDLE]], theme.delta, 6, { alpha: 0.25 }), ...vector("scaled")(theme)];
const pale = (theme) => [marker([W / 2, MIDDLE], "diamond", theme.muted, 8, theme.paper)];

const NOISE = [dashed("noise", PENS.noise.dash), "\u03b5, noise that the sampler adds. It points out of the plane; where the line is cut, the number beside it is its length"];
const CURSOR = [upright, "the step that is shown"];
const PREDICTIONS = [
  [dot("x"), "x_t, the noisy picture before the step"],
  [ray("u"), "x\u0302\u2080: the clean picture as predicted without the condition"],
  [ray("c"), "x\u0302\u2080|y: the same with the condition"],
  [ray("G"), "x\u0302\u2080+\u03b3\u03b4: the guided prediction, where the sampler aims"],
  [vector("delta"), "\u03b4, what the condition adds"],
  [scaled, "\u03b3\u03b4, the same amplified, from x\u0302\u2080 on"],
  [vector("step"), "the step that the sampler takes"],
  [dot("next"), "x_t\u22121, the picture after it"],
];

/** {view: {says, marks: [[draw(theme) -> commands, words], ...]}} */
export const LEGENDS = {
  plane: {
    says: "One step, to scale. The further \u03b3\u03b4 leads away from x\u0302\u2080, the more guidance bends the "
        + "step: M1 is its length over that of the way from x_t to x\u0302\u2080, and it grows towards the end of "
        + "every run. A lens enlarges what lies too close together; its factor stands above it.",
    marks: [...PREDICTIONS, NOISE],
  },
  whatif: {
    says: "The same step at another scale \u03b3\u2032: drag the slider. Only this step is exact; later steps would "
        + "start elsewhere. The curves give strength (M1) and length of the prediction for every \u03b3\u2032.",
    marks: [
      ...PREDICTIONS.slice(0, 6),
      [pale, "where the run itself aimed"],
      [dashed("reach", PENS.reach.dash), "how far the slider reaches"],
    ],
  },
  direction: {
    says: "How far the difference \u03b4 turns from one step to the next, in degrees, and its size. A turn of a "
        + "tiny \u03b4 means little.",
    marks: [[dashed("delta", null, "diamond"), "turn to the next step"], [bar("delta", 0.45), "size of \u03b4, rms"], CURSOR],
  },
  matters: {
    says: "How much of guidance's push falls on which step: two estimates, and the truth is expected between them. "
        + "The grey band holds 80 %. \u03ba: how far the next state follows the guided "
        + "prediction D.",
    marks: [
      [bar("delta", 0.45), "push: how far the step is moved beyond the prediction with the condition"],
      [dashed("c", PENS.c.dash, "square"), "the same, less what later steps take back"],
      [bar("reach", 0.3), "steps that hold 80 % of the push"],
      CURSOR,
    ],
  },
  lengths: {
    says: "How long each step is, against the noise that the sampler adds and the part that guidance pushes.",
    marks: [
      [dashed("step", null, "disc"), "step"],
      [dashed("noise", [5, 3], "circle"), "noise, if the sampler adds any"],
      [dashed("delta", [2, 3], "diamond"), "guided push \u03b3\u03ba|\u03b4|"],
      CURSOR,
    ],
  },
  pictures: {
    says: "The run as pictures, a column for a step: the noisy picture, predicted without and with the condition, "
        + "guided, their difference on grey, and where it is large.",
    marks: [],
  },
  heat: {
    says: "One step large. Warm places are where the condition changes the prediction; grey in the difference means no change.",
    marks: [],
  },
};

/** A mark as an SVG string. */
export const swatch = (draw, theme) => toSVG([sheet(W, H, "none"), ...draw(theme)]);
