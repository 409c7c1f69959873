"""Guided-diffusion networks against the field's own package, and what their files say without metadata."""

import json
from typing import Any

import pytest
import torch
from azula.plugins import adm as azula
from azula.plugins.utils import load_cards

from guidance_geometry.dev.fixtures.tiny_folders import lively
from guidance_geometry.models.denoisers.adm import ADM
from guidance_geometry.models.denoisers.reading import denoiser_of
from guidance_geometry.models.denoisers.spec import choose_spec
from guidance_geometry.tests.models.denoisers.networks import distance, network_of, pictures

CARDS = {name: card.config for name, card in load_cards(azula).items()}
SMALL = {"num_channels": 64, "num_res_blocks": 1}
KNOWN = {  # card: side, classes, parameters in millions (table 10 of the paper), schedule
    "imagenet_64x64_cond": (64, 1000, 296, "vp_cosine"),
    "imagenet_256x256": (256, 0, 553, "vp_linear"),
    "imagenet_512x512_cond": (512, 1000, 559, "vp_linear"),
    "ffhq_256x256": (256, 0, 94, "vp_linear"),
}


def reference(name, **changes) -> Any:
    """azula's network of a published configuration, or of a smaller one."""
    config: dict[str, Any] = dict(CARDS[name]) | {"image_size": KNOWN[name][0]} | changes  # its card of 512 says 256
    return azula.make_model(**config).backbone


def small(name):
    changes = dict(SMALL)
    if CARDS[name].get("num_classes"):
        changes["num_classes"] = 5
    return lively(reference(name, **changes))


def read(weights, **metadata):
    return denoiser_of("adm.safetensors", weights, metadata)


@pytest.mark.parametrize("name", ["imagenet_64x64_cond", "imagenet_256x256", "imagenet_512x512_cond"])
def test_a_small_network_of_each_kind_predicts_the_noise_that_azula_predicts(name):
    theirs = small(name)
    ours = network_of(read(theirs.state_dict()))
    x, t = pictures(2, 3, 2 ** len(CARDS[name]["channel_mult"])), torch.tensor([3.0, 876.0])
    y = torch.tensor([4, 1])
    wanted = theirs(x, t, y if theirs.num_classes else None)[:, :3]
    assert distance(ours(x, t, y), wanted) <= 1e-5


@pytest.mark.parametrize("name", KNOWN)
def test_a_published_file_is_known_by_its_shapes(name):
    side, classes, millions, schedule = KNOWN[name]
    with torch.device("meta"):
        weights = reference(name).state_dict()
    shapes = {key: tuple(weight.shape) for key, weight in weights.items()}
    assert ADM.recognises(shapes, {})
    sizes, labels = ADM.sizes(shapes), ADM.labels(shapes)
    ours = ADM.network(sizes, labels, device="meta").state_dict()
    assert {key: tuple(weight.shape) for key, weight in ours.items()} == shapes
    assert round(sum(weight.numel() for weight in ours.values()) / 1e6) == millions
    published = ADM.published(sizes)
    assert (labels, published.image_size, published.schedule) == (classes, side, schedule)


def test_the_spec_says_what_the_paper_says():
    spec = choose_spec(read(small("imagenet_64x64_cond").state_dict()).spec)
    assert (spec.parametrisation, spec.schedule, spec.time) == ("epsilon", "vp_cosine", "index")
    assert (spec.labels, spec.null_index) == (("0", "1", "2", "3", "4"), None)
    assert (spec.shape, spec.multiple) == ((3, 64, 64), 8)
    assert read(small("imagenet_256x256").state_dict()).spec.null_index == 0, "no labels: one prediction"


def test_the_file_may_state_what_no_shape_tells():
    weights = small("imagenet_64x64_cond").state_dict()
    notes = {"gg.format": "guidance-geometry/denoiser", "gg.version": "1", "gg.architecture": "adm"}
    notes |= {"gg.parametrisation": "epsilon", "gg.schedule": "vp_linear", "gg.labels": json.dumps([*"abcde"])}
    spec = read(weights, **notes, **{"gg.config": '{"together": true, "heads": 2}'}).spec
    assert (spec.sizes["together"], spec.sizes["heads"], spec.schedule) == (True, 2, "vp_linear")
    with pytest.raises(ValueError, match=r"gg\.config\.heads is '2'; a whole number from 1"):
        read(weights, **notes, **{"gg.config": '{"heads": "2"}'})
    with pytest.raises(ValueError, match="has 128 channels for 5 heads"):
        read(weights, **notes, **{"gg.config": '{"heads": 5}'})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"resblock_updown": False}, "has no residual block that doubles the sides"),
        ({"image_channels": 6}, r"takes 6 channels \(an upsampler takes 6\)"),
    ],
)
def test_a_network_of_another_kind_is_refused(changes, message):
    weights = reference("imagenet_64x64_cond", **SMALL | {"num_classes": 5} | changes).state_dict()
    with pytest.raises(ValueError, match=message):
        read(weights)
