"""One short journey in each editor beside the one of all other tests, and what is special to them."""

import pytest

from guidance_geometry.dev.provision import FRONT_ENDS
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

EDITORS = [(version, vue) for version in (OWN, *FRONT_ENDS) for vue in (False, True)]
OTHERS = [one for one in EDITORS if one != (NEWEST, False)]
CFG = (
    f"() => {ROOT}.nodes.filter(node => node.type === 'KSampler')[0].widgets.find(({{ name }}) => name === 'cfg').value"
)
FIND = """words => document.getElementById("vue-app").__vue_app__.config.globalProperties.$pinia._s.get("nodeDef")
  .nodeSearchService.searchNode(words).slice(0, 64).map(({ name }) => name)"""
COUNTS = "() => [...document.querySelectorAll('.gg-panel .gg-steps output')].map(count => count.textContent)"
MODE = "mode => { app.extensionManager.workflow.activeWorkflow.activeMode = mode; }"


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
    elif page.vue:
        app_builder(page)


def app_builder(page):
    """It offers what a node is given and no panel. On the canvas it turns to Nodes 2.0 itself."""
    steering.start(page)
    page.evaluate(MODE, "builder:inputs")
    nothing = page.get_by_text("Click on node parameters")
    nothing.wait_for()
    box = page.locator(".gg-panel").bounding_box()
    page.mouse.click(box["x"] + 20, box["y"] + 20)
    page.evaluate(steering.PAINTED)
    assert nothing.is_visible()
    box = page.locator("[data-node-id]").get_by_text("pictures", exact=True).first.bounding_box()
    page.mouse.click(box["x"] + 5, box["y"] + 5)
    nothing.wait_for(state="detached")
    page.evaluate(MODE, "graph")
