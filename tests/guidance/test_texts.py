"""The phrase of every rule, with each number that it has; what a chain says is read in files and on pages."""

import pytest

from guidance_geometry.guidance.chain import PLAIN
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
from guidance_geometry.guidance.rules.tangential import Tangential
from guidance_geometry.guidance.rules.tangential_amplify import TangentialAmplify
from guidance_geometry.guidance.rules.threshold import DynamicThreshold
from guidance_geometry.guidance.rules.zero_star import ZeroStar

WEAK = Source("cond", object())
TEXTS = {
    "APG eta 0.5, cap 0.2 sqrt(N), momentum -0.5 in v": AdaptiveProjected(0.5, 0.2, space="v"),
    "APG eta 0, cap 1.5, momentum -0.5 in x0, by channel": AdaptiveProjected(0.0, 1.5, absolute=True, part="channel"),
    "APG eta 1 in x0": AdaptiveProjected(1.0, 0.0, 0.0),
    "ADG up to 60 deg": Angle(),
    "ADG up to 5 deg, length of c": Angle(5.0, keep_norm=True),
    "autoguidance, weak model": Autoguidance(WEAK),
    "autoguidance, weak model x 0.3": Autoguidance(WEAK, 0.3),
    "FDG low 0.5, 0.6, 0.8, high 1": Bands(middle=(0.6, 0.8)),
    "EP-CFG in x0": EnergyPreserving(space="x0"),
    "EP-CFG robust in ode": EnergyPreserving(True),
    "FBG pi 0.8, t0 0.3, t1 0.4": Feedback(0.8, 0.3),
    "interval sigma 5 .. 0.3": Interval("sigma", 5.0, 0.3),
    "CFGNorm 0.4 in x0": LocationNorm(0.4, False, "x0"),
    "CFGNorm 0.4 match in v": LocationNorm(0.4, True, "v"),
    "MAMBO-G 2 in x0": MagnitudeAware(2.0, "x0"),
    "1 further prompt x 0.6": Negative(("m",), (0.6,)),
    "2 further prompts x 0.6, -0.4": Negative(("m", "n"), (0.6, -0.4)),
    "InstructPix2Pix, scale 1.5": Negative(("m",), (1.5,), "InstructPix2Pix"),
    "gamma per part, video x0.5, audio x2": PartScale(0.5, 2.0),
    "Perp-Neg 2.5": PerpNeg("e", 2.5),
    "perturbed pass x 3": Perturbed(WEAK),
    "CFG++ (euler)": PlusPlus(),
    "CFG++ (ddim, eta 0.5)": PlusPlus("ddim", 0.5),
    "power law -0.5 in score": PowerLaw(-0.5, "score"),
    "rescale 0.7 in v": Rescale(),
    "u every 2 steps (line)": Reuse(2),
    "u every 3 steps (hold), until cos 0.99 x2": Reuse(3, "hold", 0.99, 2),
    "gamma power 0.5 to 2, power 3": ScaleSchedule("power", 0.5, 2.0, 3.0),
    "gamma list 3, 1": ScaleSchedule("list", values=(3.0, 1.0)),
    "skim to 3": Skim(3.0),
    "TCFG in epsilon": Tangential("epsilon"),
    "TAG eta 1.3": TangentialAmplify(1.3),
    "TAG eta 1.1, align 0.4": TangentialAmplify(1.1, 0.4),
    "threshold bound 0.5, quantile 0.9": DynamicThreshold("percentile", 0.9, 0.5),
    "threshold mimic 3, quantile 0.9": DynamicThreshold("mimic", 0.9, mimic_scale=3.0),
    "CFG-Zero*": ZeroStar(0),
}


@pytest.mark.parametrize("text", TEXTS)
def test_a_rule_says_what_it_is(text):
    assert TEXTS[text].text == text


def test_a_chain_says_its_rules_in_the_order_in_which_they_act():
    chain = PLAIN.then(AdaptiveProjected()).then(PerpNeg("e")).then(Autoguidance(WEAK))
    assert chain.text == "autoguidance, weak model > Perp-Neg 1 > APG eta 0, cap 0.06 sqrt(N), momentum -0.5 in x0"
