"""Cells of docs/compatibility.md, asked again."""

from contextlib import nullcontext

import pytest
import torch

from guidance_geometry.dev.fixtures.mac_tensor import mac_host
from guidance_geometry.dev.fixtures.subjects import every_subject
from guidance_geometry.lab.studies.compatibility import COLUMNS, answer, version
from guidance_geometry.tests.project import ROOT

PAGE = (ROOT / "docs" / "compatibility.md").read_text(encoding="utf-8")
SUBJECTS = {subject.name: subject for subject in every_subject()}


@pytest.fixture(scope="module")
def table():
    """(model, column) -> the page's word."""
    head, *rows = (line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("| "))
    return {(row[0], name): word for row in rows for name, word in zip(head[1:], row[1:], strict=True)}


def test_no_cell_is_missing_and_none_is_no(table):
    assert set(table) == {(name, column) for name in SUBJECTS for column in COLUMNS}
    assert set(table.values()) == {"yes", "\u2013"}


def test_every_format_is_a_row(host):
    from guidance_geometry.models.denoisers.registry import KNOWN

    rows = " ".join(SUBJECTS).lower()
    assert [known.title for known in KNOWN if known.title.split()[0].lower() not in rows] == []


ASKED = [("SDXL (host)", "recorded"), ("EDM, adm", "x0 gradient"), ("video + sound (host)", "KSampler")]
ON_A_MAC = [("DiT", "batch 2")]  # a simulated one, whose GPU has no float64 and does not meet the CPU's tensors


@pytest.mark.parametrize(("name", "column"), ASKED + ON_A_MAC)
def test_a_cell_says_what_a_run_shows(host, table, name, column):
    with torch.inference_mode(), mac_host() if (name, column) in ON_A_MAC else nullcontext():
        word, why = answer(column, SUBJECTS[name])
    if version() not in PAGE and "parts" in SUBJECTS[name].has:
        assert word != "**no**", why  # another host than the page's knows more of parts, or less
    else:
        assert word == table[name, column], why
