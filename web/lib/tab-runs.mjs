// @ts-check
/** Which runs the Guidance tab offers: those of the present workflow, by name, and runs in series as one. No DOM. */
import { nodeAt } from "./panel-graph.mjs";
import { partOf, partsOf } from "./panel-record.mjs";
import { nth } from "./words.mjs";

export const FLAG = "guidance_geometry"; // in `extra` of a workflow: {record, key}
const MIDDLE = 0.4; // of a series: the run there shows its own step at first

/** What a workflow says about recording. key: tells it from others, for stock templates share their ids.
 * @param {?Graph} root
 */
export const flagOf = (root) => root?.extra?.[FLAG] ?? {};

/** Whether a graph is one of two open workflows that nothing tells apart: a copy of the older editor keeps the id, too.
 * @param {any} root @param {any} active @param {any[]} open
 */
export function hasTwin(root, active, open) {
  /** @param {any} workflow */
  const same = (workflow) => workflow?.activeState?.id === root.id && flagOf(workflow.activeState).key === flagOf(root).key;
  return Boolean(flagOf(root).key) && same(active) && open.some((workflow) => workflow !== active && same(workflow));
}

/** Say it: the rest of `extra` stays.  @param {any} root @param {object} flag */
export function setFlag(root, flag) {
  root.extra = { ...root.extra, [FLAG]: { ...flagOf(root), ...flag } };
}

/** Whether a run, or a message about one, is of this workflow and its node is still there.
 * @param {?Graph} root @param {any} run
 */
export function isOf(root, { workflow_id: id, key, node }) {
  return id === root?.id && (key ?? null) === (flagOf(root).key ?? null) && Boolean(nodeAt(root, node));
}

/** Of every node the runs of the last job in which it sampled, in their order.
 * @param {ListedRun[]} runs @param {?Graph} root
 */
export function latest(runs, root) {
  const own = runs.filter((run) => isOf(root, run));
  const job = new Map(own.map((run) => [run.node, run.prompt_id]));
  return own.filter((run) => job.get(run.node) === run.prompt_id);
}

/** The server's list of runs with those that ended while it was asked and that it does not know yet; each run once.
 *
 * before, now: what was known when it was asked, and is.
 * @param {ListedRun[]} before @param {ListedRun[]} now @param {ListedRun[]} listed
 */
export function mergeRuns(before, now, listed) {
  const known = new Set(before.map(({ run }) => run));
  const since = now.filter(({ run }) => !known.has(run));
  return [...new Map([...listed, ...since].map((run) => [run.run, run])).values()];
}

/** What samples again in the next job; of a series its first: it grows while its job runs.
 * @param {any} run
 * @returns {string}
 */
export const slotOf = ({ node, list_index: element, index, chain }) => (chain ? `${slotOf(chain[0])}+` : `${node}/${element}/${index}`);

/** Id of a run, or of a series of them: as in their record.
 * @param {ListedRun} run
 * @returns {string}
 */
export const idOf = ({ run, chain }) => chain?.map(idOf).join("+") ?? run;

/** Runs in series, two or more each: every one begins with what the one before it made.
 *
 * prompt: in API form. root: its graph, which knows the types of its wires.
 * @param {ListedRun[]} runs @param {Prompt} prompt @param {?Graph} root
 */
export function series(runs, prompt, root) {
  /** @type {ListedRun[][]} */ const chains = [];
  for (const run of runs.filter(({ list_index: element }) => !element)) {
    const before = chains.find((chain) => follows({ prompt, root }, run, chain[chain.length - 1]));
    if (before) before.push(run);
    else chains.push([run]);
  }
  return chains.filter((chain) => chain.length > 1);
}

/** A sampler begins with its latent; with an image only where it takes no latent: another one is a reference.
 * @param {any} graph @param {ListedRun} run @param {ListedRun} last
 */
function follows(graph, run, last) {
  /** @param {string} type */
  const from = (type) => wires(graph, run.node, type);
  const began = from("LATENT").length ? from("LATENT") : from("IMAGE");
  return run.node === last.node || began.some((node) => reaches(graph, node, last.node, new Set()));
}

/** @returns {boolean}  @param {any} graph @param {any} node @param {string} source @param {Set<string>} seen */
function reaches(graph, node, source, seen) {
  if (node === source) return true;
  if (seen.has(node)) return false;
  seen.add(node);
  return ["LATENT", "IMAGE"].flatMap((type) => wires(graph, node, type)).some((from) => reaches(graph, from, source, seen));
}

/** Nodes that hand something of a type to a node.  @param {{prompt: Prompt, root: ?Graph}} graph @param {any} node @param {string} type */
const wires = ({ prompt, root }, node, type) =>
  Object.entries(prompt[node]?.inputs ?? {}).filter(([, value]) => Array.isArray(value) && value.length === 2)
    .filter(([name, wire]) => typeOf(root, node, name, wire) === type).map(([, [from]]) => from);

/** What a wire carries: as its source says, or where that takes anything, as its target does.
 * @param {any} root @param {any} node @param {string} name @param {[string, number]} wire
 */
export function typeOf(root, node, name, [from, slot]) {
  const made = nodeAt(root, from)?.outputs?.[slot]?.type;
  return made && made !== "*" ? made : nodeAt(root, node)?.inputs?.find((/** @type {Slot} */ input) => input.name === name)?.type;
}

/** What the chooser calls a run. about: {stages: [place, of how many] | null, elements, unchanged: Set of nodes}.
 * @param {ListedRun} run @param {{stages: ?number[], elements: number, unchanged: Set<string>}} about @param {Speaker} t
 */
export function nameOf(run, { stages, elements, unchanged }, t) {
  if (run.chain) return t("allStages", { title: run.chain.map(({ title }) => title).join(" + ") });
  const element = elements > 1 && t("element", { i: run.list_index + 1, n: elements });
  const stage = stages && t("stage", { i: stages[0], n: stages[1] });
  return [`${run.title} (${run.node})`, stage, element, whenOf(run, unchanged, t)].filter(Boolean).join(" \u00b7 ");
}

/** @param {ListedRun} run @param {Set<string>} unchanged @param {Speaker} t */
function whenOf(run, unchanged, t) {
  if (run.live) return run.live.fault ? t("stoppedAt", { i: nth(run.live.steps.at(-1)?.i ?? 0) }) : t("recording");
  const time = clock(run.when);
  const stopped = run.ended && (stoppedAt(run) ? t("stoppedAt", { i: stoppedAt(run) }) : run.ended);
  return [stopped, unchanged.has(run.node) ? t("unchanged", { time }) : time].filter(Boolean).join(" \u00b7 ");
}

/** The step, counted from 1, whose call had begun when a run stopped; NaN where nobody says.  @param {any} run */
export const stoppedAt = ({ stopped_at: i, ended }) => i ?? Number(/^stopped at step (\d+)/.exec(ended)?.[1]);

/** Hours and minutes of a time in seconds since 1970, here.  @param {any} seconds */
export const clock = (seconds) => {
  const when = new Date(1000 * seconds);
  return [when.getHours(), when.getMinutes()].map((part) => String(part).padStart(2, "0")).join(":");
};

/** What one click does about where the tab stands: record and run, or sample what came from the cache afresh. */
export const OFFERS = /** @type {const} */ (["begin", "fresh"]);
const [BEGIN, FRESH] = OFFERS;

/** Colours of a report, the worst last; one that nobody knows comes before them all. */
export const BADNESS = ["fine", "off", "unclear", "above"];

/** Why a job left no run: its samplers came from the cache, or none was asked for. */
export const CACHED = { key: "tabCached", offer: FRESH };
export const NOTHING = { key: "tabNothing" };

/** Where the tab stands: {key: of a sentence, offer: of OFFERS where one click helps, ...its values}; null where the run
 * says all.
 *
 * away: ComfyUI does not answer. on: this workflow is recorded. runs: how many there are. live: one comes in. lost: there
 * were some. queued: {ahead: jobs of others that run first}, null where no job of it is in the queue. hindrance: see
 * readiness.mjs. idle: why the last job left no run. since: clock of the run that is shown in place of one from the cache.
 * unreached: samplers that could not be recorded.
 * @param {any} facts
 */
export function stateOf({ away, on, runs, live, lost, queued = null, hindrance, idle, since, unreached = [] }) {
  if (away) return { key: "tabAway" };
  if (live) return { key: "tabRecording" };
  if (runs && !on) return { key: "tabOffNow", offer: BEGIN };
  if (queued) return { key: queued.ahead ? "tabQueued" : "tabBegins", n: queued.ahead, earlier: runs > 0 };
  if (on && hindrance && hindrance.key !== "tabNoSampler") return { ...hindrance, earlier: runs > 0 }; // in a pipe it is not seen
  if (runs && since) return { key: "tabCachedRun", offer: FRESH, time: since };
  if (on && idle) return { ...idle, earlier: runs > 0 };
  if (runs) return null;
  if (lost) return { key: "tabLost", offer: BEGIN };
  if (!on) return { key: "tabOff", offer: BEGIN };
  return hindrance ?? (unreached.length ? null : { key: "tabWaiting", offer: BEGIN });
}

/** Records of a series as one run: steps one after the other, part by part.  stages: where the next sampler begins
 * @param {any[]} records
 */
export function joinRecords(records) {
  const sizes = records.map((record) => Math.max(...[record, ...Object.values(record.parts ?? {})].map(planned)));
  const mains = records.map((record) => namedPart(record, records[0].part));
  const names = [...new Set(records.flatMap(partsOf))].filter((name) => !mains.some(({ part }) => part === name));
  /** @param {string} name */
  const everywhere = (name) => records.every((record) => partsOf(record).includes(name));
  const [shared, lacking] = [true, false].map((all) => names.filter((name) => everywhere(name) === all));
  const parts = shared.map((name) => [name, inOne(records.map((record) => namedPart(record, name)), sizes)]);
  const whole = inOne(mains, sizes);
  const notes = [...whole.notes, ...lacking.map((name) => `${name} is not in every stage: choose one stage to see it`)];
  return { ...whole, notes, ...(parts.length && { parts: Object.fromEntries(parts) }) };
}

/** @param {any} record @param {string} name */
const namedPart = (record, name) => (record.part === name ? record : partOf(record, name));

/** Records as one.  sizes: how many steps each takes  @param {any[]} records @param {number[]} sizes */
function inOne(records, sizes) {
  const firsts = sizes.map((_, k) => sizes.slice(0, k).reduce((sum, size) => sum + size, 0));
  const n = firsts[firsts.length - 1] + sizes[sizes.length - 1];
  const steps = records.flatMap((record, k) => record.steps.map((/** @type {any} */ step) => ({ ...step, i: step.i + firsts[k], n })));
  const { directions, sigmas, parts, report, choices, ...first } = records[0]; // of the first alone
  const notes = records.flatMap((record) => record.notes ?? []);
  const run = records.map((record) => record.run).join("+");
  const more = { ...endOf(records.at(-1), firsts[firsts.length - 1]), ...lookedAt(records, firsts), pictures: together(records, firsts), choices: chosenIn(records, firsts, n) };
  return { ...first, ...more, run, n, steps, stages: firsts.slice(1), notes };
}

/** What was chosen for the samples of a series, from its runs: no window, which holds the push of one.
 * @param {any[]} records @param {number[]} firsts @param {number} n
 */
function chosenIn(records, firsts, n) {
  const all = records.map(({ choices }) => choices);
  if (!all.every((choices) => choices?.samples && choices.samples.join() === all[0].samples.join())) return undefined;
  /** @param {string} name @param {any} find */
  const each = (name, find) => all[0].samples.map((/** @type {any} */ _, /** @type {number} */ b) => find(all.map((choices) => choices[name][b]).map((value) => value ?? NaN)));
  const [low, high] = [(/** @type {number[]} */ values) => Math.min(...values), (/** @type {number[]} */ values) => Math.max(...values)];
  const middle = firsts.findLastIndex((first) => first <= MIDDLE * n);
  const weights = all.map(({ weight }) => weight);
  /** @param {number} b */
  const mean = (b) => weights.reduce((sum, weight, k) => sum + weight[b] * (all[k].across[b] ?? 0), 0) / weights.reduce((sum, weight) => sum + weight[b], 0);
  return {
    samples: all[0].samples, step: all[middle].step.map((/** @type {any} */ step) => step + firsts[middle]), across: all[0].samples.map((/** @type {any} */ _, /** @type {number} */ b) => mean(b)),
    least: each("least", low), most: each("most", high), low: each("low", low), high: each("high", high), alone: each("alone", (/** @type {number[]} */ values) => values.some(Boolean)),
  };
}

/** How a series ended, in its own numbers of steps.  @param {any} record @param {number} first */
function endOf({ fault, ended, stopped }, first) {
  if (!stopped) return { fault, ended };
  const moved = { i: stopped.i + first, n: stopped.n + first };
  return { fault, stopped: moved, ended: ended.replace(/^stopped at step \d+/, `stopped at step ${moved.i}`) };
}

/** What was evaluated after the runs of a series at cfg 1, as their headers say.
 * @param {any[]} records @param {number[]} firsts
 */
function lookedAt(records, firsts) {
  const all = records.flatMap(({ afterwards: at }, k) => (at ? { ...at, steps: at.steps.map((/** @type {number} */ i) => i + firsts[k]) } : []));
  if (!all.length) return {};
  const [against, why] = ["against", "why"].map((name) => [...new Set(all.map((looked) => looked[name]).filter(Boolean))].join(", "));
  const [evaluations, drift] = [all.reduce((sum, looked) => sum + looked.evaluations, 0), Math.max(...all.map((looked) => looked.drift ?? 0))];
  return { afterwards: { steps: all.flatMap(({ steps }) => steps), evaluations, against, drift, ...(why && { why }) } };
}

/** @param {any} record */
const planned = ({ n, steps }) => Math.max(n ?? 0, (steps.at(-1)?.i ?? -1) + 1);

/** Pictures of a series; each sheet keeps the scale of its own run.  @param {any[]} records @param {number[]} firsts */
function together(records, firsts) {
  const kinds = records.map(({ pictures: p }) => JSON.stringify([p?.kinds, p?.samples, p?.size]));
  if (!records[0].pictures?.steps || kinds.some((kind) => kind !== kinds[0])) return { note: records[0].pictures?.note };
  const steps = records.flatMap(({ pictures: { gain, clipped, scale, steps: sheets } }, k) =>
    sheets.map((/** @type {any} */ sheet) => ({ ...sheet, i: sheet.i + firsts[k], scales: { gain, clipped, scale } })));
  return { ...records[0].pictures, steps };
}
