// @ts-check
/** Figures over a whole run: direction memory (D9), where guidance matters (D11), step against noise (D17). */
import { band, bandOf, bandWords } from "./bands.mjs";
import { FOOT, bars, cursor, curve, keys, levelAxis, panel, positions, stepsOf } from "./axes.mjs";
import { line, polygon, rectangle, text } from "./commands.mjs";
import { choiceOf, defaultSample, defaultStep, dot, sampleOf, stepOf, VECTORS } from "./gram.mjs";
import { matrix } from "./matrix.mjs";
import { metric } from "./metrics.mjs";
import { setCaption, nothing, pageOf } from "./plane.mjs";
import { gapOf, whyUnknown } from "./scene.mjs";
import { still } from "./still.mjs";
import { greatest, least, nth, number, wordsWidth } from "./words.mjs";

export const LOW = 130; // what the curves keep of a low figure, before its caption
export const TALL = 150; // a figure lower than this has no second panel
const HELD = 0.8; // share of the sum that the shaded interval holds
const DEGREES = 180 / Math.PI;
const GUIDED = ["step", "reuse"]; // stages at which something beyond c may have pushed
const KAPPA = "\u03ba: how far the next state follows the prediction";

/** D17: rms of step, noise and guided push at every step, and the shares of step and noise in the squared length.
 * @type {Figure}
 */
export function lengths(record, options) {
  const run = runOf(record, options);
  const page = pageOf(options, "Step and noise, rms per element");
  const rows = still(run.rows, "sizes", [], () => run.rows.map((row) => ({ ...row, ...lengthsOf(row) })));
  if (!rows.some((row) => Number.isFinite(row.step))) return nothing(page, run.empty);
  const noisy = rows.some((row) => row.noise > 0);
  const chosen = rows.find((row) => row.i === run.chosen);
  const area = setCaption(page, [...lengthFacts(chosen, run, noisy), bandWords(record)], 4, LOW);
  return overRun("lengths", page, run, area, options, (own) => lengthCurves(own, area, record, run, rows, noisy));
}

/** @param {Page} page @param {Box} area @param {Run} record @param {SampleRun} run @param {Row[]} rows
 * @param {boolean} noisy
 */
function lengthCurves(page, area, record, run, rows, noisy) {
  const { ink, noise, delta } = page.theme;
  const series = [
    { key: "step", words: "step length", colour: ink, kind: "disc" },
    { key: "noise", words: "noise added", colour: noise, kind: "circle", dash: [5, 3] },
    { key: "push", words: "push of guidance", colour: delta, kind: "diamond", dash: [2, 3] },
  ].filter(({ key }) => rows.some((row) => Number.isFinite(row[key]) && (key !== "noise" || noisy)));
  const [upper, lower] = split(area, keys(page, area, series), noisy);
  /** @type {Record<string, [number, number[]][]>} */
  const bands = Object.fromEntries(series.map(({ key }) => [key, run.rows.map(({ i, step }) => [i, lengthBand(key, step)])]));
  const ends = Object.values(bands).flatMap((found) => found.flatMap(([, edges]) => edges.filter((value) => value > 0)));
  const values = [...series.flatMap(({ key }) => rows.map((row) => row[key])), ...ends];
  const main = panel(page, upper, run.where, { values, log: true });
  for (const { key, colour } of series) band(page, main, bands[key], colour);
  for (const { key, ...style } of series) {
    curve(page, main, rows.map((row) => [main.x(row.i), main.y(row[key])]), { ...style, name: key });
  }
  const last = lower ? squaresPanel(page, lower, run, rows) : main;
  levelAxis(page, last, record, last.inner.y + last.inner.h + 4);
  return placesOf(main, run, upper, lower ?? upper);
}

/** @param {Row} row */
function lengthsOf({ step, gram }) {
  const kappa = step.kappa ?? NaN;
  return {
    step: metric("M7", gram),
    noise: metric("M8", gram),
    push: Math.abs((step.gamma ?? NaN) * kappa) * metric("M2", gram),
  };
}

/** @type {Record<string, string>} */
const LENGTHS = { step: "M7", noise: "M8", push: "M2" };

/** Band of a length over the batch; the push is the difference's size times gamma kappa, which all samples share.
 * @param {string} key @param {Step} step
 */
function lengthBand(key, step) {
  const factor = key === "push" ? Math.abs((step.gamma ?? NaN) * (step.kappa ?? NaN)) : 1;
  return bandOf(LENGTHS[key], step).map((value) => factor * value);
}

/** |x' - x|^2 over |step|^2 + |noise|^2: 1 where the two are perpendicular.  @param {Gram | null} gram */
const squaresAdd = (gram) => 1 + (2 * dot(gram, "move", "noise")) / (dot(gram, "move", "move") + dot(gram, "noise", "noise"));

/** @param {any} chosen @param {SampleRun} run @param {boolean} noisy */
function lengthFacts(chosen, run, noisy) {
  const noise = chosen && noisy && [["noise {value}", { value: number(chosen.noise) }], ["noise/step {value}", { value: number(chosen.noise / chosen.step) }],
    ["their squares add up to {share} %", { share: number(100 * squaresAdd(chosen.gram)) }]];
  const words = noisy ? "noise is perpendicular to the step, so squared lengths add" : "this sampler adds no noise";
  return [chosen && ["step {i}: rms {value}", { i: nth(chosen.i), value: number(chosen.step) }], ...(noise || []), ...run.facts, words, KAPPA];
}

/** step^2 below and noise^2 above, in percent of their sum: how much of a step's length is chance.
 * @param {Page} page @param {Box} box @param {SampleRun} run @param {Row[]} rows
 */
function squaresPanel(page, box, run, rows) {
  const plot = panel(page, box, run.where, { values: [], high: 100, reserve: 18 });
  const { inner } = plot;
  const wide = Math.max(1, Math.min(14, 0.7 * plot.gap));
  const { ink, noise } = page.theme;
  for (const row of rows) {
    const share = row.step ** 2 / (row.step ** 2 + row.noise ** 2);
    if (!Number.isFinite(share)) continue;
    const [foot, middle, top] = [0, 100 * share, 100].map(plot.y);
    /** @param {number} from @param {number} to */
    const bar = (from, to) => ({ x: plot.x(row.i) - wide / 2, y: to, w: wide, h: from - to });
    page.commands.push(rectangle(bar(foot, middle), ink, { alpha: 0.55, name: "step-square" }));
    page.commands.push(rectangle(bar(middle, top), noise, { alpha: 0.75, name: "noise-square" }));
  }
  const even = [[inner.x, plot.y(50)], [inner.x + inner.w, plot.y(50)]];
  page.commands.push(line(even, page.theme.muted, 1, { dash: [4, 3] }));
  heading(page, plot, "%: noise\u00b2 on step\u00b2", "start");
  return plot;
}

/** D11: how much of the guided push falls on which step, by two proxies, and the interval that holds most of it.
 * @type {Figure}
 */
export function matters(record, options) {
  const run = runOf(record, options);
  const page = pageOf(options, "Where guidance matters, by two estimates");
  if (!run.rows.some(({ gram }) => gram)) return nothing(page, run.empty);
  /** @param {{step: Step}} row */
  const alone = ({ step: { stage, gamma, vectors } }) => (stage === "cond_only" || stage === "afterwards") && Number.isFinite(gamma) && vectors.length === VECTORS;
  if (run.rows.every(alone)) { // no pixel had a push
    return nothing(page, { missing: "guidance pushed at no step", advice: "At cfg 1 only the prediction with the prompt is made. Raise cfg to guide." });
  }
  const { rows, guided, unknown } = still(run.rows, "proxies", [], () => proxies(run));
  if (unknown) { // shares of a sum that lacks some of its terms would say nothing
    const gaps = run.rows.filter((_, k) => rows[k].guided && !Number.isFinite(rows[k].push));
    const advice = `${whyUnknown(gaps, page.t)} ${page.t("A second run without guidance at these steps shows what it did.")}`;
    const where = unknown === guided ? "every step" : "{unknown} of {guided} {guided:guided step|guided steps}";
    return nothing(page, { missing: [`the push is unknown at ${where}`, { unknown, guided }], advice });
  }
  if (!rows.some((row) => row.push > 0)) {
    return nothing(page, { missing: "guidance pushed at no step", advice: "The guided prediction is everywhere the one with the prompt." });
  }
  const held = windowOf(record, run);
  const area = setCaption(page, matterFacts(run, rows, held, bandWords(record, "whiskers of the push"), record?.batch), 4, LOW);
  return overRun("matters", page, run, area, options, (own) => matterCurves(own, area, record, run, rows, held));
}

/** @param {Page} page @param {Box} area @param {Run} record @param {SampleRun} run @param {Row[]} rows
 * @param {any} held
 */
function matterCurves(page, area, record, run, rows, held) {
  const { muted, delta, c } = page.theme;
  const contracted = rows.some((row) => Number.isFinite(row.contracted));
  /** @type {any[]} */
  const items = [{ words: "push at the step", colour: delta, bar: 0.45 }];
  if (contracted) items.push({ words: "left at the end, an estimate", colour: c, kind: "square", dash: [7, 3] });
  items.push({ words: page.t("{share} % of the push", { share: 100 * HELD }), colour: muted, bar: 0.3 });
  const [box] = split(area, keys(page, area, items), false);
  const pushed = rows.flatMap(({ i, step: { whisker } }) => (whisker ? [[i, whisker.map((/** @type {number} */ share) => 100 * share)]] : []));
  const values = [...rows.flatMap((row) => [100 * row.push, 100 * row.contracted]), ...pushed.flatMap(([, edges]) => edges)];
  const main = panel(page, box, run.where, { values, reserve: 6 });
  shadeInterval(page, main, held);
  bars(page, main, rows.map((row) => [row.i, 100 * row.push]), { colour: delta, alpha: 0.45, name: "push" });
  between(page, main, rows);
  whiskers(page, main, pushed);
  const points = rows.map((row) => [main.x(row.i), main.y(100 * row.contracted)]);
  curve(page, main, points, { colour: c, kind: "square", dash: [7, 3], name: "contracted" });
  most(page, main, rows);
  heading(page, main, "% of the sum");
  levelAxis(page, main, record, main.inner.y + main.inner.h + 4);
  return placesOf(main, run, box, box);
}

/** The step that matters most, named at its point of the curve that says so.
 * @param {Page} page @param {Plot} main @param {Row[]} rows
 */
function most({ commands, theme, t }, main, rows) {
  const top = mattersMost(rows);
  if (!Number.isFinite(top.contracted)) return;
  const words = t("step {i} leaves most", { i: nth(top.i) });
  const { x, y, w } = main.inner;
  const half = wordsWidth(words, 12) / 2;
  const middle = Math.min(Math.max(main.x(top.i), x + half), x + w - half);
  const foot = Math.max(main.y(100 * top.contracted) - 10, y + 22); // below the heading
  const style = { fill: theme.c, halo: theme.paper, anchor: "middle", weight: "bold", name: "most" };
  commands.push(text(middle, foot, words, style));
}

/** The row of the step whose push leaves most; the bars decide only where nothing is known of what later steps do.
 * @param {Row[]} rows
 */
export const mattersMost = (rows) => rows.reduce((best, row) => (leftOf(row) > leftOf(best) ? row : best));

/** What later steps leave of the push, an estimate that ranks steps well in exact worlds.  @param {any} row */
export const leftOf = ({ push, contracted }) => (Number.isFinite(contracted) ? contracted : push) || 0;

/** Shares of the two proxies of a sample, a row a step, how many steps are guided, and at how many of these the push is unknown.
 * @param {{rows: StepRow[]}} run
 * @returns {{rows: Row[], guided: number, unknown: number}}
 */
export function proxies(run) {
  /** @type {Row[]} */
  const raw = run.rows.map(({ i, step, gram }) => ({ i, step, push: metric("push", gram), contracted: metric("left", gram) }));
  /** @param {string} name */
  const share = (name) => raw.reduce((sum, row) => sum + (row[name] || 0), 0) || 1;
  const [whole, left] = [share("push"), share("contracted")];
  /** @type {Row[]} */
  const rows = raw.map((row) => ({ ...row, push: row.push / whole, contracted: row.contracted / left }));
  const alone = !rows.some(({ step }) => GUIDED.includes(step.stage)); // gradients alone
  for (const row of rows) row.guided = alone || GUIDED.includes(row.step.stage);
  const guided = rows.filter((row) => row.guided);
  return { rows, guided: guided.length, unknown: guided.filter((row) => !Number.isFinite(row.push)).length };
}

/** The stretch of steps that holds most of the push: {first, last, count, from, to}, null while the run goes on.
 * @param {Run} record
 * @param {SampleRun} run
 */
function windowOf(record, { sample }) {
  const [first, last] = choiceOf(record, sample, "window") ?? [];
  if (first === undefined) return null;
  /** @param {number} i */
  const sigma = (i) => stepOf(record, i)?.sigma ?? record.sigmas?.[i];
  return { first, last, count: last - first + 1, from: sigma(first), to: stepOf(record, last)?.sigma_next ?? sigma(last + 1) };
}

/** From the 10th to the 90th percentile over the samples, beside the bar of the chosen one.
 * @param {Page} page @param {Plot} main @param {any[]} rows
 */
function whiskers({ commands, theme }, main, rows) {
  for (const [i, ends] of rows) {
    const [low, high] = ends.map(main.y);
    if (Number.isFinite(low)) commands.push(line([[main.x(i), low], [main.x(i), high]], theme.delta, 1.6, { name: "whisker" }));
  }
}

/** @param {SampleRun} run @param {Row[]} rows @param {any} held @param {any} bands @param {number} batch */
function matterFacts(run, rows, held, bands, batch) {
  const whose = batch > 1 ? "the push of sample {sample}" : "the push"; // the report is on all of them
  const where = held && [`{share} % of ${whose} in {count} of {n} {n:step|steps}, \u03c3 {from} \u2192 {to}`,
    { share: 100 * HELD, sample: run.sample, count: held.count, n: rows[0].step.n, from: number(held.from), to: number(held.to) }];
  const lacks = rows.some((row) => Number.isFinite(row.contracted)) ? "" : "what is left cannot be estimated: the size of clean data is unknown";
  return [where, ...run.facts, lacks, bands, KAPPA, "what is left at the end is an estimate: only a second run without the push shows it"];
}

/** @param {Page} page @param {Plot} main @param {any} held */
function shadeInterval(page, main, held) {
  if (!held) return;
  const half = Math.min(8, main.gap / 2);
  const [left, right] = [main.x(held.first) - half, main.x(held.last) + half];
  const box = { x: left, y: main.inner.y, w: right - left, h: main.inner.h };
  page.commands.push(rectangle(box, page.theme.muted, { alpha: 0.16, name: "held" }));
}

/** The area between the proxies, where both are known without a gap.
 * @param {Page} page @param {Plot} main @param {Row[]} rows
 */
function between(page, main, rows) {
  for (const known of stretches(rows, (row) => Number.isFinite(row.push) && Number.isFinite(row.contracted))) {
    if (known.length < 2) continue;
    /** @param {string} key */
    const edge = (key) => known.map((row) => [main.x(row.i), main.y(100 * row[key])]);
    const outline = [...edge("push"), ...edge("contracted").reverse()];
    page.commands.push(polygon(outline, page.theme.c, { alpha: 0.18, name: "between" }));
  }
}

/** Rows in a row that fulfil something, in lists.
 * @param {any[]} rows
 * @param {(row: Row) => boolean} holds
 */
function stretches(rows, holds) {
  /** @type {any[][]} */ const found = [[]];
  for (const row of rows) {
    if (holds(row)) found[found.length - 1].push(row);
    else found.push([]);
  }
  return found;
}

/** D9: how far the difference turns from step to step, its size below; the whole matrix where the record has it.
 * @type {Figure}
 */
export function direction(record, options) {
  const run = runOf(record, options);
  const page = pageOf(options, "Direction of the difference over the run");
  const full = matrix(page, record, run);
  if (full) return full;
  const rows = still(run.rows, "turns", [], () => run.rows.map(turnOf));
  if (!rows.some((row) => Number.isFinite(row.size))) return nothing(page, run.empty);
  const chosen = rows.find((row) => row.i === run.chosen);
  const area = setCaption(page, [...directionFacts(chosen, rows, run), bandWords(record)], 4, LOW);
  return overRun("direction", page, run, area, options, (own) => directionCurves(own, area, record, run, rows));
}

/** @param {Row} row */
function turnOf({ i, step, gram }) {
  const turns = bandOf("M13", step).map((cos) => Math.acos(cos) * DEGREES);
  return { i, cos: metric("M13", gram), size: metric("M2", gram), floor: step.floor, turns: turns.reverse() };
}

/** @param {Page} page @param {Box} area @param {Run} record @param {SampleRun} run @param {Row[]} rows */
function directionCurves(page, area, record, run, rows) {
  const turn = rows.map((row) => Math.acos(row.cos) * DEGREES);
  const { delta } = page.theme;
  const turns = turn.some(Number.isFinite) && { words: "turn to the next step, degrees", colour: delta, kind: "diamond" };
  const sizes = (!turns || area.h >= TALL + FOOT + 18) && { words: "size of the difference", colour: delta, bar: 0.45 };
  const used = keys(page, area, /** @type {any[]} */ ([turns, sizes].filter(Boolean)));
  const [upper, lower] = split(area, used, turns && sizes);
  let last = turns ? turnPanel(page, upper, run, rows, turn) : sizePanel(page, upper, run, rows);
  if (turns && lower) last = sizePanel(page, lower, run, rows);
  levelAxis(page, last, record, last.inner.y + last.inner.h + 4);
  return placesOf(last, run, upper, lower ?? upper);
}

/** @param {Page} page @param {Box} box @param {SampleRun} run @param {Row[]} rows @param {number[]} turn */
function turnPanel(page, box, run, rows, turn) {
  const high = greatest([...turn, ...rows.flatMap((row) => row.turns)].filter(Number.isFinite), 1);
  const main = panel(page, box, run.where, { values: turn, high, reserve: 6 });
  band(page, main, rows.map((row) => [row.i, row.turns]), page.theme.delta);
  const points = rows.map((row, k) => [main.x(row.i), main.y(turn[k])]);
  curve(page, main, points, { colour: page.theme.delta, kind: "diamond", name: "turn" });
  return main;
}

/** @param {Page} page @param {Box} box @param {SampleRun} run @param {Row[]} rows */
function sizePanel(page, box, run, rows) {
  const size = panel(page, box, run.where, { values: rows.map((row) => row.size), low: 0, reserve: 4 });
  bars(page, size, rows.map((row) => [row.i, row.size]), { colour: page.theme.delta, alpha: 0.45, name: "size" });
  return size;
}

/** @param {any} chosen @param {Row[]} rows @param {SampleRun} run */
function directionFacts(chosen, rows, run) {
  const low = rows.filter((row) => row.size < 10 * (row.floor ?? 0)).length;
  const at = chosen && [["step {i}: cosine of this and the next difference {cosine}", { i: nth(chosen.i), cosine: number(chosen.cos, 5) }],
    ["size of the difference {value}", { value: number(chosen.size) }]];
  const unknown = rows.some((row) => Number.isFinite(row.cos)) ? "" : "how it turns is unknown";
  return [...(at ?? []), ...run.facts, unknown, low && ["at {low} {low:step|steps} the difference is as small as rounding", { low }], "a turn of a tiny difference means little"];
}

/** What all curves need: rows of {i, step, gram}, where steps stand, the chosen one, facts of the caption.
 * @param {Run} record
 * @param {{step?: number, sample?: number}} options
 * @returns {SampleRun}
 */
export function runOf(record, { step, sample }) {
  const b = sample ?? defaultSample(record);
  const chosen = step ?? defaultStep(record, b);
  const kept = still(record ?? {}, "run", [b, record?.steps?.length], () => rowsOf(record, b)); // steps are only added
  return { ...kept, chosen: stepOf(record, chosen) ? chosen : null };
}

/**
 * @param {Run} record
 * @param {number} sample
 * @returns {Omit<SampleRun, "chosen">}
 */
function rowsOf(record, sample) {
  const rows = stepsOf(record).map((found) => ({ i: found.i, step: found, gram: sampleOf(found, sample) }));
  const median = record?.sample === sample ? " (median)" : "";
  const some = rows[0]?.step;
  const facts = [[`sample {sample}${median}`, { sample }], some && ["{n} values", { n: some.N }], scaleWords(rows)];
  return { rows, sample, facts, where: positions(record), stages: record?.stages ?? [], empty: emptiness(rows, sample) };
}

/** Why a run has nothing to draw, if it has not.
 * @param {StepRow[]} rows @param {number} sample
 * @returns {Gap}
 */
function emptiness(rows, sample) {
  if (!rows.length) return { missing: "no steps yet", advice: "Queue the graph to record a run." };
  if (rows.some(({ gram }) => gram)) {
    const kinds = rows.map(({ step, gram }) => gapOf(step, gram));
    if (kinds.some((kind) => kind !== "alone")) return { missing: "this is known at no step", rows };
    return { missing: "at no step both predictions were made", advice: rows.every(({ step }) => step.gamma === 1) ? "Raise cfg above 1 to guide." : "" };
  }
  const sent = rows[0].step.subset ?? Object.keys(rows[0].step.samples ?? []);
  return { missing: ["sample {sample} was not sent", { sample }], advice: ["Choose one of {samples}.", { samples: sent.join(", ") }] };
}

/** @param {Row[]} rows */
function scaleWords(rows) {
  const scales = [...new Set(rows.map(({ step }) => step.gamma).filter(Number.isFinite))];
  if (!scales.length) return "";
  const [low, high] = [least(scales), greatest(scales)];
  return [low === high ? "\u03b3 {low}" : "\u03b3 {low} to {high}", { low: number(low), high: number(high) }];
}

/** One or two panels between the keys and the level axis.
 * @returns {[Box, ?Box]}
 * @param {Box} area @param {number} used @param {any} two
 */
export function split(area, used, two) {
  const box = { x: area.x, y: area.y + used, w: area.w, h: area.h - used - FOOT };
  if (!two || box.h < TALL) return [box, null];
  const low = Math.max(54, 0.3 * box.h);
  return [{ ...box, h: box.h - low - 6 }, { ...box, y: box.y + box.h - low + 8, h: low - 8 }];
}

/** Where all steps stand.  @param {Plot} main @param {SampleRun} run @param {Box} upper @param {Box} lower */
export function placesOf(main, run, upper, lower) {
  return { top: upper.y + 6, bottom: lower.y + lower.h - 4, at: run.rows.map(({ i }) => [i, main.x(i)]) };
}

/** The chosen step under the curves, which do not move with it. draw(page) -> places of the steps.
 * @param {string} name @param {Page} page @param {SampleRun} run @param {Box} area @param {{theme: Theme}} options
 * @param {(page: Page) => any} draw
 */
export function overRun(name, page, run, area, { theme }, draw) {
  const kept = still(run.rows, name, [page.w, page.h, area.h, theme], () => {
    const own = { ...page, commands: [] };
    return { places: draw(own), commands: own.commands };
  });
  page.commands[0].places = kept.places;
  const x = kept.places.at.find((/** @type {number[]} */ [i]) => i === run.chosen)?.[1];
  if (x !== undefined) cursor(page, x, kept.places.top, kept.places.bottom);
  stageMarks(page, run.stages, new Map(kept.places.at), kept.places);
  for (const command of kept.commands) page.commands.push(command);
  return page.commands;
}

/** A line where the next sampler of a series begins.
 * @param {Page} page @param {number[]} stages @param {Map<number, number>} at
 * @param {{top: number, bottom: number}} ends
 */
function stageMarks({ commands, theme }, stages, at, { top, bottom }) {
  for (const first of stages) {
    const x = ((at.get(first - 1) ?? NaN) + (at.get(first) ?? NaN)) / 2;
    if (Number.isFinite(x)) commands.push(line([[x, top], [x, bottom]], theme.ink, 1, { dash: [3, 2], name: "stage" }));
  }
}

/** Words in an upper corner of a panel.  @param {Page} page @param {Plot} plot @param {string} words */
function heading(page, { inner }, words, anchor = "end") {
  const style = { fill: page.theme.muted, anchor, halo: page.theme.paper, name: "heading" };
  const x = anchor === "end" ? inner.x + inner.w : inner.x + 6;
  page.commands.push(text(x, inner.y + 6, page.t(words), style));
}
