"""What is done about memory, step by step: pure decisions, without a model."""

import pytest
import torch
from torch.nn import Linear

from guidance_geometry.host.memory_plan import MemoryPlan, TooMuch, surely_fits

GB = 2**30
OUT = torch.cuda.OutOfMemoryError("CUDA out of memory.")
IN_PLACE = RuntimeError("one of the variables needed has been modified by an inplace operation")
NO_FORMULA = RuntimeError("no autograd formula was registered for it")


@pytest.fixture
def plan(host):
    return MemoryPlan()


def test_a_lack_of_memory_costs_time_first_and_backprop_last(plan):
    twice, first = plan.after(OUT)
    without, second = twice.after(OUT)
    assert (twice.twice, twice.backprop) == (True, True)
    assert not without.backprop
    assert "computed twice" in first
    assert "x0 without backprop, with 50 times the gamma" in second


@pytest.mark.parametrize(("error", "name"), [(IN_PLACE, "copies"), (NO_FORMULA, "pytorch_attention")])
def test_what_a_model_needs_is_learnt_from_its_error_once(plan, error, name):
    found, words = plan.after(error)
    assert getattr(found, name)
    assert found.backprop
    assert words
    assert plan.after(ValueError("anything else")) is None
    without, words = found.after(error)
    assert not without.backprop
    assert "allows no gradient" in words
    assert without.after(error) is None
    assert without.after(OUT) is None


@pytest.mark.parametrize(
    ("free", "words"),
    [
        (10 * GB, "needs more than 8.0 GB, and 10.0 GB are free: "),
        (GB / 100, "more than 8.19 MB, and 10.2 MB are free: "),
    ],
)
def test_a_step_leaves_a_fifth_of_the_memory_free(plan, free, words):
    wants, said = plan.after(TooMuch(0.8 * free))
    assert wants.twice
    assert words in said


@pytest.mark.parametrize(
    ("needs", "other", "expected"), [(1, 10, True), (3, 10, False), (1, 30, False)], ids=["small", "large", "energy"]
)
def test_only_a_graph_that_is_small_beside_the_memory_is_not_counted(host, needs, other, expected):
    class Model(Linear):
        def memory_required(self, shape):
            return needs * shape[0]

    assert surely_fits(Model(4, 5), [2, 3, 8, 8], [Linear(1, other, bias=False)], free=100) is expected
