import json
import os
import time

import pytest

from guidance_geometry.cli.sweep import main, offer_rules
from guidance_geometry.dev.places import ROOT
from guidance_geometry.sweeps.comfyui import cell as study_cell
from guidance_geometry.sweeps.results import alone

from .stubbed import rows_in


def test_a_cell_that_fails_is_set_aside_and_the_others_run(swept, stub, tmp_path):
    before = stub.ran
    code, said = swept("--axis", "seed: 1, 666", "--rule", "cfg, Rescale CFG")
    assert (code, "2 failed" in said) == (1, True), said
    asides = [json.loads(path.read_text()) for path in (tmp_path / "out" / "rejected").iterdir()]
    assert [("poisoned" in aside["error"], aside["place"]["seed"]) for aside in asides] == [(True, 666)] * 2
    assert stub.ran - before == 2 + 2 * 2
    assert len(rows_in(tmp_path / "out")) == 2


def test_what_was_changed_in_the_folder_is_said_and_runs_again(swept, stub, tmp_path):
    swept("--cfg", "1,2,4")
    one, other, _ = sorted((tmp_path / "out" / "cells").glob("*.json"))
    one.with_suffix(".png").write_bytes(b"<html>")
    other.write_text(other.read_text().replace('"strength":', '"strength":"much","was":'))
    before = stub.ran
    code, said = swept("--cfg", "1,2,4")
    assert (code, said.count("set aside: cfg="), stub.ran - before) == (0, 2, 2), said
    assert "3 cells, 1 done before, 2 to run" in said
    assert not list((tmp_path / "out" / "rejected").iterdir())
    assert len(rows_in(tmp_path / "out")) == 3


def test_a_widget_of_a_rule_runs_where_the_rule_is_and_shows_everywhere(swept, stub, tmp_path):
    before = stub.ran
    code, said = swept("--rule", "cfg, Rescale CFG", "--axis", "Rescale CFG.phi: 0.2, 0.4, 0.6")
    assert (code, "4 of 4 cells are in" in said, stub.ran - before) == (0, True, 4), said
    places = [row["place"] for row in rows_in(tmp_path / "out")]
    assert len({json.dumps(place) for place in places}) == len(places) == 6


def test_marked_cells_run_again(swept, stub, tmp_path):
    swept("--cfg", "1,2")
    rows = rows_in(tmp_path / "out")
    (tmp_path / "marks.json").write_text(json.dumps({"marks": {rows[0]["id"]: "rerun", rows[1]["id"]: "mark"}}))
    before = stub.ran
    code, said = swept("--cfg", "1,2", "--rerun", str(tmp_path / "marks.json"))
    assert (code, stub.ran - before, "1 to run" in said) == (0, 1, True), said


def test_an_address_takes_the_results_and_resumes(served, stub, capsys):
    fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed: it comes with pip install 'ray[data]'")
    words = ["--server", served[1], "--output", "memory://sweep/a", "--cfg", "1,2"]
    before = stub.ran
    assert (main(words), main([*words, "--set", "steps=3"]), stub.ran - before) == (0, 2, 2)
    assert "memory://sweep/a holds the results of another plan" in capsys.readouterr().err
    assert (main(words), stub.ran - before) == (0, 2)
    assert "/sweep/a/index.html" in fsspec.filesystem("memory").find("sweep")


def test_a_folder_takes_one_sweep_at_a_time(swept, tmp_path):
    with alone(tmp_path / "out"):
        code, said = swept("--cfg", "1")
    assert (code, "Another sweep is running" in said) == (2, True), said
    assert not (tmp_path / "out").exists(), "nothing was written"
    assert swept("--cfg", "1")[0] == 0


def test_a_server_that_goes_away_leaves_a_page(swept, stub, monkeypatch, tmp_path):
    real, calls = study_cell.run_cell, []

    def flaky(client, cell, reports):
        calls.append(client)
        if len(calls) in (1, 3, 4):
            raise ConnectionRefusedError("gone")
        return real(client, cell, reports)

    monkeypatch.setattr(study_cell, "run_cell", flaky)
    code, said = swept("--cfg", "1,2")
    assert (code, "does not answer: gone" in said, len(set(calls))) == (1, True, 3), said
    assert len(rows_in(tmp_path / "out")) == 1
    assert (tmp_path / "out" / "index.html").exists()
    assert not (tmp_path / "out" / "rejected").exists()


def test_a_job_that_takes_too_long_is_stopped_and_set_aside(swept, stub, monkeypatch):
    monkeypatch.setattr(stub, "seconds", 60.0)
    code, said = swept("--cfg", "1", "--timeout", "0.2")
    assert (code, "1 failed" in said, "Give it longer: --timeout" in said) == (1, True, True), said
    patience = time.monotonic() + 5
    while stub.working and time.monotonic() < patience:
        time.sleep(0.05)
    assert not stub.working


def test_a_server_or_a_file_that_is_not_there_is_a_sentence(swept, tmp_path):
    code, said = swept("--cfg", "1", "--server", "http://127.0.0.1:9")
    assert (code, "http://127.0.0.1:9 does not answer" in said) == (2, True), said
    for option in ("--workflow", "--rerun"):
        code, said = swept("--cfg", "1", option, str(tmp_path / "none.json"))
        assert (code, "none.json cannot be read" in said) == (2, True), said


RULE = "def {}(u, c, x, gamma, sigma):\n    return c\n"
FILES = {"display_name": "Rule from a File", "category": "guidance geometry/rules", "input": {"required": {
    "rule": ["COMBO", {"options": ["mine.py:rule"]}], "digest": ["STRING", {"default": ""}]}}}  # fmt: skip


@pytest.fixture
def runs_files(stub, monkeypatch):
    """A server that says it runs rules in files."""
    monkeypatch.setitem(stub.node_types, "GGRuleFile", FILES)
    monkeypatch.setenv("GG_RULE_FILES", "")


@pytest.mark.usefixtures("runs_files")
def test_only_the_command_line_names_code(swept, tmp_path):
    mark, own, plan = tmp_path / "mark", tmp_path / "mine.py", tmp_path / "out" / "plan.json"
    (tmp_path / "evil").mkdir()
    (tmp_path / "evil" / "mine.py").write_text(f"open({str(mark)!r}, 'w')\n" + RULE.format("rule"))
    own.write_text(RULE.format("rule"))
    swept("--cfg", "1", "--rule", "cfg")
    claims = json.loads(plan.read_text())
    claims["axes"]["rule"] = ["cfg", f"APG + {tmp_path}/evil/mine.py:rule"]
    plan.write_text(json.dumps(claims))
    copy = tmp_path / "plan.json"
    copy.write_text(plan.read_text())
    for words in (["--cfg", "1", "--rule", "cfg"], ["--plan", str(copy)]):
        code, said = swept(*words)
        assert (code, "mine.py:rule is in a file that the command line does not name" in said) == (2, True), said
    claims["axes"]["rule"] = ["cfg", f"{tmp_path}/evil/mine.py:rule"]
    plan.write_text(json.dumps(claims))
    code, said = swept("--cfg", "1", "--rule", f"cfg, {own}:rule")
    assert (code, mark.exists()) == (0, False), said


@pytest.mark.usefixtures("runs_files")
def test_a_plan_knows_its_rules_by_their_digests(swept, tmp_path):
    own, plan = tmp_path / "mine.py", tmp_path / "out" / "plan.json"
    own.write_text(RULE.format("rule"))
    code, said = swept("--cfg", "1", "--rule", f"cfg, {own}:rule")
    assert (code, str(tmp_path) in plan.read_text()) == (0, False), said
    again = ["--plan", str(plan), "--rule", f"{own}:rule"]
    assert swept(*again)[0] == 0
    own.write_text(RULE.format("rule") + "# other\n")
    code, said = swept(*again)
    assert (code, "made with another mine.py:rule" in said) == (2, True), said
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "mine.py").write_text(RULE.format("rule"))
    assert "have one name" in swept("--cfg", "1", "--rule", f"{own}:rule, {tmp_path}/b/mine.py:rule")[1]


def test_rules_in_files_are_named_to_the_comfyui_that_is_started_and_to_no_other(tmp_path, monkeypatch):
    (tmp_path / "mine.py").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", {})
    offer_rules(["cfg", "mine.py:a + APG", 3])
    assert os.environ == {"GG_RULE_FILES": f"{tmp_path / 'mine.py'}:a"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--cfg", ""], "no value"),
        (["--cfg", "1,nan"], "not finite"),
        (["--cfg", "1", "--axis", "stpes: 2"], "Did you mean steps"),
        (["--cfg", "1..100", "--seeds", "100"], "10,000 cells, about 5.6 h"),
        (["--cfg", "1", "--rule", "Rescael"], "Did you mean Rescale CFG"),
        (["--cfg", "1", "--rule", "cfg, my_rule.py:halfway"], "names no file"),
        (["--cfg", "1", "--rule", f"cfg, {ROOT / 'guidance' / 'rules' / 'rescale.py'}:Rescale"], "runs no files"),
    ],
)
def test_bad_input_is_named_before_any_work(swept, stub, words, told, tmp_path):
    before = stub.ran
    code, said = swept(*words)
    assert (code, told in said, stub.ran - before) == (2, True, 0), said
    assert not (tmp_path / "out").exists(), "a plan that cannot run would stand in the way of the next"
