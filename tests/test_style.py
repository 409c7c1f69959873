"""What the linter does not see: a source that every console can print, and files that hold what their folder says."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = {".venv", ".host", ".cache", ".git"}
EVERY = [file for file in sorted(ROOT.rglob("*.py")) if not LEFT_OUT & {*file.relative_to(ROOT).parts}]
NODES = [file for file in sorted((ROOT / "nodes").rglob("*.py")) if file.name != "__init__.py"]


def name_of(file):
    return str(file.relative_to(ROOT))


def test_source_is_ascii():
    """Write gamma, sigma or an escape such as \\u03b3."""
    assert [name_of(file) for file in EVERY if not file.read_bytes().isascii()] == []


def test_a_docstring_stands_alone():
    """It is read by itself, in a tooltip or by `help`: nothing stands before it that it could point at."""
    named, pointing = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module), re.compile(r"(The same|Its)\b")
    found = [
        f"{name_of(file)}:{node.body[0].lineno}"
        for file in EVERY
        if "tests" not in file.parts
        for node in ast.walk(ast.parse(file.read_bytes()))
        if isinstance(node, named) and pointing.match(ast.get_docstring(node) or "")
    ]
    assert found == []


def test_a_file_in_nodes_defines_a_node():
    trees = {name_of(file): ast.walk(ast.parse(file.read_text(encoding="utf-8"))) for file in NODES}
    classes = {name: [one.name for one in tree if isinstance(one, ast.ClassDef)] for name, tree in trees.items()}
    assert [name for name, found in classes.items() if not any(one.startswith("GG") for one in found)] == []


def test_no_file_holds_both_sides_of_a_merge():
    texts = [file for ending in ("md", "py", "mjs", "json", "toml") for file in ROOT.glob(f"[a-zA-Z]*/**/*.{ending}")]
    texts += [*ROOT.glob("*.md"), *ROOT.glob("*.toml"), *ROOT.glob("*.py")]
    sides = re.compile(r"^(<{7}|>{7}) ", re.M)
    assert [name_of(file) for file in texts if sides.search(file.read_text(encoding="utf-8"))] == []
    assert len(texts) > 600
