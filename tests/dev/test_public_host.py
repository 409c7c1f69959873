"""What a public host of this repository reads: checks and publishing."""

import re

import pytest
import yaml

from guidance_geometry.dev.release import disagreements
from guidance_geometry.tests.project import PROJECT, ROOT

GITHUB = ROOT / ".github"


def read(name):
    return yaml.safe_load((GITHUB / name).read_text(encoding="utf-8"))


def steps_of(job):
    return [step.get("run") or step["uses"] for step in job["steps"]]


def test_the_checks_run_whole_on_every_python_that_the_package_takes():
    """Its classifiers name those on which they have passed."""
    job = read("workflows/test.yml")["jobs"]["test"]
    assert "python3 dev.py test" in steps_of(job)
    versions = job["strategy"]["matrix"]["python"]
    named = {line.rpartition(" ")[2] for line in PROJECT["project"]["classifiers"] if re.search(r":: 3\.\d+$", line)}
    assert named
    assert named <= set(versions)
    assert PROJECT["project"]["requires-python"] == f">={versions[0]}"
    assert PROJECT["tool"]["ruff"]["target-version"] == f"py{versions[0].replace('.', '')}"


def test_a_tag_is_published_once_the_checks_passed_and_the_versions_agree():
    workflow = read("workflows/publish.yml")
    assert workflow[True] == {"push": {"tags": ["v*"]}}  # YAML's `on`
    publish = workflow["jobs"]["publish"]
    assert workflow["jobs"][publish["needs"]]["uses"] == "./.github/workflows/test.yml"
    *before, last = steps_of(publish)
    assert before[-1] == 'python3 lab release "$GITHUB_REF_NAME"'
    assert last.startswith("Comfy-Org/publish-node-action@")
    assert publish["environment"], "whose reviewers approve"


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
        ("v0.2.0", "", ["opens with 'nothing'"]),
        ("v0.2.0", "## 0.2.0\n\nSoon.\n\n## 0.1.0\n- A.\n", ["says nothing of 0.2.0"]),
        ("v0.2.0", "## [0.2.0] 2026-12-01\n\n### Added\n\n- A.\n", []),
    ],
)
def test_what_does_not_agree_is_named(tag, changelog, words):
    found = disagreements(tag, "0.2.0", changelog)
    assert [word in fault for word, fault in zip(words, found, strict=True)] == [True] * len(words)
