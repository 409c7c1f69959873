"""The models of the pack are read where they lie.  That they are the ones of their cards: lab/tests/test_pocket.py"""

import pytest

from guidance_geometry.files.included import ASSETS, included_models, included_weights


def test_the_models_of_the_pack_have_names():
    assert included_models("denoisers") == ["pocket-1", "pocket-flow-1"]
    assert included_models("classifiers") == ["pocket-clean-1", "pocket-judge-1", "pocket-noisy-1"]
    assert included_weights("denoisers", "pocket-1") == ASSETS / "denoisers" / "pocket-1.safetensors"


@pytest.mark.parametrize("name", ["pocket-2", "../denoisers/pocket-1", "/etc/passwd", "", "pocket-noisy-1"])
def test_no_other_name_is_a_model_of_the_pack(name):
    assert included_weights("denoisers", name) is None
