"""Every cell of docs/compatibility.md, asked again."""

import pytest

from guidance_geometry.dev.fixtures.mac_tensor import mac_host
from guidance_geometry.dev.fixtures.subjects import every_subject
from guidance_geometry.lab.pages.compatibility import COLUMNS, PAGE, answer, version

SUBJECTS = {subject.name: subject for subject in every_subject()}


@pytest.fixture(scope="module")
def table():
    """(model, column) -> the page's word."""
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    head, *rows = ([cell.strip() for cell in line.strip("|").split(" | ")] for line in lines)
    return {(row[0].strip("| "), name): word for row in rows for name, word in zip(head[1:], row[1:], strict=True)}


def test_no_cell_is_missing_and_none_is_no(table):
    assert set(table) == {(name, column.name) for name in SUBJECTS for column in COLUMNS}
    assert set(table.values()) == {"yes", "\u2013"}


def test_every_format_is_a_row(host):
    from guidance_geometry.denoisers.registry import KNOWN

    rows = " ".join(SUBJECTS).lower()
    assert [known.title for known in KNOWN if known.title.split()[0].lower() not in rows] == []


@pytest.mark.matrix(parts=6)
@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.name)
@pytest.mark.parametrize("name", SUBJECTS)
def test_a_cell_says_what_a_run_shows(host, table, name, column):
    import torch

    with torch.inference_mode():
        found = answer(column, SUBJECTS[name])
    if version() not in PAGE.read_text(encoding="utf-8") and "parts" in SUBJECTS[name].has:
        assert found.word != "**no**", found.why  # another host than the page's knows more of parts, or less
        return
    assert (found.word, found.why if found.word == "**no**" else "") == (table[name, column.name], "")


@pytest.mark.matrix(parts=24)
@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.name)
@pytest.mark.parametrize("name", SUBJECTS)
def test_a_cell_says_the_same_on_a_mac(host, table, name, column):
    """A make-believe one, whose GPU has no float64 and does not meet the CPU's tensors."""
    import torch

    with torch.inference_mode(), mac_host():
        found = answer(column, SUBJECTS[name])
    assert (found.word, found.why if found.word == "**no**" else "") == (table[name, column.name], "")
