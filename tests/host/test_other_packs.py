"""Beside patches of other packs: what they remember from step to step stays theirs, whatever the chain does."""

from contextlib import suppress
from dataclasses import dataclass

import comfy.patcher_extension
import pytest
import torch

from guidance_geometry.guidance.chain import PLAIN
from guidance_geometry.guidance.rules.kinds import After
from guidance_geometry.host.adapter import override
from guidance_geometry.nodes.guidance_patch import patch_model as patched_with

from .chains import Away, Doubling, Reusing, Skipping, bright, chain_of, mixture
from .runs import STEPS, guided, ksampler

GRADIENTS = ("x0 + backprop", "x0")


@dataclass(frozen=True)
class Quiet(After):
    """A rule that leaves guidance as it is."""

    phrase = "quiet"

    def step(self, state, p, guided, gamma):
        return guided, state


def in_model_options(args):
    return args["model_options"].setdefault("memory", {})


def in_transformer_options(args):
    return args["model_options"]["transformer_options"].setdefault("memory", {})


def momentum(model, memory, counts=None):
    """A clone of a MODEL whose guided prediction goes beyond the mean of the earlier ones, and counts its calls."""
    counts = [] if counts is None else counts

    def after(args):
        kept, found = memory(args), args["denoised"]
        counts.append(kept.get("count", 0))
        mean = kept.get("mean", found)
        assert mean is found or not mean.requires_grad, "a memory must not hold the graph of an earlier step"
        kept["count"], kept["mean"] = counts[-1] + 1, 0.5 * mean + 0.5 * found
        return found + 0.5 * (found - mean)

    clone = model.clone()
    clone.set_model_sampler_post_cfg_function(after)
    return clone


def chains():
    """Chains that change the options of the call in every way there is."""
    gradients = {at: chain_of(bright(), weight=0.1, evaluation=at) for at in GRADIENTS}
    rules = {"rule": PLAIN.then(Quiet()), "reuse": PLAIN.then(Reusing()), "cond only": PLAIN.then(Skipping())}
    both = {"rule and gradient": gradients["x0 + backprop"].then(Doubling())}
    return gradients | rules | both | {"second model": PLAIN.then(Away("cond", mixture()))}


@pytest.mark.parametrize(("memory", "way"), [(in_model_options, "patch"), (in_transformer_options, "guided sampler")])
def test_a_patch_remembers_in_every_kind_of_run_and_acts_as_without_a_chain(labelled, empty_latent, memory, way):
    model, *conditions = labelled["ve"]
    latent = empty_latent("ve")
    for name, chain in chains().items():
        counts = []
        patched = momentum(model, memory, counts)
        if way == "patch":
            found = ksampler(patched_with(patched, chain), *conditions, latent, "euler")
        else:
            found = guided(patched, *conditions, latent, "euler", guidance=chain)[0]["samples"]
        assert counts == list(range(STEPS)), name
        if name == "rule":
            assert torch.equal(found, ksampler(momentum(model, memory), *conditions, latent, "euler"))
            assert not torch.equal(found, ksampler(model, *conditions, latent, "euler"))


def test_a_second_model_remembers_too(labelled, empty_latent):
    counts = []

    def counted(executor, model, conds, x, sigma, options):
        counts.append(options.get("count", 0))
        options["count"] = counts[-1] + 1
        return executor(model, conds, x, sigma, options)

    weak = mixture()
    weak.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.CALC_COND_BATCH, "another pack", counted)
    for _ in range(2):
        guided(*labelled["ve"], empty_latent("ve"), "euler", guidance=PLAIN.then(Away("cond", weak)))
    assert counts == [*range(STEPS)] * 2, "in a run, and never in the next"


def test_what_is_remembered_of_a_failed_attempt_is_forgotten(labelled, empty_latent):
    model, *conditions = labelled["ve"]
    counts = []
    patched = momentum(model, in_model_options, counts)

    def failing(args):
        if len(counts) == 2 and torch.is_grad_enabled():
            raise RuntimeError("out of memory")
        return args["denoised"]

    patched.set_model_sampler_post_cfg_function(failing)
    guided(patched, *conditions, empty_latent("ve"), "euler", guidance=chains()["x0 + backprop"])
    assert counts == [0, 1, 1, *range(2, STEPS)]


def test_nothing_of_a_call_stays_in_the_options_of_the_run(host):
    options = {"kept": 1, "replaced": 2}
    with suppress(RuntimeError), override(options, {"replaced": 3, "new": 4}):
        assert options == {"kept": 1, "replaced": 3, "new": 4}
        options["theirs"] = 5
        raise RuntimeError
    assert options == {"kept": 1, "replaced": 2, "theirs": 5}
