"""What the widgets of our DDPM and DDIM samplers do to the demo denoiser: time travel, per-step shifts, leaning noise.

Labels: the denoiser is asked without a label, the clean classifier steers it, the judge counts the pictures that show
their label. Halves: the left half of guided pictures is to be kept, the rest is made up without a label; told are the
error in the kept half, and how many of the results the judge still takes for their label.
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...dev.inside import enter_host
from ..command_line import parser_of
from ..pages.evaluations import BATCH, CFG, Demo, Row
from ..train.demo_evaluation import to_pixels


class Way(NamedTuple):
    """One line of a table: a way of using gradients, its scale, and how often steps are taken."""

    gradient: str
    scale: float
    recurrence: int = 1
    steps: int = 20
    eta: float = 1.0
    dsg_weight: float = 0.2


LABELS = (
    Way("rate", 4.0),
    Way("rate", 4.0, 4),
    Way("rate", 4.0, steps=80),
    Way("FreeDoM", 5.0),
    Way("FreeDoM", 5.0, 4),
    Way("DSG", 1.0),
)
HALVES = (
    Way("rate", 0.0),
    Way("DPS", 0.1),
    Way("DPS", 1.0),
    Way("DPS", 1.0, steps=40),
    Way("DSG", 1.0),
)


def sampler_of(way: Way) -> Any:
    """The DDIM sampler of a line."""
    from ...nodes.blog_samplers import GGSamplerDDIM

    widgets = (way.eta, 0, way.recurrence, 0.0, 1.0, way.gradient, way.dsg_weight)
    return GGSamplerDDIM.execute(*widgets)[0]


def sample_null(demo: Demo, way: Way, energy: Any, batch: int, seed: int) -> Tensor:  # -> [batch, 3, 32, 32]
    """Samples of the null label, steered by an energy."""
    from ...guidance.chain import PLAIN
    from ...guidance.gradients.term import GradientTerm
    from ...nodes.sampling import GGGuidedSampler

    term = GradientTerm(energy, weight=way.scale, evaluation="x0 + backprop")
    settings = (demo.model, seed, way.steps, 1.0, "euler", "karras", demo.null, demo.null)
    latent = {"samples": torch.zeros(batch, 3, 32, 32)}
    extras = {"guidance": PLAIN.then(term), "sampler": sampler_of(way), "capture": "numbers"}
    return GGGuidedSampler.execute(*settings, latent, **extras)[0]["samples"]


def judge_findings(demo: Demo, x0: Tensor) -> dict[str, float]:
    """What the judge finds in samples, once they are pictures."""
    return demo.measure(torch.from_numpy(to_pixels(x0)))


def hit_rate(demo: Demo, x0: Tensor) -> float:
    """Share of samples that show their label, which cycle."""
    return judge_findings(demo, x0)["accuracy"]


def labels(demo: Demo, samples: int, way: Way) -> str:
    """Accuracy and the Frechet distance of one line."""
    from ...guidance.energies.label import LabelEnergy

    energy = LabelEnergy(demo.classifiers["x0"], tuple((index,) for index in range(10)))
    parts = [sample_null(demo, way, energy, min(BATCH, samples - i), 1 + i) for i in range(0, samples, BATCH)]
    n = judge_findings(demo, torch.cat(parts))
    return f"accuracy {n['accuracy']:.3f}  frechet {n['frechet']:.3f}  diversity {n['diversity']:.3f}"


def halves(demo: Demo, samples: int, way: Way) -> str:
    """Error in the kept half, and the judge's answer, of one line."""
    from ...guidance.energies.reference import MeasuredEnergy

    mask = torch.zeros(1, 32, 32)
    mask[..., :16] = 1
    given, kept = [], []
    for i in range(0, samples, BATCH):
        count = min(BATCH, samples - i)
        given.append(demo.sample(Row(CFG, 4.0), count, 1000 + i).clamp(-1, 1))
        energy = MeasuredEnergy(given[-1], mask, 1.0, length=True)
        kept.append(sample_null(demo, way, energy, count, 1 + i))
    x0, y = torch.cat(kept), torch.cat(given)
    error = ((x0 - y) * mask).square().mean().mul(2).sqrt()
    seam = (x0[..., 15] - x0[..., 16]).abs().mean() / (x0[..., 19] - x0[..., 20]).abs().mean()
    return (
        f"error {float(error):.3f}  seam {float(seam):.2f}  judge {hit_rate(demo, x0):.3f} of {hit_rate(demo, y):.3f}"
    )


def main() -> None:
    """Print both tables."""
    parser = parser_of(__doc__)
    parser.add_argument("--samples", type=int, default=500, help="a row (default 500)")
    given = parser.parse_args()
    enter_host(given.host)
    with torch.inference_mode():
        import comfy.utils

        comfy.utils.PROGRESS_BAR_ENABLED = False
        demo = Demo()
        for title, table, measure in (("labels", LABELS, labels), ("halves", HALVES, halves)):
            print(f"{title}: {given.samples} samples a row, seed 1, fp32, karras, DDIM", flush=True)
            for way in table:
                shown = f"{way.gradient:8} scale {way.scale:5.2f}  x {way.recurrence}  {way.steps:3} steps  "
                print(shown + measure(demo, given.samples, way), flush=True)


if __name__ == "__main__":
    sys.exit(main())
