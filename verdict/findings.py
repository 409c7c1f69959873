"""What a run tells besides its verdict: where guidance acted, what it cost, what could be left out, what did nothing.

One fact has one place: a sentence here is the only statement of it, and whoever shows it takes it from here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..trace.checks import check
from ..trace.gram import Combination, point
from ..trace.guidance_effect import (
    GUIDANCE,
    alike,
    apart_of,
    contraction,
    interval,
    lengths,
    parts_of,
    pass_lengths,
    shares,
)
from ..trace.metrics import beyond_c, ratio
from ..trace.terms import Term, columns_of_pass, effects_of_pass, passes_of
from ..trace.trace import AFTERWARDS, Trace
from .case import GUIDED, Case, Scale, noise_levels, predictions_agree
from .sentences import Sentence, about, percent, say, short

CHEAP = 0.01  # share of the run's push that one predicted difference may miss
IDLE = 0.02  # share of the push below which the end of a run can do without guidance
TRUSTED = 2.5  # sigma in sigma_d up to which the estimate of that cost holds
NOTHING = 5e-4  # share of D below which what a pass made of it is printed as 0.0 %
UNKNOWN = 0.1  # share of the steps of a pass of which it may be unknown what it made
HALF = math.log(0.5)  # log p above which a classifier finds what was asked for
CHANCE = 0.05  # probability below which a difference is no chance


def findings_of(case: Case) -> tuple[Sentence, ...]:
    """Everything that can be said, in the order of FINDINGS; nothing about what does not apply."""
    return tuple(sentence for find in FINDINGS for sentence in find(case))


class StepShares(NamedTuple):
    """Every step's share of a push, over all samples, [n]; nan where it is unknown.

    push: when it was made. left: of what is left of it at the end.
    """

    push: Tensor
    left: Tensor

    def unknown_steps(self, trace: Trace) -> int:
        """At how many guided steps the push is unknown."""
        return int((trace.in_stages(*GUIDED) & ~self.push.isfinite()).sum())

    @classmethod
    def of(cls, case: Case, part: Combination) -> StepShares:
        """The shares of a part of D - c."""
        trace, steps = case.trace, case.trace.steps
        push = steps["kappa"].abs() * lengths(trace, part).square().sum(dim=1).sqrt()
        noisy = bool((trace.record.dot("noise", "noise") > 0).any())
        left = push * contraction(steps["sigma_next"], steps["alpha_next"], case.sigma_data, noisy)
        return cls(shares(push), shares(left))


def _effect(case: Case) -> Iterator[Sentence]:
    """At which plain scale the run stands, where that is not the widget's."""
    scale, acts = case.scale, case.scale.effective
    if scale.differs_from_cfg and not scale.is_off:
        facts = {"who": scale.beside or scale.other, "cfg": scale.cfg, **_like(scale)}
        if scale.rules:
            yield say("effect.rules", **facts)
        elif scale.further:
            yield say("effect.passes", **facts)
        else:
            yield say("effect.named" if scale.other else "effect.node", **facts)
    elif math.isnan(scale.cfg) and scale.other and not scale.plain and math.isfinite(acts.scale):
        apart = ", ".join(apart_of(case.trace))
        yield say("effect.guider.apart" if apart else "effect.guider", apart=apart, who=scale.other, **_like(scale))


def _like(scale: Scale) -> dict[str, str | Sentence]:
    """The plain scale in words, by how it went over the run and the samples, and what went across."""
    acts = scale.effective
    across = "" if acts.along else say("like.across", percent=percent(acts.across))
    if not math.isfinite(acts.scale):
        return {"acts": short(scale.plain_scale), "more": across}
    facts = {name: about(value) for name, value in asdict(acts).items()}
    if acts.steady and alike(acts.low, acts.scale) and alike(acts.high, acts.scale):
        course = say("like.one", **facts)
    elif acts.steady:
        course = say("like.samples", **facts)
    elif facts["early"] == facts["late"] == facts["scale"]:
        course = say("like.one", **facts)
    elif acts.early <= acts.scale <= acts.late or acts.late <= acts.scale <= acts.early:
        course = say("like.ends", **facts)
    else:
        course = say("like.steps", **facts)
    return {"acts": course, "more": across}


def _acts(case: Case) -> Iterator[Sentence]:
    """Where guidance pushed: the shortest stretch that holds 80 % of the mean of two estimates, over all samples."""
    trace, steps = case.trace, case.trace.steps
    pushes = StepShares.of(case, beyond_c(steps["gamma"][:, None]))
    if unknown := pushes.unknown_steps(trace):
        yield say("acts.unknown", count=unknown, n=int(trace.in_stages(*GUIDED).sum()))
    elif not bool((pushes.push.nan_to_num() > 0).any()):
        told_elsewhere = case.scale.further or case.scale.is_off or bool(steps["gamma"].isnan().any())
        if not told_elsewhere:
            yield say("acts.nowhere")
    elif stretch := interval(pushes.push, pushes.left):
        first, last = stretch
        names = ", ".join(term.label for term in trace.terms if case.push.get(term.name, 0.0) > 0)
        if not names:
            who = say("who.guidance")
        else:
            who = say("who.both" if case.push[GUIDANCE] > 0 else "who.gradients", names=names)
        facts = {"who": who, "first": first + 1, "last": last + 1, "count": last - first + 1}
        facts |= {"high": float(steps["sigma"][first]), "low": float(steps["sigma_next"][last]), "n": trace.n}
        yield say("acts.step" if first == last else "acts.steps", **facts)


def _passes(case: Case) -> Iterator[Sentence]:
    """What the run cost, and what its further passes did."""
    trace = case.trace
    counted = trace.header.get("evaluations")
    evaluations = int(trace.steps["evals"].nansum()) if counted is None else int(counted)
    yield say("passes.spent", evaluations=evaluations, n=trace.n, both=int(trace.in_stages("step").sum()))
    for name, count in (trace.header.get("passes") or {}).items():
        yield from _of_pass(case, name, {"name": name, "count": int(count), "evaluations": evaluations})
    for name, count in (trace.header.get("inside") or {}).items():
        yield say("passes.inside", name=name, count=int(count), evaluations=evaluations)


def _of_pass(case: Case, name: str, facts: Mapping[str, Any]) -> Iterator[Sentence]:
    """What a further pass cost and did: nothing, a part of the push, or nobody knows."""
    trace, cost = case.trace, percent(facts["count"] / max(facts["evaluations"], 1))
    if name not in passes_of(trace.steps):
        yield say("passes.further", percent=cost, **facts)
        return
    length, ran = pass_lengths(trace, name), trace.steps[columns_of_pass(name)[0]] > 0
    if not ran.any() or int(length[ran].isnan().any(dim=1).sum()) > UNKNOWN * int(ran.sum()):
        yield say("passes.further", percent=cost, **facts)
        return
    moved = (length / lengths(trace, point("D", trace.steps["gamma"][:, None]))).nan_to_num()
    if (most := float(moved.max())) < NOTHING:
        yield say("passes.idle", moved=f"{100 * most:.1f}", **facts)
        return
    yield say("passes.pushed", percent=cost, share=percent(case.push.get(name, 0.0)), **facts)
    across = trace.steps.get(effects_of_pass(name)[1], torch.full_like(length, math.nan))
    weight = (trace.steps["kappa"].abs()[:, None] * length).nan_to_num() * across.isfinite()
    if bool((weight > 0).any()):
        part = float((weight * across.nan_to_num()).sum() / weight.sum())
        yield say("passes.across", name=name, percent=percent(part))


def _skippable(case: Case) -> Iterator[Sentence]:
    """Passes without the condition whose difference could be extrapolated: never two in a row, nor the first two."""
    trace, sigma_data = case.trace, case.sigma_data
    pushes = StepShares.of(case, parts_of(trace)[GUIDANCE])
    if not bool((pushes.push.nan_to_num() > 0).any()) or pushes.unknown_steps(trace):
        return
    if not sigma_data > 0:
        yield say("skip.unknown")
        return

    # the share of the push that is lost had the difference been extrapolated from the two steps before
    error, levels = trace.column("M14").mean(dim=1), noise_levels(trace)  # M14 stands in the row before its step
    usable = [i for i in range(2, trace.n) if trace.stage[i] == "step" and float(levels[i]) <= TRUSTED * sigma_data]
    costs = {i: float(pushes.left[i] * error[i - 1]) for i in usable}
    cheap: dict[int, float] = {}
    for i, cost in costs.items():
        if cost < CHEAP and i - 1 not in cheap:
            cheap[i] = cost
    if cheap:
        steps = ", ".join(str(i + 1) for i in cheap)
        yield say("skip.some", count=len(cheap), steps=steps, percent=percent(sum(cheap.values())))
    elif all(map(math.isfinite, costs.values())):
        yield say("skip.none")

    # the steps at the end that hold next to nothing together; of a guided one this must be known
    best = torch.where(pushes.left.isfinite(), pushes.left, pushes.push)
    best = torch.where(trace.in_stages(*GUIDED), best, best.nan_to_num())
    tail = best.flip(0).cumsum(dim=0)
    idle = int((tail <= IDLE).sum()) if bool((best > 0).any()) else 0
    saved = int(trace.in_stages("step")[trace.n - idle :].sum()) if idle else 0
    if saved:
        yield say("skip.end", step=trace.n - idle + 1, percent=percent(float(tail[idle - 1])), count=saved)


def _negative(case: Case) -> Iterator[Sentence]:
    """Whether the negative had an effect."""
    has_negative = case.trace.header.get("negative")  # not every trace says
    if predictions_agree(case.trace):
        yield say("negative.same")
    elif case.scale.is_off:
        if has_negative is not False and not case.scale.differs_from_cfg:
            yield say("negative.unused")
    elif has_negative and case.trace.in_stages("step").any():
        yield say("negative.unknown")


def _rules(case: Case) -> Iterator[Sentence]:
    """What the rules changed, unless a gradient moved D too: what moved it is not told apart."""
    scale = case.scale
    if not scale.rules or any(term.guides for term in case.trace.terms):
        return
    if scale.low < scale.high:
        yield say("rule.scaled", low=scale.low, high=scale.high)
    if scale.at is not None:
        yield say("rule.moved", percent=percent(scale.change), step=scale.at + 1)
    elif scale.is_off:
        yield say("rule.off", chain=scale.rules)
    elif scale.constant and scale.change == 0 and scale.low == case.trace.header.get("cfg"):
        yield say("rule.none", chain=scale.rules)


def _distilled(case: Case) -> Iterator[Sentence]:
    """What a distilled model is told, and what another scale would push where u was evaluated after the run."""
    trace = case.trace
    distilled = trace.header.get("distilled_guidance")
    if distilled is not None:
        yield say("distilled.told", value=float(distilled))
    share = ratio(*(trace.record.square(point(v)).sum(dim=1) for v in ("delta", "c"))).sqrt()
    share = torch.where(trace.in_stages(AFTERWARDS), share, torch.nan)
    if share.isfinite().any():
        at = int(share.nan_to_num(nan=-1.0).argmax())
        embedded = "embedded" in str((trace.header.get(AFTERWARDS) or {}).get("against", ""))
        facts = {"percent": percent(float(share[at])), "step": at + 1}
        yield say("distilled.embedded" if embedded else "distilled.push", **facts)


def _classifiers(case: Case) -> Iterator[Sentence]:
    """How far each gradient moved D, and where another judge does not agree with it."""
    trace, parts = case.trace, parts_of(case.trace)
    guided = lengths(trace, point("D", trace.steps["gamma"][:, None]))
    for term in (term for term in trace.terms if term.guides):
        square, pushed = trace.record.dot(term.name, term.name), parts.get(term.name)
        finite = square.isfinite().all(dim=1)
        if finite.any() and not bool((square[finite] > 0).any()):
            yield say("classifier.zero", name=term.label)
        elif not finite.any() or pushed is None:
            yield say("classifier.unknown", name=term.label)
        elif (moved := ratio(lengths(trace, pushed), guided).nan_to_num().amax(dim=1)).any():
            facts = {"percent": percent(float(moved.max())), "share": percent(case.push.get(term.name, 0.0))}
            yield say("classifier.moved", name=term.label, step=int(moved.argmax()) + 1, **facts)
        yield from _fooled(case, term)


def _fooled(case: Case, guide: Term) -> Iterator[Sentence]:
    """More samples in which a guide finds what was asked for and a judge does not than the other way, beyond chance.

    The sign test of the samples on which they differ (McNemar's exact test): of n such samples, at least k heads of a
    fair coin have the probability  sum over h from k to n of (n choose h) / 2^n.
    """
    trace, of_guide = case.trace, _last_known(case.trace.steps.get(guide.column))
    judges = {term.label: _last_known(trace.steps.get(term.column)) for term in trace.terms if not term.guides}
    judges |= {case.judge.name: case.judge.log_prob.double()} if case.judge else {}
    for name, of_judge in judges.items():
        if of_guide is None or of_judge is None or len(of_judge) != len(of_guide):
            continue
        if bool((of_guide > 0).any() | (of_judge > 0).any()):
            continue  # what exceeds 0 is no log-probability
        by_guide, by_judge = of_guide > HALF, of_judge > HALF
        alone, reverse = int((by_guide & ~by_judge).sum()), int((by_judge & ~by_guide).sum())
        differ = alone + reverse
        chance = sum(math.comb(differ, heads) for heads in range(alone, differ + 1)) / 2**differ
        if alone and chance < CHANCE:  # computed here, as scipy is not in the library
            facts = {"alone": alone, "reverse": reverse, "batch": trace.batch}
            yield say("classifier.fooled", name=guide.label, judge=name, **facts)


def _clipped(case: Case) -> Iterator[Sentence]:
    if (share := clipped_share(case.trace)) is not None:
        yield say("clipped.share" if case.trace.pixels else "clipped.beyond", percent=percent(share))


def _judge(case: Case) -> Iterator[Sentence]:
    judge = case.judge
    if judge and judge.fault:
        yield say("judge.failed", judge=judge.name, fault=f"{judge.fault.rstrip('.')}.")
    elif judge and bool(judge.log_prob.isfinite().all()) and bool((judge.log_prob <= 0).all()):
        count = int((judge.log_prob > HALF).sum())
        yield say("judge.found", judge=judge.name, count=count, batch=len(judge.log_prob))


def _size(case: Case) -> Iterator[Sentence]:
    if case.sigma_data > 0:
        yield say("record.size", value=case.sigma_data, source=case.source)


def _faults(case: Case) -> Iterator[Sentence]:
    for fault in (*(case.trace.header.get("faults") or ()), *check(case.trace)):
        yield say("record.fault", fault=f"{str(fault).rstrip('.')}.")


FINDINGS: tuple[Callable[[Case], Iterator[Sentence]], ...] = (
    _effect,  # at which plain scale the run stands
    _acts,  # where guidance pushed
    _passes,  # what the run and its further passes cost
    _skippable,  # passes that could be left out
    _negative,  # whether the negative had an effect
    _rules,  # what the rules changed
    _distilled,  # what a distilled model is told
    _classifiers,  # how far gradients moved the prediction
    _clipped,  # values beyond what a picture can show
    _judge,  # what another energy finds in the pictures
    _size,  # how large clean data are, and who says so
    _faults,  # what is wrong with the record
)


def clipped_share(trace: Trace) -> float | None:  # 0 .. 1
    """M10 of the last step that knows it, over all samples: what both sentences on clipping are about."""
    share = _last_known(trace.steps.get("m10"))
    return None if share is None or not len(share) else float(share.mean())


def _last_known(column: Tensor | None) -> Tensor | None:  # [n, B] -> [B]
    """The row of the last step that knows all samples."""
    steps = [] if column is None else column.isfinite().all(dim=1).nonzero()[:, 0].tolist()
    return column[steps[-1]] if column is not None and steps else None
