"""Every study still runs, small, and prints the table of its page; those of the demo models reach what pages say."""

import json
import re
from importlib import import_module, metadata
from pathlib import Path

import pytest

from guidance_geometry.tests.project import ROOT

DOCS = ROOT / "docs"
STUDIES = {  # name: arguments that make it small, and the heads of tables with the page that has them
    "ablation": (["--samples", "2"], "model | fresh noise | push | estimate", "which-steps.md"),
    "classifier_guidance": (
        ["--samples", "20", "--latent", "20"],
        "evaluation | \u03b3 | steps",
        "classifier-guidance.md",
    ),
    "economy": (["--samples", "20", "--probe", "20", "--chains", "line, every 2"], "chain | passes", None),
    "exact_toy": (["--samples", "20"], "evaluation | \u03b3 | accuracy | p(y)", None),
    "expectation": (["--samples", "3"], "\u03c3 | x\u03020 to the mean of all", "the-geometry-of-guidance.md"),
    "methods": (["--samples", "2"], "method | its own classifier says so", "the-geometry-of-guidance.md"),
    "reweighting": (["--points", "200"], "\u03b3 | 20 steps", "the-geometry-of-guidance.md"),
    "straight_line": (["--samples", "3"], "\u03b3 | straight line | run again", "the-geometry-of-guidance.md"),
}
OF_A_HOST = {
    "compatibility": (["--columns", "KSampler"], "model | KSampler", "compatibility.md"),
    "paper_steps": (["--samples", "20"], "gradient | scale | times | steps | accuracy", None),
    "samplers": (["--names", "euler", "ddpm"], "sampler | evaluations | noise", "samplers.md"),
}
DRAWING = {"expectation", "methods", "reweighting", "straight_line"}
FEWER = {  # what a study loops over, in the test
    "ablation": {"MODELS": ("exact mixture", "pocket-flow-1"), "NOISE": {"none": ("euler", 0.0)}},
    "classifier_guidance": {"ROWS": [("noisy x_t", 2.0, 3)], "SWEEP": [("CFG", 2.0, 3)], "SCALES": [1.0]},
    "economy": {"STOPS": ["stop at 0.99"]},
    "exact_toy": {"STEPS": (4, 8), "GAMMAS": (1.0,), "HEUN": 8, "TRUE": 100},
    "methods": {"METHODS": ("CFG", "noise-aware", "x0")},
    "paper_steps": {"BY_LABEL": slice(1), "BY_HALF": slice(1)},
    "reweighting": {"STEPS": (20,)},
    "straight_line": {"GAMMAS": (1.0,)},
}


def printed(name, words, monkeypatch, capsys):
    module = import_module(f"guidance_geometry.lab.studies.{name}")
    for constant, value in FEWER.get(name, {}).items():
        if name == "classifier_guidance" and constant != "SCALES":
            value = [module.Row(*row) for row in value]
        if isinstance(value, slice):
            value = getattr(module, constant)[value]
        monkeypatch.setattr(module, constant, value)
    monkeypatch.setattr("sys.argv", [name, *words])
    module.main()
    return capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_a_study_prints_the_table_of_its_page(name, tmp_path, monkeypatch, capsys):
    words, head, page = STUDIES[name]
    out = printed(name, [*words, *(["--out", str(tmp_path)] if name in DRAWING else [])], monkeypatch, capsys)
    assert f"| {head} " in out
    assert page is None or f"| {head} " in (DOCS / page).read_text(encoding="utf-8")
    assert (name in DRAWING) == bool(list(tmp_path.glob("story-*.webp")))


@pytest.mark.slow
@pytest.mark.parametrize("name", OF_A_HOST)
def test_a_study_of_a_host_prints_the_table_of_its_page(host, name, monkeypatch, capsys):
    words, head, page = OF_A_HOST[name]
    assert f"| {head} " in (out := printed(name, words, monkeypatch, capsys))
    assert page is None or f"| {head} " in (DOCS / page).read_text(encoding="utf-8")
    assert "**no**" not in out


def test_the_suggested_scale_of_each_evaluation_reaches_what_the_page_says():
    from guidance_geometry.guidance.gradients.term import MEASURED

    text = (DOCS / "classifier-guidance.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]+) \| ([\d.]+) \| (\d+) \| ([\d.]+) \(", text, re.MULTILINE)
    accuracy = {(evaluation, float(gamma)): float(share) for evaluation, gamma, _, share in reversed(rows)}
    least = {"noisy x_t": 0.95, "x0 + backprop": 0.85, "x0": 0.90}
    assert all(accuracy[evaluation, MEASURED[evaluation]] >= share for evaluation, share in least.items())


def test_the_scales_of_templates_are_those_of_their_package():
    package = pytest.importorskip("comfyui_workflow_templates_json", reason="the stock templates are not installed")
    from guidance_geometry.lab.pages import template_scales

    kept = json.loads(template_scales.TARGET.read_text(encoding="utf-8"))
    if kept["package"].split()[1] != metadata.version(template_scales.PACKAGE):
        pytest.skip("the table is of other templates")
    assert template_scales.table_of(template_scales.workflows(Path(package.__file__).parent)) == kept["files"]
