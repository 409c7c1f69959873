"""A sweep from the command line against a real server: what is done stays, what is missing runs."""

import json
import subprocess
import sys

import pytest

from guidance_geometry.tests.queue.prompts import ROOT

SMALL = ["--set", "steps=2", "--cfg"]


@pytest.fixture
def swept(server, tmp_path):
    """Arguments -> the exit code and what was printed."""

    def run(*arguments):
        command = [sys.executable, str(ROOT / "tools" / "run.py"), "run_sweep", "--server", server.address]
        done = subprocess.run(
            [*command, "--output", str(tmp_path / "out"), *arguments], capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout + done.stderr

    run.folder = tmp_path / "out"
    return run


def test_a_sweep_runs_once_and_more_values_run_alone(swept):
    code, said = swept(*SMALL, "1,4", "--rule", "cfg, APG")
    assert (code, "4 cells, 0 done before, 4 to run" in said) == (0, True), said
    assert {path.name for path in swept.folder.iterdir()} >= {"plan.json", "results.csv", "index.html", "sheet.png"}
    next((swept.folder / "cells").glob("*.safetensors")).write_bytes(b"half")  # as if killed
    code, said = swept(*SMALL, "4,8", "--rule", "cfg, APG", "--measures", "strength,difference")
    assert (code, "6 cells, 3 done before, 3 to run" in said) == (0, True), said
    rows = json.loads((swept.folder / "results.json").read_text())["rows"]
    assert len(rows) == len({row["id"] for row in rows}) == 6
    assert all("difference" in row["measures"] for row in rows)
