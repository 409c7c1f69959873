"""The figures of the house style, counted on the syntax trees."""

import ast
import re
from pathlib import Path
from statistics import median, quantiles

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = (
    "guidance",
    "files",
    "networks",
    "samplers",
    "trace",
    "denoisers",
    "classifiers",
    "figures",
    "library",
    "studies",
    "host",
    "nodes",
)
PACK = [
    ROOT / "__init__.py",
    ROOT / "extension.py",
    *(file for room in ROOMS for file in sorted((ROOT / room).rglob("*.py"))),
]
NODES = sorted((ROOT / "nodes").rglob("*.py"))
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
MEDIAN, NINE_OF_TEN = 4, 14  # the same, of all functions of the pack
MOST_ARGUMENTS = 8  # of a function, self among them; the `execute` of a node has one for each of its inputs
MOST_ATTRIBUTES = 12
MOST_LINES = 30_200  # of the pack, blank ones left out; 3,000 of them are the published networks
MOST_LINES_OF_NODES = 4_500  # the blank ones too


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
    assert median(lengths) <= MEDIAN
    assert quantiles(lengths, n=10)[-1] <= NINE_OF_TEN


def arguments(function):
    """Count the arguments of a function; *args and **named are one each."""
    form = function.args
    return len([*form.posonlyargs, *form.args, *form.kwonlyargs]) + bool(form.vararg) + bool(form.kwarg)


def attributes(owner):
    """Return what the instances of a class hold: its fields, and what its methods set on self."""
    stored = [node for node in ast.walk(owner) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)]
    fields = [node for node in owner.body if isinstance(node, ast.AnnAssign) and "ClassVar" not in ast.dump(node)]
    return {node.attr for node in stored if getattr(node.value, "id", None) == "self"} | {f.target.id for f in fields}


def crowded(tree):
    """Name the functions with many arguments, as Class.method or function, and the classes with many attributes."""
    named = {
        id(node): f"{owner.name}." for owner in ast.walk(tree) if isinstance(owner, ast.ClassDef) for node in owner.body
    }
    found = [node for node in ast.walk(tree) if isinstance(node, NAMED)]
    many = [
        len(attributes(node)) > MOST_ATTRIBUTES
        if isinstance(node, ast.ClassDef)
        else arguments(node) > MOST_ARGUMENTS and node.name != "execute"
        for node in found
    ]
    return {named.get(id(node), "") + node.name for node, over in zip(found, many, strict=True) if over}


def test_no_function_has_many_arguments_and_no_class_many_attributes():
    assert set().union(*(crowded(ast.parse(file.read_bytes())) for file in PACK)) == set()


def test_what_is_crowded_is_found():
    names = ", ".join(f"a{k}" for k in range(8))
    sets = "; ".join(f"self.a{k} = {k}" for k in range(13))
    assert crowded(ast.parse(f"def f({names}, *rest): ...")) == {"f"}
    assert crowded(ast.parse(f"class A:\n    def f(self, {names}): ...")) == {"A.f"}
    assert crowded(ast.parse(f"class A:\n    def f(self): {sets}")) == {"A"}
    assert crowded(ast.parse(f"class A:\n    def execute(cls, {names}): ...\ndef f({names}): ...")) == set()


@pytest.mark.parametrize("file", [file for file in NODES if file.name != "__init__.py"], ids=name_of)
def test_a_file_in_nodes_defines_a_node(file):
    assert [node.name for node in nodes_of(file, ast.ClassDef) if node.name.startswith("GG")]


def test_the_pack_is_small():
    lines = {file: file.read_text(encoding="utf-8").splitlines() for file in PACK}
    assert sum(len(lines[file]) for file in NODES) <= MOST_LINES_OF_NODES
    assert sum(bool(line.strip()) for file in PACK for line in lines[file]) <= MOST_LINES


@pytest.mark.parametrize(
    "name", ["utils", "gram_helper", "BaseRule", "do_step", "process_batch", "cfg_v2", "TraceManager"]
)
def test_a_forbidden_name_is_found(name):
    assert forbidden(name)


@pytest.mark.parametrize("name", ["database_url", "score", "encoder", "renewed", "score_from", "basement"])
def test_an_honest_name_passes(name):
    assert not forbidden(name)
