"""Every figure of a run, in the order of the node's menu.

A new one is a word of MENU, an entry here and a function that draws it.
"""

from __future__ import annotations

from functools import partial

from ..trace.faults import NothingToShow
from .animation import build_up, over_the_run
from .caption import Caption
from .classifier_curves import draw_classifier_curves
from .effective_scale import draw_effective_scale
from .figure import IN_STORY, Figure, series, sharing
from .film import Film, still_film
from .order import Drawing, Order, check_choices
from .page import draw_missing
from .pull import draw_pull
from .scene import scene_of_nothing
from .strips import draw_filmstrip, draw_heat_map, draw_noise_levels
from .walk import draw_guided, draw_walk

NOTHING = "there is nothing to draw"
_step = partial(Figure, draw=draw_guided)
_walk = partial(Figure, draw=draw_walk)
_pull = partial(Figure, draw=draw_pull, places=IN_STORY, by_classifier=True)
STEP = series(
    _step(
        "step plane",
        "the guided step",
        "Two predictions, \u03b3 times their difference, and the step that the sampler takes.",
        "A whole guided step: both predictions, their difference, the scale, the step and its noise.",
        ("u", "c", "delta", "scaled", "step", "noise", "other"),
    ),
    _step(
        "two predictions",
        "predict twice",
        "From {x} the network predicts the clean image: {u} without, {c} with the condition.",
        "From one noisy sample, the prediction without the label and with it.",
        ("u", "c"),
        places=IN_STORY,
    ),
    _step(
        "difference",
        "calculate the difference",
        "What the condition adds: from {u} to {c}",
        "What the label adds: to scale on top, larger by a stated factor below.",
        ("u", "c", "delta"),
        places=IN_STORY,
    ),
    _step(
        "scaled difference",
        "amplify the difference",
        "\u03b3 times the difference, from {u} on, ends at the guided prediction.",
        "The difference times the scale ends at what the sampler is given.",
        ("u", "c", "delta", "scaled"),
        places=IN_STORY,
    ),
    _step(
        "step",
        "take a small step",
        "From {x}, part of the way to the guided prediction.",
        "Part of the way towards the guided prediction.",
        ("u", "c", "delta", "scaled", "step"),
    ),
    _step(
        "step and noise",
        "add some noise",
        "As much as the sampler asks for, in a random direction. Pale: other draws.",
        "The guided step with its noise, which points out of the plane.",
        ("u", "c", "delta", "scaled", "step", "noise", "draws", "other"),
        places=IN_STORY,
    ),
)
BEFORE_STEP = sharing(
    STEP,
    _step(
        "sample alone",
        "a noisy sample",
        "The run is at {x}; where it will end is not known yet.",
        parts=("sample", "end"),
    ),
    _step("one prediction", "predict the clean image", "From {x}, without the condition: {u}", parts=("end", "u")),
)
WALK = series(
    _walk(
        "noisy sample",
        "a noisy sample",
        "The run is at {x}. Where it will end, {end}, is known only afterwards.",
        "Where the run is, and where it will end.",
        ("x", "end"),
        places=IN_STORY,
    ),
    _walk(
        "prediction",
        "predict the clean image",
        "From {x} the network predicts {p}; the sampler uses it as it is here.",
        "The network's average of all pictures that the noise could hide.",
        ("x", "end", "p"),
        places=IN_STORY,
    ),
    _walk(
        "small step",
        "take a small step",
        "Only part of the way: the prediction is an average of many images.",
        "The sampler goes only part of the way.",
        ("x", "end", "p", "step"),
        places=IN_STORY,
    ),
    _walk(
        "added noise",
        "add some noise",
        "The next state {next} is less noisy than {x}, and not on the ray. Pale: other draws.",
        "It adds some noise back; pale rays are other draws of the same length.",
        ("x", "end", "p", "step", "noise", "next"),
    ),
    _walk(
        "next prediction",
        "repeat: predict again",
        "From {next} the network predicts anew. Distances from the first ray to the second are not true.",
        "From the new state another prediction, usually sharper.",
        ("x", "end", "p", "step", "noise", "next", "p2"),
    ),
    _walk(
        "next step",
        "repeat: step again",
        "Another step ends at {next2}. Distances from the first ray to the second are not true.",
        "And so on: two steps joined at the move.",
        ("x", "end", "p", "step", "noise", "next", "p2", "step2", "noise2", "next2"),
    ),
)
PULL = series(
    _pull(
        "gradient",
        "calculate the gradient",
        "The direction from {x} in which the classifier finds the condition more likely.",
        "A classifier's gradient at the noisy sample; without one in the run, the difference is shown instead.",
        ("plain", "gradient"),
    ),
    _pull(
        "combined",
        "combine directions",
        "Step and gradient add up: the sampler takes their sum.",
        "Step and gradient, added as arrows.",
        ("plain", "gradient", "combined"),
    ),
    _pull(
        "scaled gradient",
        "scale by \u03b3",
        "The gradient is multiplied by the scale.",
        "The gradient times the scale.",
        ("plain", "gradient", "pull"),
    ),
    _pull(
        "scaled sum",
        "combine directions",
        "The step and \u03b3 times the gradient add up.",
        "The step, and the scaled gradient added to it.",
        ("plain", "gradient", "pull", "sum"),
    ),
    _pull(
        "gradient and noise",
        "add some noise",
        "As much as the sampler asks for, in a random direction. Pale: other draws.",
        "The same with the noise of the step.",
        ("plain", "gradient", "pull", "sum", "step", "noise", "draws"),
    ),
)
BEFORE_PULL = sharing(
    PULL,
    _pull(
        "sample alone",
        "a noisy sample",
        "The run is at {x}; where it will end is not known yet.",
        parts=("sample", "end"),
    ),
    _pull(
        "one prediction",
        "predict the clean image",
        "From {x} the network predicts {u}, without the condition.",
        parts=("end", "u"),
    ),
)
FIGURES = (
    *STEP[:-1],
    Figure(
        "noise levels",
        "noise levels",
        "From the clean picture to pure noise; sampling goes the other way.",
        "From the clean picture to pure noise; with your own photo if you connect one.",
        places=IN_STORY,
        draw=draw_noise_levels,
        of_step=False,
    ),
    *WALK,
    *PULL,
    STEP[-1],
    _walk("sampling animated", alt="Two steps of sampling, built up.", places=IN_STORY, film=build_up, frames=WALK),
    _pull(
        "classifier animated",
        alt="Guidance by a gradient, built up.",
        film=build_up,
        frames=(*BEFORE_PULL, PULL[0], *PULL[2:]),
    ),
    _step(
        "guidance animated", alt="Classifier-free guidance, built up.", film=build_up, frames=(*BEFORE_STEP, *STEP[1:])
    ),
    _step("run animated", alt="The step plane at every step of the run.", film=over_the_run, frames=STEP[:1]),
    Figure(
        "filmstrip",
        "what the condition adds, step by step",
        alt="Both predictions, the guided one and their difference over the run.",
        places=IN_STORY,
        draw=draw_filmstrip,
        of_step=False,
    ),
    Figure(
        "heat map",
        "where the condition acts",
        alt="Where in the picture the label acts, step by step.",
        draw=draw_heat_map,
        of_step=False,
    ),
    Figure(
        "classifier curves",
        "what classifiers say",
        "How sure each is of the wanted label. A gradient can fool the one that guides; the other shows it.",
        "How confident each classifier is, and the gradient beside the difference of the two predictions.",
        places=IN_STORY,
        by_classifier=True,
        draw=draw_classifier_curves,
        of_step=False,
    ),
    Figure(
        "effective scale",
        "what cfg acts like",
        "The scale at which plain guidance comes nearest to each step; what is left of the push goes across.",
        "The scale that guidance acts like at each step, beside cfg, and the share of the push across the difference.",
        draw=draw_effective_scale,
        of_step=False,
    ),
)  # the end of the menu
BY_NAME = {figure.name: figure for figure in FIGURES}


def figure_of(name: str) -> Figure:
    """The figure of a word; ValueError lists the known ones."""
    check_choices(figure=(name, tuple(BY_NAME)))
    return BY_NAME[name]


def draw_still(order: Order, name: str) -> Drawing:
    """Draw one page of a figure, or the page that says what a run lacks for it."""
    figure = figure_of(name)
    try:
        return figure.draw(order, figure)
    except NothingToShow as reason:
        return _draw_reason(order, figure, str(reason))


def draw_figure(order: Order, name: str) -> Film:
    """Draw any figure; a still is a film of one frame."""
    figure = figure_of(name)
    if figure.film is None:
        return still_film(draw_still(order, name), order.opaque)
    try:
        return figure.film(order, figure)
    except NothingToShow as reason:
        return still_film(_draw_reason(order, figure, str(reason)), order.opaque)


def _draw_reason(order: Order, figure: Figure, reason: str) -> Drawing:
    scene = scene_of_nothing(order.trace, NOTHING, reason)
    return draw_missing(order, scene, Caption(figure.heading or figure.name, "", (("run", scene.facts.run),)))
