import io
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageSequence
from PIL.PngImagePlugin import PngImageFile

from guidance_geometry.figures import MENU
from guidance_geometry.figures.order import Order
from guidance_geometry.figures.pictures import Pictures
from guidance_geometry.figures.registry import BY_NAME, draw_figure
from guidance_geometry.tests.drawn import run

FACTS = {"prompt": {"1": {"text": "caf\u00e9 \u03b3"}}, "workflow": {"nodes": []}}


@pytest.fixture(scope="module")
def film():
    return draw_figure(Order(run(gamma=4.0, sampler="ddpm"), step=3, sample=0), "guidance animated")


def durations(data):
    """How long each frame of an animation is shown, in ms."""
    found = []
    for frame in ImageSequence.Iterator(Image.open(io.BytesIO(data))):
        frame.load()
        found.append(round(frame.info["duration"]))
    return found


@pytest.mark.parametrize("form", ["webp", "apng"])
def test_an_animation_lasts_loops_and_keeps_every_pixel(film, form):
    data = getattr(film, form)(FACTS)
    image = Image.open(io.BytesIO(data))
    assert image.info["loop"] == 0
    assert sum(durations(data)) == 16000
    assert durations(data)[-1] == 4000
    *_, image = ImageSequence.Iterator(image)
    assert np.array_equal(np.asarray(image.convert("RGB")), film.frames[-1][..., :3])


def test_the_workflow_comes_back_from_each_file(film):
    exif = Image.open(io.BytesIO(film.webp(FACTS))).getexif()
    texts = dict(value.split(":", 1) for value in exif.values())
    assert {name: json.loads(value) for name, value in texts.items()} == FACTS
    assert exif[0x0110].startswith("prompt:")
    assert exif[0x010F].startswith("workflow:")
    for data in (film.apng(FACTS), film.sheet(FACTS)):
        assert data.count(b"tEXtworkflow") == data.count(b"tEXtprompt") == 1
        found = PngImageFile(io.BytesIO(data)).text
        assert {name: json.loads(value) for name, value in found.items()} == FACTS
    assert not Image.open(io.BytesIO(film.webp())).getexif()


def restless(film, opaque):
    """Frames of white paper, or none, with pictures on them that nothing can predict: more than 3 MB."""
    draws = np.random.default_rng(0)
    frames = np.full((12, 540, 960, 4), (255, 255, 255, 255 if opaque else 0), dtype=np.uint8)
    frames[:, 100:420, 100:420, :3] = draws.integers(0, 256, (12, 320, 320, 3))
    frames[:, 100:420, 100:420, 3] = 255
    return replace(film, frames=frames, durations=(500,) * 12, opaque=opaque)


@pytest.mark.parametrize(("form", "opaque"), [("webp", True), ("apng", False)])
def test_an_animation_of_photos_gives_up_colours_and_no_frame(film, form, opaque):
    restive = restless(film, opaque)
    data = getattr(restive, form)(FACTS)
    image = Image.open(io.BytesIO(data))
    assert len(data) < 3e6
    assert durations(data) == [500] * 12
    assert image.info["loop"] == 0
    image.seek(11)
    corner = tuple(np.asarray(image.convert("RGBA"))[5, 5])
    assert corner == (255, 255, 255, 255) if opaque else corner[3] == 0
    assert b"workflow" in data
    assert b"prompt" in data


def test_the_old_words_come_first_and_others_are_refused():
    old = ("step plane", "two predictions", "difference", "scaled difference", "step")
    assert MENU[:5] == old
    assert tuple(BY_NAME) == MENU
    assert len(set(MENU)) == len(MENU) >= 25
    with pytest.raises(ValueError, match=r"Unknown figure 'F7'\. Choose one of: step plane"):
        draw_figure(Order(run(gamma=4.0), pictures=Pictures()), "F7")
