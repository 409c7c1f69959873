"""What any file claims is read, or refused in a sentence that names the file."""

import json
import os
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guidance_geometry.cli.page import page_of_sweep
from guidance_geometry.files.claims import guard, read_json
from guidance_geometry.sweeps.report import report_text
from guidance_geometry.sweeps.results import csv_of, read_results
from guidance_geometry.tests.claimed_files import (
    A_PLAN,
    CELL,
    RESULTS,
    SWEEP,
    read_row,
    read_whole_plan,
    sweep_with,
)
from guidance_geometry.tests.hostile import places

DEEP = 5000
JSON = (
    "null", "true", "-1", "0", "1e308", "-1e308", "1e999", "NaN", "9" * 400, '""', '"x"', '"\\ud800"', '"\\u0000"',
    '"nan"', "[]", "[[]]", "[null]", '["x"]', "{}", '{"": {}}', '{"x": 1, "x": 2}', "[" * DEEP + "]" * DEEP,
    '{"a":' * DEEP + "1" + "}" * DEEP, '"\xff"',
)  # fmt: skip
YAML = (*JSON, "{1: 2}", "{null: 1}", "{2020-01-01: x}", "2020-01-01", "!!set {a, b}", "!!binary aGk=", "&a [*a, *a]",
        "!!python/name:os.system", "{? [1] : 2}", "\t")  # fmt: skip


def spoiled(value, path, snippet):
    """The text of a value in which something else stands at a path."""
    if not path:
        return snippet
    made = json.loads(json.dumps(value))
    owner = made
    for key in path[:-1]:
        owner = owner[key]
    owner[path[-1]] = "@here@"
    return json.dumps(made).replace('"@here@"', snippet)


def read_tables(file):
    plan, rows = read_results(sweep_with(file, "results.json"))
    return report_text(rows, plan.every_axis), csv_of(rows)


def refuse(read):
    """Read; a refusal is a ValueError with a sentence, and UnicodeError is one without."""
    try:
        read()
    except UnicodeError:
        raise
    except ValueError as refusal:
        return str(refusal)
    return ""


READERS = {
    "plan.yaml": (read_whole_plan, A_PLAN, YAML),
    "row.json": (read_row, json.loads(CELL.read_text(encoding="utf-8")), JSON),
    "results.json": (read_tables, {"plan": RESULTS["plan"], "rows": RESULTS["rows"][:2]}, JSON),
}


@pytest.mark.parametrize("name", READERS)
@given(data=st.data())
@settings(max_examples=25, derandomize=True)
def test_any_claim_is_read_or_refused_with_the_name_of_the_file(tmp_path_factory, name, data):
    read, value, snippets = READERS[name]
    path = data.draw(st.sampled_from([(), *places(value)]))
    file = tmp_path_factory.getbasetemp() / name
    file.write_bytes(spoiled(value, path, data.draw(st.sampled_from(snippets))).encode("latin-1"))
    assert len(refuse(lambda: read(file))) < 1000


@pytest.mark.parametrize("fault", [TypeError, KeyError, OverflowError, RecursionError, AttributeError])
def test_a_fault_of_the_content_is_told_with_the_file_and_the_place(fault):
    words = rf"^a\.json is damaged at bands: {fault.__name__}: '?x'?\. Mend it\.$"
    with pytest.raises(ValueError, match=words), guard("a.json", "bands", "Mend it."):
        raise fault("x")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xff\xfe{", r"a\.json is damaged at byte 0: it is not text in UTF-8"),
        (b'{"a": 1, "a": 2}', r"'a' stands twice in one table"),
        (b"[" * 5000 + b"]" * 5000, r"a\.json "),
        (b" " * 2**25, "at most 16,777,216 are read"),
    ],
    ids=["bytes", "twice", "deep", "long"],
)
def test_what_is_no_json_is_said(tmp_path, content, words):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ValueError, match=words):
        read_json(tmp_path / "a.json", "Mend it.")


def test_the_mark_that_editors_write_first_is_no_part_of_a_file_and_a_device_is_no_file(tmp_path):
    (tmp_path / "a.json").write_bytes(b"\xef\xbb\xbf[1]")
    assert read_json(tmp_path / "a.json", "Mend it.") == [1]
    os.mkfifo(tmp_path / "b.json")
    for path in (tmp_path / "b.json", tmp_path):
        with pytest.raises(ValueError, match="is no file"):
            read_json(path, "Mend it.")


@pytest.mark.parametrize("name", ["../../victim", "..", "/etc/passwd", "a/b", "", "a\0b"])
def test_a_row_leads_nowhere_outside_of_its_folder(tmp_path, name):
    victim = tmp_path / "victim.json"
    victim.write_text("{}")
    sweep = shutil.copytree(SWEEP, tmp_path / "a")
    (sweep / "results.json").write_text(json.dumps({**RESULTS, "rows": [RESULTS["rows"][0] | {"id": name}]}))
    with pytest.raises(ValueError, match=r"results\.json: id is "):
        page_of_sweep(str(sweep))
    assert victim.read_text() == "{}"
