"""Every figure and every view of the inspector, from the runs of the templates: the pictures of docs/gallery.md.

`python lab gallery` draws the figures by the library, photographs the inspector in the editor of a ComfyUI, and writes
the page; `--figures` leaves the inspector out, and `--page` everything but the page.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import torch

from ... import library as gg
from ...dev.browser import editor
from ...dev.hosts import own_host
from ...dev.places import ROOT
from ...dev.templates.layouts import LAYOUTS
from ...figures.registry import BY_NAME
from ...figures.registry import FIGURES as EVERY
from ...library.traces import Trace
from ...sweeps.comfyui.client import Client
from .. import markdown
from ..pictures import write
from .runs import FIGURES, SAMPLE, STEP, method, run

PAGE, HELP = ROOT / "docs" / "gallery.md", ROOT / "web" / "docs" / "GGFigure.webp"
PALETTES = ("light", "dark")
SHOWN = {figure.name: figure.alt for figure in EVERY if "gallery" in figure.places}
RULE = {"eta": 0.0, "threshold": 0.06, "momentum": -0.5, "space": "x0"}  # at cfg 8
LIST_VIEWS = (
    "const {VIEWS} = await import(process.argv[1]);"
    " console.log(JSON.stringify(VIEWS.map(v => [v.name, v.en.slice(0, 2)])))"
)
PLACE = [440, 120, 720, 660]  # of the inspector on the screen, clear of the editor's bars
OPEN = """async ([api, at]) => {
  await app.loadApiJson(api, "gallery");
  for (const node of (app.rootGraph ?? app.graph).nodes) {
    node.pos = node.type === "GGInspector" ? [at[0], at[1]] : [at[0] - 420, at[1] + 90 * node.id];
    if (node.type === "GGInspector") node.setSize([at[2], at[3]]);
    for (const widget of node.widgets ?? []) if (widget.name === "control_after_generate") widget.value = "fixed"; }
  Object.assign(app.canvas.ds, {scale: 1, offset: [0, 0]});
  app.canvas.setDirty(true, true);
  return new Promise((done, failed) => {
    app.api.addEventListener("execution_success", () => done(), {once: true});
    for (const kind of ["execution_error", "execution_interrupted"])
      app.api.addEventListener(kind, ({detail}) => failed(JSON.stringify(detail)), {once: true});
    app.queuePrompt(0, 1); }); }"""
CHOSEN = "view => document.querySelector(`.gg-panel [data-view=${view}]`).ariaSelected === 'true'"
WHOLE = "() => document.querySelector('.gg-panel output')?.textContent.endsWith('/20')"


def file_of(word: str) -> Path:
    """Where the documentation keeps a figure."""
    return FIGURES / f"{word.replace(' ', '-')}.webp"


def view_file(view: str, palette: str) -> Path:
    """Where it keeps a view of the inspector."""
    return FIGURES / f"inspector-{view}-{palette}.webp"


@cache
def views() -> dict[str, tuple[str, str]]:
    """{name: word on the tab, tooltip} of the inspector's views, as node reads their list."""
    address = (ROOT / "web" / "lib" / "views.mjs").as_uri()
    command = ["node", "--input-type=module", "--eval", LIST_VIEWS, address]
    listed = subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout
    return {name: (word, tip) for name, (word, tip) in json.loads(listed)}


def draw_figures(folder: Path) -> None:
    """Every figure of the gallery, and that of the node's help page; a film is a small one."""
    free, guided, ruled = run(4.0).trace, method("noise-aware").trace, run(8.0, (gg.AdaptiveProjected(**RULE),)).trace

    def drawn(word: str, size: str) -> bytes:
        traces: dict[str, Trace] = {"effective scale": ruled}
        trace = guided if BY_NAME[word].by_classifier else traces.get(word, free)
        assert trace is not None, "every run of these is recorded"
        return trace.plot(word, step=STEP, sample=SAMPLE, size=size, theme="light").webp()

    for word in SHOWN:
        write(folder / file_of(word).name, drawn(word, "column" if BY_NAME[word].film else "blog"))
    write(folder / HELP.name if folder != FIGURES else HELP, drawn(next(iter(BY_NAME)), "column"))


def graph(ruled: bool) -> dict:
    """The run of the template with an inspector.  ruled: at cfg 8, with APG"""
    api = json.loads(LAYOUTS["The geometry of guidance"].api.read_text(encoding="utf-8"))
    found = {name: api[name] for name in ("1", "2", "3", "4", "6", "22")}
    if ruled:
        found["6"]["inputs"] |= {"cfg": 8.0, "guidance": ["7", 0]}
        found["7"] = {"class_type": "GGAdaptiveProjected", "inputs": {**RULE, "threshold_unit": "per element"}}
    return found


def photograph(address: str, palette: str, ruled: bool) -> None:
    """Run the graph in the editor, and keep a picture of the panel in every view that shows this run."""
    with Client(address) as client:
        client.post("/settings", {"Comfy.Minimap.Visible": False, "Comfy.ColorPalette": palette})
    with editor(address) as page:
        page.evaluate(OPEN, [graph(ruled), PLACE])
        page.wait_for_function(WHOLE)
        panel = page.locator(".gg-panel")
        panel.get_by_text("Reading the record").wait_for(state="hidden")  # live steps come before it, and fewer
        panel.locator("input[aria-label=Step]").fill(str(STEP))
        panel.locator("select[aria-label=Sample]").select_option(index=SAMPLE)
        for view in (name for name in views() if (name == "effective") is ruled):
            panel.locator(f"[data-view={view}]").click()
            page.wait_for_function(CHOSEN, arg=view)
            if view == "whatif":
                panel.locator("input[aria-label^='What-if']").fill("6.5")
            page.wait_for_timeout(400)  # pictures of a view load after it is chosen
            page.mouse.move(5, 400)
            write(view_file(view, palette), panel.screenshot())


def blocks() -> Iterator[str]:
    """The page below its opening: a line and a picture for each figure, two pictures for each view."""
    yield "## Guidance Figure"
    for word, alt in SHOWN.items():
        if file_of(word).exists():  # a new figure is not there before this command has drawn it
            yield from (f"### {word}", alt, f"![{word}](figures/{file_of(word).name})")
    yield "## Guidance Inspector"
    yield "The panel follows the editor's theme."
    for view, (name, line) in views().items():
        if view_file(view, PALETTES[0]).exists():
            shown = [f"![{name}, {palette}](figures/{view_file(view, palette).name})" for palette in PALETTES]
            yield from (f"### {name}", line, markdown.table(" | ".join(PALETTES), [shown]))


def main() -> None:
    """Draw the figures, photograph the inspector, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--figures", action="store_true", help="without the inspector")
    parser.add_argument("--page", action="store_true", help="only write the page")
    parser.add_argument("--out", type=Path, default=FIGURES, help="folder of the figures")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if not given.page:
        draw_figures(given.out)
    if not (given.page or given.figures):
        with own_host() as live:
            for palette, ruled in itertools.product(PALETTES, (False, True)):
                photograph(live.address, palette, ruled)
    if given.out == FIGURES:
        opening = PAGE.read_text(encoding="utf-8").partition("\n## ")[0]
        markdown.write(PAGE, markdown.page(opening, *blocks()))


if __name__ == "__main__":
    main()
