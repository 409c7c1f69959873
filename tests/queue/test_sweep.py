"""A sweep from the command line against a real server: what is done stays, what is missing runs."""

import json
import subprocess
import sys

import pytest

from guidance_geometry.sweeps.comfyui.client import Client, JobError, RefusedError
from guidance_geometry.tests.queue.conftest import host_in
from guidance_geometry.tests.queue.prompts import ROOT, small

KNOBBED = ROOT / "guidance" / "rules" / "rescale.py"  # a rule of a file whose fields are its knobs
SMALL = ["--set", "steps=2", "--cfg"]


@pytest.fixture
def swept(server, tmp_path):
    """Arguments -> the exit code and what was printed."""

    def run(*arguments):
        command = [sys.executable, str(ROOT), "sweep", "--server", server.address]
        done = subprocess.run(
            [*command, "--output", str(tmp_path / "out"), *arguments], capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout + done.stderr

    return run


def test_a_sweep_runs_once_and_more_values_run_alone(swept, tmp_path):
    code, said = swept(*SMALL, "1,4", "--rule", "cfg, APG")
    assert (code, "4 cells, 0 done before, 4 to run" in said) == (0, True), said
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files >= {"plan.json", "results.csv", "index.html", "sheet.png"}
    next((tmp_path / "out" / "cells").glob("*.safetensors")).write_bytes(b"half")  # as if killed
    code, said = swept(*SMALL, "4,8", "--rule", "cfg, APG", "--measures", "strength,difference")
    assert (code, "6 cells, 3 done before, 3 to run" in said) == (0, True), said
    rows = json.loads((tmp_path / "out" / "results.json").read_text())["rows"]
    assert len(rows) == len({row["id"] for row in rows}) == 6
    assert all("difference" in row["measures"] for row in rows)


def test_a_rule_in_a_file_runs_where_comfyui_was_started_with_it(tmp_path, monkeypatch, swept):
    """D = c + (gamma - 1) / 2 (c - u) is guidance at a scale in the middle between 1 and gamma."""
    file = tmp_path / "my_rule.py"
    file.write_text("def halfway(u, c, x, gamma, sigma):\n    return c + (gamma - 1) / 2 * (c - u)\n")
    (tmp_path / "other.py").write_text("def bad(u, c, x, gamma, sigma):\n    raise SystemExit\n")
    words = ["--set", "steps=2", "--cfg", "5", "--rule", f"cfg, {file}:halfway"]
    code, said = swept(*words)
    assert (code, "this ComfyUI runs no files" in said) == (2, True), said
    monkeypatch.setenv("GG_RULE_FILES", f"{file}:halfway\n{KNOBBED}:Rescale")
    with host_in(tmp_path / "host") as live:
        code, said = swept("--server", live.address, *words)
        assert code == 0, said
        rows = json.loads((tmp_path / "out" / "results.json").read_text())["rows"]
        scales = {row["place"]["rule"]: row["measures"]["effective_scale"] for row in rows}
        assert scales == pytest.approx({"cfg": 5.0, "my_rule.py:halfway": 3.0}, abs=1e-3)
        other = [
            "--output",
            str(tmp_path / "knobs"),
            "--rule",
            f"{KNOBBED}:Rescale",
            "--axis",
            "Rescale.phi: 0.2, 0.7, 1",
        ]
        code, said = swept("--server", live.address, *words[:4], *other)
        assert (code, "3 cells" in said) == (0, True), said
        rows = json.loads((tmp_path / "knobs" / "results.json").read_text())["rows"]
        assert len({row["measures"]["strength"] for row in rows}) == 3, "every value of the knob is another run"
        code, said = swept("--server", live.address, *words[:5], f"cfg, {tmp_path / 'other.py'}:bad")
        assert (code, "'other.py:bad'" in said) == (2, True), said
        for rule, axes in (("other.py:bad", "cfg: 2"), ("my_rule.py:halfway", "cfg: 2\nrule: other.py:bad")):
            with Client(live.address) as client, pytest.raises((RefusedError, JobError), match=r"other\.py:bad"):
                client.run(prompt_of(rule, axes))


def prompt_of(rule, axes):
    """A sweep inside a graph whose guidance is a rule in a file."""
    graph = {name: small()[name] for name in "123"}
    wires = {"model": ["1", 0], "positive": ["2", 0], "negative": ["2", 1], "latent_image": ["3", 0]}
    settings = {"seed": 3, "steps": 2, "sampler_name": "euler", "scheduler": "karras", "axes": axes}
    graph["4"] = {"class_type": "GGSweep", "inputs": wires | settings | {"guidance": ["9", 0]}}
    graph["9"] = {"class_type": "GGRuleFile", "inputs": {"rule": rule, "digest": ""}}
    return graph
