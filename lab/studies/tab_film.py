"""The film at the top of README: the Guidance tab from a run at cfg 14 to a value to start from, in the real editor.

`python lab tab_film` clicks through it in Chromium and writes docs/figures/tab-film.webp, and the scene with both
pictures as docs/figures/advice.webp.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from ...dev.browser import chromium, page_in
from ...dev.hosts import own_host
from ...dev.places import ROOT
from ...dev.provision import FRONT_ENDS, front_end
from ..command_line import parser_of

FILM = ROOT / "docs" / "figures" / "tab-film.webp"
STILL = FILM.with_name("advice.webp")
WINDOW, SCALE = (904, 740), 1.5  # CSS pixels; pixels of the film for each
CLIP = {"x": 64, "y": 92, "width": 836, "height": 644}  # without the bars at the left and the top
STEPS = 12  # pictures of the pointer on its way
STEP_MS, CLICK_MS, READ_MS = 50, 220, 2000
WAIT = 90_000  # milliseconds for what a job on a busy machine takes
TAB = "Workspace.ToggleBottomPanelTab.guidancegeometry.tab"
GRAPH = {
    "1": ("GGLoadDenoiser", {"denoiser_name": "pocket-flow-1"}),
    "2": ("GGClassLabel", {"model": ["1", 0], "label": "*"}),
    "3": ("GGEmptyCanvas", {"model": ["1", 0], "width": 0, "height": 0, "batch_size": 4}),
    "4": (
        "KSampler",
        {
            "model": ["1", 0],
            "positive": ["2", 0],
            "negative": ["2", 1],
            "latent_image": ["3", 0],
            "seed": 7,
            "steps": 20,
            "cfg": 14.0,
            "sampler_name": "euler",
            "scheduler": "simple",
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
  await app.extensionManager.setting.set("Comfy.Graph.CanvasMenu", false);  // it would lie over the graph
  const places = {1: [-560, -40], 2: [-560, 190], 3: [-560, 420], 4: [0, 0], 5: [360, 0], 6: [580, 0]};
  for (const node of (app.rootGraph ?? app.graph).nodes) {
    node.pos = places[node.id];
    for (const widget of node.widgets ?? []) if (widget.value === "randomize") widget.value = "fixed"; }
  app.canvas.ds.scale = 0.74;
  app.canvas.ds.offset = [330, 175];
  app.canvas.setDirty(true, true); }"""
PALETTE = "name => app.extensionManager.setting.set('Comfy.ColorPalette', name)"
DRAWN = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 150))))"
POINTER = [(0, 0), (0, 17), (4, 13.3), (7, 19.5), (9.6, 18.3), (6.8, 12.3), (12, 12)]  # CSS pixels from its tip
FINER = 4  # times as fine as the film, to draw it without steps


@dataclass
class Film:
    """Pictures of a page with a pointer on them, each with how long it is shown."""

    page: Any
    at: tuple[float, float] = (560.0, 560.0)  # where the pointer is, in the window
    frames: list[Image.Image] = field(default_factory=list)
    times: list[int] = field(default_factory=list)

    def show(self, milliseconds: int = READ_MS) -> None:
        """The page as it is now."""
        self.add(self.shot(), milliseconds)

    def shot(self) -> Image.Image:
        """The page without the pointer."""
        self.page.evaluate(DRAWN)
        return Image.open(BytesIO(self.page.screenshot(clip=CLIP))).convert("RGB")

    def add(self, still: Image.Image, milliseconds: int, pressed: bool = False) -> None:
        """One more picture; the pointer is drawn where it is."""
        self.frames.append(with_pointer(still, self.at, pressed))
        self.times.append(milliseconds)

    def click(self, place: str) -> None:
        """Move the pointer to the middle of an element and press."""
        target = self.page.locator(place).first
        target.click(trial=True)  # it has its place: pictures above it may come late
        box = target.bounding_box()
        start, end = self.at, (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2 + 2)
        still = self.shot()
        for step in range(1, STEPS + 1):
            share = smooth(step / STEPS)
            self.at = (start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1]))
            self.add(still, STEP_MS)
        self.page.mouse.move(*end)
        self.add(self.shot(), CLICK_MS, pressed=True)
        target.click()

    def save(self, file: Path) -> None:
        """As one animation that begins again after its end."""
        first, *others = self.frames
        options = {"duration": self.times, "loop": 0, "lossless": True, "quality": 100, "method": 6}
        first.save(file, save_all=True, append_images=others, minimize_size=True, **options)


def smooth(share: float) -> float:
    """Slow, fast, slow.  share: in 0..1"""
    return share * share * (3 - 2 * share)


def with_pointer(still: Image.Image, at: tuple[float, float], pressed: bool) -> Image.Image:
    """A picture with an arrow at a place of the window; pressed: with a ring about its tip."""
    tip = ((at[0] - CLIP["x"]) * SCALE, (at[1] - CLIP["y"]) * SCALE)
    side = round(34 * SCALE)
    corner = (round(tip[0]) - side // 2, round(tip[1]) - side // 2)
    patch = still.crop((*corner, corner[0] + side, corner[1] + side)).resize(
        (side * FINER, side * FINER), Image.Resampling.BOX
    )
    pen, middle, unit = ImageDraw.Draw(patch), side * FINER / 2, SCALE * FINER
    if pressed:
        radius = 11 * unit
        pen.ellipse(
            (middle - radius, middle - radius, middle + radius, middle + radius), None, "#d9480f", round(2.5 * unit)
        )
    outline = [(middle + x * unit, middle + y * unit) for x, y in POINTER]
    pen.polygon(outline, "#111111")
    pen.line([*outline, outline[0]], "#ffffff", round(1.5 * unit), joint="curve")
    picture = still.copy()
    picture.paste(patch.resize((side, side), Image.Resampling.BOX), corner)
    return picture


def play(film: Film) -> Image.Image:
    """The whole story, as a user clicks it; returns the scene with both pictures."""
    page = film.page
    film.show()
    film.click(".gg-tab .gg-begin")
    page.locator(".gg-tab .gg-verdict[data-colour=above]").wait_for()
    film.show(2 * READ_MS)
    film.click(".gg-tab .gg-see")
    page.wait_for_function("() => document.querySelectorAll('.gg-tab .gg-seed').length === 4")
    page.wait_for_function("() => document.querySelector('.gg-tab .gg-strange')?.textContent")
    still = film.shot()
    film.add(still, 2 * READ_MS)
    film.click(".gg-tab .gg-apply-again")
    page.locator(".gg-tab .gg-verdict[data-colour=fine]").wait_for()
    film.show(2 * READ_MS)
    return still


def main() -> None:
    """Start a host, play it in an editor, and keep what was seen."""
    parser = parser_of(__doc__)
    parser.add_argument("--editor", default=FRONT_ENDS[-1], help="its version; own: that of the host")
    options = parser.parse_args()
    front = [] if options.editor == "own" else ["--front-end-root", str(front_end(options.editor))]
    window = {"width": WINDOW[0], "height": WINDOW[1]}
    graph = {node: {"class_type": kind, "inputs": inputs} for node, (kind, inputs) in GRAPH.items()}
    with (
        own_host(options.host, front) as live,
        chromium() as browser,
        page_in(browser, live.address, viewport=window, device_scale_factor=SCALE) as page,
    ):
        page.set_default_timeout(WAIT)
        page.evaluate(PALETTE, "light")
        page.evaluate(OPEN, graph)
        page.evaluate("id => app.extensionManager.command.execute(id)", TAB)
        film = Film(page)
        still = play(film)
    still.save(STILL, quality=85, method=6)
    film.save(FILM)
    seconds = sum(film.times) / 1000
    print(f"{FILM}: {len(film.frames)} pictures, {seconds:.0f} s, {FILM.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
