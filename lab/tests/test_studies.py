"""Every study still runs, small, and prints the table of its page."""

import re
from functools import partial
from importlib import import_module

import pytest

from guidance_geometry.dev.fixtures.subjects import every_subject
from guidance_geometry.lab.studies.classifier_guidance import Row
from guidance_geometry.lab.studies.motion import correlations
from guidance_geometry.lab.studies.own_measure import best_of, draw
from guidance_geometry.lab.studies.own_measure_marks import heun
from guidance_geometry.lab.studies.paper_steps import Way
from guidance_geometry.library.measuring import measure
from guidance_geometry.tests.project import ROOT

DOCS = ROOT / "docs"
STORY = "the-geometry-of-guidance.md"
STUDIES = {  # name: (arguments that make it small, head of a table, the page that has it, what it loops over here)
    "ablation": (
        ["--samples", "2"],
        "model | fresh noise | push | estimate",
        "which-steps.md",
        {"MODELS": ("exact mixture",), "NOISE": {"none": ("euler", 0.0)}},
    ),
    "blind_agent": (
        ["--starts", "1"],
        "model | agent | runs, mean",
        "agents/SKILL.md",
        {"MODELS": ("pocket-flow-1",), "SAMPLES": 5, "STEPS": 4},
    ),
    "classifier_guidance": (
        ["--samples", "20", "--latent", "20"],
        "evaluation | \u03b3 | steps",
        "classifier-guidance.md",
        {"ROWS": [Row("noisy x_t", 2.0, 3)], "SWEEP": [Row("CFG", 2.0, 3)], "SCALES": [1.0]},
    ),
    "compatibility": (
        ["--columns", "KSampler"],
        "model | KSampler",
        "compatibility.md",
        {"every_subject": lambda: every_subject()[:2]},
    ),
    "condition_annealing": (
        ["--pictures", "20"],
        "cfg | rule | variety",
        None,
        {"MODELS": ("pocket-flow-1",), "SETTINGS": [(4.0, "CADS, default")]},
    ),
    "economy": (
        ["--models", "pocket-flow-1", "--scales", "4", "--samples", "20"],
        "model | cfg | chain | saved",
        "rules.md",
        {"STEPS": 3},
    ),
    "exact_toy": (
        ["--samples", "10"],
        "evaluation | \u03b3 | accuracy | p(y)",
        None,
        {"STEPS": (4,), "GAMMAS": (1.0,), "HEUN": 4, "TRUE": 50},
    ),
    "expectation": (["--samples", "3"], "\u03c3 | x\u03020 to the mean of all", STORY, {}),
    "motion": ([], "displacement in cells | motion of the difference", None, {"DISPLACEMENTS": (0.0, 3.0)}),
    "methods": (
        ["--samples", "1"],
        "method | its own classifier says so",
        STORY,
        {"METHODS": ("CFG", "noise-aware"), "coloured": lambda out: None, "exact_agreement": str, "four_methods": str},
    ),
    "own_measure": (
        ["--pictures", "20"],
        "cfg | prompt strength | denoising ratio",
        "own-measure.md",
        {
            "MODELS": ("pocket-flow-1",),
            "SCALES": (1.0, 4.0),
            "draw": partial(draw, steps=2),
            "best_of": partial(best_of, many=2),
        },
    ),
    "own_measure_advice": (
        ["--cases", "2"],
        "compared with | cases | shows the prompt less",
        "own-measure.md",
        {"SEEDS": 2},
    ),
    "own_measure_liked": (
        ["--pictures", "20", "--measured", "20"],
        "model | best by Frechet | by class-wise",
        "own-measure.md",
        {"MODELS": ("pocket-flow-1",), "WORLDS": {"2": ((2,), 0.1)}, "SCALES": (1.0, 4.0)},
    ),
    "own_measure_limits": (
        ["--batches", "1", "--pictures", "10"],
        "change | prompt strength | denoising ratio",
        "own-measure.md",
        {
            "WORLDS": {"2 values": (2,)},
            "CHANGES": {"inverted": lambda x: -x},
            "draw": lambda *given, steps=2: draw(*given, steps=2),
            "write_pixels": lambda *given: None,
        },
    ),
    "own_measure_lora": (
        ["--pictures", "10"],
        "pocket-flow-1, LoRA at | tint | prompt strength",
        "own-measure.md",
        {"MODELS": ("pocket-flow-1",), "STEPS": 2, "STRENGTHS": (0.0, 1.0), "LEARNED": 20},
    ),
    "own_measure_marks": (
        ["--pictures", "10", "--own", "6"],
        "made by | cfg 1 | cfg 4 | cfg 9",
        "own-measure.md",
        {
            "MODELS": ("pocket-flow-1",),
            "WAYS": {"Heun, 4 steps": (heun, 4)},
            "SCALES": (1.0, 4.0, 9.0),
            "SHOWN": (0, 1, 2),
            "COUNTS": (3,),
            "PAIRS": 5,
            "PART": 3,
        },
    ),
    "own_measure_models": (
        ["--pictures", "10"],
        "pocket-flow-1 | prompt strength | denoising ratio | gate",
        "own-measure.md",
        {
            "MODELS": ("pocket-flow-1",),
            "WRONG": {},
            "WEIGHTS": {"doubled": lambda w, _: 2 * w},
            "galaxy_rows": lambda _: [],
            "named_rows": list,
        },
    ),
    "paper_steps": (
        ["--samples", "20"],
        "gradient | scale | times | steps | accuracy",
        None,
        {"BY_LABEL": (Way("rate", 4.0, steps=2),), "BY_HALF": (Way("DSG", 1.0, steps=2),)},
    ),
    "reweighting": (["--points", "100"], "\u03b3 | 20 steps", STORY, {"STEPS": (20,)}),
    "straight_line": (["--samples", "3"], "\u03b3 | straight line | run again", STORY, {"GAMMAS": (1.0,)}),
    "same_picture": (
        ["--pictures", "10"],
        "the pictures count as | pairs | another label",
        "report.md",
        {"MODELS": ("pocket-flow-1",), "SCALES": (2.0,)},
    ),
    "samplers": (["--names", "euler", "ddpm"], "sampler | evaluations | noise", "samplers.md", {}),
}
DRAWING = {"expectation", "methods", "reweighting", "straight_line"}


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_a_study_prints_the_table_of_its_page(host, name, tmp_path, monkeypatch, capsys):
    words, head, page, fewer = STUDIES[name]
    module = import_module(f"guidance_geometry.lab.studies.{name}")
    for constant, value in fewer.items():
        monkeypatch.setattr(module, constant, value)
    monkeypatch.setattr("guidance_geometry.library.measure", partial(measure, draws=1), raising=False)
    monkeypatch.setattr("sys.argv", [name, *words, *(["--out", str(tmp_path)] if name in DRAWING else [])])
    module.main()
    assert f"| {head} " in capsys.readouterr().out
    assert page is None or f"| {head} " in (DOCS / page).read_text(encoding="utf-8")
    assert (name in DRAWING) == bool(list(tmp_path.glob("story-*.webp")))


def test_the_share_of_motion_follows_how_far_things_really_move():
    rows, (of_difference, of_push, of_films) = correlations()
    assert min(of_difference, of_push, of_films) >= 0.9
    assert rows[-1][0] > 3 * rows[0][0]


def test_the_suggested_scale_of_each_evaluation_reaches_what_the_page_says():
    from guidance_geometry.guidance.gradients.term import MEASURED

    text = (DOCS / "classifier-guidance.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]+) \| ([\d.]+) \| (\d+) \| ([\d.]+) \(", text, re.MULTILINE)
    accuracy = {(evaluation, float(gamma)): float(share) for evaluation, gamma, _, share in reversed(rows)}
    least = {"noisy x_t": 0.95, "x0 + backprop": 0.85, "x0": 0.90}
    assert all(accuracy[evaluation, MEASURED[evaluation]] >= share for evaluation, share in least.items())
