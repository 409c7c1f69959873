"""What a function changes outside of itself is as it was."""

import itertools
import random
import subprocess
import sys
import time
from collections import deque
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy
import pytest
import torch

from guidance_geometry.samplers import side_effects
from guidance_geometry.samplers.response import Misfit
from guidance_geometry.samplers.side_effects import time_limit, undo_changes

ROOT = Path(__file__).resolve().parents[2]
TABLE, COUNT = {"calls": 0}, 0


class Slotted:
    __slots__ = ("calls", "last")

    def __init__(self):
        self.calls = 0


class Counting:
    made = 0

    def __init__(self):
        self.calls, self.inner = 0, Slotted()

    def __call__(self):
        self.calls += 1
        type(self).made += 1
        self.inner.calls += 1
        first, self.inner.last = not hasattr(self.inner, "last"), self.calls
        return self.calls, self.made, self.inner.calls, first

    def method(self):
        return self()


def in_tables():
    global COUNT
    COUNT += 1
    TABLE["calls"] += 1
    return COUNT, TABLE["calls"]


def of_itself():
    vars(of_itself)["calls"] = getattr(of_itself, "calls", 0) + 1
    return vars(of_itself)["calls"]


def nested():
    calls, seen, there, last = 0, [], {1}, deque([1], maxlen=3)

    def function():
        nonlocal calls
        calls += 1
        seen.append(calls)
        there.add(calls + 1)
        last.append(calls)
        return calls, len(seen), len(there), len(last)

    return function


def drawing():
    generator, own, modern = torch.Generator().manual_seed(1), random.Random(2), numpy.random.default_rng(3)
    return lambda: (float(torch.rand((), generator=generator)), own.random(), modern.random())


def writing(kept):
    def function():
        kept[0] += 1
        return float(kept[0])

    return function


FUNCTIONS = {
    "tables": lambda: in_tables,
    "attribute": lambda: of_itself,
    "closure": nested,
    "object": Counting,
    "method": lambda: Counting().method,
    "partial": lambda: partial(lambda seen: (seen.append(1), len(seen))[1], []),
    "default": lambda: lambda seen=[]: (seen.append(1), len(seen))[1],
    "generators": drawing,
    "tensor": lambda: writing(torch.zeros(2)),
    "array": lambda: writing(numpy.zeros(2)),
    "shared": lambda: lambda: (random.random(), numpy.random.rand()),  # noqa: NPY002
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_a_function_changes_is_taken_back(name):
    function = FUNCTIONS[name]()
    with undo_changes(function):
        first = function()
        assert function() != first
    assert function() == first


def test_switches_of_everybody_are_put_back_after_a_fault():
    before = torch.get_default_dtype(), torch.get_float32_matmul_precision()

    def switch():
        torch.set_default_dtype(torch.float64)
        torch.set_float32_matmul_precision("medium")
        torch.use_deterministic_algorithms(True)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), undo_changes():
        switch()
    assert (torch.get_default_dtype(), torch.get_float32_matmul_precision()) == before
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize("stream", [itertools.count(), iter([1]), (i for i in range(3)), map(str, [1])])
def test_what_cannot_be_turned_back_is_not_begun(stream):
    with pytest.raises(Misfit, match="iterator"), undo_changes(lambda: next(stream)):
        raise AssertionError


def test_networks_are_left_out_and_what_reaches_too_much_is_not_begun(monkeypatch):
    network, module = torch.nn.PReLU(100), torch
    monkeypatch.setattr(side_effects, "MOST_BYTES", 100)
    with undo_changes(lambda: (network, module)):
        pass
    weights, lists = torch.zeros(1000), [[] for _ in range(100)]
    with pytest.raises(Misfit, match="too much"), undo_changes(lambda: weights):
        raise AssertionError
    monkeypatch.setattr(side_effects, "MOST_THINGS", 100)
    with pytest.raises(Misfit, match="too much"), undo_changes(lambda: lists):
        raise AssertionError


def test_a_fault_in_putting_back_keeps_nothing_else_back(monkeypatch):
    class Stubborn(list):
        def __setitem__(self, *_):
            raise RuntimeError

    there, seen = {}, Stubborn()
    with undo_changes(lambda: (there, seen)):
        there["x"] = 1
    assert not there


def test_the_order_of_a_table_is_put_back():
    table = {"a": 1, "b": 2}
    with undo_changes(lambda: table):
        table["a"] = table.pop("a")
    assert [*table] == ["a", "b"]


class Model:
    """What a host hands about as a MODEL."""

    def __init__(self):
        self.calls = 0

    def get_model_object(self, name): ...


def test_a_model_is_left_out_unless_it_is_handed_in():
    model = Model()
    with undo_changes(lambda: model):
        model.calls = 1
    with undo_changes(model):
        model.calls = 2
    assert model.calls == 1


def turn(seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


def at_the_edge():
    with suppress(Misfit), time_limit(0.002, Misfit):
        time.sleep(0.002)


def test_a_loop_that_calls_nothing_is_ended_and_nothing_is_thrown_later():
    with pytest.raises(Misfit), time_limit(0.1, Misfit):
        turn(20)
    with time_limit(0.05, Misfit):
        pass
    turn(0.1)
    for _ in range(50):
        at_the_edge()
        turn(0.002)


@pytest.mark.parametrize("seconds", [60, 0.01], ids=["in time", "too late"])
def test_a_debugger_still_runs_after_a_time_limit(seconds):
    """In a process of its own: where an interpreter waits for what never comes, all code under a debugger hangs."""
    code = f"""
import sys, time, types
from contextlib import suppress
sys.modules["pack"] = pack = types.ModuleType("pack")
pack.__path__ = [{str(ROOT)!r}]
from pack.samplers.side_effects import time_limit
with suppress(TimeoutError), time_limit({seconds}, TimeoutError):
    for _ in range(5): time.sleep(0.01)
calls = []
sys.setprofile(lambda *event: calls.append(event))
(lambda: None)()
sys.setprofile(None)
print(len(calls) > 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "True"
