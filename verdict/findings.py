"""What a run tells besides its verdict: where guidance acted, what it cost, what could be left out, what did nothing.

One fact has one place: a sentence here is the only statement of it, and whoever shows it takes it from here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from ..trace.checks import check
from ..trace.effective import EffectiveScale, alike
from ..trace.gram import point
from ..trace.metrics import ratio
from ..trace.pushes import (
    GUIDANCE,
    beyond_c,
    contraction,
    interval,
    lengths,
    parts_of,
    pass_lengths,
    push_shares,
    shares,
)
from ..trace.terms import Term, columns_of_pass, effects_of_pass, passes_of
from ..trace.trace import AFTERWARDS, Trace
from .features import noise_levels
from .scale import GUIDED, Scale, apart_of, is_off, predictions_agree
from .sentences import Sentence, about, percent, say, short

CHEAP = 0.01  # share of the run's push that one predicted difference may miss
IDLE = 0.02  # share of the push below which the end of a run can do without guidance
TRUSTED = 2.5  # sigma in sigma_d up to which the estimate of that cost holds
NOTHING = 5e-4  # share of D below which what a pass made of it is printed as 0.0 %
UNKNOWN = 0.1  # share of the steps of a pass of which it may be unknown what it made
HALF = math.log(0.5)  # log p above which a classifier finds what was asked for
CHANCE = 0.05  # probability below which a difference is no chance


@dataclass(frozen=True)
class Judged:
    """What an energy that did not guide finds in the finished pictures.  log_prob: [B]; fault: why it found nothing."""

    name: str
    log_prob: Tensor
    fault: str = ""


@dataclass(frozen=True)
class Watched:
    """A run, and what of it the findings share.

    sigma_data: rms of clean data, nan where unknown. source: who says so.
    """

    trace: Trace
    scale: Scale
    sigma_data: float
    source: Sentence
    judge: Judged | None = None


def findings_of(run: Watched) -> tuple[Sentence, ...]:
    """Everything that can be said, in this order; nothing about what does not apply."""
    return tuple(sentence for find in FINDINGS for sentence in find(run))


def _acts(run: Watched) -> Iterator[Sentence]:
    """Where guidance pushed: the shortest stretch that holds 80 % of the mean of two estimates, over all samples."""
    pushes, guided = Pushes.of(run), _in_stages(run.trace, *GUIDED)
    unknown, pushed = pushes.count_unknown(run.trace), bool((pushes.push.nan_to_num() > 0).any())
    if unknown:
        yield say("acts.unknown", count=unknown, n=int(guided.sum()))
    elif not pushed:
        silent = run.scale.further or is_off(run.trace, run.scale)  # there another sentence says so
        silent = silent or bool(run.trace.steps["gamma"].isnan().any())
        yield from () if silent else (say("acts.nowhere"),)
    elif held := interval(pushes.push, pushes.left):
        first, last = held
        steps = run.trace.steps
        where = {"high": float(steps["sigma"][first]), "low": float(steps["sigma_next"][last]), "n": run.trace.n}
        name = "acts.step" if first == last else "acts.steps"
        yield say(name, who=_who(run.trace), first=first + 1, last=last + 1, count=last - first + 1, **where)


def _who(trace: Trace) -> Sentence:
    """Whose the push was."""
    shares = push_shares(trace)
    names = ", ".join(term.label for term in trace.terms if shares.get(term.name, 0.0) > 0)
    if not names:
        return say("who.guidance")
    return say("who.both" if shares[GUIDANCE] > 0 else "who.gradients", names=names)


def _effect(run: Watched) -> Iterator[Sentence]:
    """At which plain scale the run stands, where that is not the widget's."""
    scale = run.scale
    if scale.differs_from_cfg and not is_off(run.trace, scale):
        name = "rules" if scale.rules else "passes" if scale.further else "named" if scale.other else "node"
        yield say(f"effect.{name}", who=scale.beside or scale.other, cfg=scale.cfg, **_like(scale))
    elif math.isnan(scale.cfg) and scale.other and not scale.plain and math.isfinite(scale.effective.scale):
        apart = ", ".join(apart_of(run.trace))
        yield say("effect.guider.apart" if apart else "effect.guider", apart=apart, who=scale.other, **_like(scale))


def _like(scale: Scale) -> dict[str, str | Sentence]:
    """The plain scale in words, and what went across."""
    acted = scale.effective
    facts = {name: about(value) for name, value in asdict(acted).items()}
    like = say(_course(acted), **facts) if math.isfinite(acted.scale) else short(scale.plain_scale)
    return {"acts": like, "more": "" if acted.along else say("like.across", percent=percent(acted.across))}


def _course(acted: EffectiveScale) -> str:
    """Which words tell how it went over the run and the samples."""
    if acted.steady:
        return "like.one" if alike(acted.low, acted.scale) and alike(acted.high, acted.scale) else "like.samples"
    early, late = acted.early, acted.late
    if about(early) == about(late) == about(acted.scale):
        return "like.one"
    return "like.ends" if early <= acted.scale <= late or late <= acted.scale <= early else "like.steps"


def _passes(run: Watched) -> Iterator[Sentence]:
    trace = run.trace
    counted = trace.header.get("evaluations")
    evaluations = int(trace.steps["evals"].nansum()) if counted is None else int(counted)
    yield say("passes.spent", evaluations=evaluations, n=trace.n, both=int(_in_stages(trace, "step").sum()))
    for name, count in (trace.header.get("passes") or {}).items():
        yield from _of_pass(run, name, {"name": name, "count": int(count), "evaluations": evaluations})
    for name, count in (trace.header.get("inside") or {}).items():
        yield say("passes.inside", name=name, count=int(count), evaluations=evaluations)


def _of_pass(run: Watched, name: str, facts: Mapping[str, Any]) -> Iterator[Sentence]:
    """What a further pass cost and did: nothing, a part of the push, or nobody knows."""
    trace, taken = run.trace, percent(facts["count"] / max(facts["evaluations"], 1))
    made = pass_lengths(trace, name) if name in passes_of(trace.steps) else None
    if made is None or not _is_known(made, trace.steps[columns_of_pass(name)[0]] > 0):
        yield say("passes.further", percent=taken, **facts)
        return
    moved = (made / lengths(trace, point("D", trace.steps["gamma"][:, None]))).nan_to_num()
    if (most := float(moved.max())) < NOTHING:
        yield say("passes.idle", moved=f"{100 * most:.1f}", **facts)
        return
    yield say("passes.pushed", percent=taken, share=percent(push_shares(trace).get(name, 0.0)), **facts)
    across = trace.steps.get(effects_of_pass(name)[1], torch.full_like(made, math.nan))
    weight = (trace.steps["kappa"].abs()[:, None] * made).nan_to_num() * across.isfinite()
    if bool((weight > 0).any()):
        part = float((weight * across.nan_to_num()).sum() / weight.sum())
        yield say("passes.across", name=name, percent=percent(part))


def _is_known(made: Tensor, ran: Tensor) -> bool:
    """Whether it is known of most steps at which a pass ran what it made."""
    unknown = made[ran].isnan().any(dim=1)
    return bool(ran.any()) and int(unknown.sum()) <= UNKNOWN * len(unknown)


def _skippable(run: Watched) -> Iterator[Sentence]:
    """Passes without the condition whose difference could be extrapolated: never two in a row, nor the first two."""
    pushes = Pushes.of(run, GUIDANCE)
    guided = _in_stages(run.trace, *GUIDED)
    if not bool((pushes.push.nan_to_num() > 0).any()) or pushes.count_unknown(run.trace):
        return
    if not run.sigma_data > 0:
        yield say("skip.unknown")
        return
    cost = skip_costs(run.trace, pushes, run.sigma_data)
    if cheap := cheap_steps(cost):
        steps = ", ".join(str(i + 1) for i in cheap)
        yield say("skip.some", count=len(cheap), steps=steps, percent=percent(sum(cheap.values())))
    elif all(map(math.isfinite, cost.values())):
        yield say("skip.none")
    count, share = idle_end(torch.where(guided, pushes.best, pushes.best.nan_to_num()))
    saved = int(_in_stages(run.trace, "step")[run.trace.n - count :].sum()) if count else 0
    if saved:
        yield say("skip.end", step=run.trace.n - count + 1, percent=percent(share), count=saved)


def _negative(run: Watched) -> Iterator[Sentence]:
    there = run.trace.header.get("negative")  # not every trace says
    if predictions_agree(run.trace):
        yield say("negative.same")
    elif is_off(run.trace, run.scale):
        yield from () if there is False or run.scale.differs_from_cfg else (say("negative.unused"),)
    elif there and _in_stages(run.trace, "step").any():
        yield say("negative.unknown")


def _rules(run: Watched) -> Iterator[Sentence]:
    scale = run.scale
    if not scale.rules or any(term.guides for term in run.trace.terms):  # what moved D is not told apart
        return
    if scale.low < scale.high:
        yield say("rule.scaled", low=scale.low, high=scale.high)
    if scale.at is not None:
        yield say("rule.moved", percent=percent(scale.change), step=scale.at + 1)
    elif is_off(run.trace, scale):
        yield say("rule.off", chain=scale.rules)
    elif scale.constant and scale.change == 0 and scale.low == run.trace.header.get("cfg"):
        yield say("rule.none", chain=scale.rules)


def _tell_distilled(run: Watched) -> Iterator[Sentence]:
    """What a distilled model is told, and what another scale would push where u was evaluated after the run."""
    trace = run.trace
    distilled, later = trace.header.get("distilled_guidance"), _in_stages(trace, AFTERWARDS)
    if distilled is not None:
        yield say("distilled.told", value=float(distilled))
    share = ratio(*(trace.record.square(point(v)).sum(dim=1) for v in ("delta", "c"))).sqrt()
    share = torch.where(later, share, torch.nan)
    if share.isfinite().any():
        at = int(share.nan_to_num(nan=-1.0).argmax())
        embedded = "embedded" in str((trace.header.get(AFTERWARDS) or {}).get("against", ""))
        name = "distilled.embedded" if embedded else "distilled.push"
        yield say(name, percent=percent(float(share[at])), step=at + 1)


def _classifiers(run: Watched) -> Iterator[Sentence]:
    trace, parts, shares = run.trace, parts_of(run.trace), push_shares(run.trace)
    guided = lengths(trace, point("D", trace.steps["gamma"][:, None]))
    for term in (term for term in trace.terms if term.guides):
        square, pushed = trace.record.dot(term.name, term.name), parts.get(term.name)
        finite = square.isfinite().all(dim=1)
        if finite.any() and not bool((square[finite] > 0).any()):
            yield say("classifier.zero", name=term.label)
        elif not finite.any() or pushed is None:
            yield say("classifier.unknown", name=term.label)
        elif (moved := ratio(lengths(trace, pushed), guided).nan_to_num().amax(dim=1)).any():
            facts = {"percent": percent(float(moved.max())), "share": percent(shares.get(term.name, 0.0))}
            yield say("classifier.moved", name=term.label, step=int(moved.argmax()) + 1, **facts)
        yield from _tell_fooled(run, term)


def _tell_fooled(run: Watched, term: Term) -> Iterator[Sentence]:
    """More samples in which a guide finds what was asked for and a judge does not than the other way, beyond chance.

    The sign test of the samples on which they differ (McNemar's exact test).
    """
    own = _last_known(run.trace.steps.get(term.column))
    others = {one.label: _last_known(run.trace.steps.get(one.column)) for one in run.trace.terms if not one.guides}
    others |= {run.judge.name: run.judge.log_prob.double()} if run.judge else {}
    for name, other in others.items():
        if own is None or other is None or len(other) != len(own) or bool((own > 0).any() | (other > 0).any()):
            continue  # what exceeds 0 is no log-probability
        right = [share > HALF for share in (own, other)]
        alone, reverse = (int((one & ~two).sum()) for one, two in (right, right[::-1]))
        if alone and binomial_tail(alone, alone + reverse) < CHANCE:
            facts = {"alone": alone, "reverse": reverse, "batch": run.trace.batch}
            yield say("classifier.fooled", name=term.label, judge=name, **facts)


def binomial_tail(count: int, of: int) -> float:
    """Probability of at least so many heads of a fair coin."""
    return sum(math.comb(of, heads) for heads in range(count, of + 1)) / 2**of  # scipy is not in the library


def _tell_clipped(run: Watched) -> Iterator[Sentence]:
    if (share := clipped_share(run.trace)) is not None:
        yield say("clipped.share" if run.trace.pixels else "clipped.beyond", percent=percent(share))


def _tell_judge(run: Watched) -> Iterator[Sentence]:
    if run.judge and run.judge.fault:
        yield say("judge.failed", judge=run.judge.name, fault=f"{run.judge.fault.rstrip('.')}.")
    elif run.judge and bool(run.judge.log_prob.isfinite().all()) and bool((run.judge.log_prob <= 0).all()):
        log_prob = run.judge.log_prob
        yield say("judge.found", judge=run.judge.name, count=int((log_prob > HALF).sum()), batch=len(log_prob))


def _size(run: Watched) -> Iterator[Sentence]:
    if run.sigma_data > 0:
        yield say("record.size", value=run.sigma_data, source=run.source)


def _faults(run: Watched) -> Iterator[Sentence]:
    for fault in (*(run.trace.header.get("faults") or ()), *check(run.trace)):
        yield say("record.fault", fault=f"{str(fault).rstrip('.')}.")


FINDINGS: tuple[Callable[[Watched], Iterator[Sentence]], ...] = (
    _effect,
    _acts,
    _passes,
    _skippable,
    _negative,
    _rules,
    _tell_distilled,
    _classifiers,
    _tell_clipped,
    _tell_judge,
    _size,
    _faults,
)


@dataclass(frozen=True)
class Pushes:
    """Every step's share of the push beyond the condition, over all samples: when made, and what is left at the end.

    best: what is left, the push itself where that is unknown.
    """

    push: Tensor
    left: Tensor

    @property
    def best(self) -> Tensor:
        """What is left, as far as it is known."""
        return torch.where(self.left.isfinite(), self.left, self.push)

    def count_unknown(self, trace: Trace) -> int:
        """At how many guided steps the push is unknown."""
        return int((_in_stages(trace, *GUIDED) & ~self.push.isfinite()).sum())

    @classmethod
    def of(cls, run: Watched, name: str | None = None) -> Pushes:
        """Of one run; name: of a part of D - c alone."""
        trace, steps = run.trace, run.trace.steps
        part = beyond_c(steps["gamma"][:, None]) if name is None else parts_of(trace)[name]
        push = steps["kappa"].abs() * lengths(trace, part).square().sum(dim=1).sqrt()
        noisy = bool((trace.record.dot("noise", "noise") > 0).any())
        kept = contraction(steps["sigma_next"], steps["alpha_next"], run.sigma_data, noisy)
        return cls(shares(push), shares(push * kept))


def skip_costs(trace: Trace, pushes: Pushes, sigma_data: float) -> dict[int, float]:
    """{step: share of the push that is lost} had the difference been extrapolated from the two steps before."""
    error = trace.column("M14").mean(dim=1)  # of the step after its row
    levels = noise_levels(trace)
    usable = (i for i in range(2, trace.n) if trace.stage[i] == "step" and float(levels[i]) <= TRUSTED * sigma_data)
    return {i: float(pushes.left[i] * error[i - 1]) for i in usable}


def cheap_steps(costs: dict[int, float]) -> dict[int, float]:
    """Those that cost less than 1 % of the push, never two in a row."""
    shares: dict[int, float] = {}
    for i, cost in costs.items():
        if cost < CHEAP and i - 1 not in shares:
            shares[i] = cost
    return shares


def idle_end(left: Tensor) -> tuple[int, float]:
    """How many steps at the end hold at most 2 % of the push together, and their share; an unknown one is no such."""
    tail = left.flip(0).cumsum(dim=0)
    count = int((tail <= IDLE).sum()) if bool((left > 0).any()) else 0
    return count, float(tail[count - 1]) if count else 0.0


def clipped_share(trace: Trace) -> float | None:  # 0 .. 1
    """M10 of the last step that knows it, over all samples: what both sentences on clipping are about."""
    share = _last_known(trace.steps.get("m10"))
    return None if share is None or not len(share) else float(share.mean())


def _in_stages(trace: Trace, *stages: str) -> Tensor:  # -> [n] bool
    return torch.tensor([stage in stages for stage in trace.stage], dtype=torch.bool)


def _last_known(column: Tensor | None) -> Tensor | None:  # [n, B] -> [B]
    steps = [] if column is None else column.isfinite().all(dim=1).nonzero()[:, 0].tolist()
    return column[steps[-1]] if column is not None and steps else None
