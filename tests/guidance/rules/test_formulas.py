"""Every rule is its documented formula: any rank of sample, any family of noise levels, below and above scale 1."""

from itertools import product

import pytest

from guidance_geometry.guidance.rules.adaptive_projected import AdaptiveProjected
from guidance_geometry.guidance.rules.angle import Angle
from guidance_geometry.guidance.rules.autoguidance import Autoguidance
from guidance_geometry.guidance.rules.bands import Bands
from guidance_geometry.guidance.rules.energy_preserving import EnergyPreserving
from guidance_geometry.guidance.rules.kinds import Source
from guidance_geometry.guidance.rules.location_norm import LocationNorm
from guidance_geometry.guidance.rules.magnitude_aware import MagnitudeAware
from guidance_geometry.guidance.rules.negative import Negative
from guidance_geometry.guidance.rules.perp_neg import PerpNeg
from guidance_geometry.guidance.rules.perturbed import Perturbed
from guidance_geometry.guidance.rules.power_law import PowerLaw
from guidance_geometry.guidance.rules.rescale import Rescale
from guidance_geometry.guidance.rules.skim import Skim
from guidance_geometry.guidance.rules.spaces import SPACES
from guidance_geometry.guidance.rules.tangential import Tangential
from guidance_geometry.guidance.rules.tangential_amplify import TangentialAmplify
from guidance_geometry.guidance.rules.threshold import DynamicThreshold
from guidance_geometry.guidance.rules.zero_star import ZeroStar
from guidance_geometry.tests.rule_formulas import ByHand, Moment
from guidance_geometry.tests.toys import FAMILIES, FLOW_RUN, RUN, SHAPES, guide, largest_error, toy

WEAK = Source("cond", object())
RULES = [
    *(AdaptiveProjected(0.5, 0.2, space=space) for space in SPACES),
    AdaptiveProjected(0.0, 1.5, absolute=True),
    AdaptiveProjected(1.0, 0.0, 0.0),
    Angle(),
    Angle(5.0, keep_norm=True),
    Autoguidance(WEAK),
    Autoguidance(WEAK, 0.3),
    *(EnergyPreserving(robust, space) for space in SPACES for robust in (False, True)),
    *(LocationNorm(0.4, match, space) for space in SPACES for match in (False, True)),
    *(MagnitudeAware(2.0, space) for space in SPACES),
    Negative(("m",), (0.6,)),
    Negative(("m", "n"), (0.6, -0.4)),
    Negative(("m",), (1.5,), "InstructPix2Pix"),
    Negative(("m",), (1.5,), "nested"),
    PerpNeg("e"),
    PerpNeg("e", 2.5),
    Perturbed(WEAK),
    *(PowerLaw(power, space) for space in ("score", "epsilon", "x0") for power in (-0.5, 0.9)),
    *(Rescale(0.7, space) for space in SPACES),
    Rescale(1.0),
    Skim(3.0),
    Skim(0.0),
    *(Tangential(space) for space in SPACES),
    TangentialAmplify(1.3),
    TangentialAmplify(1.1, 0.4),
    DynamicThreshold("percentile", 0.9, 0.5),
    DynamicThreshold("percentile", 0.9, 100.0),
    DynamicThreshold("mimic", 0.9, mimic_scale=3.0),
    ZeroStar(0),
]
PICTURES = [
    (Bands(method, 0.3, 1.4, cutoff), (2, 2, *size))
    for method, cutoff in (("FDG", 0.5), ("FreSca", 0.6))
    for size in ((6, 8), (7, 5))
]


def by_formula(rule, p, gamma, family, i):
    """The guided prediction of one item in the first step of a run."""
    run = FLOW_RUN if family == "flow" else RUN
    levels = float(p.sigma[i]), float(p.alpha[i])
    further = {f"0 {name}": v[i] for name, v in p.extra.items()}
    moment = Moment(p.x[i], p.uncond[i], p.cond[i], *levels, family == "flow", further)
    return ByHand((rule,), run.sigmas, run.flow).first(0, moment, gamma)


@pytest.mark.parametrize(
    ("rule", "shape"),
    [*((rule, shape) for rule in RULES for shape in SHAPES), *PICTURES],
    ids=lambda value: getattr(value, "text", str(value)),
)
def test_a_rule_is_its_formula(rule, shape):
    for family, gamma in product(FAMILIES, (0.0, 2.0, 7.5)):
        p = toy(family, shape, names=tuple(rule.sources))
        expected = [by_formula(rule, p, gamma, family, i) for i in range(len(p.x))]
        assert largest_error(guide(rule, p, gamma), expected) < 1e-11, (family, gamma)
