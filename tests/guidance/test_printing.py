"""Whatever an object holds, printing it gives a text: a host prints the wires of a failed node outside any guard."""

from dataclasses import dataclass
from inspect import isabstract
from itertools import product

import pytest
import torch

from guidance_geometry.guidance.chain import Chain, Foreign
from guidance_geometry.guidance.energies import perception, reference
from guidance_geometry.guidance.energies.composition import MaskedEnergy
from guidance_geometry.guidance.energies.label import LabelEnergy
from guidance_geometry.guidance.energies.protocol import PictureEnergy
from guidance_geometry.guidance.gradients.term import GradientOptions
from guidance_geometry.guidance.printing import LONGEST, Printed, Words, count_of, quote, safe_text, text_of
from guidance_geometry.guidance.rules.kinds import Combine
from guidance_geometry.models.classifiers.exact import MixtureClassifier
from guidance_geometry.models.classifiers.wired import WiredNetwork
from guidance_geometry.trace.trace import Trace

from ..hostile import Hostile, filled


class Wordless:
    text = 7


PARTS = {"hostile": Hostile(), "none": None, "text": "x", "number": 3, "list": [[]], "wordless": Wordless()}
PARTS |= {"mapping": {"name": Hostile()}, "nan": float("nan"), "tensor": torch.zeros(2, 2), "long": "x" * 20_000}


def subclasses(kind):
    return [found for each in kind.__subclasses__() for found in (each, *subclasses(each))]


def printed_classes():
    """Every class of the pack that is printed, and every rule and energy within them."""
    assert {Chain, Foreign, Trace, WiredNetwork, MixtureClassifier, GradientOptions} <= {*subclasses(Printed)}
    assert {LabelEnergy, reference.StyleEnergy, perception.DepthEnergy} <= {*subclasses(Printed)}
    ours = {kind for kind in subclasses(Printed) if kind.__module__.startswith("guidance_geometry")}
    return sorted((kind for kind in ours if not isabstract(kind)), key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", printed_classes(), ids=lambda kind: kind.__name__)
def test_whatever_it_holds_it_prints(kind):
    for (name, part), say in product(PARTS.items(), (str, repr, text_of)):
        assert 0 < len(say(filled(kind, part))) <= LONGEST, name


def test_nested_energies_print_only_a_page():
    made = MaskedEnergy(reference.SmoothEnergy(), torch.ones(1, 2, 2))
    for _ in range(3000):
        made = MaskedEnergy(made, torch.ones(1, 2, 2))
    assert len(str(made)) <= LONGEST


def test_what_cannot_be_printed_is_named_with_the_reason():
    assert safe_text(Hostile()) == "Hostile without a text: Broken"
    assert text_of(Wordless()) == "Wordless without a text: its text is a int"


def test_what_has_no_text_of_its_own_is_told_by_its_knobs():
    @dataclass(frozen=True)
    class Halfway(Combine):
        share: float = 0.5
        word: str = "x"

        def step(self, state, p, gamma): ...

    @dataclass(frozen=True, repr=False)
    class Bright(PictureEnergy):
        wanted: torch.Tensor

    assert Halfway().text == "Halfway share 0.5, word 'x'"
    assert Chain((Halfway().within(0.0, 0.5),)).text == "Halfway share 0.5, word 'x', 0 .. 0.5 of the steps"
    assert str(Bright(torch.ones(3))) == "Energy(Bright wanted a Tensor)"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.5, "0.5"),
        (1234567.0, "1.23457e+06"),
        (1234567, "1234567"),
        (None, "None"),
        ("a", "'a'"),
        ([1], "a list"),
        (10**20 - 1, "9" * 20),
        (10**20, "a int"),
        ("a" * 200, repr("a" * 200)),
        ("a" * 201, "a str"),
    ],
)
def test_a_value_is_named_shortly(value, said):
    assert quote(value) == said


def test_a_word_agrees_with_its_number():
    assert [count_of(count, "step") for count in (0, 1, 2, 1000)] == ["0 steps", "1 step", "2 steps", "1,000 steps"]
    assert "{n} {n:run was|runs were}".format(n=Words("1")) == "1 run was"
