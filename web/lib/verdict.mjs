// @ts-check
/** What the report of a run says, in one language: its sentences were made where the run was sampled. No DOM. */
const SIGNS = { fine: "\u2713", above: "\u25b2", unclear: "?", off: "\u2013" };

/** -> {colour, sign, headline, reasons: [...], findings: [...], suggested} in a language; null for a run without a report.
 *
 * The odds are the last of the reasons. A colour of a later version counts as unclear.
 */
export function verdictOf(record, locale = "en") {
  const { report } = record ?? {};
  if (!report?.headline) return null;
  const told = (one) => (String(locale).startsWith("zh") && one.zh) || one.en;
  const colour = report.colour in SIGNS ? report.colour : "unclear";
  const reasons = [...(report.reasons ?? []), report.odds].filter(Boolean).map(told);
  const findings = (report.findings ?? []).map(told);
  return { colour, sign: SIGNS[colour], headline: told(report.headline), reasons, findings, suggested: report.suggested ?? null };
}
