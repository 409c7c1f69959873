"""Classifier guidance in the real host: the exact mixture, the bits, the weights, the batch, memory and errors."""

import comfy.model_management
import pytest
import torch

from guidance_geometry.guidance.energies.composition import CombinedEnergy
from guidance_geometry.guidance.energies.label import LabelEnergy
from guidance_geometry.guidance.gradients.estimators import backprop_shift
from guidance_geometry.guidance.gradients.term import GradientOptions, WatchTerm
from guidance_geometry.trace.checks import check
from guidance_geometry.trace.gram import VECTORS

from .chains import Bright, Failing, bright, chain_of
from .runs import guided, observed

EVALUATIONS = ("noisy x_t", "x0 + backprop", "x0")
LABELS = torch.tensor([0, 1, 2])


@pytest.mark.parametrize(("space", "gamma"), [("ve", 1.0), ("flow", 3.0)])
def test_the_noise_aware_classifier_is_classifier_free_guidance(exact, empty_latent, space, gamma):
    """Against the closed form u + gamma (c - u), from a model that was asked for u alone."""
    parts, energy, mixture = exact[space]
    for step in observed(parts, empty_latent(space), "euler", chain_of(energy, weight=gamma)):
        alpha = 1 - step.sigma if space == "flow" else 1.0
        assert step.nfe == 1
        if alpha < 0.02:
            assert not step.evaluation.gradients
            continue
        x = step.x.double()
        u, c = (mixture.denoised(x, step.sigma, alpha, label) for label in (None, LABELS))
        assert (step.evaluation.denoised - (u + gamma * (c - u))).abs().max() <= 1e-4
        assert (step.evaluation.gradients["gradient"] - (c - u)).abs().max() <= 1e-4


@pytest.mark.parametrize("space", ["ve", "flow"])
def test_backprop_multiplies_by_the_posterior_covariance(exact, empty_latent, space):
    """(sigma^2 / alpha) J^T h, with the closed form's own Jacobian in double precision."""
    parts, energy, mixture = exact[space]
    for step in observed(parts, empty_latent(space), "euler", chain_of(energy, evaluation="x0 + backprop")):
        alpha = 1 - step.sigma if space == "flow" else 1.0
        if alpha < 0.02:
            continue
        with torch.inference_mode(False), torch.enable_grad():
            x = step.x.clone().double().requires_grad_()
            denoised = mixture.denoised(x, step.sigma, alpha)
            expected = backprop_shift(energy.log_prob, x, denoised, step.sigma, alpha).shift
        assert step.nfe == 1, "no second forward"
        assert (step.evaluation.gradients["gradient"] - expected).abs().max() <= 1e-4


@pytest.mark.parametrize(
    ("evaluation", "name", "space"),
    [
        (EVALUATIONS[0], "heun", "ve"),
        (EVALUATIONS[1], "euler_cfg_pp", "flow"),
        (EVALUATIONS[2], "dpmpp_2m_sde", "pocket"),
    ],
)
def test_weight_nought_and_a_watch_change_no_bit(exact, labelled, empty_latent, evaluation, name, space):
    _, energy, _ = exact["ve"]
    arguments = (*labelled[space], empty_latent(space), name)
    off = chain_of(energy, weight=0.0, evaluation=evaluation).then(WatchTerm(bright()))
    assert torch.equal(guided(*arguments, guidance=off)[0]["samples"], guided(*arguments)[0]["samples"])


@pytest.mark.parametrize(("name", "dtype"), [("heun", "fp32"), ("dpmpp_2m_sde", "fp16")])
def test_weights_are_inference_tensors_again_and_the_second_run_is_the_first(pocket, empty_latent, name, dtype):
    model, *null = pocket(dtype)
    runs, guidance = [], chain_of(bright(), evaluation="x0 + backprop")
    for _ in range(2):
        out, _, trace = guided(model, *null, empty_latent("pocket", 1), name, cfg=1.0, steps=4, guidance=guidance)
        runs.append(out["samples"])
        weights = list(model.model.diffusion_model.parameters())
        assert all(w.is_inference() for w in weights)
        assert not out["samples"].requires_grad
        assert not check(trace)
    assert torch.equal(*runs)
    plain = guided(model, *null, empty_latent("pocket", 1), name, cfg=1.0, steps=4)[0]["samples"]
    assert (runs[0] - plain).abs().max() > 0.01


@pytest.mark.parametrize(
    ("times", "error", "backwards"),
    [(1, None, True), (2, torch.cuda.OutOfMemoryError("CUDA out of memory."), False)],
)
def test_less_is_wanted_where_memory_ends(pocket, empty_latent, times, error, backwards):
    words = ("computed twice", "x0 without backprop")[:times]
    guidance = chain_of(LabelEnergy(Failing(times, error, backwards), ((0,),)), evaluation="x0 + backprop")
    model, *null = pocket("fp32")
    _, _, trace = guided(model, *null, empty_latent("pocket", 1), "euler", cfg=1.0, guidance=guidance)
    told = [note for note in trace.header["notes"] if "memory ran out" in note]
    assert len(told) == len(words)
    assert all(word in note for word, note in zip(words, told, strict=True))
    assert trace.steps["K"].isfinite().sum() > 0
    assert all(w.is_inference() for w in model.model.diffusion_model.parameters())


@pytest.mark.parametrize(("space", "start"), [("flow", 0.0), ("ve", 0.3)])
def test_a_gradient_every_other_step_begins_with_one(exact, empty_latent, space, start):
    """Where the first step with a push is no second one of the run: flow leaves out its first, a window any number."""
    parts, energy, _ = exact[space]
    guidance = chain_of(energy, evaluation="x0 + backprop", every=2, start=start)
    steps = [step.evaluation.gradients for step in observed(parts, empty_latent(space), "euler", guidance)]
    shifts = [step["gradient"] for step in steps if step]
    assert len(shifts) > 2
    assert all(shift.abs().max() > 0 for shift in shifts)


class Interrupting(Bright):
    """Somebody stops the job while this is asked, or while a gradient goes back through it."""

    def __init__(self, backwards):
        self.backwards = backwards

    def logits(self, x0, sigma, alpha):
        if self.backwards and x0.requires_grad:
            x0.register_hook(self.interrupt)
        if not self.backwards:
            self.interrupt()
        return super().logits(x0, sigma, alpha)

    def interrupt(self, gradient=None):
        comfy.model_management.interrupt_current_processing()


@pytest.mark.parametrize(("backwards", "twice"), [(False, False), (True, True)])
def test_an_interrupt_in_the_middle_leaves_the_host_healthy(pocket, empty_latent, backwards, twice):
    """It is heard between energies, and before a gradient goes back through a network."""

    model, *null = pocket("fp32")
    before = guided(model, *null, empty_latent("pocket", 1), "euler", cfg=1.0)[0]["samples"]
    unreached = LabelEnergy(Failing(1, AssertionError()), ((0,),))  # the energy after the one that is interrupted
    energies = LabelEnergy(Interrupting(backwards), ((0,),)), *(() if backwards else (unreached,))
    energy = CombinedEnergy(energies, (1.0,) * len(energies))
    guidance = chain_of(energy, evaluation="x0 + backprop", options=GradientOptions(checkpoint=twice))
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        guided(model, *null, empty_latent("pocket", 1), "euler", cfg=1.0, guidance=guidance)
    assert all(w.is_inference() for w in model.model.diffusion_model.parameters())
    assert torch.equal(guided(model, *null, empty_latent("pocket", 1), "euler", cfg=1.0)[0]["samples"], before)


def test_the_trace_holds_the_gradient_and_what_the_energies_said(exact, empty_latent):
    parts, energy, mixture = exact["ve"]
    guidance = chain_of(energy, weight=2.0).then(WatchTerm(bright()))
    _, _, trace = guided(*parts, empty_latent("ve"), "euler", cfg=1.0, guidance=guidance, capture="tensors")
    assert trace.header["vectors"] == [*VECTORS, "gradient"]
    assert list(trace.header["terms"]) == ["gradient", "watch"]
    record = trace.record
    assert torch.allclose(record.dot("D-G", "gradient"), 2 * record.dot("gradient", "gradient"))
    for i, sigma in enumerate(trace.steps["sigma"].tolist()):
        x = trace.tensors["x"][i].double()
        said = mixture.label_log_prob(x, sigma)[torch.arange(3), LABELS]
        assert (trace.steps["log_prob gradient"][i] - said).abs().max() <= 1e-3, "captured in half precision"
    assert trace.steps["log_prob watch"].isfinite().all()
    g, u = (trace.tensors[name].double().flatten(2).norm(dim=2) for name in ("gradient", "uncond"))
    assert torch.allclose(trace.column("M18s gradient"), g / u, rtol=1e-3), "captured in half precision"
    assert trace.tensors["gradient"].shape == trace.tensors["x"].shape
    assert set(trace.stage) == {"cond_only"}, "what the gradient is added to stands as u"
    assert torch.equal(trace.tensors["uncond"], trace.tensors["cond"])
    assert trace.record.dot("u", "u").isfinite().all()
    assert trace.record.dot("delta", "delta").isnan().all()
    assert not check(trace)
