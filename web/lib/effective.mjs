/** Effective scale (D18): the scale at which plain guidance comes nearest to each step, and what of its push goes across. */
import { curve, FOOT, keys, levelAxis, panel } from "./axes.mjs";
import { band, bandOf, bandWords } from "./bands.mjs";
import { line, marker, text } from "./commands.mjs";
import { LOW, overRun, placesOf, runOf, split, TALL } from "./curves.mjs";
import { metric } from "./metrics.mjs";
import { captioned, nothing, pageOf } from "./plane.mjs";
import { still } from "./still.mjs";
import { greatest, least, nth, number, wordsWidth } from "./words.mjs";

const [SIZE, SMALLER] = [13, 11]; // of the words on top, and where they would be cut
const ALIKE = 0.02; // of a scale, at least of 1, and of the push: what differs by less is not worth a word
const ALONE = ["cond_only", "afterwards"]; // stages at which the run made the conditional prediction alone
const SLIGHT = 0.1; // of its even share of the push: what acted where a run pushed less is not told

/** The scales of a sample over its run beside cfg, the shares across below, and on top what they come to. */
export function effective(record, options) {
  const run = runOf(record, options);
  const page = pageOf(options, "Effective scale");
  const rows = still(run.rows, "scales", [], () => scalesOf(record, run.rows));
  if (!rows.some(({ scale }) => Number.isFinite(scale))) return nothing(page, lacking(run));
  const chosen = rows.find(({ i }) => i === run.chosen);
  const facts = [...factsOf(chosen), run.facts[0], bandWords(record), ...reasons(rows, record)];
  const below = captioned(page, facts, 4, LOW);
  const area = onTop(page, below, heading(rows, record, run.sample, page.t));
  return overRun("effective", page, run, area, options, (own) => effectiveCurves(own, area, record, run, rows));
}

/**
 * {i, step, alone, scale, across, size, weight, scales} of every step: M19, M19a, M2, what one unit of scale pushes, the
 * band. alone: whether another sample acted otherwise.
 */
export function scalesOf(record, rows) {
  return rows.map(({ i, step, gram }) => {
    const [scale, across] = ["M19", "M19a"].map((name) => metric(name, gram, step, record));
    const alone = (step.samples ?? []).some(({ m }) => apart(scale, m.M19 ?? NaN) || apart(across, m.M19a ?? NaN));
    const weight = Math.abs(step.kappa ?? 1 - step.sigma_next / step.sigma) * metric("M2", gram, step);
    return { i, step, alone, scale, across, size: metric("M2", gram, step), weight: Number.isFinite(scale * weight) ? weight : 0, scales: bandOf("M19", step, record) };
  });
}

/** The steps that tell: not next to nothing at one unit of scale, or more than others at the scale they had. */
function telling(rows) {
  const pushed = ({ scale, weight }) => weight && weight * Math.abs(scale - 1);
  const even = (value) => rows.reduce((sum, row) => sum + value(row), 0) / rows.length;
  const [slight, most] = [SLIGHT * even(({ weight }) => weight), even(pushed)];
  return rows.filter((row) => row.weight > slight || pushed(row) > most);
}

/** The least and the largest scale of the steps that push, and the mean share across, weighted by what they push. */
export function summary(rows) {
  const scales = telling(rows).map(({ scale }) => scale);
  const sum = (value) => rows.reduce((total, row) => total + (row.weight * value(row) || 0), 0);
  return { low: least(scales), high: greatest(scales), across: sum(({ across }) => across) / sum(() => 1) };
}

/** Why no step has an effective scale. */
function lacking({ rows, empty }) {
  const some = rows.find(({ gram }) => gram);
  if (!some) return empty;
  if (!("M19" in some.gram.m)) {
    return { missing: "this record has no effective scale", advice: "It was made by an older version. Queue again to see one." };
  }
  const advice = "It takes both predictions and a difference above rounding. Raise cfg to guide.";
  return { missing: "the effective scale is known at no step", advice };
}

/** Whether two scales differ by more than is worth a word. */
const apart = (scale, other) => Math.abs(scale - other) > ALIKE * Math.max(1, Math.abs(other));

/** The number on the widget; a guider that combines the predictions itself has none. */
const widgetOf = ({ guider, cfg }) => (guider ? null : cfg);

/** Two digits, as in the report; three from 10 on, and whole numbers from 100 on. */
function about(scale) {
  const size = Math.abs(scale);
  return size < 100 ? number(scale, size < 10 ? 2 : 3) : number(Math.round(scale), 6);
}

/** What a sample of a run comes to, and at how many steps guidance was off. */
function heading(rows, record, sample, t) {
  const [first, ...others] = actsLike(rows, widgetOf(record), t);
  const off = rows.filter(({ step }) => step.gamma === 1 && ALONE.includes(step.stage)).length;
  if (off === rows.length) return [t("Guidance was off")];
  if (off) others.push(t("guidance was off at {off} of {n} steps", { off, n: record.n }));
  return [rows.some(({ alone }) => alone) ? t("Sample {sample}: {words}", { sample, words: first }) : first, ...others];
}

/** What it comes to, in words. cfg: the number of the widget, if there is one. */
function actsLike(rows, cfg, t) {
  const { low, high, across } = summary(rows);
  if (!Number.isFinite(low)) return [t("What the run as a whole acts like is not known.")];
  const aside = across > ALIKE ? [t("{share} % of the push goes across", { share: number(100 * across, 2) })] : [];
  const said = Number.isFinite(cfg) && !apart(low, cfg) && !apart(high, cfg);
  if (!aside.length && said) return [t("Guidance acts as cfg says: {cfg}", { cfg: number(cfg) })];
  const [from, to] = [low, high].map(about);
  const range = from === to ? from : t("{low} to {high}", { low: from, high: to });
  const like = Number.isFinite(cfg) ? "cfg {cfg} acts like {range}" : "Guidance acts like {range}";
  return [t(like, { cfg: number(cfg), range }), ...aside];
}

/** The sentences above the figure, in one line where they fit, the first alone where it is low; the box below is left. */
function onTop({ commands, theme, t }, box, sentences) {
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

function factsOf(chosen) {
  if (!chosen) return [];
  const { i, scale, across } = chosen;
  return [`step ${nth(i)}: acts like ${number(scale)}`, Number.isFinite(across) && `${number(100 * across)} % across`];
}

function reasons(rows, record) {
  const { inside } = axisOf(rows, widgetOf(record));
  const { low, high } = summary(rows);
  const unknown = rows.filter(({ scale }) => !Number.isFinite(scale));
  const gaps = [
    unknown.some(({ size }) => !Number.isFinite(size)) && "no second prediction",
    unknown.some(({ size }) => Number.isFinite(size)) && "no difference above rounding",
  ].filter(Boolean).join(", or ");
  const counted = (name) => rows.some(({ step: { passes } }) => passes?.[name]?.scale);
  const names = Object.keys(rows[0].step.passes ?? {}).filter(counted);
  return [
    names.length && `left out: ${names.join(", ")}, counted alone`,
    gaps && `gaps: ${gaps}`,
    low <= high && rows.some(({ scale }) => apart(scale, Math.min(Math.max(scale, low), high))) && "on top: steps that push next to nothing are left out",
    rows.some(({ scale }) => apart(scale, inside(scale))) && "triangles: beyond the axis, little is pushed there",
  ];
}

function effectiveCurves(page, area, record, run, rows) {
  const { delta, ink } = page.theme;
  const both = area.h >= TALL + FOOT + 18;
  const items = [{ words: "effective scale", colour: delta, kind: "diamond" }];
  if (both) items.push({ words: "share across, %", colour: ink, kind: "circle", dash: [5, 3] });
  const [upper, lower] = split(area, keys(page, area, items), both);
  const main = scalePanel(page, upper, record, run, rows);
  const last = lower ? sharePanel(page, lower, run, rows) : main;
  levelAxis(page, last, record, last.inner.y + last.inner.h + 4);
  return placesOf(main, run, upper, lower ?? upper);
}

/** Ends of the axis, which holds what pushes, and cfg. */
function axisOf(rows, cfg) {
  const values = [...telling(rows).flatMap(({ scale, scales }) => [scale, ...scales]), cfg ?? NaN].filter(Number.isFinite);
  const [low, high] = [least(values, 0), greatest(values, 1)];
  return { low, high, inside: (scale) => Math.min(Math.max(scale, low), high) };
}

/** The curve over its band, and cfg; a step beyond the axis is a triangle at the rim. */
function scalePanel(page, box, record, run, rows) {
  const cfg = widgetOf(record);
  const { commands, theme: { delta, muted, paper } } = page;
  const { inside, ...ends } = axisOf(rows, cfg);
  const plot = panel(page, box, run.where, { values: [], ...ends, reserve: 18 });
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

/** The share across as a band from 0; unknown steps are gaps in it. */
function sharePanel(page, box, run, rows) {
  const { ink } = page.theme;
  const plot = panel(page, box, run.where, { values: [], high: 100, reserve: 4 });
  band(page, plot, rows.map(({ i, across }) => [i, [0, 100 * across]]), ink);
  const points = rows.map(({ i, across }) => [plot.x(i), plot.y(100 * across)]);
  curve(page, plot, points, { colour: ink, kind: "circle", dash: [5, 3], name: "across" });
  return plot;
}
