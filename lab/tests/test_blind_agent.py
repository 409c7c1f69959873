"""An agent without eyes: from any cfg into the good range by the JSON of reports alone; and a size that accuses."""

import pytest

from guidance_geometry.lab.verdict import blind_agent, broken_runs

STARTS = (1.0, 2.6, 6.9, 28.0)


@pytest.mark.parametrize("model", blind_agent.MODELS)
def test_a_reader_of_reports_reaches_the_good_range_in_three_runs_and_before_the_others(model):
    reader, stranger, *told = blind_agent.measure(model, STARTS)
    assert all(reader.reached), reader.trails
    assert all(reader.runs <= other.runs for other in told)
    assert reader.runs < told[-1].runs
    for tried in stranger.trails:
        assert tried == sorted(tried, reverse=True), "without a card nothing tells that a cfg is too low"


def test_a_finished_sample_accuses_a_broken_model_and_no_good_run():
    card = blind_agent.Subject(blind_agent.load_denoiser("pocket-1")).card
    cases = {one.wrong: one for one in broken_runs.cases_of("pocket-1")}
    shown = {}
    for wrong in ("nothing", "read as epsilon", "stopped after half of the steps"):
        *_, size, flat, noise, _, _ = broken_runs.row_of("pocket-1", cases[wrong], card, 6)
        shown[wrong] = (size, flat, noise)
    assert shown["nothing"] == ("0 of 6", "0 of 6", "0 of 6")
    assert shown["read as epsilon"][0] == "6 of 6"
    assert shown["stopped after half of the steps"][2] == "6 of 6"
