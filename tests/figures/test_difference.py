import tracemalloc

import pytest
import torch

from guidance_geometry.figures.difference import chosen_steps, difference_images
from guidance_geometry.figures.pictures import Pictures, automatic_gain
from guidance_geometry.tests.traces import exact_trace

RUN = exact_trace(4.0, batch=2, steps=12)


def test_difference_is_grey_plus_gain_times_half_delta():
    images = difference_images(RUN, Pictures(), "5", gain=2.0)
    delta = (RUN.require_tensor("cond", 5).float() - RUN.require_tensor("uncond", 5).float()).permute(0, 2, 3, 1)
    assert torch.allclose(images.difference, (0.5 + 2.0 * 0.5 * delta).clamp(0, 1), atol=1e-6)
    assert images.clipped_share == pytest.approx(float((delta.abs() > 0.5).double().mean()))
    assert images.uncond.shape == images.cond.shape == images.guided.shape == (2, 32, 32, 3)


def test_automatic_gain_is_the_largest_power_of_two_that_clips_at_most_one_percent():
    values = torch.linspace(-0.1, 0.1, 2001)
    gain = automatic_gain(values)
    assert gain == 4.0
    assert (gain * values).abs().gt(0.5).double().mean() <= 0.01
    assert (2 * gain * values).abs().gt(0.5).double().mean() > 0.01


def test_one_gain_serves_all_steps_and_is_stated():
    images = difference_images(RUN, Pictures(), "all")
    assert len(images.difference) == 24
    assert f"{images.gain:g}" in images.note
    assert "clipped" in images.note
    assert f"steps 1, {images.steps[1] + 1}, " in images.note
    first = difference_images(RUN, Pictures(), "0", gain=images.gain)
    assert torch.equal(images.difference[:2], first.difference)


def test_a_decoder_is_applied_to_both_predictions_and_never_to_the_difference():
    seen = []

    def decode(x):
        seen.append(x)
        return (x.permute(0, 2, 3, 1) / 4 + 0.5).clamp(0, 1)

    images = difference_images(RUN, Pictures(decode=decode), "3", gain=1.0)
    u, c = RUN.require_tensor("uncond", 3).float(), RUN.require_tensor("cond", 3).float()
    assert torch.allclose(images.difference, (0.5 + decode(c) - decode(u)).clamp(0, 1), atol=1e-6)
    assert all(any(torch.equal(x, y.float()) for y in (u, c, RUN.require_tensor("guided", 3))) for x in seen)
    assert "decode(c) - decode(u)" in images.note


@pytest.mark.parametrize(
    ("words", "steps"),
    [("0", [0]), ("0, 5, 8-10", [0, 5, 8, 9, 10]), ("11;2", [11, 2]), ("all", list(range(12))), ("auto", 8), ("", 8)],
)
def test_steps_are_numbers_ranges_or_words(words, steps):
    found = chosen_steps(words, RUN)
    assert found == steps if isinstance(steps, list) else (len(found), found[0], found[-1]) == (steps, 0, 11)


def test_latents_need_a_map_or_a_decoder():
    with pytest.raises(ValueError, match="4 channels"):
        Pictures().image(torch.zeros(1, 4, 8, 8))
    factors = torch.tensor([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0], [0, 0, 0]])
    x = torch.zeros(1, 4, 8, 8)
    x[:, 1] = 0.6
    image = Pictures(factors=factors, bias=torch.tensor([0.1, 0.0, 0.0])).image(x)
    assert torch.allclose(image[0, 0, 0], torch.tensor([0.55, 0.8, 0.5]))


@pytest.mark.parametrize("words", ["0-99999999", "0-999999999, 3", "99999999", "1" * 400, "0-" + "9" * 5000])
def test_a_range_is_bounded_before_it_is_expanded(words):
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"^steps (asks for|has) ") as caught:
        chosen_steps(words, RUN)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()
    assert len(str(caught.value)) < 600
