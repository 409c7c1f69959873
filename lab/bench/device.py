"""What the pack costs on this machine's device: recording, waits, gradients, memory.

Runs on CUDA, else on a Mac's GPU, else on one thread of the CPU, and says which. Ratios are of pairs, one right after
the other in an order that alternates: the host's KSampler in a job that does not ask and, behind a tap, in one that
does, with a browser that hears every step. Other programs disturb the processor time of a run less than its wall time,
so that a CPU is measured by that. What the record of a run costs, which is made beside the nodes that follow, stands in
a column of its own. Fails where a limit is surely passed: 2 % of a Pocket run without pictures, 3 % with them, .5 % of
a run of SD1.5, and 30 ns a value and step. The last
that is printed is a section of docs/performance.md.
"""

from __future__ import annotations

import json
import platform
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import psutil
import torch

from ...dev.fixtures import tiny_families
from ...dev.fixtures.timing import in_pairs, keep_freed_memory
from ...dev.inside import enter_host
from ...guidance.chain import PLAIN, Chain
from ...guidance.energies.label import LabelEnergy
from ...guidance.gradients.term import BACKPROP, CLEAN_X0, NOISY, GradientTerm
from .. import markdown
from ..command_line import parser_of
from .harness import held, median_interval

if TYPE_CHECKING:
    from ...host.editor.run_store import RunStore

ASKING = {"guidance_geometry": {"record": True}}
TAB = "tab"
MOST_NS = 30.0
SD15 = "SD1.5, 512 x 512"
LIMITS = {("Pocket", "numbers"): 1.02, ("Pocket", "pictures"): 1.03, (SD15, "numbers"): 1.005}
SHAPES = {  # of the host's family, and [B, ...] of a latent: what one picture or clip of a usual size has
    SD15: ("SD15", (1, 4, 64, 64)),
    "SDXL, 1024 x 1024": ("SDXL", (1, 4, 128, 128)),
    "SDXL, batch of 4": ("SDXL", (4, 4, 128, 128)),
    "Flux, 1024 x 1024": ("Flux", (1, 16, 128, 128)),
    "Wan, 81 frames of 832 x 480": ("WAN21_T2V", (1, 16, 21, 60, 104)),
}
SD15_LAYERS = {  # as published, but for the width of the first
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
JUDGED = 1 << 16  # values from which on the cost of one is held to its limit: below, calls cost more than values
WAITS = {"cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize"}  # as CUDA's profiler names them
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
Line = tuple[str, bool]  # what was measured, and whether a limit is surely passed
Job = tuple[Any, ...]  # MODEL, positive, negative, LATENT, steps


def device_name() -> str:
    """The device that the host samples on, in words."""
    device = import_module("comfy.model_management").get_torch_device()
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    linux = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", linux.read_text(encoding="utf-8")) if linux.is_file() else None
    name = found[1] if found else platform.processor() or platform.machine()
    return f"{name}, {'GPU' if device.type == 'mps' else 'one thread'}"


def wait_for_device() -> None:
    """Until all that was asked of it is done."""
    device = import_module("comfy.model_management").get_torch_device()
    if device.type in ("cuda", "mps"):
        getattr(torch, device.type).synchronize()


def pocket() -> Job:
    """The demo denoiser, eight pictures."""
    from ...nodes.start import GGClassLabel, GGLoadDenoiser

    model = GGLoadDenoiser.execute("pocket-1", "auto", "auto", "default")[0]
    return (model, *GGClassLabel.execute(model, "*").args, {"samples": torch.zeros(8, 3, 32, 32)}, 20)


def sd15(width: int, side: int = 64) -> Job:
    """A random network of SD1.5's architecture, its first level `width` wide, on latents of `side` x `side`."""
    model = tiny_families.make_model("SD15", SD15_LAYERS | {"model_channels": width}, 0)
    texts = ([[torch.randn(1, 77, 768, generator=torch.Generator().manual_seed(seed)), {}]] for seed in range(2))
    return (model, *texts, {"samples": torch.zeros(1, 4, side, side)}, 4)


def without_network(family: str, shape: tuple[int, ...], dtype: torch.dtype) -> Job:
    """A family of the host whose network answers at once, so that what is left is sampling and what watches it."""
    model = tiny_families.family(family).clone()
    model.set_model_unet_function_wrapper(lambda _, given: (0.5 * given["input"] + 0.1).to(dtype).float())
    texts = (tiny_families.text(family, seed) for seed in range(2))
    return (model, *texts, {"samples": torch.full(shape, 1e-3)}, 20 if torch.Size(shape).numel() < 1 << 20 else 6)


@contextmanager
def host_of_a_browser() -> Iterator[None]:
    """The server in the middle of a job of one browser, which writes what it sends."""
    from comfy_execution.graph import DynamicPrompt
    from comfy_execution.progress import reset_progress_state
    from comfy_execution.utils import CurrentNodeContext

    prompt = {"4": {"class_type": "KSampler", "inputs": {}}}
    reset_progress_state("job", DynamicPrompt(prompt))
    queue = SimpleNamespace(currently_running={0: (0, "job", prompt, {}, [])})
    send = lambda kind, event, tab: json.dumps({"type": kind, "data": event})  # noqa: E731
    server = SimpleNamespace(prompt_queue=queue, client_id=TAB, sockets={TAB: None}, send_sync=send)
    server.send_progress_text = lambda *words: None
    stand_in = {"server": SimpleNamespace(PromptServer=SimpleNamespace(instance=server))}
    with patch.dict(sys.modules, stand_in), torch.inference_mode(), CurrentNodeContext("job", "4"):  # pyright: ignore
        yield


def runs(job: Job) -> tuple[Callable[[], None], Callable[[str], None]]:
    """KSampler in a job that does not ask, and in one that does, behind a tap; the second takes what is captured."""
    from ...nodes.tap import GGTap

    model, positive, negative, latent, steps = job
    queue = sys.modules["server"].PromptServer.instance.prompt_queue
    sample, settings = import_module("nodes").common_ksampler, (1, steps, 4.0, "euler", "karras")

    def play(one: Any, extra: dict) -> None:
        queue.currently_running[0] = (*queue.currently_running[0][:3], extra, [])
        sample(one, *settings, positive, negative, dict(latent))
        wait_for_device()

    return lambda: play(model, {}), lambda capture: play(GGTap.execute(model, capture)[0], ASKING)


def run_store() -> RunStore:
    """The pack's, which needs the host."""
    from ...host.editor.run_store import STORE

    return STORE


def compare(plain: Callable[[], None], other: Callable[[], None], pairs: int) -> list[tuple[float, float, float]]:
    """Seconds of the one, of the other, and of the record that the other leaves, in pairs whose order alternates."""
    plain()
    other()
    run_store().wait_for_runs()
    return [(less, *more) for (less, _), more in in_pairs(partial(_seconds, plain), partial(_seconds, other), pairs)]


def _seconds(run: Callable[[], None]) -> tuple[float, float]:
    """Of a run, and of what it leaves to be done; the next one does not pay for that."""
    clock = time.process_time if device_type() == "cpu" else time.perf_counter
    times = [clock()]
    for part in (run, run_store().wait_for_runs):
        part()
        times.append(clock())
    return times[1] - times[0], times[2] - times[1]


def device_type() -> str:
    """cpu, cuda or mps."""
    return import_module("comfy.model_management").get_torch_device().type


def ratio_line(words: str, ratios: list[float], limit: float | None) -> Line:
    """What a run costs with something beside it, over one without, and whether the limit is surely passed."""
    least, most = median_interval(ratios)
    verdict = "" if limit is None else f", limit {limit:g} {held(least, most, limit)}"
    line = f"{words}: {statistics.median(ratios):.4f} ({least:.4f} to {most:.4f}){verdict}"
    print(line, flush=True)
    return line, limit is not None and least > limit


def ratios_of(found: list[tuple[float, float, float]]) -> list[float]:
    """Of pairs: the other over the plain one."""
    return [other / plain for plain, other, _ in found]


def until_decided(plain: Callable[[], None], other: Callable[[], None], limit: float, pairs: int) -> list[tuple]:
    """Pairs until the limit is surely held or surely passed, at most eight times as many."""
    found: list[tuple] = []
    while len(found) < 8 * pairs:
        found += compare(plain, other, pairs)
        if held(*median_interval(ratios_of(found)), limit) != "undecided":
            break
    return found


def recording_ratios(width: int, pairs: int) -> list[Line]:
    """Whole runs, recorded over not recorded."""
    lines = []
    for words, job in {"Pocket": pocket(), SD15: sd15(width)}.items():
        plain, tapped = runs(job)
        for capture in ("numbers", "pictures"):
            limit = LIMITS.get((words, capture), LIMITS["Pocket", "pictures"])
            if words == SD15 and device_type() == "cpu":
                ratios, after = ratios_by_sum(plain, job, capture, pairs)
            else:
                found = until_decided(plain, partial(tapped, capture), limit, pairs)
                ratios, after = ratios_of(found), [later for *_, later in found]
            line, failed = ratio_line(f"{words}, {capture}", ratios, limit)
            lines.append((f"{line}; its record is made in {1e3 * statistics.median(after):.0f} ms afterwards", failed))
    return lines


def ratios_by_sum(plain: Callable[[], None], job: Job, capture: str, pairs: int) -> tuple[list[float], list[float]]:
    """Ratios of runs whose network takes minutes, and the seconds of their records.

    What recording adds is measured where the network answers at once, and laid on the fastest of three plain runs:
    beside minutes of a network, whose time varies by more than a percent, thousandths would never be seen.
    """
    alone = min(_seconds(plain)[0] for _ in range(3))
    family, shape = SHAPES[SD15]
    free, tapped = runs((*without_network(family, shape, torch.float32)[:4], job[4]))
    found = compare(free, partial(tapped, capture), 4 * pairs)
    return [1 + (more - less) / alone for less, more, _ in found], [later for *_, later in found]


def cost_of_a_value(pairs: int) -> tuple[list[list[object]], bool]:
    """Rows of a table: nanoseconds a value and step, and milliseconds a step; whether one is surely above the limit."""
    rows, failed = [], False
    for words, (family, shape) in SHAPES.items():
        for name, dtype in DTYPES.items() if words.startswith("SDXL, 1024") else [("fp32", torch.float32)]:
            job = without_network(family, shape, dtype)
            plain, tapped = runs(job)
            values = torch.Size(shape).numel() * job[4]
            cells = []
            for capture in ("numbers", "pictures"):
                found = compare(plain, partial(tapped, capture), pairs)
                each = [1e9 * (more - less) / values for less, more, _ in found]
                least, most = median_interval(each)
                failed |= capture == "numbers" and values >= JUDGED * job[4] and least > MOST_NS
                middle = statistics.median(each)
                cells += [f"{middle:.0f} ({least:.0f} to {most:.0f})", f"{middle * values / job[4] / 1e6:.1f}"]
            rows.append([words, name, f"{torch.Size(shape).numel():,}", *cells])
            print(*rows[-1], sep=" | ", flush=True)
    return rows, failed


def gradient_lines(pairs: int) -> list[Line]:
    """Steps with a gradient, over the same without guidance."""
    from ...nodes.load_classifier import GGLoadClassifier
    from ...nodes.sampling import GGGuidedSampler

    lines, labels = [], tuple((index,) for index in range(10))
    for words, (model, _, negative, latent, _), batch in (("pocket", pocket(), 16), ("sd15 narrow", sd15(64, 16), 1)):
        given = {"samples": latent["samples"][:1].repeat(batch, 1, 1, 1)}
        settings = (model, 1, 8, 1.0, "euler", "karras", negative, negative, given)

        def sample(chain: Chain, settings: tuple = settings) -> None:
            GGGuidedSampler.execute(*settings, guidance=chain, capture="numbers")

        for evaluation in (NOISY, CLEAN_X0, BACKPROP) if words == "pocket" else (CLEAN_X0, BACKPROP):
            guide = GGLoadClassifier.execute(f"pocket-{'noisy' if evaluation == NOISY else 'clean'}-1")[0]
            term = GradientTerm(LabelEnergy(guide, labels), weight=4.0, evaluation=evaluation)
            ratios = ratios_of(compare(partial(sample, PLAIN), partial(sample, PLAIN.then(term)), pairs))
            lines.append(ratio_line(f"{words}, {batch} at once, {evaluation}", ratios, None))
    return lines


def memory_lines() -> list[Line]:
    """Megabytes that a recorded run takes beyond one that is not, at the most; the first measurement of a process."""
    lines = []
    for words in ("SDXL, 1024 x 1024", "Wan, 81 frames of 832 x 480"):
        plain, tapped = runs(without_network(*SHAPES[words], dtype=torch.float32))
        usual = most_memory(plain)
        for capture in ("numbers", "pictures"):
            more = (most_memory(partial(tapped, capture)) - usual) / 2**20
            lines.append((f"memory, {words}, {capture}: {max(more, 0):.0f} MB more than without", False))
            print(lines[-1][0], flush=True)
    return lines


def wait_lines() -> list[Line]:
    """How much more often a recorded run waits for a CUDA device than one that is not, at 6 steps and at 12."""
    if device_type() != "cuda":
        return [("waits for the device: counted on CUDA, and by tests/host/test_waits.py on a simulated device", False)]
    lines = []
    for words, (family, shape) in SHAPES.items():
        more = []
        for steps in (6, 12):
            plain, tapped = runs((*without_network(family, shape, torch.float32)[:4], steps))
            more.append(waits_of(partial(tapped, "numbers")) - waits_of(plain))
        lines.append((f"waits, {words}: {more[0]} more than without at 6 steps, {more[1]} at 12", more[1] > more[0]))
        print(lines[-1][0], flush=True)
    return lines


def waits_of(run: Callable[[], None]) -> int:
    """How often a run waits for a CUDA device, its own end not counted."""
    from torch.profiler import ProfilerActivity, profile

    run()
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiled:
        run()
    return sum(event.count for event in profiled.key_averages() if event.key in WAITS) - 1


def most_memory(run: Callable[[], None]) -> float:
    """Bytes in use at the most, up to the end of a run: of the GPU, or of this process so far."""
    run()
    run_store().wait_for_runs()
    if device_type() == "cuda":
        return torch.cuda.max_memory_allocated()
    memory = psutil.Process().memory_info()
    if sys.platform == "win32":
        return memory.peak_wset
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main() -> int:
    """Measure, print, and fail when a limit is surely passed."""
    parser = parser_of(__doc__)
    parser.add_argument("--pairs", type=int, default=20, help="at first; more where a limit is undecided")
    parser.add_argument("--width", type=int, default=320, help="of SD1.5's first level; 320 is the published one")
    given = parser.parse_args()
    keep_freed_memory()
    enter_host(given.host)
    torch.set_num_threads(1)
    import comfy.utils

    comfy.utils.PROGRESS_BAR_ENABLED = False
    name = device_name()
    print(name)
    with host_of_a_browser():
        memory = memory_lines()
        ratios = recording_ratios(given.width, given.pairs)
        rows, slow = cost_of_a_value(given.pairs)
        others = [*gradient_lines(given.pairs), *wait_lines(), *memory]
    head = "latent | network | values | numbers, ns a value and step | ms a step | pictures, ns | ms"
    lists = [markdown.bullets(line for line, _ in part) for part in (ratios, others)]
    print(f"\nThe section of docs/performance.md:\n\n{markdown.page(lists[0], markdown.table(head, rows), lists[1])}")
    return int(slow or any(failed for _, failed in ratios))


if __name__ == "__main__":
    sys.exit(main())
