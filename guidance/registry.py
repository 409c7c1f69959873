"""Every rule and every energy of this pack, so that none has to be listed anywhere."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from inspect import isabstract
from pkgutil import iter_modules
from typing import TypeVar

from .energies.protocol import PictureEnergy
from .rules.kinds import Rule

Kind = TypeVar("Kind")


@cache
def every_rule() -> dict[str, type[Rule]]:
    """Every rule that can be made, by the name of its class."""
    return _classes("rules", Rule)


@cache
def every_energy() -> dict[str, type[PictureEnergy]]:
    """Every energy, by the name of its class."""
    return _classes("energies", PictureEnergy)


def _classes(folder: str, kind: type[Kind]) -> dict[str, type[Kind]]:
    place = f"{__package__}.{folder}"
    modules = [import_module(f"{place}.{one.name}") for one in iter_modules(import_module(place).__path__)]
    every = [one for module in modules for one in vars(module).values() if isinstance(one, type)]
    # not issubclass: every abstract class below `kind` would keep a note of every class that is asked about
    return {one.__name__: one for one in every if kind in one.__mro__[1:] and not isabstract(one)}
