"""A guidance rule typed as a formula: read as a syntax tree of few allowed kinds, never executed as code."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from ..knobs import knob
from ..predictions import Predictions
from ..printing import count_of, shorten
from ..vectors import dot, flat, mean, norm, numbers, per_item, project, reject, widen
from .kinds import Combine

PLAIN = "u + gamma * d"
LONGEST = 2000  # characters
DEEPEST = 60  # nested operations
LONGEST_SAID = 60  # characters that a message repeats
PROBE = (2, 3, 2, 2)


def _divide(a: Tensor, b: Tensor) -> Tensor:
    return torch.where(b == 0, 0.0, a / torch.where(b == 0, 1.0, b))


class Function(NamedTuple):
    """What a name in a formula does.  whole: it reduces, so that its arguments are spread over the item first."""

    call: Callable[..., Tensor]
    arguments: int
    whole: bool = False


FUNCTIONS: dict[str, Function] = {
    "dot": Function(lambda a, b: per_item(dot(a, b), a), 2, True),
    "norm": Function(lambda a: per_item(norm(a), a), 1, True),
    "mean": Function(lambda a: per_item(mean(a), a), 1, True),
    "std": Function(lambda a: per_item(flat(a).std(dim=1, correction=0), a), 1, True),
    "proj": Function(project, 2, True),
    "rej": Function(reject, 2, True),
    "clamp": Function(lambda a, low, high: torch.minimum(torch.maximum(a, low), high), 3),
    "min": Function(torch.minimum, 2),
    "max": Function(torch.maximum, 2),
    "abs": Function(torch.abs, 1),
    "sign": Function(torch.sign, 1),
    "sqrt": Function(torch.sqrt, 1),
    "exp": Function(torch.exp, 1),
    "log": Function(torch.log, 1),
}
OPERATORS: dict[type, Callable[[Tensor, Tensor], Tensor]] = {
    ast.Add: torch.add,
    ast.Sub: torch.sub,
    ast.Mult: torch.mul,
    ast.Div: _divide,
    ast.Pow: torch.pow,
}
NAMES = ("u", "c", "d", "x", "sigma", "alpha", "gamma", "pi")
ALLOWED = (
    f"Allowed: the names {', '.join(NAMES)}, the functions {', '.join(FUNCTIONS)}, numbers, + - * / ** and brackets."
)


@dataclass(frozen=True)
class Formula(Combine):
    """The guided prediction as a formula of the user's, in place of u + gamma * d.

    u, c, d = c - u, x: the item's vectors. sigma, alpha, gamma: its numbers. proj(a, b), rej(a, b): zero and a where b
    is zero. Everything is computed per item in float64, in float32 where the device has no float64.
    Raises ValueError for anything but ALLOWED, for a formula that cannot be read, or whose result is no picture.
    """

    node_id = "GGFormula"
    name = "Guidance Formula (your own rule)"
    search_words = ("custom rule", "expression", "math")
    description = "Your own guidance rule, written as a formula, in place of plain CFG."
    claims = frozenset({"per item"})
    formula: str = knob(
        PLAIN,
        f"Computed for each sample separately. {ALLOWED} proj(a, b), rej(a, b): a along and "
        "across b. dot, norm, mean, std: one number per sample. clamp(a, low, high). a / 0 is 0.",
    )

    def __post_init__(self):
        super().__post_init__()
        generator = torch.Generator().manual_seed(0)
        x, u, c = (torch.randn(PROBE, generator=generator, dtype=torch.float64) for _ in range(3))
        half = torch.full(PROBE[:1], 0.5, dtype=torch.float64)
        value = self._value(Predictions(x, half, half, u, c), 2.0)
        if value.shape != PROBE:
            raise ValueError(
                f"The formula {shorten(self.formula, LONGEST_SAID)!r} gives a number, not a picture. Use u, c or x "
                "in it."
            )

    @cached_property
    def tree(self) -> ast.expr:
        """The formula as a checked syntax tree."""
        if len(self.formula) > LONGEST:
            raise ValueError(f"The formula has {len(self.formula)} characters; at most {LONGEST} are read.")
        try:
            tree = ast.parse(self.formula.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as reason:
            raise ValueError(
                f"The formula {shorten(self.formula, LONGEST_SAID)!r} cannot be read: {_reason(reason)}. {ALLOWED}"
            ) from None
        _check(tree, self.formula.strip(), 0)
        return tree

    @property
    def neutral(self) -> bool:
        """Plain CFG, however it is spaced."""
        return ast.dump(self.tree) == ast.dump(ast.parse(PLAIN, mode="eval").body)

    @property
    def text(self) -> str:
        """One phrase for the trace."""
        return f"D = {ast.unparse(self.tree)}"

    def step(self, state: None, p: Predictions, gamma: float) -> tuple[Tensor, None]:
        """The formula's value, in the dtype and on the device of c."""
        return self._value(p, gamma).to(p.cond), state

    def _value(self, p: Predictions, gamma: float) -> Tensor:
        x, u, c = (widen(v) for v in (p.x, *p.pair))
        scalars = {"gamma": numbers(gamma, x), "pi": numbers(math.pi, x)}
        levels = {"sigma": per_item(p.sigma, x), "alpha": per_item(p.alpha, x)}
        return _evaluate(self.tree, {"x": x, "u": u, "c": c, "d": c - u, **levels, **scalars})


def _reason(error: Exception) -> str:
    return error.msg if isinstance(error, SyntaxError) else "it is nested too deeply or has an invalid character"


def _check(node: ast.expr, text: str, depth: int) -> None:
    """Raise ValueError at the first thing in the tree that is not allowed."""
    if depth > DEEPEST:
        raise ValueError(f"The formula is nested more than {DEEPEST} deep. Split it over two nodes, or simplify it.")
    match node:
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            inside = [left, right]
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            inside = [operand]
        case ast.Name(id=name) if name in NAMES:
            inside = []
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool) and abs(value) <= 1e300:
            inside = []
        case ast.Call(func=ast.Name(id=name), args=inside, keywords=[]) if name in FUNCTIONS:
            _check_count(name, len(inside))
        case _:
            raise ValueError(f"{_wrong(node, ast.get_source_segment(text, node) or text)} {ALLOWED}")
    for each in inside:
        _check(each, text, depth + 1)


def _wrong(node: ast.expr, part: str) -> str:
    shown = shorten(part, LONGEST_SAID)
    if not isinstance(node, ast.Name) or part in FUNCTIONS:
        return f"The formula contains {shown!r}, which is not allowed."
    near = get_close_matches(part, NAMES, 1)
    return f"Unknown name {shown!r}." + (f" Did you mean {near[0]!r}?" if near else "")


def _check_count(name: str, given: int) -> None:
    wanted = FUNCTIONS[name].arguments
    if given != wanted:
        raise ValueError(f"{name} takes {count_of(wanted, 'argument')} but was given {given}.")


def _evaluate(node: ast.expr, names: Mapping[str, Tensor]) -> Tensor:
    """Value of a checked tree."""
    match node:
        case ast.BinOp(left=left, op=op, right=right):
            return OPERATORS[type(op)](_evaluate(left, names), _evaluate(right, names))
        case ast.UnaryOp(op=op, operand=operand):
            value = _evaluate(operand, names)
            return -value if isinstance(op, ast.USub) else value
        case ast.Name(id=name):
            return names[name]
        case ast.Constant(value=value):
            return numbers(float(value), names["x"])  # pyright: ignore[reportArgumentType]
        case ast.Call(func=ast.Name(id=name), args=arguments):
            values = [_evaluate(argument, names) for argument in arguments]
            function = FUNCTIONS[name]
            return function.call(*(v.expand(names["x"].shape) if function.whole else v for v in values))
    raise TypeError(f"an unchecked node: {ast.dump(node)}")
