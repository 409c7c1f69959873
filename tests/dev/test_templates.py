"""How the templates are made."""

import copy
import json

import pytest

from guidance_geometry.dev.templates.layouts import LAYOUTS
from guidance_geometry.dev.templates.make_template import of_one_sample, with_pack_id
from guidance_geometry.dev.templates.thumbnails import DRAWN, SIDE
from guidance_geometry.dev.templates.wires import behind, ends, led_around
from guidance_geometry.figures.canvas import Box
from guidance_geometry.tests.project import PROJECT, ROOT

BESIDE = 80  # pixels that Nodes 2.0 puts above and below a picture that is as high as the node is wide
workflows = pytest.mark.parametrize(
    "workflow", sorted((ROOT / "example_workflows").glob("*.json")), ids=lambda file: file.stem
)


@workflows
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
    marks = [node["properties"].get("cnr_id") for node in with_pack_id(bare)["nodes"]]
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


def bends_of(saved):
    """Link id -> the points between its ends."""
    points = {point["id"]: point for point in saved["extra"].get("reroutes", [])}
    for link in saved["extra"].get("linkExtensions", []):
        bends, name = [], link["parentId"]
        while name:
            bends.insert(0, tuple(points[name]["pos"]))
            name = points[name].get("parentId")
        yield link["id"], bends


@workflows
def test_no_wire_of_a_template_passes_behind_a_node(workflow):
    saved = json.loads(workflow.read_text(encoding="utf-8"))
    nodes, bends = {node["id"]: node for node in saved["nodes"]}, dict(bends_of(saved))
    for link in saved["links"]:
        start, end = ends(nodes, link)
        assert not behind([start, *bends.get(link[0], []), end], nodes), link


def test_a_wire_is_led_around_the_node_before_it_and_shares_its_bends():
    nodes = [{"id": k, "pos": [300 * k, 100 * (k == 3)], "size": [200, 60 + 200 * (k == 1)]} for k in range(4)]
    links = [[1, 0, 0, 2, 0, "MODEL"], [2, 0, 0, 3, 0, "MODEL"], [3, 0, 0, 1, 0, "MODEL"]]
    made = led_around({"nodes": nodes, "links": links, "groups": [], "extra": {"ds": {}}})
    bends = dict(bends_of(made))
    assert bends.keys() == {1, 2}, "the third wire has nothing in its way"
    by_name = {node["id"]: node for node in nodes}
    assert behind(list(ends(by_name, links[0])), by_name) == {1}
    assert not [link for link in links[:2] if behind([*bends[link[0]]], by_name)]
    assert bends[1][0] == bends[2][0]
    assert made["extra"]["reroutes"][0]["linkIds"] == [1, 2]


@workflows
def test_pictures_that_grow_in_nodes_2_cover_no_other_node(workflow):
    nodes = json.loads(workflow.read_text(encoding="utf-8"))["nodes"]
    for node in (one for one in nodes if one["type"] == "PreviewImage"):
        (left, top), (w, h) = node["pos"], node["size"]
        grown = Box(left, top, w, max(h, w + BESIDE))
        assert not [one for one in nodes if one is not node and Box(*one["pos"], *one["size"]).meets(grown)]


@workflows
def test_nodes_that_sample_have_titles_of_their_own(workflow):
    nodes = json.loads(workflow.read_text(encoding="utf-8"))["nodes"]
    titles = [node.get("title") for node in nodes if node["type"] == "GGGuidedSampler"]
    assert len({*titles}) == len(titles)


@workflows
def test_an_inspector_opens_on_the_sample_that_the_figures_draw(workflow):
    kept = json.loads(workflow.read_text(encoding="utf-8"))
    assert of_one_sample(copy.deepcopy(kept)) == kept


def test_figures_of_several_samples_leave_the_choice_to_the_inspector():
    nodes = [{"type": "GGFigure", "widgets_values": ["step plane", -1, k]} for k in (2, 4)]
    nodes.append({"type": "GGInspector", "properties": {}})
    assert of_one_sample({"nodes": nodes})["nodes"][2]["properties"] == {}
    assert of_one_sample({"nodes": nodes[1:]})["nodes"][1]["properties"] == {"gg_sample": 4}
