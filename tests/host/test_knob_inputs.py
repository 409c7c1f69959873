"""A node made of what a class states: its inputs, what it hands to the class, and what it refuses in the queue."""

from dataclasses import dataclass

import pytest

from guidance_geometry.guidance.knobs import Stated, knob
from guidance_geometry.guidance.rules.schedule import parse_values
from guidance_geometry.host.energy_inputs import EnergyNode


@dataclass(frozen=True)
class Painted(Stated):
    node_id = "GGPainted"
    name = "Painted (for a test)"
    description = "Nothing."
    together = ("low", "high")
    low: float = knob(0.2, "The lower end.", limits=(0.0, 1.0, 0.1), rounding=0.01)
    high: float = knob(0.8, "The upper end.", limits=(0.0, 1.0, 0.1), name="top")
    is_dark: bool = knob(False, "How dark.", choices={"light": False, "dark": True}, name="shade", shown="light")
    weights: tuple[float, ...] = knob((), "Numbers.", limits=(-1.0, 1.0), read=parse_values, shown="", later=True)

    def __post_init__(self):
        if self.low >= self.high:
            raise ValueError(f"low is {self.low:g} and top {self.high:g}. Make low the smaller one.")
        if len(self.weights) > 2:
            raise ValueError("weights are more than two.")


@pytest.fixture(scope="module")
def node(host):
    return type("GGPainted", (EnergyNode,), {"owner": Painted})


def test_its_inputs_are_the_knobs_with_those_that_came_later_behind(node):
    low, top, shade, weights = node.define_schema().inputs
    assert [one.id for one in (low, top, shade, weights)] == ["low", "top", "shade", "weights"]
    assert (low.default, low.min, low.max, low.step, low.round, low.tooltip) == (0.2, 0, 1, 0.1, 0.01, "The lower end.")
    assert (shade.options, shade.default, weights.default) == (["light", "dark"], "light", "")
    assert [one.optional for one in (low, top, shade, weights)] == [False, False, False, True]


def test_a_workflow_without_the_later_input_gives_its_default(node):
    assert node.execute(low=0.1, top=0.3, shade="dark")[0] == Painted(0.1, 0.3, True, ())
    assert node.execute(0.1, 0.3, "light", "0.5, -1")[0] == Painted(0.1, 0.3, False, (0.5, -1.0))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"low": 2.0}, "low is 2, outside 0 to 1"),
        ({"low": 0.9}, "low is 0.9 and top 0.8"),
        ({"shade": "pink"}, "shade is 'pink'"),
        ({"weights": "1, two"}, "weights holds 'two'"),
        ({"weights": "1, 7"}, "weights is 7, outside -1 to 1"),
        ({"weights": "1, 1, 1"}, "more than two"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_name_of_the_input(node, changes, words):
    given = {"low": 0.2, "top": 0.8, "shade": "light"} | changes
    with pytest.raises(ValueError, match=words):
        node.execute(**given)
    if {"low", "weights"} & changes.keys() and given["low"] <= 1:  # what the host does not check itself
        asked = {name: given.get(name, "") for name in ("low", "top", "weights")}
        assert words in node.validate_inputs(**asked)
        assert node.validate_inputs(**asked | {"low": None, "weights": ""}) is True, "one comes over a wire"
