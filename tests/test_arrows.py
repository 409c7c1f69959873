"""Which room may import which, tests and tools too, and no circle of modules anywhere. Read from the source."""

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RUNS = {"guidance", "files", "samplers", "trace", "measure", "verdict"}  # what knows runs and their pictures
# nodes -> host -> {sweeps, figures, models} -> verdict -> {trace, measure} -> samplers -> guidance, files beside
ALLOWED = {
    "guidance": set(),
    "files": {"guidance"},
    "samplers": {"guidance"},
    "trace": {"guidance", "files", "samplers"},
    "measure": {"guidance"},
    "verdict": RUNS - {"verdict"},
    "models": {"guidance", "files"},
    "figures": RUNS,
    "sweeps": {*RUNS, "figures"},
    "library": {*RUNS, "models", "figures", "sweeps"},
    "cli": {*RUNS, "models", "figures", "sweeps", "library"},
    "host": {*RUNS, "models", "figures", "sweeps"},
    "nodes": {*RUNS, "models", "figures", "sweeps", "host"},
}
WITHIN = {  # rooms of a room, each of which may import those before it
    "models": ("networks", "denoisers", "classifiers", "conversion"),
    "host": ("models", "editor", "sampling", "recording", "sweeps"),
}
BY_NAME = ("sweeps/cluster/worker.py",)  # it travels to other machines by value, where nothing is relative to it
OF_THE_HOST = ("host", "nodes")  # rooms that know ComfyUI
HOST = {"comfy", "comfy_api", "comfy_execution", "comfy_extras", "folder_paths", "latent_preview", "node_helpers"}
HOST |= {"server", "app"}
LAZY = {"matplotlib", "pandas", "PIL", "torchvision", "transformers", "kornia"}  # never at module level: start-up time
FILES = [file for room in ALLOWED for file in sorted((ROOT / room).rglob("*.py"))]
LAB_ROOMS = {"train": set(), "verdict": {"train"}, "pages": set(), "studies": {"train", "pages"}, "bench": set()}
BESIDE = [file for room in ("dev", "lab", "tests") for file in sorted((ROOT / room).rglob("*.py"))]


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


@cache
def imports(file: Path) -> list[ast.stmt]:
    """The import statements of a file, of its functions too."""
    waiting: list[ast.stmt] = [*ast.parse(file.read_bytes()).body]
    for one in waiting:  # statements alone: most of a tree is expressions, which hold none
        for name in ("body", "orelse", "finalbody", "handlers", "cases"):
            waiting += getattr(one, name, None) or []
    return [one for one in waiting if isinstance(one, ast.Import | ast.ImportFrom)]


def _is_upwards(file: Path, target: tuple[str, ...]) -> bool:
    """Whether a room within a room imports one that stands above it."""
    here, there = (WITHIN.get(path[0], ()).index(path[1]) if path[1:2] and path[1] in WITHIN.get(path[0], ()) else None
                   for path in (file.relative_to(ROOT).parts, target[1:]))  # fmt: skip
    return target[1] == file.relative_to(ROOT).parts[0] and None not in (here, there) and there > here


def violations(file: Path) -> list[str]:
    """List the imports of one file that its room may not make."""
    room = file.relative_to(ROOT).parts[0]
    found = []
    for node in imports(file):
        for target in imported(node, file):
            first = target[1] if target[0] == "" else target[0]
            relative = target[0] == ""
            wrong = (
                first not in ALLOWED[room] | {room}
                if relative
                else first in {*ALLOWED, "..", "guidance_geometry"} and str(file.relative_to(ROOT)) not in BY_NAME
            )
            if wrong or (first in HOST and room not in OF_THE_HOST) or (relative and _is_upwards(file, target)):
                found.append(f"line {node.lineno}: {'.'.join(target)}")
    found += [
        f"line {node.lineno}: {target[0]} at module level"
        for node in imports(file)
        for target in imported(node, file)
        if target[0] in LAZY and not node.col_offset
    ]
    return found


def test_a_room_imports_only_what_the_arrows_allow():
    found = {str(file.relative_to(ROOT)): violations(file) for file in FILES}
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


def test_the_entry_point_imports_the_host_only_inside_its_function():
    tree = ast.parse((ROOT / "__init__.py").read_text(encoding="utf-8"))
    early = [target[0] for node in tree.body for target in imported(node, ROOT / "__init__.py")]
    assert set(early) <= {"logging", "functools", "importlib", "pathlib", "sys"}


def name_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts)


def arrows(files: list[Path]) -> dict[str, set[str]]:
    """Which module names which of the others: at its top, inside a function or for types alone."""
    names = {name_of(file) for file in files}
    found = {}
    for file in files:
        targets = [t for node in imports(file) for t in imported(node, file) if t[0] == ""]
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


def ours(node: ast.AST, file: Path) -> list[tuple[str, ...]]:
    """What an import statement names of this project, as paths below the root."""
    module = (isinstance(node, ast.ImportFrom) and not node.level and node.module) or ""
    if isinstance(node, ast.ImportFrom) and module.startswith("guidance_geometry"):
        return [(*module.split(".")[1:], alias.name) for alias in node.names]
    return [target[1:] for target in imported(node, file) if target[0] == ""]


def may(here: tuple[str, ...], target: tuple[str, ...]) -> bool:
    """Whether a module beside the pack may import another.

    dev/ imports nothing of the others, lab/ dev/ and what its room may. A test imports no other, nothing of another
    room of tests, and of dev/ what it likes; only the laboratory's own import the laboratory.
    """
    of_lab_tests = here[:2] == ("lab", "tests")
    if target[:1] == ("tests",) or target[:2] == ("lab", "tests"):
        shared = len(target) < 3 or not ROOT.joinpath(*target[:2]).is_dir() or target[:2] == here[:2]
        in_tests = here[0] == "tests" or of_lab_tests
        return in_tests and shared and not any(one.startswith("test_") for one in target)
    if target[:1] == ("lab",):
        part = target[1] if len(target) > 1 and target[1] in LAB_ROOMS else ""
        return of_lab_tests or (here[0] == "lab" and part in {"", here[1], *LAB_ROOMS.get(here[1], ())})
    return True


def test_what_is_beside_the_pack_keeps_to_its_arrows():
    named = [(file, one) for file in BESIDE for node in imports(file) for one in ours(node, file)]
    strays = [(str(file), ".".join(one)) for file, one in named if not may(file.relative_to(ROOT).parts, one)]
    assert strays == []


def test_the_page_of_the_rooms_names_what_is_there():
    """Every file that it names, and what it says stands in one."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    files = re.findall(r"`((?:\w+/)+\w+\.(?:py|mjs|json))`", page)
    assert files
    assert [name for name in files if not (ROOT / name).is_file()] == []
    places = re.findall(r"`(\w+)` in `([\w/]+\.py)`", page)
    assert places
    assert [place for place in places if place[0] not in (ROOT / place[1]).read_text(encoding="utf-8")] == []
