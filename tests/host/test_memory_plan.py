"""What is done about memory, step by step: pure decisions, without a model."""

import pytest
import torch
from torch.nn import Linear

GB = 2**30
OUT = torch.cuda.OutOfMemoryError("CUDA out of memory.")
IN_PLACE = RuntimeError("one of the variables needed has been modified by an inplace operation")
NO_FORMULA = RuntimeError("no autograd formula was registered for it")


@pytest.fixture
def plan(host):
    from guidance_geometry.host.memory_plan import MemoryPlan

    return MemoryPlan()


def test_a_lack_of_memory_costs_time_first_and_backprop_last(plan):
    twice, first = plan.after(OUT)
    without, second = twice.after(OUT)
    assert (twice.twice, twice.backprop, twice.settled) == (True, True, False)
    assert (without.backprop, without.settled) == (False, True)
    assert first == "memory ran out: blocks are computed twice instead of kept, which takes longer"
    assert (
        second
        == "memory ran out: from here on x0 without backprop, with 50 times the gamma, which suits it equally well"
    )


@pytest.mark.parametrize(("error", "name"), [(IN_PLACE, "copies"), (NO_FORMULA, "pytorch_attention")])
def test_what_a_model_needs_is_learnt_from_its_error_once(plan, error, name):
    found, words = plan.after(error)
    assert getattr(found, name)
    assert found.backprop
    assert words
    assert found.after(error) is None
    assert plan.after(ValueError("anything else")) is None


def test_an_estimate_leaves_a_fifth_of_the_memory_free(plan):
    fits, nothing = plan.fitted(7 * GB, 10 * GB)
    wants, words = plan.fitted(9 * GB, 10 * GB)
    assert (fits.settled, fits.twice, nothing) == (True, False, "")
    assert (wants.settled, wants.twice) == (False, True)
    assert words.startswith("a step needs 9.0 GB and 10.0 GB are free: ")


@pytest.mark.parametrize(("count", "expected", "rehearsals"), [(1, 110, [1]), (2, 120, [1, 2]), (8, 180, [1, 2])])
def test_what_does_not_grow_with_the_batch_counts_once(host, count, expected, rehearsals):
    from guidance_geometry.host.memory_plan import of_batch

    made = []
    assert of_batch(count, lambda n: (made.append(n), 100 + 10 * n)[1]) == expected
    assert made == rehearsals


@pytest.mark.parametrize(
    ("needs", "other", "expected"), [(1, 10, True), (3, 10, False), (1, 30, False)], ids=["small", "large", "energy"]
)
def test_only_a_graph_that_is_small_beside_the_memory_is_not_rehearsed(host, needs, other, expected):
    from guidance_geometry.host.memory_plan import surely_fits

    class Model(Linear):
        def memory_required(self, shape):
            return needs * shape[0]

    assert surely_fits(Model(4, 5), [2, 3, 8, 8], [Linear(1, other, bias=False)], free=100) is expected
