"""A gradient beside what other packs put on a MODEL gives a picture or a sentence."""

import pytest
import torch

from guidance_geometry.dev.fixtures.company import COMPANY
from guidance_geometry.dev.fixtures.tiny_families import family, latent, text
from guidance_geometry.guidance.gradients.term import GradientOptions

from .chains import bright, chain_of
from .collected import observed
from .runs import guided

BACKPROP = "x0 + backprop"
STEPS = 6


def run(name, company, guidance=None):
    """Samples and notes of a run in some company."""
    model = COMPANY[company](family(name), name)
    more = {"guidance": guidance} if guidance else {}
    given = (model, text(name, 0), text(name, 1), latent(name), "euler")
    out, _, trace = guided(*given, scheduler="normal", steps=STEPS, cfg=3.0, **more)
    return out["samples"], trace.header["notes"]


@pytest.mark.parametrize(
    ("company", "name", "knobs"), [("EasyCache", "Flux", {"every": 2}), ("wrapper under no_grad", "SD15", {})]
)
def test_a_gradient_gives_a_picture_in_any_company(host, company, name, knobs):
    samples, notes = run(name, company, chain_of(bright(), evaluation=BACKPROP, **knobs))
    assert samples.isfinite().all()
    acted = (samples - run(name, company)[0]).abs().max() > 1e-4
    assert acted != any("was asked in none of the" in note for note in notes)
    assert any("keeps no gradient" in note for note in notes) == (company == "wrapper under no_grad")


def test_a_patch_of_one_block_acts_on_the_second_pass_too(host):
    """It tells its block by what the model writes into its options on the way, which at the end is another."""
    found = []
    for options in (GradientOptions(), GradientOptions(checkpoint=True)):
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
