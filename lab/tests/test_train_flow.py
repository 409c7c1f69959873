"""The training of the latent demo model: its VAE, its latent space, its denoiser."""

import pytest
import torch

from guidance_geometry.denoisers.latents import POCKET_LATENTS
from guidance_geometry.lab.train import demo_flow, demo_vae, train_flow


def pictures(count=12, side=16):
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1


def flow_training():
    samples = torch.randn(20, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    config = {"channels": 4, "ch": (32, 32), "emb": 16, "blocks": (1, 1, 1)}
    recipe = demo_flow.FlowRecipe(steps=4, batch=4, warm_up=1)
    return demo_flow.FlowTraining(samples, torch.arange(20) % 10, 1.0, recipe, config)


def vae_training():
    return demo_vae.VAETraining(pictures(), demo_vae.VAERecipe(steps=4, batch=4, warm_up=1))


@pytest.mark.parametrize("started", [flow_training, vae_training])
def test_interrupted_run_ends_where_the_whole_one_does(started):
    whole, before, after = (started() for _ in range(3))
    for _ in range(4):
        whole.advance()
    for _ in range(2):
        before.advance()
    after.resume(before.state())
    for _ in range(2):
        after.advance()
    for name, weight in whole.state()["average"].items():
        assert torch.equal(weight, after.state()["average"][name]), name


def test_levels_are_those_of_a_flow_and_dense_in_the_middle():
    run = flow_training()
    levels = torch.cat([run.draw_sigma() for _ in range(500)])
    assert levels.min() >= demo_flow.LOWEST
    assert levels.max() <= demo_flow.HIGHEST
    middle = ((levels > 0.25) & (levels < 0.75)).double().mean()
    assert abs(middle - 0.671) <= 0.042  # 0.75 P(|N(0, 1)| < ln 3) + 0.25 / 2; four standard deviations of 2000


def test_a_network_that_knows_the_answer_has_no_loss():
    x0, eps = torch.randn(2, 5, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    loss = demo_flow.velocity_loss(lambda x, t, y: eps - x0, x0, eps, torch.linspace(0.1, 0.9, 5), torch.arange(5))
    assert loss.abs().max() <= 1e-9


def test_latents_are_scaled_to_unit_deviation():
    latents = torch.randn(50, 4, 8, 8, generator=torch.Generator().manual_seed(0)) * 3 + 2
    shift, scale = demo_vae.scaling_of(latents)
    found = (latents - demo_flow.per_channel(shift)) * demo_flow.per_channel(scale)
    deviation, mean = torch.std_mean(found, dim=(0, 2, 3))
    assert (deviation - 1).abs().max() <= 1e-3
    assert mean.abs().max() <= 1e-3


def test_a_vae_whose_latents_the_pack_does_not_state_is_refused():
    *factors, bias = POCKET_LATENTS.colours
    space = {"shift": POCKET_LATENTS.shift, "scale": POCKET_LATENTS.scale, "colours": factors, "middle": bias}
    train_flow.check_space(space)
    with pytest.raises(ValueError, match=r"POCKET_LATENTS .* is of another VAE\. Write there"):
        train_flow.check_space(space | {"scale": tuple(1.1 * v for v in POCKET_LATENTS.scale)})
