"""Rooms whose modules are imported when they are first used: a host starts with none that only a run needs."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType


def modules_on_demand(room: str) -> Callable[[str], ModuleType]:
    """The `__getattr__` of a package, with which `room.module` imports the module of this name where nothing has yet.

    It raises AttributeError where there is no such module, and whatever importing it raises.
    """

    def module(name: str) -> ModuleType:
        if find_spec(f"{room}.{name}") is None:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        return import_module(f"{room}.{name}")

    return module
