import csv
import io
import json
import math
from dataclasses import replace

import pytest
import torch

from guidance_geometry.dev.fixtures.classifier_run import ClassifierRun
from guidance_geometry.figures.table import as_csv, as_json, as_text
from guidance_geometry.guidance.mixture import make_mixture
from guidance_geometry.tests.traces import exact_trace
from guidance_geometry.trace.metrics import METRICS

RUN = exact_trace(4.0, batch=2, steps=4, skip=(1,))


def test_csv_has_a_row_per_step_and_sample_and_a_column_per_metric():
    rows = list(csv.DictReader(io.StringIO(as_csv(RUN))))
    assert [(int(row["step"]), int(row["sample"])) for row in rows] == [(s, b) for s in range(4) for b in range(2)]
    assert set(METRICS) <= set(rows[0])
    assert float(rows[5]["M1"]) == float(RUN.column("M1")[2, 1])


def test_a_classifier_run_has_its_gradient_in_the_table():
    plain = ClassifierRun(make_mixture((1, 4, 4), classes=2, seed=0), torch.tensor([0, 1]), 3.0, "euler").trace(steps=4)
    said = torch.full((4, 2), -0.5, dtype=torch.float64)
    trace = replace(plain, steps={**plain.steps, "log_prob gradient": said, "log_prob watch": 2 * said})
    for row in csv.DictReader(io.StringIO(as_csv(trace))):
        known = {name: float(row[name]) for name in row if name.startswith(("log_prob", "M18"))}
        share = known.pop("M18s gradient")
        assert known == pytest.approx(
            {"log_prob gradient": -0.5, "log_prob watch": -1.0, "M18 gradient": 1.0, "M18r gradient": 1.0}
        )
        g, u = (trace.record.dot(name, name)[int(row["step"]), int(row["sample"])].sqrt() for name in ("gradient", "u"))
        assert share == pytest.approx(float(g / u))
    assert "gradient along the difference (cosine)" in as_text(trace)
    assert json.loads(as_json(trace))["metrics"]["log_prob watch"]["unit"] == "nats"


def test_undefined_numbers_are_empty_in_csv_and_null_in_json():
    row = list(csv.DictReader(io.StringIO(as_csv(RUN))))[2]
    assert (row["stage"], row["M1"]) == ("cond_only", "")
    facts = json.loads(as_json(RUN), parse_constant=pytest.fail)
    assert facts["rows"][2]["M1"] is None
    assert facts["run"]["sampler"] == "euler"


def test_the_text_shows_one_sample_and_says_which():
    text = as_text(RUN, sample=1)
    assert "sample 1 of 0-1" in text
    lines = text.splitlines()[-5:]
    assert len({len(line) for line in lines}) == 1
    assert lines[0].split()[:4] == ["step", "noise", "scale", "M1"]
    shown = float(lines[3].split()[3])
    assert math.isclose(shown, float(RUN.column("M1")[2, 1]), rel_tol=5e-3)
    assert lines[2].split()[3] == "-"
    assert [line.split()[0] for line in lines[1:]] == ["1", "2", "3", "4"], "as people count; files count from 0"
