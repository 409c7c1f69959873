"""What a guided step costs, in a process of its own.

    python lab evaluation_costs time|memory MODEL EVALUATION

time: one evaluation with the gradient over one without, interleaved, and the classifier's own forward and backward.
memory: the most that a guided step takes beyond what is loaded, by the kernel's high-water mark (Linux), and what the
node's estimate says before the run.  What is found is printed as JSON, and kept in .cache/ for the page, under the
checksum of every source file that made it.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ...dev.fixtures.timing import seconds
from ...dev.inside import enter_host
from ...dev.places import HOST
from ...files.writing import write_atomically
from ...guidance.energies.label import LabelEnergy
from ...guidance.energies.protocol import CLEAN, At
from ...guidance.gradients.estimators import gradient_of
from .evaluations import BACKPROP, CLEAN_X0, EVALUATIONS, KEPT, NOISY, gradient_chain
from .sources import origin

RETURNING = "MALLOC_MMAP_THRESHOLD_"  # set, glibc gives back at once what is freed, and nothing lies about in pieces
TWICE = f"{BACKPROP}, computed twice"
SD15 = {
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "num_res_blocks": [2, 2, 2, 2],
    "channel_mult": [1, 2, 4, 4],
    "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0],
    "transformer_depth_output": [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0],
    "transformer_depth_middle": 1,
    "context_dim": 768,
    "num_heads": 8,
    "use_spatial_transformer": True,
    "use_linear_in_transformer": False,
    "use_temporal_attention": False,
    "adm_in_channels": None,
    "legacy": False,
}


TIMES = (
    *(("pocket", evaluation, 16) for evaluation in (NOISY, BACKPROP, TWICE, CLEAN_X0)),
    *(("pocket", evaluation, batch) for evaluation in (BACKPROP, CLEAN_X0) for batch in (1, 4)),
    *(("sd15 narrow", evaluation, 16) for evaluation in (BACKPROP, TWICE, CLEAN_X0)),
    ("sd15 narrow", BACKPROP, 1),
)
MEMORY = tuple((model, evaluation, 16) for model in ("pocket", "sd15 narrow") for evaluation in (BACKPROP, TWICE))


class Bed:
    """A MODEL with its empty condition, the shape of a sample, and the classifiers to guide it with."""

    def __init__(self, model, null, shape: tuple[int, ...], scheduler: str):
        from ...nodes.load_classifier import GGLoadClassifier

        self.model, self.null, self.shape, self.scheduler = model, null, shape, scheduler
        self.guides = {name: GGLoadClassifier.execute(f"pocket-{name}-1")[0] for name in ("noisy", "clean")}

    def energy(self, evaluation: str) -> LabelEnergy:
        """Every label in turn."""
        return LabelEnergy(self.guides["noisy" if evaluation == NOISY else "clean"], tuple((i,) for i in range(10)))

    def run(self, evaluation: str | None, batch: int, steps: int, *wrappers: Callable) -> None:
        """Sample with euler.  evaluation: None is without guidance. wrappers: around every prediction."""
        import comfy.patcher_extension

        from ...guidance.chain import PLAIN
        from ...nodes.sampling import GGGuidedSampler

        model, kind = self.model.clone(), comfy.patcher_extension.WrappersMP.PREDICT_NOISE
        for wrapper in wrappers:
            model.add_wrapper_with_key(kind, "costs", wrapper)
        twice = evaluation == TWICE
        way = BACKPROP if twice else evaluation
        chain = PLAIN if way is None else gradient_chain(self.energy(way), way, 4.0, checkpoint=twice)
        latent = {"samples": torch.zeros(batch, *self.shape)}
        settings = (model, 1, steps, 1.0, "euler", self.scheduler, self.null, self.null, latent)
        GGGuidedSampler.execute(*settings, guidance=chain, capture="numbers")


def pocket() -> Bed:
    """The demo denoiser in fp32."""
    from ...nodes.start import GGClassLabel, GGLoadDenoiser

    model = GGLoadDenoiser.execute("pocket-1", "auto", "auto", "fp32")[0]
    return Bed(model, GGClassLabel.execute(model, "")[0], (3, 32, 32), "karras")


def sd15(width: int = 320, side: int = 8) -> Bed:
    """The architecture of SD1.5 with random weights, fp32.  width: of its first level; the published one has 320."""
    import comfy.model_patcher
    import comfy.supported_models

    config = comfy.supported_models.SD15({**SD15, "model_channels": width})
    config.set_inference_dtype(torch.float32, None)
    model = config.get_model({}, "", device="cpu")
    draws = torch.Generator().manual_seed(0)
    for weight in model.parameters():
        weight.data.normal_(0, (0.5 / max(weight[0].numel(), 1)) ** 0.5 if weight.ndim > 1 else 0.1, generator=draws)
    cpu = torch.device("cpu")
    context = torch.randn(1, 77, 768, generator=draws)
    return Bed(comfy.model_patcher.ModelPatcher(model, cpu, cpu), [[context, {}]], (4, side, side), "normal")


MODELS = {"pocket": pocket, "sd15 narrow": lambda: sd15(64, 16), "sd15": sd15}  # the last by hand: it takes minutes
ABOUT = {
    "pocket": "pocket-1, 2 M weights, 32 x 32 pixels",
    "sd15 narrow": "the architecture of SD1.5 at a fifth of its width (64 channels), random weights, latents 16 x 16",
}


def times(bed: Bed, evaluation: str, batch: int, steps: int, pairs: int) -> dict[str, float]:
    """Milliseconds of an evaluation without and with guidance, and of the classifier alone: the fastest of many.

    Runs without and with guidance take turns. The first evaluation of each is left out: memory is counted there.
    """
    found: dict[str | None, list[float]] = {None: [], evaluation: []}
    for _ in range(pairs):
        for way, taken in found.items():
            each: list[float] = []
            bed.run(way, batch, steps, stopwatch(each))
            taken.extend(each[1:])
    plain, guided = (1e3 * min(taken) for taken in found.values())
    alone = 1e3 * min(seconds(lambda: own_gradient(bed, evaluation, batch)) for _ in range(5 * pairs))
    return {"plain": plain, "guided": guided, "classifier": alone}


def stopwatch(taken: list[float]) -> Callable:
    """Wrapper that notes how long a prediction took."""

    def timed(executor, *args):
        start = time.perf_counter()
        found = executor(*args)
        taken.append(time.perf_counter() - start)
        return found

    return timed


def own_gradient(bed: Bed, evaluation: str, batch: int) -> None:
    """Forward and backward of the classifier as the evaluation asks it, without the denoiser."""
    from ...host.pictures import picture_of

    energy, picture, at = bed.energy(evaluation), picture_of(bed.model, None), At(1.0, 1.0, 1.0, 1.0)
    gradient_of(
        lambda x: energy.log_prob(picture(x), at if evaluation == NOISY else CLEAN),
        torch.randn(batch, *bed.shape, generator=torch.Generator().manual_seed(0)),
    )


def count_memory(bed: Bed, evaluation: str, batch: int) -> int:
    """Bytes that a guided step takes as the node counts them."""
    from ...host.memory_plan import Tally

    found = []

    def count(executor, *args):
        with Tally() as tally:
            made = executor(*args)
        found.append(tally.most)
        return made

    bed.run(evaluation, batch, 1, count)
    return max(found)


def memory(bed: Bed, evaluation: str, batch: int) -> dict[str, float]:
    """Megabytes that a guided run takes beyond what is loaded, as the node counts them and as measured."""
    expected = count_memory(bed, evaluation, batch) / 2**20
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the high-water mark starts anew
    before = resident("VmRSS")
    bed.run(evaluation, batch, 1)
    return {"counted": expected, "measured": resident("VmHWM") - before}


def resident(kind: str) -> float:
    """Megabytes of this process."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    found: Any = re.search(rf"{kind}:\s+(\d+)", status)
    return int(found[1]) / 1024


def file_of(*what: Any) -> Path:
    """Where a measurement is kept."""
    name = "-".join(str(part) for part in what if part).replace(" ", "_").replace(",", "")
    return KEPT / "costs" / origin(Path(__file__)) / f"{name}.json"


def main() -> None:
    """Measure one thing, print it and keep it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=("time", "memory"))
    parser.add_argument("model", choices=tuple(MODELS))
    parser.add_argument("evaluation", choices=(*EVALUATIONS, TWICE))
    parser.add_argument("--host", type=Path, default=HOST)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=6, help="of a timed run (default 6)")
    parser.add_argument("--pairs", type=int, default=7, help="of timed runs (default 7)")
    given = parser.parse_args()
    enter_host(given.host)
    torch.set_num_threads(1)
    with torch.inference_mode():
        import comfy.utils

        comfy.utils.PROGRESS_BAR_ENABLED = False
        bed = MODELS[given.model]()
        bed.run(given.evaluation, 1, 1)
        if given.what == "time":
            found = times(bed, given.evaluation, given.batch, given.steps, given.pairs)
        else:
            found = memory(bed, given.evaluation, given.batch)
    text = json.dumps({name: round(value, 2) for name, value in found.items()})
    print(text)
    file = file_of(given.what, given.model, given.evaluation, given.batch, os.environ.get(RETURNING))
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, [text.encode()])


if __name__ == "__main__":
    main()
