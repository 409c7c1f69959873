"""Which room may import which, tests and tools too, and no circle of modules anywhere. Read from the source."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
RUNS = {"guidance", "files", "samplers", "trace", "verdict"}  # what knows runs
MODELS = {"networks", "denoisers", "classifiers"}
# nodes -> host -> {sweeps, figures, denoisers, classifiers} -> verdict -> trace -> samplers -> guidance, files beside
ALLOWED = {
    "guidance": set(),
    "networks": set(),
    "files": {"guidance"},
    "samplers": {"guidance"},
    "trace": {"guidance", "files", "samplers"},
    "verdict": RUNS - {"verdict"},
    "denoisers": {"guidance", "files", "networks"},
    "classifiers": {"guidance", "files", "networks", "denoisers"},
    "figures": RUNS,
    "sweeps": {*RUNS, "figures"},
    "library": {*RUNS, *MODELS, "figures", "sweeps"},
    "host": {*RUNS, *MODELS, "figures", "sweeps"},
    "nodes": {*RUNS, *MODELS, "figures", "sweeps", "host"},
}
OF_THE_HOST = ("host", "nodes")  # rooms that know ComfyUI
HOST = {
    "comfy",
    "comfy_api",
    "comfy_execution",
    "comfy_extras",
    "folder_paths",
    "latent_preview",
    "node_helpers",
    "server",
    "app",
}
LAZY = {"matplotlib", "pandas", "PIL", "torchvision", "transformers", "kornia"}  # never at module level: start-up time
FILES = [file for room in ALLOWED for file in sorted((ROOT / room).rglob("*.py"))]
TOOLS, TESTS = (sorted((ROOT / folder).rglob("*.py")) for folder in ("tools", "tests"))
TOOLS_OF = {  # what a room of tools/ may import of tools/ beside what stands at its top
    "": {"fixtures", "host"},
    "fixtures": set(),
    "host": set(),
    "train": set(),
    "verdict": {"train", "docs", "host"},
    "convert": set(),
    "templates": {"host"},
    "fuzz": {"fixtures", "host", "templates"},
    "docs": {"fixtures", "host", "templates", "train"},
    "bench": {"fixtures", "host", "templates", "train", "docs", "fuzz"},
}
TESTED = {"": {"fixtures", "host"}, "queue": {"fixtures", "host", "templates"}, "tools": {*TOOLS_OF}}  # the same of
# tests, whose top has the one browser; others: fixtures


def imported(node: ast.AST, file: Path) -> list[tuple[str, ...]]:
    """Return what an import statement names: absolute dotted paths, relative ones as ("", path below the root)."""
    if isinstance(node, ast.Import):
        return [tuple(alias.name.split(".")) for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    module = tuple((node.module or "").split(".")) if node.module else ()
    if node.level == 0:
        return [module]
    folder = file.relative_to(ROOT).parts[:-1]
    if node.level > len(folder) + 1:
        return [("..",)]
    base = folder[: len(folder) - node.level + 1]
    return [("", *base, *module, alias.name) for alias in node.names]


def violations(source: str, file: Path) -> list[str]:
    """List the imports of one file that its room may not make."""
    room = file.relative_to(ROOT).parts[0]
    tree = ast.parse(source)
    found = []
    for node in ast.walk(tree):
        for target in imported(node, file):
            first = target[1] if target[0] == "" else target[0]
            relative = target[0] == ""
            wrong = (
                first not in ALLOWED[room] | {room}
                if relative
                else first in ALLOWED or first in {"..", "guidance_geometry"}
            )
            if wrong or (first in HOST and room not in OF_THE_HOST):
                found.append(f"line {node.lineno}: {'.'.join(target)}")
    found += [
        f"line {node.lineno}: {target[0]} at module level"
        for node in tree.body
        for target in imported(node, file)
        if target[0] in LAZY
    ]
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_room_imports_only_what_the_arrows_allow(file):
    assert not violations(file.read_text(encoding="utf-8"), file)


@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("guidance", "from ..samplers import loop"),
        ("guidance", "import comfy.utils"),
        ("samplers", "from ..host.adapter import evaluate"),
        ("samplers", "from .. import figures"),
        ("figures", "import matplotlib"),
        ("figures", "from ..classifiers.files import load_classifier"),
        ("host", "from ..nodes.sampling import GGGuider"),
        ("nodes", "import nodes"),
        ("nodes", "from samplers import loop"),
        ("nodes", "from guidance_geometry.guidance import vectors"),
        ("denoisers", "from ... import guidance"),
        ("host", "from ..tools import markdown"),
        ("nodes", "from ..tests.traces import exact_trace"),
    ],
)
def test_a_wrong_arrow_is_found(room, line):
    assert violations(line, ROOT / room / "sample.py")


@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("guidance", "from .vectors import dot"),
        ("guidance", "import torch"),
        ("samplers", "from ..guidance import vectors"),
        ("host", "import comfy.samplers"),
        ("nodes", "from ..samplers.loop import run\nimport comfy.samplers"),
        ("figures", "def draw():\n    import matplotlib"),
    ],
)
def test_a_right_arrow_passes(room, line):
    assert not violations(line, ROOT / room / "sample.py")


def test_the_entry_point_imports_the_host_only_inside_its_function():
    tree = ast.parse((ROOT / "__init__.py").read_text(encoding="utf-8"))
    early = [target[0] for node in tree.body for target in imported(node, ROOT / "__init__.py")]
    assert set(early) <= {"logging", "functools", "importlib"}


def name_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts)


def arrows(files: list[Path]) -> dict[str, set[str]]:
    """Which module names which of the others, at its top, inside a function or for types alone."""
    names = {name_of(file) for file in files}
    found = {}
    for file in files:
        targets = [t for node in ast.walk(ast.parse(file.read_bytes())) for t in imported(node, file) if t[0] == ""]
        found[name_of(file)] = {n for t in targets for n in (".".join(t[1:]), ".".join(t[1:-1])) if n in names}
    return found


def circle(graph: dict[str, set[str]]) -> list[str]:
    """One path of modules that ends where it began; empty where there is none."""
    safe: set[str] = set()

    def walk(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        found = next((c for one in sorted(graph[name] - safe) if (c := walk(one, [*path, name]))), [])
        safe.add(name)
        return found

    return next((c for name in sorted(graph) if (c := walk(name, []))), [])


def test_no_module_of_the_pack_imports_itself_by_a_detour():
    assert circle(arrows(FILES)) == []


def test_a_circle_is_found():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == ["b", "c", "b"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_no_tool_imports_itself_by_a_detour():
    assert circle(arrows(TOOLS)) == []


def ours(node: ast.AST, file: Path) -> list[tuple[str, ...]]:
    """What an import statement names of this project, as paths below the root."""
    if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("guidance_geometry") and not node.level:
        return [(*node.module.split(".")[1:], alias.name) for alias in node.names]
    return [target[1:] for target in imported(node, file) if target[0] == ""]


def room_of(path: tuple[str, ...]) -> str:
    """Folder below tests/ or tools/ in which a module is; empty for those at the top."""
    return path[1] if len(path) > 1 and ROOT.joinpath(*path[:2]).is_dir() else ""


def strays(source: str, file: Path) -> list[str]:
    """Imports of a test or a tool that lead where they may not.

    A tool imports no test, and of other tools what its room may. A test imports no other, nothing of another room of
    tests, and of tools only the fixtures and what its room is there to test.
    """
    here = file.relative_to(ROOT).parts
    room, found = room_of(here), []
    for target in (one for node in ast.walk(ast.parse(source)) for one in ours(node, file)):
        if target[0] == "tests":
            shared = here[0] == "tests" and room_of(target) in ("", room)
            right = shared and not any(part.startswith("test_") for part in target)
        else:
            may = TESTED.get(room, {"fixtures"}) if here[0] == "tests" else {"", room, *TOOLS_OF[room]}
            right = target[0] != "tools" or room_of(target) in may
        found += [] if right else [f"{'/'.join(here)} imports {'.'.join(target)}"]
    return found


@pytest.mark.parametrize("file", [*TOOLS, *TESTS], ids=lambda file: str(file.relative_to(ROOT)))
def test_tests_and_tools_keep_to_their_arrows(file):
    assert strays(file.read_text(encoding="utf-8"), file) == []


@pytest.mark.parametrize(
    ("place", "line", "right"),
    [
        ("tests/host/test_a.py", "from .runs import guided", True),
        ("tests/host/test_a.py", "from guidance_geometry.tests.traces import exact_trace", True),
        ("tests/host/test_a.py", "from guidance_geometry.tools.fixtures import exact_toy", True),
        ("tests/queue/test_a.py", "from guidance_geometry.tools.host.client import Client", True),
        ("tests/tools/test_a.py", "from guidance_geometry.tools.docs import story", True),
        ("tests/host/test_a.py", "def a():\n    from .test_split import Collected", False),
        ("tests/host/test_a.py", "from guidance_geometry.tests.queue.prompts import ROOT", False),
        ("tests/host/test_a.py", "from guidance_geometry.tools.host.client import Client", False),
        ("tests/test_a.py", "from guidance_geometry.tools import markdown", False),
        ("tools/bench/a.py", "from ...tests import traces", False),
        ("tools/bench/a.py", "from ..docs.story import page_of", True),
        ("tools/docs/a.py", "from ..bench.rules import main", False),
        ("tools/host/a.py", "from .. import places", True),
    ],
)
def test_an_arrow_of_tests_and_tools_is_judged(place, line, right):
    assert (strays(line, ROOT / place) == []) == right
