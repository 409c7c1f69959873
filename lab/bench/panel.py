"""What the inspector's panel costs the browser: redrawing, the first paint after a reload, memory over many runs.

A real run of 50 steps and 8 samples in the editor of a real host, in headless Chromium without a GPU: the host's own
front end and newer ones, each with either renderer. Prints a table for docs/performance.md, and fails when a limit is
passed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from dataclasses import dataclass

from ...dev.browser import CHROMIUM, chromium, page_in
from ...dev.hosts import own_host
from ...dev.provision import FRONT_ENDS, front_end
from .. import markdown
from ..command_line import parser_of
from .harness import graph

KINDS = ("redraw", "drag", "first paint", "memory")
REDRAW_MS, DRAG_MS, FIRST_PAINT_MS, GROWTH_MB = 2.0, 16.0, 300.0, 10.0
DRAG = "drag what-if"
SIZES = ((480, 560), (900, 640))
WORKFLOW = "0c6b1f0e-5a55-4f4e-9d5c-00000000be0c"
OPEN = """async ([api, id]) => {
  await app.loadApiJson(api, "bench");
  const saved = (app.rootGraph ?? app.graph).serialize();
  saved.id = id;
  saved.extra = {ds: {scale: 1, offset: [60, 80]}};
  for (const node of saved.nodes) node.pos = {1: [0, 0], 2: [0, 220], 3: [0, 360], 4: [340, 0]}[node.id] ?? [700, 0];
  await app.loadGraphData(saved, true, true, "bench.json"); }"""
RUN = """() => new Promise((done, failed) => {
  app.api.addEventListener("execution_success", () => done(), {once: true});
  for (const kind of ["execution_error", "execution_interrupted"])
    app.api.addEventListener(kind, ({detail}) => failed(JSON.stringify(detail)), {once: true});
  app.queuePrompt(0, 1); })"""
RECORD = """const node = (app.rootGraph ?? app.graph).nodes.find(node => node.type === "GGInspector");
  const sent = app.nodeOutputs[node.id].gg_record[0];
  const place = sent.file && await app.api.fetchApi("/view?" + new URLSearchParams(sent.file));
  const record = place ? await place.json() : sent;"""
REDRAW = f"""async ([pack, w, h, times]) => {{ {RECORD}
  const {{ Panel }} = await import(`/extensions/${{pack}}/lib/panel.mjs`);
  const {{ VIEWS }} = await import(`/extensions/${{pack}}/lib/views.mjs`);
  const alone = {{ root: () => null, locale: () => "en", address: path => app.api.apiURL(path), refresh() {{}} }};
  const panel = new Panel({{ properties: {{ gg_second: "none" }} }}, alone, new Map());
  panel.host.style.cssText = `position: fixed; left: 0; top: 0; min-width: ${{w}}px; height: ${{h}}px`;
  document.body.append(panel.host);
  panel.start();
  await panel.show(record);
  const found = {{}};
  const measure = async (name, move) => {{
    found[name] = [];
    for (let k = -20; k < times; k += 1) {{
      move(k + 20);
      const began = performance.now();
      panel.draw();
      const drawn = performance.now();
      panel.host.offsetHeight; // makes the browser lay the page out
      if (k >= 0) found[name].push([drawn - began, performance.now() - began]);
      await new Promise(done => requestAnimationFrame(() => setTimeout(done)));
    }} }};
  for (const {{ name: view }} of VIEWS) {{
    panel.choose(view);
    await new Promise(done => setTimeout(done, 400));
    await measure(view, k => {{ panel.at = k % record.n; }});
  }}
  panel.choose("whatif");
  while (!panel.mix(panel.at)) await new Promise(done => setTimeout(done, 50));
  await measure("{DRAG}", k => {{ panel.scale = (k % 80) / 5; }});
  panel.dispose();
  panel.host.remove();
  return found; }}"""
WATCH = """(() => { performance.setResourceTimingBufferSize(5000);
  const look = () => {
    const count = document.querySelector(".gg-panel output");
    if (!count) return requestAnimationFrame(look);
    const channel = new MessageChannel(); // its message is read once the frame has been painted
    channel.port1.onmessage = () => { window.painted ??= performance.now(); };
    const there = () => /^[0-9]+.50$/.test(count.textContent) && channel.port2.postMessage(null);
    new MutationObserver(there).observe(count, {characterData: true, childList: true, subtree: true});
    there(); };
  requestAnimationFrame(look); })()"""
FIRST = """() => window.painted - performance.getEntriesByType("resource").find(entry =>
  entry.name.includes("/guidance_geometry/runs/")).startTime"""
REPLAY = f"""async times => {{ {RECORD}
  const workflow = (app.rootGraph ?? app.graph).id;
  const job = localStorage.getItem("guidancegeometry:run:" + workflow);
  const views = [...document.querySelectorAll(".gg-panel [role=tab]")];
  const say = (kind, detail) => app.api.dispatchEvent(new CustomEvent(kind, {{detail}}));
  for (let k = 0; k < times; k += 1) {{
    const copy = {{...JSON.parse(JSON.stringify(record)), run: `replay-${{Math.random()}}`, workflow_id: workflow}};
    const steps = copy.steps.slice(0, 5);
    say("guidance_geometry.step", {{v: 1, run: copy.run, workflow_id: workflow, targets: [String(node.id)], steps}});
    await new Promise(done => requestAnimationFrame(done));
    say("executed", {{node: String(node.id), prompt_id: job, output: {{gg_record: [copy]}}}});
    views[k % views.length].click();
    await new Promise(done => requestAnimationFrame(() => setTimeout(done, 4)));
  }} }}"""


@dataclass(frozen=True)
class Row:
    """One line of the table. values: words beside the measurement's name; holds: whether its limit is."""

    name: str
    values: str
    holds: bool


def redraws(page, pack: str, times: int) -> list[Row]:
    """Every view at two sizes."""
    rows = []
    for w, h in SIZES:
        for view, found in page.evaluate(REDRAW, [pack, w, h, times]).items():
            script, whole = zip(*found, strict=True)
            middle, laid_out = statistics.median(script), statistics.median(whole)
            values = f"{middle:.2f} ({statistics.quantiles(script, n=20)[-1]:.2f}), laid out {laid_out:.2f} ms"
            name, kept = (DRAG, laid_out <= DRAG_MS) if view == DRAG else (f"redraw {view}", middle <= REDRAW_MS)
            rows.append(Row(f"{name}, {w} x {h}", values, kept))
    return rows


def first_paint(page, times: int) -> Row:
    """From asking the server for the stored run to the painted figure."""
    found = []
    page.add_init_script(WATCH)
    for _ in range(times):
        page.wait_for_timeout(2000)  # the editor keeps its draft late
        page.reload()
        page.wait_for_function("() => window.painted")
        found.append(page.evaluate(FIRST))
    middle = statistics.median(found)
    return Row("first paint", f"{middle:.0f} ({min(found):.0f} to {max(found):.0f}) ms", middle <= FIRST_PAINT_MS)


def memory(page) -> dict[str, float]:
    """What the tab holds after garbage was collected."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.enable")
    session.send("Performance.enable")
    session.send("HeapProfiler.collectGarbage")
    values = {entry["name"]: entry["value"] for entry in session.send("Performance.getMetrics")["metrics"]}
    session.detach()
    return {name: values[name] for name in ("JSHeapUsedSize", "JSEventListeners", "Nodes")}


def growth(page, runs: int) -> Row:
    """What replayed runs in one tab leave behind."""
    page.evaluate(REPLAY, 20)
    before = memory(page)
    page.evaluate(REPLAY, runs)
    more = {name: value - before[name] for name, value in memory(page).items()}
    heap, listeners = more["JSHeapUsedSize"] / 1e6, more["JSEventListeners"]
    values = f"{heap:+.1f} MB, {listeners:+.0f} listeners, {more['Nodes']:+.0f} elements"
    return Row(f"memory after {runs} runs", values, heap <= GROWTH_MB and listeners <= 0)


def measure_renderer(browser, live, vue: bool, options: argparse.Namespace) -> list[Row]:
    """All measurements with one renderer."""
    with page_in(browser, live.address, vue=vue) as page:
        page.evaluate(OPEN, [graph(batch=8, steps=50, pictures=8), WORKFLOW])
        page.wait_for_selector(".gg-panel")
        page.evaluate(RUN)
        page.wait_for_function("() => /.50$/.test(document.querySelector('.gg-panel output').textContent)")
        parts = {  # looking into the heap slows what comes after it
            "redraw": lambda: redraws(page, live.pack, options.redraws),
            "memory": lambda: [growth(page, options.runs)],
            "paint": lambda: [first_paint(page, options.reloads)],
        }
        return [row for name in parts if options.only in (None, name) for row in parts[name]()]


def editors() -> dict[str, list[str]]:
    """Front ends by name, with the host's options for them."""
    there = {version: front_end(version) for version in FRONT_ENDS if (front_end(version) / "index.html").exists()}
    newer = {version: ["--front-end-root", str(folder)] for version, folder in there.items()}
    return {"1.32.9, the host's own": []} | newer


def both_renderers(browser, name: str, options: argparse.Namespace) -> dict[str, list[Row]]:
    """Measure one front end with either renderer, on a host of its own."""
    found = {}
    with own_host(options.host, editors()[name]) as live:
        for vue in (False, True):
            title = f"{name}, {'Nodes 2.0' if vue else 'canvas'}"
            found[title] = measure_renderer(browser, live, vue, options)
            print(title, *found[title], sep="\n  ", flush=True)
    return found


def _summary(entry: tuple[str, list[Row]]) -> list[str]:
    title, rows = entry
    kinds = {kind: [row for row in rows if row.name.startswith(kind)] for kind in KINDS}
    slowest = [max(there, key=lambda row: float(row.values.split()[0]), default=None) for there in kinds.values()]
    return [
        title,
        *("" if row is None else f"{row.values} ({row.name.partition(' ')[2]})".replace(" ()", "") for row in slowest),
    ]


def main() -> int:
    """Measure, print, and fail when a limit is passed."""
    parser = parser_of(__doc__)
    parser.add_argument("--redraws", type=int, default=60)
    parser.add_argument("--reloads", type=int, default=7)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--only", choices=("memory", "redraw", "paint"), help="one of the measurements")
    options = parser.parse_args()
    if CHROMIUM is None:
        print("no Chromium on the path: nothing was measured", file=sys.stderr)
        return 2
    with chromium() as browser:
        found = {}
        for name in editors():
            found |= both_renderers(browser, name, options)
    print(markdown.table("front end | slowest redraw | drag | first paint | memory", map(_summary, found.items())))
    return int(not all(row.holds for rows in found.values() for row in rows))


if __name__ == "__main__":
    sys.exit(main())
