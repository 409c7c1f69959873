"""What a network of the transformers library is shown is what the library's own image processors show it."""

import contextlib
import json
import tempfile
from pathlib import Path

import pytest
import torch
from hypothesis import Phase, given
from hypothesis import settings as run
from hypothesis import strategies as st

from guidance_geometry.models.classifiers.folder_preprocessing import preprocessing_of
from guidance_geometry.tests.classifier_slopes import noise

transformers = pytest.importorskip("transformers", reason="transformers comes with the host")
auto = pytest.importorskip("transformers.models.auto.modeling_auto")
processors = pytest.importorskip("transformers.models.auto.image_processing_auto")

READERS = (  # the networks that folders are read for
    auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES,
    auto.MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING_NAMES,
    dict.fromkeys(("dpt", "depth_anything", "clip", "siglip", "dinov2", "dinov2_with_registers", "vit")),
)
REFUSED = {  # prepared by code of their own
    "donut-swin": "a thumbnail on a larger page",
    "imagegpt": "colours become words",
    "levit": "a share in the code",
    "perceiver": "cut before it is resized",
    "pp_lcnet": "a share in the code",
    "hgnet_v2": "a share in the code",
    "textnet": "sides become divisible",
    "siglip2": "patches, not pictures",
}
LEVELS = 3 / 255  # of black to white, lost by the library, which rounds to bytes once or twice


def model_types():
    wanted = {name for table in READERS for name in table if "timm" not in name}
    return sorted(wanted & processors.IMAGE_PROCESSOR_MAPPING_NAMES.keys())


def folder_of(place, model_type, settings):
    (place / "config.json").write_text(json.dumps({"model_type": model_type}))
    (place / "preprocessor_config.json").write_text(json.dumps(settings))
    return place


def apart(folder, seen, sides, backend):
    """How far ours and the library's are apart on a picture of noise within half of the range."""
    picture = (127.5 + 63 * noise((3, *sides), 7).clamp(-1, 1)).to(torch.uint8)
    processor = transformers.AutoImageProcessor.from_pretrained(str(folder), backend=backend)
    wanted = processor(images=picture.movedim(0, -1).numpy(), return_tensors="pt")["pixel_values"].float()
    got = seen(picture[None] / 127.5 - 1)
    assert got.shape == wanted.shape
    return float(((wanted - got).abs() * torch.tensor(seen.std)[:, None, None]).max())


def equal(folder, seen, sides):
    """Whether ours is one of the library's: where halves are rounded, its two backends differ."""
    return any(apart(folder, seen, sides, backend) <= LEVELS for backend in ("torchvision", "pil"))


@pytest.mark.parametrize("model_type", model_types())
def test_every_class_is_prepared_as_by_the_library_or_refused(tmp_path, model_type):
    folder = folder_of(tmp_path, model_type, {})
    if model_type in REFUSED:
        with pytest.raises(ValueError, match=r"preprocessor_config\.json"):
            preprocessing_of(folder)
        return
    seen = preprocessing_of(folder)
    assert apart(folder, seen, (200, 330), "torchvision") <= LEVELS


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ({"resample": 1}, "resample is 1"),
        ({"size": {"shortest_edge": 20, "longest_edge": 40}}, "longest_edge"),
        ({"do_pad": True, "pad_size": {"height": 300, "width": 300}}, "not obeyed here: do_pad, pad_size"),
        ({"image_processor_type": "TimmWrapperImageProcessor"}, "image_processor_type"),
    ],
)
def test_a_setting_that_is_not_obeyed_is_named(tmp_path, setting, named):
    with pytest.raises(ValueError, match=rf"preprocessor_config\.json.*{named}"):
        preprocessing_of(folder_of(tmp_path, "vit", setting))


def test_a_map_covers_the_whole_picture(tmp_path):
    folder = folder_of(tmp_path, "mobilevit", {})
    assert preprocessing_of(folder).middle
    with pytest.raises(ValueError, match="do_center_crop cuts the picture"):
        preprocessing_of(folder, whole=True)


side = st.integers(16, 64)
pair = st.builds(lambda h, w: {"height": h, "width": w}, side, side)
three = st.lists(st.floats(0.1, 0.9), min_size=3, max_size=3)
PLAIN = {  # what every class of the library reads alike
    "size": side | pair | st.builds(lambda short: {"shortest_edge": short}, side),
    "crop_size": side | pair,
    "resample": st.sampled_from([0, 2, 3]),
    "rescale_factor": st.sampled_from([1 / 255, 1 / 127.5, 1.0, 0.5]),
    "image_mean": three,
    "image_std": three,
    **dict.fromkeys(("do_resize", "do_center_crop", "do_rescale", "do_normalize"), st.booleans()),
}
SWITCHES = ("do_pad", "do_flip_channel_order", "include_top", "rescale_offset", "keep_aspect_ratio", "do_convert_rgb")
OTHERS = {
    "size": PLAIN["size"] | st.builds(lambda short: {"shortest_edge": short, "longest_edge": 2 * short}, side),
    "resample": st.integers(0, 5),
    "crop_pct": st.sampled_from([0.5, 0.875, 0.95]),
    "ensure_multiple_of": st.integers(1, 14),
    "pad_size": st.just({"height": 96, "width": 96}),
    "size_divisor": st.integers(1, 32),
    **dict.fromkeys(SWITCHES, st.booleans()),
}
PICTURES = st.tuples(st.integers(20, 90), st.integers(20, 90))


@pytest.mark.parametrize("model_type", ["vit", "clip"])
@run(max_examples=5, phases=(Phase.generate,))
@given(settings=st.fixed_dictionaries(PLAIN), sides=PICTURES)
def test_what_every_class_reads_is_obeyed(model_type, settings, sides):
    with tempfile.TemporaryDirectory() as place:
        folder = folder_of(Path(place), model_type, settings)
        assert equal(folder, preprocessing_of(folder), sides)


@pytest.mark.parametrize("model_type", ["beit", "dpt", "mobilevit"])
@run(max_examples=6, phases=(Phase.generate,))
@given(settings=st.fixed_dictionaries({}, optional=PLAIN | OTHERS), sides=PICTURES)
def test_what_a_class_reads_besides_is_obeyed_or_refused(model_type, settings, sides):
    with tempfile.TemporaryDirectory() as place:
        folder = folder_of(Path(place), model_type, settings)
        with contextlib.suppress(ValueError):
            assert equal(folder, preprocessing_of(folder), sides)
