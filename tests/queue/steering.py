"""Driving the editor: a graph with an inspector, its runs, and what the panel on it shows."""

import itertools

from guidance_geometry.dev.browser import LOADING
from guidance_geometry.tests.queue.prompts import first_look

EXPECTED = (  # what either front end says by itself, offline and with a fresh user folder
    "favicon.ico",
    "user.css",
    "userdata",
    "ERR_NAME_NOT_RESOLVED",
    "reading 'id'",
    "Attempted to cleanup event listeners",
    "primevue/blockui",  # its mask is taken away twice when one graph is loaded right after another
    "Proxy.removeMask",  # the same, in an editor whose parts are joined
    "graph accessed before initialization",  # by these tests, which wait for it
    *("/api/jobs", "Jobs API", "Failed to fetch queue"),  # routes that this host does not have yet
)
OPEN = """async ([api, id]) => {
  await app.loadApiJson(api, "inspector");
  const graph = app.rootGraph ?? app.graph;
  const saved = graph.serialize();
  saved.id = id;
  for (const { type, widgets_values: values } of saved.nodes)
    if (type === "GGGuidedSampler") values[values.indexOf("randomize")] = "fixed";
  saved.extra = {ds: {scale: 1, offset: [60, 80]}};
  const places = {1: [0, 0], 2: [0, 220], 3: [0, 360], 4: [340, 0], 8: [700, 0], 9: [340, 480]};
  for (const node of saved.nodes) node.pos = places[node.id] ?? [0, 700];
  await app.loadGraphData(saved, true, true, "inspector.json");
  for (let k = 0; k < 2; k += 1) await new Promise(requestAnimationFrame);
  Object.assign(app.canvas.ds, saved.extra.ds);  // 1.58 goes back to where the graph before was looked at
  app.canvas.setDirty(true, true);
}"""
SETTLE = """async () => {  // the editor's own first graph, coming late, would take the place of ours
  const empty = () => !(app.rootGraph ?? app.graph)?.nodes?.length;
  for (let k = 0; empty() && k < 200; k += 1) await new Promise(done => setTimeout(done, 25)); }"""
UNMASK = """async () => {
  const masked = () => document.querySelector(".p-blockui-mask");
  for (let k = 0; masked() && k < 40; k += 1) await new Promise(done => setTimeout(done, 25));
  masked()?.remove(); }"""
QUEUE = """() => { let refuse; window.done = new Promise(resolve => { refuse = resolve;
  for (const kind of ["execution_success", "execution_error", "execution_interrupted"])
    app.api.addEventListener(kind, ({detail}) => resolve([kind, detail]), {once: true}); });
  window.heard = [];
  window.hear ??= app.api.addEventListener("guidance_geometry.step", ({detail}) => window.heard.push(detail)) ?? true;
  const refused = () => Object.keys(app.lastNodeErrors ?? {}).length && refuse(["refused", app.lastNodeErrors]);
  return app.queuePrompt(0, 1).then(refused); }"""
NODES_2 = "on => app.extensionManager.setting.set('Comfy.VueNodes.Enabled', on)"
PAINTED = """() => new Promise(done => { setTimeout(done, 500);  // a page in the background has no frames
  requestAnimationFrame(() => requestAnimationFrame(done)); })"""
DRAFTED = """() => { const graph = app.rootGraph ?? app.graph;
  const seeds = graph.nodes.flatMap(node => node.widgets ?? []).filter(({ name }) => name === "seed");
  const words = [graph.id, graph.extra?.guidance_geometry?.key ?? "", ...seeds.map(({ value }) => String(value))];
  const kept = [localStorage, sessionStorage].flatMap(one => Object.values(one));
  return kept.some(text => words.every(word => text.includes(word))); }"""
NODE = "(app.rootGraph ?? app.graph).nodes.find(node => node.type === '{}')"
SAMPLER, INSPECTOR = NODE.format("GGGuidedSampler"), NODE.format("GGInspector")
CFG = f"() => {SAMPLER}.widgets.find(widget => widget.name === 'cfg').value"
DRAWN = """() => { const canvas = document.querySelector('.gg-panel canvas');
  if (!canvas.checkVisibility()) return false;  // on the other page
  const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  let coloured = 0;
  for (let i = 0; i < pixels.length; i += 4) {
    const [r, g, b] = [pixels[i], pixels[i + 1], pixels[i + 2]];
    coloured += Math.max(r, g, b) - Math.min(r, g, b) > 60;
  }
  return coloured > 300; }"""
CONTRASTS = """place => {  // of every text that shows there, with the colours and opacities that the browser computes
  const parse = colour => { const [r, g, b, a = 1] = colour.match(/[\\d.]+/g).map(Number); return [r, g, b, a]; };
  const over = ([r, g, b, a], back) => [r, g, b].map((value, k) => value * a + back[k] * (1 - a));
  const linear = value => value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const weights = [0.2126, 0.7152, 0.0722];
  const light = colour => colour.reduce((sum, value, k) => sum + weights[k] * linear(value / 255), 0);
  const around = one => one ? [...around(one.parentElement), one] : [];
  const texts = [];
  for (const panel of document.querySelectorAll(place)) {
    const walker = document.createTreeWalker(panel, NodeFilter.SHOW_TEXT);
    for (let text = walker.nextNode(); text; text = walker.nextNode()) {
      const own = text.parentElement, seen = own.checkVisibility({opacityProperty: true, visibilityProperty: true});
      if (!text.data.trim() || !seen || own.closest("style, script, option, :disabled, .gg-aloud")) continue;
      let back = [255, 255, 255], opacity = 1;
      for (const style of around(own).map(one => getComputedStyle(one))) {
        opacity *= style.opacity;
        const [r, g, b, a] = parse(style.backgroundColor);
        back = over([r, g, b, a * opacity], back); }
      const [r, g, b, a] = parse(getComputedStyle(own).color);
      const [low, high] = [light(over([r, g, b, a * opacity], back)), light(back)].sort((x, y) => x - y);
      texts.push([text.data.trim(), (high + 0.05) / (low + 0.05)]); } }
  return texts; }"""
DROP = """async ([name, type, source]) => {
  const fetched = { "/": app.api.fetchApi.bind(app.api), d: fetch }[source[0]];  // an address of the server, or data
  const body = fetched ? await (await fetched(source)).blob() : source;
  const data = new DataTransfer();
  data.items.add(new File([body], name, {type}));
  const box = app.canvas.canvas.getBoundingClientRect();
  const place = {clientX: box.x + 0.55 * box.width, clientY: box.y + 0.9 * box.height, bubbles: true, cancelable: true};
  for (const kind of ["dragenter", "dragover", "drop"])
    app.canvas.canvas.dispatchEvent(new DragEvent(kind, {...place, dataTransfer: data}));
}"""
COUNT = "() => document.querySelector('.gg-panel output')?.textContent ?? ''"
SHOWS_A_RUN = f"""() => {SAMPLER} && {INSPECTOR}?.mode === 0 && document.querySelectorAll(".gg-panel").length === 1
  && ({COUNT})().endsWith("/20")"""
WORDS = "() => document.querySelector('.gg-words').textContent"
VIEWS = ("plane", "whatif", "direction", "matters", "effective", "lengths", "pictures", "heat")
numbers = itertools.count(1)  # a workflow and a seed of its own for every graph: a cached run has no live steps


def graph(**sampler):
    """Two samples and an inspector."""
    found = {node: first_look()[node] for node in "1234"}
    found["3"]["inputs"]["batch_size"] = 2
    found["4"]["inputs"] |= {"seed": 1000 * next(numbers), "cfg": 3.0} | sampler
    inputs = {"trace": ["4", 2], "vae": ["1", 1], "pictures": 4}
    other = {"class_type": "SaveLatent", "inputs": {"samples": ["4", 0], "filename_prefix": "inspected/latent"}}
    return found | {"8": {"class_type": "GGInspector", "inputs": inputs}, "9": other}


def steady(page, value):
    """Wait until what a function of the page gives is the same for a fifth of a second; returns it."""
    return page.evaluate(
        f"""() => new Promise(done => {{ let last, same = 0;
        const look = () => {{ const now = ({value})(), words = JSON.stringify(now);
          same = words === last ? same + 1 : 0; last = words;
          if (same >= 5) done(now); else setTimeout(look, 40); }};  // a page in the background has no frames
        look(); }})"""
    )


def start(page, api=None):
    """Open a graph as a new workflow and run it."""
    page.evaluate(SETTLE)
    page.evaluate(OPEN, [api or graph(), f"0c6b1f0e-5a55-4f4e-9d5c-{next(numbers):012}"])
    page.wait_for_selector(".gg-panel")
    unmask(page)
    queue(page)


def unmask(page):
    """Take away the mask that the host's editor now and then leaves over the page after a load on a busy machine."""
    page.evaluate(UNMASK)


def drop(page, name, kind, source):
    """Drop a file on the canvas.  source: its text, an address of the server, or a data URI"""
    page.evaluate(DROP, [name, kind, source])


def clean(page):
    """The console has no line but those that the front end writes by itself."""
    lines = [f"{getattr(line, 'text', line)} {getattr(line, 'location', '')}" for line in page.complaints]
    page.complaints.clear()
    other = [line for line in lines if "/extensions/" in line or not any(part in line for part in EXPECTED)]
    assert not other, "\n".join(other)


def drafted(page):
    """Wait until the editor has kept what is open for the next time that it is loaded."""
    page.wait_for_function(DRAFTED)


def reload(page):
    """Load the editor anew, with the graph that it has kept."""
    page.reload(timeout=LOADING)
    page.wait_for_function(
        "() => window.app?.extensionManager && (app.rootGraph ?? app.graph)?.nodes?.length", timeout=LOADING
    )


def queue(page, ending="execution_success"):
    """Queue what the editor shows, wait for the end of the job and its drawing, and return what the server said."""
    page.evaluate(QUEUE)
    kind, detail = page.evaluate("window.done")
    assert kind == ending, detail
    page.evaluate(PAINTED)
    return detail


def reseed(page, **widgets):
    """Another seed, so that the sampler runs."""
    widgets = {"seed": page.evaluate(f"() => {SAMPLER}.widgets.find(w => w.name === 'seed').value") + 10} | widgets
    page.evaluate(
        f"values => {{ for (const w of {SAMPLER}.widgets) if (w.name in values) w.value = values[w.name]; }}", widgets
    )


def choose(page, view):
    """Open a view of the panel, on the page where the views are."""
    page.evaluate("document.querySelector('.gg-panel .gg-pages [data-page=geometry]').click()")
    page.evaluate("view => document.querySelector(`.gg-panel [data-view=${view}]`).click()", view)
    page.wait_for_function(
        "view => document.querySelector(`.gg-panel [data-view=${view}]`).ariaSelected === 'true'", arg=view
    )


def shows(page, count):
    """Wait for the panel to stand at a step, as "4/20"."""
    page.wait_for_function(
        "count => document.querySelector('.gg-panel output')?.textContent === count", arg=count, timeout=8000
    )


def shows_run_of(page, steps):
    """Wait for the panel to show a run of so many steps."""
    page.wait_for_function(
        "steps => document.querySelector('.gg-panel output')?.textContent.endsWith('/' + steps)",
        arg=steps,
        timeout=8000,
    )


def says(page, words):
    """Wait for words under the figure, a regular expression."""
    page.wait_for_function(
        "words => new RegExp(words).test(document.querySelector('.gg-words').textContent)", arg=words, timeout=8000
    )
