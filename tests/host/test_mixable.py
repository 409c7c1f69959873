"""What the panel mixes at other scales is what the prediction at that scale looks like."""

import numpy as np
import pytest
import torch

from guidance_geometry.files.writing import NotWritten
from guidance_geometry.host.thumbnails import MIXED_BYTES, SIDE, _smaller, mixable
from guidance_geometry.tests.traces import exact_trace

PICTURES = {"steps": [{"i": 2}, {"i": 7}], "samples": [0, 2]}


def kept(trace, pictures=PICTURES):
    """The layout, and the content of each file as colours [u and c, samples, h, w, 3]."""
    files = []
    found = mixable(trace, pictures, lambda data, ending: files.append(data) or {"filename": f"{len(files)}{ending}"})
    w, h = found["mix"]["size"]
    shape = (2, len(pictures["samples"]), h, w, 3)
    levels = (np.frombuffer(data, "<i2").reshape(shape).astype(np.float64) for data in files)
    return found["mix"], [step["scale"] * one for step, one in zip(found["mix"]["steps"], levels, strict=True)]


@pytest.mark.parametrize("gamma", [0.0, 16.0])
def test_a_mix_is_the_picture_of_the_prediction_at_that_scale(host, gamma):
    trace = exact_trace(4.0, batch=3, steps=10)
    mix, colours = kept(trace)
    assert [step["i"] for step in mix["steps"]] == [2, 7]
    for step, (u, c) in zip((2, 7), colours, strict=True):
        tensors = [trace.require_tensor(name, step)[[0, 2]].double() for name in ("uncond", "cond")]
        expected = 0.5 + 0.5 * (tensors[0] + gamma * (tensors[1] - tensors[0])).movedim(1, -1)
        found = torch.from_numpy(u + gamma * (c - u))
        assert found.shape == expected.shape
        assert (found - expected).abs().max() < 1 / 255


def test_large_pictures_are_made_smaller_and_so_are_many(host):
    one = torch.rand(2, 300, 150, 3)
    assert _smaller(one, 8).shape == (2, SIDE, SIDE // 2, 3)
    many = _smaller(one.repeat(8, 1, 1, 1), 64)
    assert 0.9 * MIXED_BYTES < 64 * 2 * many.numel() <= MIXED_BYTES
    halves = _smaller(torch.cat([torch.zeros(1, 200, 100, 3), torch.ones(1, 200, 100, 3)]), 8)
    assert [float(part.mean()) for part in halves] == [0.0, 1.0]


def test_where_a_prediction_is_not_known_or_the_disk_is_full_nothing_is_mixed(host):
    trace = exact_trace(4.0, batch=3, steps=10)
    assert mixable(trace, {"note": "no pictures"}, lambda *_: {}) == {}
    tensors = {**trace.tensors, "uncond": torch.full_like(trace.tensors["cond"], torch.nan)}
    assert mixable(type(trace)(trace.header, trace.steps, trace.stage, tensors), PICTURES, lambda *_: {}) == {}

    def full(data, ending):
        raise NotWritten("the disk is full")

    assert mixable(trace, PICTURES, full) == {}
