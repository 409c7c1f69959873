"""Every figure and every view of the inspector, from one run, on one page: docs/gallery.md."""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from ...dev.browser import CHROMIUM, editor
from ...dev.hosts import own_host
from ...dev.places import ROOT
from ...figures.registry import FIGURES as RUN_FIGURES
from ...sweeps.comfyui.client import Client
from .. import markdown
from .pictures import write
from .run_figures import FIGURES, FREE, RULED, Source, draw_help, draw_words, file_of

PAGE = ROOT / "docs" / "gallery.md"
PALETTES = ("light", "dark")
TRIED = "6.5"  # another scale, in the what-if view
SHOWN_STEP, SHOWN_SAMPLE = 5, 2  # as the template's figures
SOURCES = {"effective": RULED}  # of a view; the others show the free run
SHOWN = {figure.name: figure.alt for figure in RUN_FIGURES if "gallery" in figure.places}
LIST_VIEWS = (
    "const {VIEWS} = await import(process.argv[1]);"
    " console.log(JSON.stringify(VIEWS.map(v => [v.name, v.en.slice(0, 2)])))"
)
NODE = "(app.rootGraph ?? app.graph).nodes.find(node => node.type === 'GGInspector')"
OPEN = """async ([api, at]) => {
  await app.loadApiJson(api, "gallery");
  for (const node of (app.rootGraph ?? app.graph).nodes) {
    node.pos = node.type === "GGInspector" ? [at[0], at[1]] : [at[0] - 420, at[1] + 90 * node.id];
    if (node.type === "GGInspector") node.setSize([at[2], at[3]]);
    for (const widget of node.widgets ?? []) if (widget.name === "control_after_generate") widget.value = "fixed";
  }
  Object.assign(app.canvas.ds, {scale: 1, offset: [0, 0]});
  app.canvas.setDirty(true, true);
}"""
QUEUE = """() => new Promise(resolve => {
  for (const kind of ["execution_success", "execution_error", "execution_interrupted"])
    app.api.addEventListener(kind, ({detail}) => resolve([kind, detail]), {once: true});
  app.queuePrompt(0, 1);
})"""
PLACE = [440, 120, 720, 660]  # of the inspector on the screen, clear of the editor's bars
CHOSEN = "view => document.querySelector(`.gg-panel [data-view=${view}]`).ariaSelected === 'true'"
WHOLE = "last => document.querySelector('.gg-panel output')?.textContent.endsWith('/' + last)"
QUIET = {"Comfy.Minimap.Visible": False}


def with_inspector(source: Source) -> dict:
    """A run of the template, and an inspector."""
    inputs = {"trace": [source.sampler, 2], "vae": ["1", 1], "pictures": 8}
    return source.run | {"22": {"class_type": "GGInspector", "inputs": inputs}}


@cache
def views() -> dict[str, tuple[str, str]]:
    """{name: word on the tab, tooltip} of the inspector's views, as node reads their list."""
    address = (ROOT / "web" / "lib" / "views.mjs").as_uri()
    command = ["node", "--input-type=module", "--eval", LIST_VIEWS, address]
    listed = subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout
    return {name: (word, tip) for name, (word, tip) in json.loads(listed)}


def view_file(view: str, palette: str) -> Path:
    """Where the documentation keeps a view of the inspector."""
    return FIGURES / f"inspector-{view}-{palette}.webp"


def photograph(address: str, chromium: str | None, palette: str, source: Source) -> None:
    """Run the graph in the editor and keep a picture of the panel in every view that shows it."""
    with Client(address) as client:
        client.post("/settings", QUIET | {"Comfy.ColorPalette": palette})
    with editor(address, program=chromium) as page:
        page.evaluate(OPEN, [with_inspector(source), PLACE])
        page.wait_for_selector(".gg-panel")
        ending, detail = page.evaluate(QUEUE)
        if ending != "execution_success":
            raise RuntimeError(f"the run for the gallery ended with {ending}: {detail}")
        page.wait_for_function(WHOLE, arg=20)
        panel = page.locator(".gg-panel")
        panel.get_by_text("Reading the record").wait_for(state="hidden")  # live steps come before it, and fewer
        panel.locator("input[aria-label=Step]").fill(str(SHOWN_STEP))
        panel.locator("select[aria-label=Sample]").select_option(index=SHOWN_SAMPLE)
        for view in (name for name in views() if SOURCES.get(name, FREE) is source):
            panel.locator(f"[data-view={view}]").click()
            page.wait_for_function(CHOSEN, arg=view)
            if view == "whatif":
                panel.locator("input[aria-label^='What-if']").fill(TRIED)
            page.wait_for_timeout(400)  # pictures of a view load after it is chosen
            page.mouse.move(5, 400)
            write(view_file(view, palette), panel.screenshot())


def page_blocks() -> Iterator[str]:
    """The page in blocks: one line and one picture a figure, two pictures a view."""
    yield "# Gallery"
    yield (
        "Every figure of *Guidance Figure* and every view of *Guidance Inspector*, from one run of "
        "[Pocket](pocket.md): label robot, \u03b3 = 4, 20 DDPM steps, step 6. It is the run of the template "
        "*The geometry of guidance*; figures with a gradient are of the noise-aware classifier in the template "
        "*Classifier guidance*. *effective scale* and the view of that name show the same run at cfg 8 with "
        "APG. [Their story](the-geometry-of-guidance.md) explains them. "
        "`python3 dev.py lab gallery` makes this page."
    )
    yield "## Guidance Figure"
    for word, alt in SHOWN.items():
        if not file_of(word).exists():  # a new figure, before this command has drawn it
            continue
        yield f"### {word}"
        yield alt
        yield f"![{word}](figures/{file_of(word).name})"
    yield "## Guidance Inspector"
    yield "The panel follows the editor's theme."
    for view, (name, line) in views().items():
        if not view_file(view, PALETTES[0]).exists():
            continue
        yield f"### {name}"
        yield line
        shown = [f"![{name}, {palette}](figures/{view_file(view, palette).name})" for palette in PALETTES]
        yield markdown.table(" | ".join(PALETTES), [shown])


def main() -> None:
    """Draw the figures, photograph the inspector, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chromium", default=CHROMIUM)
    args = parser.parse_args()
    with own_host() as live:
        with Client(live.address) as client:
            draw_words(client, [*SHOWN])
            draw_help(client)
        for palette in PALETTES:
            for source in (FREE, RULED):
                photograph(live.address, args.chromium, palette, source)
    markdown.write(PAGE, markdown.page(*page_blocks()))


if __name__ == "__main__":
    main()
