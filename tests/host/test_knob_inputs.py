"""A node made of what a class states: its inputs, what it hands to the class, and what it refuses in the queue."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from guidance_geometry.guidance.knobs import Stated, knob, socket
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
    with pytest.raises(ValueError, match=words):
        node.execute(**{"low": 0.2, "top": 0.8, "shade": "light"} | changes)


@dataclass(frozen=True)
class Seen(Stated):
    node_id = "GGSeen"
    name = "Seen (for a test)"
    description = "Nothing."
    network: Any = socket("GG_CLASSIFIER", "A network.", name="classifier", answers="depth")
    depths: Any = socket("IMAGE", "A picture.", name="image", read=len)
    texts: str = knob("a", "What is there.", multiline=True)


def test_what_comes_over_a_wire_is_read_and_a_network_must_answer_what_it_is_asked(host):
    node = type("GGSeen", (EnergyNode,), {"owner": Seen})
    inputs: Any = node.define_schema().inputs
    classifier, image, texts = inputs
    assert [one.get_io_type() for one in inputs] == ["GG_CLASSIFIER", "IMAGE", "STRING"]
    assert (classifier.id, image.id, texts.multiline) == ("classifier", "image", True)
    assert node.checks == {}, "nothing of it can be made in the queue"
    deep = SimpleNamespace(output="depth", inverse=True, depth=None, noise_aware=False, judge=False)
    assert node.execute(deep, torch.zeros(3, 8, 8, 3), "b")[0] == Seen(deep, 3, "b")
    with pytest.raises(ValueError, match="but depth is needed"):
        node.execute(SimpleNamespace(**vars(deep) | {"output": "labels"}), torch.zeros(3, 8, 8, 3), "b")


def test_the_queue_asks_about_texts_and_about_what_belongs_together(node):
    assert node.validate_inputs(low=0.9, top=0.8, weights="") == "low is 0.9 and top 0.8. Make low the smaller one."
    assert "'two'" in node.validate_inputs(low=0.1, top=0.8, weights="two")
    assert node.validate_inputs(low=None, top=0.8, weights="") is True, "one comes over a wire"
    assert node.validate_inputs(low=0.1, top=0.8, weights="0.5") is True
