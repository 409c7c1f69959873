"""What rules state of themselves: every field that is set by hand, papers, and values that are none of the choices."""

from dataclasses import MISSING, fields

import pytest

from guidance_geometry.guidance.knobs import knobs, main_knob
from guidance_geometry.guidance.registry import every_energy, every_rule
from guidance_geometry.guidance.rules.adaptive_projected import AdaptiveProjected
from guidance_geometry.guidance.rules.bands import Bands
from guidance_geometry.guidance.rules.threshold import DynamicThreshold

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
