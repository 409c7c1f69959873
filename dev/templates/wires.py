"""Wires that go round the nodes of a graph: where a straight one would pass behind a node, it gets bends."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from heapq import heappop, heappush
from itertools import pairwise
from typing import Any, NamedTuple

PITCH = 10  # pixels between two places where a wire may run
STUB = 20  # pixels that a wire leaves a node, and meets one, straight
AWAY = 100  # pixels around all nodes in which it may run
CLEAR = 5  # pixels that it keeps from other nodes
TURN, CROWD = 12, 4  # what a bend costs, and a place that another wire has, in places
EDGE = 60  # pixels of a node's sides under which a wire may curve from its slot into the room beside the node
AROUND = ((1, 0), (0, 1), (-1, 0), (0, -1))

Cell = tuple[int, int]
Point = tuple[float, float]
Place = Sequence[float]  # left, top, width, height


class Wire(NamedTuple):
    """A link between two nodes.  output: which output it comes from; those of one output share their bends."""

    link: int
    output: str
    start: Point
    end: Point
    bends: Sequence[Point] = ()

    @property
    def points(self) -> list[Point]:
        """Everywhere it is held."""
        return [self.start, *self.bends, self.end]


def curve_points(points: Sequence[Point], pieces: int = 40) -> Iterator[Point]:
    """Points of a wire as the editor draws it: level at its ends, a curve from place to place."""
    for (ax, ay), (bx, by) in pairwise(points):
        reach = ((ax - bx) ** 2 + (ay - by) ** 2) ** 0.5 / 4 if len(points) == 2 else 0
        for k in range(pieces + 1):
            t = k / pieces
            s = 1 - t
            weights = s**3, 3 * s * s * t, 3 * s * t * t, t**3
            xs, ys = (ax, ax + reach, bx - reach, bx), (ay, ay, by, by)
            yield (
                sum(w * x for w, x in zip(weights, xs, strict=True)),
                sum(w * y for w, y in zip(weights, ys, strict=True)),
            )


def behind(points: Sequence[Point], boxes: Mapping[Any, Place]) -> set:
    """The boxes that a wire passes behind; at their sides it meets its own."""
    return {
        name
        for x, y in curve_points(points)
        for name, (left, top, w, h) in boxes.items()
        if left + EDGE < x < left + w - EDGE and top < y < top + h
    }


class Floor:
    """The places between the nodes and around them.  outputs_at: place -> the outputs whose wires run there."""

    def __init__(self, boxes: Mapping[Any, Place], wires: Sequence[Wire]):
        corners = [point for left, top, w, h in boxes.values() for point in ((left, top), (left + w, top + h))]
        xs, ys = zip(*corners, *(wire.start for wire in wires), *(wire.end for wire in wires), strict=True)
        self.low, self.high = cell((min(xs) - AWAY, min(ys) - AWAY)), cell((max(xs) + AWAY, max(ys) + AWAY))
        self.full: set[Cell] = set()
        self.outputs_at: dict[Cell, set] = defaultdict(set)
        for left, top, w, h in boxes.values():
            self.fill(left - CLEAR, top - CLEAR, w + 2 * CLEAR, h + 2 * CLEAR)

    def fill(self, left: float, top: float, w: float, h: float) -> None:
        """No wire runs here."""
        columns, rows = (
            range(math.ceil(near / PITCH), int((near + far) // PITCH) + 1) for near, far in ((left, w), (top, h))
        )
        self.full |= {(x, y) for x in columns for y in rows}

    def steps(self, state: tuple[Cell, Cell], output: str) -> Iterator[tuple[float, tuple[Cell, Cell]]]:
        """Where a wire may go on, and what that costs."""
        (x, y), way = state
        for dx, dy in AROUND:
            place = (x + dx, y + dy)
            inside = self.low[0] <= place[0] <= self.high[0] and self.low[1] <= place[1] <= self.high[1]
            if (dx, dy) != (-way[0], -way[1]) and inside and place not in self.full:
                crowd = CROWD * bool(self.outputs_at[place] - {output})
                yield 1 + TURN * ((dx, dy) != way) + crowd, (place, (dx, dy))

    def path(self, starts: dict[Cell, Cell], goal: Cell, output: str) -> list[Cell]:
        """The cheapest way from one of the places (place -> direction there) to another (A*, Hart et al. 1968)."""
        heap: list[Any] = [(0.0, 0.0, (place, way), None) for place, way in starts.items()]
        came: dict = {}
        while heap:
            _, cost, state, before = heappop(heap)
            if state in came:
                continue
            came[state] = before
            place, _ = state
            if place == goal:
                return [place for place, _ in path_back(came, state)]
            for more, after in self.steps(state, output):
                (x, y), way = after
                left = abs(x - goal[0]) + abs(y - goal[1]) + TURN * (way != (1, 0))
                heappush(heap, (cost + more + left, cost + more, after, state))
        raise ValueError(f"no way to {goal}: leave more room between the nodes")


def path_back(came: dict, state) -> list:
    """The states that led to one, in order."""
    states = []
    while state is not None:
        states.append(state)
        state = came[state]
    return states[::-1]


def cell(point: Point) -> Cell:
    """The place next to a point."""
    return round(point[0] / PITCH), round(point[1] / PITCH)


class Tree:
    """All bent wires of one output.  before: place -> the place before it; goals: link id -> its last place."""

    def __init__(self, floor: Floor, output: str, start: Cell):
        self.floor, self.output = floor, output
        self.before: dict[Cell, Cell | None] = {start: None}
        self.goals: dict[int, Cell] = {}

    def grow(self, link: int, goal: Cell) -> None:
        """Lead another wire to a place, from wherever is nearest."""
        starts = {place: self.way(place) for place in self.before}
        path = self.floor.path(starts, goal, self.output)
        for old, new in pairwise(path):
            self.before.setdefault(new, old)
        self.goals[link] = goal
        for place in path:
            self.floor.outputs_at[place].add(self.output)

    def way(self, place: Cell) -> Cell:
        """The direction in which a wire reaches a place."""
        old = self.before[place]
        return (place[0] - old[0], place[1] - old[1]) if old else (1, 0)

    def bends(self) -> set[Cell]:
        """Where wires turn, part or end."""
        after = defaultdict(set)
        for place, old in self.before.items():
            after[old].add(place)
        turns = {old for old, news in after.items() if old and any(self.way(new) != self.way(old) for new in news)}
        return turns | {old for old, news in after.items() if len(news) > 1} | set(self.goals.values())

    def bends_to(self, link: int) -> list[Cell]:
        """The bends of a wire, in order."""
        bends = self.bends()
        return [place for place in path_back(self.before, self.goals[link]) if place in bends]


def bent(boxes: Mapping[Any, Place], wires: Sequence[Wire]) -> dict[int, list[tuple]]:
    """Link id -> the bends (output, x, y) of every wire that would pass behind a node."""
    floor, trees = Floor(boxes, wires), {}
    for wire in wires:
        link, output, start, end, _ = wire
        if behind(wire.points, boxes):
            tree = trees.setdefault(output, Tree(floor, output, cell((start[0] + STUB, start[1]))))
            tree.grow(link, cell((end[0] - STUB, end[1])))
    return {
        link: [(output, x * PITCH, y * PITCH) for x, y in tree.bends_to(link)]
        for output, tree in trees.items()
        for link in tree.goals
    }


def lead_around(boxes: Mapping[Any, Place], wires: Sequence[Wire], before: int = 0) -> dict[str, list]:
    """The editor's reroute points that lead the wires of a graph round its nodes, and the last point of each link.

    before: how many points other graphs of the workflow have; no two have one number.
    """
    points: dict[tuple, dict] = {}
    last = []
    for link, bends in bent(boxes, wires).items():
        parent = None
        for bend in bends:
            _, x, y = bend
            point = points.setdefault(bend, {"id": before + len(points) + 1, "pos": [x, y], "linkIds": []})
            point |= {"parentId": parent} if parent else {}
            point["linkIds"].append(link)
            parent = point["id"]
        last.append([link, parent])
    return {"points": list(points.values()), "last": last}
