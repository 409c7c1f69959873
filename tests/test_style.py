"""The figures of the house style, counted on the syntax trees."""

import ast
import re
from pathlib import Path
from statistics import median, quantiles

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("guidance", "files", "samplers", "trace", "denoisers", "classifiers", "figures", "host", "nodes")
PACK = [
    ROOT / "__init__.py",
    ROOT / "extension.py",
    *(file for room in ROOMS for file in sorted((ROOT / room).rglob("*.py"))),
]
TOOLS = [ROOT / "dev.py", *sorted((ROOT / "tools").rglob("*.py"))]
EVERY = [*PACK, *TOOLS, *sorted((ROOT / "tests").rglob("*.py"))]
FORBIDDEN = {
    "util",
    "utils",
    "helper",
    "helpers",
    "misc",
    "manager",
    "common",
    "base",
    "core",
    "handler",
    "wrapper",
    "stuff",
}
FORBIDDEN_PARTS = re.compile(r"^(do_|process_|new_)|_v2$")
FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
NAMED = (*FUNCTION, ast.ClassDef)
LONGEST = 50  # lines of a function without its docstring


def name_of(file):
    return str(file.relative_to(ROOT))


def nodes_of(file, kinds):
    return [node for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(node, kinds)]


def length(function):
    """Count the lines of a function, its docstring left out."""
    first = function.body[0]
    words = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    return function.end_lineno - function.lineno + 1 - (first.end_lineno - first.lineno + 1 if words else 0)


def forbidden(name):
    """Say whether a module, class or function has a name that says nothing."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().split("_")
    return bool(FORBIDDEN.intersection(words) or FORBIDDEN_PARTS.search(name))


@pytest.mark.parametrize("file", EVERY, ids=name_of)
def test_source_is_ascii(file):
    assert file.read_bytes().isascii(), "write gamma, sigma or an escape such as \\u03b3"


@pytest.mark.parametrize("file", PACK + TOOLS, ids=name_of)
def test_names_say_what_they_are(file):
    names = [file.stem, *(node.name for node in nodes_of(file, NAMED))]
    assert [name for name in names if forbidden(name.strip("_"))] == []


@pytest.mark.parametrize("file", PACK + TOOLS, ids=name_of)
def test_no_function_is_long(file):
    assert [f"{node.name}: {length(node)}" for node in nodes_of(file, FUNCTION) if length(node) > LONGEST] == []


def test_functions_are_short_as_a_rule():
    lengths = [length(node) for file in PACK for node in nodes_of(file, FUNCTION)]
    assert median(lengths) <= 8
    assert quantiles(lengths, n=10)[-1] <= 25


@pytest.mark.parametrize(
    "name", ["utils", "gram_helper", "BaseRule", "do_step", "process_batch", "cfg_v2", "TraceManager"]
)
def test_a_forbidden_name_is_found(name):
    assert forbidden(name)


@pytest.mark.parametrize("name", ["database_url", "score", "encoder", "renewed", "score_from", "basement"])
def test_an_honest_name_passes(name):
    assert not forbidden(name)
