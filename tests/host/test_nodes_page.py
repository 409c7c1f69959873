"""docs/nodes.md lists every node that there is."""

from guidance_geometry.extension import every_node
from guidance_geometry.tests.project import ROOT


def test_every_node_stands_in_the_page():
    page = (ROOT / "docs" / "nodes.md").read_text(encoding="utf-8")
    cells = [line.split("|")[1] for line in page.splitlines() if line.startswith("| ")]
    names = {name.partition(" (")[0].strip() for cell in cells for name in cell.split(", ")}
    shown = {node.define_schema().display_name.partition(" (")[0] for node in every_node()}
    assert shown - names == set()
