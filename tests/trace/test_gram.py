import itertools
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from guidance_geometry.tests.toys import draw
from guidance_geometry.trace.gram import CHUNK, VECTORS, GramRecord, frame, gram, negativity

QUICK = settings(deadline=None, derandomize=True, max_examples=50)
SHAPES = [(2, 7), (2, 3, 5), (2, 3, 4, 4), (2, 2, 3, 4, 4)]


def step(shape=(2, 3, 4, 4), gamma=4.0, dtype=torch.float64):
    """Six vectors that belong together, and the points they come from."""
    x, u, c, other, eps = (draw(shape, seed, dtype) for seed in range(5))
    guided = u + gamma * (c - u)
    move, noise = 0.3 * (guided + other - x), 0.7 * eps
    points = {"x": x, "u": u, "c": c, "G": guided, "D": guided + other, "tip": x + move, "next": x + move + noise}
    return points, dict[str, Any](zip(VECTORS, (u, u - x, c - u, other, move, noise), strict=True))


def record_of(vectors):
    return GramRecord(tuple(vectors), gram(vectors))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_record_holds_all_pairs_row_by_row(shape):
    _, vectors = step(shape)
    rows = torch.stack([v.flatten(1) for v in vectors.values()], dim=1)
    full = torch.einsum("bin,bjn->bij", rows, rows)
    expected = torch.stack([full[:, i, j] for i in range(6) for j in range(i, 6)], dim=1)
    assert (gram(vectors) - expected).abs().max() < 1e-12
    assert (record_of(vectors).matrix() - full).abs().max() < 1e-12


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_sums_are_exact_to_a_billionth_of_the_lengths(dtype):
    """Also of a difference that is a millionth of what it is the difference of, of a mean and of large numbers."""
    u = draw((1, CHUNK + 17), 0, dtype).float() + 3
    c = u + 1e-6 * u.norm() / CHUNK**0.5 * draw((1, CHUNK + 17), 1, torch.float32)
    vectors = {"u": u, "a": u - 40 * draw((1, CHUNK + 17), 2, dtype).float(), "delta": c - u}
    assert 0 < (c - u).norm() < 3e-6 * c.norm()
    record = record_of(vectors)
    numbers = {name: v[0].tolist() for name, v in vectors.items()}
    for first, second in itertools.combinations_with_replacement(vectors, 2):
        exact = math.fsum(p * q for p, q in zip(numbers[first], numbers[second], strict=True))
        lengths = vectors[first].double().norm() * vectors[second].double().norm()
        assert abs(record.dot(first, second).item() - exact) < 1e-9 * lengths


def test_an_absent_vector_is_a_zero_vector():
    _, vectors = step()
    absent, zero = vectors | {"noise": None, "D-G": None}, {"noise", "D-G"}
    zeros = {name: torch.zeros_like(v) if name in zero else v for name, v in vectors.items()}
    assert (gram(absent) - gram(zeros)).abs().max() < 1e-12
    assert (record_of(absent).dot("noise", "move") == 0).all()


@QUICK
@given(shape=st.sampled_from(SHAPES), seed=st.integers(0, 99), gamma=st.floats(-2, 30))
def test_the_plane_keeps_the_distances_of_x_u_c_and_guided(shape, seed, gamma):
    x, u, c = (draw(shape, seed + i) for i in range(3))
    points = {"x": x, "u": u, "c": c, "G": u + gamma * (c - u)}
    vectors = dict(zip(VECTORS, (u, u - x, c - u, None, None, None), strict=True))
    placed = frame(record_of(vectors), gamma).points
    for first in points:
        for second in points:
            true = (points[first] - points[second]).flatten(1).norm(dim=1)
            assert ((placed[first] - placed[second]).norm(dim=-1) - true).abs().max() < 1e-9


def test_what_leaves_the_plane_is_its_height():
    points, vectors = step()
    found = frame(record_of(vectors), 4.0)
    for name in ("D", "tip", "next"):
        distance = (points[name] - points["x"]).flatten(1).norm(dim=1)
        both = found.points[name].square().sum(dim=-1) + found.height[name].square()
        assert (both.sqrt() - distance).abs().max() < 1e-12
        basis = torch.stack([vectors["a"].flatten(1), vectors["delta"].flatten(1)], dim=2)
        offset = (points[name] - points["x"]).flatten(1)[..., None]
        rest = offset - basis @ torch.linalg.lstsq(basis, offset).solution
        assert (found.height[name] - rest.flatten(1).norm(dim=1)).abs().max() < 1e-12


def test_a_step_without_difference_or_displacement_has_a_frame():
    x, u, c = (draw((1, 8), seed) for seed in range(3))
    none = torch.zeros(1, 8, dtype=torch.float64)

    def placed(a, delta):
        return frame(record_of(dict(zip(VECTORS, (u, a, delta, None, u, None), strict=True))), 4.0)

    same, still, line, nothing = placed(u - x, none), placed(none, c), placed(u - x, -2 * (u - x)), placed(none, none)
    assert same.same.all()
    assert torch.equal(same.points["c"], same.points["u"])
    assert (still.points["c"][0, 0] - c.norm()).abs() < 1e-12
    assert not still.same.any()
    assert (line.points["c"][0, 0] + line.points["u"][0, 0]).abs() < 1e-12
    assert line.collinear.all()
    for found in (same, still, line, nothing):
        assert found.collinear.all()
        assert all(place.isfinite().all() for place in found.points.values())
    assert not placed(u - x, c).collinear.any()


def test_nan_stays_where_it_is():
    _, vectors = step((3, 6))
    vectors["delta"] = vectors["delta"].clone()
    vectors["delta"][1, 0] = torch.nan
    placed = frame(record_of(vectors), 4.0).points
    assert placed["c"][1].isnan().any()
    assert all(place[[0, 2]].isfinite().all() for place in placed.values())
    assert negativity(record_of(vectors)).isnan().tolist() == [False, True, False]


def test_rounding_and_a_wrong_record_are_told_apart():
    _, vectors = step((1, 12))
    record = record_of({"u": vectors["u"], "a": 2 * vectors["u"], "delta": vectors["delta"]})
    trace = record.matrix()[0].trace()
    rounded = GramRecord(record.vectors, record.K + 1e-10 * trace * torch.tensor([[-1.0, 0, 0, -1, 0, 0]]))
    assert 0 < negativity(rounded).item() < 1e-9
    wrong = GramRecord(record.vectors, record.K - 1e-3 * trace * torch.tensor([[0.0, 0, 0, 1, 0, 0]]))
    assert negativity(wrong).item() > 1e-4


def test_what_a_record_does_not_hold_is_refused():
    for make, word in (
        (lambda: record_of(step()[1]).dot("u", "energy"), "no vector 'energy'"),
        (lambda: GramRecord(("u", "a"), torch.zeros(1, 5)), "K has 5 numbers but 2 vectors need 3"),
        (lambda: gram({"u": None}), "at least one vector"),
    ):
        with pytest.raises(ValueError, match=word):
            make()


def test_the_axes_of_the_plane_are_a_and_the_side_delta_points_to():
    _, vectors = step()
    placed = frame(record_of(vectors), 4.0).points
    assert (placed["x"] == 0).all()
    assert placed["u"][:, 1].abs().max() < 1e-12
    assert (placed["u"][:, 0] - vectors["a"].flatten(1).norm(dim=1)).abs().max() < 1e-12
    assert (placed["c"][:, 1] > 0).all()
