"""How the templates are made."""

import json
import re

import pytest

from guidance_geometry.dev.templates.blueprints import BLUEPRINTS
from guidance_geometry.dev.templates.layouts import LAYOUTS
from guidance_geometry.dev.templates.make_template import chosen_samples
from guidance_geometry.dev.templates.thumbnails import DRAWN, SIDE
from guidance_geometry.figures.canvas import Box
from guidance_geometry.tests.project import PROJECT, ROOT

BESIDE = 80  # pixels that Nodes 2.0 puts above and below a picture that is as high as the node is wide
workflows = pytest.mark.parametrize(
    "workflow", sorted((ROOT / "example_workflows").glob("*.json")), ids=lambda file: file.stem
)


def every_node(saved):
    """The nodes of a workflow, and those of each of its subgraphs."""
    return [*saved["nodes"], *(node for one in saved["definitions"]["subgraphs"] for node in one["nodes"])]


@workflows
def test_the_nodes_of_a_template_say_which_pack_they_come_from(workflow):
    def number(version):
        return tuple(map(int, version.split(".")))

    saved = json.loads(workflow.read_text(encoding="utf-8"))
    nodes = every_node(saved)
    ours = [node for node in nodes if node["type"].startswith("GG")]
    assert ours
    assert {node["properties"].get("cnr_id") for node in ours} == {PROJECT["project"]["name"]}
    assert all(number(node["properties"]["ver"]) <= number(PROJECT["project"]["version"]) for node in ours)


@pytest.mark.parametrize("name", DRAWN)
def test_a_drawn_thumbnail_is_small_and_its_words_are_whole_and_apart(name):
    sheet, boxes = Box(0, 0, SIDE, SIDE), [box for _, box in DRAWN[name]().texts()]
    assert len(boxes) == 3
    assert all(sheet.holds(box) for box in boxes)
    assert not [box for k, box in enumerate(boxes) for other in boxes[k + 1 :] if box.meets(other)]
    assert not LAYOUTS[name].thumbnails, "it is drawn, not taken from a run"
    assert LAYOUTS[name].template.with_suffix(".jpg").stat().st_size <= 30_000


@workflows
def test_pictures_that_grow_in_nodes_2_cover_no_other_node(workflow):
    nodes = json.loads(workflow.read_text(encoding="utf-8"))["nodes"]
    for node in (one for one in nodes if one["type"] == "PreviewImage"):
        (left, top), (w, h) = node["pos"], node["size"]
        grown = Box(left, top, w, max(h, w + BESIDE))
        assert not [one for one in nodes if one is not node and Box(*one["pos"], *one["size"]).meets(grown)]


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=[*LAYOUTS])
def test_an_inspector_opens_on_the_sample_that_the_figures_draw(layout):
    nodes = every_node(json.loads(layout.template.read_text(encoding="utf-8")))
    chosen = chosen_samples(json.loads(layout.api.read_text(encoding="utf-8")))
    inspectors = {str(node["id"]): node["properties"] for node in nodes if node["type"] == "GGInspector"}
    opened = {name: {"gg_sample": facts["gg_sample"]} for name, facts in inspectors.items() if "gg_sample" in facts}
    assert opened == chosen


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=[*LAYOUTS])
def test_what_the_editor_tells_of_a_template_is_its_file(layout):
    assert re.fullmatch(r"[1-9]-[\w-]+", layout.template.stem, re.ASCII), "the oldest editor opens no other"
    saved = json.loads(layout.template.read_text(encoding="utf-8"))
    shown = {str(node["id"]): node for node in saved["nodes"]}
    app = saved["extra"]["linearData"]
    assert app["outputs"]
    assert all(shown[str(name)]["type"] == "PreviewImage" or layout.order == 1 for name in app["outputs"])
    for name, widget in app["inputs"]:
        node = shown[str(name)]
        assert node["type"].startswith("GG") or widget in {slot["name"] for slot in node["inputs"]}


@pytest.mark.parametrize("name", BLUEPRINTS)
def test_a_blueprint_is_one_subgraph_with_a_description(name):
    saved = json.loads((ROOT / "subgraphs" / f"{name}.json").read_text(encoding="utf-8"))
    (node,) = saved["nodes"]
    assert node["type"] in {one["id"] for one in saved["definitions"]["subgraphs"]}
    assert saved["extra"]["BlueprintDescription"] == BLUEPRINTS[name].description
    assert {"model", "positive", "negative", "latent_image", "vae"} <= {slot["name"] for slot in node["inputs"]}
    assert not saved["links"]
