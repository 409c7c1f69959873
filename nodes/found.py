"""The nodes of a folder: a file that is put there is found, and registered nowhere else."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pkgutil import iter_modules


def nodes_in(package: str, path: Iterable[str], *first: str) -> list[type]:
    """Everything in the NODES of a package's modules: of these first, then of the others by name.

    path: of the package. A module without NODES holds what the others share.
    """
    others = sorted({module.name for module in iter_modules(path)} - set(first))
    modules = [import_module(f"{package}.{name}") for name in (*first, *others)]
    return [node for module in modules for node in getattr(module, "NODES", ())]
