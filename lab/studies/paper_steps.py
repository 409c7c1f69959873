"""What time travel, shifts of a step and leaning noise do to the demo model: the table in the help of DDPM Sampler.

Labels: the denoiser is asked without a label, the clean classifier steers it, the judge says what the pictures show.
Halves: the left half of guided pictures is to be kept, the rest is made up without a label; printed are the error in
the kept half, and how many of the results the judge still takes for their label. `python lab paper_steps` runs DDIM
Sampler in a ComfyUI, ten minutes of one core.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...dev.inside import enter_host
from ...guidance.chain import PLAIN, Chain
from ...guidance.energies.label import LabelEnergy
from ...guidance.energies.pictures import pictures, region
from ...guidance.energies.reference import MeasuredEnergy
from ...guidance.gradients.term import GradientTerm
from ..command_line import parser_of
from ..markdown import table
from .judging import LABELS, judge

BATCH = 100


class Way(NamedTuple):
    """One line of a table: a way of using gradients, its scale, how often steps are taken, and how many."""

    gradient: str
    scale: float
    recurrence: int = 1
    steps: int = 20


BY_LABEL = (Way("rate", 4.0), Way("rate", 4.0, 4), Way("rate", 4.0, steps=80), Way("FreeDoM", 5.0))
BY_LABEL += (Way("FreeDoM", 5.0, 4), Way("DSG", 1.0))
BY_HALF = (Way("rate", 0.0), Way("DPS", 0.1), Way("DPS", 1.0), Way("DPS", 1.0, steps=40), Way("DSG", 1.0))


@cache
def parts() -> tuple[Any, Any, Any, Any]:
    """MODEL, no label, every label in turn, and the clean classifier, as the nodes load them."""
    from ...nodes.load_classifier import GGLoadClassifier
    from ...nodes.start import GGClassLabel, GGLoadDenoiser

    model = GGLoadDenoiser.execute("pocket-1", "auto", "auto", "fp32")[0]
    null, every = (GGClassLabel.execute(model, label)[0] for label in ("", "*"))
    return model, null, every, GGLoadClassifier.execute("pocket-clean-1")[0]


def sample(count: int, seed: int, chain: Chain, way: Way | None = None) -> Tensor:  # -> [count, 3, 32, 32]
    """Samples of a chain without a label, by a way of stepping; without a way, of the labels by euler at cfg 4."""
    from ...nodes.blog_samplers import GGSamplerDDIM
    from ...nodes.sampling import GGGuidedSampler

    model, null, every, _ = parts()
    sampler: Any = way and GGSamplerDDIM.execute(1.0, 0, way.recurrence, 0.0, 1.0, way.gradient, 0.2)[0]
    cfg, positive, steps = (1.0, null, way.steps) if way else (4.0, every, 20)
    settings = (model, seed, steps, cfg, "euler" if way else "euler_ancestral", "karras", positive, null)
    latent = {"samples": torch.zeros(count, 3, 32, 32)}
    ends = GGGuidedSampler.execute(*settings, latent, guidance=chain, capture="numbers", sampler=sampler)
    return ends[0]["samples"]


def steered(energy: Any, way: Way) -> Chain:
    """A chain of one gradient."""
    return PLAIN.then(GradientTerm(energy, weight=way.scale, evaluation="x0 + backprop"))


def labels(samples: int, way: Way) -> list[str]:
    """Accuracy, Frechet distance and diversity of one line."""
    energy = LabelEnergy(parts()[3], tuple((index,) for index in range(LABELS)))
    found = judge(
        torch.cat([sample(min(BATCH, samples - i), 1 + i, steered(energy, way), way) for i in range(0, samples, BATCH)])
    )
    return [f"{found['accuracy']:.3f}", f"{found['frechet']:.3f}", f"{found['diversity']:.3f}"]


def halves(samples: int, way: Way) -> list[str]:
    """Error in the kept half, and how many the judge recognises, of one line and of the pictures it was given."""
    mask = torch.zeros(1, 32, 32)
    mask[..., :16] = 1
    given, kept = [], []
    for i in range(0, samples, BATCH):
        count = min(BATCH, samples - i)
        given.append(sample(count, 1000 + i, PLAIN).clamp(-1, 1))
        shown = given[-1].movedim(1, -1) / 2 + 0.5  # as the node of this energy reads pictures and masks
        energy = MeasuredEnergy(pictures(shown), region(mask), 1.0, length=True)
        kept.append(sample(count, 1 + i, steered(energy, way), way))
    x0, y = torch.cat(kept), torch.cat(given)
    error = ((x0 - y) * mask).square().mean().mul(2).sqrt()
    return [f"{float(error):.3f}", *(f"{judge(one)['accuracy']:.3f}" for one in (x0, y))]


def main() -> None:
    """Print both tables."""
    parser = parser_of(__doc__)
    parser.add_argument("--samples", type=int, default=50, help="a row")
    given = parser.parse_args()
    enter_host(given.host)
    torch.set_num_threads(1)
    with torch.inference_mode():
        import comfy.utils

        comfy.utils.PROGRESS_BAR_ENABLED = False
        for head, ways, measure in (
            ("accuracy | Frechet | diversity", BY_LABEL, labels),
            ("error | the judge agrees | with what was given", BY_HALF, halves),
        ):
            rows = [[*way, *measure(given.samples, way)] for way in ways]
            print(table(f"gradient | scale | times | steps | {head}", rows), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
