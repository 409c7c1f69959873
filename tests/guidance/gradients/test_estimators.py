import pytest
import torch

from guidance_geometry.guidance.gradients.estimators import bound_push, gain, is_dead, noise_aware, spread


def test_a_gradient_is_found_where_the_host_forbids_them():
    with torch.inference_mode():
        x = torch.ones(2, 3)
        shift = noise_aware(lambda point: -(point**2).sum(dim=1), x, 2.0, 0.5).shift
    assert torch.equal(shift, torch.full((2, 3), -16.0))
    assert not shift.requires_grad


def test_below_a_trace_of_signal_nothing_is_added():
    x = torch.ones(2, 3)
    assert torch.equal(noise_aware(lambda point: point.sum(dim=1), x, 1.0, 0.0).shift, torch.zeros(2, 3))


def test_what_is_left_open_is_nothing_without_noise_and_everything_without_signal():
    assert spread(0.0, 1.0, 0.6) == 0
    assert spread(1.0, 0.0, 0.6) == pytest.approx(0.36)
    assert spread(80.0, 1.0, 0.6) == pytest.approx(0.36, rel=1e-3)


def test_a_push_is_bounded_item_by_item():
    push = torch.tensor([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]])
    rms = push.square().mean(dim=1).sqrt()
    assert torch.equal(bound_push(push, "none", 0.1), push)
    clipped = bound_push(push, "clip", float(rms[1]) * 2)
    assert torch.allclose(clipped[0], push[0] * 0.2)
    assert torch.allclose(clipped[1:], push[1:])
    equal = bound_push(push, "rms_ratio", torch.tensor([1.0, 2.0, 3.0]))
    assert torch.allclose(equal.square().mean(dim=1).sqrt(), torch.tensor([1.0, 2.0, 0.0]))
    assert is_dead(push).tolist() == [False, False, True]


def test_the_gain_is_sigma_squared_over_alpha_and_zero_where_alpha_is_tiny():
    assert gain(3.0, 1.0) == 9.0
    assert gain(0.97, 0.03) == pytest.approx(0.97**2 / 0.03)
    assert [gain(0.981, 0.019), gain(1.0, 0.0)] == [0.0, 0.0]
