// @ts-check
/** Where the steps of a run stand in a drawing, and how one of them is lit. No DOM.
 *
 * A figure over the run says so on its sheet: places {top, bottom, at: [[step, x], ...], down: [[step, y], ...] of a
 * matrix}. Pictures are boxes {x, y, w, h, step}. Light is a solid line; the chosen step has a dashed one.
 */
import { line, polygon, rectangle } from "./commands.mjs";

const REACH = 42; // pixels to the nearest step

/** @param {any[]} marks */
const placesOf = (marks) => marks?.[0]?.places ?? null;
/** @param {any[]} marks */
const boxesOf = (marks) => (marks ?? []).filter((mark) => !mark.op && Number.isInteger(mark.step));

/** The step under a point, null where there is none.  @param {any[]} marks @param {{x: number, y: number}} point */
export function stepUnder(marks, { x, y }) {
  const box = boxesOf(marks).find((place) => x >= place.x && x <= place.x + place.w && y >= place.y && y <= place.y + place.h);
  if (box) return box.step;
  const places = placesOf(marks);
  if (!places?.at.length || y < places.top - REACH || y > places.bottom + REACH) return null;
  const nearest = places.at.reduce((/** @type {[number, number]} */ best, /** @type {[number, number]} */ place) => (Math.abs(place[1] - x) < Math.abs(best[1] - x) ? place : best));
  return Math.abs(nearest[1] - x) <= REACH ? nearest[0] : null;
}

/** Drawing commands that light a step in what was drawn; none where the step does not show.
 * @param {any[]} marks @param {number} step @param {Theme} theme
 */
export function lighting(marks, step, theme) {
  if (!Number.isInteger(step)) return [];
  const box = nearestTo(step, boxesOf(marks)); // of pictures only some steps are kept
  if (box) return [rectangle(grown(box), "none", { stroke: theme.lit, width: 2, name: "lit" })];
  const places = placesOf(marks);
  const x = places?.at.find((/** @type {number[]} */ [i]) => i === step)?.[1];
  if (!Number.isFinite(x)) return [];
  const { top, bottom } = places;
  const head = [[x - 5, top - 5], [x + 5, top - 5], [x, top + 2]];
  const found = [line([[x, top], [x, bottom]], theme.lit, 2, { name: "lit" }), polygon(head, theme.lit)];
  const y = places.down?.find((/** @type {number[]} */ [i]) => i === step)?.[1];
  const [left, right] = [places.at[0][1], places.at.at(-1)[1]];
  return Number.isFinite(y) ? [...found, line([[left, y], [right, y]], theme.lit, 2, { name: "lit" })] : found;
}

/** @param {number} step @param {any[]} boxes */
const nearestTo = (step, boxes) =>
  boxes.reduce((best, box) => (best && Math.abs(best.step - step) <= Math.abs(box.step - step) ? best : box), null);

/** @param {Box} box */
const grown = ({ x, y, w, h }) => ({ x: x - 2, y: y - 2, w: w + 4, h: h + 4 });
