"""Newer hosts page weights in and out by themselves: a gradient takes a copy that stays, or says what to do."""

import copy
from types import SimpleNamespace
from typing import Any

import comfy.latent_formats
import pytest
import torch
from comfy.samplers import sampler_object

from guidance_geometry.guidance.chain import PLAIN
from guidance_geometry.host import autograd, gradient_run
from guidance_geometry.host.autograd import pages_weights
from guidance_geometry.host.guided_run import chain_guider
from guidance_geometry.host.pictures import Decoded

from .chains import Away, bright, chain_of, mixture
from .runs import guided

BACKPROP = "x0 + backprop"


class Paging:
    """patcher, the one that stays or None -> a clone that counts as paged; loaded: how often the host loaded one.

    The first hosts that page weights load them again for every clone that stays; newer ones keep what they loaded.
    """

    def __init__(self, keeps):
        self.keeps, self.kinds, self.loaded = keeps, [], 0

    def __call__(self, patcher, stays: Any = None):
        plain, paging = type(patcher), self

        class Paged(plain):
            kept = None

            def clone(self, disable_dynamic=False, model_override=None, **named):
                if not disable_dynamic:
                    return super().clone(**named)
                paging.loaded += model_override is None
                found: Any = (model_override or stays).clone()
                found.model_options = copy.deepcopy(self.model_options)
                return found

        class Keeping(Paged):
            def get_non_dynamic_delegate(self):
                self.kept = self.clone(disable_dynamic=True, model_override=self.kept)
                return self.kept

        clone = patcher.clone()
        clone.__class__ = Keeping if self.keeps else Paged
        clone.cached_patcher_init = None if stays is None else (plain, ())
        self.kinds.append(Paged)
        return clone


@pytest.fixture
def paged(request, labelled, monkeypatch):
    assert [pages_weights(one) for one in (labelled["ve"][0], SimpleNamespace(is_dynamic=lambda: True), None)] == [
        0,
        1,
        0,
    ]
    made = Paging(getattr(request, "param", True))
    for module in (autograd, gradient_run):
        monkeypatch.setattr(module, "pages_weights", lambda patcher: isinstance(patcher, tuple(made.kinds)))
    return made


def ran(model, labelled, empty_latent, chain):
    out, _, trace = guided(model, *labelled["ve"][1:], empty_latent("ve"), "euler", guidance=chain)
    return out["samples"], trace.header["notes"]


@pytest.mark.parametrize("paged", [False, True], indirect=True, ids=["clones", "keeps"])
def test_a_gradient_goes_through_weights_that_stay_and_are_loaded_once_where_the_host_keeps_them(
    paged, labelled, empty_latent
):
    """Whoever takes the paged one gets another picture; what needs no gradient takes it."""
    chain = chain_of(bright(), weight=1.0, evaluation=BACKPROP)
    model = paged(mixture(seed=7), mixture(seed=0))
    expected, notes = ran(labelled["ve"][0], labelled, empty_latent, chain)
    for _ in range(2):
        found, same = ran(model, labelled, empty_latent, chain)
        assert torch.equal(found, expected)
        assert same == notes
    assert paged.loaded == (1 if paged.keeps else 2)
    for chain in (PLAIN, chain_of(bright(), evaluation="x0")):
        expected = ran(labelled["ve"][0], labelled, empty_latent, chain)[0]
        there = paged(mixture(seed=0), mixture(seed=7))
        assert torch.equal(ran(there, labelled, empty_latent, chain)[0], expected)
    assert paged.loaded == (1 if paged.keeps else 2)


def test_a_guider_has_its_model_back_afterwards(paged, labelled, empty_latent):
    model, latent = paged(mixture(seed=7), mixture(seed=0)), empty_latent("ve")["samples"]
    guider = chain_guider(model, *labelled["ve"][1:], cfg=3.0, guidance=chain_of(bright(), evaluation=BACKPROP))
    for seed in (1, 2):
        guider.sample(torch.randn(3, 3, 8, 8), latent, sampler_object("euler"), torch.tensor([5.0, 0.0]), seed=seed)
        assert guider.model_patcher is model


def test_a_model_without_a_file_is_guided_without_backprop_and_the_trace_says_so(paged, labelled, empty_latent):
    through, at = (chain_of(bright(), weight=w, evaluation=at) for w, at in ((1.0, BACKPROP), (50.0, "x0")))
    found, notes = ran(paged(labelled["ve"][0]), labelled, empty_latent, through)
    assert torch.equal(found, ran(labelled["ve"][0], labelled, empty_latent, at)[0])
    assert any("--disable-dynamic-vram" in note for note in notes)


@pytest.mark.parametrize("has_file", [True, False])
def test_a_second_model_is_treated_like_the_first(paged, labelled, empty_latent, has_file):
    weak = paged(mixture(seed=7), mixture(seed=1)) if has_file else paged(mixture(seed=1))
    asked = {"weight": 1.0, "evaluation": BACKPROP} if has_file else {"weight": 50.0, "evaluation": "x0"}
    chain = chain_of(bright(), **asked).then(Away("cond", mixture(seed=1)))
    expected, _ = ran(labelled["ve"][0], labelled, empty_latent, chain)
    through = chain_of(bright(), weight=1.0, evaluation=BACKPROP).then(Away("cond", weak))
    found, notes = ran(labelled["ve"][0], labelled, empty_latent, through)
    assert torch.equal(found, expected)
    assert any("--disable-dynamic-vram" in note for note in notes) is not has_file


def test_a_decoder_is_loaded_with_weights_that_stay_or_refused(paged, labelled):
    def picture(patcher):
        vae = SimpleNamespace(patcher=patcher, process_output=lambda x: ((x + 1) / 2).clamp(0, 1))
        return Decoded(vae, comfy.latent_formats.SD15())

    kept, other = labelled["ve"][0], mixture(seed=1)
    decoded = picture(paged(kept, other))
    decoded.stay()
    assert decoded.patcher.model is other.model
    with pytest.raises(ValueError, match="--disable-dynamic-vram"):
        picture(paged(kept)).stay()
    decoded = picture(kept)
    decoded.stay()
    assert decoded.patcher is kept
