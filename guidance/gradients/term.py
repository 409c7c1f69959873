"""Gradient terms of a chain: what is added to the guided prediction, by which evaluation, when, and how strongly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..energies.composition import AugmentedEnergy, draws_at, leaves_of
from ..energies.protocol import At, Energy, judges
from ..knobs import NO_WIDGET, Stated, knob
from ..printing import Printed, safe_text, text_of
from ..rules.kinds import Rule
from ..rules.window import Window, part_of_run, share_knob
from ..run import Run
from .estimators import (
    EVALUATIONS,
    NORMALISATIONS,
    LogProb,
    Shift,
    backprop_shift,
    clean_shift,
    noisy_shift,
    smooth_over_cloud,
    spread,
)

MOST_ASKED = 1024  # answers of energies in one gradient: all their graphs are there at once
NOISY, BACKPROP, CLEAN_X0 = EVALUATIONS
MEASURED = {NOISY: 2.0, BACKPROP: 4.0, CLEAN_X0: 200.0}  # gamma that served best: docs/classifier-guidance.md
STAND_IN = (  # what is said where x0 takes the place of x0 + backprop
    f"x0 without backprop, with {MEASURED[CLEAN_X0] / MEASURED[BACKPROP]:g} times the gamma, which suits it equally "
    "well"
)


@dataclass(frozen=True, repr=False)
class GradientOptions(Stated, Printed):
    """Settings that most gradient terms leave alone."""

    node_id = "GGGradientOptions"
    name = "Gradient Options"
    search_words = ("classifier guidance", "advanced settings")
    description = (
        "Settings of Classifier Guidance that rarely change. With x0, classifiers are too sure early in the run: "
        "samplers that add noise correct much of this, draws most of the rest."
    )
    temperature: float = knob(
        1.0,
        "Above 1 the classifier keeps pushing where it is already sure.",
        limits=(0.01, 1000.0, 0.1),
    )
    draws: int = knob(
        0,
        "For x0: the classifier looks at this many slightly different pictures, and its answers are averaged (LGD). "
        "0: at the one guess alone. 4 to 16 are usual; each is one more run of the classifier.",
        limits=(0, 64),
    )
    backward_steps: int = knob(
        1,
        "For x0 without backprop: this many small pushes in every step instead of one (backward universal guidance).",
        limits=(1, 100),
    )
    views: int = knob(
        0,
        "The classifier looks at this many shifted and mirrored copies of the picture: what only fools it rarely "
        "survives that. 0: the picture itself.",
        limits=(0, 64),
    )
    seed: int = knob(0, "Seed of draws and views; the same for every image of a batch.", limits=(0, 0xFFFFFFFF))
    checkpoint: bool = knob(
        False,
        "For x0 + backprop. auto: keep everything if it fits, else compute blocks twice, else go without "
        "backprop; the node says so. compute twice: from the start.",
        choices={"auto": False, "compute twice": True},
        name="memory",
    )
    radius: float = knob(
        1.0,
        "How different the draws are. 1: as the pictures that are still possible (LGD). TFG takes 0.001 to 0.1. 0: "
        "not at all.",
        limits=(0.0, 10.0, 0.05),
        later=True,
    )
    shrink: int = knob(
        1,
        "With a vae: the classifier sees a picture this many times smaller, which takes much less memory to decode. "
        "1: full size.",
        limits=(1, 8),
        later=True,
    )

    @property
    def text(self) -> str:
        """What differs from the usual."""
        usual = type(self)()
        return ", ".join(f"{name} {value}" for name, value in vars(self).items() if value != getattr(usual, name))


USUAL = GradientOptions()
UNREAD = {NOISY: ("draws", "radius", "backward_steps", "shrink"), BACKPROP: ("backward_steps",), CLEAN_X0: ()}


class Strength(NamedTuple):
    """How strongly a term acts in one evaluation.

    gamma: factor of its shift, and of the steps on the way to it. share: share of it that reaches the prediction.
    """

    gamma: float
    share: float = 1.0


@dataclass(frozen=True)
class Place:
    """Where terms are asked in one evaluation.

    x: [B, ...] = alpha x0 + sigma eps.
    denoised: the guided x0-hat there, [B, ...]; with its graph to x for backprop.
    sigma: noise level of x.
    alpha: signal level of x.
    sigma_data: standard deviation of clean data.
    picture: from x0-hat to image space, differentiable.
    pause: called between energies; it may raise.
    """

    x: Tensor
    denoised: Tensor
    sigma: float
    alpha: float
    sigma_data: float
    picture: Callable[[Tensor], Tensor]
    pause: Callable[[], object] = bool


@dataclass(frozen=True, eq=False)
class Term(Rule):
    """An energy at work in a chain between two shares of the run.

    energy: log p(y | x0).
    start: share of the run's steps before it, 0 is the first step.
    end: share of the run's steps after which it rests, 1 is the last step.
    decoder: the host's decoder from latents to pictures, if one is wired.
    title: what the node that made it is called.
    node: number of that node.

    Raises ValueError where one evaluation would ask more energies than any memory holds.
    """

    energy: Energy
    start: float = share_knob(
        0.0, "Share of the run's steps before the first push; 0 is from the start.", "start_percent"
    )
    end: float = share_knob(1.0, "Share of the steps after which nothing is pushed; 1 is to the end.", "end_percent")
    decoder: Any = None
    title: str = field(default="", kw_only=True, metadata=NO_WIDGET)
    node: str = field(default="", kw_only=True, metadata=NO_WIDGET)

    def __post_init__(self):
        super().__post_init__()
        energies, views, draws = self.evaluation_counts
        if energies * views * draws > MOST_ASKED:
            raise ValueError(
                f"One evaluation would ask {energies * views * draws} energies at once ({energies} for each picture, "
                f"{views} views, {draws} draws), and {MOST_ASKED} are the most: all of them are in memory together. "
                "Take fewer views or draws, or join fewer energies."
            )

    @property
    def evaluation_counts(self) -> tuple[int, int, int]:
        """How many energies look at one picture, at how many views of it, and of how many pictures."""
        return leaves_of(self.energy), 1, 1

    @property
    def window(self) -> Window:
        """The part of the run in which it acts."""
        return Window(self.start, self.end)

    def within(self, start: float, end: float) -> Term:
        """The term in what a part of the run shares with its own window.  Raises ValueError as every rule does."""
        window = self.window.narrow(part_of_run(start, end), self.text)
        return replace(self, start=window.start, end=window.end)

    @property
    def shrink(self) -> int:
        """How many times smaller its decoder's latents are made."""
        return 1

    @property
    def effective_evaluation(self) -> str:
        """Where its energy is asked: of EVALUATIONS."""
        return CLEAN_X0

    def log_prob(self, place: Place) -> Tensor:  # -> [B]
        """log p of the x0-hat."""
        return self.energy.log_prob(place.picture(place.denoised), At(level=place.sigma, pause=place.pause))

    @property
    def when(self) -> str:
        """The part of the run in which it acts, as the end of a phrase for the trace."""
        return "" if (self.start, self.end) == (0, 1) else f", {self.start:g} to {self.end:g} of the run"

    def active(self, run: Run, sigma: float) -> bool:
        """Whether the term is at work at a noise level."""
        return self.window.covers(run, sigma)


@dataclass(frozen=True, eq=False)
class WatchTerm(Term):
    """An energy that is measured at x0-hat in every step and changes nothing."""

    node_id = "GGWatchEnergy"

    @property
    def text(self) -> str:
        """What is watched."""
        return f"watch {text_of(self.energy)}{self.when}"


@dataclass(frozen=True, eq=False)
class GradientTerm(Term):
    """Adds gamma times the shift that an energy asks for.

    weight: gamma in the evaluation that was asked for. normalise, limit: see `bound_push`. measured: the weight is what
    serves as a rate, from a preset.
    Raises ValueError where the energy cannot be asked so, or only measures.
    """

    node_id = "GGClassifierGradient"
    weight: float = knob(
        2.0,
        "How hard it pushes. Measured best on pocket-1: 2 for noisy x_t, 4 for x0 + backprop, 200 for x0; preset "
        "sets them. 0 is off; below 0 pushes away.",
        limits=(-1e6, 1e6, 0.1),
        off=0.0,
        name="scale",
        main=True,
    )
    evaluation: str = knob(
        "auto",
        "Where the classifier looks. noisy x_t: at the noisy picture; it must have learned noise. x0 + backprop: at "
        "the model's guess of the finished picture, followed back through the model, twice the time. x0: without "
        "that. auto: the first that works.",
        choices=("auto", *EVALUATIONS),
    )
    normalise: str = knob(
        "none",
        "none: the push as it comes. rms_ratio: always scale times limit as long as what the prompt changes (needs a "
        "negative other than the positive). clip: never longer than limit times the size of a picture.",
        choices=tuple(NORMALISATIONS),
    )
    limit: float = knob(0.2, "Only for rms_ratio and clip.", limits=(0.0, 1e4, 0.05))
    every: int = knob(
        1,
        "A new gradient every k-th step, the latest one in between: saves time, costs accuracy.",
        limits=(1, 1000),
        name="every_k",
    )
    options: GradientOptions = USUAL
    measured: bool = field(default=False, metadata=NO_WIDGET)

    def __post_init__(self):
        super().__post_init__()
        if self.evaluation == NOISY and not self.energy.noise_aware:
            raise ValueError(
                f"{text_of(self.energy)!r} reads clean pictures only, and the evaluation is {NOISY!r}. "
                f"Choose {BACKPROP!r} or {CLEAN_X0!r}, or a noise-aware classifier."
            )
        if judge := judges(self.energy):
            raise ValueError(
                f"{safe_text(judge[0])} is the judge: it measures what guidance did, and a judge that guides measures "
                "nothing. Guide with another classifier, and give this one to Watch an Energy."
            )

    @property
    def evaluation_counts(self) -> tuple[int, int, int]:
        """How many energies look at one picture, at how many views of it, and of how many draws, by its options."""
        draws = 0 if self.effective_evaluation == NOISY else self.options.draws
        return leaves_of(self.energy), max(self.options.views, 1), max(draws, 1)

    @property
    def shrink(self) -> int:
        """How many times smaller its decoder's latents are made, by its options."""
        return self.options.shrink

    @property
    def effective_evaluation(self) -> str:
        """The evaluation in force, auto resolved."""
        if self.evaluation != "auto":
            return self.evaluation
        return NOISY if self.energy.noise_aware else BACKPROP

    @property
    def unread_options(self) -> list[str]:
        """Options that were set and mean nothing in the evaluation in force."""
        names = UNREAD[self.effective_evaluation]
        return [name for name in names if getattr(self.options, name) != getattr(USUAL, name)]

    def with_field(self, name: str, value: Any) -> GradientTerm:
        """The term with another value of a field; a weight that is set takes the place of a preset."""
        return replace(self, **{name: value}, **({"measured": False} if name == "weight" else {}))

    def gamma(self, evaluation: str) -> float:
        """Factor of the shift: the weight; where another evaluation stands in, as many times what is measured there."""
        return self.weight * MEASURED[evaluation] / MEASURED[self.effective_evaluation]

    @property
    def text(self) -> str:
        """One phrase for the trace."""
        held = "" if self.normalise == "none" else f", {self.normalise} {self.limit:g}"
        each = "" if self.every == 1 else f", every {self.every} steps"
        energy, at = text_of(self.energy), self.effective_evaluation
        return f"+ {self.gamma(at):g} x gradient of log p({energy}) at {at}{held}{self.when}{each}"

    @property
    def asks(self) -> str:
        """What its scale depends on, beside what is asked for: who is asked, where, and how the answer is bounded."""
        names = ", ".join(dict.fromkeys(text_of(network) for network in self.energy.classifiers))
        held = "" if self.normalise == "none" else f", {self.normalise} {self.limit:g}"
        return f"{names or type(self.energy).__name__} at {self.effective_evaluation}{held}"

    def fresh(self, run: Run, sigma: float) -> bool:
        """Whether the gradient is taken anew at a noise level."""
        return run.step(sigma) % self.every == 0

    def shift(self, place: Place, evaluation: str, again: bool = False, gamma: float | None = None) -> Shift:
        """The shift of x0-hat at gamma 1 by an evaluation.

        again: the graph of the denoiser is needed once more. gamma: of the steps on the way; None is the term's own.
        """
        sigma, alpha, options = place.sigma, place.alpha, self.options
        if evaluation == NOISY:
            at = At(sigma, alpha, options.temperature, sigma, place.pause)
            return noisy_shift(lambda x: self._energy().log_prob(x, at), place.x, sigma, alpha)
        log_prob = self._of_clean(place)
        if evaluation == BACKPROP:
            return backprop_shift(log_prob, place.x, place.denoised, sigma, alpha, again)
        gamma = self.gamma(evaluation) if gamma is None else gamma
        return clean_shift(log_prob, place.denoised, sigma, alpha, place.sigma_data, gamma, options.backward_steps)

    def _energy(self) -> Energy:
        views = self.options.views
        return AugmentedEnergy(self.energy, views, seed=self.options.seed) if views else self.energy

    def _of_clean(self, place: Place) -> LogProb:
        """log p of an x0-hat, over the cloud where one is wanted."""
        energy, options = self._energy(), self.options
        at = At(temperature=options.temperature, level=place.sigma, pause=place.pause)

        def log_prob(x0: Tensor) -> Tensor:
            place.pause()
            return energy.log_prob(place.picture(x0), at)

        if not options.draws:
            return log_prob
        sizes = (options.draws, *place.x.shape[1:])
        noise = torch.randn(sizes, generator=draws_at(options.seed, place.sigma))
        left_open = spread(place.sigma, place.alpha, place.sigma_data) ** 0.5
        return smooth_over_cloud(log_prob, noise, options.radius * left_open)
