"""What a figure costs: seconds and bytes for every word of Guidance Figure, drawn and saved by the node itself.

Prints a line a word: the first drawing in this process, the median of later ones, and the size of the file. Fails when
a later still takes longer than a second, or an animation longer than 10 s or more than 3 MB.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import torch

from ...dev.fixtures.timing import seconds
from ...dev.inside import enter_host
from ...dev.places import HOST
from ...figures.registry import BY_NAME, MENU
from .sampler_overhead import samplers

STILL_SECONDS, MOVIE_SECONDS, MOVIE_BYTES = 1.0, 10.0, 3_000_000


def node_in(folder: Path) -> type:
    """The node as a job has it, writing into this folder."""
    import folder_paths

    from ...nodes.see import GGFigure

    folder_paths.set_output_directory(str(folder))
    folder_paths.set_temp_directory(str(folder))
    job = SimpleNamespace(unique_id="1", prompt={}, extra_pnginfo={"workflow": {}})
    return type("Prepared", (GGFigure,), {"hidden": job})


def drawn(node: type, trace, word: str, choices: Mapping, folder: Path) -> tuple[float, int]:
    """Seconds to draw and save one figure, and the bytes of its file."""
    before = set(folder.rglob("*"))
    form = "webp" if BY_NAME[word].film else "png"
    taken = seconds(lambda: node.execute(trace, word, -1, -1, choices["size"], choices["theme"], form, "figure"))
    made = [path for path in set(folder.rglob("*")) - before if path.suffix == f".{form}"]
    return taken, max(path.stat().st_size for path in made)


def verdict(word: str, later: float, size: int) -> str:
    """What is wrong with a figure's cost, "" if nothing is."""
    most = MOVIE_SECONDS if BY_NAME[word].film else STILL_SECONDS
    slow = f"slower than {most:g} s" if later > most else ""
    large = f"larger than {MOVIE_BYTES:,} bytes" if BY_NAME[word].film and size > MOVIE_BYTES else ""
    return ", ".join(filter(None, (slow, large)))


def main() -> int:
    """Measure, print, and fail when a limit is passed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", type=Path, default=HOST)
    parser.add_argument("--words", nargs="*", help="default: all")
    parser.add_argument("--repeats", type=int, default=3, help="later drawings of each word")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--size", default="blog 960x540")
    parser.add_argument("--theme", default="light")
    options = parser.parse_args()
    enter_host(options.host)
    with torch.inference_mode(), tempfile.TemporaryDirectory() as base:
        trace = samplers(options.steps, options.batch, 32)[1]("pictures").result[2]
        node, failed = node_in(Path(base)), False
        run = f"pocket-1, {options.steps} steps, {torch.get_num_threads()} threads"
        print(f"Guidance Figure, {options.size}, {options.theme}, {run}")
        for word in options.words or MENU:
            found = [drawn(node, trace, word, vars(options), Path(base)) for _ in range(1 + options.repeats)]
            later, size = statistics.median(taken for taken, _ in found[1:]), found[-1][1]
            trouble = verdict(word, later, size)
            failed |= bool(trouble)
            print(
                f"{word:22} first {found[0][0]:6.2f} s  later {later:6.2f} s  {size:>9,} bytes  {trouble}", flush=True
            )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
