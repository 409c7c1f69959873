"""Folders as the diffusers library saves them, written by hand: tiny networks with random weights."""

import json

import torch

UNET = {
    "_class_name": "UNet2DModel",
    "sample_size": 8,
    "in_channels": 3,
    "out_channels": 3,
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
    "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
    "block_out_channels": [8, 16],
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "attention_head_dim": 8,
    "num_class_embeds": 3,
}
DIT = {
    "_class_name": "DiTTransformer2DModel",
    "num_attention_heads": 2,
    "attention_head_dim": 8,
    "in_channels": 4,
    "out_channels": 8,
    "num_layers": 2,
    "sample_size": 8,
    "patch_size": 2,
    "norm_type": "ada_norm_zero",
    "num_embeds_ada_norm": 3,
    "activation_fn": "gelu-approximate",
    "norm_eps": 1e-5,
}
SCHEDULER = {
    "_class_name": "DDPMScheduler",
    "num_train_timesteps": 1000,
    "beta_start": 1e-4,
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "prediction_type": "epsilon",
}
UNET_PIPELINE = {
    "_class_name": "DDPMPipeline",
    "_diffusers_version": "0.42.1",
    "scheduler": ["diffusers", "DDPMScheduler"],
    "unet": ["diffusers", "UNet2DModel"],
}
DIT_PIPELINE = {
    "_class_name": "DiTPipeline",
    "id2label": {"0": "tench, Tinca tinca", "1": "crane", "2": "crane"},
    "scheduler": ["diffusers", "DDIMScheduler"],
    "transformer": ["diffusers", "DiTTransformer2DModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}


def random_weights(shapes, seed=0):
    """Weights of size 0.2, around 1 for those of norms."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(shape, generator=generator) * 0.2 + (len(shape) == 1 and name.endswith("weight"))
        for name, shape in shapes.items()
    }


def unet_weights(config=UNET, seed=0):
    """Weights of a UNet2DModel of this config, by the library's names."""
    from guidance_geometry.models.denoisers.unet2d import unet_format

    form = unet_format(config)
    network = form.network(form.sizes({}), form.labels({}), device="meta")
    return random_weights({name: weight.shape for name, weight in network.state_dict().items()}, seed)


def dit_weights(config=DIT, seed=0):
    """Weights of a DiTTransformer2DModel, by the library's names; every block has the same embeddings, as released."""
    width, mlp = config["num_attention_heads"] * config["attention_head_dim"], 4
    patch, labels = config["patch_size"], config["num_embeds_ada_norm"] + 1
    layers = {
        "pos_embed.proj": (width, config["in_channels"], patch, patch),
        "proj_out_1": (2 * width, width),
        "proj_out_2": (patch**2 * config["out_channels"], width),
    }
    embedding = {
        "timestep_embedder.linear_1": (width, 256),
        "timestep_embedder.linear_2": (width, width),
        "class_embedder.embedding_table": (labels, width),
    }
    block = {f"attn1.{part}": (width, width) for part in ("to_q", "to_k", "to_v", "to_out.0")}
    block |= {"norm1.linear": (6 * width, width), "ff.net.0.proj": (mlp * width, width)}
    block |= {"ff.net.2": (width, mlp * width)}
    layers |= {f"norm1.emb.{name}": shape for name, shape in embedding.items()}
    numbers = range(config["num_layers"])
    layers |= {f"transformer_blocks.{n}.{name}": shape for n in numbers for name, shape in block.items()}
    shapes = {f"{name}.weight": shape for name, shape in layers.items()}
    shapes |= {f"{name}.bias": shape[:1] for name, shape in layers.items() if not name.endswith("_table")}
    weights = random_weights(shapes, seed)
    shared = {name: weight for name, weight in weights.items() if name.startswith("norm1.emb.")}
    own = {name: weight for name, weight in weights.items() if name not in shared}
    return own | {f"transformer_blocks.{n}.{name}": weight for n in numbers for name, weight in shared.items()}


def write_folder(folder, config, weights, scheduler=SCHEDULER, pipeline=None):
    """A pipeline with its parts in folders, or a network alone with the scheduler beside it."""
    from guidance_geometry.files.safetensors import write_safetensors

    inner = folder
    if pipeline is not None:
        network = next(name for name in ("unet", "transformer") if name in pipeline)
        inner = folder / network
        inner.mkdir(parents=True)
        (folder / "model_index.json").write_text(json.dumps(pipeline))
    folder.mkdir(parents=True, exist_ok=True)
    (inner / "config.json").write_text(json.dumps(config))
    write_safetensors(inner / "diffusion_pytorch_model.safetensors", weights, {"format": "pt"})
    if scheduler is not None:
        place = folder / "scheduler" if pipeline is not None else folder
        place.mkdir(exist_ok=True)
        (place / "scheduler_config.json").write_text(json.dumps(scheduler))
    return folder


def unet_folder(folder, **changes):
    """A tiny class-conditional U-Net as a pipeline."""
    given = {"scheduler": SCHEDULER, "pipeline": UNET_PIPELINE} | changes
    return write_folder(folder, UNET, unet_weights(), **given)


def dit_folder(folder, **changes):
    """A tiny DiT as a pipeline."""
    given = {"scheduler": SCHEDULER, "pipeline": DIT_PIPELINE} | changes
    return write_folder(folder, DIT, dit_weights(), **given)
