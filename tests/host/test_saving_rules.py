"""Rules that save evaluations, or ask for others, counted in the network."""

import pytest
import torch

from guidance_geometry.nodes.lab import GGMixtureModel
from guidance_geometry.nodes.rules.autoguidance import GGAutoguidance
from guidance_geometry.nodes.rules.perturbed import GGPerturbed

from .rule_knobs import node
from .runs import Counter, guided, ksampler

STEPS = 10


def run(labelled, empty_latent, guidance, model="ve", name="euler", cfg=3.0):
    """Items of each network call, samples, trace."""
    counter = Counter(labelled[model][0])
    arguments = (counter.model, *labelled[model][1:], empty_latent(model), name)
    out, _, trace = guided(*arguments, steps=STEPS, cfg=cfg, guidance=guidance)
    return counter.items, out["samples"], trace


def test_outside_the_interval_the_unconditional_pass_is_not_run(labelled, empty_latent):
    chain = node("GGInterval").execute("percent", 0.2, 0.6)[0]
    items, _, trace = run(labelled, empty_latent, chain)
    assert items == [3] * 2 + [6] * 4 + [3] * 4
    assert trace.header["evaluations"] == 14


def test_skipped_passes_are_not_run_in_any_stage_of_their_step(labelled, empty_latent):
    chain = node("GGReuse").execute(2, "line", 1.0, 2)[0]
    items, _, _ = run(labelled, empty_latent, chain, name="heun")
    plan = [6, 6] + [3, 6] * (STEPS // 2)
    assert items == [plan[step] for step in range(STEPS) for _ in range(2)][:-1]


def test_the_stop_saves_the_passes_behind_it(labelled, empty_latent):
    chain = node("GGReuse").execute(1, "line", 0.99995, 2)[0]
    items, _, trace = run(labelled, empty_latent, chain)
    ended = items.index(3)
    assert ended >= 2
    assert items == [6] * ended + [3] * (STEPS - ended)
    assert trace.header["evaluations"] == STEPS + ended


def test_autoguidance_runs_the_weak_model_in_place_of_the_negative(labelled, empty_latent):
    weak = Counter(GGMixtureModel.execute(shape="3x8x8", classes=3, kind="ve", seed=5)[0])
    chain = GGAutoguidance.execute(1.0, weak.model)[0]
    items, _, trace = run(labelled, empty_latent, chain)
    assert items == weak.items == [3] * STEPS
    assert trace.header["evaluations"] == 2 * STEPS


def test_a_perturbed_pass_is_run_inside_its_window_also_at_scale_one(labelled, empty_latent):
    worse = Counter(GGMixtureModel.execute(shape="3x8x8", classes=3, kind="ve", seed=5)[0])
    chain = GGPerturbed.execute(worse.model, 1.0, 0.2, 0.5)[0]
    items, out, _ = run(labelled, empty_latent, chain, cfg=1.0)
    assert items == [3] * STEPS
    assert worse.items == [3] * 3
    assert not torch.equal(out, ksampler(*labelled["ve"], empty_latent("ve"), "euler", steps=STEPS, cfg=1.0))


def test_a_model_that_perturbs_itself_only_while_sampling_is_refused(labelled):
    model = labelled["ve"][0].clone()
    model.set_model_sampler_post_cfg_function(lambda args: args["denoised"])
    with pytest.raises(ValueError, match=r"Connect that MODEL to the sampler"):
        GGPerturbed.execute(model, 1.0, 0.0, 1.0)
