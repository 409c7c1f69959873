"""Which tool `dev.py study` runs, and with what."""

import subprocess
import sys

import pytest

from guidance_geometry.tools.places import ROOT

CALL = """
import argparse, dev, pathlib, sys
dev.prepare = lambda args, testing=False: (pathlib.Path("python"), pathlib.Path("host"))
dev.on_a_host = lambda args, tool, *words, **_: print(tool, *words) or 0
dev.run = lambda command: print(*command[2:]) or 0
host, *rest = sys.argv[1:]
cpu = '--cpu' in rest
rest = [word for word in rest if word != '--cpu']
dev.study(argparse.Namespace(plan=pathlib.Path("plan.yaml"), host=host, comfyui_tag=None, cpu=cpu, rest=rest))
"""


@pytest.fixture
def called(tmp_path):
    """Words after the plan -> what is run; beside it, a folder that looks like ComfyUI."""
    (tmp_path / "comfy").mkdir()
    (tmp_path / "main.py").touch()

    def call(*words):
        command = [sys.executable, "-c", CALL, str(tmp_path), *words]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()

    return call


def test_the_host_of_the_command_line_is_that_of_the_actors(called, tmp_path):
    found = called("--ray", "auto", "--actors", "3")
    assert found == ["run_study", "plan.yaml", "--host", str(tmp_path), "--ray", "auto", "--actors", "3"]


def test_actors_use_no_gpu_where_the_command_may_not(called, tmp_path):
    found = called("--cpu", "--ray", "auto")
    assert found == ["run_study", "plan.yaml", "--host", str(tmp_path), "--cpu", "--ray", "auto"]


def test_a_report_runs_nothing_and_servers_need_no_host(called):
    assert called("--report") == ["report_study", "plan.yaml", "--report"]
    assert called("--servers", "http://a") == ["run_study", "plan.yaml", "--servers", "http://a"]
    found = called()
    assert (found[:2], found[found.index("--plan") + 1]) == (["run_sweep", "--name"], "plan.yaml")
