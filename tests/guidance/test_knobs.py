"""What rules state of themselves: every field that is set by hand, papers, and values that are none of the choices."""

import inspect
import re
from dataclasses import MISSING, dataclass, fields

import pytest

from guidance_geometry.guidance.knobs import Stated, knob, knobs, main_knob, refuse_unlisted
from guidance_geometry.guidance.registry import every_energy, every_rule
from guidance_geometry.guidance.rules.adaptive_projected import AdaptiveProjected
from guidance_geometry.guidance.rules.bands import Bands
from guidance_geometry.guidance.rules.threshold import DynamicThreshold

STATED = {name: one for name, one in {**every_rule(), **every_energy()}.items() if one.node_id}
PAPER = re.compile(r"arXiv (\d{4}\.\d{5})")
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


@pytest.mark.parametrize("name", STATED)
def test_the_papers_are_those_that_its_texts_name(name):
    one = STATED[name]
    texts = [inspect.getdoc(one), one.description, *(each.meaning for each in knobs(one).values())]
    named = set(PAPER.findall(" ".join(texts)))
    assert named <= {paper.arxiv for paper in one.papers}
    assert all(paper.title and paper.authors for paper in one.papers)


def test_what_a_node_shows_may_differ_from_the_field():
    stated = knobs(AdaptiveProjected)
    assert stated["absolute"].name == "threshold_unit"
    assert stated["absolute"].value("absolute") is True
    assert stated["part"].later
    assert knobs(Bands)["middle"].value("0.6, 0.8") == (0.6, 0.8)
    assert knobs(DynamicThreshold)["method"].shown == "mimic" != DynamicThreshold().method


def test_a_value_that_is_no_choice_is_refused_with_the_choices():
    @dataclass(frozen=True)
    class Painted(Stated):
        colour: str = knob("red", "A colour.", choices=("red", "green"))
        is_dark: bool = knob(False, "How dark.", choices={"light": False, "dark": True})

        def __post_init__(self):
            refuse_unlisted(self)

    assert Painted("green", True).is_dark
    for given, words in ((("blue",), "Colour 'blue' .*red, green"), (("red", 3), "Is dark 3 .*False, True")):
        with pytest.raises(ValueError, match=words):
            Painted(*given)  # pyright: ignore[reportArgumentType]  that is what is refused
