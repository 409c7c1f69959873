"""The record of one step as inner products, and every number and coordinate that follows from them.

Stored are the dots of u, a = u - x, delta = c - u and three more; x, c and any guided x0-hat are linear combinations,
so their lengths, angles and positions are exact functions of K. Differences are formed before the dots: |delta|^2 from
<c, c> - 2 <c, u> + <u, u> would lose every digit of a small delta.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..guidance.vectors import flat

VECTORS = ("u", "a", "delta", "D-G", "move", "noise")
HISTORY = ("delta-1", "delta-2", "move-1", "noise-1", "one")  # of the steps before; a vector of ones gives sums
COND, MASKED = "cond", "masked"  # vectors that stand in no file: c beside further passes, what a mask changed of D
# what each vector of HISTORY was at the step before
PAST = {"delta-1": "delta", "delta-2": "delta-1", "move-1": "move", "noise-1": "noise"}
CHUNK = 1 << 15  # elements of all items widened to float64 at a time: fits the cache; bounds the memory, not the result
SHORTEST = 1 << 11  # of one item: more calls cost more than the cache saves
COLLINEAR = 1e-6  # delta across a, in units of the longer of the two, below which x, u and c are drawn as a line
ROUNDING = 1e-9  # negative eigenvalues of K down to this share of its trace are rounding

Coefficient = Tensor | float
Combination = Mapping[str, Coefficient]
Places = tuple[Sequence[int], int]


def gram(vectors: Mapping[str, Tensor | None]) -> Tensor:  # -> K [B, V(V+1)/2] float64
    """Inner products of all pairs of vectors [B, ...]: the upper triangle of their Gram matrix, row by row.

    None stands for a vector that is exactly zero (no noise, no other rule).
    """
    present = {name: v for name, v in vectors.items() if v is not None}
    if not present:
        raise ValueError("A Gram matrix needs at least one vector, and all of them are None. Pass u, a and delta.")
    rows, places = list(present.values()), [i for i, name in enumerate(vectors) if name in present]
    products = inner_products(rows, (), room_for(rows[0], len(rows)))
    return triangle(with_zeros(products, (places, len(vectors)), (places, len(vectors))))


def inner_products(rows: Sequence[Tensor], others: Sequence[Tensor], room: Tensor) -> Tensor:  # -> [B, V, V + W]
    """Inner products of V vectors [B, ...] with each other and with W others, float64.

    room: where to widen the vectors, from `room_for`; a run that asks many times keeps its own, because fresh memory
    costs more than the sums.
    """
    lines = [flat(row) for row in (*rows, *others)]
    count, room = lines[0].shape[1], room[:, : len(lines)]
    parts = []
    for start in range(0, count, room.shape[2]):
        block = room[..., : count - start]  # [B, V + W, n]
        for place, line in enumerate(lines):
            block[:, place] = line[:, start : start + block.shape[2]]
        parts.append(block[:, : len(rows)] @ block.mT)
    return functools.reduce(torch.add, parts)


def with_zeros(products: Tensor, rows: Places, columns: Places) -> Tensor:  # [..., P, Q] -> [..., rows, columns]
    """Products of the present vectors, with rows and columns of zeros where a vector is not present.

    rows, columns: places of those that are, and how many there are with the others.
    """
    (first, height), (second, width) = rows, columns
    full = products.new_zeros(*products.shape[:-2], height, width)
    first, second = (torch.tensor(places, device=products.device) for places in (first, second))
    full[..., first[:, None], second] = products
    return full


def with_history(names: tuple[str, ...], products: Tensor) -> GramRecord:  # [n, B, V, V + H] -> K [n, B, ...]
    """The record of all steps over their vectors and HISTORY.

    products: each step's vectors with themselves and with HISTORY. What the vectors of HISTORY have among themselves
    was measured at the step before; a vector that was not known there is a zero vector here.
    """
    here, every = products.shape[2:]
    full = products.new_zeros(*products.shape[:2], every, every)
    full[..., :here, :] = products
    full[..., here:, :here] = products[..., here:].mT
    names = (*names, *HISTORY)
    past, was = ([names.index(name) for name in side] for side in (PAST, PAST.values()))
    for _ in range(2):  # delta-2 is two steps back
        before = full[:-1, :, [[i] for i in was], was]
        full[1:, :, [[i] for i in past], past] = torch.where(before.isnan(), 0.0, before)
    return GramRecord(names, triangle(full))


def fill_absent(record: GramRecord) -> GramRecord:
    """A record in which a vector that was not asked for counts as zero; nothing is known where u or D is not.

    So without a difference c is u, the only prediction that was made.
    """
    finite = (record.dot("u", "u") + record.dot("D-G", "D-G")).isfinite()[..., None]
    return GramRecord(record.vectors, torch.where(finite & record.K.isnan(), 0.0, record.K))


def triangle(full: Tensor) -> Tensor:  # [..., V, V] -> [..., V(V+1)/2]
    """The upper triangle of a symmetric matrix, row by row."""
    rows, columns = torch.triu_indices(*full.shape[-2:], device=full.device)
    return full.flatten(-2)[..., rows * full.shape[-1] + columns]


def room_for(like: Tensor, count: int) -> Tensor:  # like [B, ...] -> [B, count, n] float64
    """Memory in which `inner_products` widens `count` vectors like this one, piece by piece."""
    size = min(flat(like).shape[1], max(CHUNK // max(len(like), 1), SHORTEST))
    return torch.empty(len(like), count, size, dtype=torch.float64, device=like.device)


@dataclass(frozen=True, eq=False)
class GramRecord:
    """Inner products of a step's named vectors, any leading shape (items, or steps x items).

    vectors: names, in the order of K. K: [..., V(V+1)/2] float64, upper triangle row by row.
    Look vectors up by name, never by position: a longer record appends names.
    """

    vectors: tuple[str, ...]
    K: Tensor

    def __post_init__(self):
        count = len(self.vectors)
        if self.K.shape[-1] != count * (count + 1) // 2:
            raise ValueError(
                f"K has {self.K.shape[-1]} numbers but {count} vectors need {count * (count + 1) // 2}. "
                "Name every vector, in the order of the rows of K."
            )

    def dot(self, first: str, second: str) -> Tensor:  # -> [...]
        """Inner product of two recorded vectors."""
        for name in (first, second):
            if name not in self.vectors:
                raise ValueError(f"The record has no vector {name!r}. It holds {', '.join(self.vectors)}.")
        i, j = sorted((self.vectors.index(first), self.vectors.index(second)))
        return self.K[..., i * len(self.vectors) - i * (i - 1) // 2 + j - i]

    def combination(self, first: Combination, second: Combination) -> Tensor:  # -> [...]
        """Inner product of two linear combinations: sum of p_i q_j <v_i, v_j>.

        first, second: {name: coefficient}; a coefficient is a number, or a tensor that broadcasts against [...].
        """
        terms = (p * q * self.dot(v, w) for v, p in first.items() for w, q in second.items())
        return sum(terms, start=self.K.new_zeros(()))

    def square(self, v: Combination) -> Tensor:  # -> [...]
        """Squared length of a linear combination, never below zero: <v, v>."""
        return self.combination(v, v).clamp(min=0)

    def matrix(self) -> Tensor:  # -> [..., V, V]
        """The full symmetric Gram matrix."""
        count = len(self.vectors)
        full = self.K.new_zeros(*self.K.shape[:-1], count, count)
        rows, columns = torch.triu_indices(count, count)
        full[..., rows, columns] = self.K
        full[..., columns, rows] = self.K
        return full

    def part(self, names: tuple[str, ...]) -> GramRecord:
        """The record of some of the vectors."""
        pairs = [(name, other) for i, name in enumerate(names) for other in names[i:]]
        return GramRecord(names, torch.stack([self.dot(*pair) for pair in pairs], dim=-1))


def reference_scale(gamma: Coefficient) -> Coefficient:
    """The scale from which D - G was counted: where gamma is unknown (nan) there is no G, and u stands for it."""
    if isinstance(gamma, Tensor):
        return torch.where(gamma.isnan(), 0.0, gamma)
    return 0.0 if math.isnan(gamma) else gamma


def point(name: str, gamma: Coefficient = 1.0) -> dict[str, Coefficient]:
    """Coefficients of a point or vector over the recorded ones.

        x = u - a    c = u + delta    G = u + gamma delta    D = G + (D - G)    tip = x + move    next = tip + noise

    A recorded vector's own name stands for itself. gamma: only G and D read it; 0 is u, 1 is c; D is known without it.
    """
    guided = {"u": 1.0, "delta": gamma}
    tip = {"u": 1.0, "a": -1.0, "move": 1.0}
    points = {
        "x": {"u": 1.0, "a": -1.0},
        "c": {"u": 1.0, "delta": 1.0},
        "G": guided,
        "D": {"u": 1.0, "delta": reference_scale(gamma), "D-G": 1.0},
        "tip": tip,
        "next": {**tip, "noise": 1.0},
    }
    return points.get(name, {name: 1.0})


def recount(record: GramRecord, off: Tensor) -> GramRecord:
    """The record with D - G counted from another scale.  off: the scale it was counted from, less the other; [...].

    D - G' = D - G + off delta.  Where the scales are the same a delta that nobody evaluated stays unknown there.
    """
    full, (i, d) = record.matrix(), map(record.vectors.index, ("D-G", "delta"))
    change = off.expand(full.shape[:-2])[..., None]
    full[..., i, :] += torch.where(change == 0, 0.0, change * full[..., d, :])
    full[..., :, i] += torch.where(change == 0, 0.0, change * full[..., :, d])
    return GramRecord(record.vectors, triangle(full))


def plus(first: Combination, second: Combination, factor: Coefficient = 1.0) -> dict[str, Coefficient]:
    """Coefficients of first + factor * second."""
    total = dict(first)
    for name, value in second.items():
        total[name] = total.get(name, 0.0) + factor * value
    return total


def displacement(alpha: Coefficient = 1.0) -> dict[str, Coefficient]:
    """Coefficients of the VE-equivalent displacement times alpha:  alpha * (u - x / alpha) = (alpha - 1) u + a.

    VE: it is a itself. Flow at sigma = 1 (alpha = 0): it is -x, and needs no division.
    """
    return {"u": alpha - 1.0, "a": 1.0}


@dataclass(frozen=True, eq=False)
class Frame:
    """The step plane: x is the origin, the first axis points at u, delta has a positive second coordinate.

    points: {name: [..., 2]} for x, u, c, G (exact) and D, tip = x + move, next = tip + noise (their feet in the plane).
    height: {name: [...]} distance of D, tip and next from the plane.
    collinear: [...] bool, x, u and c lie on a line. same: [...] bool, u equals c.
    """

    points: Mapping[str, Tensor]
    height: Mapping[str, Tensor]
    collinear: Tensor
    same: Tensor


@dataclass(frozen=True, eq=False)
class Axes:
    """Orthonormal axes as combinations of a and delta; an axis that does not exist has coefficients 0."""

    first: Mapping[str, Tensor]
    second: Mapping[str, Tensor]


def frame(record: GramRecord, gamma: Coefficient) -> Frame:  # record [...], gamma broadcasts to [...]
    """Place a step's points in its own plane.

        e1 = a / |a|    e2 = (delta - <delta, e1> e1) / |...|
        x = (0, 0)    u = (|a|, 0)    c = (|a| + <delta, e1>, <delta, e2>)    G = u + gamma (c - u)

    a = 0: e1 points along delta. delta along a: the second coordinate is 0 and `collinear` is set.
    Frames of different steps are different planes; their directions cannot be compared.
    """
    axes = axes_of(record)
    length = record.dot("a", "a").clamp(min=0).sqrt()
    across = record.combination({"delta": 1.0}, axes.second)
    points, height = {}, {}
    for name in ("x", "u", "c", "G", "D", "tip", "next"):
        offset = plus(point(name, gamma), point("x"), -1.0)
        points[name], height[name] = coordinates(record, offset, axes)
    size = record.dot("delta", "delta")
    exact = ("D", "tip", "next")
    return Frame(points, {name: height[name] for name in exact}, across <= COLLINEAR * length, size == 0)


def coordinates(
    record: GramRecord, v: Combination, axes: Axes | None = None
) -> tuple[Tensor, Tensor]:  # -> [..., 2], [...]
    """Coordinates of a vector (not a point) in the step plane, and what is left of it outside.

    v: {name: coefficient}; for a point P pass the combination of P - x.
    """
    axes = axes or axes_of(record)
    place = torch.stack([record.combination(v, axes.first), record.combination(v, axes.second)], dim=-1)
    outside = record.square(v) - place.square().sum(dim=-1)
    return place, outside.clamp(min=0).sqrt()


def axes_of(record: GramRecord) -> Axes:
    """The axes of the step plane: the first points at u, delta has a positive second coordinate."""
    a, delta = (record.dot(name, name).clamp(min=0).sqrt() for name in ("a", "delta"))
    still = a == 0
    first = {"a": _inverse(a), "delta": torch.where(still, _inverse(delta), torch.zeros_like(a))}
    along = record.combination({"delta": 1.0}, first)
    across = (delta.square() - along.square()).clamp(min=0).sqrt()
    across = torch.where(still | (across < COLLINEAR * torch.maximum(a, delta)), torch.zeros_like(a), across)
    second = {"delta": _inverse(across) * (1 - along * first["delta"]), "a": -_inverse(across) * along * first["a"]}
    return Axes(first, second)


def _inverse(length: Tensor) -> Tensor:
    """1 / length, and 0 where the length is 0: that axis is absent."""
    return torch.where(length == 0, torch.zeros_like(length), 1 / length)


def negativity(record: GramRecord) -> Tensor:  # -> [...]
    """How far K is from a Gram matrix: -(lowest eigenvalue) / trace, 0 when there is none below zero.

    Up to 1e-9 is rounding; more is a fault of whoever recorded it. nan where K is not finite.
    """
    full = record.matrix()
    finite = full.isfinite().all(dim=-1).all(dim=-1)
    trace = full.diagonal(dim1=-2, dim2=-1).sum(dim=-1)
    lowest = torch.linalg.eigvalsh(torch.where(finite[..., None, None], full, torch.zeros_like(full)))[..., 0]
    share = torch.where(trace > 0, -lowest / trace, torch.where(lowest < 0, torch.inf, 0.0)).clamp(min=0)
    return torch.where(finite, share, torch.full_like(share, torch.nan))
