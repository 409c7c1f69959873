"""An agent without eyes: from any cfg into the good range by the JSON of reports alone; and a size that accuses."""

import random

import pytest

from guidance_geometry.lab.markdown import section_in
from guidance_geometry.lab.verdict import blind_agent, broken_runs

STARTS = (1.0, 2.6, 6.9, 28.0)


@pytest.mark.parametrize("model", blind_agent.MODELS)
def test_a_reader_of_reports_reaches_the_good_range_in_three_runs_and_before_the_others(model):
    reader, stranger, *told = blind_agent.measure(model, STARTS)
    for row in (reader, stranger, *told):
        print(*row.cells, row.trails, sep=" | ")
    assert all(reader.reached), reader.trails
    assert all(reader.runs <= other.runs for other in told)
    assert reader.runs < told[-1].runs
    for tried in stranger.trails:
        assert tried == sorted(tried, reverse=True), "without a card nothing tells that a cfg is too low"


def test_a_reader_stops_where_nothing_is_known_to_be_wrong():
    subject = blind_agent.Subject(blind_agent.load_denoiser("pocket-1"))
    assert blind_agent.trail(blind_agent.reader(subject), 2.6, blind_agent.FEW) == [2.6]
    unknown = blind_agent.Subject(subject.denoiser, known=False).report(2.6)
    assert (unknown["colour"], unknown["against"], blind_agent.next_value(unknown)) == ("unclear", "nothing", None)


def test_bisection_and_random_end_inside_whatever_the_start():
    band = (1.9, 4.0)
    for start in STARTS:
        for ask in (blind_agent.bisection(band), blind_agent.drawing(band, random.Random(3))):
            assert blind_agent.is_good(blind_agent.trail(ask, start, blind_agent.MANY)[-1], band)


def test_what_is_written_is_of_both_models():
    written = section_in(blind_agent.SKILL, blind_agent.HEADING)
    assert all(f"| {model} |" in written for model in blind_agent.MODELS)


def test_a_finished_sample_accuses_a_broken_model_and_no_good_run():
    card = blind_agent.Subject(blind_agent.load_denoiser("pocket-1")).card
    cases = {one.wrong: one for one in broken_runs.cases_of("pocket-1")}
    shown = {}
    for wrong in ("nothing", "read as epsilon", "predictions a tenth as large", "stopped after half of the steps"):
        *_, size, flat, noise, _, _ = broken_runs.row_of("pocket-1", cases[wrong], card, 6)
        shown[wrong] = (size, flat, noise)
    assert shown["nothing"] == ("0 of 6", "0 of 6", "0 of 6")
    assert shown["read as epsilon"][0] == "6 of 6"
    assert shown["predictions a tenth as large"][:2] == ("6 of 6", "6 of 6")
    assert shown["stopped after half of the steps"][2] == "6 of 6"
    written = section_in(blind_agent.SKILL, broken_runs.HEADING)
    assert all(
        f"| {model} | {wrong} |" in written for model in blind_agent.MODELS for wrong in ("nothing", "two steps")
    )
