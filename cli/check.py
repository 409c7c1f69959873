"""The command `check`: a rule in a Python file, held against the invariants."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from ..guidance.chain import Chain
from ..guidance.contract import chain_from, explain_fault, is_function, misfit
from ..guidance.invariants import INVARIANTS, OPTIONAL, Verdict, claims_of, examine, list_failures
from ..guidance.printing import class_of
from ..guidance.rule_file import RuleFile, line_of, make_rule
from ..guidance.rules.function import FunctionRule
from ..guidance.rules.kinds import Rule
from ..guidance.synthetic_run import GAMMA, query_chain, run_of, steps_of
from ..sweeps.axes import suggest
from .options import parse

STATE = "Keep no state outside the rule. What it remembers is the state that step returns."
MENDING = {  # what is usually wrong where one of these fails
    "gamma 1 is c": "At gamma = 1 return c, such as c + (gamma - 1) * (c - u).",
    "c = u gives c": "Where c - u is 0, dividing by its length gives nan. Give it a floor: length.clamp(min=1e-8).",
    "batch is singles": "Sums, means and norms must be of one sample: x.flatten(1).norm(dim=1), not x.norm().",
    "rank 3, 4, 5": "Do not write dimensions out. Shape a number per sample as v.view(-1, *[1] * (x.ndim - 1)).",
    "second run is first": STATE,
    "half precision": "Compute in float32 and return the dtype of c: guided.to(c.dtype).",
    "inputs kept": "Change no input in place: c = c - u, not c -= u.",
    "stages leave no state": STATE,
}


def find_rule(words: str) -> Any:
    """The rule that FILE:RULE names, ready to be examined.  Raises ValueError with what is wrong with the words."""
    if place := RuleFile.of(words):
        return prepare_rule(place.named())
    raise ValueError(f"{words!r} names no file. Give FILE:RULE, such as my_rule.py:MyRule.")


def prepare_rule(named: Any) -> Any:
    """What a name stands for, ready to be examined: what this pack makes as a chain, an object of any other as it is.

    Raises ValueError with the contract where it is no rule, or fails at its first step.
    """
    rule = make_rule(named)
    if fault := misfit(rule):
        raise ValueError(explain_fault(fault))
    if is_function(rule):  # not as a chain, which would not ask it at gamma = 1
        rule = FunctionRule(rule)
    elif isinstance(rule, Rule):
        rule = chain_from(rule)
    if fault := first_fault(rule):
        raise ValueError(explain_fault(fault))
    refuse_unknown_claims(rule)
    return rule


def refuse_unknown_claims(rule: Any) -> None:
    """Raise ValueError for a claim that nothing here tests: it would stand there and never fail."""
    for claim in sorted(claims_of(rule) - {*OPTIONAL}):
        names = ", ".join(f'"{name}"' for name in OPTIONAL)
        raise ValueError(f'The rule claims "{claim}". {suggest(claim, OPTIONAL)} claims is a set of these: {names}.')


def first_fault(rule: Any) -> str:
    """What goes wrong at the first step of a synthetic run, in a sentence; empty where nothing does."""
    steps = steps_of(rule)
    try:
        state = rule.init(run_of(steps))
        p, gamma = query_chain(rule, state, steps[0], GAMMA) if isinstance(rule, Chain) else (steps[0], GAMMA)
        answer = rule.step(state, p, gamma)
    except Exception as error:  # noqa: BLE001  anybody's code may raise anything
        return f"The rule fails at its first step: {line_of(error)}"
    if not (isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[0], Tensor)):
        return f"{class_of(rule)}.step returned {class_of(answer)}, but a pair (D, next state) is needed."
    if answer[0].shape != p.cond.shape:
        return f"{class_of(rule)}.step gave D the shape {[*answer[0].shape]}, but that of c is {[*p.cond.shape]}."
    return ""


def lines(verdicts: dict[str, Verdict]) -> list[str]:
    """The table for a terminal, with what each invariant means."""
    meanings = {invariant.name: invariant.meaning for invariant in INVARIANTS}
    return [f"  {name:21} {verdict!s:24} {meanings[name]}" for name, verdict in verdicts.items()]


def faults(verdicts: dict[str, Verdict]) -> list[str]:
    """A line for each failure and each error: what the rule raised, and what usually mends it."""
    broken = list_failures(verdicts)
    remarks = {
        name: (verdict.note, MENDING.get(name, "") if name in broken else "") for name, verdict in verdicts.items()
    }
    return [f"  {name}: {' | '.join(filter(None, words))}" for name, words in remarks.items() if any(words)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table of one rule; 1 when an invariant fails that every rule must hold or this one claims."""
    words = parse("check", arguments).rule
    try:
        rule = find_rule(words)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    verdicts = examine(rule)
    print(f"{getattr(rule, 'text', words)}\n" + "\n".join(lines(verdicts)))
    print(f"  claims: {', '.join(sorted(claims_of(rule))) or 'nothing'} (of {', '.join(OPTIONAL)})")
    broken = list_failures(verdicts)
    print(f"FAILED: {', '.join(broken)}" if broken else "Everything that is claimed holds.")
    print("".join(f"{line}\n" for line in faults(verdicts)), end="")
    return int(bool(broken))
