"""What a dry run of a sampler says of its runs, and what it costs.

Every sampler of the host, on noise levels of both kinds: the states of a run with a curved function in the place of the
network, beside those that the response predicts from the start, the predictions and the draws. And the processor time
of a dry run, beside that of a run. `--write` keeps them in docs/samplers.md.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import time
from typing import Any

import torch

from ...dev.fixtures import tiny_families
from ...dev.fixtures.predicted_states import misses
from ...dev.fixtures.timing import seconds
from ...dev.inside import enter_host
from .. import markdown
from ..command_line import parser_of
from ..pages.samplers import PAGE, RESPONSES

KINDS, STEPS, SCHEDULERS = ("epsilon", "flow"), (10, 27), ("beta", "karras", "sgm_uniform")
LIMIT, LIMIT_MS, TIMED = 1e-5, 20.0, 20
TEXT = markdown.passages(__file__)


def sampling_of(kind: str) -> Any:
    """The host's noise levels of a kind."""
    from comfy import model_sampling as host

    bases = {"flow": (host.ModelSamplingDiscreteFlow, host.CONST), "epsilon": (host.ModelSamplingDiscrete, host.EPS)}
    return type("Sampling", bases[kind], {})()


def responses(name: str, kind: str, steps: int, scheduler: str) -> tuple[Any, Any, Any, Any]:
    """A SAMPLER, its response, the noise levels and their kind."""
    import comfy.samplers

    from ...host.dry_run import response

    sampling, sampler = sampling_of(kind), comfy.samplers.sampler_object(name)
    sigmas = comfy.samplers.calculate_sigmas(sampling, scheduler, steps)
    return sampler, response(sampler.sampler_function, sampler.extra_options, sigmas, sampling), sigmas, sampling


def worst(name: str, kind: str) -> float | str:
    """The largest miss of a sampler, or why it has no response."""
    found = 0.0
    for steps, scheduler in itertools.product(STEPS, SCHEDULERS):
        sampler, response, sigmas, sampling = responses(name, kind, steps, scheduler)
        if not response.steps:
            return response.why
        found = max(found, *misses(response, sampler, sampling, sigmas))
    return found


def milliseconds(name: str, kind: str, repeats: int) -> float:
    """Processor time of a dry run that nobody has made, in the mode in which the host runs its nodes."""
    from ...host import dry_run

    sampler, _, sigmas, sampling = responses(name, kind, TIMED, "karras")

    def run() -> None:
        dry_run.forget()
        dry_run.response(sampler.sampler_function, sampler.extra_options, sigmas, sampling)

    with torch.inference_mode():
        run()
        return 1e3 * min(seconds(run, time.process_time) for _ in range(repeats))


def row_of(name: str, repeats: int) -> tuple[list[str], bool, list[float]]:
    """A line of the table, whether all holds, and the times."""
    found = [worst(name, kind) for kind in KINDS]
    times = [milliseconds(name, kind, repeats) for kind in KINDS]
    _, response, _, _ = responses(name, "epsilon", TIMED, "karras")
    shape = [str(response.memory), str(max((len(step.guided[0]) for step in response.steps), default=0))]
    words = [one if isinstance(one, str) else f"{one:.0e}" for one in found]
    holds = all(isinstance(one, str) or one <= LIMIT for one in found)
    cells = [name, *words, *(shape if response.steps else ["", ""]), " / ".join(f"{one:.0f}" for one in times)]
    print(" | ".join(cells), flush=True)
    return cells, holds, times


def runs(steps: int) -> dict[str, float]:
    """Processor seconds of a run of Pocket and of one with the shape of SD 1.5 at half its width, batch 1, dpmpp_2m."""
    import comfy.utils

    import nodes as host_nodes  # noqa: TID251  the host's own sampler is what we compare with

    from ...nodes.start import GGClassLabel, GGLoadDenoiser

    comfy.utils.PROGRESS_BAR_ENABLED = False
    pocket = GGLoadDenoiser.execute("pocket-1", "auto", "auto", "default")[0]
    half = tiny_families.CONFIGS["SD15"] | {"model_channels": 160}  # of what is published
    model = tiny_families.make_model("SD15", half, 0)

    def took(count: int, latent: torch.Tensor, patcher: Any, positive: list, negative: list) -> float:
        settings = (patcher, 1, count, 4.0, "dpmpp_2m", "karras", positive, negative, {"samples": latent})
        return steps / count * seconds(lambda: host_nodes.common_ksampler(*settings), time.process_time)

    return {
        "Pocket, 32x32 pixels": took(steps, torch.zeros(1, 3, 32, 32), pocket, *GGClassLabel.execute(pocket, "3").args),
        "SD 1.5 at half its width, 512x512 pixels (2 steps, times 10)": took(
            2, torch.zeros(1, 4, 64, 64), model, tiny_families.text("SD15", 1), tiny_families.text("SD15", 2)
        ),
    }


def line_of(name: str, took: float, middle: float, most: float) -> str:
    """What dry runs of so many milliseconds are beside a run.  took: its seconds"""
    of, share = f"{TIMED} steps of {name}, {1e3 * took:.0f} ms", 0.1 / took
    return f"beside a run of {of}: {middle * share:.2g} % in the median, {most * share:.2g} % at most"


def main() -> int:
    """Measure, print, and fail when a limit is passed."""
    parser = parser_of(__doc__, PAGE)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    enter_host(options.host)
    import comfy.samplers
    import comfyui_version

    torch.set_num_threads(1)
    rows, holds, times = zip(*(row_of(name, options.repeats) for name in comfy.samplers.KSampler.SAMPLERS), strict=True)
    middle = statistics.median(one for pair in times for one in pair)
    with torch.inference_mode():
        lines = [line_of(name, took, middle, max(map(max, times))) for name, took in runs(TIMED).items()]
    late = [row[0] for row, pair in zip(rows, times, strict=True) if max(pair) > LIMIT_MS]
    lines.append(f"above {LIMIT_MS:.0f} ms: {', '.join(late) or 'none'}")
    print("\n".join(lines))
    if options.write:
        facts = {"steps": " and ".join(map(str, STEPS)), "schedulers": ", ".join(SCHEDULERS), "limit": LIMIT}
        facts |= {"version": comfyui_version.__version__, "timed": TIMED, "repeats": options.repeats}
        table = markdown.table("sampler | epsilon | flow | memory | evaluations | dry run, epsilon / flow, ms", rows)
        shown = (markdown.bullets(lines), markdown.folded("Every sampler", table))
        markdown.put_section(PAGE, RESPONSES, TEXT["OPENING"].format(**facts), *shown)
    return int(not all(holds))


if __name__ == "__main__":
    sys.exit(main())
