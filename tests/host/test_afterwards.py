"""At cfg 1: u evaluated at a few steps after the run."""

import pytest
import torch

from guidance_geometry.tests.host.runs import counted
from guidance_geometry.tools.fixtures.tiny_families import family, latent, text
from guidance_geometry.trace.checks import check

STEPS = 6


def run(model, positive, negative, sampler="euler", cfg=1.0, uncond_steps=3, capture="pictures", **given):
    """The samples of a recorded KSampler, the trace, and the state of the random numbers after it."""
    from guidance_geometry.nodes.records import GGReadTrace, GGRecord
    from guidance_geometry.tests.host.runs import ksampler

    tapped, recorder = GGRecord.execute(model, capture, 256, uncond_steps).result
    torch.manual_seed(0)
    samples = ksampler(tapped, positive, negative, latent("SD15"), sampler, "simple", STEPS, cfg, **given)
    return samples, GGReadTrace.execute(recorder, {"samples": samples}).result[0], torch.get_rng_state()


@pytest.fixture(scope="module")
def parts(host):
    with torch.inference_mode():
        return family("SD15"), text("SD15", 1), text("SD15", 2)


@pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m_sde", "heun", "uni_pc", "dpmpp_2s_ancestral"])
def test_the_sample_and_the_random_numbers_stay(parts, sampler):
    plain, looked = (run(*parts, sampler, uncond_steps=count) for count in (0, 3))
    assert torch.equal(plain[0], looked[0])
    assert torch.equal(plain[2], looked[2])
    assert plain[1].header["evaluations"] == looked[1].header["evaluations"]


def test_the_steps_are_those_of_a_run_that_evaluates_both(parts):
    """cfg 1 where nothing is left out, through the host's own switch, has the same u at the same states."""
    model = parts[0].clone()
    model.model_options["disable_cfg1_optimization"] = True
    both = run(model, *parts[1:], uncond_steps=0)[1]
    trace = run(*parts)[1]
    said = trace.header["afterwards"]
    assert said["steps"] == [0, 2, 5]
    assert (said["evaluations"], said["against"]) == (6, "the negative")
    assert said["drift"] <= 1e-5
    assert trace.stage == ["afterwards", "cond_only", "afterwards", "cond_only", "cond_only", "afterwards"]
    assert torch.allclose(trace.steps["K"][said["steps"]], both.steps["K"][said["steps"]], rtol=1e-3, atol=1e-4)
    assert trace.steps["K"][1].isnan().any()
    assert torch.equal(trace.column("M12").isnan(), run(*parts, uncond_steps=0)[1].column("M12").isnan())
    assert check(trace) == []
    at = [trace.captured_steps.index(step) for step in said["steps"]]
    assert torch.allclose(trace.tensors["uncond"][at], both.tensors["uncond"][at], rtol=2e-3, atol=1e-2)


def test_it_costs_what_it_says(parts):
    model, calls = counted(parts[0])
    trace = run(model, *parts[1:])[1]
    assert len(calls) == STEPS + trace.header["afterwards"]["evaluations"]
    assert "at 3 steps it was evaluated after the run, against the negative" in " ".join(trace.header["notes"])


@pytest.mark.parametrize("cfg", [0.0, 3.0])
def test_with_guidance_nothing_is_evaluated_twice(parts, cfg):
    model, calls = counted(parts[0])
    trace = run(model, *parts[1:], cfg=cfg)[1]
    assert len(calls) == STEPS
    assert not trace.header.get("afterwards")


def test_the_answer_of_a_cache_is_not_believed(parts):
    plain = run(counted(parts[0], STEPS)[0], *parts[1:], uncond_steps=0)[0]
    samples, trace, _ = run(counted(parts[0], STEPS)[0], *parts[1:])
    assert torch.equal(samples, plain)
    said = trace.header["afterwards"]
    assert said["steps"] == [5]  # the last step's c is what the cache holds
    assert said["drift"] > 1e-3
    assert any("2 more were dropped" in note for note in trace.header["notes"])


def test_a_fault_costs_nothing_but_itself(parts, monkeypatch):
    from guidance_geometry.host import afterwards

    def broken(*_):
        raise RuntimeError("no memory")

    monkeypatch.setattr(afterwards, "_evaluated", broken)
    samples, trace, _ = run(*parts)
    assert torch.equal(samples, run(*parts, uncond_steps=0)[0])
    assert trace.n == STEPS
    assert any("not evaluated after the run: RuntimeError" in note for note in trace.header["notes"])


def test_embedded_guidance_is_compared_with_none(host):
    from guidance_geometry.nodes.records import GGReadTrace, GGRecord
    from guidance_geometry.tests.host.runs import ksampler

    with torch.inference_mode():
        model, positive, negative = family("Flux"), text("Flux", 1), text("Flux", 2)
    tapped, recorder = GGRecord.execute(model, "numbers", 256, 2).result
    samples = ksampler(tapped, positive, negative, latent("Flux"), "euler", "simple", 4, 1.0)
    trace = GGReadTrace.execute(recorder, {"samples": samples}).result[0]
    said = trace.header["afterwards"]
    assert (said["against"], said["steps"]) == ("embedded guidance 1", [0, 3])
    off = [[positive[0][0], {**positive[0][1], "guidance": 1.0}]]
    both = model.clone()
    both.model_options["disable_cfg1_optimization"] = True
    tapped, recorder = GGRecord.execute(both, "numbers").result
    same = ksampler(tapped, positive, off, latent("Flux"), "euler", "simple", 4, 1.0)
    wanted = GGReadTrace.execute(recorder, {"samples": same}).result[0]
    assert torch.allclose(trace.steps["K"][[0, 3]], wanted.steps["K"][[0, 3]], rtol=1e-3, atol=1e-4)


def test_it_is_saved_and_read_again(parts, tmp_path):
    from guidance_geometry.trace.file import load, save
    from guidance_geometry.trace.record import run_record

    trace = run(*parts)[1]
    save(trace, tmp_path / "a.safetensors")
    again = load(tmp_path / "a.safetensors")
    assert again.header["afterwards"] == trace.header["afterwards"]
    assert again.stage == trace.stage
    assert run_record(again)["afterwards"]["steps"] == [0, 2, 5]
