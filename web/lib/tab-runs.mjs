/** Which runs the Guidance tab offers: those of the present workflow, by name, and runs in series as one. No DOM. */
import { nodeAt } from "./panel-graph.mjs";

export const FLAG = "guidance_geometry"; // in `extra` of a workflow: {record, key}
const MADE = ["LATENT", "GUIDER", "IMAGE", "VIDEO", "AUDIO"]; // who makes one of these of a MODEL samples: host/taps.py
const SILENT = [2, 4]; // muted, bypassed

/** What a workflow says about recording. key: tells it from others, for stock templates share their ids. */
export const flagOf = (root) => root?.extra?.[FLAG] ?? {};

/** Whether a graph is one of two open workflows that nothing tells apart: a copy of the older editor keeps the id, too. */
export function hasTwin(root, active, open) {
  const same = (one) => one?.activeState?.id === root.id && flagOf(one.activeState).key === flagOf(root).key;
  return Boolean(flagOf(root).key) && same(active) && open.some((one) => one !== active && same(one));
}

/** Say it: the rest of `extra` stays. */
export function setFlag(root, flag) {
  root.extra = { ...root.extra, [FLAG]: { ...flagOf(root), ...flag } };
}

/** Whether a node samples, so that a tap would record it. */
export const samplesItself = ({ inputs, outputs, mode }) =>
  !SILENT.includes(mode) && has(inputs, ["MODEL"]) && has(outputs, MADE);

const has = (slots, types) => (slots ?? []).some(({ type }) => types.includes(type));

/** Whether something in a graph or in its subgraphs samples. */
export const hasSampler = (graph, depth = 0) =>
  depth < 16 && (graph?.nodes ?? []).some((node) => samplesItself(node) || hasSampler(node.subgraph, depth + 1));

/** Whether a run, or a message about one, is of this workflow and its node is still there. */
export function isOf(root, { workflow_id: id, key, node }) {
  return id === root?.id && (key ?? null) === (flagOf(root).key ?? null) && Boolean(nodeAt(root, node));
}

/** Of every node the runs of the last job in which it sampled, in their order. */
export function latest(runs, root) {
  const own = runs.filter((run) => isOf(root, run));
  const job = new Map(own.map((run) => [run.node, run.prompt_id]));
  return own.filter((run) => job.get(run.node) === run.prompt_id);
}

/** Runs that ended while the server was asked and that its answer does not know yet. */
export function endedSince(before, now, listed) {
  const known = new Set([...before, ...listed].map(({ run }) => run));
  return now.filter(({ run }) => !known.has(run));
}

/** What samples again in the next job. */
export const slotOf = ({ node, list_index: element, index, chain }) => chain?.map(slotOf).join("+") ?? `${node}/${element}/${index}`;

/** Id of a run, or of a series of them: as in their record. */
export const idOf = ({ run, chain }) => chain?.map(idOf).join("+") ?? run;

/** Runs in series, two or more each: every one begins with what the one before it made.  prompt: in API form */
export function series(runs, prompt) {
  const chains = [];
  for (const run of runs.filter(({ list_index: element }) => !element)) {
    const before = chains.find((chain) => follows(prompt, run, chain.at(-1)));
    if (before) before.push(run);
    else chains.push([run]);
  }
  return chains.filter((chain) => chain.length > 1);
}

const follows = (prompt, run, last) => run.node === last.node || reaches(prompt, run.node, last.node, new Set());

function reaches(prompt, node, source, seen) {
  if (seen.has(node)) return false;
  seen.add(node);
  const wires = Object.values(prompt?.[node]?.inputs ?? {}).filter((value) => Array.isArray(value) && value.length === 2);
  return wires.some(([from]) => from === source || reaches(prompt, from, source, seen));
}

/** What the chooser calls a run. about: {stages: [place, of how many] | null, elements, unchanged: Set of nodes}. */
export function nameOf(run, { stages, elements, unchanged }, t) {
  if (run.chain) return t("allStages", { title: run.chain.map(({ title }) => title).join(" + ") });
  const element = elements > 1 && t("element", { i: run.list_index + 1, n: elements });
  const stage = stages && t("stage", { i: stages[0], n: stages[1] });
  return [`${run.title} (${run.node})`, stage, element, whenOf(run, unchanged, t)].filter(Boolean).join(" \u00b7 ");
}

function whenOf(run, unchanged, t) {
  if (run.live) return t("recording");
  const time = clock(run.when);
  const stopped = run.ended && t("stoppedAt", { i: Math.max(1, run.steps) });
  return [stopped, unchanged.has(run.node) ? t("unchanged", { time }) : time].filter(Boolean).join(" \u00b7 ");
}

/** Hours and minutes of a time in seconds since 1970, here. */
const clock = (seconds) => {
  const when = new Date(1000 * seconds);
  return [when.getHours(), when.getMinutes()].map((part) => String(part).padStart(2, "0")).join(":");
};

/** Key of the sentence about where the tab stands, "" where the run says all.
 *
 * on: this workflow is recorded. runs: how many there are. live: one comes in. lost: there were some. sampler: one is there.
 */
export function stateOf({ on, runs, live, lost, sampler }) {
  if (live) return "tabRecording";
  if (runs) return on ? "" : "tabOffNow";
  if (lost) return "tabLost";
  if (!on) return "tabOff";
  return sampler ? "tabWaiting" : "tabNoSampler";
}

/** Records of a series as one run: steps one after the other.  stages: steps at which the next sampler begins */
export function joined(records) {
  const n = records.reduce((sum, record) => sum + planned(record), 0);
  const [steps, stages] = [[], []];
  let before = 0;
  for (const record of records) {
    if (before) stages.push(before);
    for (const step of record.steps) steps.push({ ...step, i: step.i + before, n });
    before += planned(record);
  }
  const { directions, sigmas, ...first } = records[0]; // of the first alone
  const notes = records.flatMap((record) => record.notes ?? []);
  const run = records.map((record) => record.run).join("+");
  return { ...first, run, n, steps, stages, notes, fault: records.at(-1).fault, pictures: together(records) };
}

const planned = ({ n, steps }) => Math.max(n ?? 0, (steps.at(-1)?.i ?? -1) + 1);

/** Pictures of a series; each sheet keeps the scale of its own run. */
function together(records) {
  const kinds = records.map(({ pictures: p }) => JSON.stringify([p?.kinds, p?.samples, p?.size]));
  if (!records[0].pictures?.steps || kinds.some((kind) => kind !== kinds[0])) return { note: records[0].pictures?.note };
  let before = 0;
  const steps = records.flatMap((record) => {
    const { gain, clipped, scale, steps: sheets } = record.pictures;
    const moved = sheets.map((sheet) => ({ ...sheet, i: sheet.i + before, scales: { gain, clipped, scale } }));
    before += planned(record);
    return moved;
  });
  return { ...records[0].pictures, steps };
}
