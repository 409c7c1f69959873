"""Folders of the diffusers library: the same function as theirs, what their configs say, and what is refused."""

import json

import pytest
import torch

from guidance_geometry.files.safetensors import write_safetensors
from guidance_geometry.models.denoisers.latents import PIXELS, SD_LATENTS
from guidance_geometry.models.denoisers.reading import read_denoiser
from guidance_geometry.models.denoisers.schedules import Levels, table
from guidance_geometry.models.denoisers.spec import choose_spec
from guidance_geometry.models.denoisers.unet2d import unet_format
from guidance_geometry.tests.diffusers_folders import (
    DIT,
    DIT_PIPELINE,
    SCHEDULER,
    UNET,
    UNET_PIPELINE,
    dit_folder,
    dit_weights,
    random_weights,
    unet_folder,
    unet_weights,
    write_folder,
)
from guidance_geometry.tests.models.denoisers.networks import error

LEVELS = {"sample_size": 16, "block_out_channels": [16, 32, 32], "norm_num_groups": 8, "layers_per_block": 1}
PLAIN = LEVELS | {"down_block_types": ["DownBlock2D", "AttnDownBlock2D", "DownBlock2D"]}
PLAIN |= {"up_block_types": ["UpBlock2D", "AttnUpBlock2D", "UpBlock2D"]}
UNETS = {
    "plain": PLAIN,
    "ddpm": PLAIN
    | {"downsample_padding": 0, "flip_sin_to_cos": False, "freq_shift": 1}
    | {"attention_head_dim": None, "norm_eps": 1e-6},
    "classes": PLAIN | {"num_class_embeds": 5, "time_embedding_dim": 48},
    "scaled": PLAIN
    | {"resnet_time_scale_shift": "scale_shift", "downsample_type": "resnet", "upsample_type": "resnet"}
    | {"layers_per_block": 2, "center_input_sample": True},
    "fourier": PLAIN | {"time_embedding_type": "fourier"},
    "middle": PLAIN | {"mid_block_scale_factor": 1.4, "attn_norm_num_groups": 4, "out_channels": 6},
    "resnets": LEVELS
    | {"down_block_types": ["ResnetDownsampleBlock2D"] * 2 + ["AttnDownBlock2D"]}
    | {"up_block_types": ["AttnUpBlock2D", "ResnetUpsampleBlock2D", "UpBlock2D"]},
}


def networks_of(config):
    """Theirs and ours, with the same random weights."""
    theirs = pytest.importorskip("diffusers").UNet2DModel(**config).eval()
    weights = random_weights({name: weight.shape for name, weight in theirs.state_dict().items()})
    theirs.load_state_dict(weights)
    form = unet_format(json.loads(json.dumps(dict(theirs.config))))
    ours = form.network(form.sizes({}), form.labels({}))
    ours.load_state_dict(weights)
    return theirs, ours


@pytest.mark.parametrize("name", UNETS)
def test_a_unet_is_the_same_function(name):
    theirs, ours = networks_of(UNETS[name])
    x, t, y = torch.randn(2, 3, 16, 16), torch.tensor([3.0, 977.0]), torch.tensor([0, 4])
    with torch.no_grad():
        wanted = theirs(x, t, class_labels=y if name == "classes" else None).sample[:, :3]
    assert error(ours(x, t, y), wanted) < 1e-5


def test_a_pipeline_of_a_unet_says_everything_and_a_network_with_its_scheduler_is_a_folder_too(tmp_path):
    file = read_denoiser(unet_folder(tmp_path / "cats.v2"))
    spec, flat = choose_spec(file.spec), read_denoiser(unet_folder(tmp_path / "flat", pipeline=None))
    assert (spec.name, spec.format.title, spec.null_index) == ("cats.v2", "UNet2DModel", None)
    assert spec.labels == ("0", "1", "2")
    assert (spec.parametrisation, spec.schedule, spec.time) == ("epsilon", "vp_linear", "index")
    assert (spec.shape, spec.multiple, spec.latents, len(spec.sha256)) == ((3, 8, 8), 2, PIXELS, 64)
    assert file.weights.keys() == flat.weights.keys() == unet_weights().keys()
    assert choose_spec(flat.spec).schedule == "vp_linear"


def test_the_first_releases_of_ddpm_lie_flat_and_name_attention_otherwise(tmp_path):
    folder = unet_folder(tmp_path / "ddpm", pipeline=None)
    (folder / "model_index.json").write_text(json.dumps(UNET_PIPELINE))
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    weights = unet_weights()
    for new, name in old.items():
        weights = {key.replace(f".{new}.", f".{name}."): weight for key, weight in weights.items()}
    assert len(weights.keys() - unet_weights().keys()) == 32
    write_safetensors(folder / "diffusion_pytorch_model.safetensors", weights, {})
    read = read_denoiser(folder).weights
    assert all(torch.equal(read[name], weight) for name, weight in unet_weights().items())


def test_a_pipeline_of_a_dit_says_everything(tmp_path):
    """Of its first name."""
    pipeline = DIT_PIPELINE | {"transformer": ["diffusers", "Transformer2DModel"]}
    config = DIT | {"_class_name": "Transformer2DModel"}
    spec = choose_spec(read_denoiser(write_folder(tmp_path / "dit", config, dit_weights(), SCHEDULER, pipeline)).spec)
    assert spec.labels == ("tench, Tinca tinca", "crane (1)", "crane (2)")
    assert (spec.format.name, spec.null_index) == ("dit", 3)
    assert (spec.parametrisation, spec.schedule, spec.time) == ("epsilon", "vp_linear", "index")
    assert (spec.shape, spec.multiple, spec.latents) == ((4, 8, 8), 0, SD_LATENTS)
    assert (spec.sizes["heads"], spec.sizes["shift"], spec.sizes["epsilon"]) == (2, 1, 1e-5)


def test_a_folder_their_library_saved_is_read(tmp_path):
    diffusers = pytest.importorskip("diffusers")
    unet = diffusers.UNet2DModel(**UNETS["classes"])
    scheduler = diffusers.DDIMScheduler(beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction")
    diffusers.DDIMPipeline(unet=unet, scheduler=scheduler).save_pretrained(tmp_path / "saved", max_shard_size="60KB")
    assert len(list((tmp_path / "saved" / "unet").glob("*.safetensors"))) > 1
    file = read_denoiser(tmp_path / "saved")
    spec = choose_spec(file.spec)
    assert (spec.parametrisation, spec.schedule, spec.shape, len(spec.labels)) == ("v", "vp_cosine", (3, 16, 16), 5)
    assert all(torch.equal(file.weights[name], weight) for name, weight in unet.state_dict().items())


FLOW = {"_class_name": "FlowMatchHeunDiscreteScheduler", "num_train_timesteps": 500}
SCALED = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}


@pytest.mark.parametrize(
    ("said", "kind", "schedule", "levels"),
    [
        ({}, "epsilon", "vp_linear", {}),
        ({"prediction_type": "sample", "num_train_timesteps": 100}, "x0", "vp_linear", {"timesteps": 100}),
        (SCALED, "epsilon", "vp_linear", {"beta_start": 0.00085, "beta_end": 0.012, "beta_power": 2.0}),
        (FLOW, "flow", "flow", {"timesteps": 500}),
    ],
)
def test_the_scheduler_says_what_was_trained(tmp_path, said, kind, schedule, levels):
    spec = choose_spec(read_denoiser(unet_folder(tmp_path / "a", scheduler=SCHEDULER | said)).spec)
    assert (spec.parametrisation, spec.schedule, spec.time) == (kind, schedule, "index")
    assert spec.levels == Levels(**levels)


@pytest.mark.parametrize("betas", ["linear", "scaled_linear", "squaredcos_cap_v2"])
def test_noise_levels_are_those_of_their_schedulers(tmp_path, betas):
    """1e-5: theirs are products of a thousand numbers in float32."""
    diffusers = pytest.importorskip("diffusers")
    ends = {"beta_start": 0.0005, "beta_end": 0.015, "num_train_timesteps": 500}
    signal = diffusers.DDPMScheduler(beta_schedule=betas, **ends).alphas_cumprod.double()
    spec = choose_spec(
        read_denoiser(unet_folder(tmp_path / "a", scheduler=SCHEDULER | {"beta_schedule": betas} | ends)).spec
    )
    found = 1 / (1 + table(spec.schedule, spec.levels) ** 2)
    assert ((found - signal) / signal).abs()[:-1].max() < 1e-4
    assert (found - signal).abs().max() < 1e-6


def test_a_folder_without_scheduler_leaves_the_choice_to_the_user(tmp_path):
    spec = read_denoiser(unet_folder(tmp_path / "a", scheduler=None)).spec
    with pytest.raises(ValueError, match=r"a does not say its parametrisation\. Choose.*scheduler_config\.json, which"):
        choose_spec(spec)
    ready = choose_spec(spec, "epsilon", "vp_cosine")
    assert (ready.parametrisation, ready.schedule, ready.time) == ("epsilon", "vp_cosine", "index")


def test_the_vae_beside_a_dit_says_how_latents_are_scaled(tmp_path):
    folder = dit_folder(tmp_path / "dit")
    (folder / "vae").mkdir()
    (folder / "vae" / "config.json").write_text(json.dumps({"scaling_factor": 0.18215}))
    assert read_denoiser(folder).spec.latents == SD_LATENTS
    (folder / "vae" / "config.json").write_text(json.dumps({"scaling_factor": 0.13025}))
    space = read_denoiser(folder).spec.latents
    assert (space.title, space.scale, space.downscale) == ("the VAE of dit/", (0.13025,) * 4, 8)
    folder.rename(tmp_path / "other")
    assert read_denoiser(tmp_path / "other").spec.latents == space, "the numbers are the space, not the folder"


def refused(folder, message, error=ValueError):
    with pytest.raises(error, match=message) as caught:
        read_denoiser(folder)
    assert folder.name in str(caught.value)


TEXT = {
    "_class_name": "StableDiffusionPipeline",
    "unet": ["diffusers", "UNet2DConditionModel"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "scheduler": ["diffusers", "PNDMScheduler"],
}


@pytest.mark.parametrize(
    ("pipeline", "message"),
    [
        (TEXT, r"is a 'StableDiffusionPipeline' with unet \('UNet2DConditionModel'\), .*use Load Checkpoint or"),
        (UNET_PIPELINE | {"vqvae": ["diffusers", "VQModel"]}, r"with vqvae \('VQModel'\)"),
        (UNET_PIPELINE | {"id2label": {"1": "a"}}, "id2label does not count from 0 to 0"),
    ],
)
def test_another_pipeline_is_named(tmp_path, pipeline, message):
    folder = unet_folder(tmp_path / "other")
    (folder / "model_index.json").write_text(json.dumps(pipeline))
    refused(folder, message)


def test_no_name_of_a_part_leads_out_of_the_folder(tmp_path):
    unet_folder(tmp_path / "secret", pipeline=None)
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "model_index.json").write_text(json.dumps({"../secret": ["diffusers", "UNet2DModel"]}))
    refused(folder, r"config\.json is missing in a\.", FileNotFoundError)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"prediction_type": "score"}, "prediction_type is 'score'"),
        ({"beta_schedule": "sigmoid"}, "has 'sigmoid' betas"),
        ({"rescale_betas_zero_snr": True}, "or rescaled ones"),
        ({"beta_start": 0.5}, r"scheduler_config\.json: betas 0\.5 \.\. 0\.02 must rise"),
    ],
)
def test_a_scheduler_that_is_not_known_is_named(tmp_path, said, message):
    refused(unet_folder(tmp_path / "a", scheduler=SCHEDULER | said), message)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (UNET | {"down_block_types": ["DownBlock2D", "AttnSkipDownBlock2D"]}, "AttnSkipDownBlock2D"),
        (UNET | {"class_embed_type": "timestep"}, "class_embed_type 'timestep'"),
        (UNET | {"num_class_embeds": 5}, r"'class_embedding.weight' is \(3, 32\) but \(5, 32\) is needed"),
        (UNET | {"attention_head_dim": 5}, "attention over 16 channels in heads of 5"),
        (UNET | {"sample_size": [8, 16]}, "a square is needed"),
        (UNET | {"sample_size": 9}, r"sample_size = 9 in its .* whose side is a multiple of 2"),
        (DIT | {"num_embeds_ada_norm": 10}, "has num_embeds_ada_norm = 10 in its config.json but 3 in its weights"),
        (DIT | {"norm_elementwise_affine": True}, "describes norms with weights"),
        (DIT | {"num_attention_heads": 3}, "has 3 heads for 16 channels"),
    ],
)
def test_a_network_that_is_not_built_here_or_does_not_fit_its_config_is_named(tmp_path, config, message):
    weights = dit_weights() if config.get("_class_name") == DIT["_class_name"] else unet_weights()
    refused(write_folder(tmp_path / "a", config, weights), message)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("pos_embed.proj.weight", (2**36, 0, 1, 1), r"'x_embedder\.proj\.weight' has shape .* so no number"),
        ("pos_embed.proj.weight", (2**20, 4, 2, 2), r"'blocks\.0\..*' is .* but .* is needed"),
        ("transformer_blocks.0.weight", (3,), "'transformer_blocks.0.weight' is .* but nothing is needed"),
        ("transformer_blocks.0.attn1.to_k.weight", (), "shapes do not fit together"),
        ("transformer_blocks.1.attn1.to_k.weight", None, "has no weight 'transformer_blocks.1.attn1.to_k.weight'"),
    ],
)
def test_a_dit_whose_weights_claim_anything_is_refused_before_it_takes_memory(tmp_path, name, shape, message):
    weights = dit_weights() | {name: None if shape is None else torch.zeros(shape, dtype=torch.float16)}
    weights = {key: weight for key, weight in weights.items() if weight is not None}
    refused(write_folder(tmp_path / "a", DIT | {"sample_size": 128}, weights), message)


def test_weights_that_could_run_code_or_lie_elsewhere_are_not_opened(tmp_path):
    folder = unet_folder(tmp_path / "a", pipeline=None)
    weights = folder / "diffusion_pytorch_model.safetensors"
    weights.rename(tmp_path / "elsewhere.safetensors")
    weights.symlink_to(tmp_path / "elsewhere.safetensors")
    refused(folder, r"a/diffusion_pytorch_model\.safetensors is a link")
    weights.unlink()
    (folder / "diffusion_pytorch_model.bin").write_bytes(b"")
    refused(folder, r"a/ holds no diffusion_pytorch_model\.safetensors \(diffusion_pytorch_model\.bin\)")
