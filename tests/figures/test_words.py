import math
from itertools import pairwise

import pytest

from guidance_geometry.figures.labels import nice_length
from guidance_geometry.figures.layout import stack_centres
from guidance_geometry.figures.words import number, percent


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0"),
        (4.0, "4"),
        (2.3444, "2.34"),
        (-0.51, "\u22120.51"),
        (12345.0, "12300"),
        (3.14e-5, "3.14\u00b710\u207b\u2075"),
        (2e6, "2\u00b710\u2076"),
        (math.nan, "not known"),
        (0.001, "0.001"),
        (0.8125, "0.813"),
        (1e-8, "10\u207b\u2078"),
    ],
)
def test_numbers_have_three_digits(value, words):
    assert number(value) == words


@pytest.mark.parametrize(
    ("share", "words"), [(0.0, "0 %"), (1e-5, "under 0.1 %"), (0.004, "0.4 %"), (0.716, "72 %"), (1.0, "100 %")]
)
def test_shares_are_whole_percent(share, words):
    assert percent(share) == words


@pytest.mark.parametrize("least", [1e-7, 0.9, 1.0, 1.01, 2.0, 4.9, 5.0, 7.0, 3e5])
def test_scale_bars_are_round_and_long_enough(least):
    length = nice_length(least)
    assert least <= length * (1 + 1e-9) <= 2.5 * least * (1 + 1e-6)
    assert f"{length:e}"[0] in "125"


def test_labels_in_a_column_keep_order_and_distance():
    centres = stack_centres([50.0, 51.0, 52.0, 300.0], [40.0, 40.0, 40.0, 40.0], 0.0, 400.0)
    assert centres == sorted(centres)
    assert all(b - a >= 46 - 1e-2 for a, b in pairwise(centres))
    assert centres[0] >= 20 - 1e-2
    assert centres[3] == 300.0
    assert stack_centres([24.0, 150.0, 520.0], [92.0, 92.0, 92.0], 24.0, 520.0) == pytest.approx(
        [70, 168, 474], abs=0.01
    )
