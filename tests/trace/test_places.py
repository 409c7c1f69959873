"""How much of a push leaves the plane of x, u and c."""

import pytest
import torch

from guidance_geometry.trace.gram import VECTORS, GramRecord, gram
from guidance_geometry.trace.places import places_of

GAMMA = 3.0


def test_what_goes_across_the_difference_leaves_the_plane_as_far_as_a_lies_across_it_too():
    draws = torch.Generator().manual_seed(2)
    u, a, delta, side, move = (torch.randn(2, 64, generator=draws, dtype=torch.float64) for _ in range(5))
    record = GramRecord(VECTORS, gram(dict(zip(VECTORS, (u, a, delta, side, move, None), strict=True))))
    push = (GAMMA - 1) * delta + side
    along = (push * delta).sum(dim=1) / delta.square().sum(dim=1)
    across = push - along[:, None] * delta
    share = across.square().sum(dim=1) / push.square().sum(dim=1)
    frame = torch.linalg.qr(torch.stack([a, delta], dim=2)).Q
    beyond = side - (frame @ (frame.mT @ side[..., None]))[..., 0]
    found = places_of(record, GAMMA, 64, 1 + along, share)["outside"]
    assert found.tolist() == pytest.approx((beyond.norm(dim=1) / across.norm(dim=1)).tolist(), rel=1e-9)
    assert places_of(record, GAMMA, 64, 1 + along, share + 0.019)["outside"].isfinite().all()
    assert places_of(record, GAMMA, 64, 1 + along, share + 0.021)["outside"].isnan().all(), "D holds more than that"
    plain = GramRecord(VECTORS, gram(dict(zip(VECTORS, (u, a, delta, 0.1 * side, move, None), strict=True))))
    slight = places_of(plain, GAMMA, 64, torch.tensor(GAMMA), torch.tensor([0.0049, 0.0051]))["outside"]
    assert slight.isnan().tolist() == [True, False]
