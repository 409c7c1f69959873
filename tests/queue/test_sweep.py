"""A sweep from the command line against a real server, with rules in files."""

import json
import subprocess
import sys

import pytest

from guidance_geometry.sweeps.comfyui.client import JobError, RefusedError
from guidance_geometry.tests.queue.conftest import KNOBBED
from guidance_geometry.tests.queue.prompts import ROOT, small


@pytest.fixture
def swept(server, tmp_path):
    """Arguments -> the exit code and what was printed."""

    def run(*words):
        command = [sys.executable, str(ROOT), "sweep", "--server", server.address, "--output", str(tmp_path / "out")]
        done = subprocess.run([*command, "--set", "steps=2", *words], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    return run


def rows_in(folder):
    return json.loads((folder / "out" / "results.json").read_text())["rows"]


def test_a_rule_in_a_file_runs_where_comfyui_was_started_with_it_and_every_value_of_its_knob(server, swept, tmp_path):
    """D = c + (gamma - 1) / 2 (c - u) is guidance at a scale in the middle between 1 and gamma."""
    rules = f"{server.log.parent / 'my_rule.py'}:halfway, {KNOBBED}:Rescale"
    code, said = swept("--cfg", "5", "--rule", f"cfg, {rules}", "--axis", "Rescale.phi: 0.2, 0.7, 1")
    assert (code, "5 of 5 cells" in said) == (0, True), said
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files >= {"plan.json", "results.csv", "index.html", "sheet.png"}
    measured = [(row["place"]["rule"], row["measures"]) for row in rows_in(tmp_path)]
    scales = {rule: measures["effective_scale"] for rule, measures in measured}
    assert scales["cfg"] == pytest.approx(5.0, abs=1e-3)
    assert scales["my_rule.py:halfway"] == pytest.approx(3.0, abs=1e-3)
    assert len({measures["strength"] for rule, measures in measured if "Rescale" in rule}) == 3


def test_a_rule_in_a_file_that_comfyui_was_not_started_with_is_refused_to_commands_and_to_jobs(client, swept, tmp_path):
    (tmp_path / "other.py").write_text("def bad(u, c, x, gamma, sigma):\n    raise SystemExit\n")
    code, said = swept("--cfg", "5", "--rule", f"cfg, {tmp_path / 'other.py'}:bad")
    assert (code, "'other.py:bad'" in said) == (2, True), said
    for rule, axes in (("other.py:bad", "cfg: 2"), ("my_rule.py:halfway", "cfg: 2\nrule: other.py:bad")):
        with pytest.raises((RefusedError, JobError), match=r"other\.py:bad"):
            client.run(prompt_of(rule, axes))


def prompt_of(rule, axes):
    """A sweep inside a graph whose guidance is a rule in a file."""
    graph = {name: small()[name] for name in "123"}
    wires = {"model": ["1", 0], "positive": ["2", 0], "negative": ["2", 1], "latent_image": ["3", 0]}
    settings = {"seed": 3, "steps": 2, "sampler_name": "euler", "scheduler": "karras", "axes": axes}
    graph["4"] = {"class_type": "GGSweep", "inputs": wires | settings | {"guidance": ["9", 0]}}
    graph["9"] = {"class_type": "GGRuleFile", "inputs": {"rule": rule, "digest": ""}}
    return graph
