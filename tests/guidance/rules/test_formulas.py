"""Every rule is its documented formula: any rank of sample, any family of noise levels, below and above scale 1."""

from itertools import product

import pytest

from guidance_geometry.guidance.chain import PLAIN, Chain
from guidance_geometry.guidance.presets import PRESETS
from guidance_geometry.guidance.rules.adaptive_projected import AdaptiveProjected
from guidance_geometry.guidance.rules.angle import Angle
from guidance_geometry.guidance.rules.autoguidance import Autoguidance
from guidance_geometry.guidance.rules.bands import Bands
from guidance_geometry.guidance.rules.energy_preserving import EnergyPreserving
from guidance_geometry.guidance.rules.feedback import Feedback
from guidance_geometry.guidance.rules.interval import Interval
from guidance_geometry.guidance.rules.kinds import Source
from guidance_geometry.guidance.rules.location_norm import LocationNorm
from guidance_geometry.guidance.rules.magnitude_aware import MagnitudeAware
from guidance_geometry.guidance.rules.negative import Negative
from guidance_geometry.guidance.rules.part_scale import PartScale
from guidance_geometry.guidance.rules.perp_neg import PerpNeg
from guidance_geometry.guidance.rules.perturbed import Perturbed
from guidance_geometry.guidance.rules.plus_plus import PlusPlus
from guidance_geometry.guidance.rules.power_law import PowerLaw
from guidance_geometry.guidance.rules.rescale import Rescale
from guidance_geometry.guidance.rules.reuse import Reuse
from guidance_geometry.guidance.rules.schedule import ScaleSchedule
from guidance_geometry.guidance.rules.skim import Skim
from guidance_geometry.guidance.rules.spaces import SPACES
from guidance_geometry.guidance.rules.tangential import Tangential
from guidance_geometry.guidance.rules.tangential_amplify import TangentialAmplify
from guidance_geometry.guidance.rules.threshold import DynamicThreshold
from guidance_geometry.guidance.rules.zero_star import ZeroStar
from guidance_geometry.tests.rule_formulas import ByHand, Moment
from guidance_geometry.tests.toys import FAMILIES, FLOW_RUN, RUN, SHAPES, guide, largest_error, toy

WEAK = Source("cond", object())
RULES = {  # what each says of itself in files and on pages, by its numbers
    "APG eta 0, cap 1.5, momentum -0.5 in x0": AdaptiveProjected(0.0, 1.5, absolute=True),
    "APG eta 0, cap 1.5, momentum -0.5 in x0, by channel": AdaptiveProjected(0.0, 1.5, absolute=True, part="channel"),
    "APG eta 0.3, cap 0.4, momentum -0.5 in v, by frame": AdaptiveProjected(0.3, 0.4, -0.5, True, "v", "frame"),
    "APG eta 0.5, cap 0.2 sqrt(N), momentum -0.5 in ode, by frame": AdaptiveProjected(
        0.5, 0.2, -0.5, False, "ode", "frame"
    ),
    "APG eta 0.5 in x0, by channel": AdaptiveProjected(0.5, 0.0, 0.0, part="channel"),
    "APG eta 1 in x0": AdaptiveProjected(1.0, 0.0, 0.0),
    "ADG up to 60 deg": Angle(),
    "ADG up to 5 deg, length of c": Angle(5.0, keep_norm=True),
    "autoguidance, weak model": Autoguidance(WEAK),
    "autoguidance, weak model x 0.3": Autoguidance(WEAK, 0.3),
    "1 further prompt x 0.6": Negative(("m",), (0.6,)),
    "2 further prompts x 0.6, -0.4": Negative(("m", "n"), (0.6, -0.4)),
    "InstructPix2Pix, scale 1.5": Negative(("m",), (1.5,), "InstructPix2Pix"),
    "nested, scale 1.5": Negative(("m",), (1.5,), "nested"),
    "Perp-Neg 1": PerpNeg("e"),
    "Perp-Neg 2.5": PerpNeg("e", 2.5),
    "perturbed pass x 3": Perturbed(WEAK),
    "rescale 1 in v": Rescale(1.0),
    "skim to 3": Skim(3.0),
    "skim to 0": Skim(0.0),
    "TAG eta 1.3": TangentialAmplify(1.3),
    "TAG eta 1.1, align 0.4": TangentialAmplify(1.1, 0.4),
    "threshold bound 0.5, quantile 0.9": DynamicThreshold("percentile", 0.9, 0.5),
    "threshold bound 100, quantile 0.9": DynamicThreshold("percentile", 0.9, 100.0),
    "threshold mimic 3, quantile 0.9": DynamicThreshold("mimic", 0.9, mimic_scale=3.0),
    "CFG-Zero*": ZeroStar(0),
}
for space in SPACES:
    RULES |= {
        f"APG eta 0.5, cap 0.2 sqrt(N), momentum -0.5 in {space}": AdaptiveProjected(0.5, 0.2, space=space),
        f"EP-CFG in {space}": EnergyPreserving(space=space),
        f"EP-CFG robust in {space}": EnergyPreserving(True, space),
        f"CFGNorm 0.4 in {space}": LocationNorm(0.4, False, space),
        f"CFGNorm 0.4 match in {space}": LocationNorm(0.4, True, space),
        f"MAMBO-G 2 in {space}": MagnitudeAware(2.0, space),
        f"rescale 0.7 in {space}": Rescale(0.7, space),
        f"TCFG in {space}": Tangential(space),
    }
for space in ("score", "epsilon", "x0"):
    RULES |= {f"power law {power} in {space}": PowerLaw(power, space) for power in (-0.5, 0.9)}
OTHERS = {  # held to their formulas elsewhere
    "FDG low 0.5, 0.6, 0.8, high 1": Bands(middle=(0.6, 0.8)),
    "FBG pi 0.8, t0 0.3, t1 0.4": Feedback(0.8, 0.3),
    "interval sigma 5 .. 0.3": Interval("sigma", 5.0, 0.3),
    "gamma per part, video x0.5, audio x2": PartScale(0.5, 2.0),
    "CFG++ (euler)": PlusPlus(),
    "CFG++ (ddim, eta 0.5)": PlusPlus("ddim", 0.5),
    "u every 2 steps (line)": Reuse(2),
    "u every 3 steps (hold), until cos 0.99 x2": Reuse(3, "hold", 0.99, 2),
    "gamma power 0.5 to 2, power 3": ScaleSchedule("power", 0.5, 2.0, 3.0),
    "gamma list 3, 1": ScaleSchedule("list", values=(3.0, 1.0)),
}
PICTURES = [
    *((Bands("FDG", 0.3, 1.4), (2, 2, *size)) for size in ((6, 8), (7, 5))),
    *((Bands("FreSca", 0.3, 1.4, 0.6), (2, 2, *size)) for size in ((6, 8), (7, 5))),
    (Bands("FDG", 0.3, 1.4, middle=(0.7,)), (2, 2, 8, 12)),
    (Bands("FDG", 0.3, 1.4, middle=(0.9, -0.5)), (2, 2, 13, 7)),
    (Bands("FDG", 0.3, 1.4, middle=(0.0, 0.4, 2.0, 1.0)), (2, 2, 3, 16)),
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
    [*((rule, shape) for rule in RULES.values() for shape in SHAPES), *PICTURES],
    ids=lambda value: getattr(value, "text", str(value)),
)
def test_a_rule_is_its_formula(rule, shape):
    for family, gamma in product(FAMILIES, (0.0, 2.0, 7.5)):
        p = toy(family, shape, names=tuple(rule.sources))
        expected = [by_formula(rule, p, gamma, family, i) for i in range(len(p.x))]
        assert largest_error(guide(rule, p, gamma), expected) < 1e-11, (family, gamma)


def test_a_rule_a_chain_and_a_preset_say_what_they_are():
    assert [rule.text for rule in (RULES | OTHERS).values()] == [*RULES, *OTHERS]
    chain = PLAIN.then(AdaptiveProjected()).then(PerpNeg("e")).then(Autoguidance(WEAK))
    assert chain.text == "autoguidance, weak model > Perp-Neg 1 > APG eta 0, cap 0.06 sqrt(N), momentum -0.5 in x0"
    assert [Chain(preset.rules).text.removesuffix(" > CFG") for preset in PRESETS.values()] == [
        "CFG",
        "APG eta 0, cap 0.06 sqrt(N), momentum -0.5 in x0",
        "CFG-Zero*, zero-init 1",
        "interval percent 0.05 .. 0.6 > u every 2 steps (line)",
    ]
