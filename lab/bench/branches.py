"""How many branches of the rooms that compute are taken by their tests, as coverage.py counts them.

    python3 dev.py bench branches trace samplers --gaps
    python3 dev.py bench branches --tests tests/trace tests/host/test_records.py --gaps --data /tmp/branches

Without --tests it runs those of the rooms, and those of all that uses them in the same process: half an hour. Runs
with the same --data add up. What another process runs, such as a server's or an actor's, is not counted. Fails where a
room is below the least share.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from ...dev.places import ROOT
from .. import markdown
from ..command_line import parser_of

ROOMS = ("guidance", "samplers", "trace", "verdict", "sweeps")
BESIDE = ("figures", "invariants", "library", "cli", "dev", "host")  # folders of tests of what uses the rooms
TOOL = [sys.executable, "-m", "coverage"]
LEAST = 0.95  # of a room's branches
HEADING = "Branches"
COMMAND = "Written by `python3 dev.py bench branches --write`"
MEANING = (
    "A branch is a jump that a line may make: an `if` has two. Taken: by the tests of the rooms and of what uses them, "
    "in the process of the tests; what runs in servers and actors alone counts as not taken."
)


@dataclass
class Room:
    """What tests ran of a room.  gaps: file -> the jumps that none of them made, as line -> line (below 0: the end)"""

    lines: int = 0
    run: int = 0
    branches: int = 0
    taken: int = 0
    gaps: dict[str, list[list[int]]] = field(default_factory=dict)

    @property
    def share(self) -> float:
        """Of the branches."""
        return self.taken / max(1, self.branches)

    def add(self, file: str, facts: dict) -> None:
        """Add what coverage.py tells of a file."""
        summary = facts["summary"]
        self.lines += summary["num_statements"]
        self.run += summary["covered_lines"]
        self.branches += summary["num_branches"]
        self.taken += summary["covered_branches"]
        if facts["missing_branches"]:
            self.gaps[file] = facts["missing_branches"]


def run_tests(rooms: list[str], tests: list[str], data: Path, host: Path, jobs: int) -> int:
    """Run tests in so many processes at once, and add what they ran to a folder; the worst of pytest's exit codes."""
    inside = os.environ | {"COMFYUI_PATH": str(host)}
    source = f"--source={','.join(rooms)}"  # what no test imports counts too
    run = [*TOOL, "run", "--branch", "--parallel-mode", f"--data-file={data / 'data'}", source, "-m", "pytest", "-q"]
    files = files_of(tests)
    parts = [files[number::jobs] for number in range(min(jobs, len(files)))]
    children = [subprocess.Popen([*run, *part], cwd=ROOT, env=inside) for part in parts]
    return max((child.wait() for child in children), default=0)


def read_runs(rooms: list[str], data: Path) -> dict[str, Room]:
    """What all runs in a folder ran of each room."""
    whole, facts = f"--data-file={data / 'whole'}", data / "facts.json"
    subprocess.run([*TOOL, "combine", "-q", "--keep", whole, *data.glob("data.*")], cwd=ROOT, check=True)
    subprocess.run([*TOOL, "json", whole, "-q", "-o", facts], cwd=ROOT, check=True)
    return rooms_in(json.loads(facts.read_text(encoding="utf-8"))["files"], rooms)


def files_of(tests: list[str]) -> list[str]:
    """The files of tests in files and folders."""
    places = [ROOT / place for place in tests]
    files = [file for place in places for file in (sorted(place.rglob("test_*.py")) if place.is_dir() else [place])]
    return [str(file.relative_to(ROOT)) for file in files]


def rooms_in(files: dict[str, dict], names: list[str]) -> dict[str, Room]:
    """What was run of each room.  files: what coverage.py tells of each"""
    rooms = {name: Room() for name in names}
    for file, facts in files.items():
        if (name := Path(file).parts[0]) in rooms:
            rooms[name].add(file, facts)
    return rooms


def table(rooms: dict[str, Room]) -> str:
    """One row a room."""
    rows = [
        [name, f"{room.lines:,}", f"{room.run / max(1, room.lines):.1%}", f"{room.branches:,}", f"{room.share:.1%}"]
        for name, room in rooms.items()
    ]
    return markdown.table("room | lines | run | branches | taken", rows)


def gap_lines(rooms: dict[str, Room]) -> list[str]:
    """Every jump that no test made, the files with most of them first."""
    files = {file: jumps for room in rooms.values() for file, jumps in room.gaps.items()}
    ordered = sorted(files.items(), key=lambda one: -len(one[1]))
    return [f"{file}: {', '.join(f'{here} -> {there}' for here, there in jumps)}" for file, jumps in ordered]


def options_of() -> argparse.Namespace:
    """Read the command line."""
    parser = parser_of(__doc__, markdown.PERFORMANCE)
    parser.add_argument("rooms", nargs="*", default=[*ROOMS], metavar="ROOM", help=f"default: {', '.join(ROOMS)}")
    parser.add_argument(
        "--tests",
        nargs="*",
        help="files and folders, none: what --data holds; default: those of the rooms and their users",
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes; default: one a core")
    parser.add_argument("--data", type=Path, help="folder in which what was run adds up; default: only this time")
    parser.add_argument("--gaps", action="store_true", help="print every jump that no test made")
    return parser.parse_args()


def main() -> int:
    """Run the tests, print the table, and fail where a test does or too few branches are taken."""
    options = options_of()
    every = [f"tests/{room}" for room in [*options.rooms, *BESIDE]]
    tests = every if options.tests is None else options.tests
    with tempfile.TemporaryDirectory(prefix="branches-") as folder:
        data = options.data or Path(folder)
        data.mkdir(parents=True, exist_ok=True)
        code = run_tests(options.rooms, tests, data, options.host.resolve(), options.jobs)
        rooms = read_runs(options.rooms, data)
    print("\n".join([table(rooms), "", *(gap_lines(rooms) if options.gaps else [])]))
    if options.write:
        markdown.put_section(markdown.PERFORMANCE, HEADING, f"{COMMAND}. {MEANING}", table(rooms))
    return code or int(any(room.share < LEAST for room in rooms.values()))


if __name__ == "__main__":
    sys.exit(main())
