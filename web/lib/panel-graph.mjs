// @ts-check
/** Finding nodes: by execution id, and the sampler whose run a panel shows. Reads graphs of either front end. */

/** The node at an execution id: "7", or "12:7" inside the subgraph that node 12 is. */
export function nodeAt(root, id) {
  let graph = root;
  /** @type {any} */
  let node = null;
  for (const part of String(id).split(":")) {
    node = graph?.nodes.find((one) => String(one.id) === part) ?? null;
    graph = node?.subgraph;
  }
  return node;
}

/** Execution id of a node, null when it is not reachable from the root. */
export function pathOf(root, node, before = "", depth = 0) {
  for (const one of (depth < 16 && root?.nodes) || []) {
    if (one === node) return before + one.id;
    const inner = one.subgraph && pathOf(one.subgraph, node, `${before}${one.id}:`, depth + 1);
    if (inner) return inner;
  }
  return null;
}

/** Key of a node in the editor's table of outputs. */
export function locatorOf(root, node) {
  const outer = !node.graph || node.graph === root || node.graph.isRootGraph;
  return outer ? String(node.id) : `${node.graph.id}:${node.id}`;
}

const TOWARDS_THE_SAMPLER = ["trace", "guider", "latent", "samples", ""]; // inputs to follow, first that is linked

/** The node upstream whose "cfg" widget set the scale of the run, with how to change it.
 *
 * start: the node of the panel, or with `itself` the sampler.
 * -> {node, widget} where a value can be written; {node, reason: "linked" | "promoted" | "listed"} where another node
 * decides (that one); null where no scale is found.
 */
export function scaleSource(root, start, itself = false) {
  let node = start;
  for (let hops = 0; node && hops < 32; hops += 1) {
    const widget = (itself || node !== start) && node.widgets?.find((one) => one.name === "cfg");
    if (widget) return writable(root, node, widget);
    node = upstream(root, node);
  }
  return null;
}

function writable(root, node, widget) {
  const list = listAbove(root, node);
  if (list) return { node: list, reason: "listed" };
  const slot = (node.inputs ?? []).findIndex((input) => (input.widget?.name ?? input.name) === "cfg");
  if (slot < 0 || node.inputs[slot].link == null) return { node, widget };
  const source = originOf(root, node, slot);
  const outside = source?.outside;
  return { node: source?.node ?? node, reason: outside ? "promoted" : "linked" };
}

/** The schedule in the chain of guidance that lists its scales itself, so that cfg has no effect. */
function listAbove(root, node, depth = 0) {
  const listing = node.comfyClass === "GGCFGSchedule" || node.type === "GGCFGSchedule";
  if (listing && node.widgets?.find((one) => one.name === "schedule")?.value === "list") return node;
  for (const [slot, input] of (depth < 32 && node.inputs ? node.inputs : []).entries()) {
    if (!["guidance", "model"].includes(input.name) || input.link == null) continue;
    const source = originOf(root, node, slot)?.node;
    const found = source && listAbove(root, source, depth + 1);
    if (found) return found;
  }
  return null;
}

function upstream(root, node) {
  const linked = (node.inputs ?? []).map((input, slot) => ({ input, slot })).filter(({ input }) => input.link != null);
  for (const name of TOWARDS_THE_SAMPLER) {
    const found = linked.find(({ input }) => input.name === name || name === "");
    if (found) return originOf(root, node, found.slot)?.node ?? null;
  }
  return null;
}

/** The link at an input of a node, in graphs of either front end; undefined for none. */
export function linkAt(node, slot) {
  const links = node.graph?.links;
  const id = node.inputs[slot].link;
  return links?.get?.(id) ?? links?.[id];
}

/** What feeds an input. Links out of a subgraph lead to its input node: then the subgraph's own node decides. */
export function originOf(root, node, slot) {
  const link = linkAt(node, slot);
  if (!link) return null;
  const origin = node.graph.nodes.find((one) => String(one.id) === String(link.origin_id));
  if (!origin) return throughTheWall(root, node.graph, link.origin_slot);
  return { node: origin.subgraph ? (innerOrigin(origin, link.origin_slot) ?? origin) : origin };
}

function throughTheWall(root, graph, slot) {
  const owner = ownerOf(root, graph);
  if (!owner) return null;
  const further = owner.inputs?.[slot]?.link != null ? originOf(root, owner, slot)?.node : null;
  return { node: further ?? owner, outside: !further };
}

function innerOrigin(container, slot) {
  const id = container.subgraph.outputs?.[slot]?.linkIds?.[0];
  const links = container.subgraph.links;
  const link = links?.get?.(id) ?? links?.[id];
  return container.subgraph.nodes.find((one) => String(one.id) === String(link?.origin_id));
}

function ownerOf(root, graph, depth = 0) {
  for (const node of (depth < 16 && root?.nodes) || []) {
    if (node.subgraph === graph) return node;
    const inner = node.subgraph && ownerOf(node.subgraph, graph, depth + 1);
    if (inner) return inner;
  }
  return null;
}

/** Write a scale as a user would.
 * @param {{node: any, widget?: any}} place
 */
export function writeScale({ node, widget }, value) {
  widget.value = value;
  widget.callback?.(value, undefined, node);
}
