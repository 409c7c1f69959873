"""At cfg 1: u evaluated at a few steps after the run."""

from typing import Any

import pytest
import torch

from guidance_geometry.dev.fixtures.tiny_families import family, latent, text
from guidance_geometry.nodes.records import GGReadTrace, GGRecord
from guidance_geometry.tests.host.runs import counted, ksampler
from guidance_geometry.trace.checks import check

STEPS = 6


def run(model, positive, negative, sampler="euler", cfg=1.0, uncond_steps=3, capture="pictures", **given):
    """The samples of a recorded KSampler, the trace, and the state of the random numbers after it."""
    tapped, recorder = GGRecord.execute(model, capture, 256, uncond_steps).args
    torch.manual_seed(0)
    samples = ksampler(
        tapped, positive, negative, latent("SD15"), sampler, scheduler="simple", steps=STEPS, cfg=cfg, **given
    )
    return samples, GGReadTrace.execute(recorder, {"samples": samples})[0], torch.get_rng_state()


def evaluating_both(model: Any):
    """A clone of a MODEL of which the host evaluates u at cfg 1 too."""
    clone = model.clone()
    clone.model_options["disable_cfg1_optimization"] = True
    return clone


@pytest.fixture(scope="module")
def parts(host):
    with torch.inference_mode():
        return family("SD15"), text("SD15", 1), text("SD15", 2)


@pytest.mark.parametrize("sampler", ["dpmpp_2m_sde", "heun"])
def test_the_sample_and_the_random_numbers_stay(parts, sampler):
    plain, looked = (run(*parts, sampler=sampler, uncond_steps=count) for count in (0, 3))
    assert torch.equal(plain[0], looked[0])
    assert torch.equal(plain[2], looked[2])
    assert plain[1].header["evaluations"] == looked[1].header["evaluations"]
    assert plain[1].header["afterwards"] == {"steps": [], "evaluations": 0, "why": "uncond_steps is 0"}


def test_the_steps_are_those_of_a_run_that_evaluates_both(parts):
    """cfg 1 where nothing is left out, through the host's own switch, has the same u at the same states."""
    model = evaluating_both(parts[0])
    both = run(model, *parts[1:], uncond_steps=0)[1]
    trace = run(*parts)[1]
    said = trace.header["afterwards"]
    assert said["steps"] == [0, 2, 5]
    assert (said["evaluations"], said["against"]) == (6, "the negative")
    assert said["drift"] <= 1e-5
    assert trace.stage == ["afterwards", "cond_only", "afterwards", "cond_only", "cond_only", "afterwards"]
    assert torch.allclose(trace.steps["K"][said["steps"]], both.steps["K"][said["steps"]], rtol=1e-3, atol=1e-4)
    assert trace.steps["K"][1].isnan().any()
    assert ["afterwards" in run(*parts, cfg=cfg)[1].header for cfg in (0.0, 3.0)] == [False, False]
    assert torch.equal(trace.column("M12").isnan(), run(*parts, uncond_steps=0)[1].column("M12").isnan())
    assert check(trace) == []
    at = [trace.captured_steps.index(step) for step in said["steps"]]
    assert torch.allclose(trace.tensors["uncond"][at], both.tensors["uncond"][at], rtol=2e-3, atol=1e-2)


def test_the_answer_of_a_cache_is_not_believed(parts):
    plain = run(counted(parts[0], STEPS)[0], *parts[1:], uncond_steps=0)[0]
    samples, trace, _ = run(counted(parts[0], STEPS)[0], *parts[1:])
    assert torch.equal(samples, plain)
    said = trace.header["afterwards"]
    assert said["steps"] == []  # nor the last one, whose c and whose u are both what the cache holds
    assert said["drift"] > 1e-3
    assert any("dropped" in note for note in trace.header["notes"])


def test_embedded_guidance_is_compared_with_none(host):
    with torch.inference_mode():
        model, positive, negative = family("Flux"), text("Flux", 1), text("Flux", 2)
    shape = latent("Flux")["samples"].shape[1:]
    trace = looked(model, positive, negative, shape)
    said = trace.header["afterwards"]
    assert (said["against"], said["steps"], said["evaluations"]) == ("embedded guidance 1", [0, 3], 4)
    off = [[positive[0][0], {**positive[0][1], "guidance": 1.0}]]
    wanted = looked(evaluating_both(model), positive, off, shape)
    assert torch.allclose(trace.steps["K"][[0, 3]], wanted.steps["K"][[0, 3]], rtol=1e-3, atol=1e-4)


def looked(model, positive, negative, shape):
    tapped, recorder = GGRecord.execute(model, "numbers", 256, 2).args
    given = (tapped, positive, negative, {"samples": torch.zeros(1, *shape)}, "euler")
    samples = ksampler(*given, scheduler="simple", steps=4, cfg=1.0)
    return GGReadTrace.execute(recorder, {"samples": samples})[0]
