"""Hold a rule against the invariants: `python3 dev.py check FILE:RULE` prints the table, and fails when the rule does.

FILE is a Python file, RULE the name in it of a rule: an object with `init` and `step`, a rule or chain of this pack, or
a class or function that makes one without arguments. Nothing of this pack has to be imported there.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from ..guidance.chain import PLAIN, Chain
from ..guidance.rules.kinds import Rule
from .fixtures.invariants import INVARIANTS, OPTIONAL, Verdict, claims_of, examine, failed
from .places import ROOT


def loaded(file: Path) -> ModuleType:
    """The module in a file; one of this pack under its own name, so that its relative imports work."""
    if file.is_relative_to(ROOT) and (file.parent / "__init__.py").exists():
        parts = file.relative_to(ROOT).with_suffix("").parts
        return importlib.import_module(".".join((__package__.rpartition(".")[0], *parts)))
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise ValueError(f"{file} is no Python file. Give FILE:RULE, such as my_rule.py:MyRule.")
    module = sys.modules[file.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def found(words: str) -> Any:
    """The rule that FILE:RULE names, ready to be examined.  Raises ValueError with what is wrong with the words."""
    place, _, name = words.rpartition(":")
    file = Path(place).resolve()
    if not place or not file.is_file():
        raise ValueError(f"{words!r} names no file. Give FILE:RULE, such as my_rule.py:MyRule.")
    module = loaded(file)
    if not hasattr(module, name):
        known = ", ".join(key for key in vars(module) if not key.startswith("_"))
        raise ValueError(f"{file.name} has no {name!r}. It has {known}.")
    made = getattr(module, name)
    return as_guidance(made if hasattr(made, "step") and not isinstance(made, type) else made())


def as_guidance(rule: Any) -> Any:
    """A rule of this pack as the chain that holds it alone; whatever else has `init` and `step`, as it is."""
    if isinstance(rule, Rule):
        return PLAIN.then(rule)
    if isinstance(rule, Chain) or all(callable(getattr(rule, method, None)) for method in ("init", "step")):
        return rule
    raise ValueError(
        f"{type(rule).__name__} is no rule: it needs init(run) -> state and step(state, predictions, gamma) -> "
        "(guided, state)."
    )


def lines(verdicts: dict[str, Verdict]) -> list[str]:
    """The table for a terminal, with what each invariant means."""
    meanings = {one.name: one.meaning for one in INVARIANTS}
    return [f"  {name:20} {verdict!s:24} {meanings[name]}" for name, verdict in verdicts.items()]


def main() -> int:
    """Print the table of one rule; 1 when an invariant fails that every rule must hold or this one claims."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rule", metavar="FILE:RULE")
    words = parser.parse_args().rule
    try:
        rule = found(words)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    verdicts = examine(rule)
    print(f"{getattr(rule, 'text', words)}\n" + "\n".join(lines(verdicts)))
    print(f"  claims: {', '.join(sorted(claims_of(rule))) or 'nothing'} (of {', '.join(OPTIONAL)})")
    broken = failed(verdicts)
    print(f"FAILED: {', '.join(broken)}" if broken else "Everything that is claimed holds.")
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
