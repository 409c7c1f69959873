"""The real editor in another language: a node's help, and the room that it gets."""

import pytest

from guidance_geometry.dev.browser import page_in
from guidance_geometry.tests.project import ROOT

pytestmark = pytest.mark.browser

WIDTH = """() => LiteGraph.createNode("GGFigure").size[0]"""
ALONE = """() => { app.graph.clear(); const node = LiteGraph.createNode("GGFigure"); app.graph.add(node);
  node.pos = [300, 200]; app.canvas.ds.scale = 1; app.canvas.ds.offset = [300, 250]; app.canvas.setDirty(true, true);
  return node.size[0]; }"""
ABOUT = '[data-testid="info-button"]'
# An editor that has just loaded may miss a selection: again, until its toolbox is there.
SELECTED = f"""() => {{ if (document.querySelector('{ABOUT}')) return true;
  app.canvas.deselectAll(); app.canvas.selectItems([app.graph._nodes[0]]); app.canvas.setDirty(true, true); }}"""


def test_a_node_has_its_size_and_help_in_another_language(editor, browser):
    help_page = (ROOT / "web" / "docs" / "GGFigure" / "zh.md").read_text(encoding="utf-8")
    title = help_page.partition("\n")[0].removeprefix("# ")
    with page_in(browser, editor.live.address, language="zh") as page:
        assert page.evaluate(ALONE) == editor.evaluate(WIDTH) >= 700
        page.wait_for_function(SELECTED, polling=500)
        page.locator(ABOUT).click()
        page.locator("h1", has_text=title).wait_for()
        image = page.locator('img[src$="GGFigure.webp"]')
        assert image.evaluate("async image => { await image.decode(); return image.naturalWidth; }") > 100
