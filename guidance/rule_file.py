"""A rule in a file of somebody's own, named FILE:RULE: a function, a class, or anything else that may be a rule."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import os
import re
import sys
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec
from pathlib import Path
from traceback import extract_tb
from types import CodeType, ModuleType
from typing import Any, NamedTuple

from . import OFFERED
from .contract import explain_fault, is_function, misfit

ROOT = Path(__file__).resolve().parents[1]
FORM = re.compile(r"(?P<file>.+\.py):(?P<name>[A-Za-z_]\w*)")
HEX = 16  # digits of a digest
NOT_NAMED = (
    "The rule {} is in a file that the command line does not name, and a plan or a folder runs no code by itself. If "
    "you trust the file, add --rule FILE:RULE."
)


class SourceLoader(SourceFileLoader):
    """Runs a file as it is now: bytecode is known by the second and the size of its file, which an edit may leave."""

    def get_code(self, fullname: str) -> CodeType:
        """The file, compiled anew."""
        return self.source_to_code(self.get_data(self.path), self.path)


class RuleFile(NamedTuple):
    """Where a rule is."""

    file: Path
    name: str

    @classmethod
    def of(cls, words: str) -> RuleFile | None:
        """The file and the name of FILE:RULE; None for other words.  Raises ValueError where there is no such file.

        For the words of a person, on a command line or in Python; those of a file are for `offered`.
        """
        match = FORM.fullmatch(words.strip())
        if not match:
            return None
        place = cls(Path(match["file"]).expanduser().resolve(), match["name"])
        if not place.file.is_file():
            raise ValueError(f"{words!r} names no file. Give FILE:RULE, such as my_rule.py:MyRule.")
        return place

    @classmethod
    def offered(cls, words: str) -> RuleFile:
        """The rule of this name among those that were named to this process.  Raises ValueError for any other."""
        place = cls.list_offers().get(without_folders(words.strip()))
        if place is None:
            raise ValueError(NOT_NAMED.format(words))
        return place

    @classmethod
    def list_offers(cls) -> dict[str, RuleFile]:
        """The rules that whoever started this process named to it, by their words; files that are gone are left out."""
        named = [match for words in os.environ.get(OFFERED, "").splitlines() if (match := FORM.fullmatch(words))]
        every = [cls(Path(match["file"]), match["name"]) for match in named]
        return {one.word: one for one in every if one.file.is_file()}

    @property
    def word(self) -> str:
        """How it is called, wherever the file is."""
        return f"{self.file.name}:{self.name}"

    @property
    def digest(self) -> str:
        """By which another content of the file is told apart."""
        return hashlib.sha256(self.file.read_bytes()).hexdigest()[:HEX]

    def named(self) -> Any:
        """What the name stands for; the file is run.  Raises ValueError."""
        module = self._module()
        if not hasattr(module, self.name):
            names = ", ".join(key for key in vars(module) if not key.startswith("_"))
            raise ValueError(f"{self.file.name} has no {self.name!r}. It has {names}.")
        return getattr(module, self.name)

    def rule(self) -> Any:
        """The rule.  Raises ValueError with the contract where it is none."""
        rule = make_rule(self.named())
        if fault := misfit(rule):
            raise ValueError(explain_fault(fault))
        return rule

    def _module(self) -> ModuleType:
        """The module in the file; one of this pack under its own name, so that its relative imports work."""
        if self.file.is_relative_to(ROOT) and (self.file.parent / "__init__.py").exists():
            parts = self.file.relative_to(ROOT).with_suffix("").parts
            return importlib.import_module(".".join((__name__.rsplit(".", 2)[0], *parts)))
        name = f"guidance_geometry_rule_{self.digest}"  # a dataclass looks its module up
        loader = SourceLoader(name, str(self.file))
        spec = ModuleSpec(name, loader, origin=loader.path)
        spec.has_location = True
        module = sys.modules[name] = module_from_spec(spec)
        try:
            loader.exec_module(module)
        except Exception as error:
            raise ValueError(f"{self.file.name} cannot be run: {line_of(error)}. Mend it.") from error
        return module


def without_folders(chain: str) -> str:
    """A chain of rules in which a rule in a file goes by the name of its file: no plan chooses one by its folder."""
    words = [word.strip() for word in chain.split("+")]
    if not any(map(FORM.fullmatch, words)):
        return chain
    return " + ".join(Path(word).name if FORM.fullmatch(word) else word for word in words)


def make_rule(named: Any) -> Any:
    """What a class, or a function without arguments, makes; anything else is the rule itself.

    Raises ValueError with the contract where it makes nothing.
    """
    if not isinstance(named, type) and not (is_function(named) and not inspect.signature(named).parameters):
        return named
    try:
        return named()
    except Exception as error:
        raise ValueError(explain_fault(f"{named.__name__}() makes no rule: {line_of(error)}.")) from error


def line_of(error: Exception) -> str:
    """An exception with the line that raised it; of what this pack says, its words are enough."""
    last = extract_tb(error.__traceback__)[-1]
    if Path(last.filename).is_relative_to(ROOT / "guidance") and last.filename != __file__:
        return str(error)
    return f"{type(error).__name__}: {error} ({Path(last.filename).name}, line {last.lineno}: {last.line})"
