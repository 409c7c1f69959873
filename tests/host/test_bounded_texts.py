"""Texts that name many things: how many is known before they are made."""

import pytest

from guidance_geometry.guidance.energies.label import wanted_labels
from guidance_geometry.guidance.labels import MOST, label_indices
from guidance_geometry.host.classifier_training import targets_of
from guidance_geometry.nodes.energies.perception import drawn_classes
from guidance_geometry.nodes.start import GGEmptyCanvas

from .rule_knobs import node
from .runs import guided

LABELS = tuple(f"label {i}" for i in range(1000))


def test_as_many_as_the_largest_batch_are_read():
    assert len(label_indices("*;" * 4, LABELS, 1000)) == 4000
    assert wanted_labels("1|2|1" + "|2" * 4100, LABELS) == ((1, 2),), "alternatives count once"


@pytest.mark.parametrize(
    ("read", "text", "words"),
    [
        (lambda text: label_indices(text, LABELS, 1000), "*\n" * 5, "more than 4,096"),
        (lambda text: label_indices(text, LABELS, 1000), "0;" * 49_999, "more than 4,096"),
        (lambda text: label_indices(text, LABELS, 1000), "x" * 99_999, "at most 200"),
        (lambda text: wanted_labels(text, LABELS), "*;" * 49_999, "more than 4,096"),
        (lambda text: wanted_labels(text, LABELS), "0|1;" * 24_000, "more than 4,096"),
        (lambda text: drawn_classes(text, LABELS), "a\n" * 49_999, f"more than {MOST:,}"),
        (lambda text: targets_of(text, 2), "a;" * 49_999, f"more than {MOST:,}"),
    ],
)
def test_more_are_refused_before_they_are_made(read, text, words):
    with pytest.raises(ValueError, match=words):
        read(text)


def test_a_canvas_of_terabytes_is_refused_before_it_is_made(labelled):
    with pytest.raises(ValueError, match="at most 1,073,741,824"):
        GGEmptyCanvas.execute(labelled["pocket"][0], 16384, 16384, 4096)


@pytest.mark.parametrize("formula", ["u" + ".u" * 900, "(" * 900 + "u" + ")" * 900, "-" * 1990 + "u", "u" + "+u" * 900])
def test_a_formula_of_any_depth_is_refused_in_a_sentence(host, formula):
    assert "formula" in str(node("GGFormula").validate_inputs(formula))
    with pytest.raises(ValueError, match="formula") as caught:
        node("GGFormula").execute(formula)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("denoise", [5e-324, 1e-6])
def test_a_schedule_too_long_to_be_made_is_refused(labelled, empty_latent, denoise):
    with pytest.raises(ValueError, match="Raise denoise"):
        guided(*labelled["ve"], empty_latent("ve"), "euler", steps=20, denoise=denoise)
