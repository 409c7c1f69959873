"""Half precision in, a finite picture out: every rule node at the ends of its widgets, at every noise level."""

import pytest
import torch
from hypothesis import assume, given, settings, strategies

from guidance_geometry.dev.fixtures.rule_nodes import tried_chain
from guidance_geometry.guidance.predictions import Predictions
from guidance_geometry.guidance.synthetic_run import play
from guidance_geometry.nodes.lab import GGMixtureModel
from guidance_geometry.nodes.start import GGClassLabel

from .rule_knobs import ALL, node

LEVELS = {"ve": (1000.0, 80.0, 1.0, 0.03, 0.002), "flow": (1.0, 0.9, 0.5, 0.03, 0.002)}
GAMMAS = (0.0, 1.05, 7.5, 100.0)
SIZES = (0.3, 300.0)  # of a prediction
FITS = 0.99  # of the dtype's largest number
SHAPE = (2, 3, 8, 8)


def extremes(one):
    """The ends of a widget, or all its options."""
    if getattr(one, "options", None):
        return list(one.options)
    if isinstance(getattr(one, "default", None), bool):
        return [True, False]
    low, high = getattr(one, "min", None), getattr(one, "max", None)
    return [] if low is None else [low, high]


def steps_of(chain, space, size, dtype):
    """A run of predictions in this dtype, all of it drawn in float64."""
    draws = torch.Generator().manual_seed(0)

    def drawn():
        return torch.randn(SHAPE, generator=draws, dtype=torch.float64)

    clean, found = size * drawn(), []
    names = list(chain.sources)
    for sigma in LEVELS[space]:
        alpha = 1 - sigma if space == "flow" else 1.0
        x = alpha * clean + sigma * drawn()
        u, c, *more = (clean + 0.3 * size * min(sigma, 1.0) * drawn() for _ in range(2 + len(names)))
        level, signal = (torch.full(SHAPE[:1], value) for value in (sigma, alpha))
        further = {name: v.to(dtype) for name, v in zip(names, more, strict=True)}
        found.append(Predictions(x.to(dtype), level, signal, u.to(dtype), c.to(dtype), further))
    return found


def in_float64(p):
    further = {name: v.double() for name, v in p.extra.items()}
    return Predictions(p.x.double(), p.sigma, p.alpha, p.uncond.double(), p.cond.double(), further)


def lost(chain, space, size, gamma, dtype):
    """Steps at which a number that fits is not finite."""
    steps = steps_of(chain, space, size, dtype)
    largest = FITS * torch.finfo(dtype).max
    pairs = zip(play(chain, steps, gamma), play(chain, [*map(in_float64, steps)], gamma), strict=True)
    return [i for i, (half, whole) in enumerate(pairs) if (~half.isfinite() & (whole.abs() <= largest)).any()]


@pytest.fixture(scope="module")
def sockets(host):
    model = GGMixtureModel.execute(shape="3x8x8", classes=3, kind="ve", seed=0)[0]
    return {"MODEL": model, "CONDITIONING": GGClassLabel.execute(model, "1")[0]}


def changes_of(rule):
    """Some widgets of a rule's node at one of their ends."""
    knobs = {one.id: extremes(one) for one in rule.define_schema().inputs if extremes(one)}
    ends = {name: strategies.sampled_from(values) for name, values in knobs.items()}
    return strategies.fixed_dictionaries({}, optional=ends)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(data=strategies.data(), name=strategies.sampled_from(ALL))
def test_no_rule_loses_a_number_that_half_precision_can_hold(sockets, name, data):
    chain = tried_chain(node(name), sockets, data.draw(changes_of(node(name))))
    assume(chain is not None)
    drawn = (list(LEVELS), SIZES, GAMMAS, (torch.float16, torch.bfloat16))
    level, size, gamma, dtype = (data.draw(strategies.sampled_from(one)) for one in drawn)
    assert lost(chain, level, size, gamma, dtype) == []
