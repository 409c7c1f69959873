// @ts-check
/** The step plane to scale (D1): x_t to the right, predictions to the left, the difference downwards. */
import { arrow, boxOf, line, marker, rectangle, sheet, SHORT, symbol, text } from "./commands.mjs";
import { VECTORS } from "./gram.mjs";
import { arrange, clipSegment, growBox, Placer, stackCentres } from "./layout.mjs";
import { factsOf, sceneOf, whyUnknown } from "./scene.mjs";
import { colourOf, completeTheme, PENS } from "./theme.mjs";
import { fillIn, fillLines, nth, number, runsWidth, wrapChunks } from "./words.mjs";

/** @type {Record<string, TextRun[]>} */
const SYMBOLS = {
  x: [{ t: "x", italic: true }, { t: "t", italic: true, sub: true }],
  u: [{ t: "x", italic: true, hat: true }, { t: "0", sub: true }],
  c: [{ t: "x", italic: true, hat: true }, { t: "0", sub: true }, { t: " | y", italic: true }],
  G: [{ t: "x", italic: true, hat: true }, { t: "0", sub: true }, { t: " + \u03b3\u03b4" }],
  D: [{ t: "D", italic: true }],
  delta: [{ t: "\u03b4" }],
  scaled: [{ t: "\u03b3\u03b4" }],
  noise: [{ t: "\u03b5" }],
  next: [{ t: "x", italic: true }, { t: "t\u22121", sub: true }],
  step: [{ t: "step" }],
  along: [{ t: "along" }],
  across: [{ t: "across" }],
};
const GUTTER = 88; // column of the predictions' labels
const ROW = 20; // least distance of two of them
const SMALL = 11;
export const RULED = 1e-6; // share of D that other rules must change to be drawn
const LINE = 15; // of the caption
const ASIDE = 7; // pixels between the difference and an arrow along it

/** D1: figure(record, {w, h, theme, step, sample}) -> commands.
 * @type {Figure}
 */
export function figure(record, options) {
  const scene = sceneOf(record, { ...options, gamma: undefined });
  const page = pageOf(options, "Step plane to scale");
  if (scene.alone) return aloneOn(page, scene);
  if (scene.pushed) return pushedOn(page, scene, record);
  if (scene.missing) return nothing(page, scene);
  const area = setCaption(page, [...factsOf(scene, record), "turned so that the line to the prediction without the prompt lies level"]);
  drawPlane(page, viewOf(scene), area);
  return page.commands;
}

/** A figure under construction: its commands and where labels may go.  t: `speaker`, for words inside the drawing
 * @param {Options} options
 * @param {string} label
 * @returns {Page}
 */
export function pageOf({ w, h, theme, t = fillIn, captioned = true }, label) {
  const full = completeTheme(theme);
  const symbolSize = Math.min(w, 2 * h) >= 700 ? 17 : 15;
  return {
    w,
    h,
    t,
    theme: full,
    captioned,
    symbolSize,
    wordSize: symbolSize > 15 ? 12 : SMALL,
    commands: [sheet(w, h, full.paper, t(label))],
    placer: new Placer({ x: 3, y: 3, w: w - 6, h: h - 6 }),
  };
}

/** Why there is nothing to draw, in the middle of the page.  rows: steps at which it is unknown, for the advice
 * @param {Page} page
 * @param {{missing: Phrase, advice?: Phrase, rows?: any[]}} why
 * @returns {Command[]}
 */
export function nothing(page, { missing, rows, advice = rows ? whyUnknown(rows, page.t) : "" }) {
  const { w, h, theme, commands } = page;
  const words = inWords(page, missing);
  commands[0].label += `: ${words}`;
  const style = { anchor: "middle" };
  const said = fillLines(words, w - 16, 14).map((line) => [line, { ...style, size: 14, fill: theme.ink }, 19]);
  const more = sentencesOf(page, advice).flatMap((sentence) => fillLines(sentence, w - 16, SMALL)).map((line) => [line, { ...style, fill: theme.muted }, LINE]);
  let y = Math.max(19, 0.44 * h - 19 * (said.length - 1));
  for (const [line, how, high] of /** @type {any[]} */ ([...said, ...more])) {
    commands.push(text(w / 2, y, line, how));
    y += high;
  }
  return commands;
}

/** What a phrase says in the language of the page; "" of what is not said.
 * @param {Page} page
 * @param {Phrase} phrase
 */
const inWords = ({ t }, phrase) => {
  const [words, values] = /** @type {any[]} */ (Array.isArray(phrase) ? phrase : [phrase]);
  return words ? t(String(words), values) : "";
};

/** The sentences of a phrase, one by one.  @param {Page} page @param {Phrase} phrase */
const sentencesOf = (page, phrase) => inWords(page, phrase).split(/(?<=\.) |(?<=\u3002)/);

/** A step with one prediction: its length to scale, and the way to c, whose distance is not recorded.
 * @param {Page} page @param {Scene} scene
 */
function aloneOn(page, scene) {
  const { theme, commands, placer } = page;
  const { missing, advice, alone, noise } = scene;
  const area = setCaption(page, [missing, ...sentencesOf(page, advice), ["step {i} of {n}", { i: nth(scene.i), n: scene.n }], noise > 0 && ["noise {value} is not drawn", { value: number(noise) }]]);
  const [start, end] = [[area.x + area.w - 40, area.y + area.h / 2], [area.x + GUTTER, area.y + area.h / 2]];
  const scale = (0.45 * (start[0] - end[0])) / alone;
  const tip = [start[0] - scale * alone, start[1]];
  placer.lines.push([start, end]);
  commands.push(line([start, end], theme.c, PENS.c.width, { dash: PENS.c.dash, name: "ray-c" }));
  commands.push(...arrow(start, tip, theme.ink, PENS.step.width, { name: "step" }));
  commands.push(marker(tip, PENS.next.marker, theme.ink, PENS.next.size, theme.paper, { name: "next" }));
  commands.push(marker(start, "disc", theme.ink, PENS.x.size, null, { name: "x" }));
  place(page, start, "x", "", "e n s", area);
  place(page, tip, "next", noise > 0 ? "before noise" : "", "n s", area);
  place(page, [(start[0] + tip[0]) / 2, tip[1]], "step", `rms ${number(alone)}`, "n s", area);
  place(page, end, "c", "", "w n s", area);
  scaleBar(page, { scale }, area, "start", "bar");
  return commands;
}

/** A step with one prediction, and what a gradient or a rule made of that.
 * @param {Page} page @param {Scene} scene @param {Run} record
 */
function pushedOn(page, scene, record) {
  const { pushed: points, missing } = scene;
  const size = Math.hypot(points.D[0] - points.c[0], points.D[1] - points.c[1]);
  const times = [`${pusherOf(record)} {value} rms, {share} % of the way to the prediction`, { value: number(size), share: number((100 * size) / points.c[0]) }];
  const area = setCaption(page, [missing, times, ["step {i} of {n}", { i: nth(scene.i), n: scene.n }]]);
  drawPlane(page, { scene, points, predictions: ["c", "D"], tip: points.tip, noise: scene.noise, extra: [], by: pusherOf(record) }, area);
  return page.commands;
}

/** Who moved a prediction where no difference could.  @param {Run} record */
const pusherOf = (record) => (record?.steps?.some((step) => step?.vectors?.length > VECTORS) ? "gradient" : "rules");

/** Set the caption at the lower edge; the box above it is left for the figure.
 * @param {Page} page
 * @param {Phrase[]} chunks
 * @returns {Box}
 */
export function setCaption(page, chunks, most = 4, room = 0) {
  const { w, h, theme, commands } = page;
  const fitting = page.captioned ? Math.min(most, Math.max(0, Math.floor((h - room) / LINE))) : 0; // else it is but read aloud
  const phrases = chunks.map((chunk) => inWords(page, chunk)).filter(Boolean);
  const lines = wrapChunks(phrases, w - 16, SMALL).slice(0, fitting);
  const top = h - lines.length * LINE - 4;
  lines.forEach((words, k) => commands.push(text(8, top + LINE * k + 11, words, { fill: theme.muted, name: "caption" })));
  commands[0].label += `. ${phrases.join(", ")}`;
  return { x: 8, y: 6, w: w - 16, h: top - 12 };
}

/** What D1 shows of a scene. guided: [role, place] of the tips of gamma times delta; extras: more places to hold.
 * @param {any} scene
 */
function viewOf(scene) {
  const { points, other } = scene;
  const predictions = other > RULED * Math.hypot(...points.G) ? ["u", "c", "G", "D"] : ["u", "c", "G"];
  const across = predictions.includes("D") ? scene.across : null;
  return { scene, points, predictions, tip: points.tip, noise: scene.noise, extra: across ? [points.along] : [], across };
}

/** Draw a view: {scene, points, predictions, tip, noise, extra: places that the fan must hold}.
 * @param {Page} page @param {any} view @param {Box} area
 */
export function drawPlane(page, view, area) {
  const set = { ...view, page, area };
  const { points, predictions, extra } = view;
  const fan = [...predictions.map((/** @type {string} */ role) => points[role]), ...extra];
  const lines = [...fan, view.tip].map((place) => [[0, 0], place]);
  const shape = { fan, lines, tip: view.tip, aim: points.D, noise: view.noise };
  const inset = Math.max(40, Math.min(92, 0.1 * area.w));
  Object.assign(set, arrange(shape, areasOf(area), { inset, gutter: GUTTER, margin: 34 }));
  set.near = set.lens?.plane ?? set.plane;
  set.frame = set.lens?.frame ?? area;
  page.placer.area = growBox(area, 2);
  if (set.lens) outlineLens(set);
  if (set.reach) stroke(page, "reach", set.near.at(points.u), set.near.at(set.reach), set.frame, "reach");
  rays(set, set.plane, area);
  if (set.lens) rays(set, set.lens.plane, set.lens.frame, "lens-");
  stepArrow(set);
  fanOf(set);
  page.commands.push(marker(set.plane.at([0, 0]), "disc", page.theme.ink, PENS.x.size, null, { name: "x" }));
  labels(set);
  return set;
}

/** The plane alone, or the overview above its lens; the gap holds the lens's title.  @param {Box} area */
function areasOf(area) {
  const top = Math.max(64, Math.min(220, 0.36 * area.h));
  const lens = { x: area.x + GUTTER, y: area.y + top + 24, w: area.w - GUTTER, h: area.h - top - 24 };
  return { whole: area, overview: { ...area, h: top }, lens };
}

/** @param {PlaneDrawing & {lens: object}} drawing */
function outlineLens({ page, lens }) {
  const { commands, theme, placer } = page;
  const { window, frame, gain } = lens;
  const [hair, thin] = [theme.hair, { stroke: theme.hair, width: 1 }];
  const [low, right] = [window.y + window.h, window.x + window.w];
  const edges = [[[window.x, low], [frame.x, frame.y]], [[right, low], [frame.x + frame.w, frame.y]]];
  for (const edge of edges) commands.push(line(edge, hair, 1));
  const { x, y } = window;
  placer.lines.push(...edges, [[x, y], [right, y]], [[x, low], [right, low]], [[x, y], [x, low]], [[right, y], [right, low]]);
  commands.push(rectangle(window, "none", { ...thin, name: "window" }));
  commands.push(rectangle(frame, theme.paper ?? "none", { ...thin, name: "frame" }));
  const words = page.t("lens \u00d7{gain}, equal axes", { gain });
  commands.push(...lensTitle(page, frame, words));
}

/** Above the lens, where no line runs; its right end otherwise.
 * @param {Page} page @param {Box} frame @param {string} words
 */
function lensTitle({ theme, placer }, frame, words) {
  const wide = runsWidth([{ t: words }], SMALL);
  let best = null;
  for (let x = frame.x + frame.w - wide - 4; x >= frame.x; x -= 8) {
    const title = text(x, frame.y - 6, words, { fill: theme.muted, halo: theme.paper, name: "lens-title" });
    const free = placer.crossings(boxOf(title)) === 0;
    if (free || !best) best = title;
    if (free) break;
  }
  if (!best) return [];
  placer.taken.push(boxOf(best));
  return [best];
}

/** From the noisy sample to every prediction.  @param {PlaneDrawing} drawing @param {Plane} plane @param {Box} within */
function rays({ page, points, predictions }, plane, within, prefix = "") {
  for (const role of predictions) stroke(page, role, plane.at([0, 0]), plane.at(points[role]), within, `${prefix}ray-${role}`);
}

/** A line of a role, clipped, that labels avoid.
 * @param {Page} page @param {string} role @param {number[]} p @param {number[]} q @param {Box} within
 * @param {string} name
 */
function stroke(page, role, p, q, within, name) {
  const ends = clipSegment(p, q, within);
  if (!ends) return;
  const { width, dash } = PENS[role];
  page.placer.lines.push(ends);
  page.commands.push(line(ends, colourOf(page.theme, role), width, { dash, name }));
}

/** The deterministic step, the noise hinged to its tip, and the next state.  @param {any} set */
function stepArrow(set) {
  const { page, plane, hinge, tip } = set;
  const { theme, commands, placer } = page;
  const [start, end] = [plane.at([0, 0]), plane.at(tip)];
  placer.lines.push([start, end]);
  if (Math.hypot(...tip) > 0) commands.push(...arrow(start, end, theme.ink, PENS.step.width, { name: "step" }));
  set.end = end;
  if (hinge) {
    set.end = plane.at(hinge.end);
    placer.lines.push([end, set.end]);
    commands.push(line([end, set.end], theme.noise, PENS.noise.width, { dash: PENS.noise.dash, name: "noise" }));
    if (hinge.cut) cutMark(page, end, set.end);
  }
  commands.push(marker(set.end, PENS.next.marker, theme.ink, PENS.next.size, theme.paper, { name: "next" }));
}

/** A double slash: the line is longer than drawn, its true length stands in the label.
 * @param {Page} page @param {number[]} p @param {number[]} q
 */
function cutMark({ theme, commands }, p, q) {
  const size = Math.hypot(q[0] - p[0], q[1] - p[1]);
  const [dx, dy] = [(q[0] - p[0]) / size, (q[1] - p[1]) / size];
  for (const along of [size / 2 - 2.5, size / 2 + 2.5]) {
    const [x, y] = [p[0] + along * dx, p[1] + along * dy];
    const ends = [[x - 6 * dy - 3 * dx, y + 6 * dx - 3 * dy], [x + 6 * dy + 3 * dx, y - 6 * dx + 3 * dy]];
    commands.push(line(ends, theme.noise, 1.6, { name: "cut" }));
  }
}

/** Predictions, their difference, and the difference times gamma.  @param {PlaneDrawing} drawing */
function fanOf({ page, points, predictions, near, lens, plane, across }) {
  const { theme, commands, placer } = page;
  const place = Object.fromEntries(predictions.map((role) => [role, near.at(points[role])]));
  for (const role of lens ? predictions : []) {
    const name = `overview-${role}`;
    commands.push(marker(plane.at(points[role]), "disc", colourOf(theme, role), 3, null, { name }));
  }
  if (place.u) differenceOf(page, place);
  else placer.lines.push([place.c, place.D]);
  if (across) pushOf(page, place.c, near.at(points.along), place.D);
  else if (place.D) commands.push(...arrow(place.G ?? place.c, place.D, theme.ink, 1.6, { name: "other" }));
  for (const role of predictions) {
    const { marker: kind, size } = PENS[role];
    commands.push(marker(place[role], kind, colourOf(theme, role), size, theme.paper, { name: role }));
    placer.taken.push({ x: place[role][0] - size / 2, y: place[role][1] - size / 2, w: size, h: size });
  }
}

/** From u to c, and gamma times as far.
 * @param {Page} page
 * @param {any} place
 */
function differenceOf({ theme, commands, placer }, { u, c, G }) {
  placer.lines.push([u, G], [u, c]);
  commands.push(line([u, G], theme.delta, 6, { alpha: 0.25 }));
  commands.push(...arrow(u, G, theme.delta, PENS.scaled.width, { name: "scaled" }));
  commands.push(...arrow(u, c, theme.delta, PENS.delta.width, { name: "delta" }));
}

/** The push from c to D: along the difference, beside its line, and across; of that the foot, for most leaves the plane.
 * @param {Page} page @param {number[]} c @param {number[]} along @param {number[]} D
 */
function pushOf({ theme: { ink }, commands, placer }, c, along, D) {
  const [dx, dy] = [along[0] - c[0], along[1] - c[1]];
  const size = Math.hypot(dx, dy);
  const aside = ASIDE / size * (dy < 0 ? -1 : 1);
  const [tail, tip] = [c, along].map(([x, y]) => [x - dy * aside, y + dx * aside]);
  if (size >= SHORT) commands.push(...arrow(tail, tip, ink, 1.6, { name: "along" }));
  commands.push(line([along, D], ink, 1.4, { dash: [3, 3], name: "across" }));
  placer.lines.push([c, along], [along, D]);
}

/** All words, most important first: later ones make room or stay away.  @param {any} set */
function labels(set) {
  const { page, plane, near, frame, points, scene, hinge, tip, end, area } = set;
  const overview = set.area.h < area.h ? set.area : area;
  const [start, stepEnd] = [plane.at([0, 0]), plane.at(tip)];
  gutter(set);
  /** @param {number[]} p @param {number[]} q */
  const middle = (p, q, part = 0.5) => [p[0] + part * (q[0] - p[0]), p[1] + part * (q[1] - p[1])];
  page.placer.anchors.push(start, end, middle(start, stepEnd), middle(stepEnd, end));
  for (const point of [start, end]) page.placer.taken.push({ x: point[0] - 5, y: point[1] - 5, w: 10, h: 10 });
  const sheetBox = { x: 2, y: 2, w: page.w - 4, h: overview.y + overview.h - 2 };
  place(page, start, "x", "", "e ne se n s", sheetBox);
  const inner = set.lens ? growBox(frame, -3) : frame;
  if (set.by) place(page, middle(near.at(points.c), near.at(points.D)), "other", "", "e w se ne", inner, [{ t: set.by }]);
  else if (!scene.same) {
    const [u, c, G] = ["u", "c", "G"].map((role) => near.at(points[role]));
    place(page, middle(u, c), "delta", "", "e ne se w", inner);
    const scale = set.shownGamma ?? scene.gamma;
    const words = `${set.scaleName ?? "\u03b3"} = ${number(scale)}`;
    place(page, middle(scale > 1 ? c : u, G), "scaled", words, "e se ne w", inner);
    if (set.across) {
      place(page, middle(c, near.at(points.along)), "along", `\u03b3 ${number(scene.gram.m.M19)}`, "w nw sw e", inner);
      place(page, near.at(points.D), "across", `${number(100 * set.across.share, 2)} %`, "w sw se e", inner);
    }
  }
  const short = Math.hypot(stepEnd[0] - start[0], stepEnd[1] - start[1]) < 8;
  if (hinge) {
    const words = page.t(hinge.cut ? "rms {value}, cut" : "rms {value}", { value: number(scene.noise) });
    place(page, middle(stepEnd, end), "noise", words, "w e sw se", sheetBox);
  }
  place(page, end, "next", set.nextWords ?? "", hinge ? "s se sw e w" : "nw sw n s ne", sheetBox);
  if (!scene.still) place(page, middle(start, stepEnd), "step", short ? `rms ${number(Math.hypot(...tip))}` : "", "n ne nw s", sheetBox);
  scaleBar(page, plane, { x: overview.x, y: overview.y, w: overview.w, h: overview.h }, "start", "bar");
  if (set.lens) scaleBar(page, near, growBox(frame, -6), "end", "lens-bar");
}

/** Labels of the predictions left of the fan, joined to their points by hairlines.  @param {PlaneDrawing} drawing */
function gutter({ page, near, frame, points, predictions, lens, area }) {
  const { theme, commands, placer, symbolSize } = page;
  const ends = predictions.map((role) => near.at(points[role]));
  const left = lens ? area.x : Math.max(area.x, Math.min(...ends.map(([x]) => x)) - GUTTER - 30);
  const centres = stackCentres(ends.map(([, y], k) => y + 1e-6 * k), ROW + 1, frame.y + 10, frame.y + frame.h - 10);
  predictions.forEach((role, k) => {
    const style = { size: symbolSize, fill: colourOf(theme, role), halo: theme.paper, name: `label-${role}` };
    const parts = symbol(left, centres[k] + 0.3 * symbolSize, SYMBOLS[role], style);
    const wide = runsWidth(SYMBOLS[role], symbolSize);
    const hairline = [[left + wide + 4, centres[k]], ends[k]];
    commands.push(line(hairline, theme.hair, 1), ...parts);
    placer.lines.push(hairline);
    placer.taken.push(boxOf(parts[0]));
  });
}

/** A symbol and a word beside a point; left out where there is no room at all.
 * @param {Page} page @param {number[]} anchor @param {string} role @param {string} said @param {string} prefer
 * @param {Box} area
 */
export function place(page, anchor, role, said, prefer, area, symbols = SYMBOLS[role]) {
  const words = page.t(said);
  const { theme, commands, placer, symbolSize, wordSize } = page;
  const fill = colourOf(theme, role);
  const upright = ["step", "along", "across", "other"].includes(role);
  const size = upright ? wordSize : symbolSize;
  const runs = upright ? symbols.map((run) => ({ ...run, t: page.t(run.t) })) : symbols;
  const [w, h] = [runsWidth(runs, size) + (words ? 5 + runsWidth([{ t: words }], wordSize) : 0), 1.22 * size];
  const box = placer.near(anchor, [w, h], prefer, area);
  if (!box) return;
  const y = box.y + 0.86 * size;
  commands.push(...symbol(box.x, y, runs, { size, fill, halo: theme.paper, name: `label-${role}` }));
  if (words) {
    const right = box.x + runsWidth(runs, size) + 5;
    commands.push(text(right, y, words, { size: wordSize, fill, halo: theme.paper, name: `words-${role}` }));
  }
}

/** A bar of a round length in rms units, in a lower corner where it meets nothing.
 * @param {Page} page @param {any} plane @param {Box} area @param {string} side @param {string} name
 */
function scaleBar(page, plane, area, side, name) {
  const { theme, commands, placer } = page;
  const size = niceLength(48 / plane.scale);
  const pixels = size * plane.scale;
  const words = `${number(size)} rms`;
  const w = Math.max(pixels, runsWidth([{ t: words }], SMALL));
  const room = growBox(area, 3);
  for (let up = 0; up < area.h - 24; up += 6) {
    for (let aside = 0; aside < area.w - w; aside += 12) {
      const x = side === "start" ? area.x + aside : area.x + area.w - w - aside;
      const box = { x, y: area.y + area.h - 22 - up, w, h: 22 };
      if (!placer.isFree(growBox(box, 3), room) || placer.crossings(box)) continue;
      placer.taken.push(box);
      const y = box.y + 4;
      for (const end of [x, x + pixels]) commands.push(line([[end, y - 3], [end, y + 3]], theme.ink, 1.4));
      commands.push(line([[x, y], [x + pixels, y]], theme.ink, 1.4, { name, length: size }));
      commands.push(text(x, y + 15, words, { fill: theme.muted, name: `${name}-text` }));
      return;
    }
  }
}

/** The smallest of 1, 2, 5 times a power of ten that is not below `least`.  @param {number} least */
function niceLength(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  return power * ([1, 2, 5, 10].find((factor) => power * factor >= least * (1 - 1e-9)) ?? 10);
}
