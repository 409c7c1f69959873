"""What dev.py hands on, and with what."""

import os
import subprocess
import sys

import pytest

from guidance_geometry.cli.sweep import offer_rules
from guidance_geometry.dev.places import ROOT

CALL = """
import argparse, importlib.util, pathlib, sys
spec = importlib.util.spec_from_file_location("dev_py", "dev.py")
dev = importlib.util.module_from_spec(spec)
spec.loader.exec_module(dev)
lists = lambda further: "-".join(file.stem.split("_")[0] for file in further) or "no-further-list"
dev.prepare = lambda args, further=(): print(lists(further)) or (pathlib.Path("python"), pathlib.Path("host"))
dev.run = lambda command, cwd: print(*command[2:]) or 0
sys.argv[0] = "dev.py"
sys.exit(dev.main())
"""


def passed_on(*words):
    """The lists of requirements that dev.py installs for a command, and the words that it hands on."""
    command = [sys.executable, "-c", CALL, *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.parametrize(
    ("words", "lists", "own"),
    [
        (["sweep", "--cfg", "1,2", "--cpu"], "no-further-list", ["--comfyui=host", "--cpu"]),
        (["sweep", "--server", "http://a"], "no-further-list", []),
        (["study", "plan.yaml", "--ray", "auto"], "study", ["--comfyui=host"]),
        (["check", "mine.py:Rule"], "no-further-list", []),
    ],
)
def test_a_command_for_users_is_handed_on_with_the_comfyui_of_this_folder(words, lists, own):
    assert passed_on(*words) == [lists, *(word for word in words if word != "--cpu"), *own]


def test_rules_in_files_are_named_to_the_comfyui_that_is_started_and_to_no_other(tmp_path, monkeypatch):
    (tmp_path / "mine.py").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", {})
    offer_rules(["cfg", "mine.py:a + APG", 3])
    assert os.environ == {"GG_RULE_FILES": f"{tmp_path / 'mine.py'}:a"}
