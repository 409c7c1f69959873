"""What the host evaluated for every model call of a sampler, copied before any rule may edit it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from ...guidance.parts import Packed
from ...guidance.vectors import promote
from ...trace.recorder import Evaluation, Pass
from ...trace.trace import FROM_ZERO, SKIP, UNSEEN
from ..models import adapter
from ..sampling.run_models import FURTHER
from .host_run import HostRun
from .passes import NAMELESS, Asked, names_inside, pass_name

COND, UNCOND = "cond", "uncond"
SAME = 1e-4  # of a scale, in which two are the same
EMPTY = "empty_negative_prompt"  # the name by which the host's PerpNegGuider calls the condition that it counts from


@dataclass
class Predicted:
    """The predictions of one model call so far.

    level: noise level.
    uncond, cond: u and c [B, ...], None where not evaluated.
    others: predictions of further conditions [B, ...], by name.
    unnamed_predictions: predictions [B, ...] of which nobody says what they are.
    gammas: the stated scale of each part of the sample, nan where nobody states one.
    nfe: evaluations that the network made.
    passes: what else was asked, by name.
    queries: what the network was asked for u and c, by name.
    guided: the guider's D [B, ...], where a noise mask changes it afterwards.
    from_zero: whether u or c is the zero that the host takes for a condition without entries.
    places: whether passes, by name and number, were asked at a copy of the same x; that is compared once a run.
    compared: how many passes of each name were compared in this call.
    """

    level: float
    uncond: Tensor | None = None
    cond: Tensor | None = None
    others: dict[str, Tensor] = field(default_factory=dict)
    unnamed_predictions: list[Tensor] = field(default_factory=list)
    gammas: tuple[float, ...] = ()
    nfe: int = 0
    passes: dict[str, Pass] = field(default_factory=dict)
    queries: dict[str, Asked] = field(default_factory=dict)
    guided: Tensor | None = None
    from_zero: bool = False
    places: dict[tuple[str, int], bool] = field(default_factory=dict)
    compared: Counter[str] = field(default_factory=Counter)

    def take(self, role: str, prediction: Tensor, query: Asked) -> None:
        """Note a prediction; a further pass if u or c is there already."""
        if role not in (COND, UNCOND):
            self.others.setdefault(role, prediction.detach().clone())
            return
        first = getattr(self, role)
        if first is None:
            setattr(self, role, prediction.detach().clone())
            self.queries[role] = query
            return
        self._take_again(prediction, query, role)

    def take_unnamed(self, prediction: Tensor, query: Asked) -> None:
        """Note a prediction of which nobody says what it is; of another x than c was asked for, it says no more."""
        if COND in self.queries and not self._is_at_the_place_of(COND, NAMELESS, query):
            self._count_pass(NAMELESS, prediction)
        else:
            self.unnamed_predictions.append(prediction.detach().clone())

    def _take_again(self, prediction: Tensor, query: Asked, role: str) -> None:
        name, first = pass_name(self.queries[role], query), getattr(self, role)
        if not self._is_at_the_place_of(role, name, query):  # such as one that was blurred, or a tile
            self._count_pass(name, prediction)
            return
        again = sum(known.partition(" (")[0] == name for known in self.passes)
        self.passes[f"{name} ({again + 1})" if again else name] = Pass(first - prediction.detach(), 1)

    def _is_at_the_place_of(self, role: str, name: str, query: Asked) -> bool:
        """Whether a pass of this name was asked for the same x as u or c."""
        if (known := query.shares_tensor(self.queries[role])) is not None:
            return known
        self.compared[name] += 1
        place = name, self.compared[name]
        if place not in self.places:
            self.places[place] = torch.equal(query.x, self.queries[role].x)
        return self.places[place]

    def _count_pass(self, name: str, prediction: Tensor) -> None:
        before = self.passes.get(name)
        self.passes[name] = Pass(torch.full_like(prediction, torch.nan), 1 + (before.nfe if before else 0))

    def tell_apart(self, guider: Any) -> Predicted:
        """These predictions with u, c and further passes, as far as the conditions and their order tell them."""
        pair, unnamed = {COND: self.cond, UNCOND: self.uncond}, self.unnamed_predictions
        missing = next((role for role, prediction in pair.items() if prediction is None), None)
        if missing and len(unnamed) == 1:
            pair[missing] = unnamed[0]
        across = EMPTY in getattr(guider, "conds", {})
        passes = further_passes(pair[UNCOND], pair[COND], self.others, across)
        return replace(self, **pair, passes={**self.passes, **passes})

    def split(self, packing: Packed) -> list[Predicted]:
        """The predictions of each part of a sample by itself."""
        if len(packing.shapes) < 2:
            return [self]
        named = {UNCOND: self.uncond, COND: self.cond, "guided": self.guided}
        pairs = packing.split_table({name: v for name, v in named.items() if v is not None})
        differences = packing.split_table({name: further.difference for name, further in self.passes.items()})
        return [
            replace(
                self,
                **{name: pairs[i].get(name) for name in named},
                gammas=self.gammas[i : i + 1],
                passes={name: replace(self.passes[name], difference=d) for name, d in differences[i].items()},
            )
            for i in range(len(packing.names))
        ]


class Evaluations:
    """The model calls of one run.

    current: what is evaluated for the call in progress; an evaluation outside the sampler's calls belongs to no step.
    has_evaluated: whether the network was asked at all so far.
    inside: how many of its evaluations had a guidance patched into the network, by name.
    objects: what stands in the place of the network's own parts.
    counts_inside: whether the network asks the host's wrappers, so that a cache may answer for it there.
    counts_from_other: whether guidance counts from what a node asked under a condition of its own, None until that is
        known.
    places: whether passes were asked at a copy of the same x, for all calls; see Predicted.
    """

    def __init__(self, run: HostRun):
        self.run = run
        self.inside: Counter[str] = Counter()
        self.objects = tuple(getattr(run.patcher, "object_patches", {}).values())
        self.current: Predicted | None = None
        self.has_evaluated = self.counts_inside = False
        self.counts_from_other: bool | None = None
        self.places: dict[tuple[str, int], bool] = {}

    def begin(self, level: float) -> Predicted:
        """Note a call of the model at a noise level before it is made."""
        self.current = Predicted(level, places=self.places)
        return self.current

    def note_guided(self, denoised: Tensor) -> None:
        """Note what the guider made, before a noise mask mixes the original into it."""
        if self.current is not None:
            self.current.guided = denoised.detach()

    def count(self, options: Mapping, inside: bool) -> None:
        """Count what the network was asked in one batch.  inside: it did come to the network's own layers."""
        self.counts_inside = self.counts_inside or inside
        if self.current is not None and inside == self.counts_inside:
            self.current.nfe += len(options.get("cond_or_uncond") or (COND,))

    def add(
        self, predictions: list[Tensor], conds: list, x: Tensor, model_options: Mapping, late: bool = False
    ) -> None:
        """Note what the host evaluated together.  late: only as far as nobody has told it yet in this call."""
        call = self.current
        if call is None or model_options.get(FURTHER):
            return
        call.gammas = self._scales()
        if late and call.cond is not None and call.uncond is not None:
            return  # told already
        roles = self._roles(conds, call)
        roles = {role: i for role, i in roles.items() if not (late and getattr(call, role, x) is not None)}
        actives = {role: adapter.is_active(conds[i], call.level) for role, i in roles.items()}
        options = model_options.get("transformer_options", {})
        patched = names_inside(options, self.objects) if roles else set()
        for role, position in roles.items():
            active = actives[role]
            if not active and role not in ((COND,) if self.run.chain_run else (COND, UNCOND)):
                continue  # our chains put c in the place of such a u
            call.from_zero = call.from_zero or not active
            if active and getattr(call, role, call) is None:
                self.inside.update(patched)
            call.take(role, predictions[position], Asked(x, conds[position] or [], options))
        asks_more = self.run.chain_run is not None and self.run.chain_run.chain.sources  # further ones are the chain's
        for i in set(range(len(conds))) - {*roles.values()} if not (late or asks_more) else ():
            if adapter.is_active(conds[i], call.level):
                call.take_unnamed(predictions[i], Asked(x, conds[i], options))

    def complete(self, call: Predicted, denoised: Tensor) -> Evaluation:
        """The whole of a call, once its D is known."""
        packing, answers = self.run.packing, self.run.chain_run.gradients.latest if self.run.chain_run else ()
        if self.run.chain_run and call.uncond is None:
            call = replace(call, uncond=self.run.chain_run.runner.in_place_of_u)
        call = call.tell_apart(self.run.guider) if self.run.foreign else self._with_unnamed(call, denoised)
        parts = zip(call.split(packing), packing.split(denoised.clone()), strict=True)
        stage = self._stage(call)
        evaluations = [self._evaluation(predicted, guided, stage) for predicted, guided in parts]
        if len(evaluations) > 1:
            whole = packing.join([evaluation.denoised for evaluation in evaluations])
            return replace(evaluations[0], denoised=whole, parts=tuple(evaluations))
        return replace(
            evaluations[0],
            gradients={a.name: a.shift for a in answers if a.shift is not None},
            log_probs={a.name: a.log_prob for a in answers},
            weights={a.name: a.weight for a in answers if a.weight is not None},
        )

    def _with_unnamed(self, call: Predicted, denoised: Tensor) -> Predicted:
        """A call with what a node asked under a condition of its own: a further pass, or what guidance counts from.

        It stands as u where D lies at the guider's scale from it over the whole batch, and not so from u. That is told
        once a run, because a number of the device is waited for.
        """
        if call.cond is None or not call.unnamed_predictions:
            return call
        other, *further = call.unnamed_predictions
        if self.counts_from_other is None:
            scales = [_scale_from(prediction, call.cond, denoised) for prediction in (call.uncond, other)]
            from_u, from_other = (math.isclose(scale, float(self.run.guider.cfg), rel_tol=SAME) for scale in scales)
            self.counts_from_other = from_other and not from_u
        uncond, others = call.uncond, {NAMELESS: other}
        if self.counts_from_other:
            uncond, others = other, {} if call.uncond is None else {"negative": call.uncond}
        others |= {f"{NAMELESS} ({i})": prediction for i, prediction in enumerate(further, 2)}
        passes = further_passes(uncond, call.cond, others, bool(self.counts_from_other))
        return replace(call, uncond=uncond, passes={**call.passes, **passes})

    def _evaluation(self, call: Predicted, denoised: Tensor, stage: str) -> Evaluation:
        """What one part of a call gave.  denoised: D of the part [B, ...]"""
        gamma = call.gammas[0] if call.gammas else math.nan
        if self.run.foreign and call.uncond is None and call.cond is not None:
            gamma = 1.0  # without u nothing is guided
        mask = None if call.guided is None else denoised - call.guided
        return Evaluation(
            denoised, call.uncond, call.cond, gamma, call.nfe, stage, passes=call.passes, mask_change=mask
        )

    def _stage(self, call: Predicted) -> str:
        """A word where u and c do not tell it: what was left out, or handed out by another pack as it had stored it."""
        self.has_evaluated = self.has_evaluated or call.nfe > 0
        made = sum(prediction is not None for prediction in (call.uncond, call.cond))
        if call.from_zero:
            return FROM_ZERO
        if self.has_evaluated and call.nfe == 0:
            return SKIP
        if self.run.chain_run and call.uncond is None:
            return self.run.chain_run.evaluation.stage
        if call.cond is None:
            return UNSEEN
        return "reuse" if call.nfe < made and not self.run.chain_run else ""

    def _scales(self) -> tuple[float, ...]:
        """The scale in force of each part, as far as somebody states it."""
        if self.run.chain_run:
            return tuple(map(float, self.run.chain_run.runner.gammas))
        # a node may set it for this evaluation alone, so it is read in each
        stated = math.nan if self.run.foreign else float(self.run.guider.cfg)
        return (stated,) * len(self.run.packing.names)

    def _roles(self, conds: list, call: Predicted) -> dict[str, int]:
        """Where the guider's own conditions stand among the evaluated ones, or copies; else the host's order [c, u].

        Where a guider without a second condition has another scale than 1, the host takes a zero in its place.
        """
        stated = conditions_of(self.run.guider, self.run.foreign)
        roles = {role: i for i, c in enumerate(conds) for role, entries in stated.items() if is_copy(c, entries)}
        lacks_u = conds[1:] == [None] and UNCOND not in stated and not self.run.foreign
        if lacks_u and not math.isclose(float(self.run.guider.cfg), 1.0):
            roles |= {UNCOND: 1}
        if roles or (self.run.foreign and len(conds) != 2) or call.cond is not None:
            return roles
        return {role: i for i, role in enumerate((COND, UNCOND)[: len(conds)]) if conds[i] is not None}


def is_copy(entries: list[dict] | None, of: list[dict] | None) -> bool:
    """Whether a condition is another one or was made from it: the host marks every entry, and copies keep the mark."""
    if entries is None or of is None or entries is of:
        return entries is not None and entries is of
    marks, marks_of_other = ([entry.get("uuid") for entry in condition] for condition in (entries, of))
    return marks == marks_of_other and None not in marks


def conditions_of(guider: Any, combines_itself: bool) -> dict[str, list[dict]]:
    """Conditions by what they are for: COND, UNCOND, and of a guider that combines itself the others by its names."""
    given = dict(getattr(guider, "conds", {}))
    conditions = {COND: given.pop("positive", None), UNCOND: given.pop(_name_of_u(guider, given), None)}
    conditions |= given if combines_itself else {}
    return {name: entries for name, entries in conditions.items() if entries is not None}


def _name_of_u(guider: Any, conds: Mapping[str, Any]) -> str:
    """By which name a guider calls the condition that stands as u.

    The host's DualCFGGuider combines three: n + cfg2 (m - n) + cfg1 (c - m), or nested n + cfg2 (m + cfg1 (c - m) - n).
    In both n weighs 1 - cfg2, and both are n + cfg2 (c - n) + w (c - m): n stands as u, m is a further prediction, and
    where w is 0 one scale rules. At cfg2 = 1 there is no n in it, and m + cfg1 (c - m) is left: then m stands as u.
    """
    if EMPTY in conds:
        return EMPTY
    return "middle" if math.isclose(getattr(guider, "cfg2", math.nan), 1.0) else "negative"


def further_passes(
    uncond: Tensor | None, cond: Tensor | None, others: Mapping[str, Tensor], across: bool
) -> dict[str, Pass]:
    """What is read beside u and c, by name: how far c is from it, [B, ...].

    across: as the host's PerpNeg has it, what of n - u stands across c - u is taken away, over the whole batch.
    """
    if cond is None:
        return {}
    differences = {name: promote(cond) - promote(other) for name, other in others.items()}
    if uncond is not None and across:
        along = promote(cond) - promote(uncond)
        towards = {name: along - away for name, away in differences.items()}
        differences = {name: (v * along).sum() / along.square().sum() * along - v for name, v in towards.items()}
    return {name: Pass(away, 1) for name, away in differences.items()}


def _scale_from(uncond: Tensor | None, cond: Tensor, guided: Tensor) -> float:
    """The scale at which plain guidance from u comes nearest to D over the whole batch, nan without u."""
    if uncond is None:
        return math.nan
    delta = promote(cond) - promote(uncond)
    return 1 + float(((guided - cond) * delta).sum() / delta.square().sum())
