"""Classifier guidance measured: what each road reaches on the demo denoiser, and what it costs in time and memory.

The denoiser is asked without a label; a classifier that it never saw steers it. The judge, which never guides, says how
many pictures show their label.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

import torch

from ..roads import SWEEP, TABLE, Demo, table
from .sampler_overhead import enter_host

ROOT = Path(__file__).resolve().parents[2]
REACHED = {"noisy x_t": 0.95, "x0 + backprop": 0.85, "x0": 0.90}  # accuracy that each road must reach somewhere


def main() -> int:
    """Print the tables; fail where a road misses what the project promises of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--host", type=Path, default=Path(os.environ.get("COMFYUI_PATH") or ROOT / ".host" / "ComfyUI"))
    parser.add_argument("--samples", type=int, default=2000, help="a row; fewer than 500 decide nothing (default 2000)")
    parser.add_argument("--sweep", type=int, default=500, help="samples of a row of the sweep (default 500)")
    parser.add_argument("--minutes", type=float, default=1e9, help="stop after so many; the next call goes on")
    given = parser.parse_args()
    enter_host(given.host)
    torch.set_num_threads(1)
    with torch.inference_mode():
        import comfy.utils

        comfy.utils.PROGRESS_BAR_ENABLED = False
        demo, until = Demo(), time.monotonic() + 60 * given.minutes
        best = table(demo, TABLE, given.samples, until)
        sweep = table(demo, SWEEP, given.sweep, until) if best else None
    if sweep is None:
        print("Time is over; call again to go on.")
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
