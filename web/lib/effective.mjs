// @ts-check
/** Effective scale (D18): the scale at which plain guidance comes nearest to each step, and what of its push goes across. */
import { curve, FOOT, keys, levelAxis, panel } from "./axes.mjs";
import { band, bandOf, bandWords } from "./bands.mjs";
import { line, marker, text } from "./commands.mjs";
import { LOW, overRun, placesOf, runOf, split, TALL } from "./curves.mjs";
import { choiceOf } from "./gram.mjs";
import { metric } from "./metrics.mjs";
import { setCaption, nothing, pageOf } from "./plane.mjs";
import { gapOf } from "./scene.mjs";
import { still } from "./still.mjs";
import { greatest, least, nth, number, span, wordsWidth } from "./words.mjs";

const [SIZE, SMALLER] = [13, 11]; // of the words on top, and where they would be cut
const ALIKE = 0.02; // of a scale, at least of 1, and of the push: what differs by less is not worth a word
/** @type {Record<string, string>} */
const GAPS = { // steps without a scale
  alone: "steps with one prediction alone", recur: "steps back", unmeasured: "steps at which nothing was measured", broke: "steps at which the numbers broke down",
  unseen: "steps whose predictions were not seen", zero: "steps with an empty positive or negative", scale: "steps without a known scale", small: "steps whose difference is as small as rounding",
};
const ALONE = ["cond_only", "afterwards"]; // stages at which the run made the conditional prediction alone

/** The scales of a sample over its run beside cfg, the shares across below, and on top what they come to.
 * @type {Figure}
 */
export function effective(record, options) {
  const run = runOf(record, options);
  const page = pageOf(options, "Effective scale");
  const rows = still(run.rows, "scales", [], () => scalesOf(run.rows));
  if (!rows.some(({ scale }) => Number.isFinite(scale))) return nothing(page, lacking(run));
  const chosen = rows.find(({ i }) => i === run.chosen);
  const acted = actedOf(record, run.sample);
  const facts = [...factsOf(chosen), run.facts[0], bandWords(record), ...reasons(rows, acted, record, page.t)];
  const below = setCaption(page, facts, 4, LOW);
  const area = onTop(page, below, heading(rows, acted, record, page.t));
  return overRun("effective", page, run, area, options, (own) => effectiveCurves(own, area, record, run, rows, acted));
}

/** {i, step, scale, across, motion, gap, scales} of every step: M19, M19a, M20, what is unknown, the band.  @param {Row[]} rows */
const scalesOf = (rows) => rows.map(({ i, step, gram }) => {
  const [scale, across, motion] = ["M19", "M19a", "M20"].map((name) => metric(name, gram));
  return { i, step, scale, across, motion, gap: gapOf(step, gram), scales: bandOf("M19", step) };
});

/** What a sample of a run comes to: {sample, least, most, across, alone, low, high: ends of the axis}; only ends while it goes on.
 * @param {Run} record @param {number} sample
 */
function actedOf(record, sample) {
  const names = ["least", "most", "across", "alone", "low", "high"];
  return { sample, ...Object.fromEntries(names.map((name) => [name, choiceOf(record, sample, name) ?? NaN])) };
}

/** Why no step has an effective scale.  @param {SampleRun} run */
function lacking({ rows, empty }) {
  if (!rows.some(({ gram }) => gram)) return empty;
  const missing = "the effective scale is known at no step";
  const off = rows.every(({ step }) => ALONE.includes(step.stage) && step.gamma === 1);
  if (off) return { missing, advice: "It needs the predictions with and without the prompt, and a difference between them. Raise cfg to guide." };
  return rows.some(({ step, gram }) => gapOf(step, gram)) ? { missing, rows } : { missing, advice: "With and without the prompt the predictions are the same." };
}

/** Whether two scales differ by more than is worth a word.  @param {any} scale @param {any} other */
const apart = (scale, other) => Math.abs(scale - other) > ALIKE * Math.max(1, Math.abs(other));

/** The number on the widget; a guider that combines the predictions itself has none.
 * @param {Run} record
 * @returns {any}
 */
const widgetOf = ({ guider, cfg }) => (guider ? null : (cfg ?? null));

/** Two digits, as in the report; three from 10 on, and whole numbers from 100 on.  @param {number} scale */
function about(scale) {
  const size = Math.abs(scale);
  return size < 100 ? number(scale, size < 10 ? 2 : 3) : number(Math.round(scale), 6);
}

/** What a sample of a run comes to, and at how many steps guidance was off; nothing while the run goes on.
 * @param {Row[]} rows @param {any} acted @param {Run} record @param {Speaker} t
 */
function heading(rows, acted, record, t) {
  const { n, live, choices } = record;
  if (live || !choices) return [];
  const [first, ...others] = actsLike(acted, widgetOf(record), t);
  const off = rows.filter(({ step }) => step.gamma === 1 && ALONE.includes(step.stage)).length;
  if (off === rows.length) return [t("Guidance was off")];
  if (off) others.push(t("guidance was off at {off} of {n} steps", { off, n }));
  return [acted.alone === true ? t("Sample {sample}: {words}", { sample: acted.sample, words: first }) : first, ...others];
}

/** What it comes to, in words. cfg: the number of the widget, if there is one.
 * @param {{least: any, most: any, across: number}} acted @param {number} cfg @param {Speaker} t
 */
function actsLike({ least: low, most: high, across }, cfg, t) {
  if (!Number.isFinite(low)) return [t("What the run as a whole acts like is not known.")];
  const aside = across > ALIKE ? [t("{share} % of the push goes across", { share: number(100 * across, 2) })] : [];
  const plain = Number.isFinite(cfg) && !apart(low, cfg) && !apart(high, cfg);
  if (!aside.length && plain) return [t("Guidance acts as cfg says: {cfg}", { cfg: number(cfg) })];
  const range = span(about(low), about(high), t);
  const like = Number.isFinite(cfg) ? "cfg {cfg} acts like {range}" : "Guidance acts like {range}";
  return [t(like, { cfg: number(cfg), range }), ...aside];
}

/** The sentences above the figure, in one line where they fit, the first alone where it is low; the box below is left.
 * @param {Page} page @param {Box} box @param {string[]} sentences
 */
function onTop({ commands, theme, t }, box, sentences) {
  if (!sentences.length) return box;
  const whole = sentences.join(t("; "));
  const low = box.h < LOW;
  const lines = wordsWidth(whole, low ? SMALLER : SIZE) <= box.w ? [whole] : sentences.slice(0, low ? 1 : undefined);
  lines.forEach((words, k) => {
    const size = wordsWidth(words, SIZE) > box.w ? SMALLER : SIZE;
    commands.push(text(box.x, box.y + SIZE + 17 * k, words, { size, fill: theme.ink, name: "acts-like" }));
  });
  commands[0].label += `. ${whole}`;
  const used = 17 * lines.length + 4;
  return { ...box, y: box.y + used, h: box.h - used };
}

/** @param {any} chosen */
function factsOf(chosen) {
  if (!chosen) return [];
  const { i, scale, across, motion } = chosen;
  return [["step {i}: acts like cfg {cfg}", { i: nth(i), cfg: number(scale) }],
    Number.isFinite(across) && ["{share} % of the push across", { share: number(100 * across) }],
    Number.isFinite(motion) && ["{share} % of the difference moves", { share: number(100 * motion, 2) }]];
}

/** @param {Row[]} rows @param {any} acted @param {Run} record @param {Speaker} t */
function reasons(rows, acted, record, t) {
  const { inside } = axisOf(rows, acted, record);
  const { least: low, most: high } = acted;
  const kinds = new Set(rows.filter(({ scale }) => !Number.isFinite(scale)).map(({ gap }) => gap ?? "small"));
  const gaps = Object.entries(GAPS).flatMap(([kind, words]) => (kinds.has(kind) ? [t(words)] : [])).join(t(", or "));
  /** @param {string} name */
  const counted = (name) => rows.some(({ step: { passes } }) => passes?.[name]?.scale);
  const names = Object.keys(rows[0].step.passes ?? {}).filter(counted);
  return [
    names.length && ["without {names}, which is counted by itself", { names: names.join(", ") }],
    gaps && `${t("gaps")}: ${gaps}`,
    low <= high && rows.some(({ scale }) => apart(scale, Math.min(Math.max(scale, low), high))) && "the range above leaves out steps that push next to nothing",
    rows.some(({ scale }) => apart(scale, inside(scale))) && "triangles: beyond the axis, at steps that push little",
  ];
}

/** @param {Page} page @param {Box} area @param {Run} record @param {SampleRun} run @param {Row[]} rows
 * @param {any} acted
 */
function effectiveCurves(page, area, record, run, rows, acted) {
  const { c, delta, ink } = page.theme;
  const both = area.h >= TALL + FOOT + 18;
  /** @type {any[]} */
  const items = [{ words: "effective scale", colour: delta, kind: "diamond" }];
  if (both) items.push({ words: "share across, %", colour: ink, kind: "circle", dash: [5, 3] });
  if (both && isFilm(rows)) items.push({ words: "motion of the difference, %", colour: c, kind: "square", dash: [2, 3] });
  const [upper, lower] = split(area, keys(page, area, items), both);
  const main = scalePanel(page, upper, record, run, rows, acted);
  const last = lower ? sharePanel(page, lower, run, rows) : main;
  levelAxis(page, last, record, last.inner.y + last.inner.h + 4);
  return placesOf(main, run, upper, lower ?? upper);
}

/** Ends of the axis: as chosen, or while the run goes on all that there is, and cfg.
 * @param {Row[]} rows @param {any} acted @param {Run} record
 */
function axisOf(rows, acted, record) {
  const values = [...rows.flatMap(({ scale, scales }) => [scale, ...scales]), widgetOf(record)].filter(Number.isFinite);
  const [low, high] = Number.isFinite(acted.low) ? [acted.low, acted.high] : [least(values, 0), greatest(values, 1)];
  return { low, high, inside: (/** @type {number} */ scale) => Math.min(Math.max(scale, low), high) };
}

/** The curve over its band, and cfg; a step beyond the axis is a triangle at the rim.
 * @param {Page} page @param {Box} box @param {Run} record @param {SampleRun} run @param {Row[]} rows
 * @param {any} acted
 */
function scalePanel(page, box, record, run, rows, acted) {
  const cfg = widgetOf(record);
  const { commands, theme: { delta, muted, paper } } = page;
  const { inside, ...ends } = axisOf(rows, acted, record);
  const plot = panel(page, box, run.where, { values: [], ...ends, reserve: 18 });
  /** @param {number} scale */
  const y = (scale) => plot.y(inside(scale));
  const { inner: { x, w } } = plot;
  band(page, { ...plot, y }, rows.map((row) => [row.i, row.scales]), delta);
  if (Number.isFinite(cfg)) {
    commands.push(line([[x, y(cfg)], [x + w, y(cfg)]], muted, 1.2, { dash: [6, 4], name: "cfg" }));
    const style = { fill: muted, halo: paper, anchor: "end", name: "cfg-words" };
    commands.push(text(x + w, y(cfg) - 7, `cfg ${number(cfg)}`, style));
  }
  curve(page, plot, rows.map((row) => [plot.x(row.i), y(row.scale)]), { colour: delta, kind: "diamond", name: "scale" });
  for (const { i, scale } of rows.filter(({ scale }) => apart(scale, inside(scale)))) {
    commands.push(marker([plot.x(i), y(scale)], "triangle", delta, 7, paper, { name: "beyond" }));
  }
  return plot;
}

/** Whether anything is known of motion.  @param {Row[]} rows */
const isFilm = (rows) => rows.some(({ motion }) => Number.isFinite(motion));

/** The share across as a band from 0, and of films that of motion; unknown steps are gaps in them.
 * @param {Page} page @param {Box} box @param {SampleRun} run @param {Row[]} rows
 */
function sharePanel(page, box, run, rows) {
  const { c, ink } = page.theme;
  const plot = panel(page, box, run.where, { values: [], high: 100, reserve: 4 });
  band(page, plot, rows.map(({ i, across }) => [i, [0, 100 * across]]), ink);
  const points = rows.map(({ i, across }) => [plot.x(i), plot.y(100 * across)]);
  curve(page, plot, points, { colour: ink, kind: "circle", dash: [5, 3], name: "across" });
  if (isFilm(rows)) {
    const moving = rows.map(({ i, motion }) => [plot.x(i), plot.y(100 * motion)]);
    curve(page, plot, moving, { colour: c, kind: "square", dash: [2, 3], name: "motion" });
  }
  return plot;
}
