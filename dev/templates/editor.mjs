/**
 * What runs in the editor's page to make a template: an API form becomes nodes in columns, some of them inside
 * subgraphs, and the editor serialises them.
 *
 * @typedef {{width: number, nodes: string[]}} Column nodes: ids of the API form, titles of notes or of subgraphs
 * @typedef {{title: string, columns: Column[], height?: number, widgets?: string[][]}} Part a subgraph;
 *   widgets: [id of a node in it, name of its widget, name on the subgraph's own node]
 */

const TITLE = 30; // height of a node's title, above its place
const BELOW = 30; // room under a node, where a wire can run
const LARGER = 40; // by how much Nodes 2.0 draws a node higher that does not fill a column
const BETWEEN = 60; // room between two columns
const FIGURE = 9 / 16; // height of a figure by its width
const BESIDE_PICTURE = 84; // what Nodes 2.0 puts above and below a picture that is as high as the node is wide
const PANEL = 400; // the least height of an inspector or a table of two runs
const NOTE = "MarkdownNote";
const WORDS = { aside: 40, above: 50, larger: 2 }; // of a note: what it leaves of its width, and of its height; of Nodes 2.0

/** @type {Record<string, (width: number, widgets: number) => number>} the least height of nodes that fill a column */
const GROWING = {
  PreviewImage: (width) => width + BESIDE_PICTURE,
  GGFigure: (width, widgets) => widgets + width * FIGURE + 30,
  GGInspector: () => PANEL,
  GGCompareTraces: () => PANEL,
};

const root = () => app.rootGraph ?? app.graph;
const sum = (numbers) => numbers.reduce((whole, part) => whole + part, 0);

/** The height that the words of a note take, in either renderer. */
function wordsHeight(node, width) {
  const probe = node.widgets[0].element.cloneNode(true);
  probe.style.cssText = `position: absolute; visibility: hidden; height: auto; width: ${width - WORDS.aside}px`;
  for (const part of probe.querySelectorAll("*")) part.style.height = "auto";
  document.body.append(probe);
  const height = probe.querySelector(".tiptap").scrollHeight;
  probe.remove();
  return WORDS.larger * height + WORDS.above;
}

/** The least height of a node at a width. */
function leastHeight(node, width) {
  if (node.type === NOTE) return Math.ceil(wordsHeight(node, width) / 10) * 10;
  node.setSize([width, node.size[1]]);
  const [narrowest, widgets] = node.computeSize();
  if (narrowest > width) throw new Error(`${node.title} needs a width of ${narrowest}, and has ${width}.`);
  return Math.ceil(Math.max(widgets, GROWING[node.type]?.(width, widgets) ?? 0) / 10) * 10;
}

/** Stand nodes in columns of one height; what can grow fills them. height: none for that of the highest. -> right, bottom */
function arrange(named, columns, height) {
  const filled = columns.map(({ width, nodes }) => ({ width, nodes: nodes.map((name) => {
    if (!named.has(name)) throw new Error(`There is no node ${name}: name ids of the API form, notes or subgraphs.`);
    const node = named.get(name);
    return { node, least: leastHeight(node, width), room: node.type === NOTE || node.type in GROWING ? 0 : LARGER };
  }) }));
  const needed = filled.map(({ nodes }) => sum(nodes.map(({ least, room }) => TITLE + least + room)) + BELOW * (nodes.length - 1));
  const whole = height ?? Math.max(...needed);
  let x = 0;
  for (const [k, { width, nodes }] of filled.entries()) {
    const growing = nodes.filter(({ node }) => node.type in GROWING).length;
    const free = whole - needed[k];
    if (free < 0) throw new Error(`Column ${columns[k].nodes} needs a height of ${needed[k]}, and there are ${whole}.`);
    let y = 0;
    for (const { node, least, room } of nodes) {
      const own = least + (node.type in GROWING ? Math.floor(free / growing / 10) * 10 : 0);
      node.pos = [x, y + TITLE];
      node.setSize([width, own]);
      y += TITLE + own + room + BELOW;
    }
    x += width + BETWEEN;
  }
  return [x - BETWEEN, whole];
}

/** Let the next link of a graph have a number that no graph has yet: newer editors want that. */
function numberOn(graph) {
  graph.state.lastLinkId = Math.max(...graphs().flatMap((one) => [...one.links.keys()]));
}

/** Show a widget of a node in a subgraph on the subgraph's own node. */
function promote(subgraph, [id, name, shown]) {
  numberOn(subgraph);
  const node = subgraph.nodes.find((one) => String(one.id) === id);
  const slot = node.inputs.find((input) => input.widget?.name === name);
  subgraph.addInput(shown ?? name, slot.type).connect(slot, node);
}

/** Where inputs or outputs of a subgraph would have one name and a number, each bears that of the node that it belongs to. */
function nameSlots({ subgraph }) {
  const base = ({ name }) => name.replace(/_\d+$/, "");
  for (const [slots, end, rename] of [["inputs", "target_id", "renameInput"], ["outputs", "origin_id", "renameOutput"]]) {
    const counts = Map.groupBy(subgraph[slots], base);
    for (const slot of subgraph[slots].filter((one) => counts.get(base(one)).length > 1)) {
      const node = subgraph.getNodeById(subgraph.getLink(slot.linkIds[0])[end]);
      subgraph[rename](slot, `${base(slot).toLowerCase()}: ${node.title}`);
    }
  }
}

/** Put nodes into a subgraph. */
function enclose(named, { title, columns, height, widgets = [] }) {
  const [right, bottom] = arrange(named, columns, height);
  const names = columns.flatMap(({ nodes }) => nodes);
  numberOn(root());
  const { node } = root().convertToSubgraph(new Set(names.map((name) => named.get(name))));
  node.properties.proxyWidgets = []; // what the editor shows of its own accord
  node.title = node.subgraph.name = title;
  for (const widget of widgets) promote(node.subgraph, widget);
  nameSlots(node);
  const { inputNode: entry, outputNode: exit } = node.subgraph;
  for (const end of [entry, exit]) end.arrange();
  entry.pos = [-BETWEEN - entry.size[0], (bottom - entry.size[1]) / 2];
  exit.pos = [right + BETWEEN, (bottom - exit.size[1]) / 2];
  for (const name of names) named.delete(name);
  named.set(title, node);
}

/** Every graph: that of the workflow and those of its subgraphs. */
const graphs = () => [root(), ...root().subgraphs.values()];

/** The workflow of an API form: placed, with notes, seeds kept. */
export async function build({ api, name, titles, downloads, properties, notes, parts, columns, height, alone }) {
  await app.loadApiJson(api, name);
  const named = new Map(root().nodes.map((node) => [String(node.id), node]));
  for (const [id, node] of named) {
    node.title = titles[id] ?? node.title;
    Object.assign(node.properties, properties[id]);
    if (downloads[id]) node.properties.models = [downloads[id]];
    for (const widget of node.widgets ?? []) if (widget.name === "control_after_generate") widget.value = "fixed";
  }
  for (const { title, words } of notes) {
    const note = LiteGraph.createNode(NOTE);
    root().add(note);
    note.title = title;
    note.widgets[0].value = words;
    named.set(title, note);
  }
  for (const part of parts) enclose(named, part);
  if (alone) for (const node of [...named.values()]) if (node.title !== alone) root().remove(node);
  arrange(named, columns, height);
  for (const graph of graphs()) graph.setDirtyCanvas(true, true);
}

/** Boxes of nodes with their titles, and where wires begin and end: {graph, boxes, wires}[]. */
export function survey() {
  return graphs().map((graph) => {
    for (const end of [graph.inputNode, graph.outputNode]) end?.arrange();
    const boxes = graph.nodes.map(({ id, pos, size }) => [id, [pos[0], pos[1] - TITLE, size[0], size[1] + TITLE]]);
    const wires = [...graph.links.values()].map((link) => ({
      link: link.id, output: `${link.origin_id}.${link.origin_slot}`,
      start: outputOf(graph, link), end: inputOf(graph, link), bends: bendsOf(graph, link),
    }));
    return { graph: graph.id, boxes, wires };
  });
}

/** The points between the ends of a wire. */
function bendsOf(graph, { parentId: last }) {
  const point = graph.reroutes.get(last);
  return point ? [...bendsOf(graph, point), [...point.pos]] : [];
}

/** Where a wire leaves a node, at its side. */
function outputOf(graph, { origin_id: id, origin_slot: slot }) {
  const node = graph.getNodeById(id);
  return node ? [node.pos[0] + node.size[0], node.getOutputPos(slot)[1]] : [...graph.inputNode.slots[slot].pos];
}

/** Where a wire meets a node, at its side. */
function inputOf(graph, { target_id: id, target_slot: slot }) {
  const node = graph.getNodeById(id);
  return node ? [node.pos[0], node.getInputPos(slot)[1]] : [...graph.outputNode.slots[slot].pos];
}

/** Give wires their bends. led: graph id -> {points: {id, parentId, pos, linkIds}[], last: [link id, point id][]}. */
export function lead(led) {
  for (const graph of graphs()) {
    const { points = [], last = [] } = led[graph.id] ?? {};
    for (const point of points) graph.setReroute(point);
    for (const [link, point] of last) graph.links.get(link).parentId = point;
  }
}

/** What App mode shows, by node id. */
function appMode({ inputs, outputs }) {
  const idOf = (name) => root().nodes.find((node) => String(node.id) === name || (node.subgraph && node.title === name)).id;
  return { inputs: inputs.map(([node, widget]) => [idOf(node), widget]), outputs: outputs.map(idOf) };
}

/**
 * What the editor saves. id: of the workflow; extra: what it keeps beside the nodes; shown: what App mode shows; marks: of our nodes,
 * whose ids have the prefix; room: what bars leave of the window; grown: how much larger nodes may be drawn.
 */
export function save({ id, extra, shown, prefix, marks, room, grown }) {
  for (const graph of graphs())
    for (const node of graph.nodes) if (node.type.startsWith(prefix)) Object.assign(node.properties, marks);
  const boxes = root().nodes.map(({ pos, size }) => [pos[0], pos[1] - TITLE, pos[0] + size[0], pos[1] + size[1]]);
  const [left, top] = [0, 1].map((k) => Math.min(...boxes.map((box) => box[k])));
  const [right, bottom] = [2, 3].map((k) => Math.max(...boxes.map((box) => box[k])));
  const [x, y, width, height] = room;
  const scale = Math.floor(100 * Math.min(1, width / (right - left) / grown, height / (bottom - top) / grown)) / 100;
  app.canvas.ds.scale = scale;
  app.canvas.ds.offset = [x / scale - left, y / scale - top].map(Math.round);
  root().id = id ?? root().id;
  Object.assign(root().extra, extra, shown && { linearData: appMode(shown) });
  return JSON.stringify({ ...root().serialize(), id: root().id });
}
