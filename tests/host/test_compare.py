"""Two runs of the host held against each other."""

import math

import pytest

from .runs import guided


@pytest.fixture
def node(host):
    from guidance_geometry.nodes.compare import GGCompareTraces

    return GGCompareTraces


def test_the_schema_keeps_its_order_and_explains_every_socket(node):
    schema = node.GET_SCHEMA()
    assert [socket.id for socket in schema.inputs] == ["trace_a", "trace_b", "sample", "theme", "vae"]
    assert all(socket.tooltip for socket in [*schema.inputs, *schema.outputs])
    assert schema.description
    assert schema.category == "guidance geometry/see"


def test_two_scales_of_one_seed_part(node, labelled, empty_latent, output):
    runs = [guided(*labelled["ve"], empty_latent("ve"), "euler", steps=6, cfg=cfg)[2] for cfg in (4.0, 1.5)]
    out = node.execute(*runs, -1, "light")
    image, text = out.result
    assert image.shape == (1, 760, 960, 3)
    assert "They diverge" in text
    assert "cfg 4" in text
    assert "cfg 1.5" in text
    assert out.ui["text"] == [text]
    assert out.ui["images"][0]["type"] == "temp"


def test_other_noise_is_not_comparable(node, trace, output):
    from dataclasses import replace

    other = replace(trace, header=trace.header | {"seed": 7})
    image, text = node.execute(trace, other, 0, "transparent").result
    assert "Not comparable: seed 0 and 7" in text
    assert image.shape[-1] == 4


@pytest.mark.parametrize(("sample", "theme", "words"), [(-2, "light", "outside -1"), (math.nan, "light", "finite")])
def test_unusable_widgets_are_refused(node, trace, sample, theme, words):
    with pytest.raises(ValueError, match=words):
        node.execute(trace, trace, sample, theme)
    with pytest.raises(ValueError, match="Choose one of: light"):
        node.execute(trace, trace, 0, "pink")
    with pytest.raises(ValueError, match="no sample 5"):
        node.execute(trace, trace, 5, "light")
