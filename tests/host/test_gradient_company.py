"""A gradient beside what other packs put on a MODEL: it leaves no trace in them, and gives a picture or a sentence."""

import pytest
import torch

from guidance_geometry.dev.fixtures.company import COMPANY, Indifferent
from guidance_geometry.dev.fixtures.tiny_families import family, latent, text
from guidance_geometry.guidance.energies.label import LabelEnergy
from guidance_geometry.guidance.gradients.term import GradientOptions
from guidance_geometry.host import gradient_run, network_calls

from .chains import Failing, bright, chain_of
from .collected import observed
from .runs import guided

BACKPROP = "x0 + backprop"
STEPS = 8
TWICE = GradientOptions(checkpoint=True)


def energy_of(network):
    return LabelEnergy(network, ((0,),))


def run(name, company, guidance=None):
    """Samples and notes of a run in some company, and which modules have an attribute of their own after it."""
    model = COMPANY[company](family(name), name)
    more = {"guidance": guidance} if guidance else {}
    given = (model, text(name, 0), text(name, 1), latent(name), "euler")
    out, _, trace = guided(*given, scheduler="normal", steps=STEPS, cfg=3.0, **more)
    attributes = {(part, key) for part, module in model.model.named_modules() for key in vars(module)}
    return out["samples"], trace.header["notes"], attributes


HARD = {
    "first": (1, False),
    "second": (2, False),
    "first, on the way back": (1, True),
}  # which attempts fail, and where


@pytest.mark.parametrize(
    ("company", "name", "knobs"),
    [
        ("EasyCache", "Flux", {"every": 2}),
        ("wrapper under no_grad", "SD15", {}),
        ("paged weights", "SDXL", {"end": 0.6}),
    ],
)
def test_a_gradient_gives_a_picture_in_any_company(host, company, name, knobs):
    samples, notes, _ = run(name, company, chain_of(bright(), evaluation=BACKPROP, **knobs))
    assert samples.isfinite().all()
    acted = (samples - run(name, company)[0]).abs().max() > 1e-4
    assert acted != any("was asked in none of the" in note for note in notes)
    assert any("keeps no gradient" in note for note in notes) == (company == "wrapper under no_grad")


class Trouble(Indifferent):
    """Says the same of every picture, and memory ends in its first attempts."""

    def __init__(self, times, backwards):
        self.failing = Failing(times, backwards=backwards)

    def logits(self, x0, sigma, alpha):
        return 0 * self.failing.logits(x0, sigma, alpha)


def same_as_without(name, company, network):
    """Whether a run with an energy that asks for nothing is the run without it, and its notes."""
    chain = chain_of(energy_of(network), evaluation=BACKPROP)
    (found, notes, attributes), (plain, _, before) = run(name, company, chain), run(name, company)
    assert attributes == before
    return torch.equal(found, plain), notes


@pytest.mark.parametrize(
    ("name", "company", "hard"),
    [
        ("SD15", "EasyCache", "second"),
        ("Flux", "object patch", "first"),
        ("SD15", "wrapper with a memory", "first, on the way back"),
    ],
)
def test_attempts_that_fail_leave_no_trace(host, name, company, hard):
    bits, notes = same_as_without(name, company, Trouble(*HARD[hard]))
    assert bits
    assert sum("memory ran out" in note for note in notes) == HARD[hard][0]


@pytest.mark.parametrize("company", ["EasyCache", "wrapper with a memory"])
def test_a_step_that_is_stopped_leaves_no_trace(host, monkeypatch, company):
    """Where it takes too much memory, in the network and in the energy."""
    monkeypatch.setattr(gradient_run, "surely_fits", lambda *_: False)
    monkeypatch.setattr(network_calls, "SPARE", 1e-6)
    bits, notes = same_as_without("SD15", company, Indifferent())
    assert bits
    assert sum("a step needs more than" in note for note in notes) == 2


def test_a_patch_of_one_block_acts_on_the_second_pass_too(host):
    """It tells its block by what the model writes into its options on the way, which at the end is another."""
    found = []
    for options in (GradientOptions(), TWICE):
        model = family("SD15").clone()
        model.set_model_attn1_output_patch(lambda n, given: 3 * n if given["block"] == ("middle", 0) else n)
        parts = model, text("SD15", 0), text("SD15", 1)
        chain = chain_of(bright(), evaluation=BACKPROP, options=options)
        found.append(observed(parts, latent("SD15"), "euler", chain)[0].evaluation.gradients["gradient"])
    assert torch.allclose(*found, rtol=1e-4, atol=1e-5 * float(found[0].abs().max()))


def test_a_patch_that_holds_inference_tensors_costs_backprop_and_no_run(host):
    """As the host's nodes make them; autograd refuses to save one."""
    model, mask = family("SD15").clone(), torch.linspace(0.5, 1.5, 32)
    model.set_model_attn1_output_patch(lambda n, given: n * mask[: n.shape[-1]].mean() * torch.ones_like(mask[:1]))
    model.set_model_sampler_post_cfg_function(lambda given: given["denoised"] * mask[:8])
    given = (model, text("SD15", 0), text("SD15", 1), latent("SD15"), "euler")
    pushing = chain_of(bright(), evaluation=BACKPROP)
    out, _, trace = guided(*given, scheduler="normal", steps=STEPS, cfg=3.0, guidance=pushing)
    assert out["samples"].isfinite().all()
    assert any("allows no gradient" in note for note in trace.header["notes"])
