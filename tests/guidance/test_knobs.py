"""What rules and energies state of themselves, and what makes no sense and is refused in a sentence."""

from dataclasses import MISSING, fields, replace
from math import nan

import pytest
import torch

from guidance_geometry.guidance.chain import Chain
from guidance_geometry.guidance.contract import chain_from
from guidance_geometry.guidance.gradients.term import GradientTerm
from guidance_geometry.guidance.knobs import knobs, main_knob
from guidance_geometry.guidance.mixture import GaussianMixture, make_mixture
from guidance_geometry.guidance.predictions import Predictions, output_from, x0_from_output
from guidance_geometry.guidance.registry import every_energy, every_rule
from guidance_geometry.guidance.rules.adaptive_projected import AdaptiveProjected
from guidance_geometry.guidance.rules.autoguidance import Autoguidance
from guidance_geometry.guidance.rules.bands import Bands
from guidance_geometry.guidance.rules.feedback import Feedback
from guidance_geometry.guidance.rules.formula import Formula
from guidance_geometry.guidance.rules.function import FunctionRule
from guidance_geometry.guidance.rules.interval import Interval
from guidance_geometry.guidance.rules.kinds import Source
from guidance_geometry.guidance.rules.negative import Negative
from guidance_geometry.guidance.rules.perp_neg import PerpNeg
from guidance_geometry.guidance.rules.perturbed import Perturbed
from guidance_geometry.guidance.rules.plus_plus import PlusPlus
from guidance_geometry.guidance.rules.rescale import Rescale
from guidance_geometry.guidance.rules.reuse import Reuse
from guidance_geometry.guidance.rules.schedule import ScaleSchedule, parse_values
from guidance_geometry.guidance.rules.threshold import DynamicThreshold
from guidance_geometry.guidance.side_by_side import Lane, SideBySide
from guidance_geometry.tests.toys import RUN, guide, toy

STATED = {name: one for name, one in {**every_rule(), **every_energy()}.items() if one.node_id}
WITHOUT_KNOBS = {  # wires of nodes that do more
    "Autoguidance": {"weak"},
    "Negative": {"conditions", "weights"},
    "CombinedEnergy": {"energies", "weights"},
    "SegmentationEnergy": {"wanted"},
}


@pytest.mark.parametrize("name", STATED)
def test_a_class_has_a_name_and_every_field_a_meaning_and_a_range(name):
    one, stated = STATED[name], knobs(STATED[name])
    assert one.name
    assert one.description.endswith(".")
    given = {each.name for each in fields(one) if each.init}
    assert given - {"windows"} - WITHOUT_KNOBS.get(name, set()) == stated.keys()
    for each in stated.values():
        assert each.meaning.endswith(".")
        if isinstance(each.shown, int | float) and not isinstance(each.shown, bool):
            low, high = each.limits[:2]
            assert low <= each.shown <= high
        assert not each.choices or each.shown in each.choices


def test_a_rule_has_at_most_one_main_number_and_it_can_be_tried():
    for one in STATED.values():
        mains = [(field, each) for field, each in knobs(one).items() if each.main]
        assert mains[:1] == ([main_knob(one)] if mains else [])
        assert len(mains) < 2
        for _, each in mains:
            assert type(each.shown) is float
            assert each.limits[2]
    mains = {(main_knob(STATED[name]) or ("none",))[0] for name in ("Rescale", "AdaptiveProjected")}
    assert mains == {"phi", "threshold"}
    assert (main_knob(GradientTerm) or ("none",))[0] == "weight"


@pytest.mark.parametrize(
    ("name", "field"),
    [(name, field) for name, one in STATED.items() for field, each in knobs(one).items() if each.choices],
)
def test_a_word_that_is_no_choice_is_refused(name, field):
    wires = {each.name: ("a",) for each in fields(STATED[name]) if each.init and each.default is MISSING}
    with pytest.raises(ValueError, match="'nowhere' is unknown"):
        STATED[name](**wires, **{field: "nowhere"})


def test_what_a_node_shows_may_differ_from_the_field():
    stated = knobs(AdaptiveProjected)
    assert stated["absolute"].name == "threshold_unit"
    assert stated["absolute"].value("absolute") is True
    assert stated["part"].later
    assert knobs(Bands)["middle"].value("0.6, 0.8") == (0.6, 0.8)
    assert knobs(DynamicThreshold)["method"].shown == "mimic" != DynamicThreshold().method


WORLD = make_mixture((1, 2, 2), classes=2, seed=0)
X = torch.zeros(3, 1, 2, 2)
WEAK, LISTED = Source("cond", object()), ScaleSchedule("list", values=(7.0, 5.0, 3.0))
REFUSED = {
    r"need 2 variances.*\[\(1,\), \(2,\), \(2,\)\]": lambda: mixture(variances=torch.ones(1)),
    r"A variance is 0\.0; each must be above 0": lambda: mixture(variances=torch.tensor([1.0, 0.0])),
    "Some class has no component": lambda: mixture(labels=torch.tensor([0, 2])),
    r"shape \(4, 2\) but the mixture lives in \(1, 2, 2\)": lambda: WORLD.denoised(torch.zeros(3, 4, 2), 1.0),
    r"Labels \[5\] must be 0 \.\. 1": lambda: WORLD.denoised(X, 1.0, label=5),
    "sizes of at least 1.* 0 classes": lambda: make_mixture((1, 2, 2), classes=0, seed=0),
    "An end of the interval is nan": lambda: Interval(end=nan),
    "eta is 2": lambda: PlusPlus("ddim", 2.0),
    "pi is 1": lambda: Feedback(1.0),
    "t0 is 1": lambda: Feedback(0.9, 1.0),
    r"Rescale is a class, but a rule is needed. Call it: Rescale\(\)": lambda: chain_from(Rescale),
    r"returned a tensor of shape \[1\], but D has the shape": lambda: guide(returning(torch.zeros(1)), toy(), 3.0),
    "gamma list has 3 values but the run has 4 steps": lambda: Chain((LISTED,)).init(RUN),
    "five.*not a finite number": lambda: parse_values("7, five"),
    "nan.*not a finite number": lambda: parse_values("nan"),
    "no values": lambda: ScaleSchedule("list"),
    "'eps' is unknown.*edm": lambda: x0_from_output("eps", X, X, 1.0, 1.0),
    "needs sigma_data": lambda: output_from("edm", X, X, 1.0, 1.0),
    "no prediction without the prompt": lambda: Predictions(X, X, X, None, X).delta,
    "more than u and c": lambda: SideBySide(lanes=(Lane(Chain((Autoguidance(WEAK),)), 2.0),)),
    r"\(2, 4, 4\).*\(2, 3, 4\)": lambda: guide(Autoguidance(WEAK), weakened(toy(shape=(2, 3, 4)), (2, 4, 4)), 3.0),
    "Two rules combine": lambda: Chain((PerpNeg("e"),)).then(Negative(("m",), (1.0,))),
    "65 rules, and 64 is the most": lambda: Chain((Rescale(),) * 64).then(Rescale()),
    "middle holds 9 weights; give at most 8": lambda: Bands(middle=(1.0,) * 9),
    "1 extra conditions but 2 weights": lambda: Negative(("a",), (1.0, 2.0)),
    "one middle condition, but 2 were given": lambda: Negative(("a", "b"), (1.0, 2.0), "nested"),
    "reversed": lambda: Perturbed(WEAK, start=0.8, end=0.2),
    r"quantile is 1\.5": lambda: DynamicThreshold(quantile=1.5),
    "reversed.*percent.*Swap them": lambda: Interval("percent", 0.8, 0.3),
    "reversed.*sigma.*Swap them": lambda: Interval("sigma", 0.28, 5.42),
    "is empty": lambda: Interval("percent", 0.5, 0.5),
    "both count steps": lambda: Reuse(0),
    "proj takes 2 arguments but was given 1": lambda: Formula("proj(u)"),
    "2001 characters": lambda: Formula("u".rjust(2001)),
    "nested more than 60": lambda: Formula("-" * 100 + "u"),
    "gives a number, not a picture": lambda: Formula("gamma * norm(u)"),
}


def weakened(p, shape):
    return replace(p, extra={"weak": torch.zeros(shape)})


def mixture(**changes):
    parts = {"means": torch.zeros(2, 1, 2, 2), "variances": torch.ones(2), "log_weights": torch.zeros(2)}
    return GaussianMixture(**parts | {"labels": torch.tensor([0, 1])} | changes)


def returning(something):
    return FunctionRule(lambda u, c, x, gamma, sigma: something)


@pytest.mark.parametrize("words", REFUSED)
def test_what_makes_no_sense_is_refused_in_a_sentence(words):
    with pytest.raises(ValueError, match=words) as caught:
        REFUSED[words]()
    assert str(caught.value).endswith((".", "]"))
