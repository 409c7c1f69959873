"""What the inspector's panel costs the browser: redrawing, the first paint after a reload, memory over many runs.

A real run of 50 steps in the editor of a real host, in headless Chromium without a GPU. Redrawing is timed twice: the
script alone, and until the pixels are there (read back). Prints medians and fails above the limits.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

from ..browser import CHROMIUM, chromium, page_in
from ..provision import FRONT_END, device_options
from ..server import own_folders, running

ROOT = Path(__file__).resolve().parents[2]
REDRAW_MS, FIRST_PAINT_MS, GROWTH_MB = 2.0, 300.0, 10.0
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
  const {{ VIEWS }} = await import(`/extensions/${{pack}}/lib/panel-view.mjs`);
  const alone = {{ root: () => null, locale: () => "en", address: path => app.api.apiURL(path), refresh() {{}} }};
  const panel = new Panel({{ properties: {{ gg_second: "none" }} }}, alone, new Map());
  panel.host.style.cssText = `position: fixed; left: 0; top: 0; min-width: ${{w}}px; height: ${{h}}px`;
  document.body.append(panel.host);
  panel.start();
  await panel.show(record);
  const timed = async read => {{
    const found = {{}};
    for (const view of VIEWS) {{
      panel.choose(view);
      await new Promise(done => setTimeout(done, 400));
      found[view] = [];
      for (let k = 0; k < times; k += 1) {{
        panel.at = k % record.n;
        const began = performance.now();
        panel.draw();
        if (read) panel.parts.main.canvas.getContext("2d").getImageData(0, 0, 1, 1);
        found[view].push(performance.now() - began);
        await new Promise(done => requestAnimationFrame(() => setTimeout(done)));
      }}
    }}
    return found;
  }};
  const found = [await timed(false), await timed(true)]; // reading back makes a canvas slower for good
  panel.dispose();
  panel.host.remove();
  return found; }}"""
WATCH = """(() => { performance.setResourceTimingBufferSize(5000);
  const look = () => {
  if (/^[0-9]+.49$/.test(document.querySelector(".gg-panel output")?.textContent)) window.painted = performance.now();
  else requestAnimationFrame(look); };
  requestAnimationFrame(look); })()"""
FIRST = """() => window.painted - performance.getEntriesByType("resource").find(entry =>
  entry.name.includes("/history/")).startTime"""
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


def graph() -> dict:
    """The demo model with 50 steps and 8 samples, and an inspector."""
    api = json.loads((ROOT / "tools" / "workflows" / "first_look.json").read_text(encoding="utf-8"))
    found = {node: api[node] for node in "1234"}
    found["3"]["inputs"]["batch_size"] = 8
    found["4"]["inputs"]["steps"] = 50
    return found | {"8": {"class_type": "GGInspector", "inputs": {"trace": ["4", 2], "vae": ["1", 1], "pictures": 8}}}


def redraws(page, pack: str, times: int) -> bool:
    """Time every view at two sizes; returns whether all medians keep the limit."""
    kept = True
    for w, h in ((480, 560), (900, 640)):
        script, pixels = page.evaluate(REDRAW, [pack, w, h, times])
        for view, found in script.items():
            middle, worst = statistics.median(found), statistics.quantiles(found, n=20)[-1]
            kept &= middle <= REDRAW_MS
            read = statistics.median(pixels[view])
            print(f"  {view:10} {w}x{h}: {middle:5.2f} ms (95 %: {worst:.2f}), with pixels {read:5.2f} ms")
    return kept


def first_paint(page, times: int) -> float:
    """Milliseconds from asking the server for the stored run to the drawn figure, median of several reloads."""
    found = []
    page.add_init_script(WATCH)
    for _ in range(times):
        page.wait_for_timeout(2000)  # the editor keeps its draft late
        page.reload()
        page.wait_for_function("() => window.painted")
        found.append(page.evaluate(FIRST))
    return statistics.median(found)


def memory(page) -> dict[str, float]:
    """What the tab holds after garbage was collected."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.enable")
    session.send("Performance.enable")
    session.send("HeapProfiler.collectGarbage")
    values = {entry["name"]: entry["value"] for entry in session.send("Performance.getMetrics")["metrics"]}
    session.detach()
    return {name: values[name] for name in ("JSHeapUsedSize", "JSEventListeners", "Nodes")}


def growth(page, runs: int) -> bool:
    """Replay runs in one tab; returns whether memory and listeners stay."""
    page.evaluate(REPLAY, 20)
    before = memory(page)
    page.evaluate(REPLAY, runs)
    more = {name: value - before[name] for name, value in memory(page).items()}
    heap = more["JSHeapUsedSize"] / 1e6
    print(f"  {runs} runs: heap {heap:+.1f} MB, listeners {more['JSEventListeners']:+}, elements {more['Nodes']:+}")
    return heap <= GROWTH_MB and more["JSEventListeners"] <= 0


def measured(browser, live, vue: bool, options: argparse.Namespace) -> bool:
    """All measurements with one renderer; returns whether the limits are kept."""
    with page_in(browser, live.address, vue=vue) as page:
        page.evaluate(OPEN, [graph(), WORKFLOW])
        page.wait_for_selector(".gg-panel")
        page.evaluate(RUN)
        page.wait_for_function("() => /.49$/.test(document.querySelector('.gg-panel output').textContent)")
        kept = growth(page, options.runs)
        if not vue:  # a figure is the same in either
            kept &= redraws(page, live.pack, options.redraws)
        paint = first_paint(page, options.reloads)
        print(f"  first paint of the restored run: {paint:.0f} ms (limit {FIRST_PAINT_MS:.0f})")
        return kept and paint <= FIRST_PAINT_MS


def both_renderers(browser, name: str, more: list[str], options: argparse.Namespace) -> bool:
    """Measure one front end with either renderer, on a host of its own."""
    python, kept = Path(sys.executable), []
    with tempfile.TemporaryDirectory(prefix="bench-") as base:
        folders, pack = own_folders(Path(base))
        every = folders + device_options(python) + more
        with running(python, options.host, Path(base) / "host.log", every, pack) as live:
            for vue in (False, True):
                print(f"{name}, {'Nodes 2.0' if vue else 'canvas'}")
                kept.append(measured(browser, live, vue, options))
    return all(kept)


def main() -> int:
    """Measure, print, and fail when a limit is passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    host = os.environ.get("COMFYUI_PATH") or ROOT / ".host" / "ComfyUI"
    parser.add_argument("--host", type=Path, default=Path(host))
    parser.add_argument("--redraws", type=int, default=60)
    parser.add_argument("--reloads", type=int, default=5)
    parser.add_argument("--runs", type=int, default=200)
    options = parser.parse_args()
    if CHROMIUM is None:
        print("no Chromium on the path: nothing was measured", file=sys.stderr)
        return 2
    editors = {"the host's editor": []}
    if (FRONT_END / "index.html").exists():
        editors["the newer editor"] = ["--front-end-root", str(FRONT_END)]
    with chromium() as browser:
        kept = [both_renderers(browser, name, more, options) for name, more in editors.items()]
    print(f"limits: {REDRAW_MS} ms a redraw, {FIRST_PAINT_MS:.0f} ms, {GROWTH_MB} MB, no listener more")
    return int(not all(kept))


if __name__ == "__main__":
    sys.exit(main())
