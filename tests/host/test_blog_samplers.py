"""The widgets of our DDPM and DDIM samplers through the host: time travel, per-step shifts, noise that leans."""

import pytest
import torch

from guidance_geometry.guidance.chain import PLAIN
from guidance_geometry.nodes import blog_samplers
from guidance_geometry.trace.checks import check

from .chains import chain_of
from .runs import STEPS, Counter, guided, observed

on_both_nodes = pytest.mark.parametrize(("model", "node"), [("ve", "GGSamplerDDPM"), ("flow", "GGSamplerDDIM")])


def sampler(node="GGSamplerDDIM", eta=1.0, offset=0, **widgets):
    return getattr(blog_samplers, node).execute(eta, offset, **widgets)[0]


@on_both_nodes
def test_every_step_back_is_in_the_trace_and_every_evaluation_counted(labelled, empty_latent, model, node):
    patcher, *conditions = labelled[model]
    counter = Counter(patcher)
    thrice = sampler(node, recurrence=3, recur_start=0.3, recur_end=0.7)
    _, _, trace = guided(counter.model, *conditions, empty_latent(model), "euler", sampler=thrice)
    again = ["step", "recur", "step", "recur", "step"]
    assert trace.stage == ["step"] * 2 + again * 3 + ["step"]
    assert len(counter.items) == STEPS + 3 * 2
    assert trace.header["evaluations"] == sum(counter.items) // 3 == 2 * len(counter.items)
    assert not check(trace)
    back = [stage == "recur" for stage in trace.stage]
    assert trace.column("M12").isfinite().all()
    assert trace.column("M12").max() <= 1e-4
    assert (trace.steps["sigma_next"] > trace.steps["sigma"]).tolist() == back
    assert trace.steps["evals"][back].max() == 0
    assert trace.header["options"]["recurrence"] == 3


@pytest.mark.parametrize(("space", "eta"), [("ve", 0.0), ("flow", 1.0)])
def test_dps_shifts_the_next_state_as_its_paper_says(exact, empty_latent, space, eta):
    """x' = step(D) + zeta grad_z log p(y | D(z)) in states of unit variance z = x / sqrt(alpha^2 + sigma^2)."""
    parts, energy, mixture = exact[space]
    guidance, zeta = chain_of(energy, weight=0.2, evaluation="x0 + backprop"), 0.2
    for step in observed(parts, empty_latent(space), sampler(eta=eta, gradient="DPS"), guidance):
        alpha, after = (1 - s if space == "flow" else 1.0 for s in (step.sigma, step.sigma_next))
        if alpha < 0.02:
            assert not step.evaluation.gradients
            continue
        with torch.inference_mode(False), torch.enable_grad():
            x = step.x.clone().double().requires_grad_()
            denoised = mixture.denoised(x, step.sigma, alpha)
            (gradient,) = torch.autograd.grad(energy.log_prob(denoised).sum(), x)
        ratio = step.sigma_next * alpha / (after * step.sigma)
        kept = (step.sigma_next**2 * (1 - eta**2 * (1 - ratio**2))) ** 0.5
        plain = after * denoised + kept * (x - alpha * denoised) / step.sigma
        sizes = [(a * a + s * s) ** 0.5 for a, s in ((alpha, step.sigma), (after, step.sigma_next))]
        expected = plain + zeta * sizes[0] * sizes[1] * gradient - x
        assert (step.move - expected).abs().max() <= 1e-4 * max(step.sigma, 1.0)


@pytest.mark.parametrize(
    ("gradient", "knobs", "words"),
    [
        ("DPS", None, "no Classifier Guidance"),
        ("MPGD", {"evaluation": "x0 + backprop"}, "this one uses 'x0 \\+ backprop'"),
        ("DPS", {"evaluation": "x0 + backprop", "normalise": "clip"}, "normalise clip"),
        ("DPS", {"evaluation": "x0 + backprop", "measured": True}, "preset"),
        ("FreeDoM", {"evaluation": "x0 + backprop", "every": 2}, "every_k 2"),
    ],
)
def test_what_does_not_fit_a_paper_is_refused_with_the_reason(exact, empty_latent, gradient, knobs, words):
    parts, energy, _ = exact["ve"]
    guidance = PLAIN if knobs is None else chain_of(energy, **knobs)
    with pytest.raises(ValueError, match=words):
        guided(*parts, empty_latent("ve"), "euler", guidance=guidance, sampler=sampler(gradient=gradient))
