"""The templates that a new user opens first: in the editor, and through the queue."""

import hashlib
import json
from functools import cache
from itertools import combinations

import pytest

from guidance_geometry.dev.browser import page_in
from guidance_geometry.dev.templates.blueprints import BLUEPRINTS
from guidance_geometry.dev.templates.layouts import LAYOUTS
from guidance_geometry.figures.canvas import Box
from guidance_geometry.sweeps.comfyui.process import DIRECT
from guidance_geometry.tests.queue.conftest import editor_page
from guidance_geometry.tests.queue.prompts import ROOT
from guidance_geometry.tests.queue.stand_ins import in_models
from guidance_geometry.tests.queue.steering import PAINTED, SETTLE, unmask

LEGIBLE = 0.65  # zoom from which words can be read
OPEN = """async ([workflow, name]) => {
  await app.loadGraphData(workflow, true, true, name, {openSource: "template"}); }"""
PLACES = """() => app.canvas.graph.nodes.map(({ id, title }) => {
  const { x, y, width, height } = document.querySelector(`[data-node-id="${id}"]`).getBoundingClientRect();
  return [`${id} ${title}`, x, y, width, height]; })"""
CUT = """() => [...document.querySelectorAll(".comfy-markdown .tiptap, .comfy-markdown-content")]
  .filter(words => words.clientHeight && words.scrollHeight > words.clientHeight + 2).map(words => words.textContent)"""


def read(file):
    return json.loads(file.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def stocked(host, server):
    """The host, with stand-ins for the files that a user is told to get."""
    with in_models(server.log.parent / "models"):
        yield server


@pytest.fixture(scope="module")
def editor(stocked, browser):
    """The newest editor with Nodes 2.0, whose nodes find their own heights."""
    with editor_page(browser, stocked, vue=True) as page:
        yield page


@pytest.mark.browser
def test_the_address_that_serve_prints_opens_a_template(stocked, browser):
    layout = LAYOUTS["First look at guidance"]
    with page_in(browser, stocked.address, layout.address(stocked.pack)) as page:
        page.wait_for_function(
            "count => (app.rootGraph ?? app.graph).nodes.length === count", arg=len(read(layout.template)["nodes"])
        )


def meanings(prompt):
    """The nodes of a prompt, each with a digest of all that feeds it: the same whatever their ids."""

    def plain(value):
        if isinstance(value, list):
            return [meaning(value[0]), value[1]]
        return float(value) if isinstance(value, int) else value  # a page knows one kind of number

    @cache
    def meaning(name):
        node = prompt[name]
        inputs = {key: plain(value) for key, value in node["inputs"].items()}
        widgets = {key: value for key, value in inputs.items() if not isinstance(value, list)}
        digest = hashlib.sha256(json.dumps([node["class_type"], inputs], sort_keys=True).encode()).hexdigest()
        return f"{node['class_type']} {sorted(widgets.items())} {digest}"

    return sorted(map(meaning, prompt))


@pytest.mark.browser
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=[*LAYOUTS])
def test_it_opens_whole_legible_and_uncovered_and_is_the_job_of_its_api_form(editor, layout):
    editor.evaluate(SETTLE)
    editor.evaluate("() => app.canvas.setGraph(app.rootGraph ?? app.graph)")
    editor.evaluate(OPEN, [read(layout.template), layout.template.stem])
    unmask(editor)
    editor.evaluate(PAINTED)
    assert editor.evaluate("() => app.canvas.ds.scale") >= LEGIBLE
    boxes = {title: Box(*place) for title, *place in editor.evaluate(PLACES)}
    window = Box(0, 0, editor.viewport_size["width"], editor.viewport_size["height"])
    assert [title for title, box in boxes.items() if not window.holds(box)] == []
    assert [(a, b) for a, b in combinations(boxes, 2) if boxes[a].meets(boxes[b])] == []
    assert editor.evaluate(CUT) == []
    prompt = editor.evaluate("async () => (await app.graphToPrompt()).output")
    assert meanings(prompt) == meanings(read(layout.api))


def test_the_host_offers_the_blueprints(server):
    with DIRECT.open(f"{server.address}/api/global_subgraphs") as answer:
        offered = {one["name"]: key for key, one in json.load(answer).items()}
    for name in BLUEPRINTS:
        with DIRECT.open(f"{server.address}/api/global_subgraphs/{offered[name]}") as answer:
            assert json.loads(json.load(answer)["data"]) == read(ROOT / "subgraphs" / f"{name}.json")


@pytest.mark.parametrize("title", LAYOUTS)
def test_a_template_runs(stocked, client, title):
    """With one picture and few steps: a pass at 256 x 256 takes seconds on a CPU."""
    prompt = read(LAYOUTS[title].api)
    for inputs in (node["inputs"] for node in prompt.values()):
        few = {"steps": 2, "batch_size": 1, "label": str(inputs.get("label", "")).split("\n")[0]}
        inputs |= {name: value for name, value in few.items() if not isinstance(inputs.get(name), list | None)}
    assert client.run(prompt).outputs
