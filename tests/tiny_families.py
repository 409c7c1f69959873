"""The host's own architectures, as small as its classes accept, with random weights."""

import inspect

import torch

UNET = {
    "use_spatial_transformer": True,
    "legacy": False,
    "in_channels": 4,
    "out_channels": 4,
    "image_size": 32,
    "use_temporal_attention": False,
    "model_channels": 32,
    "channel_mult": [1, 2],
    "num_res_blocks": [1, 1],
}
CONFIGS = {
    "SD15": UNET
    | {
        "transformer_depth": [1, 1],
        "transformer_depth_middle": 1,
        "transformer_depth_output": [1, 1, 1, 1],
        "context_dim": 32,
        "use_linear_in_transformer": False,
        "adm_in_channels": None,
    },
    "SDXL": UNET
    | {
        "transformer_depth": [0, 2],
        "transformer_depth_middle": 2,
        "transformer_depth_output": [0, 0, 2, 2],
        "context_dim": 48,
        "num_classes": "sequential",
        "use_linear_in_transformer": True,
        "adm_in_channels": 1536 + 40,
    },
    "SD3": {
        "in_channels": 16,
        "patch_size": 2,
        "input_size": None,
        "pos_embed_scaling_factor": None,
        "depth": 2,
        "pos_embed_max_size": 24,
        "num_patches": 576,
        "adm_in_channels": 24,
        "context_size": 40,
        "context_embedder_config": {
            "target": "torch.nn.Linear",
            "params": {"in_features": 40, "out_features": 128},
        },
    },
    "Flux": {
        "image_model": "flux",
        "guidance_embed": True,
        "in_channels": 16,
        "out_channels": 16,
        "patch_size": 2,
        "qkv_bias": True,
        "theta": 10000,
        "hidden_size": 64,
        "num_heads": 2,
        "axes_dim": [8, 12, 12],
        "depth": 1,
        "depth_single_blocks": 1,
        "vec_in_dim": 24,
        "context_in_dim": 40,
        "mlp_ratio": 2.0,
    },
    "WAN21_T2V": {
        "image_model": "wan2.1",
        "model_type": "t2v",
        "in_dim": 16,
        "out_dim": 16,
        "patch_size": (1, 2, 2),
        "dim": 96,
        "num_heads": 2,
        "num_layers": 2,
        "ffn_dim": 128,
        "freq_dim": 32,
        "text_dim": 40,
    },
}
LATENTS = {"SD15": (4, 8, 8), "SDXL": (4, 8, 8), "SD3": (16, 8, 8), "Flux": (16, 8, 8), "WAN21_T2V": (16, 3, 8, 8)}
WIDTHS = {"SD15": (32, 0), "SDXL": (48, 40), "SD3": (40, 24), "Flux": (40, 24), "WAN21_T2V": (40, 0)}  # text, pooled


def family(name, seed=0, dtype=torch.float32):
    """A MODEL of one of the host's families, which computes in a dtype."""
    import comfy.model_management
    import comfy.model_patcher
    import comfy.supported_models

    config = getattr(comfy.supported_models, name)(CONFIGS[name] | (flux_extras() if name == "Flux" else {}))
    if name == "SDXL":
        config.unet_config["num_head_channels"] = 16
    config.set_inference_dtype(dtype, None)
    device = comfy.model_management.unet_offload_device()
    model = config.get_model({}, "", device=device)
    fill(model.diffusion_model, seed)
    load = comfy.model_management.get_torch_device()
    return comfy.model_patcher.ModelPatcher(model, load_device=load, offload_device=device)


def flux_extras():
    """What newer hosts also ask of a Flux: which axes number the words, none in this family."""
    from comfy.ldm.flux.model import FluxParams

    return {"txt_ids_dims": []} if "txt_ids_dims" in inspect.signature(FluxParams).parameters else {}


def fill(network, seed):
    """Random weights and buffers: the host's layers leave theirs as the memory was."""
    generator = torch.Generator().manual_seed(seed)
    for key, weight in (*network.named_parameters(), *network.named_buffers()):
        fan = weight[0].numel() if weight.ndim > 1 else 1
        values = torch.randn(weight.shape, generator=generator) * (0.5 / fan) ** 0.5
        around = 1.0 if weight.ndim == 1 and key.endswith(("weight", "scale")) else 0.0
        weight.data.copy_(around + (0.1 if weight.ndim == 1 else 1.0) * values)


def control_net(seed=0):
    """A ControlNet for SD15, and nothing of what it was trained on."""
    import comfy.cldm.cldm
    import comfy.controlnet
    import comfy.model_management
    import comfy.ops

    config = {**CONFIGS["SD15"], "num_heads": 8, "hint_channels": 3, "dtype": torch.float32}
    config = {key: value for key, value in config.items() if key != "out_channels"}
    network = comfy.cldm.cldm.ControlNet(**config, operations=comfy.ops.disable_weight_init)
    fill(network, seed)
    return comfy.controlnet.ControlNet(network, load_device=comfy.model_management.get_torch_device())


def text(name, seed, tokens=7):
    """A CONDITIONING of the shape that a family's text encoders give."""
    generator = torch.Generator().manual_seed(seed)
    width, pooled = WIDTHS[name]
    entry = {"pooled_output": torch.randn(1, pooled, generator=generator)} if pooled else {}
    entry |= {"guidance": 3.5} if name == "Flux" else {}
    return [[torch.randn(1, tokens, width, generator=generator), entry]]


def latent(name, batch=2):
    """An empty LATENT of a family."""
    return {"samples": torch.zeros(batch, *LATENTS[name])}
