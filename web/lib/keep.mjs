// @ts-check
/** Real nodes for what the Guidance tab shows: Record Guidance, Read Recorded Trace and an inspector around a sampler. */
import { linkAt, originOf } from "./panel-graph.mjs";

const GAP = 60;
const MOST_GUIDERS = 8; // one inside another
const TYPES = ["GGRecord", "GGReadTrace", "GGInspector"];

/** Where the MODEL of a run comes in: {node, slot} of the sampler or of its guider beside it; null where nowhere.
 * @returns {?{node: any, slot: number}}
 * @param {?Graph} root @param {GraphNode} node
 */
function modelInput(root, node, hops = 0) {
  const slot = linked(node, "MODEL");
  if (slot >= 0) return { node, slot };
  const guider = linked(node, "GUIDER");
  const source = guider < 0 || hops > MOST_GUIDERS ? null : originOf(root, node, guider)?.node;
  return source && source.graph === node.graph ? modelInput(root, source, hops + 1) : null;
}

/** @param {GraphNode} node @param {string} type */
const linked = (node, type) => (node.inputs ?? []).findIndex((input, slot) => input.type === type && linkAt(node, slot));
/** @param {GraphNode} node */
const output = (node) => (node.outputs ?? []).findIndex(({ type }) => type === "LATENT");

/** Whether an inspector can be put beside a node.  @param {?Graph} root @param {GraphNode} node */
export const canKeep = (root, node) => Boolean(node?.graph && output(node) >= 0 && modelInput(root, node));

/** Insert and wire the three nodes; returns the inspector.
 *
 * create(type) makes a node. sizeOf(node): width and height as it is drawn. How high a new node will be drawn is not known
 * yet, so they stand side by side.
 * @param {?Graph} root @param {GraphNode} node @param {(type: string) => any} create
 */
export function keep(root, node, create, sizeOf = (/** @type {any} */ { size }) => size) {
  const { graph } = node;
  const { node: reader, slot } = /** @type {{node: any, slot: number}} */ (modelInput(root, node));
  const made = TYPES.map(create);
  const [record, trace, inspector] = made;
  const wide = made.reduce((sum, { size }) => sum + size[0] + GAP, 0);
  const place = below(graph, node, wide, sizeOf);
  let [left] = place;
  for (const added of made) {
    added.pos = [left, place[1]];
    left += added.size[0] + GAP;
    graph.add(added);
  }
  connectAs(graph, linkAt(reader, slot), record);
  record.connect(0, reader, slot);
  record.connect(1, trace, named(trace, "recorder"));
  node.connect(output(node), trace, named(trace, "latent"));
  trace.connect(0, inspector, named(inspector, "trace"));
  return inspector;
}

/** @param {any} node @param {string} name */
const named = (node, name) => node.inputs.findIndex((/** @type {Slot} */ input) => input.name === name);

/** Lead the source of a link to a node's first input. A link from the wall of a subgraph has no node.
 * @param {Graph} graph @param {any} link @param {any} node
 */
function connectAs(graph, { origin_id: id, origin_slot: slot }, node) {
  const source = graph.nodes.find((candidate) => String(candidate.id) === String(id));
  if (source) source.connect(slot, node, 0);
  else graph.inputs[slot].connect(node.inputs[0], node);
}

/** A free place, so wide, under all nodes that stand above or below a node.
 * @param {Graph} graph @param {GraphNode} node @param {number} wide @param {(node: any) => number[]} sizeOf
 */
function below(graph, node, wide, sizeOf) {
  const left = node.pos[0];
  const boxes = graph.nodes.map((neighbour) => ({ pos: neighbour.pos, size: sizeOf(neighbour) }));
  const under = boxes.filter(({ pos, size }) => pos[0] < left + wide && pos[0] + size[0] > left);
  return [left, Math.max(...under.map(({ pos, size }) => pos[1] + size[1])) + GAP];
}
