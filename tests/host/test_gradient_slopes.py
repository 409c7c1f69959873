"""A gradient through the denoiser against finite differences, whatever is put on the MODEL and its conditions."""

from functools import partial
from typing import Any

import comfy.controlnet
import comfy.hooks
import comfy.samplers
import pytest
import torch
from comfy_extras.nodes_freelunch import FreeU_V2
from comfy_extras.nodes_fresca import FreSca
from comfy_extras.nodes_pag import PerturbedAttentionGuidance
from comfy_extras.nodes_sag import SelfAttentionGuidance

from guidance_geometry.dev.fixtures.company import COMPANY, Indifferent
from guidance_geometry.dev.fixtures.tiny_families import TinyVAE, control_net, family, latent, text
from guidance_geometry.guidance.chain import PLAIN
from guidance_geometry.guidance.energies.label import LabelEnergy
from guidance_geometry.guidance.gradients.term import GradientOptions
from guidance_geometry.host.sampling.guided_run import chain_guider
from guidance_geometry.host.sampling.pictures import picture_of

from .chains import Bright, chain_of
from .runs import host_nodes

FLOW = ("SD3", "Flux")
BACKPROP = "x0 + backprop"


class Patterned(Bright):
    """A classifier that every pixel moves in another way."""

    def logits(self, x0, sigma, alpha):
        pattern = torch.randn(x0.shape[1:], generator=torch.Generator().manual_seed(9)).to(x0)
        return super().logits((x0 + 0.3 * x0.square()) * pattern * 10, sigma, alpha)


def patch(make):
    """A setting of a MODEL alone.  make: MODEL -> MODEL"""
    return lambda name, model, *conds: (make(model), *conds)


def company(kind):
    return lambda name, model, *conds: (COMPANY[kind](model, name), *conds)


def hint():
    return torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(5))


def controlled(name, model, positive, negative, strength=0.8, seed=0):
    """Both conditions under a ControlNet, by the host's node."""
    vae = TinyVAE() if name == "SD3" else None
    node = host_nodes().ControlNetApplyAdvanced()
    conds = node.apply_controlnet(positive, negative, control_net(seed, name), hint(), strength, 0.0, 1.0, vae=vae)
    return model, *conds


def chained(name, *parts):
    return controlled(name, *controlled(name, *parts), strength=1.5, seed=1)


def lora(model, strength, keyframes=None):
    """A LoRA hook of the host's on a third of the network's weights."""
    weights = model.model.state_dict()
    keys = [key for key in weights if key.startswith("diffusion_model.") and weights[key].ndim > 1][::3]
    named = {f"{key.removesuffix('.weight')}.diff": 0.5 * weights[key].roll(1, 0) for key in keys}
    hooks = comfy.hooks.create_hook_lora(named, strength, 0.0)
    if keyframes:
        hooks.set_keyframes_on_hooks(keyframes)
    return hooks


def hooked(name, model, positive, negative, on=(1.0, None), scheduled=False):
    """Conditions with LoRA hooks.  on: strength for each, None for no hook, one for both where they are the same"""
    frames = None
    if scheduled:
        frames = comfy.hooks.HookKeyframeGroup()
        for strength, start in ((1.0, 0.0), (0.3, 0.4)):
            frames.add(comfy.hooks.HookKeyframe(strength=strength, start_percent=start))
    made = {strength: lora(model, strength, frames) for strength in dict.fromkeys(on) if strength is not None}
    put: Any = comfy.hooks.set_hooks_for_conditioning  # which takes None for no hook
    return model, *(put(cond, made.get(strength)) for cond, strength in zip((positive, negative), on, strict=True))


def control_lora(name, model, positive, negative):
    """Both conditions under a ControlNet that shares the sampled network's weights, and hooks that change those."""
    net: Any = control_net(0, name).control_model
    full, own = net.state_dict(), model.model.diffusion_model.state_dict()
    weights = {key: weight.double() for key, weight in full.items() if key not in own}
    for key, weight in own.items():
        if key in full and key.endswith("to_q.weight"):
            path, down = key.removesuffix(".weight"), weight[:2].flatten(1)
            weights |= {f"{path}.up": 0.3 * weight[:, :2].flatten(1), f"{path}.down": down}
    node, (_, c, u) = host_nodes().ControlNetApplyAdvanced(), hooked(name, model, positive, negative)
    return model, *node.apply_controlnet(c, u, comfy.controlnet.ControlLora(weights), hint(), 0.8, 0.0, 1.0)


def in_place(model):
    """A MODEL whose guided prediction somebody changes after having multiplied by it."""

    def change(args):
        squared = 0.05 * args["denoised"] * args["denoised"]
        return args["denoised"].mul_(0.9) + squared

    clone = model.clone()
    clone.set_model_sampler_post_cfg_function(change)
    return clone


CASES = [  # family, what is put on it, blocks computed twice
    ("SD3", company("none"), False),
    ("SD15", company("object patch"), True),
    ("Flux", company("paged weights"), False),
    ("SD15", company("EasyCache"), False),
    ("SD15", chained, True),
    ("SD3", controlled, False),
    ("Flux", partial(hooked, on=(1.0, 0.5)), True),
    ("SD15", partial(hooked, scheduled=True), False),
    ("SDXL", control_lora, False),
    ("SDXL", patch(in_place), False),
    ("SD15", patch(lambda model: FreSca.execute(model, 1.0, 1.25, 2)[0]), True),
    ("SD15", patch(lambda model: FreeU_V2().patch(model, 1.3, 1.4, 0.9, 0.2)[0]), False),
    ("SDXL", patch(lambda model: PerturbedAttentionGuidance.execute(model, 3.0)[0]), True),
    ("SD15", patch(lambda model: SelfAttentionGuidance.execute(model, 0.5, 2.0)[0]), False),
]


class Walk(comfy.samplers.Sampler):
    """A SAMPLER that asks the model at given samples, whatever it answers, and keeps the answers."""

    def __init__(self, offset=0.0):
        self.offset, self.answers = offset, []

    def sample(self, guider, sigmas, extra_args, callback, noise, *rest):
        torch.manual_seed(1)  # of patches that draw
        for sigma in sigmas[:-1]:
            last = sigma == sigmas[-2]
            x = float(sigma) * (noise + (self.offset if last else 0.0))
            self.answers.append(guider(x, sigma * x.new_ones(len(x)), **extra_args).clone())
        return noise


def guided_answers(name, change, sigmas, chain=PLAIN, offset: Any = 0.0):
    """What a guided model of a family answers along a walk, in double precision, with something put on it."""
    with torch.inference_mode():
        model, *conds = change(name, family(name, dtype=torch.float64), text(name, 0), text(name, 1))
    walk, like = Walk(offset), latent(name, 2)["samples"]
    noise = torch.randn(like.shape, generator=torch.Generator().manual_seed(4))
    guider = chain_guider(model, *conds, 3.0, chain)
    guider.sample(noise, like, walk, torch.tensor(sigmas), disable_pbar=True, seed=0)
    return walk.answers


@pytest.mark.parametrize(("name", "change", "twice"), CASES)
def test_the_gradient_is_that_of_finite_differences(host, name, change, twice):
    """In the last step; an energy that asks for nothing changes no bit."""
    energy, weight, small = LabelEnergy(Patterned(), ((0,),)), 1e4, 0.002
    walk = [0.9, 0.7, 0.5, 0.0] if name in FLOW else [6.0, 4.0, 2.5, 0.0]
    alpha, picture = 1 - walk[-2] if name in FLOW else 1.0, picture_of(family(name), None)
    way = torch.randn(latent(name, 2)["samples"].shape, generator=torch.Generator().manual_seed(0))
    ask = partial(guided_answers, name, change, walk)

    plain, *sides = (ask(offset=offset) for offset in (0.0, small * way, -small * way))
    above, below = (float(energy.log_prob(picture(side[-1].double())).sum()) for side in sides)
    term = partial(chain_of, evaluation=BACKPROP, weight=weight, options=GradientOptions(checkpoint=twice))
    gradient = (ask(term(energy))[-1] - plain[-1]).double() * alpha / walk[-2] / weight
    assert abs(float((gradient * way).sum()) - (above - below) / (2 * small)) <= 1e-3 * float(gradient.norm())
    neutral = ask(term(LabelEnergy(Indifferent(), ((0,),))))
    assert all(map(torch.equal, neutral, plain))
