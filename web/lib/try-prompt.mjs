// @ts-check
/** The job of a try: the sampler at another value of a knob, what it needs, and one preview of what it made. No DOM. */
import { typeOf } from "./tab-runs.mjs";

export const MOST_SHOTS = 4; // pictures of one run
const PICTURE = /\.(png|jpe?g|webp|gif)$/i;
const APART = "gg-try"; // no node of the graph: that would show what is said there
const JUDGE = "gg-judge";
const SHOWS = ["SaveImage", "PreviewImage"]; // the host's own
const MOST_NODES = 32; // between an inspector and its sampler
const TOWARDS_THE_SAMPLER = ["trace", "latent", "samples"]; // inputs

/** Id of the node in a prompt that sampled what another one shows.  @param {Prompt} prompt @param {any} shown */
export function samplerOf(prompt, shown) {
  let id = String(shown);
  for (let hops = 0; hops < MOST_NODES; hops += 1) {
    const wire = TOWARDS_THE_SAMPLER.map((name) => prompt[id]?.inputs?.[name]).find(Array.isArray);
    if (!wire) return id;
    id = String(wire[0]);
  }
  return id;
}

/** Pictures that a node of a job showed: files of the server.  @param {any} outputs @param {string} id */
export const picturesOf = (outputs, id) => (outputs[id]?.images ?? []).filter((/** @type {{filename: any}} */ { filename }) => PICTURE.test(filename)).slice(0, MOST_SHOTS);

/** The one output that a try has: {id, node}, in place of the node `of` in the job. Nothing is saved by it, and it shows the
 * nearest picture of the sampler.
 *
 * A picture that the job showed comes before one that it saved, as a video, or did not show at all. root: of the graph,
 * which knows the types of wires.
 * @param {{prompt: Prompt, outputs: any}} job @param {string} sampler @param {any} root
 */
export function shownBy({ prompt, outputs }, sampler, root) {
  const ids = downstream(prompt, String(sampler));
  /** @param {string} id */
  const wire = (id) => pictureInto(prompt, id, ids, root);
  const showing = ids.filter((id) => picturesOf(outputs, id).length);
  const id = showing.find(wire) ?? ids.find((candidate) => SHOWS.includes(prompt[candidate].class_type)) ?? showing[0] ?? ids.find(wire);
  if (id && wire(id)) return { id: APART, of: id, node: { class_type: "PreviewImage", inputs: { images: wire(id) } } };
  if (id && id !== String(sampler)) return { id: APART, of: id, node: prompt[id] };
  if (id || ids.length === 1) return { id: ids[0], of: ids[0], node: prompt[ids[0]] }; // it shows by itself what it samples
  return { id: APART, of: APART, node: { class_type: "PreviewAny", inputs: { source: [ids[0], 0] } } }; // so that the sampler runs
}

/** The Guidance Report that asks a judge about this sampler's run: {id, of, node}, as `shownBy`; null where none is wired.
 * @param {Prompt} prompt @param {string} sampler
 */
export function judgeOf(prompt, sampler) {
  /** @param {string} id */
  const asks = (id) => prompt[id].class_type === "GGReport" && Array.isArray(prompt[id].inputs.energy);
  const id = downstream(prompt, String(sampler)).find(asks);
  if (!id) return null;
  const { half, pictures, ...inputs } = prompt[id].inputs; // of these it knows already
  return { id: JUDGE, of: id, node: { ...prompt[id], inputs } };
}

/** What the judge found in a job's pictures: {name, score}; null for nothing.  score: mean log-probability
 * @param {any} outputs @param {string} id
 */
export function judgementOf(outputs, id) {
  const { judge: [score] = [], judge_name: [name] = [] } = outputs?.[id] ?? {};
  return name && Number.isFinite(score) ? { name, score } : null;
}

/** The prompt with another number in some inputs and these outputs, without what they do not need.
 *
 * places: [{id, input, beside: of a knob}]. shown: as `shownBy`; one in place of a node has its number, too.
 * @param {Prompt} prompt @param {any[]} places @param {number} value @param {...any} shown
 */
export function promptAt(prompt, places, value, ...shown) {
  const changed = { ...prompt, ...Object.fromEntries(shown.map(({ id, node }) => [id, node])) };
  for (const { id: place, input, beside = {} } of places) {
    const copies = shown.filter(({ of }) => of === place).map(({ id }) => id);
    for (const id of [place, ...copies].filter((candidate) => changed[candidate])) changed[id] = { ...changed[id], inputs: { ...changed[id].inputs, ...beside, [input]: value } };
  }
  return neededBy(changed, ...shown.map(({ id }) => id));
}

/** The part of a prompt that some of its nodes need.  @param {Prompt} prompt @param {...any} ids */
export function neededBy(prompt, ...ids) {
  const needed = new Set(ids.flatMap((id) => [...upstream(prompt, id)]));
  return Object.fromEntries(Object.entries(prompt).filter(([one]) => needed.has(one)));
}

/** A wire that brings a picture which the sampler had a part in.
 * @param {Prompt} prompt @param {string} id @param {string[]} made @param {?Graph} root
 */
function pictureInto(prompt, id, made, root) {
  const own = SHOWS.includes(prompt[id].class_type);
  const found = wiresOf(prompt[id]).find(([name, wire]) => made.includes(String(wire[0])) && (own || typeOf(root, id, name, wire) === "IMAGE"));
  return found?.[1];
}

/** @param {any} node */
const wiresOf = (node) => Object.entries(node?.inputs ?? {}).filter(([, value]) => Array.isArray(value) && value.length === 2);

/** Ids of a node and of all that read it, directly or not, the nearest first.
 * @param {Prompt} prompt @param {string} id
 */
export function downstream(prompt, id) {
  /** @param {any} reader @param {string} of */
  const reads = (reader, of) => wiresOf(prompt[reader]).some(([, [from]]) => String(from) === of);
  const found = new Set([id]); // grows while it is walked
  for (const of of found) Object.keys(prompt).filter((reader) => reads(reader, of)).forEach((reader) => found.add(reader));
  return [...found];
}

/** Ids of a node and of all that it reads, directly or not.  @param {Prompt} prompt @param {any} id */
export function upstream(prompt, id) {
  const found = new Set([id]);
  for (const of of found) wiresOf(prompt[of]).forEach(([, [from]]) => prompt[from] && found.add(String(from)));
  return found;
}

export const SEED = /seed/i; // where a node of a pack draws by itself, no other widget changes it after each job

/** Whether a node of a prompt brings another one its seed.  @param {Prompt} prompt @param {string} id */
export const feedsSeed = (prompt, id) => Object.values(prompt).some(({ inputs }) => Object.entries(inputs).some(([name, wire]) => SEED.test(name) && Array.isArray(wire) && String(wire[0]) === id));

/** Where nodes of a prompt hold a seed of their own: [{id, input, value}].  ids: of nodes
 * @param {Prompt} prompt @param {any} ids
 */
export function seedPlaces(prompt, ids) {
  return [...ids].flatMap((id) => Object.entries(prompt[id]?.inputs ?? {})
    .filter(([name, value]) => typeof value === "number" && (SEED.test(name) || feedsSeed(prompt, id)))
    .map(([input, value]) => ({ id, input, value })));
}
