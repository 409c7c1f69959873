"""Every sampler of the host has a response, and its runs are what the response says."""

import comfy.samplers
import pytest
import torch
from comfy import model_management

from guidance_geometry.dev.fixtures.predicted_states import misses
from guidance_geometry.host.recording.run_facts import MOST_ASTRAY
from guidance_geometry.host.sampling import dry_run
from guidance_geometry.host.sampling.dry_run import MOST_STEPS, response

from .runs import names, of_the_host
from .schedules import node_samplers, sampling_of, schedule

EXACT = 1e-5  # relative
ADAPTIVE = "dpm_adaptive"


def response_of(sampler, kind, sigmas):
    return response(sampler.sampler_function, sampler.extra_options, sigmas, sampling_of(kind))


def missed(sampler, kind, sigmas):
    """Why a sampler has no response, or by how much its states miss it; None where all is well."""
    found = response_of(sampler, kind, sigmas)
    worst = max(misses(found, sampler, sampling_of(kind), sigmas)) if found.steps else 0
    return found.why or (worst if worst > EXACT else None)


@pytest.mark.parametrize("kind", ["ve", "flow"])
def test_every_sampler_of_the_host_moves_as_its_response_says(host, kind):
    sigmas = schedule(kind, 4)
    found = {name: missed(comfy.samplers.sampler_object(name), kind, sigmas) for name in names()}
    assert {name: why for name, why in found.items() if why} == {ADAPTIVE: "its steps depend on what is predicted"}


def test_a_samplers_options_are_in_its_response(host):
    found = {}
    for shown, sampler in node_samplers("flow").items():
        if "Adaptative" not in shown and "LCMUpscale" not in shown and "s_noise=0" not in shown:
            found[shown] = missed(sampler, "flow", schedule("flow", 5))
    assert len(found) > 30
    assert {shown: why for shown, why in found.items() if why} == {}


def test_a_response_is_responses_for_the_same_sampler_schedule_and_model(host, monkeypatch):
    made, plain = [], dry_run.measure_response
    monkeypatch.setattr(dry_run, "measure_response", lambda *given: made.append(1) or plain(*given))
    dry_run.forget()
    for name, options, kind, steps in [
        ("dpm_fast", {}, "ve", 4),
        ("dpm_fast", {}, "ve", 4),
        ("dpm_fast", {}, "ve", 5),
        ("dpm_fast", {}, "flow", 4),
        ("heun", {"s_churn": 1.0}, "ve", 4),
    ]:
        assert response_of(comfy.samplers.ksampler(name, options), kind, schedule(kind, steps)).steps
    assert len(made) == 4
    for steps in range(2, 50):
        response_of(comfy.samplers.ksampler("euler"), "ve", schedule("ve", steps))
    assert len(dry_run._responses) == dry_run.KEPT


def test_which_samplers_leave_their_noise_levels_is_measured(host):
    """Those that step on flow as on VE: their states keep more of the clean sample than belongs to the level."""

    def excess(name):
        return response_of(comfy.samplers.sampler_object(name), "flow", schedule("flow", 8)).excess_signal(True)

    found = {name: excess(name) for name in names()}
    wrong = {"ddpm", "res_multistep_ancestral", "res_multistep_ancestral_cfg_pp", "dpmpp_2s_ancestral_cfg_pp"}
    assert {name for name, share in found.items() if share > MOST_ASTRAY} == wrong
    assert min(found.values()) > -MOST_ASTRAY


def test_a_dry_run_leaves_options_schedule_and_random_numbers_alone(host):
    sampler, sigmas = comfy.samplers.ksampler("dpmpp_sde", {"eta": 0.5}), schedule("ve", 4)
    before, options = sigmas.clone(), dict(sampler.extra_options)
    torch.manual_seed(1)
    expected = torch.randn(2)
    torch.manual_seed(1)
    assert response_of(sampler, "ve", sigmas).steps
    assert torch.equal(torch.randn(2), expected)
    assert torch.equal(sigmas, before)
    assert sampler.extra_options == options


def test_too_many_steps_and_other_kinds_of_samplers_have_none(host):
    assert "0" in response_of(comfy.samplers.ksampler("euler"), "ve", torch.tensor([1.0])).why
    assert len(response_of(comfy.samplers.ksampler("euler"), "ve", schedule("ve", 1)).steps) == 1
    long = torch.linspace(1, 0, MOST_STEPS + 2)
    assert str(MOST_STEPS + 1) in response_of(comfy.samplers.ksampler("euler"), "ve", long).why
    assert "another kind" in response(None, {}, long, sampling_of("ve")).why
    unknown = torch.tensor([10.0, torch.nan, 1.0, 0.0])
    assert "not finite" in response_of(comfy.samplers.ksampler("euler"), "ve", unknown).why
    assert response_of(comfy.samplers.ksampler("euler"), "ve", torch.tensor([])).why.endswith("there are 0")


def test_a_wish_to_stop_is_after_a_dry_run_what_it_was(host, monkeypatch):
    answer = dry_run.Network.__call__

    @of_the_host
    def answering(*given, **named):
        model_management.interrupt_current_processing()
        return answer(*given, **named)

    monkeypatch.setattr(dry_run.Network, "__call__", answering)
    dry_run.forget()
    try:
        found = response_of(comfy.samplers.sampler_object("euler"), "ve", schedule("ve", 4))
        assert model_management.processing_interrupted()
        assert found.steps
    finally:
        model_management.interrupt_current_processing(False)
