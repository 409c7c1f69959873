"""A Pocket of a few thousand weights, and the file it would be saved as."""

import json

import torch

LABELS = ("plant", "monster", "robot", "cat")
SIZES = {"ch": (8, 32, 32), "emb": 16, "head": 4, "blocks": (1, 1, 1, 1, 1, 1)}
METADATA = {
    "gg.format": "guidance-geometry/denoiser",
    "gg.version": "1",
    "gg.name": "tiny",
    "gg.licence": "CC0-1.0",
    "gg.architecture": "pocket-unet-1",
    "gg.config": json.dumps(SIZES),
    "gg.parametrisation": "F",
    "gg.preconditioning": "edm",
    "gg.schedule": "ve",
    "gg.sigma_min": "0.002",
    "gg.sigma_max": "80",
    "gg.sigma_data": "0.599",
    "gg.image_size": "16",
    "gg.channels": "3",
    "gg.range": "-1,1",
    "gg.labels": json.dumps(LABELS),
    "gg.null_index": str(len(LABELS)),
}


def tiny_weights(seed=0, dtype=torch.float32, **sizes):
    """Random weights of a tiny Pocket; those that start at zero are random too, or it would answer nothing."""
    from guidance_geometry.models.denoisers.pocket import PocketSizes, PocketUNet

    generator = torch.Generator().manual_seed(seed)
    network = PocketUNet(PocketSizes(**{**SIZES, **sizes}, labels=len(LABELS)))
    return {
        key: (torch.randn(weight.shape, generator=generator) * 0.2 + ("norm.weight" in key)).to(dtype)
        for key, weight in network.state_dict().items()
    }


def write_tiny(path, weights=None, metadata=METADATA, **changes):
    """Save a tiny denoiser; a change whose value is None drops that metadata key."""
    from guidance_geometry.files.safetensors import write_safetensors

    notes = {**metadata, **{f"gg.{key}": value for key, value in changes.items()}}
    notes = {key: value for key, value in notes.items() if value is not None}
    write_safetensors(path, tiny_weights() if weights is None else weights, notes)
    return path
