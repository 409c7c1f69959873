// @ts-check
/** The only script the editor loads: puts a panel on every Guidance Inspector and brings it its runs. */
// @ts-expect-error the host serves it
import { app } from "../../scripts/app.js";
// @ts-expect-error the host serves it
import { api } from "../../scripts/api.js";
import { Advice } from "./lib/advice.mjs";
import { Panel } from "./lib/panel.mjs";
import { canKeep, keep } from "./lib/keep.mjs";
import { beginAtMedian, beginDark, makeRoom, sayOn } from "./lib/node-text.mjs";
import { addressOf } from "./lib/panel-record.mjs";
import { againOf, locatorOf, nodeAt, pathOf, placeName, readersOf, writeScale } from "./lib/panel-graph.mjs";
import { speaker } from "./lib/strings.mjs";
import { Tab } from "./lib/tab.mjs";
import { isOf } from "./lib/tab-runs.mjs";
import { isTry, lookAgain } from "./lib/tries.mjs";
import { brightness } from "./lib/theme.mjs";
import { verdictOf } from "./lib/verdict.mjs";
import { number } from "./lib/words.mjs";

const TYPE = "GGInspector";
const SIDEBAR = "guidancegeometry.sidebar";
const STORE = "guidancegeometry:run:"; // + workflow id -> id of the job that made what the panels show
const KEPT = "/guidance_geometry/"; // where the server answers about runs: host/editor/routes.py
const OPENED = 50; // milliseconds in which the editor fits a subgraph that it opens into the window
const TOAST = 8000; // milliseconds that a message stands
const SETTLED = 500; // milliseconds after which the editor knows which workflow a graph belongs to
const JSON_BODY = { "Content-Type": "application/json" };
/** @type {Record<string, string>} */
const PANS = { pointerdown: "processMouseDown", pointermove: "processMouseMove", pointerup: "processMouseUp" };
const NO_INPUT = { disabled: true, hideInPanel: true }; // it shows, and has no value for App mode: Nodes 2.0 reads the first, the canvas the other
/** @type {Map<any, Panel>} */
const panels = new Map(); // node -> Panel, only while the node is in a graph
const hosts = new Map(); // locator -> the element that Nodes 2.0 keeps on the page for that node
const known = new Set(); // workflow id + run id of runs that another workflow made and this one took from the cache
let executed = new WeakSet(); // panels that got their run from the job that is being executed
let answers = true; // ComfyUI does
/** @type {{panel: Panel, record: any}[]} */
let doubtful = []; // records of that job that name another workflow, or none

/** @type {{addEventListener: (kind: string, act: (event: any) => void) => void}} */
const events = api;
const root = () => app.rootGraph ?? app.graph;
const live = () => app.extensionManager?.setting?.get("GuidanceGeometry.Panel.Live") ?? true;
/** @param {string} path */
const asked = async (path) => {
  const answer = await api.fetchApi(`${KEPT}tab/${path}`).catch(() => null);
  return answer?.status === 200 ? answer.json() : null;
};
/** @type {Editor} */
const editor = {
  root,
  locale: () => app.extensionManager?.setting?.get("Comfy.Locale") ?? "en",
  record: (name) => kept(`records/${name}`),
  address: (path) => api.apiURL(path),
  refresh: () => app.canvas?.setDirty(true, true),
  wheel: (event) => app.canvas?.processMouseWheel(event),
  pan,
  zoom: () => app.canvas?.ds?.scale ?? 1,
  sources: async () => (await app.graphToPrompt()),
  write,
  say: (words) => announce(words, "", undefined, "warning"),
  show,
  advice: /** @type {any} */ (null), // below: it asks the editor
  answers: () => answers,
  runs: (id) => asked(`runs?${new URLSearchParams({ workflow_id: id })}`),
  run: (id) => asked(`runs/${id}`),
  runsOf: async (job) => (await asked(`runs?${new URLSearchParams({ prompt_id: job })}`))?.runs,
  report: (run, half, shown = []) => asked(`runs/${run}/report${half ? `?${new URLSearchParams([["half", half], ...shown.map((node) => ["shown", node])])}` : ""}`),
  picks: (method, key, body, sampler_class, knob, values) => picks(method, key, body, sampler_class, knob, values),
  curves: (method, body) => curves(method, body),
  upload: (file) => upload(file),
  sizeOf: (file) => sizeOf(editor.address(addressOf({ type: "output", subfolder: "", ...file }))),
  job: (id) => jobOf(id),
  queue: async (output, workflow) => (await api.queuePrompt(0, { output, workflow }).catch(() => null))?.prompt_id ?? null,
  inQueue,
  queued: async () => (await queuedJobs())?.map(([, job, , extra]) => ({ job, workflow: extra?.extra_pnginfo?.workflow })),
  queueGraph: () => app.queuePrompt(0, 1),
  freshen: (query) => api.fetchApi(`${KEPT}tab/runs?${query}`, { method: "POST", headers: JSON_BODY, body: "{}" }).catch(() => null),
  dequeue: (jobs) => api.fetchApi("/queue", { method: "POST", headers: JSON_BODY, body: JSON.stringify({ delete: jobs }) }),
  changed,
  keep: (node) => keepInspector(node),
};
editor.advice = new Advice(editor);
const tab = new Tab({ ...editor, wheel: null }); // there the wheel scrolls

/** Drag the canvas. Newer Nodes 2.0 begins it itself, and from then on the canvas has the pointer.
 * @param {PointerEvent} event
 */
function pan(event) {
  const begin = () => app.canvas[PANS[event.type]](event);
  if (!LiteGraph.vueNodesMode) begin();
  else if (event.type === "pointerdown") setTimeout(() => app.canvas.dragging_canvas || begin());
}

/** The present graph is one step of undo. */
function changed() {
  const tracker = app.extensionManager.workflow?.activeWorkflow?.changeTracker;
  if (tracker?.captureCanvasState) tracker.captureCanvasState();
  else tracker?.checkState();
}

/** A node's size as it is drawn: Nodes 2.0 gives a node the room that it needs, and need not write that into the graph.
 * @param {GraphNode} node
 */
function drawnSize(node) {
  /** @type {?HTMLElement} */
  const drawn = app.canvas.graph === node.graph ? document.querySelector(`[data-node-id="${node.id}"]`) : null;
  return drawn ? [drawn.offsetWidth, drawn.offsetHeight - LiteGraph.NODE_TITLE_HEIGHT] : node.size;
}

/** Write a value where a user would, as one step of undo, and say where: the node is seldom in view.
 *
 * source: as of `knobSource`. more: words about what is written beside it.
 * @param {any} source @param {any} value
 */
function write(source, value, more = "") {
  const [name, before, beside] = [source.widget.name, source.widget.value, source.beside ?? []];
  const others = beside.map((/** @type {any} */ place) => ({ again: againOf(root(), place), value: place.widget.value }));
  if (value === before && beside.every((/** @type {any} */ place) => place.widget.value === place.value)) return;
  const readers = readersOf(root(), source).map(({ node }) => placeName(root(), node, said));
  const again = againOf(root(), source);
  for (const place of [...beside, { ...source, value }]) writeScale(place, place.value);
  app.canvas?.setDirty(true, true);
  changed();
  const title = value === before && more ? more : said("wrote", { name, node: placeName(root(), source.node, said), before: number(before), value: number(value) });
  const undo = () => {
    const back = { ...again(root()), beside: others.map((/** @type {any} */ place) => ({ ...place.again(root()), value: place.value })) };
    if (back.widget) write({ ...back, beside: back.beside.filter((/** @type {any} */ { widget }) => widget) }, before);
  };
  const shared = readers.length > 1 ? said("shared", { nodes: readers.join(", ") }) : "";
  announce(title, [shared, title === more ? "" : more || said("wroteTip")].filter(Boolean).join(" "), { label: said("undo"), onClick: undo });
}

/** In App mode only the sidebar can show the tab, and no button opens it: what is to be done is said, and it is offered.
 * @param {any} summary
 */
function sayInAppMode(summary) {
  const { report } = summary;
  const { workflow, command } = app.extensionManager;
  const found = isOf(root(), summary) && workflow?.activeWorkflow?.activeMode === "app" && !tab.isInView ? verdictOf({ report }, editor.locale()) : null;
  if (found?.colour !== "above") return;
  const onClick = () => command.execute(`Workspace.ToggleSidebarTab.${SIDEBAR}`);
  announce(found.headline, "", { label: said("guidance"), onClick }, "warning");
}

/** Say something above the graph; older editors have no buttons there.
 * @param {string} title @param {any} [description] @param {any} [action]
 */
function announce(title, description, action, kind = "success") {
  const shown = [...panels.values(), ...[...tab.places.values()].map(({ panel }) => panel)].find(({ host }) => host === document.fullscreenElement);
  if (shown) return shown.set({ note: [title, description].filter(Boolean).join(" \u00b7 ") }); // what the editor says lies below it
  const { toast } = app.extensionManager;
  if (toast?.[kind]) return toast[kind](title, { description, action, duration: TOAST });
  return toast?.add?.({ severity: "success", summary: title, detail: description, life: TOAST });
}

/** Bring a node into view, in the subgraph that it stands in.  @param {GraphNode} node */
function show(node) {
  const { canvas } = app;
  const opens = canvas.graph !== node.graph;
  if (opens) canvas.setGraph(node.graph);
  canvas.selectItems?.([node]);
  const centre = () => canvas.centerOnNode?.(node);
  if (!opens) return centre();
  setTimeout(() => { // the editor fits what it opens into the window, however small that is
    canvas.ds.scale = Math.min(canvas.ds.scale, 1);
    centre();
  }, OPENED);
}

/** @param {GraphNode} node */
function keepInspector(node) {
  const { graph } = node;
  graph.beforeChange();
  const inspector = keep(root(), node, (type) => LiteGraph.createNode(type), drawnSize);
  graph.updateExecutionOrder?.(); // the older front end would do it at the next run: another step of undo
  graph.afterChange();
  changed();
  if (app.canvas.graph === graph) app.canvas.centerOnNode?.(inspector);
}

/** @param {any} node @param {any} name @param {any} then */
const after = (node, name, then) => {
  const before = node[name];
  node[name] = /** @this {any} @param {any[]} given */ function (...given) {
    const result = before?.apply(this, given);
    then.apply(this, given);
    return result;
  };
};

/** Panels whose node is still reachable; the old front end forgets to remove nodes inside subgraphs, and their elements. */
const reachable = () => {
  for (const [node, panel] of panels) {
    if (pathOf(root(), node)) continue;
    panels.delete(node);
    panel.dispose();
    panel.widget.onRemove?.();
  }
  return panels;
};

/** @param {any} message */
const ofThisWorkflow = ({ workflow_id: id }) => Boolean(id) && id === root()?.id; // jobs of the API have none
/** @param {Run} record */
const key = (record) => `${root()?.id} ${record.run}`;

events.addEventListener("guidance_geometry.step", ({ detail }) => {
  if (!ofThisWorkflow(detail) || !live()) return;
  tab.step(detail);
  for (const target of detail.targets ?? []) panels.get(nodeAt(root(), target))?.step(detail);
});
events.addEventListener("guidance_geometry.run", ({ detail }) => tab.endRun(detail));
events.addEventListener("execution_cached", ({ detail }) => tab.tookFromCache(detail));
events.addEventListener("guidance_geometry.verdict", ({ detail }) => tab.takeVerdict(detail));
events.addEventListener("guidance_geometry.verdict", ({ detail }) => sayInAppMode(detail));
events.addEventListener("execution_success", ({ detail }) => tab.endJob(detail.prompt_id, jobOf));
for (const kind of ["success", "interrupted", "error"]) events.addEventListener(`execution_${kind}`, () => editor.advice.endJob());
events.addEventListener("execution_start", () => editor.advice.dropPreview());
events.addEventListener("b_preview_with_metadata", ({ detail }) => tab.places.size && editor.advice.takePreview(detail));
events.addEventListener("promptQueued", () => tab.refresh());
events.addEventListener("execution_start", () => tab.hearQueue());
events.addEventListener("graphCleared", () => tab.refresh());
events.addEventListener("graphChanged", redrawAll); // a widget too: what a panel says of it follows, undo included
events.addEventListener("status", ({ detail }) => hear(detail !== null));
events.addEventListener("execution_start", () => {
  executed = new WeakSet();
  doubtful = [];
});
events.addEventListener("executed", ({ detail }) => {
  const record = detail.output?.gg_record?.[0];
  const id = detail.display_node ?? detail.node;
  const panel = record && panels.get(nodeAt(root(), id));
  if (record?.workflow_id) localStorage.setItem(STORE + record.workflow_id, detail.prompt_id); // for a reloaded page
  if (!panel) return;
  if (!ofThisWorkflow(record)) doubtful.push({ panel, record });
  else {
    executed.add(panel);
    panel.show(record);
  }
});
for (const [kind, key] of [["execution_interrupted", "tabInterrupted"], ["execution_error", "tabFailed"]]) {
  events.addEventListener(kind, ({ detail }) => {
    const node = nodeAt(root(), detail.node_id);
    reachable().forEach((panel) => panel.endEarly(detail.prompt_id));
    tab.endEarly(detail.prompt_id, jobOf, { key, node: node ? placeName(root(), node, said) : detail.node_type });
  });
}
events.addEventListener("execution_success", async ({ detail }) => {
  const taken = doubtful; // from the cache, or of a job of another tab or of the API: the server knows
  const left = new Map([...reachable().values()].filter((panel) => panel.run && !executed.has(panel)).map((panel) => [panel, panel.whole]));
  const shown = new Map(taken.map(({ panel }) => [panel, panel.whole]));
  if (!left.size && !taken.length) return;
  const workflow = await workflowOf(detail.prompt_id);
  if (workflow?.id !== root()?.id || isTry(workflow)) return;
  for (const { panel, record } of taken) {
    known.add(key(record));
    localStorage.setItem(STORE + root().id, detail.prompt_id);
    if (panel.whole === shown.get(panel)) panel.show(record); // else another run has begun since
  }
  for (const [panel, whole] of left) if (!shown.has(panel)) panel.leftOut(whole);
});

/** Whether ComfyUI answers; and that its queue has changed, for the editor hears that of every change.
 * @param {boolean} there
 */
async function hear(there) {
  if (there) lookAgain();
  if (there) tab.hearQueue();
  if (there === answers) return;
  answers = there;
  const jobs = (there && (await inQueue())) || [];
  const asked = tab.hear(there, jobs);
  for (const [node, panel] of reachable()) {
    panel.goOnWith(jobs);
    panel.redraw();
    if (there && panel.run?.fault === "away") restoreFrom(panel.run.prompt_id, node, panel);
  }
  await asked;
}

function redrawAll() {
  tab.draw();
  for (const panel of panels.values()) panel.redraw();
}

/** A record that the server keeps; {gone: true} once it does not, null where there never was one.
 *
 * Not with fetch, which takes several turns: while the editor starts, each of them waits behind the editor's own work.
 * @param {string} path
 */
const kept = (path) =>
  new Promise((done) => {
    const request = new XMLHttpRequest();
    request.open("GET", api.apiURL(KEPT + path));
    if (api.user) request.setRequestHeader("Comfy-User", api.user); // as the host's own requests do
    request.responseType = "json";
    request.onloadend = () => done(request.status === 200 ? request.response : { gone: true });
    request.send();
  });

/** A job that has ended: {prompt, workflow, samplers, outputs, ended: well, stopped: by a person}, null as long as the server does
 * not know it, undefined where it does not answer.
 * @param {string} id
 */
async function jobOf(id) {
  const answer = await api.fetchApi(`/history/${id}`).catch(() => null);
  if (!answer?.ok) return undefined;
  const entry = (await answer.json())[id];
  if (!entry?.prompt) return null;
  const [, , prompt, extra] = entry.prompt;
  const { status_str: how, messages = [] } = entry.status ?? {};
  const stopped = messages.some((/** @type {[string]} */ [kind]) => kind === "execution_interrupted");
  const samplers = extra?.guidance_geometry?.samplers; // host/editor/taps.py found them
  return { prompt, workflow: extra?.extra_pnginfo?.workflow, samplers, outputs: entry.outputs ?? {}, ended: how === "success", stopped };
}

/** The jobs that run and wait, in their order, as the server lists them; null where it does not answer. */
async function queuedJobs() {
  const answer = await api.fetchApi("/queue").catch(() => null);
  const { queue_running: running, queue_pending: pending } = answer?.ok ? await answer.json() : {};
  return running ? [...running, ...pending.sort((/** @type {[any]} */ [one], /** @type {[any]} */ [other]) => one - other)] : null;
}

/** Ids of these jobs. */
async function inQueue() {
  return (await queuedJobs())?.map(([, job]) => job) ?? null;
}

/** The workflow that a job was queued from, as far as the server knows.  @param {string} id */
const workflowOf = async (id) => (await jobOf(id))?.workflow;

/** What the server stores of a model's good scales after a request; {error} where it refuses, null where nothing is stored.
 * @param {string} method @param {string} key @param {object} [body] @param {string} [sampler_class] @param {string} [knob]
 * @param {number[]} [values]
 */
async function picks(method, key, body, sampler_class, knob, values = []) {
  const query = new URLSearchParams({ key, ...(sampler_class && { sampler_class }), ...(knob && { knob }) });
  for (const value of values) query.append("value", String(value));
  const sent = body ? { body: JSON.stringify(body), headers: JSON_BODY } : {};
  const answer = await api.fetchApi(`${KEPT}picks?${query}`, { method, ...sent }).catch(() => null);
  return answer && answer.status !== 204 ? answer.json() : null;
}

/** What the server keeps of a measured model after a request; {error} where it refuses.
 * @param {string} method @param {object} body
 */
async function curves(method, body) {
  const answer = await api.fetchApi(`${KEPT}measured`, { method, headers: JSON_BODY, body: JSON.stringify(body) }).catch(() => null);
  return answer && answer.status !== 204 ? answer.json() : null;
}

/** Copy a picture into the host's input folder: its name there; null where the host does not take it.
 * @param {any} file
 */
async function upload(file) {
  const form = new FormData();
  for (const [name, value] of [["image", file], ["subfolder", "guidance_geometry"]]) form.append(name, value);
  const answer = await api.fetchApi("/upload/image", { method: "POST", body: form }).catch(() => null);
  const { name, subfolder } = answer?.status === 200 ? await answer.json() : {};
  return name ? [subfolder, name].filter(Boolean).join("/") : null;
}

/** Width and height of a picture of the server; null where it is gone.  @param {string} src */
async function sizeOf(src) {
  const picture = Object.assign(new Image(), { src });
  return picture.decode().then(() => [picture.naturalWidth, picture.naturalHeight], () => null);
}

/** After a reload the page knows nothing, the server still has the run. */
function restore() {
  const job = localStorage.getItem(STORE + root()?.id);
  for (const [node, panel] of job ? reachable() : []) if (!panel.run) restoreFrom(job, node, panel);
}

/** Show what a node showed in a job, unless another run has begun meanwhile.
 * @param {any} job @param {any} node @param {InspectorPanel} panel
 */
async function restoreFrom(job, node, panel) {
  const { whole } = panel;
  const record = await kept(`runs/${job}/${pathOf(root(), node)}`);
  if (record && panel.whole === whole && (record.run || !whole)) panel.show(record);
}

/** @param {string} key @param {object} [values] */
const said = (key, values) => speaker(editor.locale())(key, values);

/** The tab in one place of the editor, which makes and ends it at every opening and closing. */
function shownIn() {
  /** @type {any} */ let box = null;
  /** @param {any} place */
  const render = (place) => {
    box = place;
    tab.mount(box);
  };
  return { render, destroy: () => tab.unmount(box) };
}

app.registerExtension({
  name: "guidancegeometry.inspector",
  bottomPanelTabs: [{ id: "guidancegeometry.tab", type: "custom", get title() { return said("guidance"); }, ...shownIn() }],
  settings: [
    {
      id: "GuidanceGeometry.Panel.Live",
      name: "Draw guidance while the sampler runs",
      type: "boolean",
      defaultValue: true,
      category: ["Guidance Geometry", "Panel", "Live"],
      tooltip: "Off: the Guidance Inspector draws once, when the run has ended.",
    },
    {
      id: "GuidanceGeometry.Tab.Megabytes",
      name: "Memory for recorded runs, in MB",
      type: "number",
      defaultValue: 256,
      attrs: { min: 1, max: 65536, step: 1 },
      category: ["Guidance Geometry", "Tab", "Megabytes"],
      tooltip: "What the server keeps for the Guidance tab, pictures included. The oldest runs make room for new ones.",
    },
  ],
  setup() {
    const title = said("guidance");
    const about = { title, tooltip: said("guidanceTip"), icon: "pi pi-chart-line" };
    app.extensionManager.registerSidebarTab({ id: SIDEBAR, type: "custom", ...about, ...shownIn() });
  },
  /** @param {GraphNode} node */
  getNodeMenuItems(node) {
    if (!canKeep(root(), node)) return [];
    return [null, { content: said("keep"), callback: () => keepInspector(node) }];
  },
  /** @param {any} node */
  nodeCreated(node) {
    if (node.comfyClass?.startsWith("GG")) {
      makeRoom(node, node.constructor.nodeData ?? {}, LiteGraph.vueNodesMode);
      beginAtMedian(node);
      beginDark(node, brightness(getComputedStyle(document.body).color) > 0.5); // light words
      after(node, "onExecuted", (/** @type {any} */ out) => out?.text && sayOn(node, out, editor.address));
    }
    if (node.comfyClass !== TYPE) return;
    const panel = new Panel(node, editor, hosts);
    panel.widget = node.addDOMWidget("gg_panel", "gg_panel", panel.host, {
      serialize: false,
      hideOnZoom: false,
      ...NO_INPUT,
      getMinHeight: () => 430,
      getValue: () => undefined,
      setValue() {},
    });
    panel.widget.serialize = false; // the option alone keeps it out of the prompt, this out of the saved values
    const [w, h] = node.computeSize();
    node.setSize([Math.max(480, w), Math.max(560, h)]);
    after(node, "onAdded", () => {
      panels.set(node, panel);
      panel.start();
    });
    after(node, "onConfigure", () => node.graph && panel.adopt(locatorOf(root(), node)));
    after(node, "onRemoved", () => {
      panels.delete(node);
      panel.dispose();
    });
  },
  /** @param {any} outputs */
  onNodeOutputsUpdated(outputs) {
    for (const [node, panel] of reachable()) {
      const record = outputs[locatorOf(root(), node)]?.gg_record?.[0];
      if (record && (ofThisWorkflow(record) || known.has(key(record)))) panel.show(record);
    }
  },
  afterConfigureGraph() {
    restore(); // the editor does not wait for it
    tab.refresh();
    setTimeout(() => tab.partFromTwin(app.extensionManager.workflow), SETTLED);
  },
});
