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


def test_a_cell_that_fails_is_set_aside_and_the_others_run(swept):
    code, said = swept(*SMALL, "4", "--axis", "label: robot, robt")
    assert (code, "1 failed" in said) == (1, True), said
    (aside,) = (swept.folder / "rejected").iterdir()
    assert "robt" in json.loads(aside.read_text())["error"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--cfg", ""], "no value"),
        (["--cfg", "1,nan"], "not finite"),
        (["--cfg", "1", "--axis", "stpes: 2"], "Did you mean steps"),
        (["--cfg", "1..100", "--seeds", "100"], "10,000 cells, about 5.6 h"),
        (["--cfg", "1", "--rule", "Rescael"], "Did you mean Rescale CFG"),
        (["--cfg", "1", "--axis", "sampler: eulre"], "Did you mean euler"),
        (["--cfg", "1", "--measures", "strenth"], "Did you mean strength"),
    ],
)
def test_bad_input_is_named_before_any_work(swept, arguments, words):
    code, said = swept(*arguments)
    assert (code, words in said) == (2, True), said
    assert not (swept.folder / "cells").exists()
