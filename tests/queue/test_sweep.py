"""A sweep from the command line against a real server, with rules in files."""

import json

import pytest

from guidance_geometry.cli import sweep
from guidance_geometry.tests.queue.conftest import KNOBBED
from guidance_geometry.tests.queue.prompts import refusal, small


def test_a_rule_in_a_file_runs_where_comfyui_was_started_with_it_and_every_value_of_its_knob(server, tmp_path, capsys):
    """D = c + (gamma - 1) / 2 (c - u) is guidance at a scale in the middle between 1 and gamma."""
    rules = f"{server.log.parent / 'my_rule.py'}:halfway, {KNOBBED}:Rescale"
    words = ["--server", server.address, "--output", str(tmp_path), "--set", "steps=2", "--cfg", "5"]
    code = sweep.main([*words, "--rule", f"cfg, {rules}", "--axis", "Rescale.phi: 0.2, 1"])
    said = capsys.readouterr()
    assert (code, "4 of 4 cells" in said.out) == (0, True), said
    assert {path.name for path in tmp_path.iterdir()} >= {"plan.json", "results.csv", "index.html", "sheet.png"}
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    measured = [(row["place"]["rule"], row["measures"]) for row in rows]
    scales = {rule: measures["effective_scale"] for rule, measures in measured}
    assert scales["cfg"] == pytest.approx(5.0, abs=1e-3)
    assert scales["my_rule.py:halfway"] == pytest.approx(3.0, abs=1e-3)
    assert len({measures["strength"] for rule, measures in measured if "Rescale" in rule}) == 2


@pytest.mark.parametrize(
    ("rule", "axes"), [("other.py:bad", "cfg: 2"), ("my_rule.py:halfway", "cfg: 2\nrule: other.py:bad")]
)
def test_a_rule_in_a_file_that_comfyui_was_not_started_with_is_refused(client, rule, axes):
    graph = {name: small()[name] for name in "123"}
    wires = {"model": ["1", 0], "positive": ["2", 0], "negative": ["2", 1], "latent_image": ["3", 0]}
    settings = {"seed": 3, "steps": 2, "sampler_name": "euler", "scheduler": "karras", "axes": axes}
    graph["4"] = {"class_type": "GGSweep", "inputs": wires | settings | {"guidance": ["9", 0]}}
    graph["9"] = {"class_type": "GGRuleFile", "inputs": {"rule": rule, "digest": ""}}
    assert "other.py:bad" in refusal(client, graph)
