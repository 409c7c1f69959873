"""What a run says of its scale: one line with a colour, reasons, a scale to take instead, and what else it tells.

The best scale is not in one trace, and no table knows every model. So the answer is the first row of ROWS that has
something to say: what makes a run odd, what a person chose, what the model itself said of its pictures, how long the
guided predictions were. Where nothing was measured, it says so, and what would.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import torch

from ..measure.curve import MEASURABLE, VISIBLE
from ..trace.effective import EffectiveScale
from ..trace.gram import VECTORS
from ..trace.pushes import GUIDANCE, push_shares
from ..trace.record import round_digits
from ..trace.terms import Term
from ..trace.trace import SKIP, UNSEEN, Trace
from .features import Features, begins_late, ends_early, features_of, unguided_square
from .findings import Judged, Watched, clipped_share, findings_of
from .halved import Shown, compare_runs
from .known import Known
from .liked import STRENGTH, Liked, liked_of
from .measured import MeasuredCurve, put_on
from .picks import CFG, Pick, half_way
from .run_knobs import DISTILLED, EARLIER, GRADIENT, LATER, LEAST_CFG, RULE, RunKnob, knobs_of
from .sampler_class import sampler_class
from .scale import PLAIN, Scale, is_off, own_steps, predictions_agree, scale_of, several_of, without_cached, zero_steps
from .sentences import Sentence, about, comma_list, percent, say, short

VERSION = 1
FINE, ABOVE, UNCLEAR, OFF = COLOURS = ("fine", "above", "unclear", "off")
BURNT = 3.1  # times the longest prediction of the model alone; set by hand, few fine runs lie above it
SCALED = 1.0  # rms that latents are scaled to: what clean data of an unknown size hardly exceeds
CLIPPED = 0.25  # share of values beyond what a picture can show, at which no answer is green
LONG = 1.5  # times the size of clean data, likewise
COLOUR_OF = {"above": ABOVE, "inside": FINE}  # of a place beside what somebody chose
MOST_TRIED = 2  # sentences on who chose what
MOST_PLAIN = 3  # sentences of `why`
HELP = "help."  # how the ids of what would help begin
KNOWN = {"en": "How we know:", "zh": "\u4f9d\u636e\uff1a"}  # above the numbers
AGAINST = ("picks", "measured", "nothing")


@dataclass(frozen=True)
class Answer:
    """The verdict itself.

    headline: one line, and what to do. colour: of COLOURS. against: of AGAINST. reasons: two or three, what would help
    last. suggested: a scale to take instead. range: good scales.
    """

    headline: Sentence
    colour: str
    against: str = "nothing"
    reasons: tuple[Sentence, ...] = ()
    suggested: float | None = None
    range: tuple[float, float] | None = None

    @property
    def why(self) -> tuple[Sentence, ...]:
        """For someone who knows only KSampler: what was seen, what it was compared with, what to do."""
        advice = [one for one in self.reasons if one.id.startswith(HELP)][-1:]
        facts = [one.plain for one in (self.headline, *self.reasons)]
        return (*[one for one in facts if one][: MOST_PLAIN - len(advice)], *advice)

    @property
    def measured(self) -> tuple[Sentence, ...]:
        """How all this is known, in numbers: the reasons but what would help."""
        return tuple(one for one in self.reasons if not one.id.startswith(HELP))


@dataclass(frozen=True, repr=False)
class Report:
    """All that is said of a run; printed, it is its text.

    cfg: of the widget, None where it is unknown or a schedule changed it. plain: nothing but that cfg combined the
    predictions. push: shares of it, by who pushed. effective: the plain scale at which the run stands. knobs: what
    guided it and can be set, first the one that the answer is about. curves: what was measured of its model with its
    sampler, schedule and size, by the key of the knob. liked: what liked pictures on these name, likewise.
    """

    answer: Answer
    findings: tuple[Sentence, ...]
    features: Features
    sampler: str
    cfg: float | None
    plain: bool
    push: Mapping[str, float]
    effective: EffectiveScale
    knobs: tuple[RunKnob, ...]
    curves: Mapping[str, MeasuredCurve]
    liked: Mapping[str, Liked]

    @property
    def curve(self) -> MeasuredCurve | None:
        """That of the knob which the answer is about."""
        return self.curves.get(self.knobs[0].key)

    @property
    def sentences(self) -> list[Sentence]:
        """Every sentence, in the order in which they are read."""
        return [self.answer.headline, *self.answer.why, *self.answer.measured, *self.findings]

    def text(self, language: str = "en") -> str:
        """The report as lines of text: the answer and why, then the numbers behind it, then what else the run tells."""
        answer, numbers = self.answer, [*self.answer.measured, *self.findings]
        first, known = ([one.text(language) for one in part] for part in ([answer.headline, *answer.why], numbers))
        return "\n".join([*first, *(["", KNOWN[language], *known] if known else [])])

    def __repr__(self) -> str:
        return self.text()

    def as_json(self) -> dict[str, Any]:
        """The report for scripts and browsers: docs/report.md names every field."""
        answer = self.answer
        return round_digits({
            "v": VERSION,
            "colour": answer.colour,
            "against": answer.against,
            "headline": answer.headline.as_json(),
            "why": [one.as_json() for one in answer.why],
            "reasons": [one.as_json() for one in answer.reasons],
            "cfg": self.cfg,
            "plain": self.plain,
            "effective": asdict(self.effective),
            "knob": self.knobs[0].as_json(),
            "knobs": [knob.as_json() for knob in self.knobs],
            "suggested": answer.suggested,
            "range": answer.range,
            "curve": self.curve.as_json() if self.curve else None,
            "curves": {key: one.as_json() for key, one in self.curves.items() if key != self.knobs[0].key},
            "liked": {key: one.as_json() for key, one in self.liked.items()},
            "sampler_class": self.sampler,
            "features": asdict(self.features),
            "push": self.push,
            "findings": [one.as_json() for one in self.findings],
        })  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A run, and what its verdict rests on.

    sigma_data: rms of clean data, nan where unknown. source: who says so. push: whose the push was, as `push_shares`.
    """

    trace: Trace
    knowledge: Known
    scale: Scale
    features: Features
    sampler: str
    sigma_data: float
    source: Sentence
    push: Mapping[str, float]

    @classmethod
    def of(cls, trace: Trace, knowledge: Known) -> Case:
        """Of one run."""
        trace = without_cached(trace)
        data, source = _size(trace, knowledge)
        facts = (scale_of(trace), features_of(trace), sampler_class(trace), data, source)
        return cls(trace, knowledge, *facts, push_shares(trace) if trace.n else {})

    @property
    def changer(self) -> str | Sentence:
        """Who changed what cfg does, for a headline: the numbers name every rule."""
        return say("who.rule") if self.scale.rules else self.scale.who

    @property
    def cfg(self) -> float | Sentence:
        """Its scale in a headline: the widget's number, and how it acted where that is another."""
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
        alone = is_off(self.trace, scale) and not scale.further and not scale.change > 0
        kind = GRADIENT if guide else DISTILLED if alone else CFG
        own = [knob for knob in every if knob.kind == kind and (guide is None or knob.term == guide.name)]
        own = own or [knob for knob in every if knob.kind == CFG]
        if own[0].kind == CFG and not scale.plain and not self.burns:
            own = [knob for knob in every if knob.kind == RULE and self._is_chosen(knob)] or own
        return (own[0], *(knob for knob in every if knob is not own[0]))

    def _is_chosen(self, knob: RunKnob) -> bool:
        """Whether somebody chose good values of a knob."""
        picks = self.knowledge.picks
        return bool(picks and knob.value is not None and picks.range(self.sampler, knob.key))

    @property
    def cfg_key(self) -> str:
        """By which picks of cfg in such a run are kept."""
        return next(knob.key for knob in self.knobs if knob.kind == CFG)

    @property
    def knob(self) -> RunKnob:
        """What the answer is about."""
        return self.knobs[0]

    @property
    def curve(self) -> MeasuredCurve | None:
        """That of the knob which the answer is about."""
        return self.curves.get(self.knob.key)

    @cached_property
    def curves(self) -> Mapping[str, MeasuredCurve]:
        """What was measured of its model, in runs that were made as this one, by the key of the knob."""
        found = {knob.key: self.knowledge.curve_of(knob, self.trace.header) for knob in self.knobs}
        return {key: curve for key, curve in found.items() if curve}

    @cached_property
    def liked(self) -> Mapping[str, Liked]:
        """What the pictures that a person likes name on these, where the widget acted as it says."""
        known = {} if self.scale.differs_from_cfg else {knob.key: self.knowledge.picks_of(knob) for knob in self.knobs}
        found = {key: liked_of(self.curves[key], picks.of_class(self.sampler, key))
                 for key, picks in known.items() if picks and key in self.curves}  # fmt: skip
        return {key: one for key, one in found.items() if one}

    def value_within(self, low: float, high: float) -> float | None:
        """A value to take from a range of the knob: the one that liked pictures name, else the middle."""
        liked = self.liked.get(self.knob.key)
        named = math.nan if liked is None else liked.value.value
        return _widget_number(half_way(low, high) if math.isnan(named) else named)

    @property
    def whole(self) -> bool:
        """Whether the run goes from noise to a clean sample."""
        return self.trace.n > 0 and not self.stage

    @cached_property
    def stage(self) -> str:
        """Of a part of a run, which one; without a known sigma_d the longest unguided prediction stands for it, up
        to 1: a posterior mean is not longer than the data, and a picture may be far shorter.
        """
        trace, size = self.trace, self.sigma_data
        if not trace.n:
            return ""
        if not size > 0 and trace.batch:
            size = min(float(unguided_square(trace) / trace.batch / trace.count) ** 0.5, SCALED)
        return LATER if begins_late(trace, size) else EARLIER if ends_early(trace, size) else ""

    @property
    def burns(self) -> bool:
        """Whether it shows what no fine run in any world showed but by chance."""
        return self.whole and self.features.overshoot > BURNT

    def times(self) -> str:
        """How long the longest prediction was."""
        return short(round(self.features.overshoot, 1))


def _size(trace: Trace, knowledge: Known) -> tuple[float, Sentence]:
    """sigma_d and who says so: the model's file, a measurement, or the latent format by construction."""
    own, size = trace.header.get("sigma_data"), knowledge.size
    return (size.value, size.source) if size and not own else (float(own or math.nan), say("size.model"))


def report_of(
    trace: Trace,
    knowledge: Known | None = None,
    half: Trace | None = None,
    judge: Judged | None = None,
    shown: Shown | None = None,
) -> Report:
    """The report on a run.

    knowledge: of its model. half: a run at half the scale with the same noise. judge: what an energy that did not guide
    finds in the finished pictures. shown: the finished pictures of the run and of `half`, where they are known.
    """
    case = Case.of(trace, knowledge or Known())
    answer = answer_of(case)
    answer = _name_remedy(replace(answer, reasons=(*_what_took_steps(trace), *answer.reasons)), case.knob)
    answer = _without_contradiction(case, answer)
    findings: tuple[Sentence, ...] = ()
    one = not any(several_of(trace).values())
    if one and trace.n and trace.batch:
        findings = findings_of(Watched(case.trace, case.scale, case.sigma_data, case.source, judge))
    findings += compare_runs(trace, half, shown) if one and half is not None else ()
    scale = case.scale
    titles = {term.name: term.label for term in trace.terms}
    push = {titles.get(name, name): share for name, share in case.push.items()}
    cfg = next(knob.value for knob in case.knobs if knob.kind == CFG)
    plain = scale.plain and not scale.differs_from_cfg
    known = (case.knobs, case.curves, case.liked)
    return Report(answer, findings, case.features, case.sampler, cfg, plain, push, scale.effective, *known)


def _without_contradiction(case: Case, answer: Answer) -> Answer:
    """Nothing is green, and nothing passes for merely unmeasured, that the run's own numbers contradict."""
    if answer.colour != FINE and answer.headline.id != "head.unmeasured":
        return answer
    clipped, size = clipped_share(case.trace) or 0.0, case.sigma_data
    beyond = say("why.clipped" if case.trace.pixels else "why.beyond", percent=percent(clipped))
    reasons = [beyond] if clipped > CLIPPED else []
    reasons += [say("why.long", times=about(case.features.end / size))] if case.features.end > LONG * size > 0 else []
    reasons += [_burning(case)] if case.burns else []
    return replace(answer, colour=UNCLEAR, reasons=(*reasons, *answer.reasons)) if reasons else answer


def answer_of(case: Case) -> Answer:
    """The verdict: the first of ROWS that has something to say."""
    return next(answer for answer in (ask(case) for ask in ROWS) if answer)


def _name_remedy(answer: Answer, knob: RunKnob) -> Answer:
    """The same, with a headline that says what to do, where that is one number: what a person chose is to be used."""
    advice = {one.id: one.facts for one in (answer.headline, *answer.reasons)}
    if "help.gradient" in advice:
        remedy = say("remedy.scale", scale=advice["help.gradient"]["half"])
    elif answer.suggested is not None and knob.kind != CFG:
        remedy = say("remedy.knob", name=knob.name, value=answer.suggested)
    elif answer.suggested is not None:
        sure = answer.against == "picks" and not {"help.widget", "why.stage.whole"} & advice.keys()
        remedy = say("remedy.use" if sure else "remedy.try", cfg=answer.suggested)
    else:
        return answer
    return replace(answer, headline=replace(answer.headline, then=remedy))


def _nothing_to_judge(case: Case) -> Answer | None:
    trace = case.trace
    own = own_steps(trace)
    measured = own & trace.steps["evals"].isfinite() if trace.n else own
    if not bool(measured.any()) or not trace.batch:
        return Answer(say("head.empty"), UNCLEAR, reasons=(say("help.record"),))
    if (step := _first_broken_step(trace, measured)) is not None:
        return Answer(say("head.not_finite", step=step + 1), UNCLEAR, reasons=(_help_broken(trace, step),))
    if int(own.sum()) == 1:
        return Answer(say("head.one_step"), UNCLEAR, reasons=(say("help.steps"),))
    if (odd := _odd_host(case)) is not None:
        return odd
    if bool(unguided_square(trace).isnan()) and not is_off(trace, case.scale):
        if _what_took_steps(trace):
            return Answer(say("head.lost"), UNCLEAR, reasons=(say("help.lost"),))
        return Answer(say("head.no_uncond"), UNCLEAR, reasons=(say("help.uncond"),))
    return None


def _odd_host(case: Case) -> Answer | None:
    """A run whose predictions were not those of two prompts, as far as its host told them."""
    trace, n = case.trace, int(own_steps(case.trace).sum())
    for name, steps in zero_steps(trace).items():
        if steps.any():
            return Answer(say(f"head.zero.{name}", count=int(steps.sum()), n=n), UNCLEAR, reasons=(say("help.zero"),))
    cached, unseen = trace.stage.count(SKIP), trace.stage.count(UNSEEN)
    if 2 * cached >= n:
        return Answer(say("head.cached", count=cached, n=n), UNCLEAR, reasons=(say("help.plain"),))
    if unseen:
        who = case.scale.other or say("who.node")
        return Answer(say("head.unseen", who=who), UNCLEAR, reasons=(say("help.plain"),))
    alone = torch.tensor([stage == "cond_only" for stage in trace.stage], dtype=torch.bool)
    if bool(trace.steps["gamma"][alone & trace.steps["evals"].isfinite()].isnan().any()):
        return Answer(say("head.moved", who=case.changer), UNCLEAR, reasons=(say("help.plain"),))
    if {*trace.stage} == {"step"} and is_off(trace, case.scale) and bool(trace.steps["kappa"].isnan().all()):
        # u was made though nobody needs it, and the sampler follows something else than D: it may guide by itself
        return Answer(say("head.changed", chain=case.changer), UNCLEAR, reasons=(say("help.plain"),))
    return None


def _help_broken(trace: Trace, step: int) -> Sentence:
    """What helps where the numbers broke down: a level that comes twice has samplers divide by zero."""
    repeated = (trace.steps["sigma"] == trace.steps["sigma_next"])[: step + 1].nonzero()
    return say("help.repeats", step=int(repeated[0]) + 1) if len(repeated) else say("help.precision")


def _what_took_steps(trace: Trace) -> tuple[Sentence, ...]:
    """What took steps or their numbers from the record, where something did."""
    planned, faults = len(trace.header.get("sigmas") or ()) - 1, trace.header.get("faults") or ()
    gap = trace.n < planned or bool(trace.steps["evals"].isnan().any())
    return (say("why.lost", fault=str(faults[0])),) if gap and faults else ()


def _several(case: Case) -> Answer | None:
    """Runs that share a batch and not their settings: one answer on all of them would be on none."""
    several = several_of(case.trace)
    if several["cfg"]:
        return Answer(
            say("head.scales", scales=comma_list(sorted(several["cfg"]))), UNCLEAR, reasons=(say("help.alone"),)
        )
    if several["chain"]:
        return Answer(say("head.chains", count=len(several["chain"])), UNCLEAR, reasons=(say("help.alone"),))
    return None


def _first_broken_step(trace: Trace, measured: torch.Tensor) -> int | None:
    """The first step whose prediction, or whose numbers if it has both, are not finite."""
    full = torch.tensor([stage == "step" for stage in trace.stage], dtype=torch.bool)
    finite = trace.record.part(VECTORS).K.isfinite().all(dim=-1).all(dim=1)
    guided = trace.record.dot("D-G", "D-G").isfinite().all(dim=1)
    asked = measured & torch.tensor([stage != SKIP for stage in trace.stage], dtype=torch.bool)
    places = (asked & ~torch.where(full, finite, guided)).nonzero()
    return int(places[0]) if len(places) else None


def _not_guided(case: Case) -> Answer | None:
    scale, alone = case.scale, not case.scale.further and not case.scale.change > 0
    if is_off(case.trace, scale) and alone:
        off = say("head.off.node", who=case.changer, cfg=scale.cfg) if scale.differs_from_cfg else say("head.off")
        return _advise(case, off)
    if predictions_agree(case.trace) and alone:
        return Answer(say("head.same"), OFF, reasons=(say("help.same"),))
    if scale.constant and scale.low < 1 and not scale.further:
        return _advise(case, say("head.weak", cfg=case.cfg))
    return None


def _advise(case: Case, headline: Sentence) -> Answer:
    """A run without guidance is not judged, but told which scales are good, where that is known."""
    answers = (ask(case) for ask in ((_of_picks, _of_curve) if case.whole else (_of_part,)))
    advice = next((answer for answer in answers if answer and answer.against != "nothing"), None)
    if advice is None:
        return Answer(headline, OFF, reasons=(say("help.plain" if case.scale.differs_from_cfg else "help.off"),))
    return replace(advice, headline=headline, colour=OFF, reasons=(advice.headline, *advice.reasons))


def _of_other_knob(case: Case) -> Answer | None:
    """A run that something else than cfg guided most: what is known of cfg says nothing of it."""
    if case.knob.kind == CFG:
        return None
    return _of_its_picks(case) or _of_curve(case) or (None if case.burns else _unmeasured(case))


def _of_its_picks(case: Case) -> Answer | None:
    """Where the value of a knob other than cfg lies beside those that somebody chose."""
    picks, knob = case.knowledge.picks, case.knob
    bounds = picks.range(case.sampler, knob.key) if picks else None
    if picks is None or bounds is None or knob.value is None:
        return None
    tried, (low, high) = picks.of_class(case.sampler, knob.key), bounds
    place = "untried" if knob.value > high >= max(pick.cfg for pick in tried) else _place(knob.value, bounds)
    if place == "inside" and case.burns:
        return None  # the sign tells more
    judge, chose = _who_chose(tried)
    whose = say("whose.judge", **judge) if judge else say("whose.user")
    facts = {"knob": knob.words, "high": high} | ({} if place == "untried" else {"low": low, "whose": whose})
    number = case.value_within(low, high) if place in ("above", "below") else None
    advice = [say("help.use.knob", name=knob.name, value=number)] if number is not None else []
    advice += [_help_picks(knob)] if place == "untried" else []
    reasons = (*tuple(_choices(tried, knob))[:MOST_TRIED], chose, *_named(case), *advice)
    headline = say(f"head.knob.{place}", **facts)
    return Answer(headline, COLOUR_OF.get(place, UNCLEAR), "picks", reasons, number, bounds)


def _help_picks(knob: RunKnob) -> Sentence:
    return say("help.picks") if knob.kind == CFG else say("help.picks.knob", name=knob.name)


def _of_part(case: Case) -> Answer | None:
    """A part of a run is compared with picks of such parts; those of whole runs tell where to look, and no more."""
    if case.whole or not case.trace.n:
        return None
    if answer := _of_picks(case) or _of_curve(case):
        return answer
    steps, picks, scale = case.trace.steps, case.knowledge.picks, case.scale
    ends = {"first": float(steps["sigma"][0]), "last": float(steps["sigma_next"][-1])}
    edges = picks.range(case.sampler) if picks and scale.plain else None
    if picks is None or edges is None:
        more = (say("why.stage", **ends), *_trouble(case), say("help.whole"))
        return Answer(say("head.stage"), UNCLEAR, reasons=more)
    place = _place(scale.plain_scale, edges)
    facts = {"cfg": case.cfg, "place": say(f"place.{place}"), "low": edges[0], "high": edges[1]}
    suggested = None if place == "inside" else _widget_number(math.sqrt(edges[0] * edges[1]))
    why = tuple(_choices(picks.of_class(case.sampler)))[:MOST_TRIED]
    whole = say("why.stage.whole", sampler=say(f"sampler.{case.sampler}"), **ends)
    reasons = (*why, whole, *([] if suggested else [say("help.picks")]))
    return _in_widget(case, Answer(say("head.stage.known", **facts), UNCLEAR, "picks", reasons, suggested, edges))


def _of_picks(case: Case) -> Answer | None:
    """Where a run with one plain scale lies beside those that somebody chose."""
    picks, scale, key = case.knowledge.picks, case.scale, case.cfg_key
    bounds = picks.range(case.sampler, key) if picks and scale.plain else None
    if picks is None or bounds is None:
        return None
    tried, (low, high) = picks.of_class(case.sampler, key), bounds
    place = _place(scale.plain_scale, bounds)
    if place == "above" and high >= max(pick.cfg for pick in tried) and not case.burns:
        place = "untried"
    judge, chose = _who_chose(tried)
    facts = {"cfg": case.cfg, "high": high, **judge} | ({} if place == "untried" else {"low": low})
    advice = [say("help.picks")] if place == "untried" else []
    reasons = (*tuple(_choices(tried))[:MOST_TRIED], chose, *_named(case), *advice)
    suggested = case.value_within(low, high) if place in ("above", "below") else None
    headline = say(f"head.{'judged' if judge else 'picks'}.{place}", **facts)
    return _in_widget(case, Answer(headline, COLOUR_OF.get(place, UNCLEAR), "picks", reasons, suggested, bounds))


def _who_chose(tried: list[Pick]) -> tuple[dict[str, Any], Sentence]:
    """The fact `judge`, where it was not the user alone, and what that says of the range."""
    chose = {pick.by for pick in tried if pick.good}
    judges = ", ".join(sorted(by for by in chose if by))
    if not judges:
        return {}, say("why.range")
    if None in chose:
        return {"judge": say("chose.both", judge=judges)}, say("why.range.both", judge=judges)
    return {"judge": judges}, say("why.range.judge", judge=judges)


def _choices(tried: list[Pick], knob: RunKnob | None = None) -> Iterator[Sentence]:
    """What everyone who chose any tried and chose, the user first.  knob: another than cfg"""
    name = "why.picks.knob" if knob else "why.picks"
    for by in sorted({pick.by for pick in tried if pick.good}, key=lambda name: name or ""):
        own = [pick for pick in tried if pick.by == by]
        all_of_them, chosen = (sorted({p.cfg for p in own if p.good or not only}) for only in (False, True))
        facts = {"tried": comma_list(all_of_them), "chosen": comma_list(chosen)}
        facts |= {"name": knob.name} if knob else {}
        yield say(f"{name}.judge", judge=by, **facts) if by else say(name, **facts)


def _named(case: Case) -> Iterator[Sentence]:
    """Which value liked pictures name, and by what."""
    liked = case.liked.get(case.knob.key)
    if liked and len(liked.values) > 1 and liked.by == STRENGTH:
        low, high = ("?" if math.isnan(end) else about(end) for end in liked.strength[1:])
        facts = {"strength": about(liked.strength.value), "low": low, "high": high, "name": case.knob.name}
        yield say("why.liked", **facts, value=_widget_number(liked.value.value))


def _of_curve(case: Case) -> Answer | None:
    """Where a run lies on what was measured of this model with its sampler, schedule and size."""
    measured, knob = case.curve, case.knob
    if measured is None or knob.value is None:
        return None
    curve, gate, facts = measured.curve, measured.gate, {"name": knob.name, "knob": knob.words}
    if gate and not gate.applies:
        found = {} if gate.at is None else {"times": about(gate.at.value)}
        why = say(f"why.gate.{gate.why}", **found)
        if gate.sure:
            return Answer(say("head.refused"), UNCLEAR, "measured", (why, say("help.refused")))
        return Answer(_unsure(measured, knob), UNCLEAR, "measured", (why, say("help.more")))
    least, most = curve.values[0], curve.values[-1]
    value = min(max(knob.value, least), most)
    why = _why_measured(measured, knob.name, value)
    if value != knob.value:
        beyond = say("head.measured.beyond", **facts, low=least, high=most)
        return Answer(beyond, UNCLEAR, "measured", (why, say("help.measure")))
    first, seen = curve.mark(MEASURABLE), curve.mark(VISIBLE)
    if first is None or value <= first.value:
        sure = curve.times_at(value).high < VISIBLE  # nan of one picture
        colour, help_ = FINE if gate and sure else UNCLEAR, say("help.calm" if sure else "help.more")
        return Answer(say("head.measured.calm", **facts), colour, "measured", (why, help_))
    mark, name, colour = (first, "first", UNCLEAR)
    if seen and value > seen.value:
        mark, name, colour = seen, "seen", ABOVE if gate else UNCLEAR  # without a gate nobody knows that it applies
    start = _widget_number(max(first.value / 2, LEAST_CFG)) if knob.kind == CFG else None
    reasons = (why, *([] if start is None else [say("why.start", cfg=start)]), say("help.strange"))
    return Answer(say(f"head.measured.{name}", **facts, mark=about(mark.value)), colour, "measured", reasons, start)


def _unsure(measured: MeasuredCurve, knob: RunKnob) -> Sentence:
    """What so few pictures show that they do not tell whether the measure applies."""
    curve = measured.curve
    value = min(max(knob.value or 0.0, curve.values[0]), curve.values[-1])
    times = about(curve.times_at(value).value)
    facts = {
        "knob": replace(knob, value=value).words,
        "pictures": measured.pictures,
        "least": curve.least,
        "times": times,
    }
    return say("head.unsure.alike" if times == "1" else "head.unsure", **facts)


def _why_measured(measured: MeasuredCurve, name: str, value: float) -> Sentence:
    """What was measured at a value of the curve, and how sure it is.  name: of the knob"""
    curve, times = measured.curve, measured.curve.times_at(value)
    near = min(curve.values, key=lambda one: abs(one - value))
    at = curve.values.index(near)
    low, high = ("?" if math.isnan(end) else about(end) for end in (times.low, times.high))
    facts = {"when": measured.when, "pictures": measured.pictures, "count": len(curve.values), "name": name}
    facts |= {"value": value, "times": about(times.value), "least": curve.least, "low": low, "high": high}
    facts |= {"strength": about(curve.points[at].strength.value), "near": near}
    varied = curve.variety[at].value if curve.variety else math.nan
    more = say("why.measured.variety", variety=about(varied)) if math.isfinite(varied) else None
    return replace(say("why.measured.alike" if facts["times"] == "1" else "why.measured", **facts), then=more)


def _place(scale: float, edges: tuple[float, float]) -> str:
    """Where a scale lies beside the good ones."""
    low, high = edges
    return "above" if scale > high else "below" if scale < low else "inside"


def _in_widget(case: Case, answer: Answer) -> Answer:
    """The same, with the scale to take in the widget's numbers, and without a range where those are not plain scales.

    That number is known only as far as one factor moves every cfg away from 1.
    """
    scale, wanted = case.scale, answer.suggested
    if not scale.differs_from_cfg:
        advice = () if wanted is None else (say("help.use", cfg=wanted),)
        return replace(answer, reasons=(*answer.reasons, *advice))
    answer = replace(answer, suggested=None, range=None)
    if wanted is None:
        return answer
    factor = (scale.plain_scale - 1) / (scale.cfg - 1) if scale.plain and scale.cfg > 1 else 0.0
    if not factor > 0:
        return replace(answer, reasons=(*answer.reasons, say("help.widget.unknown", scale=wanted)))
    cfg = _widget_number(1 + (wanted - 1) / factor)
    return replace(answer, reasons=(*answer.reasons, say("help.widget", cfg=cfg, scale=wanted)), suggested=cfg)


def _too_long(case: Case) -> Answer | None:
    """The one thing that a record alone tells: guided predictions far longer than the model's own."""
    if not case.burns:
        return None
    name, by = ("head.burns.gradient", {"name": case.guide.label}) if case.guide else ("head.burns", {})
    advice = _advice(case)
    reasons = (_burning(case), *_trouble(case), *_measured_elsewhere(case), advice)
    return Answer(say(name, **by), ABOVE, reasons=reasons, suggested=advice.facts.get("half"))


def _unmeasured(case: Case) -> Answer:
    """Nothing was measured of this model in runs like this one."""
    scale, knob = case.scale, case.knob
    if math.isnan(scale.low) and knob.kind == CFG:
        chain = str(case.trace.header.get("chain") or PLAIN)
        guider = say("who.guider") if chain.upper() == PLAIN else chain
        return Answer(say("head.scale", guider=guider), UNCLEAR, reasons=(*_trouble(case), say("help.guider")))
    headline = say("head.unmeasured.any") if knob.value is None else say("head.unmeasured", knob=knob.words)
    return Answer(headline, UNCLEAR, reasons=(*_trouble(case), *_measured_elsewhere(case), say("help.measure.model")))


def _measured_elsewhere(case: Case) -> Iterator[Sentence]:
    """That these weights were measured in runs like this one with something else put on them, with what."""
    header, key = case.trace.header, case.knob.key
    other = next((one for one in case.knowledge.related if one.curve_for(header, key)), None)
    if other is not None:
        model = header.get("model") or {}
        there, here = _put_on(other.on, other.patched), _put_on(put_on(model), bool(model.get("patches")))
        yield say("why.elsewhere", there=there, here=here)


def _put_on(names: Sequence[str], patched: bool) -> str | Sentence:
    """What was put on the weights of a model."""
    return ", ".join(names) if names else say("on.others" if patched else "on.nothing")


def _trouble(case: Case) -> Iterator[Sentence]:
    """Why what is there could not be compared with."""
    yield from case.knowledge.trouble
    picks, sampler = case.knowledge.picks, say(f"sampler.{case.sampler}")
    if picks is None or case.knob.kind != CFG:
        return
    if picks.range(case.sampler) is None:
        yield say("why.picks.class", sampler=sampler)
    elif not case.scale.plain:
        yield say("why.picks.plain", chain=case.scale.who)


def _burning(case: Case) -> Sentence:
    step = (case.features.longest or 0) + 1
    return say("why.burns", step=step, times=case.times(), sure=BURNT)


def _advice(case: Case) -> Sentence:
    """What to lower: the scale of the gradient that pushed most, else cfg."""
    guide, cfg = case.guide, case.scale.cfg if case.scale.differs_from_cfg else case.scale.plain_scale
    if guide:
        scale = guide.scale
        return (
            say("help.plain") if scale is None else say("help.gradient", name=guide.label, half=scale / 2, scale=scale)
        )
    return say("help.half", half=max(1.0, cfg / 2)) if cfg > 1 else say("help.picks")


def _widget_number(cfg: float | None) -> float | None:
    """A scale as widgets show it."""
    return None if cfg is None else round(cfg, 1) if cfg >= 1 else float(f"{cfg:.2g}")


ROWS: tuple[Callable[[Case], Answer | None], ...] = (  # from top to bottom; the last always answers
    _nothing_to_judge,
    _several,
    _of_other_knob,
    _not_guided,
    _of_part,
    _of_picks,
    _of_curve,
    _too_long,
    _unmeasured,
)
