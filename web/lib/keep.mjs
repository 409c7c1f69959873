// @ts-check
/** Real nodes for what the Guidance tab shows: Record Guidance, Read Recorded Trace and an inspector around a sampler. */
import { linkAt, originOf } from "./panel-graph.mjs";

const GAP = 60;
const MOST_GUIDERS = 8; // one inside another
const TYPES = ["GGRecord", "GGReadTrace", "GGInspector"];

/** Where the MODEL of a run comes in: {node, slot} of the sampler or of its guider beside it; null where nowhere. */
function modelInput(root, node, hops = 0) {
  const slot = linked(node, "MODEL");
  if (slot >= 0) return { node, slot };
  const guider = linked(node, "GUIDER");
  const source = guider < 0 || hops > MOST_GUIDERS ? null : originOf(root, node, guider)?.node;
  return source && source.graph === node.graph ? modelInput(root, source, hops + 1) : null;
}

const linked = (node, type) => (node.inputs ?? []).findIndex((input) => input.type === type && input.link != null);
const output = (node) => (node.outputs ?? []).findIndex(({ type }) => type === "LATENT");

/** Whether an inspector can be put beside a node. */
export const canKeep = (root, node) => Boolean(node?.graph && output(node) >= 0 && modelInput(root, node));

/** Insert and wire the three nodes; returns the inspector.  create(type) makes a node */
export function keep(root, node, create) {
  const { graph } = node;
  const { node: reader, slot } = modelInput(root, node);
  const [record, trace, inspector] = TYPES.map(create);
  const [beside, under] = record.size.map((side) => side + GAP);
  const place = below(graph, node, beside + inspector.size[0]);
  const places = [[0, 0], [0, under], [beside, 0]];
  [record, trace, inspector].forEach((one, k) => {
    one.pos = place.map((start, axis) => start + places[k][axis]);
    graph.add(one);
  });
  connectAs(graph, linkAt(reader, slot), record);
  record.connect(0, reader, slot);
  record.connect(1, trace, named(trace, "recorder"));
  node.connect(output(node), trace, named(trace, "latent"));
  trace.connect(0, inspector, named(inspector, "trace"));
  return inspector;
}

const named = (node, name) => node.inputs.findIndex((input) => input.name === name);

/** Lead the source of a link to a node's first input. A link from the wall of a subgraph has no node. */
function connectAs(graph, { origin_id: id, origin_slot: slot }, node) {
  const source = graph.nodes.find((one) => String(one.id) === String(id));
  if (source) source.connect(slot, node, 0);
  else graph.inputs[slot].connect(node.inputs[0], node);
}

/** A free place, so wide, under all nodes that stand above or below a node. */
function below(graph, node, wide) {
  const left = node.pos[0];
  const under = graph.nodes.filter(({ pos, size }) => pos[0] < left + wide && pos[0] + size[0] > left);
  return [left, Math.max(...under.map(({ pos, size }) => pos[1] + size[1])) + GAP];
}
