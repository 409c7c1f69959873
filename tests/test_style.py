"""What the linter does not see: a source that every console can print, and files that hold what their folder says."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = {".venv", ".host", ".cache", ".git"}
EVERY = [file for file in sorted(ROOT.rglob("*.py")) if not LEFT_OUT & {*file.relative_to(ROOT).parts}]
NODES = [file for file in sorted((ROOT / "nodes").rglob("*.py")) if file.name != "__init__.py"]


def name_of(file):
    return str(file.relative_to(ROOT))


@pytest.mark.parametrize("file", EVERY, ids=name_of)
def test_source_is_ascii(file):
    assert file.read_bytes().isascii(), "write gamma, sigma or an escape such as \\u03b3"


@pytest.mark.parametrize("file", NODES, ids=name_of)
def test_a_file_in_nodes_defines_a_node(file):
    tree = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    assert any(isinstance(node, ast.ClassDef) and node.name.startswith("GG") for node in tree)


def test_no_file_holds_both_sides_of_a_merge():
    texts = [file for ending in ("md", "py", "mjs", "json", "toml") for file in ROOT.glob(f"[a-zA-Z]*/**/*.{ending}")]
    texts += [*ROOT.glob("*.md"), *ROOT.glob("*.toml"), *ROOT.glob("*.py")]
    sides = re.compile(r"^(<{7}|>{7}) ", re.M)
    assert [name_of(file) for file in texts if sides.search(file.read_text(encoding="utf-8"))] == []
    assert len(texts) > 600
