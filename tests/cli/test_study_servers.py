"""What servers lack for a study is said before any work."""

import json
import math

import pytest

from guidance_geometry.cli.sweep import FIRST_LOOK
from guidance_geometry.sweeps.axes import Axis
from guidance_geometry.sweeps.cells import cells_of
from guidance_geometry.sweeps.comfyui.misfits import limits_exceeded, misfits, refuse_misfits
from guidance_geometry.sweeps.plan import Plan
from guidance_geometry.sweeps.rules import NOTHING


def workflow():
    return json.loads(FIRST_LOOK.read_text(encoding="utf-8"))


def told(**changes):
    """What a server with the nodes of the first look says of itself."""
    nodes = {
        node["class_type"]: {"input": {"required": {name: ["STRING", {}] for name in node["inputs"]}}}
        for node in cells_of(Plan(workflow(), (Axis("cfg", (1,)),)), NOTHING, {}, "1")[0].prompt.values()
    }
    nodes["GGLoadDenoiser"]["input"]["required"]["denoiser_name"] = [["pocket-flow-1"], {}]
    nodes["GGGuidedSampler"]["input"]["required"]["sampler_name"] = ["COMBO", {"options": ["euler", "heun"]}]
    return nodes | changes


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        ("FLOAT", 1e300, "GGGuidedSampler has cfg 1e+300, and takes 0 to 100."),
        ("INT", 2.5, "has cfg 2.5, and needs a whole number from 0 to 100."),
        ("FLOAT", True, "has cfg True, and needs a number from 0 to 100."),
        ("FLOAT", 100.0, ""),
    ],
)
def test_a_number_that_a_widget_cannot_hold_is_said_before_any_work(kind, value, words):
    """By the range that the node itself states."""
    cell = cells_of(Plan(workflow(), (Axis("cfg", (value,)),)), NOTHING, {}, "1")[0]
    server = told()
    server["GGGuidedSampler"]["input"]["required"]["cfg"] = [kind, {"min": 0.0, "max": 100.0}]
    found = misfits([cell.prompt], server, "A")
    assert bool(found) == bool(words)
    assert words in "".join(found)


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_numbers_of_a_workflow_that_are_not_finite_are_no_whole_ones(value):
    """A file in JSON may hold them."""
    assert limits_exceeded(["INT", {"min": 0, "max": 9}], value) == "needs a whole number from 0 to 9"


def test_what_servers_lack_is_said_before_any_work():
    cells = cells_of(Plan(workflow(), (Axis("sampler", ("euler", "huen")),)), NOTHING, {}, "1")
    old = told(GGEmptyCanvas={"input": {"required": {"model": ["MODEL"], "size": ["INT", {}]}}})
    poor = told(GGLoadDenoiser={"input": {"required": {"denoiser_name": [["other-1"], {}]}}})
    bare = told()
    del bare["GGSaveTrace"]
    with pytest.raises(ValueError, match="huen") as refused:
        refuse_misfits(cells, {"A": old, "B": poor, "C": bare})
    text = str(refused.value)
    assert "A: GGEmptyCanvas there needs an input size, so it is another version." in text
    assert "B: GGLoadDenoiser has no denoiser_name 'pocket-flow-1'." in text
    assert "C: it has no node GGSaveTrace." in text
    assert "Did you mean heun" in text
    assert len(text.splitlines()) == 6
