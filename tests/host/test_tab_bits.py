"""With the Guidance tab on, every bit of the samples and of the random numbers is that of a job without it."""

import json

import comfy.patcher_extension
import comfy_extras.nodes_easycache as caches
import pytest
import torch

from guidance_geometry.dev.fixtures.tiny_families import family, latent, text
from guidance_geometry.host.editor import run_store
from guidance_geometry.nodes.tap import GGTap
from guidance_geometry.tests.host.runs import SEED, host_nodes, ksampler, names, same

STEPS = 4


@pytest.fixture(scope="module")
def parts(labelled, empty_latent):
    """name -> MODEL, positive, negative, LATENT."""
    with torch.inference_mode():
        found = {name: (family(name), text(name, 1), text(name, 2), latent(name)) for name in ("SD15", "Flux")}
        return found | {"pocket": (*labelled["pocket"], empty_latent("pocket"))}


def tapped(model):
    return GGTap.execute(model)[0]


def sampled(model, others, sampler, cfg):
    """Samples, and the state of the random numbers after them."""
    torch.manual_seed(0)
    return ksampler(model, *others, sampler, scheduler="simple", steps=STEPS, cfg=cfg), torch.get_rng_state()


def records():
    """What the store keeps, the oldest first."""
    return [json.loads(run.record) for run in run_store.STORE.wait_for_runs().runs.values()]


def hold_equal(plain, watched):
    assert same(plain[0], watched[0])
    assert torch.equal(plain[1], watched[1])


CASES = [("pocket", 3.0), ("pocket", 1.0), ("Flux", 1.0)]


@pytest.mark.parametrize(("name", "cfg"), CASES)
def test_the_tab_changes_no_bit(job, parts, monkeypatch, name, cfg):
    """Every second sampler meets one of them."""
    model, *others = parts[name]
    for sampler in names()[2 * CASES.index((name, cfg)) :: 2 * len(CASES)]:
        monkeypatch.setattr(run_store, "STORE", run_store.RunStore())
        hold_equal(sampled(model, others, sampler, cfg), sampled(tapped(model), others, sampler, cfg))
        (record,) = records()
        assert record["steps"], sampler
        asked_for_u = cfg == 1.0 and "cfg_pp" not in sampler  # these always ask for u
        assert bool((record.get("afterwards") or {}).get("steps")) == asked_for_u, sampler


@pytest.mark.parametrize(("name", "sampler"), [("pocket", "uni_pc"), ("SD15", "dpmpp_2m_sde")])
def test_nor_do_two_samplers_in_a_row(job, parts, name, sampler):
    model, positive, negative, empty = parts[name]

    def halves(one):
        torch.manual_seed(0)
        advanced, settings = host_nodes().KSamplerAdvanced().sample, (STEPS, 3.0, sampler, "simple", positive, negative)
        first = advanced(one, "enable", SEED, *settings, dict(empty), 0, 2, "enable")[0]
        second = advanced(one, "disable", SEED, *settings, first, 2, 10000, "disable")[0]
        return torch.cat([first["samples"], second["samples"]]), torch.get_rng_state()

    hold_equal(halves(model), halves(tapped(model)))
    (both,) = records()  # of one node that goes on where it stopped
    assert len(both["sigmas"]) == STEPS + 1


def by_count(model):
    """A MODEL whose wrapper counts the calls of a run, and gives every second the answer before it."""
    clone, calls, kept = model.clone(), [], []

    def begin(executor, *given, **named):
        calls.clear()
        return executor(*given, **named)

    def call(apply, given):
        calls.append(1)
        if len(calls) % 2 or kept[0].shape != given["input"].shape:
            kept[:] = [apply(given["input"], given["timestep"], **given["c"])]
        return kept[0]

    clone.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.OUTER_SAMPLE, "counting", begin)
    clone.set_model_unet_function_wrapper(call)
    return clone


def cached(model):
    return caches.EasyCacheNode.execute(model, 0.5, 0.0, 1.0, False)[0]


@pytest.mark.parametrize(("patch", "cfg"), [(cached, 3.0), (cached, 1.0), (by_count, 3.0), (by_count, 1.0)])
def test_nor_does_it_beside_caches_and_wrappers_that_count(job, parts, patch, cfg):
    """At cfg 1 the tab evaluates u at three steps after the run."""
    model, *others = parts["SD15" if cfg == 1.0 else "Flux"]
    hold_equal(sampled(patch(model), others, "euler", cfg), sampled(tapped(patch(model)), others, "euler", cfg))
    (record,) = records()
    assert len(record["steps"]) == STEPS
