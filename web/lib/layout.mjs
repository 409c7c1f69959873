// @ts-check
/** Where everything stands: scales, the lens and its gain, the hinge of the noise, and labels that keep apart.
 *
 * A box is {x, y, w, h} in pixels, a point [x, y]; a place is [along, across] in the step plane.
 */

const FAN = 110; // a fan of predictions shorter than this gets a lens
const SHRINK = 0.7; // the noise may shrink the overview to this; beyond, its arrow is cut and marked
const STRONGEST = 2 ** 20; // gain of a lens
/** @type {Record<string, number[]>} */
const DIRECTIONS = { n: [0, -1], ne: [0.8, -0.8], e: [1, 0], se: [0.8, 0.8], s: [0, 1], sw: [-0.8, 0.8], w: [-1, 0],
  nw: [-0.8, -0.8] };
const RADII = [7, 10, 14, 20, 28, 40, 56, 78];

/** @param {Box} box @param {number} by */
export const growBox = ({ x, y, w, h }, by) => ({ x: x - by, y: y - by, w: w + 2 * by, h: h + 2 * by });

/** Whether two boxes come closer than `gap` on both axes.  @param {Box} a @param {Box} b */
export function meets(a, b, gap = 0) {
  return a.x < b.x + b.w + gap && b.x < a.x + a.w + gap && a.y < b.y + b.h + gap && b.y < a.y + a.h + gap;
}

/** @param {Box} outer @param {Box} inner */
export function holds(outer, inner) {
  const starts = outer.x <= inner.x && outer.y <= inner.y;
  return starts && inner.x + inner.w <= outer.x + outer.w && inner.y + inner.h <= outer.y + outer.h;
}

/** The part of the segment p-q inside a box, null if there is none (Liang and Barsky's clipping).
 * @param {number[]} p @param {number[]} q @param {Box} box
 */
export function clipSegment(p, q, { x, y, w, h }) {
  if ((p[0] < x && q[0] < x) || (p[1] < y && q[1] < y)) return null; // most lines are far away
  if ((p[0] > x + w && q[0] > x + w) || (p[1] > y + h && q[1] > y + h)) return null;
  let [near, far] = [0, 1];
  for (const [k, low, high] of [[0, x, x + w], [1, y, y + h]]) {
    const d = q[k] - p[k];
    if (d === 0) {
      if (p[k] < low || p[k] > high) return null;
      continue;
    }
    const ends = [(low - p[k]) / d, (high - p[k]) / d].sort((s, t) => s - t);
    near = Math.max(near, ends[0]);
    far = Math.min(far, ends[1]);
  }
  if (near > far) return null;
  /** @param {number} t */
  const at = (t) => [p[0] + t * (q[0] - p[0]), p[1] + t * (q[1] - p[1])];
  return [at(near), at(far)];
}

/** The step plane in pixels: x_t at the origin, the first axis to the left, the second downwards, one scale for both.
 * @param {number[]} origin @param {number} scale
 */
function planeAt(origin, scale) {
  return { origin, scale, at: (/** @type {number[]} */ [along, across]) => [origin[0] - scale * along, origin[1] + scale * across] };
}

/** The planes of a figure.
 *
 * scene: {fan: places of the predictions, lines: pairs of places, tip, aim: place of D, noise: rms}. areas: {whole,
 * overview, lens} boxes; inset: room left of the fan in the overview; gutter: room left of it without a lens; margin:
 * room right of x_t. -> {plane, lens, hinge, area}
 * @param {any} scene @param {any} areas @param {{inset: number, gutter: number, margin: number}} margins
 */
export function arrange(scene, areas, { inset, gutter, margin }) {
  const { overview, whole } = areas;
  /** @param {Box} area @param {number} left */
  const roomOf = (area, left) => ({ x: area.x + left, y: area.y + 20, w: area.w - left - margin, h: area.h - 40 });
  const small = fitWithin(scene, roomOf(overview, inset));
  if (longest(scene.fan) * small.plane.scale < FAN) {
    const lens = lensOf(scene, small.plane, areas);
    if (lens) return { ...small, lens, area: overview };
  }
  return { ...fitWithin(scene, roomOf(whole, gutter)), lens: null, area: whole };
}

/** The largest plane that holds a scene, and the hinged noise; cut where it would shrink the rest too much.
 * @param {any} scene @param {Box} room
 */
function fitWithin(scene, room) {
  const bare = scaleScene(scene, null, room);
  if (!(scene.noise > 0)) return { plane: bare, hinge: null };
  let [size, least] = [scene.noise, SHRINK * bare.scale];
  for (;;) {
    const end = noiseEnd(scene, size);
    const plane = scaleScene(scene, end, room);
    if (plane.scale >= least || size < 1e-3 * scene.noise) return { plane, hinge: { end, cut: size < scene.noise } };
    [size, least] = [0.93 * size, (SHRINK + 0.1) * bare.scale];
  }
}

/** End of the noise, turned into the plane at the tip of the step, away from the predictions.
 * @param {any} scene @param {number} size
 */
function noiseEnd({ tip, aim, fan }, size) {
  const reach = Math.hypot(...aim) || 1;
  const normal = [-aim[1] / reach, aim[0] / reach];
  const side = fan.reduce((/** @type {number} */ sum, /** @type {number[]} */ [p, q]) => sum + p * normal[0] + q * normal[1], 0) <= 0 ? 1 : -1;
  return [tip[0] + side * size * normal[0], tip[1] + side * size * normal[1]];
}

/** @param {any} scene @param {any} end @param {Box} room */
function scaleScene(scene, end, room) {
  const places = [...scene.lines.flat(), ...scene.fan, ...(end ? [end] : [])];
  const { low, span } = extent(places);
  const scale = Math.min(room.w / (span[0] || 1e-300), room.h / (span[1] || 1e-300), 1e300);
  const left = room.x + (room.w - span[0] * scale) / 2;
  const top = room.y + (room.h - span[1] * scale) / 2;
  return planeAt([left + (span[0] + low[0]) * scale, top - low[1] * scale], scale);
}

/** Bounds of places or points.  @param {number[][]} places */
function extent(places) {
  const low = [Infinity, Infinity];
  const high = [-Infinity, -Infinity];
  for (const place of places) {
    for (let k = 0; k < 2; k += 1) {
      low[k] = Math.min(low[k], place[k]);
      high[k] = Math.max(high[k], place[k]);
    }
  }
  return { low, span: [high[0] - low[0], high[1] - low[1]] };
}

/** The longest distance of two points.  @param {number[][]} points */
function longest(points) {
  let most = 0;
  for (const p of points) for (const q of points) most = Math.max(most, Math.hypot(p[0] - q[0], p[1] - q[1]));
  return most;
}

/** The strongest lens of a power of two that holds the fan with room for its labels; null below 2.
 *
 * Computed from the overview's final scale, so that the printed gain is the drawn one.
 * @param {any} scene @param {any} plane @param {{overview: Box, lens: Box}} areas
 */
function lensOf(scene, plane, { overview, lens: box }) {
  const points = scene.fan.map(plane.at);
  const fan = extent(points);
  const room = Math.min((box.w - 130) / (fan.span[0] || 1e-12), (box.h - 44) / (fan.span[1] || 1e-12));
  if (!(longest(points) > 0) || !(room >= 2)) return null;
  const gain = Math.min(2 ** Math.floor(Math.log2(room)), STRONGEST);
  const [w, h] = [box.w / gain, box.h / gain];
  const middle = [0, 1].map((k) => fan.low[k] + fan.span[k] / 2);
  const left = Math.max(middle[0] - 0.42 * w, 2);
  const top = Math.max(Math.min(middle[1] - h / 2, overview.y + overview.h - h), 2);
  const window = { x: left, y: top, w, h };
  if (!holds(growBox(window, -12 / gain), { x: fan.low[0], y: fan.low[1], w: fan.span[0], h: fan.span[1] })) return null;
  const origin = [box.x + gain * (plane.origin[0] - left), box.y + gain * (plane.origin[1] - top)];
  return { window, frame: box, plane: planeAt(origin, plane.scale * gain), gain };
}

/** Centres of labels in a column, as near to the wanted ones as order, a gap and the ends allow.
 * @param {number[]} wanted @param {number} gap @param {number} low @param {number} high
 */
export function stackCentres(wanted, gap, low, high) {
  const order = wanted.map((_, k) => k).sort((i, j) => wanted[i] - wanted[j] || i - j);
  const centres = order.map((k) => wanted[k]);
  for (let k = 0; k < centres.length; k++) centres[k] = Math.max(centres[k], k ? centres[k - 1] + gap : low);
  for (let k = centres.length - 1; k >= 0; k--) {
    centres[k] = Math.min(centres[k], k === centres.length - 1 ? high : centres[k + 1] - gap);
  }
  return wanted.map((_, k) => centres[order.indexOf(k)]);
}

/** Finds room for labels beside their points: never on another label, off lines where that is possible. */
export class Placer {
  /** @param {Box} area */
  constructor(area) {
    this.area = area;
    /** @type {Box[]} */ this.taken = [];
    /** @type {number[][][]} */ this.lines = [];
    /** @type {number[][]} */ this.anchors = []; // what labels belong to
  }

  /** The best free box of this size around the anchor, now taken; null where there is none. prefer: best directions.
   * @param {number[]} anchor @param {number[]} size @param {string} prefer
   */
  near(anchor, [w, h], prefer, area = this.area) {
    const ranked = [...new Set([...prefer.split(" "), ...Object.keys(DIRECTIONS)])];
    let best = null;
    for (const radius of RADII) {
      for (const [rank, name] of ranked.entries()) {
        const least = 0.12 * radius + 0.6 * rank;
        if (best && least >= best.cost) continue;
        const box = boxAround(anchor, w, h, DIRECTIONS[name], radius);
        if (!this.isFree(box, area)) continue;
        const cost = least + this.crossings(box) + this.misleads(box, anchor);
        if (!best || cost < best.cost) best = { box, cost };
      }
    }
    if (best) this.taken.push(best.box);
    return best?.box ?? null;
  }

  /** @param {Box} box @param {Box} area */
  isFree(box, area) {
    if (!holds(area, box)) return false;
    for (const other of this.taken) if (meets(box, other, 3)) return false;
    return true;
  }

  /** What it costs to stand nearer to what another label belongs to.  @param {Box} box @param {number[]} anchor */
  misleads(box, anchor) {
    const own = away(box, anchor);
    return this.anchors.some((other) => away(box, other) < own - 0.5) ? 8 : 0;
  }

  /** What lying on lines costs.  @param {Box} box */
  crossings(box) {
    let cost = 0;
    for (const [p, q] of this.lines) if (clipSegment(p, q, box)) cost += 4;
    return cost;
  }
}

/** How far a point is from a box.  @param {Box} box @param {number[]} point */
const away = ({ x, y, w, h }, [px, py]) => Math.hypot(Math.max(x - px, 0, px - x - w), Math.max(y - py, 0, py - y - h));

/** @param {number[]} anchor @param {number} w @param {number} h @param {number[]} direction @param {number} radius */
function boxAround([x, y], w, h, [dx, dy], radius) {
  const centre = [x + dx * radius + (Math.sign(dx) * w) / 2, y + dy * radius + (Math.sign(dy) * h) / 2];
  return { x: centre[0] - w / 2, y: centre[1] - h / 2, w, h };
}
