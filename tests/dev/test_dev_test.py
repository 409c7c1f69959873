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
    [
        ("", "", "true", "passed", "False"),
        ("raise SystemExit(3)", "", "", "FAILED (3)", "True"),
        ("", "no node on the path", "", "skipped", "False"),
        ("", "no node on the path", "true", "FAILED", "True"),
    ],
    ids=["passed", "failed", "missing", "missing in CI"],
)
def test_a_part_that_cannot_run_has_failed_in_ci(monkeypatch, code, trouble, ci, ended, failed):
    monkeypatch.setenv("CI", ci)
    command = [sys.executable, "-c", CALL, code, trouble]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    words, found = done.stdout.splitlines()[-1].split("|")
    assert (words.startswith(ended), trouble in words, found) == (True, True, failed)


def test_what_runs_beside_the_tests_is_shown_whole_and_fails_by_itself():
    call = """
import runpy, sys
run_checks = runpy.run_path("dev.py")["run_checks"]
talks = "import time; print('one', flush=True); time.sleep(1); print('two'); raise SystemExit({})"
parts = [(name, [sys.executable, "-c", talks.format(code)], "") for name, code in (("a", 0), ("b", 3), ("tests", 0))]
print({name: failed for name, (_, failed) in run_checks(parts).items()})
"""
    done = subprocess.run([sys.executable, "-c", call], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "{'a': False, 'b': True, 'tests': False}"
    for name in ("a", "b"):
        assert f"=== {name}\none\ntwo\n" in done.stdout
