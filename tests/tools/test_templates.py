"""How the templates are made."""

import json

import pytest

from guidance_geometry.tests.project import PROJECT, ROOT
from guidance_geometry.tools.templates.make_template import signed


@pytest.mark.parametrize("workflow", sorted((ROOT / "example_workflows").glob("*.json")), ids=lambda file: file.stem)
def test_the_nodes_of_a_template_say_which_pack_they_come_from(workflow):
    def number(version):
        return tuple(map(int, version.split(".")))

    saved = json.loads(workflow.read_text(encoding="utf-8"))
    ours = [node for node in saved["nodes"] if node["type"].startswith("GG")]
    assert ours
    assert {node["properties"].get("cnr_id") for node in ours} == {PROJECT["project"]["name"]}
    assert all(number(node["properties"]["ver"]) <= number(PROJECT["project"]["version"]) for node in ours)
    others = [node for node in saved["nodes"] if node not in ours]
    assert not [node["type"] for node in others if node["properties"].get("cnr_id") == PROJECT["project"]["name"]]
    bare = json.loads(workflow.read_text(encoding="utf-8"))
    for node in bare["nodes"]:
        node["properties"] = {name: v for name, v in node["properties"].items() if name not in {"cnr_id", "ver"}}
    marks = [node["properties"].get("cnr_id") for node in signed(bare)["nodes"]]
    assert marks == [node["properties"].get("cnr_id") for node in saved["nodes"]], "the tool makes the same marks"
