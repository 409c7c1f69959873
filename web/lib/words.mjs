// @ts-check
/** Widths of words without a font at hand, and numbers as they are printed.  @type {Record<string, string>} */
const SUPERSCRIPT = { "-": "\u207b", 0: "\u2070", 1: "\u00b9", 2: "\u00b2", 3: "\u00b3", 4: "\u2074", 5: "\u2075",
  6: "\u2076", 7: "\u2077", 8: "\u2078", 9: "\u2079" };
const WIDTHS = new Map(Object.entries({
  ...alike("ABCDEFGHIJKLMNOPQRSTUVWXYZ", 0.72),
  ...alike("mwMWGOQD%@\u2192", 0.96),
  ...alike("iljI.,:;'|!()[]\u2032 ftr\u00b7/", 0.4),
  ...alike(Object.values(SUPERSCRIPT), 0.42),
}));

/** @param {any} letters @param {number} width */
function alike(letters, width) {
  return Object.fromEntries([...letters].map((letter) => [letter, width]));
}

/** Width in em of a letter of a wide sans-serif face.  @param {string} letter */
const letterWidth = (letter) => WIDTHS.get(letter) ?? ((letter.codePointAt(0) ?? 0) > 0x2e80 ? 1.02 : 0.63);

/** Width in pixels that words take at most.  @param {string} words @param {number} size */
export function wordsWidth(words, size) {
  let sum = 0;
  for (const letter of words) sum += letterWidth(letter);
  return sum * size;
}

/** Size in pixels of a run: indices are smaller, never below 11 px.  @param {TextRun} run @param {number} size */
export const runSize = (run, size) => (run.sub ? Math.max(11, Math.round(0.72 * size)) : size);

/** @param {TextRun[]} runs @param {number} size */
export const runsWidth = (runs, size) => runs.reduce((sum, run) => sum + wordsWidth(run.t, runSize(run, size)), 0);

/** Words with {names} filled in; {count:step|steps} is the word that goes with a number.
 * @param {string} words @param {any} [values]
 */
export const fillIn = (words, values = {}) => words.replace(/\{(\w+)(?::([^|}]*)\|([^}]*))?\}/g, (_, name, singular, many) =>
  singular === undefined ? values[name] ?? "" : String(values[name]) === "1" ? singular : many);

/** So many of something: "1 step", "2 steps".  @param {number} count @param {string} word */
export const counted = (count, word) => fillIn(`{count} {count:${word}|${word}s}`, { count });

/** From one value to another, in words; one value where they are the same.
 * @param {string} low @param {string} high @param {Speaker} t
 */
export const span = (low, high, t) => (low === high ? low : t("{low} to {high}", { low, high }));

/** The number of a step as people count: from 1. Records count from 0.  @param {number} i */
export const nth = (i) => i + 1;

/** The greatest and the least of however many values; Math.max takes 100,000 arguments or so.
 * @param {number[]} values
 */
export const greatest = (values, start = -Infinity) => values.reduce((most, value) => Math.max(most, value), start);
/** @param {number[]} values */
export const least = (values, start = Infinity) => values.reduce((few, value) => Math.min(few, value), start);

/** A number with 3 significant digits: 0.0672, 12.3, 1.7·10⁻⁸; a dash where it is unknown.
 * @param {number | null | undefined} value
 */
export function number(value, digits = 3) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "\u2013";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e-3 && size < 1e5) {
    const short = String(Number(value.toPrecision(digits)));
    return short.replace("-", "\u2212");
  }
  const [mantissa, power] = value.toExponential(digits - 1).split("e");
  const raised = [...String(Number(power))].map((letter) => SUPERSCRIPT[letter]).join("");
  const front = Number(mantissa) === 1 ? "" : `${Number(mantissa)}\u00b7`;
  return `${front}10${raised}`.replace("-", "\u2212");
}

/** Chunks joined by a middle dot into lines no wider than `width`; one that is wider alone goes on in further lines.
 * @param {any[]} chunks @param {number} width @param {number} size
 * @returns {string[]}
 */
export function wrapChunks(chunks, width, size) {
  /** @type {string[]} */ const lines = [];
  for (const chunk of chunks.filter(Boolean)) {
    const longer = lines.length ? `${lines.at(-1)}  \u00b7  ${chunk}` : chunk;
    if (lines.length && wordsWidth(longer, size) <= width) lines[lines.length - 1] = longer;
    else lines.push(...fillLines(chunk, width, size));
  }
  return lines;
}

/** Words in lines no wider than `width`, in any language: a line breaks before a word.
 * @param {string} words @param {number} width @param {number} size
 */
export function fillLines(words, width, size) {
  const lines = [""];
  for (const { segment, isWordLike } of new Intl.Segmenter(undefined, { granularity: "word" }).segment(words)) {
    if (isWordLike && wordsWidth(lines[lines.length - 1] + segment, size) > width) lines.push("");
    lines[lines.length - 1] += segment;
  }
  return lines.map((line) => line.trim()).filter(Boolean);
}

/** Words no wider than `width`.  @param {string} words @param {number} width @param {number} size */
export function cut(words, width, size) {
  if (wordsWidth(words, size) <= width) return words;
  let kept = words;
  while (kept.length > 1 && wordsWidth(`${kept}\u2026`, size) > width) kept = kept.slice(0, -1);
  return `${kept.trimEnd()}\u2026`;
}

/** The language in which a locale is answered: Simplified Chinese, or English, as ComfyUI answers it about the nodes.
 * @param {string} locale
 */
export function languageOf(locale) {
  try {
    const { language, script } = new Intl.Locale(String(locale)).maximize();
    return language === "zh" && script === "Hans" ? "zh" : "en";
  } catch { // no locale
    return "en";
  }
}

/** A sentence that is there in several languages, in that of a locale.  @param {string} locale @param {any} sentence */
export const sentenceIn = (locale, sentence) => sentence[languageOf(locale)] || sentence.en;
