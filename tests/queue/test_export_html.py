"""A page that the queue wrote, opened from disk in a browser without a network."""

import json
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from guidance_geometry.figures.html import page as html_page
from guidance_geometry.sweeps.comfyui.client import Client
from guidance_geometry.tests.queue.prompts import small
from guidance_geometry.tests.queue.steering import CONTRASTS, PAINTED, VIEWS
from guidance_geometry.tests.traces import exact_trace
from guidance_geometry.trace.record import run_record
from guidance_geometry.verdict.report import report_of

HOSTILE = "</script><script>document.title = 'broken out'</script><img src=x onerror=alert(1)>"


def exporting(**sampler):
    """Four Pocket samples, 20 steps, and a page of them."""
    graph = small(label="0;3;5;8", seed=31, **{"steps": 20, "cfg": 4.0, "capture": "pictures"} | sampler)
    graph["3"]["inputs"]["batch_size"] = 4
    inputs = {"trace": ["4", 2], "filename_prefix": "pages/run"}
    return graph | {"8": {"class_type": "GGExportHTML", "inputs": inputs}}


@pytest.fixture(scope="module")
def file(server):
    """The page of a run, as the queue wrote it."""
    with Client(server.address) as client:
        job = client.run(exporting())
    (said,) = job.outputs["8"]["text"]
    path = server.log.parent / "output" / "pages" / said.split(":")[0]
    assert "20 of 20 steps, pictures of 20" in said
    return path


def opened_page(browser, path, **options):
    """The file in a context without a network; whatever it asks for or complains about is kept."""
    context = browser.new_context(offline=True, **{"viewport": {"width": 1200, "height": 900}} | options)
    page = context.new_page()
    page.asked, page.complaints = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("console", lambda line: page.complaints.append(line.text) if line.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("dialog", lambda dialog: page.complaints.append(dialog.message))
    page.goto(Path(path).as_uri())
    page.wait_for_selector("#answers article")
    return page


@pytest.fixture(scope="module")
def page(browser, file):
    return opened_page(browser, file)


def choose(page, view):
    page.locator(f"[data-view={view}]").click()
    page.evaluate(PAINTED)


pytestmark = pytest.mark.browser


def test_nothing_is_asked_for_but_the_file_and_a_result_chooses_its_sample_everywhere(page, file):
    for view in VIEWS:
        choose(page, view)
    page.locator("#results button").nth(1).click()
    page.wait_for_function("() => document.querySelector('#caption').textContent.includes('sample 1')")
    assert page.get_by_label("Sample", exact=True).input_value() == "1"
    assert {url for url in page.asked if not url.startswith(("data:", "blob:"))} == {file.as_uri()}
    assert page.complaints == []


def test_the_workflow_and_the_numbers_can_be_saved(page):
    with page.expect_download() as one:
        page.locator("#save-workflow").click()
    assert json.loads(one.value.path().read_text())["4"]["class_type"] == "GGGuidedSampler"
    with page.expect_download() as one:
        page.locator("#save-record").click()
    assert len(json.loads(one.value.path().read_text())["steps"]) == 20


@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (360, "dark")])
def test_words_stand_out_and_nothing_is_wider_than_the_page(browser, file, width, scheme):
    page = opened_page(browser, file, viewport={"width": width, "height": 800}, color_scheme=scheme)
    page.wait_for_function("scheme => document.querySelector('.gg-panel').dataset.theme === scheme", arg=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert [(words, ratio) for words, ratio in page.evaluate(CONTRASTS, "body") if ratio < 4.5] == []
    page.context.close()


BARE = "* { background-image: none !important; background-color: transparent !important; }"
PRINTED = """() => {
  const seen = (one) => one.checkVisibility() && one.getBoundingClientRect().height > 0;
  const canvas = [...document.querySelectorAll("#panel canvas")].find(seen);
  const pressed = [...document.querySelectorAll("#panel button, #panel select, .files button")].filter(seen);
  return { fit: getComputedStyle(canvas).objectFit, theme: document.querySelector(".gg-panel").dataset.theme,
    buttons: pressed.map((one) => one.textContent) }; }"""


def colours_of(element):
    """How many colours an element shows."""
    pixels = Image.open(BytesIO(element.screenshot())).convert("RGB").quantize(64, dither=Image.Dither.NONE)
    return len(pixels.getcolors() or ())


def test_it_prints_as_it_looks(browser, file):
    page = opened_page(browser, file, color_scheme="dark")
    page.wait_for_function("() => document.querySelector('.gg-panel').dataset.theme === 'dark'")
    assert page.pdf(print_background=False).startswith(b"%PDF")
    page.evaluate("() => dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    page.add_style_tag(content=BARE)  # as a browser prints without background graphics
    page.set_viewport_size({"width": 718, "height": 1000})  # A4
    printed = page.evaluate(PRINTED)
    assert printed["theme"] == "light", "ink on white paper"
    assert printed["fit"] == "contain", "a figure that was drawn for the screen keeps its proportions"
    assert printed["buttons"] == ["Plane"], "the name of the view, and nothing to press"
    assert colours_of(page.locator(".gg-tabs button[aria-selected=true]")) > 8, "ink that shows on paper"
    assert colours_of(page.locator("#results .tile").first) > 8
    page.context.close()


def test_words_of_the_run_stay_words(browser, tmp_path):
    trace = exact_trace(4.0, batch=2, steps=6, capture=False)
    said = {"model": {**trace.header["model"], "name": HOSTILE}, "labels": [HOSTILE] * 2, "sampler": HOSTILE}
    trace = replace(trace, header={**trace.header, **said, "chain": HOSTILE})
    told = {"pictures": {"note": HOSTILE}, "problems": [HOSTILE], "notes": [HOSTILE]}
    record = run_record(trace) | told | {"report": report_of(trace).as_json()}
    path = tmp_path / "page.html"
    path.write_text(html_page(record, {}, {}, "0"), encoding="utf-8")
    page = opened_page(browser, path)
    for view in VIEWS:
        choose(page, view)
    assert page.complaints == []
    assert page.title().startswith(f"Guidance: {HOSTILE}")
    assert page.locator("img").count() == 0
    assert HOSTILE in page.locator("#caption").inner_text()
    page.context.close()
