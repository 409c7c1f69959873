"""Which evaluation begins an outer step, from the order of evaluations (E) and reports (C); and who can wait."""

from dataclasses import replace

import pytest
import torch

from guidance_geometry.samplers.response import Response, StepResponse
from guidance_geometry.samplers.stages import Stages, cannot_wait, zero_init_note

EULER = StepResponse((0.5,), ((0.5,),), ((0.0,),))
HEUN = Response((EULER,) * 3, firsts=(0, 2, 4), reports=(1, 3, 5))
LATE = Response(late=True, why="its steps depend on what is predicted")


def beginnings(response, events, steps):
    """B or - for each evaluation.  events: C a report, E an evaluation, a digit one at that place of the schedule."""
    sigmas = [float(steps - i) for i in range(steps + 1)]
    stages, found = Stages(sigmas, response), ""
    for event in events:
        if event == "C":
            stages.note_report()
        else:
            level = sigmas[0] if event == "E" else sigmas[int(event)] * (1 + 1e-6)
            found += "B" if stages.begins(level) else "-"
    return found


@pytest.mark.parametrize(
    ("response", "events", "expected"),
    [
        (HEUN, "ECEECEEC", "B-B-B"),
        (replace(HEUN, firsts=(0, 1, 3), reports=(1, 2, 4)), "ECECEECE", "BB-B-"),
        (replace(HEUN, firsts=(0, 2), reports=(2, 4), late=True), "EECEEC", "B-B-"),
        (replace(HEUN, firsts=(0, None, 1), reports=(1, 2)), "ECCECC", "BB"),
        (LATE, "EEECEEEC", "B--B--"),
        (LATE, "013C23C", "B--B-"),
        (Response(), "EECEEC", "B-B-"),
        (Response(), "ECEC", "BB"),
        (Response(), "01C12C", "B-B-"),
    ],
)
def test_a_step_begins_where_its_response_says_or_its_report(response, events, expected):
    assert beginnings(response, events, steps=3) == expected


@pytest.mark.parametrize(
    ("events", "expected"),
    [("01234567", "B-BBBBBB"), ("0112233445566", "B--B-B-B-B-B-"), ("00011122233", "B-----B--B-")],
)
def test_a_sampler_that_never_reports_goes_on_by_its_levels(events, expected):
    assert beginnings(Response(), events, steps=8) == expected


def test_a_run_that_departs_from_its_response_is_followed_by_its_reports():
    assert beginnings(HEUN, "ECEEECECEC", steps=5) == "B-B-BB"
    stages = Stages([1.0, 0.0], HEUN)
    for level in (1.0, 0.9):
        stages.begins(level)
    assert stages.note_report(0.9) == 1, "by the level that it names"
    assert not stages.response.steps


def test_which_call_was_the_reported_step():
    stages, found = Stages([3.0, 2.0, 1.0, 0.0], HEUN), []
    for event in "ECEECEEC":
        found += [stages.note_report()] if event == "C" else [stages.begins(1.0)][:0]
    assert found == [0, 1, 1]
    assert stages.note_report() is None, "a second report of the same step"
    late = Stages([1.0], LATE)
    for level in (1.0, 0.5):
        late.begins(level)
    assert late.note_report(0.5) == 0


@pytest.mark.parametrize(
    ("events", "named", "expected"),
    [
        ("00C11C22C", True, [0, 0, 0]),  # twice at one level, and then the report
        ("00C11C22C", False, [0, 0, 0]),
        ("01C12C2C", True, [0, 0, 0]),  # after the stages
        ("10C21C", True, [1, 1]),  # after stages that come first
        ("0C11C22C", True, [0, 1, 1]),  # at once: the stage before, and the next step's first, share a level
        ("0C1C2C", False, [0, 0, 0]),
    ],
)
def test_which_call_a_report_without_a_response_is_about(events, named, expected):
    sigmas, stages, found = [3.0, 2.0, 1.0, 0.0], Stages([3.0, 2.0, 1.0, 0.0]), []
    for event in events:
        if event == "C":
            found.append(stages.note_report(sigmas[len(found)] if named else None))
        else:
            stages.begins(sigmas[int(event)])
    assert found == expected


@pytest.mark.parametrize(
    ("shown", "departure"), [([4.0, 2.00019], None), ([4.0, 2.0003], 2), ([4.1, 2.0], 1), ([], None)]
)
def test_levels_are_those_of_the_response_until_a_call_was_made_elsewhere(shown, departure):
    stages = Stages([4.0, 1.0, 0.0], replace(HEUN, levels=(4.0, 2.0)))
    for sigma, foretold in zip(shown, (4.0, 2.0), strict=False):
        assert stages.level_of(torch.tensor([sigma, 9.0])) == foretold
        stages.begins(foretold)
    assert stages.departure() == departure
    assert Stages(response=replace(LATE, levels=(4.0,))).level_of(torch.tensor([3.0, 9.0])) == 3.0
    if shown:
        assert stages.level_of(torch.tensor([0.5])) == 0.5, "further calls than the response has"


def run_of(step, *others):
    return Response((step, *(others or (step,))))


@pytest.mark.parametrize(
    ("response", "why"),
    [
        (run_of(EULER), ""),
        (run_of(replace(EULER, draws=(0.3,))), "its own noise"),
        (run_of(replace(EULER, hidden=0.3)), "its own noise"),
        (run_of(replace(EULER, guided=((0.4,),), draws=(0.0,))), "even where D = x"),
        (run_of(replace(EULER, uncond=((-0.5,),))), "unconditional prediction"),
        (run_of(EULER, replace(EULER, states=(0.5, 0.0), guided=((0.7,), (-0.2,)))), "as history"),
        (run_of(EULER, replace(EULER, states=(0.5, 0.1), guided=((0.4,), ()))), "as history"),
        (run_of(EULER, replace(EULER, states=(0.5, 0.0), uncond=((0.0,), (0.3,)))), "as history"),
        (run_of(replace(EULER, guided=((0.5009,),))), ""),
        (Response(why="unknown"), ""),
    ],
)
def test_a_sampler_that_moves_where_it_should_wait_is_known(response, why):
    found = cannot_wait("it", response, 1)
    assert found == why == "" or (why and why in found and found.startswith("it "))


def test_history_within_the_steps_that_wait_is_none():
    remembers = replace(EULER, states=(0.5, 0.0), guided=((0.7,), (-0.2,)))
    assert cannot_wait("it", Response((EULER, remembers, EULER)), 2) == ""
    assert cannot_wait("it", Response((EULER, EULER, remembers)), 1) == ""
    assert "history" in cannot_wait("it", Response((EULER, remembers, remembers)), 2)


def test_of_an_unknown_sampler_it_is_said_that_it_is_unknown():
    found = zero_init_note("it", LATE, 1)
    assert found.startswith("Zero-init may not hold here: it is not known whether it leaves the sample alone")
    assert LATE.why in found
    moves = zero_init_note("it", run_of(replace(EULER, draws=(0.3,))), 1)
    assert moves == "Zero-init does not hold here: it moves the sample by its own noise."
    assert zero_init_note("it", run_of(EULER), 1) == ""
