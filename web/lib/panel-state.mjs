// @ts-check
/** Where a reader stands in a run, and what a person chose on a panel: objects that stay as they are, and functions that give
 * the next one. No DOM, no editor.
 *
 * @typedef {object} PanelState
 * @property {?Run} whole the run, all parts of its samples
 * @property {string} part name of the part that is shown; "" is the first
 * @property {number} at number of the step that is shown
 * @property {?number} lit number of the step that a pointer or the focus lights
 * @property {number} sample number of the sample that is shown
 * @property {?number} scale another scale than the run's own, on the slider
 * @property {boolean} follow whether the newest step is shown while the run goes on
 * @property {string} note what has just been done, in words
 * @property {?{key: string, v?: number}} trouble why a record cannot be shown
 * @property {?string} finished id of the run whose record is there
 *
 * @typedef {object} PanelChoices
 * @property {string} page "advice" or "geometry"
 * @property {string} view name of the view that is drawn
 * @property {?string} second name of the view beside it, or "none"; null: the partner of the first
 * @property {?boolean} open whether the reasons stand open; null: where there is room beside the pictures
 * @property {boolean} deep whether it is shown how the reasons are known
 * @property {boolean} info whether it is shown how the view is read
 */
import { defaultSample, defaultStep, stepOf } from "./gram.mjs";
import { partOf, samplesOf, withSteps } from "./panel-record.mjs";
import { viewOf, VIEWS } from "./views.mjs";

const VERSION = 1; // of records
const ROOM_FOR_WHY = 820; // pixels from which on its sentences stand open: in the tab beside the pictures
export const PAGES = ["advice", "geometry"];

/** @type {PanelState} */
export const NO_RUN = Object.freeze({ whole: null, part: "", at: 0, lit: null, sample: 0, scale: null, follow: true, note: "", trouble: null, finished: null });

/** @type {PanelChoices} */
export const FIRST_CHOICES = Object.freeze({ page: "advice", view: "plane", second: null, open: null, deep: false, info: false });

/** The part of the run that is shown.  @param {PanelState} state */
export const shownRun = ({ whole, part }) => partOf(whole, part);

/** Number of the last step of a run, of one that goes on too.  @param {?Run} run */
export const lastStep = (run) => Math.max(0, (run?.n || (run?.steps?.at(-1)?.i ?? 0) + 1) - 1);

/** The scale of the run at the step that is shown.  @param {PanelState} state */
export function ownScale(state) {
  const run = shownRun(state);
  const scale = stepOf(run, state.at)?.gamma ?? NaN;
  return Number.isFinite(scale) ? scale : (run?.cfg ?? 1);
}

/** Another run comes: of the last one nothing is left but where its reader stood.  @param {PanelState} state @returns {PanelState} */
export const beginRun = (state) => ({ ...state, whole: null, lit: null, follow: true, scale: null, note: "" });

/** The run as far as it has come.  @param {PanelState} state @param {?Run} whole @returns {PanelState} */
export function continueRun(state, whole) {
  const run = partOf(whole, state.part);
  return { ...state, whole, trouble: null, at: state.follow ? (run?.steps.at(-1)?.i ?? state.at) : state.at };
}

/** Numbers that arrive while a sampler runs. What comes late of a run whose record is there is left out.
 * @param {PanelState} state @param {Message} message
 * @returns {PanelState}
 */
export function receiveSteps(state, message) {
  if (state.finished === message.run) return state;
  const begun = state.whole?.run === message.run ? state : beginRun(state);
  return continueRun(begun, withSteps(begun.whole, message));
}

/** The record of a finished run.
 *
 * usual: sample at which a reader begins. start: where the reader of the panel stood that this one replaced, if it showed this run.
 * @param {PanelState} state @param {any} record @param {number} usual
 * @param {?Pick<PanelState, "at" | "sample" | "follow">} [start]
 * @returns {PanelState}
 */
export function takeRecord(state, record, usual, start = null) {
  const trouble = troubleWith(record);
  if (trouble) return { ...state, trouble };
  const before = shownRun(state);
  const same = before?.run === record.run;
  const unmoved = same && state.at === defaultStep(before, state.sample); // nobody chose a step
  const next = { ...state, whole: record, trouble: null, finished: record.run };
  if (!same) Object.assign(next, { scale: null, note: "", sample: usual, follow: true }, start);
  else if (before?.live) next.sample = usual; // which one stands for the batch is known at the end
  if (next.follow || unmoved || !stepOf(record, next.at)) next.at = defaultStep(record, next.sample);
  return next;
}

/** Why a record cannot be shown, null where it can.  @param {{gone?: boolean, v: number}} record */
function troubleWith({ gone, v }) {
  if (gone) return { key: "gone" };
  return v > VERSION ? { key: "newer", v } : null;
}

/** A report on the run, which may come before its record; a new object, so that its reasons are written anew.
 * @param {PanelState} state @param {any} report
 * @returns {PanelState}
 */
export const takeReport = (state, report) => (state.whole ? { ...state, whole: { ...state.whole, report } } : state);

/** The sample at which a reader begins: the one that a person chose, else the one that stands for the batch.
 * @param {?Run} run @param {unknown} chosen
 */
export const usualSample = (run, chosen) => samplesOf(run).find((sample) => sample === chosen) ?? defaultSample(run);

/** A sample that the run has: which ones there are the first steps of a run tell.
 * @param {PanelState} state @param {unknown} chosen
 * @returns {PanelState}
 */
export function settleSample(state, chosen) {
  const run = shownRun(state);
  const samples = samplesOf(run);
  return !samples.length || samples.includes(state.sample) ? state : { ...state, sample: usualSample(run, chosen) };
}

/** Another part of the samples, at the same step.  @param {PanelState} state @param {string} part @returns {PanelState} */
export const choosePart = (state, part) => ({ ...state, part, scale: null, note: "" });

/** A step, at which the panel stays.  @param {PanelState} state @param {number} step @returns {PanelState} */
export const goToStep = (state, step) => ({ ...state, at: Math.max(0, Math.min(lastStep(shownRun(state)), step)), follow: false, note: "" });

/** What a workflow holds of a person's choices.  @param {PanelChoices} choices @param {Record<string, any>} [properties] of the node */
export function restoreChoices(choices, { gg_view: view, gg_second: second, gg_page: page } = {}) {
  const names = VIEWS.map(({ name }) => name);
  return {
    ...choices,
    ...(PAGES.includes(page) && { page }),
    ...(names.includes(view) && { view }),
    ...((second === "none" || names.includes(second)) && { second }),
  };
}

/** The view beside the chosen one; null for none, as where there is no room.
 * @param {PanelChoices} choices @param {boolean} hasRoom
 * @returns {?string}
 */
export function partnerOf({ view, second }, hasRoom) {
  if (!hasRoom || second === "none") return null;
  return (second === view ? null : second) ?? viewOf(view).partner;
}

/** Whether the reasons stand open: as a person chose, else where the room beside the pictures is theirs.
 * @param {PanelChoices} choices @param {number} width pixels of the panel
 */
export const reasonsOpen = ({ open, page }, width) => open ?? (page === "advice" && width >= ROOM_FOR_WHY);
