"""A trace belongs to its latent: the recorder finds a run by what it made, never by counting."""

from contextlib import nullcontext

import comfy.latent_formats
import pytest
import torch
from comfy_execution.utils import CurrentNodeContext

from guidance_geometry.nodes.lab import GGMixtureModel
from guidance_geometry.nodes.records import GGReadTrace, GGRecord
from guidance_geometry.nodes.start import GGClassLabel
from guidance_geometry.trace.checks import check

from .runs import CFG, SEED, guided, host_nodes, ksampler

OTHER = {"samples": torch.zeros(2, 3, 8, 8)}  # a latent that no run has made


@pytest.fixture
def recorded(labelled):
    """A recorded MODEL with both conditions, its recorder, and a function that samples with it as a node of a job."""
    plain, positive, negative = labelled["ve"]
    model, recorder = GGRecord.execute(plain, "pictures").args

    def sample(seed, node="", job="", batch=2):
        context = CurrentNodeContext(job, node) if node else nullcontext()
        latent = {"samples": torch.zeros(batch, 3, 8, 8)}
        with context:
            return host_nodes().common_ksampler(model, seed, 2, CFG, "euler", "karras", positive, negative, latent)[0]

    return model, positive, negative, recorder, sample


def read(recorder, latent, run=-1):
    return GGReadTrace.execute(recorder, latent, run)[0]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_with_one_sampler_cached_each_latent_finds_its_own_run(recorded, order):
    *_, recorder, sample = recorded
    latents = {i: sample(i, "37"[i], "first job") for i in order}
    latents[1] = sample(1, "7", "second job")
    assert [read(recorder, latents[i]).header["seed"] for i in (0, 1)] == [0, 1]
    assert [read(recorder, OTHER, place).header["seed"] for place in (0, 1)] == [*order]


def test_what_passes_a_latent_on_or_picks_from_its_batch_leaves_it_known(recorded):
    *_, recorder, sample = recorded
    first, second = sample(1, batch=3), sample(2, batch=3)
    ways = {
        "copied": lambda x: x.clone(),
        "halved": lambda x: x.half(),
        "one image": lambda x: x[1:2],
        "reversed": lambda x: x.flip(0),
        "repeated": lambda x: x.repeat(2, 1, 1, 1),
    }
    for way, change in ways.items():
        for seed, latent in ((1, first), (2, second)):
            passed = {"samples": change(latent["samples"]), "noise_mask": torch.ones(1)}
            assert read(recorder, passed).header["seed"] == seed, way


def test_a_changed_latent_is_an_error_that_says_which_runs_there_are(recorded):
    *_, recorder, sample = recorded
    latents = [sample(1, "3", "job"), sample(2, "7", "job")]
    mixed = torch.cat([latent["samples"][:1] for latent in latents])
    for strange in ({"samples": latents[0]["samples"] * 1.5}, {"samples": mixed}, OTHER):
        with pytest.raises(ValueError, match=r"No single recorded run .* 0 \(seed 1, .*1 \(seed 2"):
            read(recorder, strange)
    assert read(recorder, {"samples": mixed}, 0).header["seed"] == 1
    with pytest.raises(ValueError, match="There is no run 2"):
        read(recorder, latents[0], 2)


def test_the_scale_of_a_latent_format_is_part_of_the_latent(host):
    """KSampler hands out what the format makes of the sample."""
    model = GGMixtureModel.execute(shape="16x3x8x8", classes=3, kind="flow", seed=0)[0]
    model.model.latent_format = comfy.latent_formats.Wan21()
    positive, negative = GGClassLabel.execute(model, "1").args
    patched, recorder = GGRecord.execute(model, "numbers").args
    for seed in (3, 4):
        run = (patched, seed, 2, CFG, "euler", "simple", positive, negative, {"samples": torch.zeros(1, 16, 3, 8, 8)})
        out = host_nodes().common_ksampler(*run)[0]
        assert read(recorder, out).header["seed"] == seed


@pytest.mark.parametrize(
    ("outer", "inner", "name"), [("numbers", "tensors", "dpmpp_2m_sde"), ("tensors", "numbers", "lcm")]
)
def test_a_model_that_is_recorded_twice_has_one_run_for_both(labelled, empty_latent, name, outer, inner):
    """Both traces name the sampler, split its noise, and keep the more of what both asked for."""
    plain, positive, negative = labelled["ve"]
    model, recorder = GGRecord.execute(plain, outer).args
    rest = (positive, negative, empty_latent("ve"), "dpmpp_2m_sde")
    expected = ksampler(plain, *rest)
    out, _, trace = guided(model, *rest, capture=inner)
    assert torch.equal(out["samples"], expected)
    for one in (trace, read(recorder, out)):
        assert one.header["sampler"] == "dpmpp_2m_sde"
        assert one.header["split"].startswith("move and noise separated")
        assert one.column("M8")[:-1].min() > 0
        assert one.header["seed"] == SEED
        assert one.header["capture"]["mode"] == "tensors"
        assert not check(one)
