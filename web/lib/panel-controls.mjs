// @ts-check
/** What the controls of a panel show: {name of a part: its properties, as `put` takes them}. No DOM.
 *
 * @typedef {import("./panel-state.mjs").PanelState} PanelState
 * @typedef {import("./panel-state.mjs").PanelChoices} PanelChoices
 * @typedef {Record<string, Record<string, any>>} Controls
 */
import { partsOf, samplesOf } from "./panel-record.mjs";
import { lastStep, ownScale, shownRun } from "./panel-state.mjs";
import { facts } from "./panel-words.mjs";
import { viewOf } from "./views.mjs";
import { nth, number } from "./words.mjs";

const SIGNS = { play: "\u25b6", pause: "\u275a\u275a" };
const MOST_SCALE = 100; // of a sampler's cfg
const INSIDE = /(?<!\u00b7) (?!\u00b7)/g; // a line of facts breaks between them: where it is cut, no number is

/** The slider of the steps and the numbers of the step that is shown, or of the one that is lit.
 * @param {PanelState} state @param {boolean} playing @param {Speaker} t
 * @returns {Controls}
 */
export function stepControls(state, playing, t) {
  const { at, lit, sample } = state;
  const run = shownRun(state);
  const disabled = !run?.steps?.length;
  const last = lastStep(run);
  const here = facts(run, at, sample, t);
  const isAside = lit !== null && lit !== at;
  const act = playing ? "pause" : "play";
  return {
    facts: { textContent: (isAside ? facts(run, lit, sample, t) : here).replace(INSIDE, "\u00a0"), "data-lit": isAside ? "" : null },
    scrub: { max: String(last), value: String(at), "aria-valuetext": here || t("empty"), disabled },
    count: { textContent: disabled ? "\u2013" : `${nth(at)}/${nth(last)}` },
    play: { textContent: SIGNS[act], "aria-label": t(act), title: t(act), disabled },
    csv: { disabled },
    png: { disabled },
    numbers: { disabled },
  };
}

/** One page of the two, and the views on it: what belongs to the other is not there, not even for the keyboard.
 *
 * partner: the view beside the chosen one, null for none. hasRoom: for one.
 * @param {PanelState} state @param {PanelChoices} choices @param {?string} partner @param {boolean} hasRoom @param {Speaker} t
 * @returns {Controls}
 */
export function pageControls(state, { page, view, info }, partner, hasRoom, t) {
  const geometry = page === "geometry";
  const { figure } = viewOf(view);
  return {
    content: { "data-page": page, "data-info": info ? "" : null },
    head: { hidden: !geometry },
    stage: { hidden: !geometry },
    side: { hidden: !geometry },
    advice: { hidden: geometry },
    asks: { textContent: t(`${view}Asks`) },
    info: { "aria-pressed": String(info) },
    says: { hidden: !info, textContent: t(`${view}Says`) },
    second: { hidden: !hasRoom, value: partner ?? "none" },
    what: { hidden: ![view, partner].some((name) => name && viewOf(name).scales) },
    png: { textContent: t(geometry ? "png" : "share"), title: t(geometry ? "pngTip" : "shareTip") },
    svg: { disabled: !shownRun(state)?.steps?.length || !figure, title: t(figure ? "svgTip" : "noSvg") },
  };
}

/** The slider of another scale, and the button that writes it. obstacle: why it cannot be written, null where it can.
 * @param {PanelState} state @param {?Source} source where the scale of the run is set @param {Speaker} t
 * @returns {{controls: Controls, obstacle: ?string}}
 */
export function scaleControls(state, source, t) {
  const own = ownScale(state);
  const shown = state.scale ?? own;
  const title = source ? t(source.reason ?? "useTip", { node: `${source.node.title ?? source.node.type} (${source.node.id})` }) : t("nowhere");
  const controls = {
    scale: { max: String(Math.min(MOST_SCALE, Math.max(8, 2 * Math.ceil(own)))), value: String(shown) },
    scaleWords: { textContent: number(shown) },
    use: { textContent: t("use", { value: number(shown) }), disabled: !source?.widget || !shownRun(state), title },
  };
  return { controls, obstacle: source?.widget ? null : title };
}

/** What the choosers offer: {name of a part: {options: [{value, words}, ...], chosen, hidden}}.
 * @param {PanelState} state @param {Speaker} t
 */
export function chooserOptions(state, t) {
  const run = shownRun(state);
  const parts = partsOf(state.whole);
  const samples = samplesOf(run);
  const nameOf = (/** @type {number} */ sample) => (run?.labels?.[sample] ? `${sample} \u00b7 ${run.labels[sample]}` : `${t("sample")} ${sample}`);
  return {
    part: { options: parts.map((name) => ({ value: name, words: name })), chosen: run?.part ?? "", hidden: !parts.length },
    sample: { options: samples.map((sample) => ({ value: sample, words: nameOf(sample) })), chosen: String(state.sample), hidden: samples.length < 2 },
  };
}

/** The line with a colour, and the sentences behind it. verdict: as `verdictOf`, null where there is nothing to say.
 *
 * isOpen, isDeep: whether the reasons are shown, and how they are known.
 * @param {any} verdict @param {boolean} hasReport @param {boolean} isOpen @param {boolean} isDeep
 * @returns {Controls}
 */
export function verdictControls(verdict, hasReport, isOpen, isDeep) {
  const controls = {
    verdict: { hidden: !verdict, "data-colour": verdict?.colour ?? null },
    explain: { hidden: !verdict?.why.length },
    aloud: { textContent: hasReport ? (verdict?.headline ?? "") : "" }, // not at every step
  };
  if (!verdict) return controls;
  const { sign, headline, reasons, findings } = verdict;
  return {
    ...controls,
    sign: { textContent: sign },
    headline: { textContent: headline, title: headline },
    why: { "aria-expanded": String(isOpen) },
    how: { "aria-expanded": String(isDeep), hidden: !isOpen || !(reasons.length || findings.length) },
    reasons: { hidden: !isOpen },
    evidence: { hidden: !isOpen || !isDeep },
  };
}

/** The buttons that write a number where its knob is set: alone, and with the seed of the run.
 *
 * value: the number; null where there is none to write. knob: its name. readers: what reads the number, as words.
 * @param {?number} value @param {string} knob @param {string[]} readers @param {boolean} runsAgain @param {Speaker} t
 * @returns {Controls}
 */
export function offerControls(value, knob, readers, runsAgain, t) {
  if (value === null) return { apply: { hidden: true }, again: { hidden: true } };
  const words = { knob, value: number(value) };
  const shared = readers.length > 1 ? t("shared", { nodes: readers.join(", ") }) : "";
  return {
    apply: { hidden: false, textContent: t("apply", words), title: shared },
    again: { hidden: !runsAgain, textContent: t("applyAgain", words), title: [t("applyAgainTip"), shared].join(" ") },
  };
}
