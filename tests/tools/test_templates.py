"""How the templates are made."""

import json

import pytest

from guidance_geometry.figures.canvas import Box
from guidance_geometry.tests.project import PROJECT, ROOT
from guidance_geometry.tools.templates.layouts import LAYOUTS
from guidance_geometry.tools.templates.make_template import signed
from guidance_geometry.tools.templates.thumbnails import DRAWN, SIDE


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


@pytest.mark.parametrize("name", DRAWN)
def test_a_drawn_thumbnail_is_small_and_its_words_are_whole_and_apart(name):
    sheet, boxes = Box(0, 0, SIDE, SIDE), [box for _, box in DRAWN[name]().texts()]
    assert len(boxes) == 3
    assert all(sheet.holds(box) for box in boxes)
    assert not [box for k, box in enumerate(boxes) for other in boxes[k + 1 :] if box.meets(other)]
    assert not LAYOUTS[name].thumbnails, "it is drawn, not taken from a run"
    assert LAYOUTS[name].template.with_suffix(".jpg").stat().st_size <= 30_000


def test_every_template_has_pictures_of_a_run_or_a_drawing():
    assert {name for name, layout in LAYOUTS.items() if not layout.thumbnails} == set(DRAWN)
