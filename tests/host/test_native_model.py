from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import comfy.model_management
import comfy.model_sampling
import comfy.patcher_extension
import comfy.sample
import comfy.samplers
import pytest
import torch
from latent_preview import Latent2RGBPreviewer

import nodes
from guidance_geometry.denoisers.conversion import input_scale
from guidance_geometry.denoisers.pocket import PocketSizes, PocketUNet
from guidance_geometry.denoisers.reading import denoiser_of
from guidance_geometry.denoisers.schedules import Levels, coordinates, usual_time
from guidance_geometry.denoisers.spec import ChosenSpec, Published, choose_spec
from guidance_geometry.guidance.mixture import make_mixture
from guidance_geometry.guidance.predictions import output_from
from guidance_geometry.host.native_model import card_of, native_denoiser, native_mixture
from guidance_geometry.host.native_model import conditioning as labelled
from guidance_geometry.tests.tiny_denoiser import LABELS, METADATA, SIZES, tiny_weights

SIDE = 8
PAIRS = [
    (kind, schedule)
    for schedule in ("vp_linear", "vp_cosine", "edm", "flow")
    for kind in ("epsilon", "x0", "v", "flow", "edm", "score")
]
SIGMA_DATA = 0.6


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def specification(kind, schedule, **changes):
    facts = {
        "name": "toy",
        "format": None,
        "sizes": {},
        "labels": LABELS,
        "parametrisation": kind,
        "schedule": schedule,
        "time": usual_time(schedule),
        "levels": Levels(),
        "sigma_data": SIGMA_DATA,
        "image_size": SIDE,
        "dtype": torch.float32,
    }
    return ChosenSpec(**{**facts, **changes})


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
    spec = specification(kind, schedule, **changes)
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
    ("kind", "schedule", "noise"), [*((*pair, LOW) for pair in PAIRS), ("v", "vp_linear", HIGH), ("v", "edm", HIGH)]
)
def test_every_parametrisation_gives_the_same_x0(kind, schedule, noise):
    """1e-5: float32 outputs of size 1 to 10, and levels found in a float32 table."""
    levels, size, bound = noise
    sigma, x = torch.tensor(levels), noisy() * size
    got = evaluated(toy(kind, schedule), x, sigma, 1, 4)
    assert (got - clean_guess(x, sigma, torch.tensor([1, 4]))).abs().max() < bound


@pytest.mark.parametrize("kind", ["epsilon", "score"])
def test_pure_noise_on_flow_is_left_out_of_the_table(kind):
    sampling = toy(kind, "flow").model.model_sampling
    assert float(sampling.sigma_max) == pytest.approx(0.999)
    assert sampled(toy(kind, "flow"), scheduler="simple").isfinite().all()


@pytest.mark.parametrize(("schedule", "kind"), [("vp_linear", "epsilon"), ("edm", "edm"), ("flow", "flow")])
def test_every_sampler_and_scheduler_runs(schedule, kind):
    model = toy(kind, schedule)
    runs = [(name, "normal") for name in comfy.samplers.SAMPLER_NAMES]
    runs += [("euler", name) for name in comfy.samplers.SCHEDULER_NAMES]
    for sampler, scheduler in runs:
        samples = sampled(model, sampler, scheduler)
        assert samples.shape == (2, 3, SIDE, SIDE), (sampler, scheduler)
        assert samples.isfinite().all(), (sampler, scheduler)


@pytest.mark.parametrize(("kind", "schedule"), [("epsilon", "vp_linear"), ("edm", "edm"), ("flow", "flow")])
def test_cond_and_uncond_share_every_forward(kind, schedule):
    model = toy(kind, schedule)
    sampled(model, labels=(0, 2, 1), batch=3)
    seen = model.model.diffusion_model.evaluate.seen
    assert [size for size, _, _ in seen] == [6, 6, 6]
    assert all(sorted(y.tolist()) == [0, 1, 2, 4, 4, 4] for _, _, y in seen)


def test_labels_fill_the_batch_in_turn():
    model = toy("edm", "edm")
    sampled(model, labels=(3, 1), batch=3, steps=1, cfg=1.0)
    assert model.model.diffusion_model.evaluate.seen[0][2].tolist() == [3, 1, 3]


@pytest.mark.parametrize("kind", ["ve", "flow", "pocket"])
def test_an_item_alone_equals_the_item_in_its_batch(kind):
    model = pocket() if kind == "pocket" else mixture_model(kind)[1]
    shape = model.model.card.shape
    x, sigma, labels = noisy(3, shape), torch.tensor([0.3, 0.6, 0.9]), (2, 3, 0)
    together = evaluated(model, x, sigma, *labels)
    for i, label in enumerate(labels):
        alone = evaluated(model, x[i : i + 1], sigma[i : i + 1], label)
        assert (together[i] - alone[0]).abs().max() < 1e-5


def test_the_network_sees_what_it_was_trained_on():
    model, x, sigma = pocket(), noisy(2, (3, 16, 16)), torch.tensor([0.5, 3.0])
    network = PocketUNet(PocketSizes(**SIZES, labels=len(LABELS)))
    network.load_state_dict(tiny_weights())
    s, total = sigma[:, None, None, None], sigma[:, None, None, None] ** 2 + 0.599**2
    c_skip, c_out, c_in = 0.599**2 / total, s * 0.599 / total.sqrt(), 1 / total.sqrt()
    wanted = c_skip * x + c_out * network(c_in * x, sigma.log() / 4, torch.tensor([1, 4]))
    assert (evaluated(model, x, sigma, 1, 4) - wanted).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("name", "dtype"), [("fp16", torch.float16), ("bf16", torch.bfloat16), ("fp32", torch.float32)]
)
def test_weights_are_kept_as_asked(name, dtype):
    model = pocket(name)
    assert {weight.dtype for weight in model.model.diffusion_model.parameters()} == {dtype}
    x, sigma = noisy(2, (3, 16, 16)), torch.tensor([0.5, 3.0])
    close = {"fp32": 1e-6, "fp16": 0.02, "bf16": 0.1}[name]  # weights of size 0.2 lose 11 or 8 bits, six layers deep
    exact = evaluated(pocket("fp32"), x, sigma, 1)
    assert (evaluated(model, x, sigma, 1) - exact).norm() / exact.norm() < close
    assert sampled(model, steps=2).isfinite().all()


def test_the_hosts_choice_of_type_is_followed():
    wanted = comfy.model_management.unet_dtype(
        model_params=10, supported_dtypes=[torch.float32, torch.float16], weight_dtype=torch.float16
    )
    assert pocket(dtype=torch.float16).model.get_dtype() == wanted


@pytest.mark.parametrize(("kind", "schedule"), [("epsilon", "vp_linear"), ("edm", "edm"), ("flow", "flow")])
def test_a_noise_mask_keeps_the_unmasked_pixels(kind, schedule):
    latent = noisy(2) * 0.4
    mask = torch.zeros(1, SIDE, SIDE)
    mask[:, :4] = 1
    samples = sampled(toy(kind, schedule), latent=latent, noise_mask=mask)
    assert (samples[:, :, 4:] - latent[:, :, 4:]).abs().max() < 1e-6
    assert (samples[:, :, :4] - latent[:, :, :4]).abs().max() > 0.1


@pytest.mark.parametrize(("kind", "schedule"), [("edm", "edm"), ("flow", "flow")])
def test_a_partial_denoise_starts_from_the_latent(kind, schedule):
    latent = noisy(2) * 0.4
    model = toy(kind, schedule)
    samples = sampled(model, latent=latent, denoise=0.5, steps=2, scheduler="karras" if schedule == "edm" else "normal")
    levels = [float(t[0]) for _, t, _ in model.model.diffusion_model.evaluate.seen]
    assert len(levels) == 2
    assert max(levels) < (0.6 if schedule == "flow" else 0.75)  # ln(80) / 4 = 1.1 would be the start
    assert samples.isfinite().all()


def test_the_second_run_equals_the_first_even_after_unloading():
    model = pocket()
    first = sampled(model, "euler_ancestral")
    comfy.model_management.unload_all_models()
    assert torch.equal(sampled(model, "euler_ancestral"), first)


def test_a_clone_carries_the_card():
    model = pocket()
    card = model.clone().model.card
    assert card is card_of(model)
    assert (card.labels, card.null_index, card.shape, card.sigma_data) == (LABELS, 4, (3, 16, 16), 0.599)
    assert card_of(SimpleNamespace(model=object())) is None


def test_previews_show_the_pixels():
    factors = toy("edm", "edm").get_model_object("latent_format").latent_rgb_factors
    picture = torch.zeros(1, 3, 4, 4)
    picture[:, 0] = 1
    image = Latent2RGBPreviewer(factors).decode_latent_to_preview(picture)
    assert image.getpixel((1, 1)) == (255, 127, 127)


def test_the_hosts_wrappers_surround_the_network():
    seen = []

    def watch(executor, *args, **kwargs):
        seen.append(args[0].shape[0])
        return executor(*args, **kwargs)

    model = toy("edm", "edm").clone()
    model.add_wrapper(comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL, watch)
    sampled(model, steps=2)
    assert seen == [4, 4]


def test_memory_grows_with_the_batch_and_faster_than_the_area():
    model = pocket().model
    small = model.memory_required([1, 3, 32, 32])
    assert model.memory_required([8, 3, 32, 32]) == 8 * small
    assert 0 < small < 4 * 2**20
    assert model.memory_required([1, 3, 512, 512]) > 256 * small


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


def test_an_empty_latent_of_any_channels_runs():
    model = pocket()
    latent = comfy.sample.fix_empty_latent_channels(model, torch.zeros(1, 4, 16, 16))
    assert sampled(model, latent=latent, steps=1).shape == (1, 3, 16, 16)


def test_a_mixture_runs_at_its_own_size_only():
    _, model = mixture_model("ve")
    with pytest.raises(ValueError, match=r"The latent is 8x16 but mixture works at 8x8 only\. Use Empty Canvas"):
        sampled(model, latent=torch.ones(1, 3, SIDE, 16))


@pytest.mark.parametrize(
    ("label", "words"),
    [
        (torch.tensor([9]), r"Label index 9 is outside 0 \.\. 3"),
        (torch.tensor([-1]), r"Label index -1 is outside 0 \.\. 3"),
        (torch.tensor([0.5]), r"0\.5 is no label"),
        (torch.zeros(0).long(), "no labels in the list"),
    ],
)
def test_foreign_labels_are_refused(label, words):
    with pytest.raises(ValueError, match=rf"{words}.* Was Class Label wired to another model than tiny\?"):
        pocket().model.extra_conds(class_label=label)


def test_text_conditioning_is_refused():
    with pytest.raises(ValueError, match="takes class labels but the negative input has text"):
        pocket().model.extra_conds(cross_attn=torch.zeros(1, 77, 8), prompt_type="negative")


@pytest.mark.parametrize("change", ["copied", "zeroed", "mixed", "joined"])
def test_a_label_goes_through_nodes_that_copy_it_and_no_node_zeroes_or_mixes_it_unseen(change):
    patcher, one, other = pocket(), *(labelled([number]) for number in (0, 1))
    changed = {
        "copied": lambda: [[text.clone(), dict(more)] for text, more in one],
        "zeroed": lambda: nodes.ConditioningZeroOut().zero_out(one)[0],
        "mixed": lambda: nodes.ConditioningAverage().addWeighted(one, other, 0.5)[0],
        "joined": lambda: nodes.ConditioningConcat().concat(one, other)[0],
    }[change]()
    latent = torch.zeros(1, *patcher.model.card.shape)

    def sample(condition):
        run = (patcher, latent + 1, 2, 2.0, "euler", "normal", condition, other, latent)
        return comfy.sample.sample(*run, disable_pbar=True, seed=3)

    if change == "copied":
        assert torch.equal(sample(changed), sample(one))
    else:
        with pytest.raises(ValueError, match="zeroed or mixed the class labels of the positive input"):
            sample(changed)


def test_no_condition_at_all_means_no_label():
    y = pocket().model.extra_conds()["y"].cond
    assert y.tolist() == [4]
    assert y.dtype == torch.int64


def test_the_normal_scheduler_walks_the_table_evenly():
    """The same levels as the host's own table class, which rounds nothing at its entries."""
    ours = toy("epsilon", "vp_linear").model.model_sampling
    theirs = comfy.model_sampling.ModelSamplingDiscrete()
    theirs.set_sigmas(ours.sigmas)
    got, wanted = (comfy.samplers.calculate_sigmas(levels, "normal", 7) for levels in (ours, theirs))
    assert (got / wanted - 1)[:-1].abs().max() < 1e-5


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
    sigma = torch.tensor([0.01, 0.5, 0.98] if kind == "flow" else [0.01, 2.0, 70.0])
    alpha = 1 - sigma.double() if kind == "flow" else torch.ones(3, dtype=torch.float64)
    x = noisy(3) * (1 + sigma)[:, None, None, None]
    for labels, wanted in (((0, 1, 2), torch.tensor([0, 1, 2])), ((3, 3, 3), None)):
        exact = mixture.denoised(x.double(), sigma.double(), alpha, wanted)
        assert (evaluated(model, x, sigma, *labels) - exact).abs().max() < 1e-4


@pytest.mark.parametrize("kind", ["ve", "flow"])
def test_the_mixture_is_handed_sigma_bit_for_bit(kind):
    sampling = mixture_model(kind)[1].model.model_sampling
    sigma = torch.rand(1000, generator=torch.Generator().manual_seed(1))
    assert torch.equal(sampling.timestep(sigma), sigma)
    assert torch.equal(sampling.sigma(sigma), sigma)
    assert torch.equal(sampling.calculate_input(sigma[:2], noisy()), noisy())


@pytest.mark.parametrize("kind", ["ve", "flow"])
def test_guidance_on_a_mixture_is_the_formula(kind):
    """One Euler step to sigma 0 lands on D = u + gamma (c - u)."""
    mixture, model = mixture_model(kind)
    first = float(model.model.model_sampling.sigma_max)
    noise: Any = comfy.sample.prepare_noise(torch.zeros(1, 3, SIDE, SIDE), 3)
    start = noise * (1 if kind == "flow" else (1 + first**2) ** 0.5)
    alpha = 0.0 if kind == "flow" else 1.0
    u, c = (mixture.denoised(start.double(), first, alpha, label) for label in (None, 1))
    got = sampled(model, scheduler="simple", steps=1, cfg=3.0, labels=(1,), batch=1)
    assert (got - (u + 3.0 * (c - u))).abs().max() < 1e-4


@pytest.mark.parametrize("shape", [(2, 8), (3, 2, 4, 4), (2, 1, 1)])
@pytest.mark.parametrize("kind", ["ve", "flow"])
def test_mixtures_of_any_rank_sample(shape, kind):
    _, model = mixture_model(kind, shape)
    assert sampled(model, steps=4, scheduler="simple").shape == (2, *shape)


def test_samples_of_the_mixture_have_its_spread():
    mixture, model = mixture_model("ve", (3, 4, 4))
    samples = sampled(model, "dpmpp_2m", "karras", steps=12, cfg=1.0, labels=(3,), batch=64)
    assert float(samples.square().mean().sqrt()) == pytest.approx(mixture.rms, rel=0.1)
