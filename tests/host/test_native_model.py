from dataclasses import replace
from types import SimpleNamespace

import comfy.model_management
import comfy.sample
import comfy.samplers
import pytest
import torch

import nodes
from guidance_geometry.guidance.mixture import make_mixture
from guidance_geometry.guidance.predictions import output_from
from guidance_geometry.host.models.native_model import conditioning as labelled
from guidance_geometry.host.models.native_model import native_denoiser, native_mixture
from guidance_geometry.models.denoisers.conversion import input_scale
from guidance_geometry.models.denoisers.reading import denoiser_of
from guidance_geometry.models.denoisers.schedules import Levels, coordinates, usual_time
from guidance_geometry.models.denoisers.spec import ChosenSpec, Published, choose_spec
from guidance_geometry.tests.tiny_denoiser import LABELS, METADATA, tiny_weights

SIDE = 8
SIGMA_DATA = 0.6


def clean_guess(x, sigma, y):
    """A denoiser anybody can check: shrink x, and paint it in the colour of its label."""
    colour = (y.double() + 1)[:, None, None, None] / 10
    return torch.tanh(x.double() / (1 + sigma.double()[:, None, None, None])) + colour


class Toy(torch.nn.Module):
    """Outputs what its parametrisation demands for `clean_guess`, and remembers the batches it saw."""

    def __init__(self, spec, sizes, labels, operations, device, dtype):
        super().__init__()
        self.spec, self.null_index, self.seen = spec, labels, []

    def forward(self, x, t, y):
        spec = self.spec
        self.seen.append((len(x), t.clone(), y.clone()))
        sigma = t.double() if spec.time == "sigma" else (4 * t.double()).exp()
        at = coordinates(spec.schedule, sigma)
        scale = input_scale(spec.parametrisation, spec.schedule, sigma, SIGMA_DATA)[:, None, None, None]
        x = x.double() / scale
        mine = x * at.scale[:, None, None, None]
        guess = clean_guess(x, sigma, y)
        return output_from(spec.parametrisation, guess, mine, at.sigma, at.alpha, SIGMA_DATA).float()


def toy(kind, schedule, **changes):
    facts = ("toy", None, {}, LABELS, kind, schedule, usual_time(schedule), Levels(), SIGMA_DATA, SIDE, torch.float32)
    spec = replace(ChosenSpec(*facts), **changes)
    known = SimpleNamespace(
        published=lambda sizes: Published(channels=3, image_size=SIDE, multiple=1),
        network=lambda *given, **place: Toy(spec, *given, **place),
        memory=lambda sizes, batch, pixels: 1000 * batch * pixels,
        null_label=True,
    )
    return native_denoiser(replace(spec, format=known), {})


def pocket(weight_dtype="default", dtype=torch.float32):
    file = denoiser_of("tiny", tiny_weights(dtype=dtype), METADATA)
    return native_denoiser(choose_spec(file.spec), file.weights, weight_dtype)


def mixture_model(kind, shape=(3, SIDE, SIDE), classes=3):
    mixture = make_mixture(shape, classes, seed=5)
    return mixture, native_mixture(mixture, kind, tuple("abcdefg"[:classes]), "mixture")


def conditioning(*labels):
    return [[None, {"class_label": torch.tensor(labels)}]]


def evaluated(patcher, x, sigma, *labels):
    comfy.model_management.load_models_gpu([patcher])
    y = torch.tensor(labels).expand(len(x)) if len(labels) == 1 else torch.tensor(labels)
    return patcher.model.apply_model(x, sigma, y=y, transformer_options={})


def sampled(patcher, sampler="euler", scheduler="normal", steps=3, cfg=2.0, labels=(0,), batch=2, **rest):
    null = patcher.model.card.null_index
    latent = rest.pop("latent", torch.zeros(batch, *patcher.model.card.shape))
    noise = comfy.sample.prepare_noise(latent, 3)
    return comfy.sample.sample(
        patcher, noise, steps, cfg, sampler, scheduler, conditioning(*labels), conditioning(null), latent,
        disable_pbar=True, seed=3, **rest,
    )  # fmt: skip


def noisy(count=2, shape=(3, SIDE, SIDE), seed=0):
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed))


LOW, HIGH = ((0.3, 0.8), 0.8, 1e-5), ((40.0, 79.0), 60, 1e-3)  # noise levels, size of a sample, bound


@pytest.mark.parametrize(
    ("kind", "schedule", "noise"),
    [
        ("epsilon", "vp_linear", LOW),
        ("score", "vp_cosine", LOW),
        ("edm", "edm", LOW),
        ("x0", "edm", LOW),
        ("flow", "flow", LOW),
        ("v", "flow", LOW),
        ("v", "vp_linear", HIGH),
        ("v", "edm", HIGH),
    ],
)
def test_every_parametrisation_gives_the_same_x0(kind, schedule, noise):
    """1e-5: float32 outputs of size 1 to 10, and levels found in a float32 table."""
    levels, size, bound = noise
    sigma, x = torch.tensor(levels), noisy() * size
    got = evaluated(toy(kind, schedule), x, sigma, 1, 4)
    assert (got - clean_guess(x, sigma, torch.tensor([1, 4]))).abs().max() < bound


def test_every_scheduler_of_the_host_runs():
    model = toy("epsilon", "vp_linear")
    for scheduler in comfy.samplers.SCHEDULER_NAMES:
        assert sampled(model, "euler", scheduler).isfinite().all(), scheduler


def test_cond_and_uncond_share_every_forward_and_labels_fill_the_batch_in_turn():
    model = toy("flow", "flow")
    sampled(model, labels=(0, 2), batch=3)
    seen = model.model.diffusion_model.evaluate.seen
    assert [size for size, _, _ in seen] == [6, 6, 6]
    assert all(sorted(y.tolist()) == [0, 0, 2, 4, 4, 4] for _, _, y in seen)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 4, 16, 16), "The latent has 4 channels but tiny works on 3"),
        ((1, 3, 20, 16), "The latent is 20x16 but tiny needs sides divisible by 8"),
        ((1, 3, 2, 16, 16), "The latent has 5 axes but tiny works on 4"),
    ],
)
def test_a_latent_that_does_not_fit_is_refused_and_the_next_one_runs(shape, message):
    model = pocket()
    with pytest.raises(ValueError, match=message):
        sampled(model, latent=torch.ones(shape))
    assert sampled(model, steps=1).isfinite().all()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"class_label": torch.tensor([5])}, "Label index 5"),
        ({"class_label": torch.tensor([-1])}, "Label index -1"),
        ({"class_label": torch.tensor([0.5])}, "is no label"),
        ({"cross_attn": torch.zeros(1, 77, 8), "prompt_type": "negative"}, "has text"),
    ],
)
def test_foreign_labels_and_texts_are_refused(given, words):
    with pytest.raises(ValueError, match=words):
        pocket().model.extra_conds(**given)


def test_percentages_follow_the_length_of_the_table():
    sampling = toy("epsilon", "vp_linear", levels=Levels(timesteps=101)).model.model_sampling
    assert sampling.percent_to_sigma(0.5) == pytest.approx(float(sampling.sigmas[50]), rel=1e-5)
    assert sampling.percent_to_sigma(0.0) > 1e8
    assert sampling.percent_to_sigma(1.0) == 0


def test_a_network_told_indices_gets_whole_ones():
    model = toy("x0", "vp_linear", time="index")
    sigma = model.model.model_sampling.sigmas[[100, 700]] * 1.0001
    evaluated(model, noisy(), sigma, 0)
    assert model.model.diffusion_model.evaluate.seen[0][1].tolist() == [100, 700]


@pytest.mark.parametrize("kind", ["ve", "flow"])
def test_the_mixture_in_the_host_is_the_closed_form(kind):
    """1e-4 where alpha >= 0.02: x and D travel in float32."""
    mixture, model = mixture_model(kind)
    sampling, any_level = model.model.model_sampling, torch.rand(100)
    assert torch.equal(sampling.timestep(any_level), any_level)
    assert torch.equal(sampling.sigma(any_level), any_level)
    sigma = torch.tensor([0.01, 0.5, 0.98] if kind == "flow" else [0.01, 2.0, 70.0])
    alpha = 1 - sigma.double() if kind == "flow" else torch.ones(3, dtype=torch.float64)
    x = noisy(3) * (1 + sigma)[:, None, None, None]
    for labels, wanted in (((0, 1, 2), torch.tensor([0, 1, 2])), ((3, 3, 3), None)):
        exact = mixture.denoised(x.double(), sigma.double(), alpha, wanted)
        assert (evaluated(model, x, sigma, *labels) - exact).abs().max() < 1e-4


def test_a_label_goes_through_nodes_that_copy_it_and_no_node_zeroes_it_unseen():
    patcher, one, other = pocket(), *(labelled([number]) for number in (0, 1))
    latent = torch.zeros(1, *patcher.model.card.shape)

    def sample(condition):
        run = (patcher, latent + 1, 2, 2.0, "euler", "normal", condition, other, latent)
        return comfy.sample.sample(*run, disable_pbar=True, seed=3)

    assert torch.equal(sample([[text.clone(), dict(more)] for text, more in one]), sample(one))
    for changed in (
        nodes.ConditioningZeroOut().zero_out(one),
        nodes.ConditioningAverage().addWeighted(one, other, 0.5),
    ):
        with pytest.raises(ValueError, match="zeroed or mixed the class labels"):
            sample(changed[0])
