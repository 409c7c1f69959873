"""What the verdict on a run rests on: what guided it at which scale, how long its predictions are, its kind of sampler.

The inner products of all samples are summed before lengths are compared, so a batch of one label is steadier than one
sample. What is not known is nan: a pass that was not evaluated, a step that is not there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from ..measure.curve import VISIBLE
from ..measure.estimates import surely_stranger
from ..measure.measurement import Measurement, measurement_of
from ..trace.gram import point
from ..trace.guidance_effect import GUIDANCE, EffectiveScale, alike, cfg_of, push_shares, rounding
from ..trace.metrics import FLOOR_FACTOR, ratio
from ..trace.recorder import RECUR
from ..trace.terms import Term, columns_of_pass
from ..trace.trace import END, FROM_ZERO, MASK_NOTE, SCALES, SKIP, Trace
from .known import Known
from .liked import Liked, liked_of
from .measured import MeasuredCurve
from .picks import CFG, PLAIN, half_way
from .run_knobs import DISTILLED, EARLIER, GRADIENT, LATER, RULE, RunKnob, knobs_of
from .sentences import Sentence, about, say, short

ROUNDED = 1e-6  # of a share, in which two are alike
NEGLIGIBLE = 1e-3  # share of D below which D - G is rounding
GUIDED = ("step", "reuse")  # stages with both predictions, or one in the place of u
EARLY = 8.0  # noise level in units of sigma_d, r = sigma / (alpha sigma_d), above which a run begins with noise
CLEAN = 0.1  # r at which a run has ended
BURNT = 3.1  # times the longest prediction of the model alone; set by hand, few fine runs lie above it
SCALED = 1.0  # rms that latents are scaled to: what clean data of an unknown size hardly exceeds
FEW, MANY = 15, 35  # steps: below the first are few, above the second many
HIDDEN = ("not observable", "counts as part of the move")  # words of header.split and header.notes


@dataclass(frozen=True)
class Scale:
    """What guided a run.

    low, high: least and largest gamma of its steps, nan where one is unknown.
    change: largest |D - G| / |D| over the steps that know it, 0 where that is rounding, nan where none knows it.
    at: the step of that change, None without one.
    further: names of what else took part: further passes, patches in the network, further conditions, classifiers.
    rules: the chain as text, empty where there is none.
    cfg: of the widget, nan where nobody tells.
    effective: the plain scale at which the run stands.
    other: who else may have changed guidance, empty where nobody tells.
    has_mask: whether a noise mask was set.
    """

    low: float
    high: float
    change: float
    at: int | None
    further: tuple[str, ...]
    rules: str
    cfg: float
    effective: EffectiveScale
    other: str
    has_mask: bool

    @property
    def constant(self) -> bool:
        """Whether every step had the same scale."""
        return self.low == self.high

    @property
    def is_off(self) -> bool:
        """Whether guidance was off: every step has scale 1."""
        return self.low == self.high == 1

    @property
    def plain(self) -> bool:
        """Whether nothing but one scale combined the two predictions."""
        return self._one_scale and not self.further

    @property
    def differs_from_cfg(self) -> bool:
        """Whether the run does not stand where plain guidance at the widget's cfg does, as far as both are known."""
        if self._one_scale:
            return not alike(self.low, self.cfg)
        acts = self.effective
        return math.isfinite(self.cfg) and not (acts.steady and acts.along and alike(acts.scale, self.cfg))

    @property
    def plain_scale(self) -> float:
        """The plain scale by which the run is compared, nan where it has none."""
        if self.differs_from_cfg and not self._one_scale:
            return self.effective.scale
        return self.low if self.constant else math.nan

    @property
    def beside(self) -> str:
        """What took part beside plain guidance, by its names; empty for nothing that the chain or a pass tells."""
        return " > ".join(part for part in self.rules.split(" > ") if part != PLAIN) or ", ".join(self.further)

    @property
    def who(self) -> str | Sentence:
        """Who changed what cfg does."""
        if self.has_mask and not self.differs_from_cfg:
            return self.beside or say("who.mask")
        return self.beside or self.other or say("who.node")

    @property
    def _one_scale(self) -> bool:
        """Whether D is u + gamma delta with one gamma, and what else took part."""
        return self.constant and not self.change > 0


@dataclass(frozen=True)
class Features:
    """How long the predictions of a run are.

    overshoot: max rms(D) / max(rms(u), rms(c)), each over all steps; longest: the step of that D. end: rms(x_end).
    """

    overshoot: float
    longest: int | None
    end: float


@dataclass(frozen=True)
class Judged:
    """What an energy that did not guide finds in the finished pictures.  log_prob: [B]; fault: why it found nothing."""

    name: str
    log_prob: Tensor
    fault: str = ""


@dataclass(frozen=True)
class Case:
    """A run, and what its verdict rests on.

    trace: its record, without the numbers of steps that a cache answered.
    knowledge: of its model.
    scale: what guided it.
    features: how long its predictions are.
    sampler: key of its class of samplers.
    sigma_data: rms of clean data, nan where unknown.
    source: who says so.
    push: share of the push, 0 .. 1, by who pushed; empty without any.
    judge: what an energy that did not guide finds in the finished pictures, None where none was asked.
    """

    trace: Trace
    knowledge: Known
    scale: Scale
    features: Features
    sampler: str
    sigma_data: float
    source: Sentence
    push: Mapping[str, float]
    judge: Judged | None = None

    @classmethod
    def of(cls, trace: Trace, knowledge: Known, judge: Judged | None = None) -> Case:
        """The case of one run."""
        trace = replace(trace, steps=dict(trace.steps))  # a run's columns are made here, where they are first read
        cached = trace.in_stages(SKIP)
        if cached.any():  # nothing was predicted at these steps
            columns = {name: trace.steps[name].clone() for name in ("K", "gamma", *SCALES) if name in trace.steps}
            for column in columns.values():
                column[cached] = math.nan
            trace = replace(trace, steps={**trace.steps, **columns})
        stated, size = trace.header.get("sigma_data"), knowledge.size
        if size and not stated:
            sigma_data, source = size.value, size.source
        else:
            sigma_data, source = float(stated or math.nan), say("size.model")
        push = push_shares(trace) if trace.n else {}
        facts = scale_of(trace), features_of(trace), sampler_class(trace), sigma_data, source, push
        return cls(trace, knowledge, *facts, judge)

    @property
    def changer(self) -> str | Sentence:
        """Who changed what cfg does, for a headline: the numbers name every rule."""
        return say("who.rule") if self.scale.rules else self.scale.who

    @property
    def cfg(self) -> float | Sentence:
        """The scale of the run in a headline: the widget's number, and how it acted where that is another."""
        scale = self.scale
        if not scale.differs_from_cfg:
            return scale.plain_scale
        digits = short if scale.plain else about
        return say("cfg.like", cfg=scale.cfg, scale=digits(scale.plain_scale))

    @property
    def guide(self) -> Term | None:
        """The gradient that pushed most; None where that was guidance, or nothing is known of it."""
        most = max(self.push, key=lambda name: self.push[name], default=GUIDANCE)
        return next((term for term in self.trace.terms if term.name == most), None)

    @cached_property
    def knobs(self) -> tuple[RunKnob, ...]:
        """What guided the run and can be set, first what acted most.

        That is the scale of the gradient that pushed most; at cfg 1, where nothing else pushed, the guidance that a
        distilled model is told; else cfg. Of a run with rules, of which what is known of cfg says little, a rule's
        number comes first where somebody chose good values of it, beside this cfg.
        """
        scale, guide, stage = self.scale, self.guide, self.stage
        cfg = (scale.low if math.isnan(scale.cfg) else scale.cfg) if scale.constant else None
        every = knobs_of(self.trace, cfg)
        if scale.plain or not stage:  # what is stored of cfg is of runs with nothing but cfg
            every = tuple(replace(knob, key=knob.key + stage) for knob in every)
        alone = scale.is_off and not scale.further and not scale.change > 0
        kind = GRADIENT if guide else DISTILLED if alone else CFG
        first = [knob for knob in every if knob.kind == kind and (guide is None or knob.term == guide.name)]
        first = first or [knob for knob in every if knob.kind == CFG]
        if first[0].kind == CFG and not scale.plain and not self.burns:
            picks = self.knowledge.picks
            chosen = [
                knob
                for knob in every
                if knob.kind == RULE and picks and knob.value is not None and picks.range(self.sampler, knob.key)
            ]
            first = chosen or first
        return (first[0], *(knob for knob in every if knob is not first[0]))

    @property
    def knob(self) -> RunKnob:
        """What the answer is about."""
        return self.knobs[0]

    @cached_property
    def curves(self) -> Mapping[str, MeasuredCurve]:
        """What was measured of its model, in runs that were made as this one, by the key of the knob."""
        curves = {knob.key: self.knowledge.curve_of(knob, self.trace.header) for knob in self.knobs}
        return {key: curve for key, curve in curves.items() if curve}

    @cached_property
    def liked(self) -> Mapping[str, Liked]:
        """What the pictures that a person likes name on these curves, where the widget acted as it says."""
        known = {} if self.scale.differs_from_cfg else {knob.key: self.knowledge.picks_of(knob) for knob in self.knobs}
        named = {key: liked_of(self.curves[key], picks.of_class(self.sampler, key))
                 for key, picks in known.items() if picks and key in self.curves}  # fmt: skip
        return {key: liked for key, liked in named.items() if liked}

    @cached_property
    def own_measure(self) -> Measurement | None:
        """What the model said of the pictures of this very run."""
        return measurement_of(self.trace.header)

    @property
    def strange(self) -> bool:
        """Whether the model surely finds them visibly strange, as far as the measure applies to it."""
        own, gates = self.own_measure, [curve.gate for curve in self.curves.values()]
        applies = self.whole and all(gate is None or gate.applies for gate in gates)
        return applies and own is not None and surely_stranger(own.levels, VISIBLE)

    def value_within(self, low: float, high: float) -> float | None:
        """A value to take from a range of the knob: the one that liked pictures name, else the middle."""
        liked = self.liked.get(self.knob.key)
        named = math.nan if liked is None else liked.value.value
        return widget_number(half_way(low, high) if math.isnan(named) else named)

    @property
    def whole(self) -> bool:
        """Whether the run goes from noise to a clean sample."""
        return self.trace.n > 0 and not self.stage

    @cached_property
    def stage(self) -> str:
        """Which part of a run it is, LATER or EARLIER; empty of a whole run.

        Without a known sigma_d the longest unguided prediction stands for it, up to 1: a posterior mean is not longer
        than the data, and a picture may be far shorter.
        """
        trace, size = self.trace, self.sigma_data
        if not trace.n:
            return ""
        if not size > 0 and trace.batch:
            size = min(float(unguided_square(trace) / trace.batch / trace.count) ** 0.5, SCALED)
        if bool(noise_levels(trace)[0] < EARLY * size):  # never of an unknown size: nobody knows how noisy that is
            return LATER
        last = trace.steps["sigma_next"][-1] / trace.steps["alpha_next"][-1]
        return "" if bool(last <= (CLEAN * size if size > 0 else 0.0)) else EARLIER

    @property
    def burns(self) -> bool:
        """Whether it shows what no fine run in any world showed but by chance."""
        return self.whole and self.features.overshoot > BURNT


def widget_number(value: float) -> float:
    """A scale as widgets show it."""
    return round(value, 1) if value >= 1 else float(f"{value:.2g}")


def scale_of(trace: Trace) -> Scale:
    """What guided a run, from its steps and its header."""
    header, cfg, rules = trace.header, cfg_of(trace), rules_of(trace)
    several = several_of(trace)
    gamma = trace.steps["gamma"][~trace.in_stages(RECUR) & ~_steps_without_scale(trace)]
    has_scale = len(gamma) > 0 and bool(gamma.isfinite().all()) and not several["cfg"]
    low, high = (float(gamma.min()), float(gamma.max())) if has_scale else (math.nan, math.nan)
    change, at = _largest_departure(trace)

    passes = []
    for name in header.get("passes") or {}:
        cost, weight, _ = (trace.steps.get(column) for column in columns_of_pass(name))
        if cost is None or weight is None or not bool((weight[cost > 0] == 0).all()):  # else it had no part in any D
            passes.append(name)
    gradients = [term.label for term in trace.terms if term.guides]
    further = (*passes, *(header.get("inside") or ()), *(header.get("beside") or ()), *gradients)

    # who else: a guider that has no cfg, patches that name themselves, a function given in Python
    text = str(header.get("chain") or "")
    function = text if math.isnan(cfg) or "comfyui" not in (header.get("host") or {}) else ""
    function = "" if function.upper() == PLAIN else function
    other = header.get("guider") or ", ".join(header.get("patches") or ()) or function

    effective = EffectiveScale() if any(several.values()) else EffectiveScale.of(trace)
    has_mask = any(str(note).startswith(MASK_NOTE) for note in header.get("notes") or ())
    return Scale(low, high, change, at, further, rules, cfg, effective, other, has_mask)


def rules_of(trace: Trace) -> str:
    """The chain without its gradients and watched energies, which are no rules; empty where nothing is left."""
    chain = str(trace.header.get("chain") or "")
    texts = [term.text for term in trace.terms if term.text]
    for text in sorted(texts, key=len, reverse=True):  # one may begin another
        chain = chain.replace(f" > {text}", "")
    return chain if " " in chain else ""  # a chain of plain CFG, or a class name


def several_of(trace: Trace) -> dict[str, list]:
    """What differs between runs that share the batch: their "cfg" and "chain" in turn, each empty where all agree."""
    lanes = trace.header.get("lanes") or {}
    distinct = {name: list(dict.fromkeys(lanes.get(name) or ())) for name in ("cfg", "chain")}
    return {name: values if len(values) > 1 else [] for name, values in distinct.items()}


def zero_steps(trace: Trace) -> tuple[Tensor, Tensor]:  # [n] bool each
    """Steps at which the host took zero for the prediction of an empty negative, and of an empty positive, with a say.

    The negative has none at gamma 1, the positive none at gamma 0.
    """
    from_zero, gamma = trace.in_stages(FROM_ZERO), trace.steps["gamma"]
    u, c = (trace.record.square(point(v)).sum(dim=1) for v in ("u", "c"))
    return from_zero & (u == 0) & (gamma != 1), from_zero & ~(c > 0) & (gamma != 0)


def predictions_agree(trace: Trace) -> bool:
    """Whether u and c are equal to rounding at every step that has both, of which there is one."""
    finite = trace.record.dot("delta", "delta").isfinite().all(dim=1)
    return bool(finite.any()) and bool(_agreeing(trace)[finite].all())


def _agreeing(trace: Trace) -> Tensor:  # -> [n] bool
    """Steps whose u and c are equal to rounding in every sample."""
    size = (trace.record.dot("delta", "delta") / trace.count).sqrt()
    return (size <= FLOOR_FACTOR * trace.steps["floor"][:, None]).all(dim=1)


def _steps_without_scale(trace: Trace) -> Tensor:  # -> [n] bool
    """Steps whose u and c agree to rounding, so that no scale can be seen, unless a rule was handed one."""
    unseen, cached = trace.column("M19").isnan().all(dim=1), trace.in_stages(SKIP)
    if rules_of(trace) or bool(unseen.all()):
        return cached | (trace.steps["gamma"].isnan() & _agreeing(trace))
    return cached | unseen & trace.in_stages(*GUIDED)


def _largest_departure(trace: Trace) -> tuple[float, int | None]:
    """Largest |D - G| / |D| over the steps, and the first step where: what rounding alone tells apart is alike."""
    gamma = trace.steps["gamma"][:, None]
    moved, guided = (trace.record.square(v).sqrt() for v in ({"D-G": 1.0}, point("D", gamma)))
    share = torch.where(moved > torch.maximum(NEGLIGIBLE * guided, rounding(trace)), moved / guided, 0.0)
    share = torch.where(moved.isfinite() & guided.isfinite() & ~gamma.isnan(), share, torch.nan)
    most = share.nan_to_num(nan=-1.0).amax(dim=1) if trace.batch else share.new_zeros(0)
    if not len(most) or bool((most < 0).all()):
        return math.nan, None
    at = int((most >= most.max() * (1 - ROUNDED)).nonzero()[0])
    return float(most[at]), at if most[at] > 0 else None


def features_of(trace: Trace) -> Features:
    """The features of a run.

    overshoot: rms(D) of every step over the longest unguided prediction of the run. For plain guidance with gamma in
    0 .. 1 D lies between u and c, so it is at most 1, however dark the pictures are. end: from the last step's inner
    products, else from the state that was kept.
    """
    guided = trace.filled.square(point("D", trace.steps["gamma"][:, None])).sum(dim=1)
    over = ratio(guided, unguided_square(trace)).sqrt()
    longest = int(over.nan_to_num(nan=-1.0).argmax()) if over.isfinite().any() else None
    end = math.nan
    if trace.n and trace.batch:
        square, state = trace.record.square(point("next"))[-1:].sum(), trace.tensors.get(END)
        if not square.isfinite():
            square = square.new_tensor(math.nan) if state is None else state.double().square().sum()
        end = float(square / trace.batch / trace.count) ** 0.5
    return Features(float(over[longest]) if longest is not None else math.nan, longest, end)


def noise_levels(trace: Trace) -> Tensor:  # -> [n]
    """sigma / alpha at every step: the same number for a flow model and its VE twin; inf where alpha is 0."""
    return trace.steps["sigma"] / trace.steps["alpha"]


def unguided_square(trace: Trace) -> Tensor:  # -> []
    """max over the steps of max(|u|^2, |c|^2), over all samples; nan where none is known."""
    squares = torch.cat([trace.record.square(point(name)).sum(dim=1) for name in ("u", "c")])
    finite = squares[squares.isfinite()]
    return finite.max() if len(finite) else squares.new_tensor(math.nan)


def sampler_class(trace: Trace) -> str:
    """The key of the class of samplers of a run: whether any of its steps added noise, and how many there were.

    A record does not see the noise of every sampler: some draw for themselves. Such a run is of a class of its own,
    unless its steps follow the guided prediction to rounding, which leaves no room for noise.
    """
    steps = ~trace.in_stages(RECUR)
    facts = (trace.header.get("split"), *(trace.header.get("notes") or ()))
    noisy: bool | None = bool((trace.record.dot("noise", "noise") > 0).any())
    if not noisy and any(words in str(fact) for fact in facts for words in HIDDEN):
        noisy = False if bool(trace.steps["kappa"][steps].isfinite().all()) else None
    return class_of_sampler(noisy, int(steps.sum()))


def class_of_sampler(noisy: bool | None, steps: int) -> str:
    """The key of a class, one of CLASSES.  noisy: None where nobody saw. steps: whatever each of them evaluates"""
    kind = "unseen" if noisy is None else "sde" if noisy else "ode"
    return f"{kind}-few" if steps < FEW else f"{kind}-many" if steps > MANY else kind
