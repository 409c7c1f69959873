"""What a run says of its scale: one line with a colour, reasons, a scale to take instead, and what else it tells.

The best scale is not in one trace, and no table knows every model. So the answer is the first row of TABLE, at the end
of this file, that has something to say: what makes a run odd, what a person chose, what the model itself said of its
pictures, how long the guided predictions were. Where nothing was measured, it says so, and what would. Every sentence
stands under its id in sentences.json, and the id stands here where the sentence is chosen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from ..measure.curve import MEASURABLE, VISIBLE
from ..measure.measurement import Measurement
from ..trace.gram import VECTORS
from ..trace.guidance_effect import EffectiveScale
from ..trace.record import round_digits
from ..trace.recorder import RECUR
from ..trace.trace import SKIP, UNSEEN, Trace
from .case import (
    BURNT,
    Case,
    Features,
    Judged,
    predictions_agree,
    several_of,
    unguided_square,
    widget_number,
    zero_steps,
)
from .findings import clipped_share, findings_of
from .halved import Shown, compare_runs
from .known import Known
from .liked import STRENGTH, Liked
from .measured import MeasuredCurve, put_on
from .picks import CFG, PLAIN, Pick
from .run_knobs import LEAST_CFG, RunKnob
from .sentences import Sentence, about, comma_list, percent, say, short

VERSION = 1
FINE, ABOVE, UNCLEAR, OFF = COLOURS = ("fine", "above", "unclear", "off")
CLIPPED = 0.25  # share of values beyond what a picture can show, at which no answer is green
LONG = 1.5  # times the size of clean data, at which no answer is green
COLOUR_OF = {"above": ABOVE, "inside": FINE}  # of a place beside what somebody chose
MOST_TIMES = 100  # as strange, beyond which the number says no more
MOST_TRIED = 2  # sentences on who chose what
MOST_PLAIN = 3  # sentences of `why`
# headlines of runs of which nothing is known but their own numbers; a model that the gate refuses has other troubles
UNKNOWN = {"head.unmeasured", "head.unmeasured.any", "head.measured.beyond"}
HELP = "help."  # how the ids of what would help begin
KNOWN = {"en": "How we know:", "zh": "\u4f9d\u636e\uff1a"}  # above the numbers
AGAINST = ("picks", "measured", "nothing")

# The headline of a value beside those that somebody chose, by its place: cfg beside the user's choice, beside what a
# judge had a part in, and the value of another knob.
OF_USER = {
    "above": "head.picks.above",
    "below": "head.picks.below",
    "inside": "head.picks.inside",
    "untried": "head.picks.untried",
}
OF_JUDGE = {
    "above": "head.judged.above",
    "below": "head.judged.below",
    "inside": "head.judged.inside",
    "untried": "head.judged.untried",
}
OF_KNOB = {
    "above": "head.knob.above",
    "below": "head.knob.below",
    "inside": "head.knob.inside",
    "untried": "head.knob.untried",
}
PLACES = {"above": "place.above", "below": "place.below", "inside": "place.inside"}
GATES = {  # why the measure does not apply, by `Gate.why`
    "trace": "why.gate.trace",
    "strange": "why.gate.strange",
    "smooth": "why.gate.smooth",
    "strength": "why.gate.strength",
}
SAMPLERS = {  # a class of samplers in words, by its key
    "ode-few": "sampler.ode-few",
    "ode": "sampler.ode",
    "ode-many": "sampler.ode-many",
    "sde-few": "sampler.sde-few",
    "sde": "sampler.sde",
    "sde-many": "sampler.sde-many",
    "unseen-few": "sampler.unseen-few",
    "unseen": "sampler.unseen",
    "unseen-many": "sampler.unseen-many",
}


@dataclass(frozen=True)
class Answer:
    """The verdict itself.

    headline: one line, and what to do.
    colour: of COLOURS.
    against: of AGAINST, what the run was compared with.
    reasons: two or three, what would help last.
    suggested: a scale to take instead, None where nothing names one.
    range: good scales, least and largest.
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
        advice = [reason for reason in self.reasons if reason.id.startswith(HELP)][-1:]
        facts = [sentence.plain for sentence in (self.headline, *self.reasons)]
        return (*[plain for plain in facts if plain][: MOST_PLAIN - len(advice)], *advice)

    @property
    def measured(self) -> tuple[Sentence, ...]:
        """How all this is known, in numbers: the reasons but what would help."""
        return tuple(reason for reason in self.reasons if not reason.id.startswith(HELP))


@dataclass(frozen=True, repr=False)
class Report:
    """All that is said of a run; printed, it is its text.

    answer: the verdict.
    findings: what else the run tells.
    features: how long its predictions are.
    sampler: key of its class of samplers.
    cfg: of the widget, None where it is unknown or a schedule changed it.
    plain: whether nothing but that cfg combined the predictions.
    push: shares of the push, 0 .. 1, by what users call who pushed.
    effective: the plain scale at which the run stands.
    knobs: what guided it and can be set, first the one that the answer is about.
    curves: what was measured of its model with its sampler, schedule and size, by the key of the knob.
    liked: what liked pictures on these curves name, by the key of the knob.
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
        """The curve of the knob which the answer is about."""
        return self.curves.get(self.knobs[0].key)

    @property
    def sentences(self) -> list[Sentence]:
        """Every sentence, in the order in which they are read."""
        return [self.answer.headline, *self.answer.why, *self.answer.measured, *self.findings]

    def text(self, language: str = "en") -> str:
        """The report as lines of text: the answer and why, then the numbers behind it, then what else the run tells."""
        lines = [sentence.text(language) for sentence in (self.answer.headline, *self.answer.why)]
        if numbers := (*self.answer.measured, *self.findings):
            lines += ["", KNOWN[language], *(sentence.text(language) for sentence in numbers)]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return self.text()

    def as_json(self) -> dict[str, Any]:
        """The report for scripts and browsers: docs/report.md names every field."""
        answer, about_knob = self.answer, self.knobs[0]
        return round_digits({
            "v": VERSION,
            "colour": answer.colour,
            "against": answer.against,
            "headline": answer.headline.as_json(),
            "why": [sentence.as_json() for sentence in answer.why],
            "reasons": [sentence.as_json() for sentence in answer.reasons],
            "cfg": self.cfg,
            "plain": self.plain,
            "effective": asdict(self.effective),
            "knob": about_knob.as_json(),
            "knobs": [knob.as_json() for knob in self.knobs],
            "suggested": answer.suggested,
            "range": answer.range,
            "curve": self.curve.as_json() if self.curve else None,
            "curves": {key: curve.as_json() for key, curve in self.curves.items() if key != about_knob.key},
            "liked": {key: liked.as_json() for key, liked in self.liked.items()},
            "sampler_class": self.sampler,
            "features": asdict(self.features),
            "push": self.push,
            "findings": [sentence.as_json() for sentence in self.findings],
        })  # fmt: skip


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
    case = Case.of(trace, knowledge or Known(), judge)
    answer = next(answer for answer in (row(case) for row in TABLE) if answer)
    answer = _name_remedy(replace(answer, reasons=(*_what_took_steps(case.trace), *answer.reasons)), case.knob)
    answer = _without_contradiction(case, answer)

    findings: tuple[Sentence, ...] = ()
    if not any(several_of(trace).values()):  # of runs that share a batch no sentence is true of all
        findings += findings_of(case) if trace.n and trace.batch else ()
        findings += compare_runs(trace, half, shown) if half is not None else ()

    scale, titles = case.scale, {term.name: term.label for term in case.trace.terms}
    return Report(
        answer,
        findings,
        case.features,
        case.sampler,
        cfg=next(knob.value for knob in case.knobs if knob.kind == CFG),
        plain=scale.plain and not scale.differs_from_cfg,
        push={titles.get(name, name): share for name, share in case.push.items()},
        effective=scale.effective,
        knobs=case.knobs,
        curves=case.curves,
        liked=case.liked,
    )


def _without_contradiction(case: Case, answer: Answer) -> Answer:
    """Nothing is green, and nothing passes for merely unknown, that the run's own numbers contradict."""
    unknown = answer.headline.id in UNKNOWN
    if answer.colour != FINE and not unknown and answer.headline.id != "head.measured.calm":
        return answer
    if unknown and (burnt := _too_long(case)):
        return burnt
    strange = [_why_strange(case.own_measure)] if case.own_measure and case.strange else []
    clipped, size = clipped_share(case.trace) or 0.0, case.sigma_data
    beyond = say("why.clipped" if case.trace.pixels else "why.beyond", percent=percent(clipped))
    large = [beyond] if clipped > CLIPPED else []
    large += [say("why.long", times=about(case.features.end / size))] if case.features.end > LONG * size > 0 else []
    large += [_why_burns(case)] if case.burns else []
    if not (strange or large):
        return answer
    headline = (say("head.strange") if strange else say("head.large")) if unknown else answer.headline
    return replace(answer, headline=headline, colour=UNCLEAR, reasons=(*strange, *large, *answer.reasons))


def _why_strange(own: Measurement) -> Sentence:
    """How strange the model finds the pictures of this very run."""
    ratio = own.ratio
    if not math.isfinite(ratio.value):
        return say("why.strange.endless")
    low, high = ("?" if math.isnan(end) else about(end) for end in ratio[1:])
    return say("why.strange", times=about(ratio.value), low=low, high=high, sure=VISIBLE)


def _name_remedy(answer: Answer, knob: RunKnob) -> Answer:
    """The answer with a headline that says what to do, where that is one number: what a person chose is to be used."""
    advice = {sentence.id: sentence.facts for sentence in (answer.headline, *answer.reasons)}
    if "help.gradient" in advice:
        remedy = say("remedy.scale", scale=advice["help.gradient"]["half"])
    elif answer.suggested is None:
        return answer
    elif knob.kind != CFG:
        remedy = say("remedy.knob", name=knob.name, value=answer.suggested)
    else:
        sure = answer.against == "picks" and not {"help.widget", "why.stage.whole"} & advice.keys()
        remedy = say("remedy.use" if sure else "remedy.try", cfg=answer.suggested)
    return replace(answer, headline=replace(answer.headline, then=remedy))


def _what_took_steps(trace: Trace) -> tuple[Sentence, ...]:
    """What took steps or their numbers from the record, where something did."""
    planned, faults = len(trace.header.get("sigmas") or ()) - 1, trace.header.get("faults") or ()
    gap = trace.n < planned or bool(trace.steps["evals"].isnan().any())
    return (say("why.lost", fault=str(faults[0])),) if gap and faults else ()


# Rows of the table, from top to bottom. Each answers, or leaves it to the next.


def _cannot_tell(headline: Sentence, advice: Sentence) -> Answer:
    """An answer that says why there is none, and what would help."""
    return Answer(headline, UNCLEAR, reasons=(advice,))


def _of_too_few_numbers(case: Case) -> Answer | None:
    """A run of which nothing was recorded, whose numbers broke down, or that has one step."""
    trace, forward = case.trace, ~case.trace.in_stages(RECUR)
    measured = forward & trace.steps["evals"].isfinite()
    if not bool(measured.any()) or not trace.batch:
        return _cannot_tell(say("head.empty"), say("help.record"))
    known = trace.record.part(VECTORS).K.isfinite().all(dim=-1).all(dim=1)
    guided = trace.record.dot("D-G", "D-G").isfinite().all(dim=1)
    finite = torch.where(trace.in_stages("step"), known, guided)  # of a step without both predictions D alone must be
    broken = (measured & ~trace.in_stages(SKIP) & ~finite).nonzero()
    if len(broken):
        step = int(broken[0])
        advice, repeated = say("help.precision"), (trace.steps["sigma"] == trace.steps["sigma_next"])[: step + 1]
        if repeated.any():  # a level that comes twice has samplers divide by zero
            advice = say("help.repeats", step=int(repeated.nonzero()[0]) + 1)
        return _cannot_tell(say("head.not_finite", step=step + 1), advice)
    return _cannot_tell(say("head.one_step"), say("help.steps")) if int(forward.sum()) == 1 else None


def _of_odd_host(case: Case) -> Answer | None:
    """A run whose predictions were not those of two prompts, as far as its host told them."""
    trace, scale, n = case.trace, case.scale, int((~case.trace.in_stages(RECUR)).sum())
    negative, positive = zero_steps(trace)
    if negative.any():
        return _cannot_tell(say("head.zero.negative", count=int(negative.sum()), n=n), say("help.zero"))
    if positive.any():
        return _cannot_tell(say("head.zero.positive", count=int(positive.sum()), n=n), say("help.zero"))
    if 2 * (cached := trace.stage.count(SKIP)) >= n:
        return _cannot_tell(say("head.cached", count=cached, n=n), say("help.plain"))
    if UNSEEN in trace.stage:
        return _cannot_tell(say("head.unseen", who=scale.other or say("who.node")), say("help.plain"))
    alone = trace.in_stages("cond_only") & trace.steps["evals"].isfinite()
    if bool(trace.steps["gamma"][alone].isnan().any()):
        return _cannot_tell(say("head.moved", who=case.changer), say("help.plain"))
    if {*trace.stage} == {"step"} and scale.is_off and bool(trace.steps["kappa"].isnan().all()):
        # u was made though nobody needs it, and the sampler follows something else than D: it may guide by itself
        return _cannot_tell(say("head.changed", chain=case.changer), say("help.plain"))
    return None


def _without_uncond(case: Case) -> Answer | None:
    """A guided run of which no step shows both predictions."""
    if case.scale.is_off or not bool(unguided_square(case.trace).isnan()):
        return None
    if _what_took_steps(case.trace):
        return _cannot_tell(say("head.lost"), say("help.lost"))
    return _cannot_tell(say("head.no_uncond"), say("help.uncond"))


def _of_several(case: Case) -> Answer | None:
    """Runs that share a batch and not their settings: one answer on all of them would be on none."""
    several = several_of(case.trace)
    if several["cfg"]:
        return _cannot_tell(say("head.scales", scales=comma_list(sorted(several["cfg"]))), say("help.alone"))
    if several["chain"]:
        return _cannot_tell(say("head.chains", count=len(several["chain"])), say("help.alone"))
    return None


def _of_other_knob(case: Case) -> Answer | None:
    """A run that something else than cfg guided most: what is known of cfg says nothing of it."""
    if case.knob.kind == CFG:
        return None
    return _of_picks_of_knob(case) or _of_curve(case) or (None if case.burns else _of_nothing(case))


def _of_picks_of_knob(case: Case) -> Answer | None:
    """Where the value of a knob other than cfg lies beside those that somebody chose."""
    picks, knob = case.knowledge.picks, case.knob
    bounds = picks.range(case.sampler, knob.key) if picks else None
    if picks is None or bounds is None or knob.value is None:
        return None
    tried, (low, high) = picks.of_class(case.sampler, knob.key), bounds
    place = "untried" if knob.value > high >= max(pick.cfg for pick in tried) else _place(knob.value, bounds)
    if place == "inside" and case.burns:
        return None  # the sign tells more
    judge, who_chose = _who_chose(tried)
    whose = say("whose.judge", **judge) if judge else say("whose.user")
    facts = {"knob": knob.words, "high": high} | ({} if place == "untried" else {"low": low, "whose": whose})
    number = case.value_within(low, high) if place in ("above", "below") else None
    advice = [] if number is None else [say("help.use.knob", name=knob.name, value=number)]
    advice += [say("help.picks.knob", name=knob.name)] if place == "untried" else []
    reasons = (*tuple(_choices(tried, knob))[:MOST_TRIED], who_chose, *_value_of_liked(case), *advice)
    return Answer(say(OF_KNOB[place], **facts), COLOUR_OF.get(place, UNCLEAR), "picks", reasons, number, bounds)


def _not_guided(case: Case) -> Answer | None:
    """A run that cfg did not strengthen."""
    scale, alone = case.scale, not case.scale.further and not case.scale.change > 0
    if scale.is_off and alone:
        off = say("head.off.node", who=case.changer, cfg=scale.cfg) if scale.differs_from_cfg else say("head.off")
        return _with_good_scales(case, off)
    if predictions_agree(case.trace) and alone:
        return Answer(say("head.same"), OFF, reasons=(say("help.same"),))
    if scale.constant and scale.low < 1 and not scale.further:
        return _with_good_scales(case, say("head.weak", cfg=case.cfg))
    return None


def _with_good_scales(case: Case, headline: Sentence) -> Answer:
    """A run without guidance is not judged, but told which scales are good, where that is known."""
    answers = (ask(case) for ask in ((_of_picks, _of_curve) if case.whole else (_of_part,)))
    advice = next((answer for answer in answers if answer and answer.against != "nothing"), None)
    if advice is None:
        return Answer(headline, OFF, reasons=(say("help.plain" if case.scale.differs_from_cfg else "help.off"),))
    return replace(advice, headline=headline, colour=OFF, reasons=(advice.headline, *advice.reasons))


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
        reasons = (say("why.stage", **ends), *_trouble(case), say("help.whole"))
        return Answer(say("head.stage"), UNCLEAR, reasons=reasons)
    place = _place(scale.plain_scale, edges)
    facts = {"cfg": case.cfg, "place": say(PLACES[place]), "low": edges[0], "high": edges[1]}
    suggested = None if place == "inside" else widget_number(math.sqrt(edges[0] * edges[1]))
    why = tuple(_choices(picks.of_class(case.sampler)))[:MOST_TRIED]
    whole = say("why.stage.whole", sampler=say(SAMPLERS[case.sampler]), **ends)
    reasons = (*why, whole, *([] if suggested else [say("help.picks")]))
    return _in_widget(case, Answer(say("head.stage.known", **facts), UNCLEAR, "picks", reasons, suggested, edges))


def _of_picks(case: Case) -> Answer | None:
    """Where a run with one plain scale lies beside those that somebody chose."""
    picks, scale = case.knowledge.picks, case.scale
    key = next(knob.key for knob in case.knobs if knob.kind == CFG)
    bounds = picks.range(case.sampler, key) if picks and scale.plain else None
    if picks is None or bounds is None:
        return None
    tried, (low, high) = picks.of_class(case.sampler, key), bounds
    place = _place(scale.plain_scale, bounds)
    if place == "above" and high >= max(pick.cfg for pick in tried) and not case.burns:
        place = "untried"
    judge, who_chose = _who_chose(tried)
    facts = {"cfg": case.cfg, "high": high, **judge} | ({} if place == "untried" else {"low": low})
    advice = [say("help.picks")] if place == "untried" else []
    reasons = (*tuple(_choices(tried))[:MOST_TRIED], who_chose, *_value_of_liked(case), *advice)
    suggested = case.value_within(low, high) if place in ("above", "below") else None
    headline = say((OF_JUDGE if judge else OF_USER)[place], **facts)
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
    for by in sorted({pick.by for pick in tried if pick.good}, key=lambda name: name or ""):
        picks = [pick for pick in tried if pick.by == by]
        values, chosen = sorted({pick.cfg for pick in picks}), sorted({pick.cfg for pick in picks if pick.good})
        facts = {"tried": comma_list(values), "chosen": comma_list(chosen)}
        if knob:
            facts["name"] = knob.name
            yield say("why.picks.knob.judge", judge=by, **facts) if by else say("why.picks.knob", **facts)
        else:
            yield say("why.picks.judge", judge=by, **facts) if by else say("why.picks", **facts)


def _value_of_liked(case: Case) -> Iterator[Sentence]:
    """Which value liked pictures name, and by what."""
    liked = case.liked.get(case.knob.key)
    if liked and len(liked.values) > 1 and liked.by == STRENGTH:
        low, high = ("?" if math.isnan(end) else about(end) for end in liked.strength[1:])
        facts = {"strength": about(liked.strength.value), "low": low, "high": high, "name": case.knob.name}
        yield say("why.liked", **facts, value=widget_number(liked.value.value))


def _of_curve(case: Case) -> Answer | None:
    """Where a run lies on what was measured of this model with its sampler, schedule and size."""
    knob = case.knob
    measured = case.curves.get(knob.key)
    if measured is None or knob.value is None:
        return None
    curve, gate, facts = measured.curve, measured.gate, {"name": knob.name, "knob": knob.words}
    if gate and not gate.applies:
        times = {} if gate.at is None else {"times": about(gate.at.value)}
        why = say(GATES[gate.why], **times)
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
        colour, advice = FINE if gate and sure else UNCLEAR, say("help.calm" if sure else "help.more")
        return Answer(say("head.measured.calm", **facts), colour, "measured", (why, advice))
    headline, colour = say("head.measured.first", **facts, mark=about(first.value)), UNCLEAR
    if seen and value > seen.value:
        headline = say("head.measured.seen", **facts, mark=about(seen.value))
        colour = ABOVE if gate else UNCLEAR  # without a gate nobody knows that the measure applies
    start = widget_number(max(first.value / 2, LEAST_CFG)) if knob.kind == CFG else None
    reasons = (why, *([] if start is None else [say("why.start", cfg=start)]), say("help.strange"))
    return Answer(headline, colour, "measured", reasons, start)


def _unsure(measured: MeasuredCurve, knob: RunKnob) -> Sentence:
    """What so few pictures show that they do not tell whether the measure applies."""
    curve = measured.curve
    value = min(max(knob.value or 0.0, curve.values[0]), curve.values[-1])
    strange = curve.times_at(value).value
    times = about(strange) if strange < MOST_TIMES else f">{MOST_TIMES}"  # inf where no error is expected
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
    near = min(curve.values, key=lambda measured_value: abs(measured_value - value))
    at = curve.values.index(near)
    low, high = ("?" if math.isnan(end) else about(end) for end in (times.low, times.high))
    facts = {"when": measured.when, "pictures": measured.pictures, "count": len(curve.values), "name": name}
    facts |= {"value": value, "times": about(times.value), "least": curve.least, "low": low, "high": high}
    facts |= {"strength": about(curve.points[at].strength.value), "near": near}
    if math.isinf(times.value):
        return say("why.measured.endless", **facts)
    varied = curve.variety[at].value if curve.variety else math.nan
    more = say("why.measured.variety", variety=about(varied)) if math.isfinite(varied) else None
    return replace(say("why.measured.alike" if facts["times"] == "1" else "why.measured", **facts), then=more)


def _place(scale: float, edges: tuple[float, float]) -> str:
    """Where a scale lies beside the good ones."""
    low, high = edges
    return "above" if scale > high else "below" if scale < low else "inside"


def _in_widget(case: Case, answer: Answer) -> Answer:
    """An answer with the scale to take in the widget's numbers, and without a range where those are not plain scales.

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
    cfg = widget_number(1 + (wanted - 1) / factor)
    return replace(answer, reasons=(*answer.reasons, say("help.widget", cfg=cfg, scale=wanted)), suggested=cfg)


def _too_long(case: Case) -> Answer | None:
    """Guided predictions far longer than the model's own: the one thing that a record alone tells."""
    if not case.burns:
        return None
    guide, scale = case.guide, case.scale
    cfg = scale.cfg if scale.differs_from_cfg else scale.plain_scale
    half = None
    if guide and guide.scale is not None:
        half = guide.scale / 2
        advice = say("help.gradient", name=guide.label, half=half, scale=guide.scale)
    elif guide:
        advice = say("help.plain")
    elif cfg > 1:
        half = max(1.0, cfg / 2)
        advice = say("help.half", half=half)
    else:
        advice = say("help.picks")
    headline = say("head.burns.gradient", name=guide.label) if guide else say("head.burns")
    reasons = (_why_burns(case), *_trouble(case), *_measured_elsewhere(case), advice)
    return Answer(headline, ABOVE, reasons=reasons, suggested=half)


def _why_burns(case: Case) -> Sentence:
    """How much longer guided predictions are than those of the model alone."""
    features = case.features
    return say("why.burns", step=(features.longest or 0) + 1, times=short(round(features.overshoot, 1)), sure=BURNT)


def _of_nothing(case: Case) -> Answer:
    """Nothing was measured of this model in runs like this one."""
    scale, knob = case.scale, case.knob
    if math.isnan(scale.low) and knob.kind == CFG:
        chain = str(case.trace.header.get("chain") or PLAIN)
        guider = say("who.guider") if chain.upper() == PLAIN else chain
        return Answer(say("head.scale", guider=guider), UNCLEAR, reasons=(*_trouble(case), say("help.guider")))
    headline = say("head.unmeasured.any") if knob.value is None else say("head.unmeasured", knob=knob.words)
    return Answer(headline, UNCLEAR, reasons=(*_trouble(case), *_measured_elsewhere(case), say("help.measure.model")))


def _measured_elsewhere(case: Case) -> Iterator[Sentence]:
    """With what else on them these weights were measured in runs like this one, if they were."""
    header, key = case.trace.header, case.knob.key
    other = next((curves for curves in case.knowledge.related if curves.curve_for(header, key)), None)
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
    picks = case.knowledge.picks
    if picks is None or case.knob.kind != CFG:
        return
    if picks.range(case.sampler) is None:
        yield say("why.picks.class", sampler=say(SAMPLERS[case.sampler]))
    elif not case.scale.plain:
        yield say("why.picks.plain", chain=case.scale.who)


# The verdict: asked from top to bottom, the first row that has something to say answers; the last always has.
TABLE: tuple[Callable[[Case], Answer | None], ...] = (
    _of_too_few_numbers,  # of the run too little was recorded
    _of_odd_host,  # its predictions were not those of two prompts
    _without_uncond,  # no step shows both predictions
    _of_several,  # it is several runs in one batch
    _of_other_knob,  # something else than cfg guided it most
    _not_guided,  # cfg did not strengthen it
    _of_part,  # it is a part of a run
    _of_picks,  # somebody chose good values of cfg
    _of_curve,  # its model was measured
    _too_long,  # its guided predictions are far too long
    _of_nothing,  # nothing is known
)
