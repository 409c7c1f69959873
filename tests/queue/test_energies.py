"""Energies through the real queue: each one steers the demo denoiser, which was trained on none of them."""

import pytest
import torch

from guidance_geometry.tests.queue.prompts import latents, steered
from guidance_geometry.tools.api_client import JobError

ORANGE = 0xE06020


def reference(compare, spread=0.1, **inputs):
    """A reference energy with an orange picture."""
    picture = {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": ORANGE}}
    given = {"compare": compare, "spread": spread, "image": ["30", 0], **inputs}
    return {"class_type": "GGReferenceEnergy", "inputs": given}, {"30": picture}


def from_orange(x0):
    """Distance of the mean colour from orange, per image."""
    orange = torch.tensor([ORANGE >> 16, ORANGE >> 8 & 255, ORANGE & 255]) / 127.5 - 1
    return (x0.clamp(-1, 1).mean(dim=(2, 3)) - orange).square().mean(dim=1).sqrt()


@pytest.mark.parametrize(
    ("compare", "evaluation", "scale", "left"),
    [("mean colour", "auto", 2.0, 0.5), ("mean colour", "x0", 1.0, 0.3), ("colours", "auto", 2.0, 0.8)],
)
def test_a_colour_that_the_denoiser_was_never_told_comes_out(client, compare, evaluation, scale, left):
    """The same two labels and noise with and without it: what is left of the distance to orange, on average."""
    run = {"label": "robot; landscape", "cfg": 2.0, "steps": 10, "seed": 41, "sampler_name": "euler_ancestral"}
    plain, found = (
        from_orange(latents(client, client.run(steered(*reference(compare), size, evaluation, **run))))
        for size in (0.0, scale)
    )
    assert found.mean() <= left * plain.mean()


def test_without_a_reference_the_node_says_so_and_the_next_job_runs(client):
    energy, _ = reference("mean colour")
    del energy["inputs"]["image"]
    with pytest.raises(JobError, match="Comparing mean colour needs a reference"):
        client.run(steered(energy))
    client.run(steered(*reference("mean colour"), seed=42))
