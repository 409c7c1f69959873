"""Screenshots of the tab and the inspector in every editor, at four sizes, in both themes, joined into sheets.

One sheet for each of five states: a row is an editor with one renderer, a column a size and a theme.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

from ...dev.browser import CHROMIUM, chromium, page_in
from ...dev.hosts import own_host
from ...dev.provision import FRONT_ENDS, front_end
from ..command_line import parser_of

SIZES = {
    "1280 x 720": (1280, 720, 1),
    "1920 x 1080": (1920, 1080, 1),
    "3840 x 2160": (1920, 1080, 2),
    "960 x 600": (960, 600, 1),
}
THEMES = ("dark", "light")
STATES = ("advice", "geometry", "range", "half", "inspector")
CELL = (640, 400)
WAIT = 90_000  # milliseconds for what a job on a busy machine takes
TAB = "Workspace.ToggleBottomPanelTab.guidancegeometry.tab"
GRAPH = {
    "1": ("GGLoadDenoiser", {"denoiser_name": "pocket-1"}),
    "2": ("GGClassLabel", {"model": ["1", 0], "label": "robot"}),
    "3": ("GGEmptyCanvas", {"model": ["1", 0], "width": 0, "height": 0, "batch_size": 1}),
    "4": (
        "KSampler",
        {
            "model": ["1", 0],
            "positive": ["2", 0],
            "negative": ["2", 1],
            "latent_image": ["3", 0],
            "seed": 7,
            "steps": 20,
            "cfg": 13.0,
            "sampler_name": "euler",
            "scheduler": "karras",
            "denoise": 1.0,
        },
    ),
    "5": ("VAEDecode", {"samples": ["4", 0], "vae": ["1", 1]}),
    "6": ("SaveImage", {"images": ["5", 0], "filename_prefix": "sheet"}),
}
OPEN = """async prompt => {
  const empty = () => !(app.rootGraph ?? app.graph)?.nodes?.length;
  for (let k = 0; empty() && k < 200; k += 1)  // the editor's own graph comes late
    await new Promise(done => setTimeout(done, 25));
  await app.loadApiJson(prompt, "sheet");
  const graph = app.rootGraph ?? app.graph;
  const places = {1: [0, 0], 2: [0, 260], 3: [0, 520], 4: [460, 0], 5: [800, 0], 6: [800, 120]};
  for (const node of graph.nodes) node.pos = places[node.id];
  app.canvas.ds.scale = 0.7;
  app.canvas.ds.offset = [200, 160];
  app.canvas.setDirty(true, true); }"""
RUN = """() => new Promise((done, failed) => {
  app.api.addEventListener("execution_success", () => done(), {once: true});
  for (const kind of ["execution_error", "execution_interrupted"])
    app.api.addEventListener(kind, ({detail}) => failed(JSON.stringify(detail)), {once: true});
  app.queuePrompt(0, 1); })"""
SHOW = """() => { const node = (app.rootGraph ?? app.graph).nodes.find(one => one.type === "GGInspector");
  app.canvas.ds.scale = 1;
  app.canvas.centerOnNode(node);
  app.canvas.setDirty(true, true); }"""
THERE = "count => document.querySelectorAll('.gg-tab .gg-card[data-state=there]').length >= count"
PALETTE = "name => app.extensionManager.setting.set('Comfy.ColorPalette', name)"
DRAWN = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 150))))"


@dataclass(frozen=True)
class Editor:
    """A front end with one renderer."""

    version: str
    vue: bool

    @property
    def options(self) -> list[str]:
        """Of a host that has it."""
        return [] if self.version == "own" else ["--front-end-root", str(front_end(self.version))]

    def __str__(self) -> str:
        return f"{self.version} {'nodes 2.0' if self.vue else 'canvas'}"


def shoot_version(browser, version: str, options: argparse.Namespace) -> None:
    """One front end on a host of its own, with either renderer."""
    with own_host(options.host, Editor(version, False).options) as live:
        for vue in (False, True):
            shoot(browser, live.address, Editor(version, vue), options.output)


def shoot(browser, address: str, editor: Editor, folder: Path) -> None:
    """Every state, size and theme in one editor."""
    by_scale = {scale: {name: one for name, one in SIZES.items() if one[2] == scale} for *_, scale in SIZES.values()}
    for scale, sizes in by_scale.items():
        with page_in(browser, address, vue=editor.vue, device_scale_factor=scale) as page:
            page.set_default_timeout(WAIT)
            shoot_page(page, editor, sizes, folder)


def shoot_page(page, editor: Editor, sizes: dict[str, tuple[int, int, int]], folder: Path) -> None:
    """Every state, size and theme in one window."""
    for state in states(page):
        for (size, (w, h, _)), theme in itertools.product(sizes.items(), THEMES):
            arrange(page, state, (w, h), theme)
            page.screenshot(path=folder / f"{state} {editor} {size} {theme}.png")
        print(f"{editor}: {state}", flush=True)


def arrange(page, state: str, size: tuple[int, int], theme: str) -> None:
    """Open a state in a window of a size, as somebody finds it who opens the tab there."""
    w, h = size
    if page.viewport_size != {"width": w, "height": h}:
        page.set_viewport_size({"width": w, "height": h})
        for _ in range(0 if state == "inspector" else 2):
            page.evaluate("id => app.extensionManager.command.execute(id)", TAB)
            page.evaluate(DRAWN)
    page.evaluate(PALETTE, theme)
    if state == "inspector":
        page.evaluate(SHOW)
    else:
        page.locator(f".gg-tab button[data-page={'geometry' if state == 'geometry' else 'advice'}]").click()
    page.mouse.move(2, h - 2)
    page.evaluate(DRAWN)


def states(page) -> Iterator[str]:
    """Bring the page from one state into the next, as a user does."""
    page.evaluate(OPEN, {node: {"class_type": kind, "inputs": inputs} for node, (kind, inputs) in GRAPH.items()})
    page.evaluate("id => app.extensionManager.command.execute(id)", TAB)
    page.locator(".gg-tab .gg-switch input").click()
    page.evaluate(RUN)
    page.locator(".gg-tab .gg-verdict").wait_for()
    page.locator(".gg-tab .gg-see").click()
    page.wait_for_function("() => document.querySelectorAll('.gg-tab .gg-pair .gg-shots > *').length === 2")
    yield "advice"
    page.locator(".gg-tab button[data-page=geometry]").click()
    yield "geometry"
    page.locator(".gg-tab button[data-page=advice]").click()
    for name, count in (("find", 3), ("half", 2)):
        page.locator(f".gg-tab .gg-{name}").click()
        page.wait_for_function(THERE, arg=count)
        yield {"find": "range"}.get(name, name)
    page.locator(".gg-tab .gg-keep").click()
    page.evaluate("id => app.extensionManager.command.execute(id)", TAB)
    page.evaluate(RUN)
    yield "inspector"


def join(folder: Path, editors: list[Editor], state: str) -> Path:
    """One sheet of a state."""
    columns = list(itertools.product(SIZES, THEMES))
    sheet = Image.new("RGB", (CELL[0] * len(columns), (CELL[1] + 16) * len(editors)), "white")
    for (row, editor), (column, (size, theme)) in itertools.product(enumerate(editors), enumerate(columns)):
        place = (column * CELL[0], row * (CELL[1] + 16))
        ImageDraw.Draw(sheet).text((place[0] + 4, place[1] + 2), f"{editor}, {size}, {theme}", fill="black")
        file = folder / f"{state} {editor} {size} {theme}.png"
        if file.exists():
            with Image.open(file) as shot:
                shot.thumbnail(CELL)
                sheet.paste(shot, (place[0], place[1] + 16))
    path = folder / f"sheet {state}.png"
    sheet.save(path)
    return path


def main() -> int:
    """Take the screenshots and join them."""
    parser = parser_of(__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--output", type=Path, required=True, help="folder of the screenshots and sheets")
    parser.add_argument("--editors", nargs="+", default=["own", *FRONT_ENDS], help="versions; own: that of the host")
    options = parser.parse_args()
    if CHROMIUM is None:
        print("no Chromium on the path: nothing was shot", file=sys.stderr)
        return 2
    options.output.mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        for version in options.editors:
            shoot_version(browser, version, options)
    editors = [Editor(version, vue) for version in options.editors for vue in (False, True)]
    for state in STATES:
        print(join(options.output, editors, state))
    return 0


if __name__ == "__main__":
    sys.exit(main())
