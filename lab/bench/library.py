"""What the library costs: seconds to import it, and to load a trace of the largest size.

Import is processor time in fresh processes, the median of several: torch, the library itself, and all its names, which
are imported when they are first used. A load is the fastest of several. Fails above a limit.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from ...dev.places import ROOT
from ...guidance.mixture import make_mixture
from ...library.denoisers import ExactDenoiser
from ...library.recording import record
from ...library.sampling import karras
from ...library.traces import load

LIMITS = {"torch and the library": 1.5, "the library": 0.1, "a load": 0.05}
START = """
import importlib.util, sys, time
root = sys.argv[1]
began = time.process_time()
import torch
told = [time.process_time() - began]
spec = importlib.util.spec_from_file_location(
    "guidance_geometry", root + "/library/installed/__init__.py", submodule_search_locations=[root]
)
pack = sys.modules["guidance_geometry"] = importlib.util.module_from_spec(spec)
for work in (lambda: spec.loader.exec_module(pack), lambda: [getattr(pack, name) for name in dir(pack)]):
    began = time.process_time()
    work()
    told.append(time.process_time() - began)
print(*told)
"""


def imports() -> list[float]:
    """Seconds for torch, for the library, and for all its names."""
    command = [sys.executable, "-c", START, str(ROOT)]
    return [float(word) for word in subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()]


def loaded(folder: Path, times: int) -> tuple[int, float]:
    """Bytes of a trace file as large as they get, and seconds to load it."""
    path, sigmas = folder / "trace.safetensors", karras(24)
    denoiser = ExactDenoiser(make_mixture((4, 64, 64), classes=3, seed=0))
    record(denoiser, sigmas, cond=1).sample(sigmas[0] * torch.randn(2, 4, 64, 64)).save(path)
    found = []
    for _ in range(times):
        began = time.perf_counter()
        load(path)
        found.append(time.perf_counter() - began)
    return path.stat().st_size, min(found)


def main() -> int:
    """Measure, print, and fail where a limit is passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=5)
    times = parser.parse_args().times
    of_torch, itself, names = (statistics.median(part) for part in zip(*(imports() for _ in range(times)), strict=True))
    with tempfile.TemporaryDirectory() as folder:
        size, a_load = loaded(Path(folder), 4 * times)
    print(f"import: torch {of_torch:.3f} s, the library {itself:.4f} s, then all its names {names:.3f} s")
    print(f"load of a trace of {size / 1e6:.1f} MB: {1000 * a_load:.1f} ms")
    found = dict(zip(LIMITS, (of_torch + itself, itself, a_load), strict=True))
    slow = [
        f"{what} takes {found[what]:.3f} s, the limit is {limit:g} s"
        for what, limit in LIMITS.items()
        if found[what] > limit
    ]
    print("\n".join(slow) or f"within the limits: {', '.join(f'{what} {limit:g} s' for what, limit in LIMITS.items())}")
    return bool(slow)


if __name__ == "__main__":
    sys.exit(main())
