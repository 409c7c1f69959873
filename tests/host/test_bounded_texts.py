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


@pytest.mark.parametrize("text", ["*;" * 49_999, "0;" * 49_999, "*\n" * 5])
def test_labels_are_at_most_one_for_each_image_of_the_largest_batch(text):
    with pytest.raises(ValueError, match="more than 4,096"):
        label_indices(text, LABELS, 1000)
    assert len(label_indices("*;" * 4, LABELS, 1000)) == 4000
    with pytest.raises(ValueError, match="at most 200"):
        label_indices("x" * 99_999, LABELS, 1000)


@pytest.mark.parametrize("text", ["*;" * 49_999, "0;" * 49_999, "0|1;" * 24_000])
def test_labels_of_an_energy_are_bounded(host, text):
    with pytest.raises(ValueError, match="more than 4,096"):
        wanted_labels(text, LABELS)


def test_alternatives_count_once(host):
    assert wanted_labels("1|2|1" + "|2" * 9000, LABELS) == ((1, 2),)


@pytest.mark.parametrize("text", ["a;" * 49_999, "a\n" * 49_999])
def test_texts_and_classes_are_bounded(host, text):
    for read in (lambda: drawn_classes(text, LABELS), lambda: targets_of(text, 2)):
        with pytest.raises(ValueError, match=f"more than {MOST:,} entries"):
            read()


def test_a_canvas_of_terabytes_is_refused_before_it_is_made(labelled):
    with pytest.raises(ValueError, match="at most 1,073,741,824 are made"):
        GGEmptyCanvas.execute(labelled["pocket"][0], 16384, 16384, 4096)


@pytest.mark.parametrize("formula", ["u" + ".u" * 900, "(" * 900 + "u" + ")" * 900, "-" * 1990 + "u", "u" + "+u" * 900])
def test_a_formula_of_any_depth_is_read_or_refused_in_a_sentence(host, formula):
    GGFormula = node("GGFormula")
    assert "formula" in str(GGFormula.validate_inputs(formula))
    with pytest.raises(ValueError, match="formula") as caught:
        GGFormula.execute(formula)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("denoise", [5e-324, 1e-6])
def test_a_schedule_too_long_to_be_made_is_refused(labelled, empty_latent, denoise):
    with pytest.raises(ValueError, match="Raise denoise"):
        guided(*labelled["ve"], empty_latent("ve"), "euler", steps=20, denoise=denoise)
