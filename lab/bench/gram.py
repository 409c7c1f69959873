"""What the inner products of a step cost beside one evaluation of the smallest real model of a video's shape.

Counts the operations of both: Wan 2.1 with 1.3 billion weights on a latent of 16x21x60x104 (81 frames at 480p), on the
meta device and so without its weights, and the sums of all vectors that a step can have. Then measures the sums here,
beside the time that the evaluation would take at the speed of a large matrix product here, which no network reaches.
Fails above one per cent of either.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from ...dev.fixtures.timing import keep_freed_memory, seconds
from ...dev.inside import enter_host
from ...dev.places import HOST
from ...trace.gram import HISTORY, VECTORS, inner_products, room_for

SHARE = 0.01
LATENT = (16, 21, 60, 104)
MODEL = {"dim": 1536, "ffn_dim": 8960, "num_heads": 12, "num_layers": 30}  # Wan 2.1 T2V 1.3B, as its authors say
TEXT = (512, 4096)
SIDE = 2048  # of the matrices whose product tells the speed


def flops(run: Callable[[], object]) -> int:
    """Floating-point operations of the matrix products in a call, a multiplication and an addition each counted."""
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def evaluation(latent: tuple[int, ...], model: dict[str, int], text: tuple[int, int]) -> Callable[[], object]:
    """One forward pass of one sample, which makes nothing but shapes."""
    from comfy.ldm.modules.attention import attention_pytorch
    from comfy.ldm.wan.model import WanModel

    place = {"device": torch.device("meta"), "dtype": torch.float32}
    network = WanModel(**model, in_dim=latent[0], out_dim=latent[0], text_dim=text[1], operations=torch.nn, **place)
    x, t, context = (torch.empty(1, *shape, **place) for shape in (latent, (), text))
    plain = {"optimized_attention_override": lambda _, *given, **named: attention_pytorch(*given, **named)}
    return lambda: network(x, t, context, transformer_options=plain)


def sums(latent: tuple[int, ...]) -> Callable[[], torch.Tensor]:
    """The inner products of one step of one sample: its vectors with themselves and with those of the steps before."""
    generator = torch.Generator().manual_seed(0)
    rows, others = ([torch.randn(1, *latent, generator=generator) for _ in names] for names in (VECTORS, HISTORY))
    room = room_for(rows[0], len(rows) + len(others))
    return lambda: inner_products(rows, others, room)


def speed(side: int) -> float:
    """Operations a second of a product of two square matrices, the fastest of several."""
    a, b = torch.randn(2, side, side).unbind()
    return 2 * side**3 / min(seconds(lambda: a @ b) for _ in range(5))


def main() -> int:
    """Count, measure, print, and fail above the limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", type=Path, default=HOST)
    parser.add_argument("--repeats", type=int, default=21)
    options = parser.parse_args()
    keep_freed_memory()
    enter_host(options.host)
    with torch.inference_mode():
        step, one = sums(LATENT), flops(evaluation(LATENT, MODEL, TEXT))
        counted, rate = flops(step), speed(SIDE)
        taken = statistics.median(seconds(step) for _ in range(options.repeats))
    print(f"{'x'.join(map(str, LATENT))}, {len(VECTORS)} vectors with {len(HISTORY)} before, limit {SHARE:.0%}")
    print(f"one evaluation of Wan 2.1 1.3B: {one / 1e12:.1f} TFLOP; the sums: {counted / 1e12:.6f} TFLOP")
    print(f"share of the operations: {counted / one:.7%}")
    print(f"the sums: {1e3 * taken:.1f} ms on {torch.get_num_threads()} threads, {counted / taken / 1e9:.1f} GFLOP/s")
    print(
        f"the evaluation at {rate / 1e9:.1f} GFLOP/s: {one / rate:.0f} s; share of the time: {taken * rate / one:.5%}"
    )
    return int(max(counted / one, taken * rate / one) > SHARE)


if __name__ == "__main__":
    sys.exit(main())
