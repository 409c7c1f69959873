"""Which source files a number depends on, and one checksum of them, under which it is kept: it is measured once."""

from __future__ import annotations

import ast
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path

import numpy as np
from numpy import ndarray

from ..dev.places import ROOT

PACK = "guidance_geometry"


def sources_of(file: Path, root: Path = ROOT) -> list[Path]:
    """A source file and every file of the project that it imports, directly or not, wherever in the file it does.

    Read from the syntax trees, so that nothing is run. A file that imports its neighbours by names found at run time
    counts as importing all of them.
    """
    found, waiting = set(), [file]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += imports_of(one, root)
    return sorted(found)


def imports_of(file: Path, root: Path) -> list[Path]:
    """Files of the project that one file imports, with the __init__.py of their packages."""
    tree = ast.parse(file.read_bytes())
    found = _neighbours(file, tree) if _imports_by_name(tree) else []
    rooms = dict[str, Path]()
    for node in (one for one in _nodes_that_run(tree) if isinstance(one, ast.ImportFrom)):
        if module := _module(node, file, root):
            found += [path for name in ("", *(alias.name for alias in node.names)) for path in _files(module / name)]
            rooms |= {alias.asname or alias.name: module / alias.name for alias in node.names}
    read = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]  # `room.module` imports it, too
    named = [(node.value.id, node.attr) for node in read if isinstance(node.value, ast.Name)]
    found += [path for room, module in named if room in rooms for path in _files(rooms[room] / module)]
    packages = [path.parent / "__init__.py" for path in found]
    return [path for path in {*found, *packages} if path.is_file() and path != root / "__init__.py"]


@cache
def origin(tool: Path, data: tuple[Path, ...] = (), root: Path = ROOT) -> str:
    """Checksum, 12 hexadecimal digits, of what the numbers of a tool depend on: data files, and every source file.

    Taken once in a process, since an edit while it runs reaches no module that is loaded already.
    tool: its source file; it and the data are below ROOT, and read at the same place below `root`.
    """
    digest = hashlib.sha256()
    here, *read = (root / one.relative_to(ROOT) for one in (tool, *data))
    for file in (*read, *sources_of(here, root)):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(root).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:12]


def kept(file: Path, measure: Callable[[], Mapping[str, ndarray]]) -> dict[str, ndarray]:
    """The arrays that a file holds, measured first if nobody did.  file: under the `origin` of what measures"""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(f".{os.getpid()}.partial.npz")
        np.savez_compressed(partial, **measure())  # pyright: ignore[reportArgumentType]  numpy has flags by name, too
        partial.replace(file)
    with np.load(file) as stored:
        return dict(stored)


def _module(node: ast.ImportFrom, file: Path, root: Path) -> Path | None:
    """Place of the module that an import statement names, without an ending; None if it is none of the project's."""
    parts = (node.module or "").split(".")
    if node.level:
        return file.parents[node.level - 1].joinpath(*parts)
    return root.joinpath(*parts[1:]) if parts[0] == PACK else None


def _files(module: Path) -> list[Path]:
    return [path for path in (module.with_suffix(".py"), module / "__init__.py") if path.is_file()]


def _nodes_that_run(tree: ast.AST) -> Iterator[ast.AST]:
    """All but what stands there for type checkers alone."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            waiting += node.orelse
        else:
            waiting += ast.iter_child_nodes(node)


def _imports_by_name(tree: ast.AST) -> bool:
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return {"import_module", "__package__"} <= names


def _neighbours(file: Path, tree: ast.AST) -> list[Path]:
    here = file.parent
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    folders = [folder for folder in here.iterdir() if folder.name in texts]  # extension.py, in the root, names nodes/
    below = [one for folder in folders for one in folder.rglob("*.py")]
    return [*here.glob("*.py"), *here.glob("*/__init__.py"), *below]
