"""What `dev.py test` makes of a part that fails, or cannot run."""

import subprocess
import sys

import pytest

from guidance_geometry.dev.places import ROOT

CALL = """
import runpy, sys
run_check = runpy.run_path("dev.py")["run_check"]
print(*run_check("a part", [sys.executable, "-c", sys.argv[1]], sys.argv[2]), sep="|")
"""


@pytest.mark.parametrize(
    ("code", "trouble", "ci", "ended", "failed"),
    [("raise SystemExit(3)", "", "", "FAILED (3)", "True"), ("", "no node on the path", "true", "FAILED", "True")],
    ids=["failed", "missing in CI"],
)
def test_a_part_that_cannot_run_has_failed_in_ci(monkeypatch, code, trouble, ci, ended, failed):
    monkeypatch.setenv("CI", ci)
    command = [sys.executable, "-c", CALL, code, trouble]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    words, found = done.stdout.splitlines()[-1].split("|")
    assert (words.startswith(ended), trouble in words, found) == (True, True, failed)
