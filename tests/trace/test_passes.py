"""What a further pass made of D: along the difference, in units of the scale, and across it."""

import pytest
import torch

from guidance_geometry.tests.trace.drawn_steps import columns, draw
from guidance_geometry.trace.recorder import Evaluation, Pass


def guided(u, c, gamma, passes):
    """The evaluation of D = u + gamma (c - u) + sum of w d, from {name: (w, d)}."""
    made = sum(weight * away for weight, away in passes.values())
    seen = {name: Pass(away, 1) for name, (_, away) in passes.items()}
    return Evaluation(u + gamma * (c - u) + made, u, c, gamma, 2 + len(seen), passes=seen)


def of(v, w):
    return (v.double() * w.double()).flatten(1).sum(dim=1)


@pytest.mark.parametrize("handed", [True, False])
def test_what_a_pass_made_is_told_along_and_across_the_difference(handed):
    u, c, away, other = draw(1), draw(2), draw(3), draw(4)
    found = columns([guided(u, c, 4.0, {"PAG": (2.5, away), "STG": (-1.5, other)})] * 3, states_scales=handed)
    delta = c - u
    for name, weight, v in (("PAG", 2.5, away), ("STG", -1.5, other)):
        along = weight * of(v, delta) / of(delta, delta)
        across = 1 - of(v, delta).square() / (of(delta, delta) * of(v, v))
        assert torch.allclose(found[f"along {name}"][0], along, rtol=1e-6)
        assert torch.allclose(found[f"across {name}"][0], across, rtol=1e-6)


def test_a_pass_along_the_difference_is_a_higher_scale_and_nothing_across():
    u, c = draw(1), draw(2)
    found = columns([guided(u, c, 4.0, {"PAG": (1.0, 0.5 * (c - u) + 1e-3 * draw(3))})] * 3)
    assert found["along PAG"][0].tolist() == pytest.approx([0.5] * 3, rel=1e-2)
    assert found["across PAG"].max() < 1e-4


def test_what_is_not_proved_or_not_compared_is_unknown():
    u, c, away = draw(1), draw(2), draw(3)
    unproved = Evaluation(u + 4 * (c - u) + draw(4), u, c, 4.0, 3, passes={"PAG": Pass(away, 1)})
    alone = Evaluation(c + 2 * away, None, c, 1.0, 2, passes={"PAG": Pass(away, 1)})
    elsewhere = Evaluation(u + 4 * (c - u), u, c, 4.0, 3, passes={"PAG": Pass(away * torch.nan, 1)})
    found = columns([unproved, alone, elsewhere])
    assert found["along PAG"].isnan().all()
    assert found["across PAG"][1:].isnan().all()
