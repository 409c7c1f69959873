"""How often a run reads a value from its device: each is a wait, in which the device has nothing to do."""

from collections import Counter
from itertools import pairwise

import comfy.samplers
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from guidance_geometry.nodes.sampling import GGGuider, GGInspectedSampler

from .rule_knobs import ALL, acting
from .runs import custom, guided, ksampler

WAITS = {"aten::_local_scalar_dense", "aten::item", "aten::is_nonzero", "aten::nonzero", "aten::equal"}


class Waits(TorchDispatchMode):
    """Counts the operations that need a value on the host; on a processor they are the same as on any device."""

    def __init__(self):
        super().__init__()
        self.found = Counter()

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        name = operation.name().partition(".")[0]
        masked = name in ("aten::index", "aten::index_put_") and any(
            isinstance(index, torch.Tensor) and index.dtype == torch.bool for index in args[1]
        )
        if name in WAITS or masked:
            self.found[name] += 1
        return operation(*args, **(kwargs or {}))


def waits(run):
    """The waits of a run whose sampler has been measured before."""
    run()
    with Waits() as counted:
        run()
    return counted.found.total()


@pytest.mark.parametrize("sampler", ["euler", "heun", "dpm_2", "dpmpp_2m", "euler_ancestral", "uni_pc"])
@pytest.mark.parametrize("capture", ["numbers", "pictures", "tensors"])
def test_recording_waits_no_more_often_in_longer_runs(labelled, empty_latent, sampler, capture):
    model, positive, negative = labelled["pocket"]
    latent = empty_latent("pocket")

    def more(steps):
        plain = waits(lambda: ksampler(model, positive, negative, latent, sampler, steps=steps))
        return waits(lambda: guided(model, positive, negative, latent, sampler, steps=steps, capture=capture)) - plain

    assert more(12) == more(6)


@pytest.mark.parametrize("name", ALL)
def test_a_rule_waits_no_more_often_in_longer_runs(labelled, empty_latent, wires, name):
    model, positive, negative = labelled["pocket"]
    noise, latent, rules = custom.Noise_RandomNoise(3), empty_latent("pocket"), acting(name, wires["pocket"])
    guider = GGGuider.execute(model, positive, negative, 3.0, rules)[0]
    sampler = custom.KSamplerSelect.execute("euler")[0]
    plain = custom.CFGGuider.execute(model, positive, negative, 3.0)[0]

    def more(steps):
        sigmas = custom.KarrasScheduler.execute(steps, 20.0, 0.05, 7.0)[0]
        given = sampler, sigmas, latent
        counts = [
            waits(lambda g=one: custom.SamplerCustomAdvanced.execute(noise, g, *given)) for one in (guider, plain)
        ]
        return counts[0] - counts[1]

    assert more(12) == more(6)


def test_a_sampler_whose_levels_are_not_those_of_its_dry_run_is_found_out(labelled, empty_latent):
    def crooked(model, x, sigmas, extra_args, callback, disable):
        off = 1.0 if x.shape[1] == 1 else 1.01  # as the probes of a dry run have it
        for i, (now, then) in enumerate(pairwise(sigmas * off)):
            denoised = model(x, now * x.new_ones(len(x)), **extra_args)
            callback({"x": x, "i": i, "sigma": now, "denoised": denoised})
            x = denoised + (x - denoised) * then / now
        return x

    model, positive, negative = labelled["ve"]
    guider = GGGuider.execute(model, positive, negative, 3.0)[0]
    noise, sigmas = custom.Noise_RandomNoise(3), custom.KarrasScheduler.execute(4, 20.0, 0.05, 7.0)[0]
    sampler = comfy.samplers.KSAMPLER(crooked)
    trace = GGInspectedSampler.execute(noise, guider, sampler, sigmas, empty_latent("ve"))[2]
    words = " ".join([*trace.header["faults"], *trace.header["notes"]])
    assert words.lower().count("evaluation 1 was at another noise level") == 2, trace.header
