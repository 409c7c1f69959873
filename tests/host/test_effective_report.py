"""What the report says of runs in the host whose guidance another node changes, and of those where nothing does."""

import pytest

from guidance_geometry.verdict.report import report_of

from .runs import CFG, guided, half_mask

SCALE = 2.0


def guides_by_itself(model):
    """A clone of a MODEL with the patch of a node that has its own scale, whatever cfg says."""
    clone = model.clone()
    clone.set_model_sampler_cfg_function(lambda args: args["uncond"] + SCALE * (args["cond"] - args["uncond"]))
    return clone


def effects(found):
    return [one.text() for one in found.findings if one.id.startswith("effect.")]


@pytest.mark.parametrize("kind", ["pocket", "flow"])
def test_a_patch_with_a_scale_of_its_own_is_told_and_judged_by_it(labelled, empty_latent, kind):
    model, *conditions = labelled[kind]
    found = report_of(guided(guides_by_itself(model), *conditions, empty_latent(kind), "euler", steps=16)[2])
    (words,) = effects(found)
    assert words.endswith(f"cfg {CFG:g} acts like {SCALE:g}.")
    assert (found.cfg, found.plain) == (CFG, False)
    assert found.effective.scale == pytest.approx(SCALE, rel=1e-6)
    assert found.effective.steady


@pytest.mark.parametrize("kind", ["pocket", "flow"])
def test_where_nothing_changes_guidance_nothing_is_said(labelled, empty_latent, kind):
    latent = empty_latent(kind)
    for cfg, noised in ((1.0, latent), (CFG, latent), (CFG, half_mask(latent))):
        found = report_of(guided(*labelled[kind], noised, "euler", steps=16, cfg=cfg)[2])
        assert effects(found) == []
        assert found.cfg == cfg
