"""What a public host of this repository reads: checks and publishing."""

import re

import pytest

from guidance_geometry.dev.release import disagreements
from guidance_geometry.tests.project import ROOT

GITHUB = ROOT / ".github"


@pytest.mark.parametrize("file", sorted((GITHUB / "workflows").glob("*.yml")), ids=lambda file: file.stem)
def test_what_others_than_the_host_wrote_runs_as_it_was_read(file):
    """A tag can be moved, a commit cannot."""
    used = re.findall(r"uses: (?!\./|actions/)\S+@(\S+)", file.read_text(encoding="utf-8"))
    assert [mark for mark in used if not re.fullmatch("[0-9a-f]{40}", mark)] == []


@pytest.mark.parametrize(
    ("tag", "changelog", "words"),
    [
        ("0.2.0", "## 0.2.0\n\n- A.\n", ["The tag is 0.2.0"]),
        ("v0.2.0", "# Changelog\n\n## 0.1.0\n\n- A.\n\n## 0.2.0\n- B.\n", ["opens with '0.1.0'"]),
        ("v0.2.0", "## 0.2.0\n\nSoon.\n\n## 0.1.0\n- A.\n", ["says nothing of 0.2.0"]),
        ("v0.2.0", "## [0.2.0] 2026-12-01\n\n### Added\n\n- A.\n", []),
    ],
)
def test_what_does_not_agree_is_named(tag, changelog, words):
    found = disagreements(tag, "0.2.0", changelog)
    assert [word in fault for word, fault in zip(words, found, strict=True)] == [True] * len(words)
