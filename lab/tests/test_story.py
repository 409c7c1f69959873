"""What the story measures, at small sizes; and its page, which says what its numbers say."""

import json
import math
from io import BytesIO
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence, PngImagePlugin

from guidance_geometry.dev.fixtures.classifier_run import ClassifierRun
from guidance_geometry.figures.film import Film
from guidance_geometry.guidance.mixture import make_mixture
from guidance_geometry.guidance.predictions import Predictions
from guidance_geometry.guidance.rules.cfg import cfg
from guidance_geometry.lab.pages import pictures, pocket_means, run_figures, story, story_classifiers, story_measures
from guidance_geometry.lab.train.demo_evaluation import dpmpp_2m, karras_sigmas


def linear(slope, centre):
    """Predictions of Gaussian data of variance 1, whose mean the label moves by `centre`."""

    def predict(x, sigma):
        uncond = x / (1 + sigma**2)
        return uncond, uncond + slope * centre * sigma**2 / (1 + sigma**2)

    return predict


def test_a_guided_path_ends_where_the_flow_does():
    predict = linear(1.0, 2.0)
    x = torch.full((1, 1), 3.0, dtype=torch.float64)
    path = story_measures.guided_path(predict, x, 3.0, karras_sigmas(400))
    # x - gamma centre decays like sqrt(1 + sigma^2) along the exact flow
    exact = 6.0 + (3.0 - 6.0) / math.sqrt(1 + 80**2)
    assert abs(path.end.item() - exact) <= 0.02
    assert [m.sigma for m in path.moments] == karras_sigmas(400)[:-1].tolist()


def test_pushes_add_up_for_one_step_only():
    predict, x = linear(1.0, 2.0), torch.zeros(1, 1, dtype=torch.float64)
    single = torch.tensor([80.0, 0.0], dtype=torch.float64)
    found = story_measures.straightness(predict, x, (1.0, 4.0), [0])
    assert found.measured[1] == pytest.approx(4 * found.measured[0])  # this world is linear, yet the sum is wrong:
    assert found.predicted[0] > 2 * found.measured[0]
    assert found.cosine == pytest.approx([1.0, 1.0])
    assert found.slope[0] == pytest.approx(found.measured[0] / found.predicted[0])
    one = story_measures.guided_path(predict, x, 4.0, single)
    assert torch.allclose(one.end, 4 * one.push)


def test_path_is_the_ruled_step_by_step():
    predict = linear(0.5, 1.0)
    x = torch.randn(3, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    sigmas = karras_sigmas(1)
    u, c = predict(x, float(sigmas[0]))
    wanted = cfg(Predictions(x, sigmas[0], torch.tensor(1.0), u, c), gamma=2.0)
    assert torch.allclose(story_measures.guided_path(predict, x, 2.0, sigmas).end, wanted)
    assert torch.allclose(dpmpp_2m(lambda x, sigma: wanted, x, sigmas), wanted)


def test_pocket_starts_near_the_mean_and_leaves_it():
    denoise, null = story_measures.pocket()
    x, labels = story_measures.start_noise(4, 5, 80.0)
    means = (pocket_means.read_means(), 0.3)
    found = story_measures.averages(story_measures.both(denoise, null, labels), x, labels, means, 2)
    assert found.far[0] < 0.2 < 0.4 < found.far[-1]
    assert found.far_label[0] < 0.15 < found.far_label[-1]
    assert found.to_end[-1] == 0
    assert found.label == 2
    assert len(found.by_guidance["uncond"]) == story_measures.STEPS == len(found.sigmas)


def test_reweighting_is_exact_at_one_and_not_at_four():
    plain, guided = (story_measures.reweighting(gamma, 100, 4000) for gamma in (1.0, 4.0))
    assert plain.distance < 2 * plain.floor
    assert guided.distance > 5 * guided.floor
    assert guided.spread > 1.1 * guided.wanted_spread


def test_means_are_of_the_cards_pictures():
    means = pocket_means.read_means()
    assert (means.label.mean(dim=0) - means.every).abs().max() <= 1e-3  # half precision; the labels are equally many
    told = means.means_with_errors(0.3)
    assert torch.allclose(told, 0.7 * means.label + 0.3 * means.every)
    assert abs(means.every.mean().item() - 0.25) < 0.05


def test_means_of_other_pictures_are_refused(tmp_path):
    from guidance_geometry.lab.train.demo_data import Images

    pixels = np.zeros((20, 32, 32, 3), dtype=np.uint8)
    pixels[::10] = 255
    images = Images(pixels, np.arange(20) % 10, pixels, np.arange(20) % 10, "another")
    means = pocket_means.means_of(images)
    assert means.label[0].eq(1).all()
    assert means.label[1].eq(-1).all()
    assert means.every.mean().item() == pytest.approx(-0.8)
    pocket_means.write_means(tmp_path / "means.safetensors", images)
    with pytest.raises(ValueError, match="another, the card says"):
        pocket_means.read_means(tmp_path / "means.safetensors")


def test_the_page_says_what_its_numbers_say():
    numbers = json.loads(story.NUMBERS.read_text(encoding="utf-8"))
    words = story.WORDS_OF_PAGE.read_text(encoding="utf-8")
    assert story.PAGE.read_text(encoding="utf-8") == story.page_of(words, numbers)
    assert "{{" not in story.PAGE.read_text(encoding="utf-8")


def test_numbers_and_tables_are_set_into_the_page():
    rows = [{"gamma": 1.0, "predicted": 2.0, "measured": 0.5, "cosine": 0.25, "slope": 0.125}]
    page = story.page_of("a {{share:.1%}} b\n{{straight}}\n", {"share": 0.0314, "straight": rows})
    assert page.splitlines()[0] == "a 3.1% b"
    assert page.splitlines()[-1] == "| 1 | 2.00 | 0.50 | 0.25 | 0.12 |"
    assert len({line.count("|") - line.count("\\|") for line in page.splitlines()[1:]}) == 1
    with pytest.raises(KeyError):
        story.page_of("{{unknown}}", {})


def test_a_run_is_a_sampler_and_what_it_needs():
    wired = {"a": [], "b": ["a"], "c": ["b", "a"], "d": ["c"]}
    template = {name: {"inputs": {"x": 1, **{n: [n, 0] for n in needs}}} for name, needs in wired.items()}
    assert set(run_figures.upstream(template, ["c"])) == {"a", "b", "c"}
    assert run_figures.FREE.sampler in run_figures.FREE.run
    kinds = [node["class_type"] for node in run_figures.BY_GRADIENT.run.values()]
    assert "GGClassifierGradient" in kinds
    assert "GGFigure" not in kinds


def test_a_classifier_that_is_sure_alone_counts_as_fooled():
    guide, judge = torch.tensor([0.95, 0.95, 0.2, 0.95]), torch.tensor([0.05, 0.9, 0.9, 0.3])
    assert story_classifiers.method_row("x0", guide, judge) == {
        "method": "x0",
        "judged": 0.5,
        "claimed": 0.75,
        "fooled": 0.25,
    }


def test_of_an_exact_classifier_gradient_and_difference_are_one_arrow():
    found = story_classifiers.exact_numbers()
    assert found == pytest.approx({"exact_cosine": 1.0, "exact_ratio": 1.0}, abs=1e-6)
    trace = ClassifierRun(make_mixture((3, 8, 8), classes=3, seed=0), torch.arange(4) % 3).trace()
    rows = story_classifiers.agreement_numbers(trace)["agreement"]
    assert [row["sigma"] for row in rows] == [
        story_classifiers.round_digits(trace.header["sigmas"][k]) for k in story_classifiers.SHOWN
    ]
    known = [row for row in rows if row["delta"] > 1e-6]
    assert len(known) >= 3
    assert all(row["cosine"] == 1.0 and row["g"] == row["delta"] for row in known)


def test_the_template_shows_the_step_that_the_page_measures():
    settings = run_figures.BY_GRADIENT.template[run_figures.BY_GRADIENT.figure]["inputs"]
    assert (settings["step"], settings["sample"]) == (story_classifiers.STEP, story_classifiers.SAMPLE)
    assert run_figures.BY_GRADIENT.template[story_classifiers.FOOLED]["inputs"]["sample"] == story_classifiers.PLANET


def apart(found, pixels):
    """The largest difference of two arrays of values 0 .. 255."""
    return np.abs(np.asarray(found).astype(int) - pixels).max()


def test_a_plain_picture_has_the_same_pixels_to_the_eye_and_no_text():
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    info, file = PngImagePlugin.PngInfo(), BytesIO()
    info.add_text("workflow", "{}" * 1000)
    Image.fromarray(pixels).save(file, "PNG", pnginfo=info)
    found = Image.open(BytesIO(pictures.plain_webp(file.getvalue())))
    assert apart(found, pixels) <= 7
    ends = (pixels == 0) | (pixels == 255)
    assert np.array_equal(np.asarray(found)[ends], pixels[ends]), "paper stays white, ink black"
    assert not {"workflow", "exif"} & set(found.info)


def test_a_drawing_takes_half_of_its_exact_copy():
    ramps = np.add.outer(np.arange(200), np.arange(300)) // 2
    noise = np.random.default_rng(0).integers(0, 6, (200, 300))
    pixels = np.repeat((ramps + noise)[..., None], 3, axis=2).astype(np.uint8)
    exact = BytesIO()
    Image.fromarray(pixels).save(exact, "WEBP", **pictures.DRAWING)
    drawn = BytesIO()
    Image.fromarray(pixels).save(drawn, "PNG")
    assert len(pictures.plain_webp(drawn.getvalue())) <= 0.5 * len(exact.getvalue())


def test_a_plain_animation_keeps_frames_and_times():
    frames = np.random.default_rng(0).integers(0, 255, (3, 20, 30, 4), dtype=np.uint8)
    last: Any = None
    film = Film(frames, (500, 600, 700), ("a", "b", "c"), last, True)
    whole = film.webp({"prompt": {"1": "x" * 3000}, "workflow": {"nodes": []}})
    plain = pictures.plain_webp(whole)
    assert len(plain) < len(whole) - 3000
    found, times = Image.open(BytesIO(plain)), []
    assert not found.getexif()
    for k, frame in enumerate(ImageSequence.Iterator(found)):
        assert apart(frame.convert("RGB"), frames[k, ..., :3]) <= 7
        times.append(frame.info["duration"])
    assert times == [500, 600, 700]
    assert pictures.plain_webp(plain) == plain


def test_a_long_film_keeps_its_last_frame_and_its_time():
    pixels = [np.full((4, 4, 3), k, dtype=np.uint8) for k in range(23)]
    found = pictures.shorten(pictures.Frames(pixels, [100] * 23))
    assert [frame[0, 0, 0] for frame in found.pixels] == [1, 4, 7, 10, 13, 16, 19, 22]
    assert found.times == [300] * 8
    assert pictures.shorten(found) == found


def test_a_picture_that_shows_the_same_is_not_written_again(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (200, 300, 3), dtype=np.uint8)
    assert pictures.colours(pixels) > pictures.MOST_COLOURS, "a photograph: stored with a loss"
    pictures.write_pixels(tmp_path / "a.webp", pixels)
    (tmp_path / "a.webp").touch()
    before = (tmp_path / "a.webp").stat().st_mtime_ns
    pictures.write_pixels(tmp_path / "a.webp", pixels)
    assert (tmp_path / "a.webp").stat().st_mtime_ns == before
    pictures.write_pixels(tmp_path / "a.webp", 255 - pixels)
    assert (tmp_path / "a.webp").stat().st_mtime_ns != before
