"""The page of a sweep in a browser: its runs over each other, and the panel of a cell."""

import pytest
import torch

from guidance_geometry import library as gg
from guidance_geometry.sweeps.axes import Axis
from guidance_geometry.sweeps.cells import cells_of
from guidance_geometry.sweeps.measures import measure
from guidance_geometry.sweeps.page import study_page
from guidance_geometry.sweeps.plan import USUAL, Plan
from guidance_geometry.sweeps.runs import records_of
from guidance_geometry.tests.sweeps.plans import NODES, picture, workflow

pytestmark = pytest.mark.browser
VERDICT = "There is no sign of burning."
DARK = 0.3  # brightness below which a colour counts as dark
PAINTED = """() => { const c = document.querySelector("dialog .gg-figure canvas");
  const { data } = c.getContext("2d").getImageData(0, 0, c.width, c.height);
  let sum = 0;
  for (let i = 0; i < data.length; i += 4) sum += data[i];
  return [new Set(data).size, sum / (data.length / 4) / 255]; }"""


def trace_of(cell):
    """A run of the exact model at the place of a cell."""
    world, sigmas = gg.make_mixture((3, 16, 16), classes=3, seed=0), gg.karras(20)
    noise = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(cell.place["seed"]))
    return gg.record(gg.ExactDenoiser(world), sigmas, cond=1, gamma=float(cell.place["cfg"])).sample(sigmas[0] * noise)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A page of six cells, as a file."""
    axes = (Axis("cfg", (1, 2, 3)), Axis("seed", (0, 1)))
    cells = cells_of(Plan(workflow(), axes), NODES, {}, "1")
    traces = {cell.id: trace_of(cell) for cell in cells}
    facts = {"seconds": 1.0, "verdict": VERDICT}
    rows = [{"id": c.id, "place": dict(c.place), "measures": measure(traces[c.id], USUAL), **facts} for c in cells]
    pictures = {cell.id: picture(i, side=64) for i, cell in enumerate(cells)}
    path = tmp_path_factory.mktemp("page") / "index.html"
    runs = records_of(list(traces), traces.__getitem__)
    path.write_text(study_page("A study", axes, cells, rows, pictures, "", runs=runs), encoding="utf-8")
    return path


@pytest.fixture
def page(browser, file):
    """The page in the dark scheme, its runs drawn; nothing may be logged."""
    shown = browser.new_page(viewport={"width": 1360, "height": 900}, color_scheme="dark")
    said = []
    shown.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    shown.on("pageerror", lambda error: said.append(str(error)))
    shown.goto(file.as_uri())
    shown.wait_for_selector("#run-plot .line", state="attached")
    yield shown
    shown.close()
    assert said == []


def test_picked_runs_are_drawn_alone(page):
    assert page.locator("#run-plot .line").count() == 4
    assert page.locator("#curves figcaption", has_text="Time").count() == 1
    assert "6 cells, all in the grid, 2 without a value of this metric." in page.locator("#run-words").text_content()
    boxes = page.locator(".place input")
    for k in (1, 5):
        boxes.nth(k).check(force=True)
    titles = page.locator("#run-plot .line title").all_text_contents()
    assert titles == ["cfg 2 \u00b7 seed 0", "cfg 3 \u00b7 seed 1"]
    page.get_by_role("button", name="Unpick all").click()
    assert (page.locator("#run-plot .line").count(), page.locator(".place input:checked").count()) == (4, 0)


def test_a_cell_shows_its_run_in_the_panel_and_goes_on_to_the_next(page):
    page.locator(".tile").nth(1).click()
    page.locator("dialog .gg-facts", has_text="scale 2").wait_for()
    page.wait_for_timeout(300)
    colours, brightness = page.evaluate(PAINTED)
    assert (colours > 20, brightness < DARK) == (True, True)
    assert page.locator("dialog .verdict").text_content() == VERDICT
    page.get_by_role("tab", name="Lengths").click()
    page.get_by_role("button", name="The next cell").click()
    page.locator("dialog .gg-facts", has_text="scale 3").wait_for()
    assert page.locator("dialog [data-view][aria-selected=true]").text_content() == "Lengths"
    page.get_by_role("button", name="Reject").click()
    assert page.evaluate("document.activeElement.textContent") == "Reject"
    page.get_by_role("button", name="Close").click()
    assert page.locator(".tile[data-mark=reject]").count() == 1
    assert "1 rejected" in page.locator("#marks").text_content()
    page.evaluate("localStorage.clear()")


def test_a_line_opens_its_cell_and_the_page_of_a_cell_fits_a_phone(page):
    page.locator("#run-plot .line").nth(3).dispatch_event("click")
    assert page.locator("#cell-name").text_content() == "cfg 3 \u00b7 seed 1"
    page.set_viewport_size({"width": 400, "height": 800})
    page.locator("dialog .gg-facts", has_text="step").wait_for()
    wide = page.evaluate("[document.documentElement.scrollWidth, document.querySelector('dialog').scrollWidth]")
    assert max(wide) <= 400
