// @ts-check
/** Finding nodes: by execution id, and the sampler whose run a panel shows. Reads graphs of either front end. */
import { nodesOf } from "./readiness.mjs";

/** The node at an execution id: "7", or "12:7" inside the subgraph that node 12 is.
 * @param {?Graph} root @param {unknown} id
 * @returns {any} a GraphNode; null or undefined where there is none
 */
export const nodeAt = (root, id) => nodesAlong(root, id).at(-1);

/** The nodes along an execution id, from the outermost subgraph on; null where there is none.
 * @param {?Graph} root @param {unknown} id
 */
function nodesAlong(root, id) {
  let graph = /** @type {Graph | null | undefined} */ (root);
  return String(id).split(":").map((part) => {
    const node = graph?.nodes.find((candidate) => String(candidate.id) === part) ?? null;
    graph = node?.subgraph;
    return node;
  });
}

/** How to find a widget once its node has been made anew: (root) -> {node, widget}. Several may have one name.
 * @param {?Graph} root @param {any} source
 */
export function againOf(root, { node, widget }) {
  /** @param {?GraphNode} place */
  const named = (place) => (place?.widgets ?? []).filter(({ name }) => name === widget.name);
  const [id, at] = [pathOf(root, node), named(node).indexOf(widget)];
  return (/** @type {?Graph} */ now) => ({ node: nodeAt(now, id), widget: named(nodeAt(now, id))[at] });
}

/** Execution id of a node, null when it is not reachable from the root.
 * @param {?Graph} root @param {GraphNode} node
 * @returns {?string}
 */
export function pathOf(root, node, before = "", depth = 0) {
  for (const candidate of (depth < 16 && root?.nodes) || []) {
    if (candidate === node) return before + candidate.id;
    const inner = candidate.subgraph && pathOf(candidate.subgraph, node, `${before}${candidate.id}:`, depth + 1);
    if (inner) return inner;
  }
  return null;
}

/** Key of a node in the editor's table of outputs.  @param {?Graph} root @param {GraphNode} node */
export function locatorOf(root, node) {
  const outer = !node.graph || node.graph === root || node.graph.isRootGraph;
  return outer ? String(node.id) : `${node.graph.id}:${node.id}`;
}

const MOST_OUT = 16; // subgraphs around a node
export const CONTROL = "control_after_generate"; // name of a widget
const ANY = "*";
const WIRED = ["FLOAT", "INT", "NUMBER", ANY]; // types of wires that may bring a number
export const ALIKE = 1e-6; // of a scale: two of them are one number
const TOWARDS_THE_SAMPLER = ["trace", "guider", "latent", "samples", ""]; // inputs to follow, first that is linked

/** The node upstream whose "cfg" widget set the scale of the run, with how to change it.
 *
 * start: the node of the panel; or the sampler itself, whose execution id `sampler` then is: a subgraph may stand in several
 * places, each with values of its own.
 * -> {node, widget, held: see `followed`} where a value can be written; {node, reason: "linked" | "promoted" | "listed"}
 * where another node decides (that one); null where no scale is found.
 * @param {?Graph} root @param {GraphNode} start
 */
export function scaleSource(root, start, sampler = "") {
  const around = { nodes: root?.nodes ?? [], owners: nodesAlong(root, sampler) };
  let node = start;
  for (let hops = 0; node && hops < 32; hops += 1) {
    const widget = (sampler || node !== start) && node.widgets?.find((candidate) => candidate.name === "cfg");
    if (widget) return writable(around, node, widget);
    node = upstream(around, node);
  }
  return null;
}

/** The same of a number that another node holds: id, the node's execution id, and the name of its widget or input.
 * @param {?Graph} root @param {unknown} id @param {string} name
 */
export function widgetSource(root, id, name) {
  const [node, around] = [nodeAt(root, id), { nodes: root?.nodes ?? [], owners: nodesAlong(root, id) }];
  const widget = node?.widgets?.find((/** @type {any} */ candidate) => candidate.name === name);
  const slot = (node?.inputs ?? []).findIndex((/** @type {any} */ input) => input.name === name);
  if (!widget && (slot < 0 || !linkAt(node, slot))) return null;
  return widget ? outermost(around, node, widget) : setterOf(around, node, slot);
}

/** A source itself, unless its number comes from a node that had another one in the job of a run: that one computes.
 *
 * prompt: of the job, null as long as nobody knows it. value: of the run.
 * @param {?Graph} root @param {?Source} source @param {?Prompt} prompt @param {number} value
 * @returns {?Source}
 */
export function followed(root, source, prompt, value) {
  const held = /** @type {any} */ (source?.held);
  /** @param {any} entry */
  const had = ({ node, id }) => node === held.node && Math.abs(prompt?.[id]?.inputs?.[held.name] - value) <= ALIKE * Math.max(1, Math.abs(value));
  return !held || nodesOf(root).some(had) ? source : { node: held.node, reason: "linked" };
}

/** Every node that reads what a widget sets, its own one too: [{node, id: execution id}].
 * @param {?Graph} root @param {Source} source
 */
export function readersOf(root, { widget }) {
  /** @param {any} entry */
  const reads = ({ node, id }) => numbersOf(node).some((name) => widgetSource(root, id, name)?.widget === widget);
  return widget ? nodesOf(root).filter((entry) => !entry.silent && !entry.node.subgraph && !entry.node.isVirtualNode && !heldIn(entry.node) && reads(entry)) : [];
}

/** Names of what holds a number in a node, or has one wired to it.  @param {GraphNode} node */
function numbersOf(node) {
  const wired = (node.inputs ?? []).filter(({ type }, slot) => WIRED.includes(type ?? ANY) && linkAt(node, slot)).map(({ name }) => name);
  return [...wired, ...(node.widgets ?? []).filter(({ value }) => typeof value === "number").map(({ name }) => name)];
}

/** The inputs of a job whose number a widget set: [{id, input}]. Whoever reads them by wire gets what they hold.
 * @param {?Graph} root @param {?Prompt} prompt @param {any} source
 */
export const literalsOf = (root, prompt, { widget }) =>
  Object.entries(widget && prompt ? prompt : {}).flatMap(([id, { inputs }]) =>
    Object.keys(inputs).filter((input) => typeof inputs[input] === "number" && widgetSource(root, id, input)?.widget === widget).map((input) => ({ id, input })));

/** @param {?Graph} root @param {GraphNode} node @param {Widget} widget */
function writable(root, node, widget) {
  const list = listAbove(root, node);
  return list ? { node: list, reason: "listed" } : outermost(root, node, widget);
}

/** Where the value of a widget is set: where its link comes from, and on a subgraph's own node, where that shows it.
 * @returns {Source}
 * @param {?Graph} root @param {GraphNode} node @param {Widget} widget
 */
function outermost(root, node, widget, hops = 0) {
  const slot = (node.inputs ?? []).findIndex((input) => (input.widget?.name ?? input.name) === widget.name);
  return slot < 0 || !linkAt(node, slot) ? { node, widget } : setterOf(root, node, slot, hops);
}

/** The one widget that sets what comes in at an input, beyond nodes that are only drawn; else the node that decides.
 * @returns {Source}
 * @param {?Graph} root @param {GraphNode} node @param {number} slot
 */
function setterOf(root, node, slot, hops = 0) {
  const source = originOf(root, node, slot);
  if (!source || hops >= MOST_OUT) return { node: source?.node ?? node, reason: "linked" };
  const from = source.node;
  if (source.outside) {
    const shown = from.widgets?.find((/** @type {any} */ outer) => outer.name === source.name);
    return shown ? outermost(root, from, shown, hops + 1) : { node: from, reason: "promoted" };
  }
  const linked = linkedOf(from);
  if (from.isVirtualNode && linked.length === 1) return setterOf(root, from, linked[0], hops + 1); // a reroute
  const value = heldIn(from);
  if (!value) return { node: from, reason: "linked" };
  return { ...(!from.isVirtualNode && { held: { node: from, name: value.name } }), ...outermost(root, from, value, hops + 1) };
}

/** @param {GraphNode} node */
const linkedOf = (node) => (node.inputs ?? []).flatMap((_, at) => (linkAt(node, at) ? [at] : []));

/** The widget whose number a node may hand on: it has no other, and nothing else comes in. What computes of it looks alike.
 * @param {GraphNode} node
 */
function heldIn(node) {
  const [value, ...others] = (node.widgets ?? []).filter(({ name }) => name !== CONTROL);
  const { inputs = [] } = node;
  const alone = typeof value?.value === "number" && !others.length;
  return alone && linkedOf(node).every((at) => (inputs[at].widget?.name ?? inputs[at].name) === value.name) ? value : null;
}

/** The schedule in the chain of guidance that lists its scales itself, so that cfg has no effect.
 * @returns {?GraphNode}
 * @param {?Graph} root @param {GraphNode} node
 */
function listAbove(root, node, depth = 0) {
  const listing = node.comfyClass === "GGCFGSchedule" || node.type === "GGCFGSchedule";
  if (listing && node.widgets?.find((widget) => widget.name === "schedule")?.value === "list") return node;
  for (const [slot, input] of (depth < 32 && node.inputs ? node.inputs : []).entries()) {
    if (!["guidance", "model"].includes(input.name)) continue;
    const source = originOf(root, node, slot)?.node;
    const found = source && listAbove(root, source, depth + 1);
    if (found) return found;
  }
  return null;
}

/** @param {?Graph} root @param {GraphNode} node */
function upstream(root, node) {
  const linked = (node.inputs ?? []).map((input, slot) => ({ input, slot })).filter(({ slot }) => linkAt(node, slot));
  for (const name of TOWARDS_THE_SAMPLER) {
    const found = linked.find(({ input }) => input.name === name || name === "");
    if (found) return originOf(root, node, found.slot)?.node ?? null;
  }
  return null;
}

/** The link at an input of a node, undefined for none. The graph is asked: what an input says of it, each editor names anew.
 * @param {GraphNode} node @param {number} slot
 */
export const linkAt = (node, slot) =>
  linksOf(node.graph).find(({ target_id: id, target_slot: at }) => at === slot && String(id) === String(node.id));

/** Every link of a graph: a Map in some editors, a table in others.  @param {Graph | null | undefined} graph */
function linksOf(graph) {
  const links = graph?.links ?? {};
  return typeof links.values === "function" ? [...links.values()] : Object.values(links);
}

/** What feeds an input. Links out of a subgraph lead to its input node: then the subgraph's own node decides.
 * @returns {?{node: any, outside?: boolean, name?: string}}
 * @param {?Graph} root @param {GraphNode} node @param {number} slot
 */
export function originOf(root, node, slot) {
  const link = linkAt(node, slot);
  if (!link) return null;
  const origin = node.graph.nodes.find((/** @type {any} */ candidate) => String(candidate.id) === String(link.origin_id));
  if (!origin) return throughTheWall(root, node.graph, link.origin_slot);
  const inside = origin.subgraph && innerOrigin(origin, link.origin_slot);
  if (inside) root?.owners?.unshift(origin); // this is the way out again
  return { node: inside ?? origin };
}

/** @returns {?{node: any, outside?: boolean, name?: string}}
 * @param {?Graph} root @param {Graph | null | undefined} graph @param {number} slot
 */
function throughTheWall(root, graph, slot) {
  const owner = ownerOf(root, graph);
  if (!owner) return null;
  const further = originOf(root, owner, slot);
  return further ?? { node: owner, outside: true, name: owner.inputs?.[slot]?.widget?.name };
}

/** @param {GraphNode} container @param {number} slot */
function innerOrigin(container, slot) {
  const { subgraph } = container;
  const id = subgraph?.outputs?.[slot]?.linkIds?.[0];
  const link = linksOf(subgraph).find((candidate) => candidate.id === id);
  return subgraph?.nodes.find((inner) => String(inner.id) === String(link?.origin_id));
}

/** The node that a graph is the inside of: the one that leads to the run, where several are.
 * @returns {?GraphNode}
 * @param {?Graph} root @param {Graph | null | undefined} graph
 */
function ownerOf(root, graph, depth = 0) {
  const leading = root?.owners?.find((/** @type {any} */ node) => node?.subgraph === graph);
  if (leading) return leading;
  for (const node of (depth < 16 && root?.nodes) || []) {
    if (node.subgraph === graph) return node;
    const inner = node.subgraph && ownerOf(node.subgraph, graph, depth + 1);
    if (inner) return inner;
  }
  return null;
}

/** What a node is called and where it stands: "KSampler (12:4), inside Two stages".
 * @param {?Graph} root @param {GraphNode} node @param {Speaker} t
 */
export function placeName(root, node, t) {
  const path = pathOf(root, node) ?? String(node.id);
  const outer = path.split(":").slice(0, -1).map((_, k, all) => nodeAt(root, all.slice(0, k + 1).join(":")));
  const name = `${node.title ?? node.type} (${path})`;
  return outer.length ? t("inside", { node: name, subgraphs: outer.map((box) => box.title ?? box.type).join(" / ") }) : name;
}

/** Write a scale as a user would.
 * @param {{node: any, widget?: any}} place
 * @param {number} value
 */
export function writeScale({ node, widget }, value) {
  widget.value = value;
  widget.callback?.(value, undefined, node);
}
