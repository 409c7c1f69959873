"""In CI a test whose tool is missing has failed."""

from types import SimpleNamespace

import pytest

from guidance_geometry.tests.skips import fail_for_a_missing_tool


def outcome(reason, skipped=True):
    report = SimpleNamespace(skipped=skipped, outcome="skipped", nodeid="a.py::test", longrepr=("a.py", 1, reason))
    fail_for_a_missing_tool(report)
    return report.outcome, report.longrepr


@pytest.mark.parametrize("reason", ["Skipped: no Chromium on the path", "Skipped: could not import 'ray': No module"])
def test_a_missing_tool_is_a_failure_in_ci_and_a_skip_elsewhere(reason, monkeypatch):
    monkeypatch.setenv("CI", "true")
    ended, words = outcome(reason)
    assert ended == "failed"
    assert reason.removeprefix("Skipped: ") in words
    monkeypatch.delenv("CI")
    assert outcome(reason)[0] == "skipped"


def test_what_this_host_is_not_stays_a_skip(monkeypatch):
    monkeypatch.setenv("CI", "true")
    assert outcome("Skipped: this host pages no weights")[0] == "skipped"
    assert outcome("Skipped: covered: once in a run")[0] == "skipped"


def test_what_passed_is_left_alone(monkeypatch):
    monkeypatch.setenv("CI", "true")
    assert outcome("no reason", skipped=False)[0] == "skipped"
