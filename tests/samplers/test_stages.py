"""Which evaluation begins an outer step, from the order of evaluations (E) and reports (C)."""

from pathlib import Path

import pytest

from guidance_geometry.samplers.stages import (
    FURTHER,
    NOISY,
    REMEMBERING,
    REMEMBERING_AT_ETA_0,
    RENOISING,
    RENOISING_AT_ETA_0,
    WAITING,
    WITHOUT_ETA,
    Stages,
    cannot_wait,
    zero_init_note,
)


def beginnings(sampler, events, steps, **options):
    """B or - for each evaluation.  events: C a report, E an evaluation, a digit one at that place of the schedule."""
    sigmas = [float(steps - i) for i in range(steps + 1)]
    stages, found = Stages(sampler, sigmas, options), ""
    for event in events:
        if event == "C":
            stages.reported()
        else:
            level = sigmas[0] if event == "E" else sigmas[int(event)] * (1 + 1e-6)
            found += "B" if stages.begins(level) else "-"
    return found


@pytest.mark.parametrize(
    ("sampler", "events", "expected"),
    [
        ("euler", "ECECEC", "BBB"),
        ("heun", "ECEECEEC", "B-B-B"),
        ("seeds_3", "ECEEECEEEC", "B--B--B"),
        ("heunpp2", "ECEEECEEC", "B--B-B"),
        ("sa_solver_pece", "ECECEECE", "BB-B-"),
        ("dpm_fast", "ECEEECEEC", "B--B-B"),
        ("dpm_adaptive", "EEECEEEC", "B--B--"),
        ("of another pack, reports after its stages", "EECEEC", "B-B-"),
        ("of another pack, one evaluation", "ECEC", "BB"),
        ("of another pack, reports after its stages", "01C12C", "B-B-"),
        ("dpm_adaptive", "013C23C", "B--B-"),
    ],
)
def test_a_step_begins_where_its_report_says(sampler, events, expected):
    assert beginnings(sampler, events, steps=6 if sampler == "dpm_fast" else 3) == expected


@pytest.mark.parametrize(
    ("events", "expected"),
    [("01234567", "B-BBBBBB"), ("0112233445566", "B--B-B-B-B-B-"), ("00011122233", "B-----B--B-")],
)
def test_a_sampler_that_never_reports_goes_on_by_its_levels(events, expected):
    assert beginnings("of another pack, never reports", events, steps=8) == expected


def test_predict_and_evaluate_twice_is_an_option_of_the_solver_too():
    assert beginnings("sa_solver", "ECECEECE", steps=3, use_pece=True) == "BB-B-"
    assert beginnings("sa_solver", "ECECEC", steps=3, use_pece=False) == "BBB"


def test_steps_back_are_reported_without_an_evaluation():
    assert beginnings("gg_ddim", "ECCECC", steps=3) == "BB"


@pytest.mark.parametrize(
    ("sampler", "options", "why"),
    [
        ("heun", {}, ""),
        ("heun", {"s_churn": 1.0}, "its own noise"),
        ("gg_ddim", {"eta": 0.0}, ""),
        ("gg_ddim", {"eta": 0.5}, "its own noise"),
        ("gg_ddim", {"eta": 0.0, "recurrence": 2}, "its own noise"),
        ("lcm", {}, "its own noise"),
        ("dpmpp_2m", {}, "as history"),
        ("euler_cfg_pp", {}, "unconditional prediction"),
        ("euler_ancestral", {"eta": 0.0}, ""),
        ("euler_ancestral", {"s_noise": 0.0}, "its own noise"),
        ("dpmpp_2m_sde", {"eta": 0.0}, "as history"),
        ("euler_ancestral_cfg_pp", {"eta": 0.0}, "unconditional prediction"),
        ("dpm_adaptive", {"eta": 0.0}, ""),
        ("dpm_adaptive", {"eta": 0.5}, "its own noise"),
        ("dpm_adaptive", {"eta": 0.5, "s_noise": 0.0}, ""),
        ("heun", {"s_churn": 1.0, "s_noise": 0.0}, ""),
        ("er_sde", {"s_noise": 0.0}, "its own noise"),
        ("er_sde", {"s_noise": 0, "noise_scaler": lambda x: x, "max_stage": 1}, ""),
        ("er_sde", {"s_noise": 0, "noise_scaler": lambda x: x, "max_stage": 3}, "as history"),
        ("er_sde", {"s_noise": 0, "noise_scaler": lambda x: x**2, "max_stage": 1}, "its own noise"),
        ("sample_lcm_upscale", {}, "its own noise"),
        ("gg_ddpm", {"eta": 0.0}, "its own noise"),
        ("of another pack", {}, ""),
    ],
)
def test_a_sampler_that_moves_where_it_should_wait_is_known(sampler, options, why):
    found = cannot_wait(sampler, options)
    assert found == why == "" or (why and why in found and found.startswith(sampler))


def test_of_an_unknown_sampler_it_is_said_that_it_is_unknown():
    assert zero_init_note("of another pack", {}).startswith("Zero-init may not hold here: it is not known whether of ")
    assert zero_init_note("lcm", {}) == "Zero-init does not hold here: lcm moves the sample by its own noise."
    assert zero_init_note("euler", {}) == zero_init_note("euler_ancestral", {"eta": 0.0}) == ""


def test_the_lists_hold_every_name_once():
    lists = (NOISY, RENOISING, REMEMBERING, WAITING)
    assert len({name for one in lists for name in one}) == sum(map(len, lists))
    assert {*WITHOUT_ETA, *RENOISING_AT_ETA_0, *REMEMBERING_AT_ETA_0} <= set(NOISY)
    assert all(further(0, 1) >= 0 for further in FURTHER.values())


def test_the_help_page_names_every_sampler_that_cannot_wait():
    page = (Path(__file__).resolve().parents[2] / "web" / "docs" / "GGZeroStar.md").read_text(encoding="utf-8")
    noise, history, renoising = (line for line in page.splitlines() if line.startswith("- **"))
    bare = {name.removesuffix("_gpu").removesuffix("_cfg_pp") for name in NOISY if not name.startswith("gg_")}
    assert {name for name in bare if name not in noise} == set()
    assert {name for name in REMEMBERING if name not in history} == set()
    assert {name for name in RENOISING if name not in renoising} == set()
