"""Which tool `guidance-geometry study` runs, and with what."""

import os
import subprocess
import sys

import pytest

from guidance_geometry.dev.places import ROOT

CALL = """
import argparse, dev, pathlib, sys
lists = lambda further: "-".join(file.stem.split("_")[0] for file in further) or "no-further-list"
dev.prepare = lambda args, further=(): print(lists(further)) or (pathlib.Path("python"), pathlib.Path("host"))
dev.on_a_host = lambda args, tool, *words, further=(): print(lists(further), tool, *words) or 0
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
    assert found == ["study", "run_study", "plan.yaml", "--host", str(tmp_path), "--ray", "auto", "--actors", "3"]


def test_actors_use_no_gpu_where_the_command_may_not(called, tmp_path):
    found = called("--cpu", "--ray", "auto")
    assert found == ["study", "run_study", "plan.yaml", "--host", str(tmp_path), "--cpu", "--ray", "auto"]


def test_a_report_runs_nothing_and_servers_need_no_host(called):
    assert called("--report") == ["no-further-list", "report_study", "plan.yaml", "--report"]
    assert called("--servers", "http://a") == ["study", "run_study", "plan.yaml", "--servers", "http://a"]
    found = called()
    assert found[:3] == ["no-further-list", "run_sweep", "--name"]
    assert found[found.index("--plan") + 1] == "plan.yaml"


def test_rules_in_files_are_named_to_the_comfyui_that_is_started_and_to_no_other(tmp_path):
    (tmp_path / "mine.py").touch()
    (tmp_path / "plan.yaml").write_text(f"axes: {{rule: [cfg, {tmp_path}/mine.py:a, gone.py:b]}}")
    code = "import dev, os; dev.offer_rules(['--rule=cfg, mine.py:a + APG', open('plan.yaml').read()])"
    call = [sys.executable, "-c", f"{code}; print(os.environ['GG_RULE_FILES'])"]
    done = subprocess.run(
        call, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert done.stdout.strip() == f"{tmp_path / 'mine.py'}:a", done.stderr


def command(*words):
    """dev.py itself, with a Python that has nothing installed and no network."""
    return subprocess.run([sys.executable, ROOT / "dev.py", *words], capture_output=True, text=True, timeout=60)


def test_without_a_command_the_help_is_printed():
    done = command()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: dev.py")
    assert "demo" in done.stdout


def test_a_misspelt_measurement_is_named_before_anything_is_set_up():
    done = command("bench", "grams")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("No measurement is called 'grams'. There are classifier_guidance, ")


def test_host_and_tool_have_two_threads_each(monkeypatch, tmp_path):
    threads = "import dev, os, tools.host.server; dev.prepare = lambda *_: 1 / 0\ntry: dev.demo(None)\n"
    threads += "except ZeroDivisionError: print(os.environ['OMP_NUM_THREADS'])"
    free = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    for given, wanted in (({}, str(min(2, os.cpu_count()))), ({"OMP_NUM_THREADS": "7"}, "7")):
        call = [sys.executable, "-c", threads]
        done = subprocess.run(call, cwd=ROOT, env=free | given, capture_output=True, text=True)
        assert done.stdout.strip() == wanted, done.stderr
