"""Newer hosts page weights in and out by themselves: a gradient takes a copy that stays, or says what to do."""

import copy
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from guidance_geometry.guidance.chain import PLAIN
from guidance_geometry.host.sampling import autograd, gradient_run
from guidance_geometry.host.sampling.autograd import pages_weights

from .chains import bright, chain_of, mixture
from .runs import guided

BACKPROP = "x0 + backprop"


class Paging:
    """patcher, the one that stays or None -> a clone that counts as paged; loaded: how often the host loaded one."""

    def __init__(self):
        self.kinds, self.loaded = [], 0

    def __call__(self, patcher, stays: Any = None):
        paging = self

        class Paged(type(patcher)):
            kept = None

            def clone(self, disable_dynamic=False, model_override=None, **named):
                if not disable_dynamic:
                    return super().clone(**named)
                paging.loaded += model_override is None
                found: Any = (model_override or stays).clone()
                found.model_options = copy.deepcopy(self.model_options)
                return found

            def get_non_dynamic_delegate(self):
                self.kept = self.clone(disable_dynamic=True, model_override=self.kept)
                return self.kept

        clone = patcher.clone()
        clone.__class__ = Paged
        clone.cached_patcher_init = None if stays is None else (type(patcher), ())
        self.kinds.append(Paged)
        return clone


@pytest.fixture
def paged(labelled, monkeypatch):
    asked = (labelled["ve"][0], SimpleNamespace(is_dynamic=lambda: True), None)
    assert [bool(pages_weights(one)) for one in asked] == [False, True, False]
    made = Paging()
    for module in (autograd, gradient_run):
        monkeypatch.setattr(module, "pages_weights", lambda patcher: isinstance(patcher, tuple(made.kinds)))
    return made


def ran(model, labelled, empty_latent, chain):
    out, _, trace = guided(model, *labelled["ve"][1:], empty_latent("ve"), "euler", guidance=chain)
    return out["samples"], trace.header["notes"]


def test_a_gradient_goes_through_weights_that_stay_and_are_loaded_once(paged, labelled, empty_latent):
    """Whoever takes the paged one gets another picture; what needs no gradient takes it."""
    chain = chain_of(bright(), weight=1.0, evaluation=BACKPROP)
    model = paged(mixture(seed=7), mixture(seed=0))
    expected = ran(labelled["ve"][0], labelled, empty_latent, chain)
    for _ in range(2):
        found = ran(model, labelled, empty_latent, chain)
        assert torch.equal(found[0], expected[0])
        assert found[1] == expected[1]
    for chain in (PLAIN, chain_of(bright(), evaluation="x0")):
        expected = ran(labelled["ve"][0], labelled, empty_latent, chain)
        there = paged(mixture(seed=0), mixture(seed=7))
        assert torch.equal(ran(there, labelled, empty_latent, chain)[0], expected[0])
    assert paged.loaded == 1


def test_a_model_without_a_file_is_guided_without_backprop_and_the_trace_says_so(paged, labelled, empty_latent):
    through, at = (chain_of(bright(), weight=w, evaluation=at) for w, at in ((1.0, BACKPROP), (50.0, "x0")))
    found, notes = ran(paged(labelled["ve"][0]), labelled, empty_latent, through)
    assert torch.equal(found, ran(labelled["ve"][0], labelled, empty_latent, at)[0])
    assert any("--disable-dynamic-vram" in note for note in notes)
