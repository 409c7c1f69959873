"""The example sweep and the example study of docs/sweeps.md, run again: the sheet of the one, the report of the other.

`python lab example_sweep` starts a ComfyUI for both.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import textwrap
from pathlib import Path

from ...cli.sweep import main as swept
from ...dev.hosts import own_host
from ...dev.places import ROOT
from ..pictures import write
from .runs import FIGURES

EXAMPLES = ROOT / "docs" / "examples"
SWEEP = ("--workflow", str(EXAMPLES / "judged.json"), "--cfg", "1,3,8", "--rule", "cfg, APG", "--seeds", "3")
STUDY = ("--plan", str(EXAMPLES / "study.yaml"))
WIDE = 110  # letters of a line of the report


def main() -> None:
    """Run both, keep the sheet and print the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=FIGURES, help="folder of the sheet")
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory(prefix="example-") as folder, own_host() as live:
        for name, words in (("sweep", SWEEP), ("study", STUDY)):
            place = Path(folder, name)
            if code := swept(["--server", live.address, "--name", "an own ComfyUI", "--output", str(place), *words]):
                sys.exit(code)
        write(out / "sweep-sheet.webp", Path(folder, "sweep", "sheet.png").read_bytes(), grain=1)
        lines = Path(folder, "study", "report.txt").read_text(encoding="utf-8").rstrip().splitlines()
    print("\n".join(textwrap.fill(line, WIDE, subsequent_indent="      ") for line in lines))


if __name__ == "__main__":
    main()
