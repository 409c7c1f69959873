"""The table of classifier guidance: what is kept is not made twice, and CFG's row at equal accuracy is on the line."""

import math

import pytest
import torch

from guidance_geometry.lab.pages.evaluations import BATCH, NOISY, SEED, Row, kept_pixels
from guidance_geometry.lab.pages.evaluations_page import as_accurate


class Counting:
    """A demo model whose pictures say which seed made them."""

    def __init__(self):
        self.seeds = []

    def sample(self, row, batch, seed):
        self.seeds.append(seed)
        return torch.full((batch, 3, 2, 2), seed / 255 * 2 - 1)


def test_a_stopped_table_goes_on_where_it_was(tmp_path):
    demo, row = Counting(), Row(NOISY, 2.0)
    assert kept_pixels(demo, row, 2 * BATCH, until=-math.inf, folder=tmp_path) is None
    assert demo.seeds == []
    first, whole = (kept_pixels(demo, row, count, until=math.inf, folder=tmp_path) for count in (BATCH, 2 * BATCH))
    again = kept_pixels(demo, row, 30, until=-math.inf, folder=tmp_path)
    assert demo.seeds == [SEED, SEED + BATCH]
    assert whole is not None
    assert first is not None
    assert again is not None
    assert torch.equal(whole[:BATCH], first)
    assert whole[:, 0, 0, 0].unique().tolist() == [SEED, SEED + BATCH]
    assert torch.equal(again, first[:30])


def test_rows_that_differ_are_kept_apart(tmp_path):
    demo = Counting()
    rows = (Row(NOISY, 2.0), Row(NOISY, 2.5), Row(NOISY, 2.0, steps=50), Row(NOISY, 2.0, "dpmpp_2m"), Row("x0", 2.0))
    for row in rows:
        kept_pixels(demo, row, BATCH, folder=tmp_path)
    assert len(demo.seeds) == len(rows)


@pytest.mark.parametrize(
    ("accuracy", "gamma", "distance"),
    [
        (0.8, "1.50", "3.00"),
        (0.7, "1.00", "4.00"),
        (0.95, "2.00", "1.00"),
        (0.5, "below 1", ""),
        (1, "not reached", ""),
    ],
)
def test_cfg_at_equal_accuracy_lies_between_its_rows(accuracy, gamma, distance):
    rows = [(0.7, 1.0, 4.0), (0.8, 1.5, 3.0), (0.9, 2.0, 2.0)]
    free = [(share, g, {"frechet": far, "diversity": 0.5}) for share, g, far in rows]
    free[2] = (0.95, 2.0, {"frechet": 1.0, "diversity": 0.5})
    found = as_accurate(free, accuracy)
    assert found[:2] == [gamma, distance]
