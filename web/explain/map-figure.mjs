// @ts-check
/** Figures on the map, one for each screen: what lies under them, drawing commands, and what they say in numbers. No DOM. */
import { arrow, line, marker, polygon, sheet, text } from "../lib/commands.mjs";
import { Placer } from "../lib/layout.mjs";
import { still } from "../lib/still.mjs";
import { PENS } from "../lib/theme.mjs";
import { greatest, least, number, wordsWidth } from "../lib/words.mjs";
import { behind, classify, density, endsOf, MEANS, nearest, pathFrom, predict, push, REACH, SPREAD, stepFrom } from "./map.mjs";
import { LABELS } from "./network.mjs";
import { normal, SAMPLERS, uniform } from "./sampling.mjs";

/** What lies under the commands: shares 0 to 1 on a grid of n x n, upwards; or many points.
 * @typedef {{n: number, values: Float64Array, colour: string} | {points: ArrayLike<number>, colour: string, size: number, alpha: number}} Under
 * @typedef {{under: Under[], commands: Command[], words: string, extent: number, centre?: Point}} Drawn
 */

const EXTENT = 2.1; // from the middle of the map to its edge
const WIDER = 2.5; // where runs end that go too far
const WIDEST = 5;
const RIM = 0.35; // of the map round a point that the view must hold
const CLOUD = 350; // points behind x
const FAN = 24; // runs from one x
const WORK = { moving: 12_000, still: 80_000 }; // steps of all points of the last screen: more of them would not follow a slider
const FIELD = 100; // places along each side of a field
const SIZE = 13; // of words
const FINE = 40; // steps of a path that is drawn as a curve

const POOL = normal(11, 0, 1 << 16)();

/** Numbers that repeat, the same at every drawing.  @param {number} from @returns {() => number} */
function drawsFrom(from) {
  let k = from;
  return () => POOL[(k += 1) % POOL.length];
}

/** A figure in the making: where places of the map stand on the page.
 * @param {{w: number, h: number, theme: Theme, t: Speaker}} options @param {string} title @param {number} extent @param {Point} [centre]
 */
function mapPage({ w, h, theme, t }, title, extent, centre = [0, 0]) {
  const scale = Math.min(w, h) / 2 / extent;
  const placer = new Placer({ x: 4, y: 4, w: w - 8, h: h - 8 });
  /** @type {(point: ArrayLike<number>) => [number, number]} */
  const at = (point) => [w / 2 + scale * (point[0] - centre[0]), h / 2 - scale * (point[1] - centre[1])];
  return { w, h, theme, t, scale, placer, at, commands: [sheet(w, h, theme.paper, title)] };
}

/** @typedef {ReturnType<typeof mapPage>} MapPage */

/** A filled circle.  @param {MapPage} page @param {Point} centre @param {number} radius @param {string} fill @param {number} alpha */
function disc({ commands, at, scale }, centre, radius, fill, alpha) {
  const [x, y] = at(centre);
  const corners = Array.from({ length: 28 }, (_, k) => [x + scale * radius * Math.cos((k * Math.PI) / 14), y + scale * radius * Math.sin((k * Math.PI) / 14)]);
  commands.push(polygon(corners, fill, { alpha }));
}

/** Where pictures lie: every look, those of the label in its colour, and the names of the outer ones.
 * inwards: the label's own names stand on the side of the middle, where no run ends
 * @param {MapPage} page @param {number | null} label
 */
function world(page, label, inwards = false) {
  const { theme, t } = page;
  MEANS.forEach((mean, m) => {
    const own = m % LABELS.length === label;
    disc(page, mean, 2 * SPREAD, own ? theme.c : theme.muted, own ? 0.32 : 0.16);
    if (m < LABELS.length || own) nameLook(page, mean, t(LABELS[m % LABELS.length]), own ? theme.c : theme.muted, own ? "bold" : "normal", own && inwards ? -1 : 1);
  });
}

/** The name of a look beside it, away from the middle of the map.
 * @param {MapPage} page @param {Point} mean @param {string} words @param {string} fill @param {string} weight @param {number} side 1, or -1 for towards the middle
 */
function nameLook({ commands, at, scale, placer, theme, w }, mean, words, fill, weight, side) {
  const size = w < 420 ? 11 : SIZE;
  const half = wordsWidth(words, size) / 2;
  const [dx, dy] = mean.map((value) => (side * value) / Math.hypot(...mean));
  const [x, y] = at(mean);
  const away = 2 * SPREAD * scale + 4;
  const middle = Math.min(Math.max(x + dx * (away + half), half + 2), w - half - 2);
  const base = y - dy * (away + size / 2) + size / 3;
  placer.taken.push({ x: middle - half, y: base - size, w: 2 * half, h: size + 3 });
  commands.push(text(middle, base, words, { size, fill, anchor: "middle", halo: theme.paper, weight, name: "label" }));
}

/** A point by its role, and its name where there is room.  @param {MapPage} page @param {Point} point @param {string} role @param {string} words */
function place(page, point, role, words, prefer = "e ne se n s") {
  const { theme, commands, at, placer } = page;
  const { marker: kind, size } = PENS[role];
  const [x, y] = at(point);
  commands.push(marker([x, y], kind, colour(theme, role), size + 2, theme.paper, { name: role }));
  placer.taken.push({ x: x - 6, y: y - 6, w: 12, h: 12 });
  name(page, [x, y], words, colour(theme, role), prefer);
}

/** @param {Theme} theme @param {string} role */
const colour = ({ u, c, delta, noise, ink }, role) => /** @type {Record<string, string>} */ ({ u, c, G: delta, delta, push: delta, noise })[role] ?? ink;

/** @param {MapPage} page @param {number[]} anchor @param {string} words @param {string} fill */
function name({ commands, placer, theme, t }, anchor, words, fill, prefer = "e ne se n s") {
  if (!words) return;
  const said = t(words);
  const box = placer.near(anchor, [wordsWidth(said, SIZE), SIZE + 2], prefer);
  if (box) commands.push(text(box.x, box.y + SIZE - 1, said, { size: SIZE, fill, halo: theme.paper, name: "words" }));
}

/** An arrow by its role, with a name at its middle.
 * @param {MapPage} page @param {Point} from @param {Point} to @param {string} role @param {string} [words] @param {Record<string, any>} [more]
 */
function vector(page, from, to, role, words = "", more = {}) {
  const { theme, commands, at, placer } = page;
  const ends = [at(from), at(to)];
  placer.lines.push(ends);
  commands.push(...arrow(ends[0], ends[1], colour(theme, role), 2.6, { name: role, ...more }));
  name(page, [(ends[0][0] + ends[1][0]) / 2, (ends[0][1] + ends[1][1]) / 2], words, colour(theme, role), "n s ne se e w");
}

/** @param {MapPage} page @param {Point} from @param {Point} to @param {string} stroke @param {any} [dash] */
const stroke = (page, from, to, stroke, width = 1.6, dash = [6, 4]) => page.commands.push(line([page.at(from), page.at(to)], stroke, width, { dash }));

/** The way of a run.  @param {MapPage} page @param {MapStep[]} path @param {string} stroke */
function way({ commands, at }, path, stroke, { width = 1.6, alpha = 1, dots = false } = {}) {
  const points = [at(path[0].x), ...path.map(({ to }) => at(to))];
  commands.push(line(points, stroke, width, { alpha }));
  if (dots) for (const point of points) commands.push(marker(point, "disc", stroke, 3, null, { name: "step-end" }));
}

/** @param {Settings} settings */
const howOf = ({ label, gamma, sampler }) => ({ label: LABELS.indexOf(label), gamma, eta: SAMPLERS[sampler] });

/** Length of the way between two points.  @param {Point} a @param {Point} b */
const apart = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]);

/** @param {number} share */
const percent = (share) => number(100 * share, 2);

/** quick: while a slider moves  @typedef {{w: number, h: number, theme: Theme, t: Speaker, quick?: boolean}} MapOptions */
/** @type {((settings: Settings, options: MapOptions) => Drawn)[]} */
export const MAPS = [
  function prediction({ x, noise }, options) {
    const page = mapPage(options, options.t("mapPrediction"), EXTENT);
    const { theme, t } = page;
    world(page, null);
    const [first, second] = predict(x[0], x[1], noise, 0, [0, 0, 0, 0, 0]);
    const { points, looks } = behind(x, noise, CLOUD, drawsFrom(5), uniform(5));
    stroke(page, x, [first, second], theme.u);
    place(page, [first, second], "u", "thePrediction");
    place(page, x, "x", "noisyX");
    const cloud = { points: points.flat(), colour: theme.u, size: 2.4, alpha: 0.55 };
    return { under: [cloud], commands: page.commands, extent: EXTENT, words: t("saidPrediction", { looks: number(Math.round(looks)), all: MEANS.length }) };
  },

  function smallStep({ x, noise, steps }, options) {
    const page = mapPage(options, options.t("mapStep"), EXTENT);
    const { theme, t } = page;
    world(page, null);
    const how = { label: 0, gamma: null, eta: 0 };
    const path = pathFrom(x, noise, steps, how, drawsFrom(1));
    const [{ u, tip }] = path;
    stroke(page, x, u, theme.u);
    way(page, pathFrom(x, noise, 400, how, drawsFrom(1)), theme.hair, { width: 4 });
    way(page, path, theme.ink, { dots: true });
    vector(page, x, tip, "step", "aStep");
    place(page, u, "u", "thePrediction");
    place(page, x, "x", "noisyX");
    place(page, path[path.length - 1].to, "next", "theEnd");
    return { under: [], commands: page.commands, extent: EXTENT, words: t("saidStep", { share: percent(apart(x, tip) / apart(x, u)), n: steps }) };
  },

  function noiseAgain({ x, noise, steps, seed }, options) {
    const page = mapPage(options, options.t("mapNoise"), EXTENT);
    const { theme, t } = page;
    world(page, null);
    const how = { label: 0, gamma: null, eta: SAMPLERS.ddpm };
    const many = Array.from({ length: FAN }, (_, k) => pathFrom(x, noise, steps, how, drawsFrom(97 * (k + FAN * seed))));
    const alone = pathFrom(x, noise, steps, { ...how, eta: SAMPLERS.euler }, drawsFrom(1));
    for (const path of many) way(page, path, theme.noise, { width: 1, alpha: 0.4 });
    for (const path of many) page.commands.push(marker(page.at(path[path.length - 1].to), "disc", theme.noise, 6, null, { name: "end" }));
    way(page, alone, theme.ink, { width: 2.2 });
    const [{ u, tip, to }] = many[0];
    stroke(page, x, u, theme.u);
    vector(page, x, tip, "step", "aStep");
    vector(page, tip, to, "noise", "freshNoise");
    place(page, u, "u", "thePrediction");
    place(page, x, "x", "noisyX");
    place(page, alone[alone.length - 1].to, "next", "eulerShort");
    const ends = new Set(many.map((path) => nearest(...path[path.length - 1].to).label)).size;
    return { under: [], commands: page.commands, extent: EXTENT,
      words: t("saidNoise", { runs: FAN, ends, noise: number(apart(tip, to), 2), step: number(apart(x, tip), 2) }) };
  },

  function classifierPush({ x, noise, label, steps }, options) {
    const page = mapPage(options, options.t("mapPush"), EXTENT);
    const { theme, t } = page;
    const y = LABELS.indexOf(label);
    world(page, y);
    const how = { label: y, gamma: 1, eta: 0 };
    const [{ u }] = pathFrom(x, noise, steps, how, drawsFrom(1));
    const along = push(x, noise, y);
    way(page, pathFrom(x, noise, FINE, how, drawsFrom(1)), theme.delta, { alpha: 0.8 });
    way(page, pathFrom(x, noise, FINE, { ...how, gamma: null }, drawsFrom(1)), theme.u, { alpha: 0.6 });
    stroke(page, x, u, theme.u);
    place(page, u, "u", "thePrediction");
    vector(page, u, [u[0] + along[0], u[1] + along[1]], "push", "thePush");
    place(page, x, "x", "noisyX");
    const shares = classify(x, noise);
    return { under: [heatOf(gridOf(EXTENT, FIELD / 2, (a, b) => predict(a, b, noise, y, POINT)[4]), theme.delta)], commands: page.commands, extent: EXTENT,
      words: t("saidPush", { share: percent(shares[y]), label: t(label), length: number(Math.hypot(...along), 2) }) };
  },

  function twoPredictions({ x, noise, label }, options) {
    const page = mapPage(options, options.t("mapPair"), EXTENT);
    const { theme, t } = page;
    const y = LABELS.indexOf(label);
    world(page, y);
    const { u, c } = stepFrom(x, noise, 0.95 * noise, { label: y, gamma: 1, eta: 0 }, drawsFrom(1));
    const along = push(x, noise, y);
    page.commands.push(line([page.at(u), page.at([u[0] + along[0], u[1] + along[1]])], theme.noise, 8, { alpha: 0.35, name: "push" }));
    stroke(page, x, u, theme.u);
    stroke(page, x, c, theme.c, 1.6, PENS.c.dash);
    vector(page, u, c, "delta", "theDifference");
    place(page, u, "u", "without");
    place(page, c, "c", "withLabel");
    place(page, x, "x", "noisyX");
    return { under: [], commands: page.commands, extent: EXTENT,
      words: t("saidPair", { delta: number(apart(u, c), 2), push: number(Math.hypot(...along), 2), way: percent(apart(u, c) / apart(x, u)) }) };
  },

  function scaled(settings, options) {
    const { x, noise, steps, gamma } = settings;
    const how = { ...howOf(settings), eta: 0 };
    const step = stepFrom(x, noise, noise * (1 - 1 / steps), how, drawsFrom(1));
    const { u, c, D, tip } = step;
    const { extent, centre } = viewOf(options, D);
    const page = mapPage(options, options.t("mapScaled"), extent, centre);
    const { theme, t } = page;
    world(page, how.label);
    way(page, pathFrom(x, noise, steps, how, drawsFrom(1)), theme.delta, { dots: true });
    way(page, pathFrom(x, noise, steps, { ...how, gamma: 1 }, drawsFrom(1)), theme.c, { alpha: 0.7 });
    stroke(page, x, u, theme.u);
    stroke(page, x, D, theme.delta, 1.6, PENS.G.dash);
    page.commands.push(line([page.at(u), page.at(D)], theme.delta, 7, { alpha: 0.25, name: "scaled" }));
    vector(page, u, c, "delta");
    vector(page, x, tip, "step", "aStep");
    place(page, u, "u", "without");
    place(page, c, "c", "withLabel");
    place(page, D, "G", "theGuided");
    place(page, x, "x", "noisyX");
    const { away } = nearest(...D);
    return { under: [], commands: page.commands, extent, centre,
      words: t("saidScaled", { gamma: number(gamma), delta: number(apart(u, c), 2), D: number(apart(u, D), 2), away: number(away, 2) }) };
  },

  function tooMuch(settings, options) {
    const { steps } = settings;
    const how = howOf(settings);
    const page = mapPage(options, options.t("mapMuch"), WIDER);
    const { theme, t } = page;
    world(page, how.label, true);
    const count = 2 * Math.round(WORK[options.quick ? "moving" : "still"] / Math.max(steps, 10));
    const ends = endsOf(POOL.slice(0, count), steps, how, drawsFrom(count));
    const clean = still(MEANS, "density", [how.label], () => gridOf(WIDER, FIELD, (x, y) => density(x, y, how.label)));
    const heat = heatOf(clean.map(({ all, called }) => all * called ** how.gamma), theme.c);
    const { right, outside } = sharesOf(ends, how.label);
    return { under: [heat, { points: ends, colour: theme.ink, size: 1.7, alpha: 0.6 }], commands: page.commands, extent: WIDER,
      words: t("saidMuch", { n: count / 2, gamma: number(how.gamma), right: percent(right), label: t(settings.label), outside: percent(outside),
        spread: number(spreadOf(ends), 2), wanted: number(spreadOfHeat(heat, WIDER), 2) }) };
  },
];

const POINT = [0, 0, 0, 0, 0];

/** What a function says on a grid of n x n places of the map, row by row from above.
 * @template T
 * @param {number} extent @param {number} n @param {(x: number, y: number) => T} of @returns {T[]}
 */
const gridOf = (extent, n, of) => Array.from({ length: n * n }, (_, k) => of(((2 * (k % n) + 1) / n - 1) * extent, (1 - (2 * Math.floor(k / n) + 1) / n) * extent));

/** A field: 0 where it is least, 1 where it is greatest.  @param {number[]} values @param {string} colour */
function heatOf(values, colour) {
  const [low, high] = [least(values), greatest(values)];
  return { n: Math.sqrt(values.length), values: Float64Array.from(values, (value) => (value - low) / (high - low || 1)), colour };
}

/** The part of the map that holds all pictures and a point, as large as it fits; a point that is too far is left out.
 * @param {MapOptions} page @param {Point} point
 */
function viewOf({ w, h }, point) {
  const ends = point.map((value) => {
    const held = Math.min(Math.max(value, -2 * WIDEST + EXTENT), 2 * WIDEST - EXTENT);
    return [Math.min(-EXTENT, held - RIM), Math.max(EXTENT, held + RIM)];
  });
  const [wide, high] = ends.map(([low, top]) => top - low);
  /** @type {any} */ const centre = ends.map(([low, top]) => (low + top) / 2);
  return { extent: Math.min(w, h) / 2 / Math.min(w / wide, h / high), centre };
}

/** Shares of points whose nearest look is of the label, and that lie outside every look.  @param {Float64Array} points @param {number} label */
function sharesOf(points, label) {
  let [right, outside] = [0, 0];
  for (let k = 0; k < points.length; k += 2) {
    const found = nearest(points[k], points[k + 1]);
    if (found.label === label) right += 1;
    if (found.away > REACH) outside += 1;
  }
  return { right: (2 * right) / points.length, outside: (2 * outside) / points.length };
}

/** Root mean square distance of points from their mean.  @param {Float64Array} points */
function spreadOf(points) {
  let [x, y, square] = [0, 0, 0];
  for (let k = 0; k < points.length; k += 2) {
    x += points[k];
    y += points[k + 1];
    square += points[k] ** 2 + points[k + 1] ** 2;
  }
  const n = points.length / 2;
  return Math.sqrt(Math.max(square / n - (x / n) ** 2 - (y / n) ** 2, 0));
}

/** The same of a density on a grid.  @param {{n: number, values: Float64Array}} heat @param {number} extent */
function spreadOfHeat({ n, values }, extent) {
  let [sum, x, y, square] = [0, 0, 0, 0];
  values.forEach((value, k) => {
    const [a, b] = [(2 * ((k % n) + 0.5) / n - 1) * extent, (2 * (Math.floor(k / n) + 0.5) / n - 1) * extent];
    sum += value;
    x += value * a;
    y += value * b;
    square += value * (a ** 2 + b ** 2);
  });
  return Math.sqrt(Math.max(square / sum - (x / sum) ** 2 - (y / sum) ** 2, 0));
}
