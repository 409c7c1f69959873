"""Two runs of the host held against each other."""

from dataclasses import replace

from guidance_geometry.nodes.compare import GGCompareTraces as node

from .runs import guided
from .shown import ui_of


def test_two_scales_of_one_seed_part(labelled, empty_latent, output):
    runs = [guided(*labelled["ve"], empty_latent("ve"), "euler", steps=6, cfg=cfg)[2] for cfg in (4.0, 1.5)]
    out = node.execute(*runs, sample=-1, theme="light")
    image, text = out.args
    assert image.shape == (1, 760, 960, 3)
    assert "They diverge" in text
    assert "cfg 4" in text
    assert "cfg 1.5" in text
    assert ui_of(out)["text"] == [text]
    assert ui_of(out)["images"][0]["type"] == "temp"


def test_other_noise_is_not_comparable(trace, output):
    other = replace(trace, header=trace.header | {"seed": 7})
    image, text = node.execute(trace, other, 0, "transparent").args
    assert "Not comparable: seed 0 and 7" in text
    assert image.shape[-1] == 4
