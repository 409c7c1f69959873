"""Runs of the host's sampler and of ours, and models that count and collect what is asked of them."""

from contextlib import contextmanager
from types import CodeType
from typing import Any

import comfy.sample
import comfy.samplers
import torch
from comfy.k_diffusion.sampling import BrownianTreeNoiseSampler
from comfy_extras import nodes_custom_sampler as custom

import nodes
from guidance_geometry.figures.table import as_csv, as_json, as_text
from guidance_geometry.host.recording.host_run import host_run
from guidance_geometry.host.recording.watch import Recording, SamplerArguments, Watch
from guidance_geometry.host.sampling import dry_run
from guidance_geometry.host.sampling.guided_run import chain_guider
from guidance_geometry.nodes.sampling import GGGuidedSampler, GGInspectedSampler
from guidance_geometry.trace.checks import check
from guidance_geometry.trace.record import run_record
from guidance_geometry.trace.trace import Trace

from .schedules import sampling_of, schedule

STEPS = 6
CFG = 3.0
SEED = 7


def names():
    return comfy.samplers.KSampler.SAMPLERS


def own_noise(name, kind="ve") -> Any:
    """What the host's sampler of a name draws from if left alone."""
    function = comfy.samplers.sampler_object(name).sampler_function
    return dry_run.own_noise(function, torch.zeros(1, 3, 4, 4), schedule(kind, 3), SEED, sampling_of(kind))


def of_the_host(function: Any) -> Any:
    """A function as if it stood in a file of the host, with all that is defined in it."""

    def moved(code):
        inner = tuple(moved(one) if isinstance(one, CodeType) else one for one in code.co_consts)
        return code.replace(co_filename=comfy.samplers.__file__, co_consts=inner)

    function.__code__ = moved(function.__code__)
    return function


def draws_a_path(name):
    return isinstance(own_noise(name), BrownianTreeNoiseSampler)


def host_nodes():
    return nodes


def ksampler(*run, scheduler="karras", steps=STEPS, cfg=CFG, **more) -> torch.Tensor:
    """The host's samples.  run: MODEL, positive, negative, LATENT, name of a sampler"""
    model, positive, negative, latent, name = run
    out = host_nodes().common_ksampler(
        model, SEED, steps, cfg, name, scheduler, positive, negative, dict(latent), **more
    )
    return out[0]["samples"]


def guided(*run, scheduler="karras", steps=STEPS, cfg=CFG, **more):
    """LATENT, denoised LATENT and trace of our node.  run: as for ksampler"""
    model, positive, negative, latent, name = run
    return GGGuidedSampler.execute(
        model, SEED, steps, cfg, name, scheduler, positive, negative, dict(latent), **more
    ).args


def half_mask(latent):
    mask = torch.ones(1, 1, *latent["samples"].shape[2:])
    mask[..., : mask.shape[-1] // 2] = 0
    return {**latent, "samples": latent["samples"] + 0.25, "noise_mask": mask}


def fitted(model, latent, downscale_ratio_spacial=None, downscale_ratio_temporal=None):
    """As newer hosts fit an empty latent: a ratio of 2 below a model whose latents are pixels is twice the length."""
    channels = model.get_model_object("latent_format").latent_channels
    latent = latent[:, :1].repeat_interleave(channels, 1)
    if latent.ndim == 5:
        latent = latent.repeat_interleave(downscale_ratio_temporal or 1, 2)
    for side in (-2, -1):
        latent = latent.repeat_interleave(downscale_ratio_spacial or 1, side)
    return latent


class Counter:
    """A clone of a MODEL that counts the network's calls and the items in them."""

    def __init__(self, model):
        self.items, self.model = [], model.clone()
        self.model.set_model_unet_function_wrapper(self.call)

    def call(self, apply, arguments):
        self.items.append(len(arguments["input"]))
        return apply(arguments["input"], arguments["timestep"], **arguments["c"])


@contextmanager
def watched(model, changed=lambda found: found):
    """The items in each call of a MODEL's network, with nothing put on the MODEL.  changed: what it answers instead"""
    items = []

    def seen(network, given, found):
        items.append(len(given[0]))
        return changed(found)

    handle = model.model.diffusion_model.register_forward_hook(seen)
    try:
        yield items
    finally:
        handle.remove()


def counted(model, answers=None):
    """A clone that counts the network's calls, and the calls; after so many answers it only gives the last again.

    A function, not a method: a further clone would copy what a method is bound to.
    """
    calls, kept, clone = [], [], model.clone()

    def call(apply, given):
        calls.append(len(given["input"]))
        if answers is None or len(calls) <= answers:
            kept[:] = [apply(given["input"], given["timestep"], **given["c"])]
        return kept[0]

    clone.set_model_unet_function_wrapper(call)
    return clone, calls


def outcome(run):
    """What a run makes: its samples, or the kind and words of its exception."""
    try:
        return run()
    except Exception as fault:  # noqa: BLE001  whatever it is, both runs must agree on it
        return type(fault), str(fault)


def same(first, second):
    if isinstance(first, tuple) or isinstance(second, tuple):
        return first == second
    return (
        first.shape == second.shape
        and torch.equal(first.isnan(), second.isnan())
        and torch.equal(first.nan_to_num(7.0), second.nan_to_num(7.0))
    )


def observed(parts, latent, inner, guidance, cfg=1.0):
    """The complete steps of a run in full precision.  inner: a SAMPLER, or the name of one"""
    inner = comfy.samplers.sampler_object(inner) if isinstance(inner, str) else inner
    steps = []

    class Collecting(comfy.samplers.Sampler):
        def sample(self, *arguments):
            given = SamplerArguments(*arguments)
            run = host_run(inner, given.model_wrap, given.sigmas, given.extra_args, masked=False)
            watch = Watch(Recording("numbers"), run)
            watch.recorder.commit = steps.append
            watch.listen(given.extra_args["model_options"])
            return watch.sample(lambda sampler, given: sampler.sample(*given), given)

    sigmas = comfy.samplers.KSampler(parts[0], STEPS, parts[0].load_device, "euler", "karras", 1.0).sigmas
    noise = comfy.sample.prepare_noise(latent["samples"], SEED)
    guider = chain_guider(*parts, cfg=cfg, guidance=guidance)
    guider.sample(noise, latent["samples"], Collecting(), sigmas, disable_pbar=True, seed=SEED)
    return steps


def advanced(guider, latent, name="euler", scheduler="karras", steps=STEPS):
    """The samples of the host's SamplerCustomAdvanced over a guider."""
    return _advanced(custom.SamplerCustomAdvanced, guider, latent, name, scheduler, steps)[0]["samples"]


def inspected(guider, latent, name="euler", scheduler="karras"):
    """The trace of a guider's run; the samples are those of the host's node."""
    out, _, trace = _advanced(GGInspectedSampler, guider, latent, name, scheduler)
    pair = out["samples"], advanced(guider, latent, name, scheduler)
    assert all(map(torch.equal, *(one.unbind() if getattr(one, "is_nested", False) else [one] for one in pair)))
    return trace


def _advanced(node, guider, latent, name, scheduler, steps=STEPS):
    sampling = guider.model_patcher.get_model_object("model_sampling")
    sigmas = comfy.samplers.calculate_sigmas(sampling, scheduler, steps)
    settings = (comfy.samplers.sampler_object(name), sigmas, latent)
    return node.execute(custom.Noise_RandomNoise(SEED), guider, *settings).args


def both(parts, latent, sampler, sigmas, capture="numbers", guider=None):
    """The host's SamplerCustomAdvanced and ours, with the same guider; and the trace, where there is one."""
    model, positive, negative = parts
    noise, traces = custom.Noise_RandomNoise(SEED), []
    guider = guider or custom.CFGGuider.execute(model, positive, negative, CFG)[0]

    def plain():
        out = custom.SamplerCustomAdvanced.execute(noise, guider, sampler, torch.tensor(sigmas), dict(latent))
        return out[0]["samples"]

    def recorded():
        out = GGInspectedSampler.execute(noise, guider, sampler, torch.tensor(sigmas), dict(latent), capture)
        traces.append(out[2])
        return out[0]["samples"]

    return outcome(plain), outcome(recorded), traces[0] if traces else None


def trace_of_both(*run, **more) -> Trace:
    """The trace of a run that ends in samples, the same without and with us.  run: as for both"""
    expected, found, trace = both(*run, **more)
    assert isinstance(found, torch.Tensor), found
    assert same(expected, found), expected
    assert trace is not None
    return trace


def readable(trace):
    """Every reader of numbers gets through a trace, however it ended."""
    assert "\n" not in repr(trace)
    check(trace)
    assert len(run_record(trace)["steps"]) == trace.n
    assert as_csv(trace)
    assert as_json(trace)
    assert as_text(trace, None)


def with_lora(model, strength, seed=0):
    """A MODEL with a change of one of its weights, as a LoRA makes it."""
    name, weight = next((n, w) for n, w in model.model.state_dict().items() if w.ndim == 2)
    generator = torch.Generator().manual_seed(seed)
    changed = model.clone()
    changed.add_patches({name: ("diff", (torch.randn(weight.shape, generator=generator),))}, strength)
    return changed
