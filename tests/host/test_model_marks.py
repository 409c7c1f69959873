"""What tells a model from others: a LoRA, its strength and a merge do, and a run between does not."""

import pytest

from guidance_geometry.host.models.adapter import describe_model
from guidance_geometry.measure.measurement import setting_of
from guidance_geometry.nodes.start import GGClassLabel, GGEmptyCanvas, GGLoadDenoiser
from guidance_geometry.trace.trace import model_key

from .runs import ksampler, with_lora


@pytest.fixture(scope="module")
def model():
    return GGLoadDenoiser.execute("pocket-1", "auto", "auto", "default")[0]


def key(model, **change):
    return model_key({**describe_model(model), **change})


def test_a_lora_makes_another_model_by_its_weights_and_its_strength(model):
    keys = [key(one) for one in (model, with_lora(model, 1.0), with_lora(model, 0.8), with_lora(model, 1.0, seed=1))]
    assert len({*keys}) == 4
    assert keys[1] == key(with_lora(model, 1.0))
    assert all(one.startswith(f"{keys[0]}+") for one in keys[1:])


def test_a_file_without_a_hash_and_a_merge_without_a_file_are_told_by_their_weights(model):
    assert key(model, hash=None, file="a.safetensors") == "file:a.safetensors"
    own = key(model, hash=None)
    assert own.startswith("weights:")
    assert own != key(GGLoadDenoiser.execute("pocket-flow-1", "auto", "auto", "default")[0], hash=None)


def test_weights_that_a_run_has_patched_in_place_are_the_same_model(model):
    positive, negative = GGClassLabel.execute(model, "0").args[:2]
    latent, changed = GGEmptyCanvas.execute(model, 0, 0, 1).args[0], with_lora(model, 0.01)
    before = describe_model(changed), describe_model(model)
    ksampler(changed, positive, negative, latent, "euler", steps=2, cfg=2.0)
    assert (describe_model(changed), describe_model(model)) == before


def test_weights_that_are_read_in_another_way_are_told_apart(model):
    other = GGLoadDenoiser.execute("pocket-1", "x0", "auto", "default")[0]
    one, two = describe_model(model), describe_model(other)
    assert model_key(one) == model_key(two)
    assert setting_of({"model": one}) != setting_of({"model": two})
