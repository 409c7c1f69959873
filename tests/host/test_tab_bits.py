"""With the Guidance tab on, every bit of the samples and of the random numbers is that of a job without it."""

import ast
import importlib.util
import json
from pathlib import Path
from typing import Any

import comfy.patcher_extension
import comfy_extras.nodes_easycache as caches
import pytest
import torch

from guidance_geometry.dev.fixtures.tiny_families import family, latent, text
from guidance_geometry.host import run_store
from guidance_geometry.nodes.tap import GGTap
from guidance_geometry.tests.host.runs import SEED, counted, host_nodes, ksampler, names, same

MODELS = ("pocket", "SD15", "Flux")
STEPS = 4
SCALES = (3.0, 1.0)  # at 1 the tab evaluates u at three steps after the run


def names_in_the_source():
    """The samplers of the host, read from its source: nothing of it may be imported while tests are collected."""
    spec = importlib.util.find_spec("comfy")
    if spec is None or not spec.submodule_search_locations:
        return []
    file = Path(next(iter(spec.submodule_search_locations))) / "samplers.py"
    named = (node for node in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(node, ast.Assign))
    lists: dict[str, Any] = {one.targets[0].id: one.value for one in named if isinstance(one.targets[0], ast.Name)}
    found = (lists["KSAMPLER_NAMES"], lists["SAMPLER_NAMES"].right)
    return [name for part in found for name in ast.literal_eval(part)]


def test_no_sampler_of_the_host_is_left_out():
    assert names_in_the_source() == list(names())
    assert len(names()) >= 42


class Parts(dict):
    """name -> MODEL, positive, negative, LATENT, made when first asked for."""

    def __init__(self, labelled, empty_latent):
        self.pocket = lambda: (*labelled["pocket"], empty_latent("pocket"))

    def __missing__(self, name):
        hosts = lambda: (family(name), text(name, 1), text(name, 2), latent(name))  # noqa: E731
        with torch.inference_mode():
            self[name] = self.pocket() if name == "pocket" else hosts()
        return self[name]


@pytest.fixture(scope="session")
def parts(labelled, empty_latent):
    return Parts(labelled, empty_latent)


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


@pytest.mark.matrix(parts=10)
@pytest.mark.parametrize("cfg", SCALES)
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("sampler", names_in_the_source())
def test_the_tab_changes_no_bit(job, parts, sampler, name, cfg):
    model, *others = parts[name]
    hold_equal(sampled(model, others, sampler, cfg), sampled(tapped(model), others, sampler, cfg))
    (record,) = records()
    assert record["steps"]
    assert bool((record.get("afterwards") or {}).get("steps")) == (
        cfg == 1.0 and "cfg_pp" not in sampler
    )  # these always ask for u


@pytest.mark.parametrize("sampler", ["euler_ancestral", "dpmpp_2m_sde", "uni_pc"])
@pytest.mark.parametrize("name", MODELS)
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


def with_cache(node):
    """A MODEL behind one of the host's caches of steps."""

    def cached(model):
        return getattr(caches, node).execute(model, 0.5, 0.0, 1.0, False)[0]

    return cached


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


PATCHES = {
    "EasyCache": with_cache("EasyCacheNode"),
    "LazyCache": with_cache("LazyCacheNode"),
    "every second call": by_count,
    "counts alone": lambda model: counted(model)[0],
}


@pytest.mark.parametrize("cfg", SCALES)
@pytest.mark.parametrize("name", ["SD15", "Flux"])
@pytest.mark.parametrize("patch", PATCHES.values(), ids=PATCHES)
def test_nor_does_it_beside_caches_and_wrappers_that_count(job, parts, patch, name, cfg):
    model, *others = parts[name]
    hold_equal(sampled(patch(model), others, "euler", cfg), sampled(tapped(patch(model)), others, "euler", cfg))
    (record,) = records()
    assert len(record["steps"]) == STEPS
