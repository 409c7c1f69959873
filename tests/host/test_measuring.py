"""The model's own measure through the host: the same numbers as in a script, and nothing of the run is changed."""

import pytest

from guidance_geometry import library as gg
from guidance_geometry.host.measuring import measure_latent
from guidance_geometry.nodes.start import GGClassLabel, GGEmptyCanvas, GGLoadDenoiser

from .runs import ksampler

LABELS = "0; 3; 5; 7"


def loaded(name):
    model = GGLoadDenoiser.execute(name, "auto", "auto", "default")[0]
    positive, negative = GGClassLabel.execute(model, LABELS).args[:2]
    return model, positive, negative, GGEmptyCanvas.execute(model, 0, 0, 4).args[0]


@pytest.mark.parametrize("name", ["pocket-1", "pocket-flow-1"])
def test_it_says_of_a_latent_what_a_script_says(name):
    model, positive, negative, latent = loaded(name)
    samples = ksampler(model, positive, negative, latent, "euler", steps=6, cfg=4.0)
    (measured,) = measure_latent(model, positive, negative, {"samples": samples}, draws=2, seed=3)
    clean = model.get_model_object("latent_format").process_in(samples)
    expected = gg.measure(gg.load_denoiser(name), clean, [0, 3, 5, 7], draws=2, seed=3)
    assert measured.strength == pytest.approx(expected.strength, rel=1e-3)
    assert measured.ratio == pytest.approx(expected.ratio, rel=1e-3)
    assert measured.evaluations == expected.evaluations
