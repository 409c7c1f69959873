"""Files of small networks of the published formats: names and weights as their authors would save them."""

import torch

from guidance_geometry.dev.fixtures.tiny_folders import lively

from .tiny_edm2 import edm2_weights


def adm_weights(labels=3):
    from guidance_geometry.models.denoisers.adm import ADM

    sizes = {"width": 64, "widths": [64, 64], "depth": 1, "attends": [1], "outputs": 6, "heads": 0, "together": True}
    return lively(ADM.network(sizes, labels)).state_dict()


def edm_weights(kind="ncsnpp", labels=3):
    from guidance_geometry.models.denoisers.edm import EDM

    width = 64 if kind == "adm" else 16
    sizes = {"kind": kind, "side": 16, "seen": 3, "stem": width, "widths": [width, width], "depth": 1, "attends": [1]}
    network = EDM.network(sizes | {"noise": 32, "emb": 64, "taps": 4 if kind == "ncsnpp" else 2}, labels)
    return {f"model.{name}": weight for name, weight in with_filters(network).state_dict().items()}


def transformer_weights(kind):
    """Of a DiT or a JiT."""
    from guidance_geometry.models.denoisers.dit import DIT, DiTSizes
    from guidance_geometry.models.denoisers.jit import JIT, JiTSizes

    sizes = DiTSizes(4, 8, 2, 4, 64, 1, 1, 64, 3) if kind == "dit" else JiTSizes(3, 4, 4, 8, 64, 3, 2, 64, 3, 2, 1, 1.0)
    return lively((DIT if kind == "dit" else JIT).network(vars(sizes), 3)).state_dict()


def with_filters(network):
    """The network with random weights, but the smoothing filters that it has by its kind."""
    kept = {name: weight.clone() for name, weight in network.state_dict().items() if name.endswith("resample_filter")}
    lively(network).load_state_dict(kept, strict=False)
    return network


NETWORKS = {
    "adm": adm_weights,
    "edm ddpmpp": lambda labels=3: edm_weights("ddpmpp", labels),
    "edm ncsnpp": lambda labels=3: edm_weights("ncsnpp", labels),
    "edm adm": lambda labels=3: edm_weights("adm", labels),
    "edm2": lambda labels=3: edm2_weights(
        width=64, multipliers=(1, 1), side=16, depth=1, attends=(8,), labels=labels, channels=3
    ),
    "edm2 latents": lambda labels=3: edm2_weights(
        width=64, multipliers=(1, 1), side=16, depth=1, attends=(8,), labels=labels, channels=4
    ),
}


def layers_of(make):
    """Names of the layers that a network takes from its operations."""
    made = set()

    class Counting:
        def __getattr__(self, name):
            made.add(name)
            return getattr(torch.nn, name)

    make(Counting())
    return made
