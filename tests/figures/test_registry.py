"""Every figure of unusual runs: words and pictures keep apart, and what cannot be drawn is said."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.text import Text

from guidance_geometry.figures.order import Order
from guidance_geometry.figures.pictures import Pictures
from guidance_geometry.figures.registry import FIGURES, draw_figure, draw_still
from guidance_geometry.tests.drawn import assert_apart, classifier_run, frames, parts, run


def broken():
    """A run whose step 5 left the range of numbers in its first image."""
    trace = run(gamma=4.0, sampler="ddpm")
    K, tensors = trace.steps["K"].clone(), {name: tensor.clone() for name, tensor in trace.tensors.items()}
    K[5, 0] = math.nan
    for name in ("cond", "guided"):
        tensors[name][5, 0] = math.nan
    return replace(trace, steps=trace.steps | {"K": K}, tensors=tensors)


WHOLE = [one for one in FIGURES if not one.film and one.name in (one.name, *(o.name for o in one.series))[-1:]]


@pytest.mark.parametrize("figure", WHOLE, ids=lambda figure: figure.name)
def test_a_figure_fills_its_sheet_and_can_be_read_at_half_its_size(figure):
    trace = asked(classifier_run()) if figure.by_classifier else run(gamma=4.0, sampler="ddpm")
    canvas = draw_still(Order(trace, step=4, sample=0, pictures=Pictures()), figure.name).canvas
    assert min(float(text.get_fontsize()) for text in parts(canvas, Text) if text.get_text()) >= 16
    ((_, caption),) = frames(canvas)
    assert caption.h < 70, "a heading and one line"
    drawn = np.argwhere((canvas.png()[: int(caption.y) - 1, :, :3] < 250).any(axis=-1))
    height, width = np.ptp(drawn, axis=0)
    assert height * width > 0.55 * caption.y * canvas.width


def asked(trace):
    """The run with what its classifier said."""
    sure = torch.linspace(-3.0, -0.1, trace.n, dtype=torch.float64)[:, None].expand(-1, trace.batch)
    return replace(trace, steps=trace.steps | {"log_prob gradient": sure})


def unfollowed():
    trace = run(gamma=4.0)
    return replace(trace, steps=trace.steps | {"kappa": trace.steps["kappa"] * math.nan})


@pytest.mark.parametrize(
    ("make", "figure", "step"),
    [
        (lambda: run(gamma=4.0, skip=(5,)), "difference", 5),
        (unfollowed, "scaled sum", 5),
        (lambda: run(gamma=4.0), "next step", 11),
        (broken, "step plane", 5),
        (lambda: run(gamma=4.0), "classifier curves", 5),
        (lambda: run(gamma=1.0, skip=tuple(range(12))), "effective scale", 5),
    ],
)
def test_of_what_cannot_be_drawn_the_page_says_why_and_what_to_do(make, figure, step):
    drawing = draw_still(Order(make(), step=step, sample=0), figure)
    words = " ".join(words for words, _ in drawing.canvas.texts())
    assert drawing.scene.missing in words
    assert drawing.scene.advice.split()[0] in words
    assert "overview-x" not in drawing.svg()


def shaped(*shape):
    """A run of other latents, such as those of a video or of sound."""
    trace = run(gamma=4.0, sampler="ddpm")
    tensors = {name: tensor.reshape(*tensor.shape[:-3], *shape) for name, tensor in trace.tensors.items()}
    return replace(trace, header=trace.header | {"latent": {"shape": list(shape)}}, tensors=tensors)


def first_rows(trace, steps, samples):
    """The first steps of the first samples of a trace."""
    columns = {name: v[:steps] if v.ndim == 1 else v[:steps, :samples] for name, v in trace.steps.items()}
    tensors = {n: v[:samples] if n == "end" else v[:steps, :samples] for n, v in trace.tensors.items()}
    kept = trace.captured_steps[:steps]
    header = trace.header | {"capture": {"steps": kept}, "labels": trace.header["labels"][:samples]}
    return replace(trace, header=header, steps=columns, stage=trace.stage[:steps], tensors=tensors)


def alone():
    """A run at cfg 1, whose sampler asked for one prediction."""
    trace = run(gamma=1.0, skip=tuple(range(12)))
    return replace(trace, tensors={name: v for name, v in trace.tensors.items() if name != "uncond"})


RUNS = {
    "ancestral": lambda: run(gamma=4.0, sampler="ddpm"),
    "flow": lambda: run(gamma=0.5, space="flow"),
    "one image, gamma 0": lambda: run(gamma=0.0, batch=1, sampler="ddpm"),
    "no unconditional pass": lambda: run(gamma=1.0, skip=tuple(range(12))),
    "not finite": broken,
    "no step": lambda: first_rows(run(gamma=4.0), 0, 2),
    "no sample": lambda: first_rows(run(gamma=4.0), 12, 0),
    "one step": lambda: first_rows(run(gamma=4.0), 1, 2),
    "cfg 1": alone,
    "no pictures": lambda: run(gamma=4.0, capture=False),
    "video": lambda: shaped(3, 4, 16, 16),
    "sound": lambda: shaped(8, 384),
}


@given(
    st.sampled_from([*RUNS]), st.sampled_from(FIGURES), st.sampled_from([None, 0]), st.sampled_from(["blog", "column"])
)
@settings(max_examples=16, deadline=None, derandomize=True)
def test_every_figure_of_any_run_is_a_page_whose_words_keep_apart(name, figure, step, size):
    trace = RUNS[name]()
    film = draw_figure(Order(trace, step=step if trace.n else None, size=size, pictures=Pictures()), figure.name)
    assert "run exact, " in film.caption
    assert_apart(film.last.canvas)
    words = " ".join(words for words, _ in film.last.canvas.texts())
    assert not re.search(r"\bnan\b|\binf\b|None", f"{words} {film.caption}")
