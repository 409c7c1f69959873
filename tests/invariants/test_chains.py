"""Chains of one, two and three rules against their formulas, in samplers of one and of two stages."""

import itertools
import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from guidance_geometry.dev.fixtures.mac_tensor import MacTensor, mac
from guidance_geometry.guidance import rules
from guidance_geometry.guidance.chain import Chain
from guidance_geometry.guidance.invariants import examine, list_failures
from guidance_geometry.guidance.predictions import Predictions
from guidance_geometry.guidance.rules.adaptive_projected import AdaptiveProjected
from guidance_geometry.guidance.rules.angle import Angle
from guidance_geometry.guidance.rules.autoguidance import Autoguidance
from guidance_geometry.guidance.rules.bands import Bands
from guidance_geometry.guidance.rules.energy_preserving import EnergyPreserving
from guidance_geometry.guidance.rules.feedback import Feedback
from guidance_geometry.guidance.rules.formula import Formula
from guidance_geometry.guidance.rules.interval import Interval
from guidance_geometry.guidance.rules.kinds import Combination, Rule, Schedule, Source
from guidance_geometry.guidance.rules.location_norm import LocationNorm
from guidance_geometry.guidance.rules.magnitude_aware import MagnitudeAware
from guidance_geometry.guidance.rules.negative import Negative
from guidance_geometry.guidance.rules.perp_neg import PerpNeg
from guidance_geometry.guidance.rules.perturbed import Perturbed
from guidance_geometry.guidance.rules.plus_plus import PlusPlus
from guidance_geometry.guidance.rules.power_law import PowerLaw
from guidance_geometry.guidance.rules.rescale import Rescale
from guidance_geometry.guidance.rules.reuse import Reuse
from guidance_geometry.guidance.rules.schedule import ScaleSchedule
from guidance_geometry.guidance.rules.skim import Skim
from guidance_geometry.guidance.rules.tangential import Tangential
from guidance_geometry.guidance.rules.tangential_amplify import TangentialAmplify
from guidance_geometry.guidance.rules.threshold import DynamicThreshold
from guidance_geometry.guidance.rules.zero_star import ZeroStar
from guidance_geometry.guidance.run import Run
from guidance_geometry.guidance.synthetic_run import map_tensors
from guidance_geometry.tests.classes import made_without, or_skipped
from guidance_geometry.tests.rule_formulas import ORDER, ByHand, Moment
from guidance_geometry.tests.toys import draw, near

BATCH, SHAPE, GAMMA = 2, (2, 4, 6), 4.0
SIGMAS = {"ve": (8.0, 4.0, 2.0, 1.0, 0.5, 0.0), "flow": (1.0, 0.85, 0.7, 0.5, 0.2, 0.0)}
WEAK, WORSE = Source("cond", object()), Source("cond", object())
RULES = {
    "list": ScaleSchedule("list", values=(5.0, 4.5, 4.0, 3.5, 3.0)),
    "linear": ScaleSchedule("linear", 0.5, 1.2),
    "linear from one": ScaleSchedule("linear", 0.0, 1.0),
    "interval": Interval("percent", 0.4, 0.8),
    "CFG++": PlusPlus(),
    "autoguidance": Autoguidance(WEAK, 0.6),
    "weak model": Autoguidance(WEAK),
    "Perp-Neg": PerpNeg("e", 0.8),
    "two conditions": Negative(("a", "b"), (0.5, -0.4)),
    "InstructPix2Pix": Negative(("a",), (1.5,), "InstructPix2Pix"),
    "nested": Negative(("a",), (1.5,), "nested"),
    "APG": AdaptiveProjected(0.2, 0.3, -0.5),
    "APG in v": AdaptiveProjected(0.2, 2.0, 0.3, True, "v"),
    "CFG-Zero*": ZeroStar(2),
    "TCFG": Tangential(),
    "FDG": Bands("FDG", 0.4, 1.2),
    "FreSca": Bands("FreSca", 0.8, 1.3, 0.6),
    "power law": PowerLaw(0.3, "epsilon"),
    "MAMBO-G": MagnitudeAware(0.5),
    "reuse held": Reuse(2, "hold"),
    "reuse line": Reuse(3, "line"),
    "ADG": Angle(),
    "skim": Skim(2.0),
    "FBG": Feedback(),
    "formula": Formula("c + (gamma - 1) * rej(d, x)"),
    "rescale": Rescale(0.6),
    "EP-CFG": EnergyPreserving(),
    "CFGNorm": LocationNorm(0.7, False, "v"),
    "percentile": DynamicThreshold("percentile", 0.9, 0.8),
    "mimic": DynamicThreshold("mimic", 0.95, mimic_scale=2.0),
    "TAG": TangentialAmplify(1.2, 0.1),
    "perturbed": Perturbed(WORSE, 2.0),
    "perturbed early": Perturbed(WORSE, -1.5, 0.0, 0.6),
    "linear through one": ScaleSchedule("linear", -1.0, 1.0).within(0.4, 1.0),
    "linear late": ScaleSchedule("linear", 0.5, 1.2).within(0.4, 1.0),
    "weak model late": Autoguidance(WEAK).within(0.4, 1.0),
    "nested late": Negative(("a",), (1.5,), "nested").within(0.6, 1.0),
    "APG for a while": AdaptiveProjected(0.2, 0.3, -0.5).within(0.2, 0.8),
    "CFG-Zero* early": ZeroStar(2).within(0.0, 0.6),
    "CFG-Zero* late": ZeroStar(2).within(0.4, 1.0),
    "CFG-Zero* later": ZeroStar(3).within(0.2, 1.0).within(0.4, 1.0),
    "reuse early": Reuse(2, "hold").within(0.0, 0.6),
    "FBG early": Feedback().within(0.0, 0.6),
    "rescale late": Rescale(0.6).within(0.4, 1.0),
}
FORMULAS = {name for names in ORDER for name in names}


def fits(names):
    """Whether a chain may hold these rules: one in a step combines, and one of each kind that cannot share a run."""
    rules = [RULES[name] for name in names]
    scales = sum(isinstance(rule, Schedule) for rule in rules) if "CFG++" in names else 0
    combining = [rule.window for rule in rules if isinstance(rule, Combination)]
    meet = any(max(a[0], b[0]) < min(a[1], b[1]) for a, b in itertools.combinations(combining, 2))
    alone = [sum(word in name for name in names) for word in ("reuse", "CFG-Zero*")]  # passes skipped, zero-init
    return not meet and max(*alone, scales) <= 1


def evaluations(chain, family) -> Iterator[tuple[int, bool, Any]]:
    """One evaluation for each outer step, and one for a further stage of it, of predictions near each other."""
    sigmas, flow = SIGMAS[family], family == "flow"
    for i, sigma in enumerate(sigmas[:-1]):
        for k, level in enumerate(
            (sigma, sigmas[i + 1] if i % 2 and sigmas[i + 1] else math.sqrt(sigma * sigma * 0.7))
        ):
            seeds = itertools.count(1000 * i + 100 * k)
            clean, eps = draw((BATCH, *SHAPE), 7), draw((BATCH, *SHAPE), next(seeds))
            near = [clean + 0.3 * draw((BATCH, *SHAPE), next(seeds)) for _ in range(2 + len(chain.sources))]
            signal = 1 - level if flow else 1.0
            sigma, alpha = (torch.full((BATCH,), value, dtype=torch.float64) for value in (level, signal))
            extra = dict(zip(chain.sources, near[2:], strict=True))
            yield i, k > 0, Predictions(signal * clean + level * eps, sigma, alpha, near[0], near[1], extra)


def asked_for(chain, state, p, sigma, gamma):
    needs = chain.needs(state, sigma, gamma)
    extra = {name: v for name, v in p.extra.items() if name in needs}
    return replace(p, uncond=p.uncond if "uncond" in needs else None, extra=extra)


def in_chain(chain, family, gamma, evaluated=evaluations):
    """Guided predictions of a run whose steps have two stages, as a sampler asks for them."""
    state = following = chain.init(Run(SIGMAS[family], family == "flow"))
    for i, further, p in evaluated(chain, family):
        began = SIGMAS[family][i]
        state = state if further else following
        scale = chain.scale(state.inside(began if further else None), float(p.sigma[0]), gamma)
        seen = asked_for(chain, state, p, began, scale)
        if further:
            yield chain.stage(state, following, seen, scale)
        else:
            guided, following = chain.step(state, seen, scale)
            yield guided


def by_hand(chain, family, gamma, b):
    """The same of one item by the formulas."""
    reference = ByHand(chain.rules, SIGMAS[family], family == "flow")
    for i, further, p in evaluations(chain, family):
        named = {key: v[b] for key, v in p.extra.items()}
        m = Moment(p.x[b], p.uncond[b], p.cond[b], float(p.sigma[b]), float(p.alpha[b]), family == "flow", named)
        yield (reference.stage if further else reference.first)(i, m, gamma)


def made_of(names):
    """The chain; lambda of CFG++ stands in the place of gamma."""
    return Chain(tuple(RULES[name] for name in names)), 0.8 if "CFG++" in names else GAMMA


def on(device):
    """The evaluations of a run as a device has them: in float32, there."""

    def moved(p):
        return map_tensors(p, lambda v: v.to(device, torch.float32), lambda v: v.to(device, torch.float32))

    return lambda chain, family: ((i, further, moved(p)) for i, further, p in evaluations(chain, family))


def hold_to_formulas(names):
    """A chain is its formulas in every stage, and holds what its rules claim."""
    chain, gamma = made_of(names)
    for family in SIGMAS:
        found = list(in_chain(chain, family, gamma))
        for b in range(BATCH):
            for own, right in zip(found, by_hand(chain, family, gamma, b), strict=True):
                assert (own[b] - right).abs().max() <= 1e-11 * right.abs().max().clamp(min=1.0)
    if "list" in names:
        chain = Chain(tuple(ScaleSchedule("linear") if rule is RULES["list"] else rule for rule in chain.rules))
    assert list_failures(examine(chain)) == []


def hold_on_a_device(chain, family, gamma):
    expected = list(in_chain(chain, family, gamma, on("cpu")))
    with mac() as device:
        found = list(in_chain(chain, family, gamma, on(device)))
    assert all(isinstance(one, MacTensor) for one in found)
    assert all(near(one, right) for one, right in zip(found, expected, strict=True))


@pytest.mark.parametrize("names", [(), *((name,) for name in RULES)], ids=" ".join)
def test_plain_guidance_and_every_rule_hold_to_their_formulas_and_do_the_same_on_a_device_without_float64(names):
    hold_to_formulas(names)
    chain, gamma = made_of(names)
    hold_on_a_device(chain, "flow", gamma)


CHAINS = st.lists(st.sampled_from([*RULES]), min_size=2, max_size=3, unique=True).filter(fits)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(CHAINS)
def test_a_chain_of_two_or_three_in_any_order_holds_to_the_formulas(names):
    hold_to_formulas(tuple(names))


@pytest.mark.parametrize(
    "rule", or_skipped(made_without(FORMULAS, rules, Rule), "every rule has a formula: its chains are tried above")
)
def test_a_rule_without_a_formula_keeps_its_claims_beside_one_of_each_kind(rule):
    """A new one may come without a second writing of its formula: that is the reviewer's."""
    chains = [Chain((rule,))]
    for name in ("linear", "autoguidance", "two conditions", "APG", "rescale", "perturbed"):
        with suppress(ValueError):  # some have no room for both
            chains.append(Chain((rule, RULES[name])))
    assert {chain.text: bad for chain in chains if (bad := list_failures(examine(chain)))} == {}
    hold_on_a_device(chains[0], "ve", GAMMA)
