"""What it costs to ask a model about its own pictures: evaluations and processor time, over those of the run itself.

Random networks of five shapes, 20 Euler steps with guidance, in pairs of a run that is measured and one that is not;
each picture is asked about once, as the Guidance tab does. Prints a table of docs/own-measure.md.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial

import torch

from ...dev.fixtures import tiny_families, tiny_streams
from ...dev.fixtures.timing import in_pairs, seconds
from ...dev.inside import enter_host
from .. import markdown
from ..command_line import parser_of
from .device import device_name, pocket
from .harness import median_interval

STEPS, CFG, BATCH = 20, 4.0, 1
FAMILIES = {  # of the host's family, and the shape of a latent
    "picture, 8 x 8 latent": ("SD15", (4, 8, 8)),
    "picture, 32 x 32 latent": ("SD15", (4, 32, 32)),
    "video, 5 x 16 x 16 latent": ("WAN21_T2V", (16, 5, 16, 16)),
}


def jobs() -> Iterator[tuple[str, tuple]]:
    """Every shape: MODEL, positive, negative and LATENT."""
    for words, (family, shape) in FAMILIES.items():
        texts = (tiny_families.text(family, seed) for seed in (1, 2))
        yield words, (tiny_families.family(family), *texts, {"samples": torch.zeros(BATCH, *shape)})
    streams = tiny_streams.text(1), tiny_streams.text(2), tiny_streams.latent(BATCH)
    yield "video and sound in one latent", (tiny_streams.two_streams(), *streams)
    model, positive, negative, *_ = pocket()
    yield "32 x 32 pixels", (model, positive, negative, {"samples": torch.zeros(BATCH, 3, 32, 32)})


def row(words: str, job: tuple, pairs: int) -> list[str]:
    """Evaluations of a picture in the run and in the measure, and how many times as long the measured run takes."""
    from ...nodes.sampling import GGGuidedSampler

    model, *given = job
    traces: dict[int, dict] = {}

    def run(measure: int) -> None:
        settings = {"capture": "numbers", "measure": measure}
        made = GGGuidedSampler.execute(model, 7, STEPS, CFG, "euler", "simple", *given, **settings)
        traces[measure] = made.args[2].header

    play: list[Callable[[], None]] = [partial(run, measure) for measure in (0, 1)]
    for one in play:
        one()
    plain, asking = (partial(seconds, one, time.process_time) for one in play)
    ratios = [measured / usual for usual, measured in in_pairs(plain, asking, pairs)]
    own, asked = traces[1]["evaluations"], traces[1]["measured"]["evaluations"] / BATCH
    low, high = median_interval(ratios)
    return [
        words,
        f"{own}",
        f"{asked:g}",
        f"{1 + asked / own:.2f}",
        f"{statistics.median(ratios):.2f} ({low:.2f} to {high:.2f})",
    ]


def main() -> int:
    """Measure and print."""
    parser = parser_of(__doc__)
    parser.add_argument("--pairs", type=int, default=7)
    given = parser.parse_args()
    enter_host(given.host)
    torch.set_num_threads(1)
    import comfy.utils

    comfy.utils.PROGRESS_BAR_ENABLED = False
    head = "sample | evaluations of the run | of the measure | times as many | times as long"
    with torch.inference_mode():
        rows = (row(words, job, given.pairs) for words, job in jobs())
        print(f"{device_name()}\n\n{markdown.table(head, rows)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
