"""The example sweep and the example study of docs/sweeps.md, run again: their sheet and their report."""

from __future__ import annotations

import sys
import tempfile
import textwrap
from pathlib import Path

from ...cli.sweep import main as swept
from ...dev.hosts import own_host
from ...dev.places import ROOT
from .. import markdown
from .pictures import write

DOCS = ROOT / "docs"
WORKFLOW, PLAN = DOCS / "examples" / "judged.json", DOCS / "examples" / "study.yaml"
SHEET, REPORT = DOCS / "figures" / "sweep-sheet.webp", DOCS / "sweeps.md"
HEADING = "An example"
SWEEP = ("--cfg", "1,3,8", "--rule", "cfg, APG", "--seeds", "3")
NAME = "an own ComfyUI"
WIDE = 110  # letters of a line of the report


def command(*words: str) -> str:
    """A command line as it is typed."""
    return " ".join(f'"{word}"' if " " in word else word for word in words)


def blocks(report: str) -> list[str]:
    """What stands under HEADING.  report: of the study"""
    lines = [textwrap.fill(line, WIDE, subsequent_indent="      ") for line in report.rstrip().splitlines()]
    return [
        "A sweep and a study of Pocket, with a classifier as the judge ([judged.json](examples/judged.json)). "
        "`python3 dev.py lab example_study` runs both again and writes this section.",
        f"```\n{command('guidance-geometry', 'sweep', '--workflow', 'docs/examples/judged.json', *SWEEP)}\n```",
        "It takes a minute. Open `index.html` in the folder that it names: it is one file. The sheet of the sweep:",
        f"![Sheet of the sweep: a column for each cfg, a row for each rule and seed](figures/{SHEET.name})",
        "The plan of the study, `docs/examples/study.yaml`:",
        f"```yaml\n{PLAN.read_text(encoding='utf-8').strip()}\n```",
        "```\nguidance-geometry study docs/examples/study.yaml\n```",
        markdown.folded("Its report", "```\n" + "\n".join(lines) + "\n```"),
    ]


def run(server: str, folder: Path, *words: str) -> None:
    """Run a sweep into a folder.  Raises SystemExit where a cell is missing."""
    if code := swept(["--server", server, "--name", NAME, "--output", str(folder), *words]):
        sys.exit(code)


def main() -> None:
    """Run, and keep what came out."""
    with tempfile.TemporaryDirectory(prefix="example-") as place, own_host() as live:
        sweep, study = Path(place) / "sweep", Path(place) / "study"
        run(live.address, sweep, "--workflow", str(WORKFLOW), *SWEEP)
        run(live.address, study, "--plan", str(PLAN))
        write(SHEET, (sweep / "sheet.png").read_bytes(), grain=1)
        markdown.put_section(REPORT, HEADING, *blocks((study / "report.txt").read_text(encoding="utf-8")))
        print(f"wrote {SHEET} and {REPORT}")


if __name__ == "__main__":
    main()
