// @ts-check
/** Colours, markers and dashes: a role always looks the same, and never by colour alone. */

export const LIGHT = {
  ink: "#222222",
  muted: "#5C5C5C",
  paper: "#FFFFFF",
  hair: "#B4B4B4",
  u: "#0072B2",
  c: "#00785A",
  delta: "#A8447F",
  noise: "#C04F00",
  lit: "#8A6500",
  font: "DejaVu Sans, Arial, sans-serif",
};
export const DARK = {
  ink: "#E6E6E6",
  muted: "#A6A6A6",
  paper: "#1E1E1E",
  hair: "#5E5E5E",
  u: "#4FA8E0",
  c: "#2DC08F",
  delta: "#E39AC4",
  noise: "#F08A3C",
  lit: "#F0E442",
  font: "DejaVu Sans, Arial, sans-serif",
};

/** A theme with every colour present; what is missing comes from the light one.  @param {Theme} theme */
export const completeTheme = (theme) => ({ ...LIGHT, ...theme });

/** How a role is drawn. marker null: the role is an arrow only.  @type {Record<string, {marker: any, size: number, width: number, dash: any}>} */
export const PENS = {
  x: { marker: "disc", size: 9, width: 2, dash: null },
  u: { marker: "circle", size: 8, width: 1.6, dash: null },
  c: { marker: "square", size: 7, width: 1.6, dash: [7, 3] },
  G: { marker: "diamond", size: 8, width: 1.6, dash: [2, 3] },
  D: { marker: "triangle", size: 8, width: 1.6, dash: [7, 2, 2, 2] },
  next: { marker: "circle", size: 8, width: 2, dash: null },
  step: { marker: null, size: 0, width: 2.6, dash: null },
  delta: { marker: null, size: 0, width: 2.4, dash: null },
  scaled: { marker: null, size: 0, width: 1.4, dash: null },
  noise: { marker: null, size: 0, width: 2, dash: [5, 3] },
  reach: { marker: null, size: 0, width: 1, dash: [1, 3] },
};

/** Colour of a point or vector by its role.  @param {Theme} theme @param {string} role */
export function colourOf(theme, role) {
  const { u, c, delta, noise, muted } = theme;
  /** @type {Record<string, string>} */ const named = { u, c, G: delta, delta, scaled: delta, noise, reach: muted };
  return named[role] ?? theme.ink;
}

/** Brightness of a CSS colour "rgb(r, g, b)", 0 to 1.  @param {string} colour */
export function brightness(colour) {
  const [r, g, b] = (colour.match(/[\d.]+/g) ?? [255, 255, 255]).map(Number);
  return (0.299 * r + 0.587 * g + 0.114 * b) / 255;
}
