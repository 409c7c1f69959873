"""docs/nodes.md lists every node that there is."""

import re

from guidance_geometry.extension import every_node
from guidance_geometry.tests.project import ROOT


def test_every_node_stands_in_the_page_with_a_link_to_its_help():
    page = (ROOT / "docs" / "nodes.md").read_text(encoding="utf-8")
    named = re.findall(r"\[([^\]]+)\]\(\.\./web/docs/(\w+)\.md\)", page)
    listed = {name: shown.partition(" (")[0] for shown, name in named}
    assert listed == {node.__name__: node.define_schema().display_name.partition(" (")[0] for node in every_node()}
    assert len(named) == len(listed), "each once"
