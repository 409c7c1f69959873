"""One short journey in each editor beside the one of all other tests, what is special to them, and one language."""

import pytest

from guidance_geometry.dev.browser import page_in
from guidance_geometry.tests.project import ROOT as HERE
from guidance_geometry.tests.queue import steering
from guidance_geometry.tests.queue.conftest import NEWEST, editor_page
from guidance_geometry.tests.queue.steering import INSPECTOR, OWN, queue
from guidance_geometry.tests.queue.tab_steering import (
    ROOT,
    SIDE,
    TOGGLE,
    UNDO,
    close_below,
    load,
    offers,
    open_below,
    sampled,
    sees,
)

pytestmark = pytest.mark.browser

OTHERS = [(OWN, False), (OWN, True), (NEWEST, True)]  # the newest on the canvas is that of all tests
CFG = (
    f"() => {ROOT}.nodes.filter(node => node.type === 'KSampler')[0].widgets.find(({{ name }}) => name === 'cfg').value"
)
FIND = """words => document.getElementById("vue-app").__vue_app__.config.globalProperties.$pinia._s.get("nodeDef")
  .nodeSearchService.searchNode(words).slice(0, 64).map(({ name }) => name)"""
COUNTS = "() => [...document.querySelectorAll('.gg-panel .gg-steps output')].map(count => count.textContent)"
WIDTH = """() => LiteGraph.createNode("GGFigure").size[0]"""
ALONE = """() => { app.graph.clear(); const node = LiteGraph.createNode("GGFigure"); app.graph.add(node);
  node.pos = [300, 200]; app.canvas.ds.scale = 1; app.canvas.ds.offset = [300, 250]; app.canvas.setDirty(true, true);
  return node.size[0]; }"""
ABOUT = '[data-testid="info-button"]'
# An editor that has just loaded may miss a selection: again, until its toolbox is there.
SELECTED = f"""() => {{ if (document.querySelector('{ABOUT}')) return true;
  app.canvas.deselectAll(); app.canvas.selectItems([app.graph._nodes[0]]); app.canvas.setDirty(true, true); }}"""


@pytest.fixture(scope="module", params=OTHERS, ids=lambda one: f"{one[0]} editor, {('canvas', 'nodes 2.0')[one[1]]}")
def page(request, browser, front_ends):
    with editor_page(browser, front_ends, *request.param) as page:
        yield page


def test_a_short_journey(page):
    """Record and run, take the advice, undo it, keep an inspector, and see two of everything."""
    graph = sampled(stages=2, cfg=13.0)
    graph["5"]["inputs"]["cfg"] = 2.8
    load(page, graph)
    open_below(page)
    page.locator(".gg-tab .gg-begin").click()
    sees(page, "above", r"[Uu]se cfg \d")
    offers(page, ["^Stage 1", "^Stage 2", "^All stages"])
    page.locator(".gg-tab .gg-apply").click()
    advised = page.evaluate(CFG)
    assert 1 < advised < 13
    page.evaluate(UNDO)
    page.wait_for_function(f"() => ({CFG})() === 13")
    page.locator(".gg-tab .gg-keep").click()
    page.wait_for_function(f"() => {INSPECTOR}")
    page.evaluate(TOGGLE, SIDE)
    queue(page)
    page.wait_for_function(f"() => ({COUNTS})().length === 3 && ({COUNTS})().every(count => count.endsWith('/6'))")
    page.evaluate(TOGGLE, SIDE)
    close_below(page)
    special(page)
    steering.clean(page)


def special(page):
    """What an old editor or Nodes 2.0 has alone, in a graph with an inspector that shows a run."""
    if not page.newer:
        for said, node in {"classifier guidance": "GGClassifierGradient", "apg": "GGAdaptiveProjected"}.items():
            assert node in page.evaluate(FIND, said), "it searches names alone"
        if page.vue:
            height = page.evaluate("() => document.querySelector('.gg-host').offsetHeight")
            assert height >= 450, "it reads no later size of a node"


def test_a_node_has_its_size_and_help_in_another_language(editor, browser):
    help_page = (HERE / "web" / "docs" / "GGFigure" / "zh.md").read_text(encoding="utf-8")
    title = help_page.partition("\n")[0].removeprefix("# ")
    with page_in(browser, editor.live.address, language="zh") as page:
        assert page.evaluate(ALONE) == editor.evaluate(WIDTH) >= 700
        page.wait_for_function(SELECTED, polling=500)
        page.locator(ABOUT).click()
        page.locator("h1", has_text=title).wait_for()
        image = page.locator('img[src$="GGFigure.webp"]')
        assert image.evaluate("async image => { await image.decode(); return image.naturalWidth; }") > 100
