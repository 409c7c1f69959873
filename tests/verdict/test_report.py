"""What a report says of a run, in one table: every sentence with its facts, the colour and the scale to take."""

import json
import math
import random
import re
from dataclasses import fields, replace
from itertools import product
from string import Formatter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from guidance_geometry.tests import edited_runs as edited
from guidance_geometry.tests.contradictions import contradictions
from guidance_geometry.tests.edited_runs import with_columns
from guidance_geometry.tests.plain_words import clumsy, sentences
from guidance_geometry.tests.project import ROOT
from guidance_geometry.tests.random_runs import random_run
from guidance_geometry.tests.report_schema import SCHEMA, misfits
from guidance_geometry.trace.gram import triangle
from guidance_geometry.trace.guidance_effect import EffectiveScale, push_shares
from guidance_geometry.verdict.case import Features, Judged, scale_of
from guidance_geometry.verdict.known import Known
from guidance_geometry.verdict.picks import CFG, CLASSES
from guidance_geometry.verdict.report import AGAINST, COLOURS, VERSION
from guidance_geometry.verdict.run_knobs import DISTILLED, GRADIENT, LORA, RULE
from guidance_geometry.verdict.sentences import LANGUAGES, SENTENCES, Sentence, say, short
from guidance_geometry.verdict.size import Size, read_size, write_size

from . import rows
from .rows import CASES, HASH, LIKED, STATED_KNOB, made, report, run

FACTS = json.loads((ROOT / "tests" / "fixtures" / "report_facts.json").read_text(encoding="utf-8"))


def stated(one):
    """The facts of a sentence, with those of the sentences inside it and of the one that follows at once."""
    facts = {**one.facts, **({"then": one.then} if one.then else {})}
    return {name: [v.id, stated(v)] if isinstance(v, Sentence) else v for name, v in facts.items()}


def facts_of(found):
    """What a report holds, without its words: every sentence with its facts, and the numbers of the answer."""
    told = found.as_json()
    says = {one.id: stated(one) for one in found.sentences if not one.id.startswith("plain.")}
    numbers = {name: told[name] for name in ("colour", "against", "suggested", "range", "cfg", "plain", "push")}
    knobs = [[knob["key"], knob["value"]] for knob in told["knobs"]]
    return {"says": says, **numbers, "effective": told["effective"]["scale"], "knobs": knobs}


def said(*sentences):
    """Ids of sentences, and of those inside them."""
    inside = [v for one in sentences for v in (*one.facts.values(), one.then) if isinstance(v, Sentence)]
    return {one.id for one in sentences} | (said(*inside) if inside else set())


def agree(found, expected):
    """Whether two JSON values agree; numbers to what a processor may differ by."""
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(agree(found[key], expected[key]) for key in expected)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(agree, found, expected))
    return math.isclose(found, expected, rel_tol=1e-4) if isinstance(expected, float) else found == expected


@pytest.mark.parametrize("row", CASES)
def test_a_run_is_told_what_the_table_says_and_in_words_that_read_well(row):
    """tests/fixtures/report_facts.json is {row: facts_of(made(row))}."""
    found = made(row)
    own = json.loads(json.dumps(facts_of(found)))
    assert agree(own, FACTS[row]), own
    assert contradictions(found) == []
    assert misfits(found.as_json()) == []
    for one, language in product(found.sentences, LANGUAGES):
        text = one.text(language)
        assert not re.search(r"nan|inf\b|None|[{}]", text), text
        assert text.endswith("." if language == "en" else ("\u3002", ".")), text
    assert [fault for one in found.sentences for part in sentences(one.text()) for fault in clumsy(part)] == []
    if found.answer.headline.text().startswith("Cannot tell"):
        answer = found.answer
        assert (answer.colour, answer.suggested, answer.range) == ("unclear", None, None)
        assert any(one.id.startswith("help.") for one in answer.reasons)


def test_every_sentence_is_said_of_some_run():
    assert said(*(one for row in CASES for one in made(row).sentences)) == set(SENTENCES)
    assert CASES.keys() == FACTS.keys()


def test_every_id_is_written_out_where_its_sentence_is_chosen():
    """A person who reads a sentence finds its id in sentences.json, and with the id the line that says it."""
    files = [path for room in ("verdict", "host") for path in (ROOT / room).rglob("*.py")]
    source = "".join(path.read_text(encoding="utf-8") for path in files)
    assert [name for name in SENTENCES if f'"{name}"' not in source and not name.startswith("plain.")] == []


@pytest.mark.parametrize("name", SENTENCES)
def test_a_sentence_names_the_same_facts_in_every_language(name):
    named = [
        {field for _, field, spec, _ in Formatter().parse(SENTENCES[name][language]) if field and not spec}
        for language in LANGUAGES
    ]  # a field with a spec is a word that goes with a number, and no fact
    assert named[0] == named[1]


def fields_of(name):
    return SCHEMA["$defs"][name]["properties"]


def test_the_schema_has_every_word_and_number_of_a_report():
    own = SCHEMA["properties"]
    assert own["v"]["const"] == VERSION
    words = ("colour", COLOURS), ("against", AGAINST), ("sampler_class", CLASSES)
    assert all(own[name]["enum"] == [*there] for name, there in words)
    assert set(fields_of("knob")["kind"]["enum"]) == {CFG, DISTILLED, GRADIENT, RULE, LORA}
    for name, kind in (("effective", EffectiveScale), ("features", Features)):
        assert [*fields_of(name)] == [one.name for one in fields(kind)]


def test_a_range_of_one_value_is_that_value():
    one = say("head.picks.below", cfg=1.5, low=3.0, high=3.0)
    assert one.text() == "cfg 1.5 is below your range (3)."
    assert one.text("zh").endswith("\uff083\uff09\u3002")
    assert say("head.picks.below", cfg=1.5, low=3.0, high=4.9).text() == "cfg 1.5 is below your range (3 to 4.9)."


CHANGES = (
    lambda trace: trace, edited.latents, edited.scheduled, lambda trace: edited.with_products(trace, ["delta"], 0.0),
    lambda trace: edited.headed(trace, sigma_data=None),
)  # fmt: skip


def random_trace(draws, seed):
    """A random run, or an exact one with other facts."""
    strange = seed % 2 == 0
    gamma = draws.choice((0.5, 1.0, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 14.0, rows.BURNT))
    trace = random_run(seed) if strange else run(gamma, rule=draws.choice((None, None, rows.projected, rows.along)))
    trace = draws.choice(CHANGES)(trace)
    if draws.random() < 0.3:
        trace = edited.passed(trace, weight=draws.choice((0.0, 1.0, math.nan)))
    if draws.random() < 0.2 and not strange:
        trace = edited.extended(trace, "gradient", draws.choice((0.0, 0.5, 20.0)), draws.choice((None, -0.1, -3.0)))
    if draws.random() < 0.5:
        trace = with_beyond(trace, draws.choice((0.0, 0.0007, 0.43)))
    cfg = draws.choice((*[trace.header.get("cfg")] * 7, 1.0, 2.0, 13.0))
    chain, negative = draws.choice(("CFG", "CFG", "rescale 0.7 > CFG")), draws.choice((True, False, None))
    return edited.headed(trace, model={"name": "m", "hash": HASH}, chain=chain, negative=negative, cfg=cfg)


def random_knowledge(draws, trace):
    good = sorted(draws.choice((1.2, 2.0, 3.0, 6.0, 9.0)) for _ in range(2))
    ratios = [draws.choice((0.5, 0.9, 1.0, 1.2, 1.7, 3.0)) for _ in range(4)]
    return draws.choice((
        Known(), LIKED, rows.chosen((good[0], True), (good[1] + 1, draws.random() < 0.5)),
        rows.measured(ratios, of=trace, spread=draws.choice((0.0, 0.05))), rows.measured(of=trace, strength=1.5),
    ))  # fmt: skip


def random_report(seed):
    """The report on a random run and another one like it, of a random model, and whether pictures were compared."""
    draws = random.Random(seed)
    trace = random_trace(draws, seed)
    second = edited.headed(trace, cfg=draws.choice((trace.header["cfg"], 0.75, 6.0)))
    second = with_beyond(second, draws.choice((0.0, 0.02, 0.3)))
    ends = draws.choice((None, 1.0, 1.001, 1.2, -1.0, math.nan))
    if ends is not None:
        start = torch.rand(trace.batch, *trace.latent_shape, generator=torch.Generator().manual_seed(seed))
        trace = replace(trace, tensors={**trace.tensors, "end": start})
        second = replace(second, tensors={**second.tensors, "end": start * ends})
    pictures = torch.rand(trace.batch, 3, 8, 9, generator=torch.Generator().manual_seed(seed))
    shown = draws.choice((None, None, (pictures, pictures), (pictures, pictures.flip(1)), (pictures, pictures * 0.9)))
    scores = draws.choice((None, torch.full((trace.batch,), -0.1), torch.zeros(0)))
    judge = None if scores is None else Judged("CLIP", scores, "" if len(scores) else "lost")
    looked = shown is not None or (trace.pixels and len(trace.latent_shape) == 3)
    half, known = draws.choice((None, second, second)), random_knowledge(draws, trace)
    return report(trace, known, half=half, judge=judge, shown=shown), looked


def with_beyond(trace, share):
    return with_columns(trace, m10=torch.full((trace.n, trace.batch), share).double())


@given(st.integers(0, 10_000))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_no_random_run_makes_a_report_contradict_itself(seed):
    found, looked = random_report(seed)
    assert contradictions(found, looked) == []
    assert not re.search(r"\bnan\b|[{}]", found.text())
    assert misfits(found.as_json()) == []


def test_a_measured_size_is_read_as_it_was_written_and_damage_is_told(tmp_path):
    path = tmp_path / "a.json"
    write_size(Size(0.9, 8, key=HASH), path)
    assert read_size(path) == Size(0.9, 8, key=HASH)
    for damage in ('{"format": "guidance-geometry/size"}', "[]", "{", path.read_text().replace("0.9", '"x"')):
        path.write_text(damage)
        with pytest.raises(ValueError, match="Measure it again"):
            read_size(path)


def test_the_share_of_a_pass_is_that_of_all_lengths():
    trace = edited.passed(run(), weight=2.0, size=0.1)
    guided = trace.steps["kappa"][:, None].abs() * trace.record.square({"delta": 3.0}).sqrt()
    own = trace.steps["kappa"][:, None].abs() * 2 * 0.1 * trace.count**0.5
    share = float(own.sum() * trace.batch / (own.sum() * trace.batch + guided.sum()))
    assert push_shares(trace) == pytest.approx({"guidance": 1 - share, "PAG": share}, rel=1e-6)


@pytest.mark.parametrize("weight", [0.25, 10.0])
def test_a_percentage_of_a_gradient_states_the_push_that_acted(weight):
    """|w g| over |D|, and not |g|."""
    trace = edited.extended(run(), "gradient", 0.5, weight=weight)
    record = trace.record
    guided = record.square({"u": 1.0, "delta": 4.0, "D-G": 1.0}).sqrt()
    share = weight * record.dot("gradient", "gradient").sqrt() / guided
    told = next(one for one in report(trace).findings if one.id == "classifier.moved")
    assert float(told.facts["percent"]) == pytest.approx(100 * float(share.max()), rel=0.02)


@pytest.mark.parametrize("weight", [1e5, 1e-1])
def test_what_rounding_leaves_beside_a_gradient_is_no_push_of_guidance(weight):
    """At cfg 1 D - c is the gradient's part alone, known to float32 of the longest: c or the gradient."""
    trace = with_columns(rows.steered(weight=weight), floor=torch.zeros(20).double())
    matrix = trace.record.matrix().clone()
    place = list(trace.record.vectors).index("D-G")
    u, moved = (trace.record.dot(name, name).sqrt() for name in ("u", "D-G"))
    more = (1 + 1e-7 * torch.maximum(u, moved) / moved)[..., None]
    matrix[..., place, :] *= more
    matrix[..., :, place] *= more
    found = report(with_columns(trace, K=triangle(matrix)))
    assert found.push == {"guidance": 0.0, "Steer gradient": 1.0}
    assert not {name for name in said(*found.sentences) if name.startswith("skip.")}


def test_a_scale_that_rounding_hides_at_the_end_is_still_one_scale():
    """Where u and c agree to rounding no scale can be seen, and none is needed."""
    equal, end = edited.unseen_end(run()), slice(17, None)
    found = edited.nan(equal, "gamma", end)
    assert (scale_of(found).low, scale_of(found).high) == (4.0, 4.0)
    assert math.isnan(scale_of(edited.nan(run(), "gamma", end)).low)
    gamma = run().steps["gamma"].clone()
    gamma[end] = 8.0  # what the widget says stands where nothing can be seen
    patch = with_columns(equal, gamma=gamma)
    assert (scale_of(patch).low, scale_of(patch).high) == (4.0, 4.0)
    rule = edited.headed(patch, chain="linear > CFG")
    assert (scale_of(rule).low, scale_of(rule).high) == (4.0, 8.0)


@pytest.mark.parametrize(
    ("count", "words"), [(1, "1 step of 2"), (2, "2 steps of 2"), (1.0, "1 step of 2"), (0, "0 steps of 2")]
)
def test_a_word_agrees_with_its_number(count, words, monkeypatch):
    monkeypatch.setitem(SENTENCES, "one", {"en": "{count} {count:step|steps} of {n}", "zh": "{n}"})
    assert say("one", count=count, n=2).text() == words


@pytest.mark.parametrize(
    ("value", "text"), [(4.5e37, "4.5e+37"), (123456.0, "123456"), (2.718, "2.72"), (99.96, "100")]
)
def test_a_number_in_a_sentence_is_short(value, text):
    assert short(value) == text


def test_a_header_tells_whose_widget_a_knob_is_and_an_older_one_none():
    told = report(rows.distilled(knobs=[STATED_KNOB])).as_json()["knob"]
    facts = {"name": "guidance", "title": "Flux", "node": "9:4", "input": "guidance", "value": 3.5}
    assert facts.items() <= told.items()
    assert told["limits"] == [1.0, 100.0]
    older = report(rows.distilled()).as_json()["knob"]
    assert (older["key"], older["value"], older["node"]) == ("guidance", 3.5, None)


def test_a_scale_that_hardly_moves_is_told_once():
    trace = edited.acting(run(8.0, rows.RULED, rule=rows.along), [4.4, 4.6] * 10)
    assert not report(trace).effective.steady
    assert "act like 4.5." in report(trace).findings[0].text()


PLAIN_SENTENCES = [
    ["head.picks.inside", "plain.why.picks", "why.picks", "why.range", "acts.steps", "passes.spent", "skip.end"],
    ["head.off", "plain.head.off", "plain.why.picks", "help.use", "head.picks.below", "why.picks", "why.range",
     "passes.spent", "negative.unused"],
]  # fmt: skip


@pytest.mark.parametrize(("gamma", "ids"), zip((4.0, 1.0), PLAIN_SENTENCES, strict=True))
def test_of_plain_guidance_this_is_said_and_nothing_more(gamma, ids):
    found = report(run(gamma), LIKED)
    assert [one.id for one in found.sentences] == [*ids, "clipped.share", "record.size"]
    assert (found.cfg, found.plain, found.answer.suggested) == (gamma, True, None if gamma > 1 else 3.2)
    assert found.as_json()["effective"]["scale"] == pytest.approx(gamma, abs=1e-5)
