"""What may stand where a rule is asked for, and what to write instead of what may not."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from .chain import PLAIN, Chain, chain_of
from .printing import class_of
from .rules.function import FunctionRule
from .rules.kinds import Rule

CONTRACT = """
A rule is a function from u, c, x, gamma and sigma to the guided prediction D. This one works:

    def rule(u, c, x, gamma, sigma):
        return c + (gamma - 1) * (c - u)

u, c: the predictions of the clean sample, without and with the condition, [B, ...] of any rank. x: the noisy sample.
gamma: the guidance scale, a number; 1 must give c. sigma: the noise level, [B, 1, ...]. D has the shape of c.
A rule that remembers is an object with init(run) -> state and step(state, p, gamma) -> (D, next state), where p holds
x, sigma, alpha, uncond and cond."""
METHODS = {"init": ("run",), "step": ("state", "p", "gamma")}


def explain_fault(fault: str) -> str:
    """A fault in a sentence, and below it the contract with a rule that works."""
    return f"{fault}\n{CONTRACT}"


def chain_from(rule: Any) -> Chain:
    """A rule of any form as a chain: None for plain guidance, a rule, chain, function, or object of any pack.

    Raises ValueError with the contract for anything else.
    """
    if fault := misfit(rule):
        raise ValueError(explain_fault(fault))
    if rule is None:
        return PLAIN
    if isinstance(rule, Rule):
        return PLAIN.then(rule)
    return PLAIN.then(FunctionRule(rule)) if is_function(rule) else chain_of(rule)


def misfit(rule: Any) -> str:
    """Why something is no rule, in a sentence; empty for one."""
    if rule is None or isinstance(rule, Rule | Chain):
        return ""
    if isinstance(rule, type):
        return f"{rule.__name__} is a class, but a rule is needed. Call it: {rule.__name__}()."
    if is_function(rule):
        wrong = unfit(rule, ("u", "c", "x", "gamma", "sigma"))
        return f"{rule.__name__} {wrong}" if wrong else ""
    missing = [name for name in METHODS if not callable(getattr(rule, name, None))]
    if missing:
        return f"{class_of(rule)} is no rule: it has no {' and no '.join(missing)}."
    faults = {name: unfit(getattr(rule, name), names) for name, names in METHODS.items()}
    return next((f"{class_of(rule)}.{name} {wrong}" for name, wrong in faults.items() if wrong), "")


def is_function(rule: Any) -> bool:
    """Whether it is called itself, and not its methods."""
    return inspect.isroutine(rule)


def unfit(function: Callable, names: tuple[str, ...]) -> str:
    """Why a function cannot be called with so many values, in words; empty where it can, or nobody knows."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # of one that is not written in Python
        return ""
    try:
        signature.bind(*names)
    except TypeError:
        return f"takes {signature}, but is called with ({', '.join(names)})."
    return ""
