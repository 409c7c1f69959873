"""Gradients where users meet them: beside what other packs put on a MODEL, and on the included latent model's pictures.

First pocket-flow-1 through the queue, guided at x0 through its own VAE, by scale. Then whether a gradient that asks for
nothing leaves a run as it is, beside caches, patches and wrappers on the host's families, tiny and with random weights.
Prints both tables, and fails where a bit differs or the judge is not convinced; `--write` keeps them in
docs/classifier-guidance.md.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import torch

from ...classifiers.reading import open_classifier
from ...dev.fixtures.company import COMPANY, Indifferent
from ...dev.fixtures.tiny_families import WIDTHS, family, latent, text
from ...dev.hosts import own_host
from ...dev.inside import enter_host
from ...dev.places import ROOT
from ...guidance.chain import PLAIN
from ...guidance.energies.label import LabelEnergy
from ...guidance.gradients.term import GradientOptions, GradientTerm
from ...sweeps.comfyui.client import Client
from .. import markdown
from ..command_line import parser_of
from ..pages.evaluations_page import COMPANY as HEADING
from ..pages.evaluations_page import PAGE
from ..train.demo_evaluation import interval

FAMILIES = [name for name in WIDTHS if name != "WAN21_T2V"]
WAYS = {
    "every step": {},
    "computed twice": {"options": GradientOptions(checkpoint=True)},
    "every 2nd step": {"every": 2},
    "from 30 % on": {"start": 0.3},
}
SCALES = (0, 1, 3, 10, 30, 100)
CONVINCED = 0.6  # share that the judge must recognise at the best scale
TEXT = markdown.passages(__file__)


def difference(name: str, company: str) -> float:
    """The largest that a gradient of nought makes to the samples of a family, in any of the ways."""
    plain = samples(name, company, None)
    energy = LabelEnergy(Indifferent(), ((0,),))
    chains = (PLAIN.then(GradientTerm(energy, evaluation="x0 + backprop", **way)) for way in WAYS.values())
    return max(float((samples(name, company, chain) - plain).abs().max()) for chain in chains)


def samples(name: str, company: str, chain) -> torch.Tensor:
    """Of a run of a family in some company, with a chain or without."""
    from ...nodes.sampling import GGGuidedSampler

    model = COMPANY[company](family(name), name)
    given = (model, 7, 8, 3.0, "euler", "normal", text(name, 0), text(name, 1), latent(name))
    return GGGuidedSampler.execute(*given, guidance=chain, capture="numbers")[0]["samples"]


def guided_workflow(scale: float, count: int) -> dict:
    """A workflow of the latent model, guided by scale, in API form."""
    labels = "; ".join(map(str, range(10)))
    term = {"normalise": "none", "limit": 0.2, "start_percent": 0.0, "end_percent": 1.0, "every_k": 1}
    sampler = {"seed": 1, "steps": 20, "cfg": 1.0, "sampler_name": "euler_ancestral", "scheduler": "karras"}
    ends = {"positive": ["2", 0], "negative": ["2", 1], "latent_image": ["3", 0], "denoise": 1.0}
    kept = {"capture": "numbers", "capture_mb": 256}
    nodes = {
        "1": ("GGLoadDenoiser", {"denoiser_name": "pocket-flow-1", **AUTO}),
        "2": ("GGClassLabel", {"model": ["1", 0], "label": ""}),
        "3": ("GGEmptyCanvas", {"model": ["1", 0], "width": 0, "height": 0, "batch_size": count}),
        "5": ("GGLoadClassifier", {"classifier_name": "pocket-clean-1"}),
        "6": ("GGLabelEnergy", {"classifier": ["5", 0], "label": labels, "kind": "label"}),
        "7": ("GGClassifierGradient", {"energy": ["6", 0], "evaluation": "x0", "scale": scale, "preset": "scale",
              "vae": ["1", 1], **term}),
        "4": ("GGGuidedSampler", {"model": ["1", 0], "guidance": ["7", 0], **sampler, **ends, **kept}),
        "8": ("VAEDecode", {"samples": ["4", 0], "vae": ["1", 1]}),
        "9": ("PreviewImage", {"images": ["8", 0]}),
    }  # fmt: skip
    return {node: {"class_type": kind, "inputs": inputs} for node, (kind, inputs) in nodes.items()}


AUTO = {"parametrisation": "auto", "schedule": "auto", "weight_dtype": "fp32"}


def hit_rate(client: Client, scale: float, count: int) -> tuple[float, float, float]:
    """Share of the pictures in which the judge sees the wanted label, and its interval."""
    import numpy
    from PIL import Image

    entries = client.run(guided_workflow(scale, count)).outputs["9"]["images"]
    seen = numpy.stack([numpy.asarray(Image.open(io.BytesIO(client.file(entry))).convert("RGB")) for entry in entries])
    judge: Any = open_classifier(ROOT / "assets" / "classifiers" / "pocket-judge-1.safetensors")
    named = judge.logits(torch.from_numpy(seen).permute(0, 3, 1, 2) / 127.5 - 1, 0.0, 1.0).argmax(1)
    right = (named == torch.arange(count) % 10).double().mean().item()
    low, high = interval(right, count)
    return right, low, high


def company() -> list[list]:
    """Rows of the first table: what is on the MODEL, and the difference of each family."""
    rows = []
    for name in COMPANY:
        rows.append([name, *(f"{difference(one, name):g}" for one in FAMILIES)])
        print(*rows[-1], sep=" | ", flush=True)
    return rows


def by_scale(host: Path, count: int) -> list[list]:
    """Rows of the second table: scale and accuracy."""
    rows = []
    with own_host(host, cpu=True) as server, Client(server.address, timeout=3600) as client:
        for scale in SCALES:
            right, low, high = hit_rate(client, scale, count)
            rows.append([scale, markdown.between(right, low, high)])
            print(*rows[-1], sep=" | ", flush=True)
    return rows


def main() -> int:
    """Measure, print, and fail where a bit differs or the judge is not convinced."""
    parser = parser_of(__doc__, PAGE)
    parser.add_argument("--count", type=int, default=200, help="pictures a scale (default 200)")
    given = parser.parse_args()
    accuracy = by_scale(given.host, given.count)
    enter_host(given.host)
    torch.set_num_threads(1)
    with torch.inference_mode():
        import comfy.utils

        comfy.utils.PROGRESS_BAR_ENABLED = False
        differences = company()
    if given.write:
        first = markdown.table(f"on the MODEL | {' | '.join(FAMILIES)}", differences)
        second = markdown.table("scale | accuracy", accuracy)
        opening, latents = TEXT["OPENING"].format(ways=", ".join(WAYS)), TEXT["LATENT"].format(count=given.count)
        markdown.put_section(PAGE, HEADING, latents, second, opening, first)
    best = max(float(cell.split()[0]) for _, cell in accuracy)
    return int(best < CONVINCED or any(cell != "0" for row in differences for cell in row[1:]))


if __name__ == "__main__":
    sys.exit(main())
