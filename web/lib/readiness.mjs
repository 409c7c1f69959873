// @ts-check
/** Which samplers a graph has and where each of them stands; whether it would be sampled, and what is in the way. No DOM. */

const MADE = ["LATENT", "GUIDER", "IMAGE", "VIDEO", "AUDIO"]; // who makes one of these of a MODEL samples: host/editor/taps.py
const BEGINNINGS = ["LATENT", "NOISE", "IMAGE"];
const SILENT = [2, 4]; // muted, bypassed
const DEPTH = 16; // of subgraphs

/** Whether a node samples: what reads a MODEL and begins with nothing only makes an empty latent of its size.
 * @param {GraphNode} node
 */
export const samplesItself = ({ inputs, outputs, widgets }) =>
  has(inputs, ["MODEL"]) && has(outputs, MADE) && (has(outputs, ["GUIDER"]) || has(inputs, BEGINNINGS) || isSeeded(widgets));

/** @param {any} widgets */
const isSeeded = (widgets) => (widgets ?? []).some((/** @type {{name: string}} */ { name }) => String(name).includes("seed"));

/** @param {any} slots @param {string[]} types */
const has = (slots, types) => (slots ?? []).some((/** @type {{type: string}} */ { type }) => types.includes(type));

/** All nodes of a graph and of its subgraphs: [{node, id: execution id, silent: muted or bypassed, or inside of what is}].
 * @param {Graph | null | undefined} graph
 * @returns {{node: GraphNode, id: string, silent: boolean}[]}
 */
export function nodesOf(graph, before = "", silent = false, depth = 0) {
  if (depth >= DEPTH) return [];
  return (graph?.nodes ?? []).flatMap((node) => {
    const entry = { node, id: `${before}${node.id}`, silent: silent || SILENT.includes(node.mode) };
    return [entry, ...nodesOf(node.subgraph, `${entry.id}:`, entry.silent, depth + 1)];
  });
}

/** Whether a node ends a prompt, as far as the editor knows: without one that does, ComfyUI runs nothing.
 * @param {{node: any, silent: boolean}} entry
 */
const mayShow = ({ node, silent }) => !silent && !node.isVirtualNode && !node.subgraph && node.constructor?.nodeData?.output_node !== false;

/** The samplers of a graph, each at the place where it runs: the node that a subgraph is looks like one and runs nothing.
 * @param {Graph | null | undefined} graph
 */
export const samplersOf = (graph) => nodesOf(graph).filter(({ node }) => !node.subgraph && samplesItself(node));

export const STATES = /** @type {const} */ (["live", "ran", "cached", "unreached", "muted", "queued", "idle"]);

/** Where each sampler stands, one entry for each run and one for each sampler without: {id, title, state: of STATES, run}.
 *
 * runs: of its last job, the live ones too. unchanged: ids whose run is from before, since the last job took them from the
 * cache. unreached: ids that ran and left no record. queued: a job of this graph runs or waits.
 * @param {Graph | null | undefined} graph
 * @param {{runs: any[], unchanged: Set<string>, unreached: string[], queued: boolean}} known
 */
export function samplerStates(graph, { runs, unchanged, unreached, queued }) {
  const off = new Set(nodesOf(graph).flatMap(({ id, silent }) => (silent ? [id] : [])));
  const ran = runs.map((run) => {
    const state = run.live ? "live" : off.has(run.node) ? "muted" : unchanged.has(run.node) ? "cached" : "ran";
    return { id: run.node, title: run.title, state, run };
  });
  const without = samplersOf(graph).filter(({ id }) => !runs.some(({ node }) => node === id)).map(({ id, node, silent }) => {
    const state = silent ? "muted" : unreached.includes(id) ? "unreached" : queued ? "queued" : "idle";
    return { id, title: node.title ?? node.type, state, run: null };
  });
  return [...ran, ...without];
}

/** What keeps a graph from leaving a run: {key of a sentence, names}; null where nothing does.  @param {Graph | null | undefined} graph */
export function hindrance(graph) {
  const all = nodesOf(graph);
  const samplers = samplersOf(graph);
  const named = samplers.map(({ node, id }) => `${node.title ?? node.type} (${id})`).join(", ");
  if (!all.length) return { key: "tabEmpty" };
  if (!samplers.length) return { key: "tabNoSampler" };
  if (samplers.every(({ silent }) => silent)) return { key: "tabSilent", names: named };
  return all.some(mayShow) ? null : { key: "tabNoOutput" };
}
