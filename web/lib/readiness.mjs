// @ts-check
/** Whether a graph as it stands would be sampled and recorded, and what is in the way. No DOM. */

const MADE = ["LATENT", "GUIDER", "IMAGE", "VIDEO", "AUDIO"]; // who makes one of these of a MODEL samples: host/taps.py
const BEGINNINGS = ["LATENT", "NOISE", "IMAGE"];
const SILENT = [2, 4]; // muted, bypassed
const DEPTH = 16; // of subgraphs

/** Whether a node samples: what reads a MODEL and begins with nothing only makes an empty latent of its size. */
export const samplesItself = ({ inputs, outputs, widgets }) =>
  has(inputs, ["MODEL"]) && has(outputs, MADE) && (has(outputs, ["GUIDER"]) || has(inputs, BEGINNINGS) || isSeeded(widgets));

const isSeeded = (widgets) => (widgets ?? []).some(({ name }) => String(name).includes("seed"));

const has = (slots, types) => (slots ?? []).some(({ type }) => types.includes(type));

/** All nodes of a graph and of its subgraphs: [{node, id: execution id, silent: muted or bypassed, or inside of what is}]. */
export function nodesOf(graph, before = "", silent = false, depth = 0) {
  if (depth >= DEPTH) return [];
  return (graph?.nodes ?? []).flatMap((node) => {
    const one = { node, id: `${before}${node.id}`, silent: silent || SILENT.includes(node.mode) };
    return [one, ...nodesOf(node.subgraph, `${one.id}:`, one.silent, depth + 1)];
  });
}

/** Whether a node ends a prompt, as far as the editor knows: without one that does, ComfyUI runs nothing. */
const mayShow = ({ node, silent }) => !silent && !node.isVirtualNode && !node.subgraph && node.constructor?.nodeData?.output_node !== false;

/** What keeps a graph from leaving a run: {key of a sentence, names}; null where nothing does. */
export function hindrance(graph) {
  const all = nodesOf(graph);
  const samplers = all.filter(({ node }) => samplesItself(node));
  const named = samplers.map(({ node, id }) => `${node.title ?? node.type} (${id})`).join(", ");
  if (!all.length) return { key: "tabEmpty" };
  if (!samplers.length) return { key: "tabNoSampler" };
  if (samplers.every(({ silent }) => silent)) return { key: "tabSilent", names: named };
  return all.some(mayShow) ? null : { key: "tabNoOutput" };
}
