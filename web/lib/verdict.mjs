// @ts-check
/** What the report of a run says, in one language: its sentences were made where the run was sampled. No DOM. */
const SIGNS = { fine: "\u2713", above: "\u25b2", unclear: "?", off: "\u2013" };

const MOST_WHY = 3; // sentences

/** -> {colour, sign, headline, why, reasons, findings: [sentence, ...], suggested} in a language; null without a report.
 *
 * why: for someone who knows only cfg. The odds are the last of the reasons. A colour of a later version counts as unclear.
 */
export function verdictOf(record, locale = "en") {
  const { report } = record ?? {};
  if (!report?.headline) return null;
  const told = (one) => (String(locale).startsWith("zh") && one.zh) || one.en;
  const colour = report.colour in SIGNS ? report.colour : "unclear";
  const reasons = [...(report.reasons ?? []), report.odds].filter(Boolean).map(told);
  const findings = (report.findings ?? []).map(told);
  const why = (report.why ?? report.reasons ?? []).slice(0, MOST_WHY).map(told);
  return { colour, sign: SIGNS[colour], headline: told(report.headline), why, reasons, findings, suggested: report.suggested ?? null };
}

/** The scale to see beside a run's own: the suggested one, or half of it where only "too strong" is known; null for none.
 * @param {any} report
 */
export function scaleToSee(report) {
  const { suggested = null, colour, cfg } = report ?? {};
  if (suggested !== null) return suggested;
  return colour === "above" && cfg > 1 ? Math.max(1, cfg / 2) : null;
}
