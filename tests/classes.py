"""The classes of a package, for tests that hold what is new to what holds for every one, without an entry for it."""

from dataclasses import MISSING, fields, is_dataclass
from importlib import import_module
from inspect import isabstract
from pkgutil import iter_modules
from typing import Any

import pytest


def classes_in(package, ancestor) -> list[Any]:
    """What can be made of a base class, in the modules of a package, by name."""
    for module in iter_modules(package.__path__):
        import_module(f"{package.__name__}.{module.name}")
    ours = {one for one in all_below(ancestor) if one.__module__.startswith(package.__name__) and not isabstract(one)}
    return sorted(ours, key=lambda one: one.__name__)


def made_without(entries, package, ancestor):
    """One of each of these classes whose name stands in no table and which needs nothing to be made."""
    new: list[Any] = [one for one in classes_in(package, ancestor) if one.__name__ not in entries and is_dataclass(one)]
    return [one() for one in new if all(each.default is not MISSING or not each.init for each in fields(one))]


def or_skipped(found, reason):
    """Parameters of a test; where there are none, one that is skipped with a reason."""
    return found or [pytest.param(None, id="none", marks=pytest.mark.skip(reason=f"covered: {reason}"))]


def all_below(cls):
    return {one for sub in cls.__subclasses__() for one in (sub, *all_below(sub))}
