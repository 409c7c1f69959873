"""Loops, sweeps and networks on a device without float64 that does not meet the CPU's tensors."""

from itertools import pairwise

import pytest
import torch

from guidance_geometry.dev.fixtures.mac_tensor import MacTensor, mac
from guidance_geometry.library.denoisers import load_denoiser
from guidance_geometry.library.recording import record

from .worlds import DENOISER, FLOW, FLOW_SIGMAS, SIGMAS, noise


def same(there, here):
    assert list(there.steps) == list(here.steps)
    assert there.header["notes"] == here.header["notes"]
    pairs = [(there.steps[name], here.steps[name]) for name in here.steps]
    pairs += [(there.tensors[name], here.tensors[name]) for name in here.tensors]
    return all(torch.equal(a.nan_to_num(7.0), b.nan_to_num(7.0)) for a, b in pairs)


@pytest.mark.parametrize("denoiser", [DENOISER, FLOW], ids=["ve", "flow"])
def test_a_loop_of_ones_own_in_two_stages_is_the_same(denoiser):
    levels = SIGMAS if denoiser is DENOISER else FLOW_SIGMAS

    def run(device):
        guided = record(denoiser, levels, cond=1, uncond=None, space=denoiser.facts["space"])
        x = noise(scale=levels[0]).float().to(device)
        for now, then in pairwise(levels):
            slope = (x - guided(x, now)) / now
            half = x + (then - now) / 2 * slope
            x = x + (then - now) * (half - guided(half, (now + then) / 2, stage=True)) / ((now + then) / 2)
        return guided.finish(x)

    with mac() as device:
        there = run(device)
    assert same(there, run("cpu"))
    assert there.header["host"]["device"] == "mps:0"


def test_a_network_answers_there_wherever_it_is_asked():
    x = noise(1, 2.0).float().repeat(1, 1, 4, 4)
    here = load_denoiser()(x, 2.0, "robot")
    with mac() as device:
        network = load_denoiser(device=device)
        found = network(x.to(device), 2.0, "robot")
        assert isinstance(found, MacTensor)
        assert torch.equal(network(x, 2.0, "robot"), found.cpu())
    assert (found.cpu() - here).abs().max() <= 1e-5 * here.abs().max()
