"""The real editor in another language: a node's help, and the room that it gets."""

import pytest

from guidance_geometry.dev.browser import page_in
from guidance_geometry.tests.project import ROOT

pytestmark = pytest.mark.browser

ALONE = """() => { app.graph.clear(); const node = LiteGraph.createNode("GGFigure"); app.graph.add(node);
  node.pos = [300, 200]; app.canvas.selectNode(node); return node.size[0]; }"""
WIDTH = """() => LiteGraph.createNode("GGFigure").size[0]"""
PAGES = {"zh": "GGFigure/zh.md", "zh-TW": "GGFigure.md"}  # Traditional Chinese has none of its own


@pytest.mark.parametrize("language", PAGES)
def test_a_node_has_its_size_in_every_language_and_help_in_it_or_in_english(editor, browser, language):
    title = (ROOT / "web" / "docs" / PAGES[language]).read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
    with page_in(browser, editor.live.address, vue=editor.vue, language=language) as page:
        assert page.evaluate(ALONE) == editor.evaluate(WIDTH) >= 700
        page.locator('[data-testid="info-button"]').click()
        page.locator("h1", has_text=title).wait_for()
        image = page.locator('img[src$="GGFigure.webp"]')
        assert image.evaluate("async image => { await image.decode(); return image.naturalWidth; }") > 100
