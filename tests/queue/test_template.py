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
from guidance_geometry.tests.queue.conftest import nodes_2
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
def page(stocked, editor):
    """The editor with Nodes 2.0, whose nodes find their own heights."""
    editor.evaluate("() => app.refreshComboInNodes()")
    with nodes_2(editor):
        yield editor


WIDTH = """() => LiteGraph.createNode("GGFigure").size[0]"""
ALONE = """() => { app.graph.clear(); const node = LiteGraph.createNode("GGFigure"); app.graph.add(node);
  node.pos = [300, 200]; app.canvas.ds.scale = 1; app.canvas.ds.offset = [300, 250]; app.canvas.setDirty(true, true);
  return node.size[0]; }"""
ABOUT = '[data-testid="info-button"]'
# An editor that has just loaded may miss a selection: again, until its toolbox is there.
SELECTED = f"""() => {{ if (document.querySelector('{ABOUT}')) return true;
  app.canvas.deselectAll(); app.canvas.selectItems([app.graph._nodes[0]]); app.canvas.setDirty(true, true); }}"""


@pytest.mark.browser
def test_the_address_that_serve_prints_opens_a_template_whose_nodes_have_help_in_another_language(editor, browser):
    layout, live = LAYOUTS["First look at guidance"], editor.live
    title = (ROOT / "web" / "docs" / "GGFigure" / "zh.md").read_text(encoding="utf-8").partition("\n")[0]
    with page_in(browser, live.address, layout.address(live.pack), language="zh") as page:
        page.wait_for_function(
            "count => (app.rootGraph ?? app.graph).nodes.length === count", arg=len(read(layout.template)["nodes"])
        )
        assert page.evaluate(ALONE) == editor.evaluate(WIDTH) >= 700
        page.wait_for_function(SELECTED, polling=500)
        page.locator(ABOUT).click()
        page.locator("h1", has_text=title.removeprefix("# ")).wait_for()
        image = page.locator('img[src$="GGFigure.webp"]')
        assert image.evaluate("async image => { await image.decode(); return image.naturalWidth; }") > 100


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
def test_it_opens_whole_legible_and_uncovered_and_is_the_job_of_its_api_form(page, layout):
    page.evaluate(SETTLE)
    page.evaluate("() => app.canvas.setGraph(app.rootGraph ?? app.graph)")
    page.evaluate(OPEN, [read(layout.template), layout.template.stem])
    unmask(page)
    page.evaluate(PAINTED)
    assert page.evaluate("() => app.canvas.ds.scale") >= LEGIBLE
    boxes = {title: Box(*place) for title, *place in page.evaluate(PLACES)}
    window = Box(0, 0, page.viewport_size["width"], page.viewport_size["height"])
    assert [title for title, box in boxes.items() if not window.holds(box)] == []
    assert [(a, b) for a, b in combinations(boxes, 2) if boxes[a].meets(boxes[b])] == []
    assert page.evaluate(CUT) == []
    prompt = page.evaluate("async () => (await app.graphToPrompt()).output")
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
