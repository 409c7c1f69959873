"""Models for a simulated device, runs there, and what these wait for."""

from typing import Any

import comfy.samplers
import torch

from guidance_geometry.dev.fixtures import tiny_families
from guidance_geometry.dev.fixtures.mac_tensor import count_waits
from guidance_geometry.guidance.energies.label import LabelEnergy, wanted_labels
from guidance_geometry.nodes.lab import GGMixtureModel
from guidance_geometry.nodes.load_classifier import GGLoadClassifier
from guidance_geometry.nodes.sampling import GGGuider
from guidance_geometry.nodes.start import GGClassLabel, GGLoadDenoiser

from .runs import CFG, SEED, custom

SHORT, LONG = 2, 3


def mixture(kind="ve", seed=0):
    """MODEL, positive, negative, and a LATENT of two pictures."""
    model, classifier = GGMixtureModel.execute(shape="3x8x8", classes=3, kind=kind, seed=seed).args
    parts = model, *GGClassLabel.execute(model, "0;1").args
    return (*parts, {"samples": torch.zeros(2, 3, 8, 8)}), classifier


def pocket(label="robot") -> Any:
    model = GGLoadDenoiser.execute("pocket-1", "auto", "auto", "fp32")[0]
    return model, *GGClassLabel.execute(model, label).args, {"samples": torch.zeros(1, 3, 32, 32)}


def energy(name, label="robot"):
    """What one of the demo's classifiers finds of a label."""
    found = GGLoadClassifier.execute(f"pocket-{name}-1")[0]
    return LabelEnergy(found, wanted_labels(label, found.labels))


class Shapes(dict):
    """name -> MODEL, positive, negative and an empty LATENT, made on the device that is there when first asked for."""

    def __init__(self):
        super().__init__()
        self.plain = {}

    def __missing__(self, name):
        if name in tiny_families.CONFIGS:
            texts = (tiny_families.text(name, seed) for seed in (1, 2))
            self[name] = (tiny_families.family(name), *texts, tiny_families.latent(name, 1))
        else:
            self[name] = pocket() if name == "pocket" else mixture(name)[0]
        return self[name]

    def more(self, name, run, sampler="euler"):
        """What run(steps) waits for beyond the host's own run of a model: in a short one, and in each further step."""
        run(SHORT)  # which measures its sampler
        short, long = (waits(run, steps) - self._plain(name, sampler, steps) for steps in (SHORT, LONG))
        return short, (long - short) / (LONG - SHORT)

    def _plain(self, *key):
        if key not in self.plain:
            name, sampler, steps = key
            self.plain[key] = waits(lambda n: alone(self[name], None, n, sampler), steps)
        return self.plain[key]


def waits(run, steps):
    """The waits of a run of so many steps, whose sampler has been measured before."""
    with count_waits() as counted:
        run(steps)
    return counted.total()


def alone(parts: Any, rules, steps, sampler="euler", node=custom.SamplerCustomAdvanced, **given):
    """A run of a chain over a model, which nobody records unless the node does; None: the host's own guidance."""
    model, positive, negative, latent = parts
    own = model, positive, negative, CFG
    plain = custom.CFGGuider.execute(*own) if rules is None else GGGuider.execute(*own, rules)
    sampling = model.get_model_object("model_sampling")
    sigmas = comfy.samplers.calculate_sigmas(sampling, "karras", steps)
    settings = plain[0], custom.KSamplerSelect.execute(sampler)[0], sigmas, latent
    return node.execute(custom.Noise_RandomNoise(SEED), *settings, **given).args
