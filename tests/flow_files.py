"""A small file of the latent demo model's format: a denoiser with random weights, and its VAE under `vae.`."""

import json

from guidance_geometry.dev.fixtures.tiny_folders import lively
from guidance_geometry.models.denoisers.pocket_flow import FlowSizes, PocketFlow, PocketVAE

SIZES = {"channels": 4, "ch": [32, 32], "emb": 16, "blocks": [1, 1, 1]}
LABELS = ["a", "b", "c"]
NOTES = {
    "gg.format": "guidance-geometry/denoiser",
    "gg.version": "1",
    "gg.name": "tiny-flow",
    "gg.architecture": "pocket-flow-1",
    "gg.config": json.dumps(SIZES),
    "gg.parametrisation": "flow",
    "gg.schedule": "flow",
    "gg.time": "log_sigma",
    "gg.labels": json.dumps(LABELS),
}


def flow_weights():
    """Of both networks, as the file has them."""
    network = lively(PocketFlow(FlowSizes(**SIZES, labels=len(LABELS))))
    inside = lively(PocketVAE(), seed=1).state_dict()
    return network.state_dict() | {f"vae.{name}": weight for name, weight in inside.items()}
