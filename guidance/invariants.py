"""What must hold for any guidance rule, measured: one number for each invariant, and whether the rule claims it.

A rule is an object with `init(run) -> state` and `step(state, predictions, gamma) -> (guided, state)`: a chain of this
pack, an adapter of somebody's node, or anybody's own class. Its optional attributes: `claims` (of OPTIONAL), `neutral`
(the same rule with knobs that should change nothing), `extra` (names of further predictions it reads), `half` (False
where its host never hands it half precision) and `spaces` (of SPACES), `acts_alone` (it acts also where c = u).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from .chain import Chain
from .predictions import Predictions
from .rules.function import FunctionRule
from .rules.kinds import BeforeAlways, Combination, Replace, Schedule, Source
from .rules.negative import Negative
from .rules.perturbed import Perturbed
from .rules.window import WHOLE
from .run import Run
from .synthetic_run import (
    BATCH,
    CHANNELS,
    GAMMA,
    LEVELS,
    PLACES,
    SIDES,
    deviation,
    map_tensors,
    plain_cfg,
    play,
    query_chain,
    run_of,
    steps_of,
)
from .vectors import flat, wide

SPACES = ("ve", "vp", "flow")
TOLERANCE = 5e-4  # of the largest number of the right answer; a float32 SVD of x - u at sigma 14 loses 3e-4
EXACT = 0.0
LARGE, UNLIMITED = 1e6, (math.inf, -math.inf)
OPTIONAL = ("gamma 0 is u", "same in every space", "in plane", "in span", "per item", "no memory")
CFG_HAS = frozenset({"per item", "in plane", "in span"})  # whatever the scale is


@dataclass(frozen=True)
class Verdict:
    """One cell of the table.  word: pass, FAIL, not claimed, or none where it cannot be asked.  size: the deviation."""

    word: str
    size: float | None = None
    note: str = ""

    def __str__(self) -> str:
        size = "" if self.size is None else f"{self.size:.0e}" if self.size else "0"
        return f"{self.word} {size}".rstrip()


@dataclass(frozen=True)
class Invariant:
    """A statement about a rule.

    measure(rule) -> deviation, None where it cannot be asked; with a remark, the two as a pair. claim: who must hold
    it; None is every rule.
    """

    name: str
    meaning: str
    measure: Callable[[Any], float | tuple[float, str] | None]
    claim: str | None = None
    limit: float = TOLERANCE

    def judge(self, rule: Any) -> Verdict:
        """Hold a rule against it; an exception of the rule is a deviation without a size."""
        try:
            measured = self.measure(rule)
            size, note = measured if isinstance(measured, tuple) else (measured, "")
        except Exception as error:  # noqa: BLE001  anybody's code may raise anything: that is the finding
            size, note = math.inf, f"{type(error).__name__}: {error}".partition("\n")[0]
        if size is None:
            return Verdict("none")
        if self.claim is not None and self.claim not in claims_of(rule):
            return Verdict("not claimed", size, note)
        return Verdict("pass" if size <= self.limit else "FAIL", size, note)


def claims_of(rule: Any) -> frozenset[str]:
    """What a rule promises beyond the invariants of every rule; a chain promises what all its rules do."""
    if isinstance(rule, FunctionRule):  # a function says it itself: rule.claims = {"per item"}
        return frozenset(getattr(rule.function, "claims", ()))
    if not isinstance(rule, Chain):
        return frozenset(getattr(rule, "claims", ()))
    claims = frozenset(OPTIONAL).intersection(
        *(one.claims | (CFG_HAS if isinstance(one, Schedule) else frozenset()) for one in rule.rules)
    )
    memory = rule.init(Run((*LEVELS, 0.0))).rules
    anywhere = all(not isinstance(one, Schedule) and one.window == WHOLE for one in rule.rules)
    stateless = anywhere and all(state is None for state in memory)
    return claims | {"no memory"} if stateless else claims


def reshapes_gamma(rule: Any) -> bool:
    """Whether the scale in force is not the sampler's, so that gamma 0 and 1 mean nothing."""
    return isinstance(rule, Chain) and any(isinstance(one, Schedule) for one in rule.rules)


def neutral_is_cfg(rule: Any) -> float | tuple[float, str] | None:
    """Neutral knobs against plain CFG.

    A chain leaves out a rule with neutral knobs, so a formula that would give something else there is no fault of the
    rule: it is remarked on, as its author may have meant the knobs to do that.
    """
    neutral = getattr(rule, "neutral", None) if not isinstance(rule, Chain) else neutral_of(rule)
    if neutral in (None, False):
        return None
    steps = steps_of(neutral)
    if not isinstance(rule, Chain):
        return deviation(play(neutral, steps), plain_cfg(steps, GAMMA))
    left_out = Chain(tuple(map(neutral_knobs, rule.rules)))
    size = deviation(play(left_out, steps), plain_cfg(steps, GAMMA))
    formula = formula_deviation(neutral, steps)
    if formula <= TOLERANCE:
        return max(size, formula)
    return size, f"with neutral knobs ({left_out.text}) the chain leaves the rule out; its formula is not asked there"


def formula_deviation(rule: Chain, steps: list[Predictions]) -> float:
    """What the formula itself gives against plain CFG; inf where it gives nothing."""
    try:
        return deviation(play(rule, steps), plain_cfg(steps, GAMMA))
    except Exception:  # noqa: BLE001  a knob that switches a rule off may be no number for its formula
        return math.inf


def neutral_of(chain: Chain) -> Chain | None:
    """The chain with neutral knobs that act all the same, so that they are really tried; None where there are none."""
    rules = [neutral_knobs(rule) for rule in chain.rules]
    return None if None in rules else Chain(tuple(acting(rule) for rule in rules))


def neutral_knobs(rule: Any) -> Any:
    """The rule with the first combination of plain values for its knobs that it calls neutral, None if none is."""
    trial = [rule]
    for name in getattr(rule, "__dataclass_fields__", {}):
        trial += [
            made
            for one in trial
            for value in plain_values(getattr(rule, name))
            if (made := with_knob(one, name, value))
        ]
    return next((one for one in trial if one.neutral), None)


def plain_values(value: Any) -> tuple:
    """Candidates for a neutral knob: off, one, and without limit."""
    return (0.0, 1.0, math.inf, -math.inf) if type(value) is float else (0, 1) if type(value) is int else ()


def with_knob(rule: Any, name: str, value: Any) -> Any:
    """The rule with another knob, None where it refuses the value."""
    try:
        return replace(rule, **{name: value})
    except ValueError:
        return None


def acting(rule: Any) -> Any:
    """The rule as one that says it is not neutral: a chain leaves out what says it is.  inf becomes a large number."""
    made = object.__new__(type(type(rule).__name__, (type(rule),), {"neutral": False}))
    vars(made).update({name: math.copysign(LARGE, v) if v in UNLIMITED else v for name, v in vars(rule).items()})
    return made


def at_scale(gamma: float, which: str) -> Callable[[Any], float | None]:
    """Measures the result at one gamma against one of the predictions; only at the start, where u may be remembered."""

    def measure(rule: Any) -> float | None:
        if reshapes_gamma(rule) or (gamma == 1 and acts_at_one(rule)):
            return None
        steps = steps_of(rule)
        pairs = list(zip(play(rule, steps, gamma), steps, strict=True))
        pairs = pairs[:1] if gamma != 1 and remembers(rule) else pairs
        return deviation([guided for guided, _ in pairs], [getattr(p, which) for _, p in pairs])

    return measure


def acts_at_one(rule: Any) -> bool:
    """Whether a rule of this pack wants more than c at gamma = 1, as guidance with a perturbed pass does."""
    if not isinstance(rule, Chain):
        return False
    state = rule.init(Run((*LEVELS, 0.0)))
    return any(rule.needs(state, level, 1.0) != {"cond"} for level in LEVELS)


def remembers(rule: Any) -> bool:
    """Whether a rule of this pack may put a remembered difference in the place of the one that is there."""
    return isinstance(rule, Chain) and any(isinstance(one, BeforeAlways) for one in rule.rules)


def equal_predictions(rule: Any) -> float:
    """All predictions are c: nothing to guide along, and nothing to divide by."""
    steps = steps_of(rule, equal=True)
    results = play(rule, steps)
    alone = any(getattr(one, "acts_alone", False) for one in (rule.rules if isinstance(rule, Chain) else (rule,)))
    return deviation(results, results if alone else [p.cond for p in steps])


def batch_is_singles(rule: Any) -> float:
    """Each item of a batch against a run of its own."""
    steps = steps_of(rule)
    alone = [[map_tensors(p, *[lambda v, i=i: v[i : i + 1]] * 2) for p in steps] for i in range(BATCH)]
    singles = [torch.cat(items) for items in zip(*(play(rule, one) for one in alone), strict=True)]
    return deviation(play(rule, steps), singles)


def every_rank(rule: Any) -> float:
    """Play equal numbers as sound, picture and video; a rule that is blind to places must give equal results."""
    by_rank = {rank: play(rule, steps_of(rule, rank=rank)) for rank in SIDES}
    if any(not torch.isfinite(v).all() for results in by_rank.values() for v in results):
        return math.inf
    if not blind(rule, by_rank[4]):
        return 0.0
    rows = {rank: [v.reshape(BATCH, CHANNELS, PLACES) for v in results] for rank, results in by_rank.items()}
    return max(deviation(rows[3], rows[4]), deviation(rows[5], rows[4]))


def blind(rule: Any, results: list[Tensor]) -> bool:
    """Whether places may be shuffled before or after the rule alike."""
    order = torch.randperm(PLACES, generator=torch.Generator().manual_seed(1))

    def shuffle(v: Tensor) -> Tensor:
        return v.reshape(*v.shape[:2], -1)[:, :, order].reshape(v.shape)

    steps = [map_tensors(p, shuffle) for p in steps_of(rule)]
    return deviation(play(rule, steps), [shuffle(v) for v in results]) <= TOLERANCE


def every_space(rule: Any) -> float:
    """One denoiser as VE, VP and flow model: the same predictions of the same noisy sample, in other coordinates."""
    spaces = getattr(rule, "spaces", ("ve", "flow") if reshapes_gamma(rule) else SPACES)
    by_space = [play(rule, steps_of(rule, space)) for space in spaces]
    return max(deviation(other, by_space[0]) for other in by_space[1:])


def second_run(rule: Any) -> float:
    """A second run of the same object against the first."""
    first = play(rule, steps_of(rule))
    play(rule, steps_of(rule, seed=1))
    return deviation(play(rule, steps_of(rule)), first)


def split_schedule(rule: Any) -> float:
    """Two runs over the halves of the schedule against one over the whole."""
    steps = steps_of(rule)
    levels, half = (*(float(p.sigma[0]) for p in steps), 0.0), len(steps) // 2
    parts = play(rule, steps[:half], levels=levels) + play(rule, steps[half:], levels=levels)
    return deviation(parts, play(rule, steps))


def half_precision(rule: Any) -> float | None:
    """fp16 and bf16, with sums of squares beyond the range of fp16: finite, and of the dtype that came in."""
    if not getattr(rule, "half", True):
        return None
    for dtype in (torch.float16, torch.bfloat16):
        steps = [map_tensors(p, lambda v, dtype=dtype: (30 * v).to(dtype)) for p in steps_of(rule)]
        for guided in play(rule, steps):
            if guided.dtype != dtype or not torch.isfinite(guided).all():
                return math.inf
    return 0.0


def outside(names: tuple[str, ...], origin: str | None) -> Callable[[Any], float]:
    """Measures the part of the result outside the span of some vectors, over the guided move |D - u|."""

    def measure(rule: Any) -> float:
        steps = steps_of(rule)
        return max(_residual(guided, p, names, origin) for guided, p in zip(play(rule, steps), steps, strict=True))

    return measure


def _residual(guided: Tensor, p: Predictions, names: tuple[str, ...], origin: str | None) -> float:
    assert p.uncond is not None
    start = wide(flat(getattr(p, origin))) if origin else 0
    rows = torch.stack([wide(flat(getattr(p, name))) - start for name in names], dim=-1)  # [B, N, names]
    target = (wide(flat(guided)) - start)[..., None]
    rest = target - rows @ torch.linalg.lstsq(rows, target).solution
    return float((rest.norm(dim=1) / (wide(flat(guided)) - wide(flat(p.uncond))).norm(dim=1)[:, None]).max())


def inputs_kept(rule: Any) -> float:
    """The tensors that came in, afterwards."""
    steps = steps_of(rule)
    before = [map_tensors(p, Tensor.clone, Tensor.clone) for p in steps]
    play(rule, steps)
    return max(deviation(_tensors(p), _tensors(q)) for p, q in zip(steps, before, strict=True))


def stages_leave_no_state(rule: Any) -> float:
    """A run whose steps are evaluated once more at the next level, as by heun, against the run without that."""
    steps, results = steps_of(rule), []
    state = rule.init(run_of(steps))
    for p, then in zip(steps, [*steps[1:], steps[-1]], strict=True):
        before = state
        if isinstance(rule, Chain):
            guided, state = rule.step(before, *query_chain(rule, before, p, GAMMA))
            rule.stage(before, state, *query_chain(rule, before, then, GAMMA))
        else:
            guided, state = rule.step(before, p, GAMMA)
            rule.step(before, then, GAMMA)
        results.append(guided)
    return deviation(results, play(rule, steps))


def with_further(steps: list[Predictions], *names: str) -> tuple[list[Predictions], list[Tensor]]:
    """The steps with one more prediction under these names, and that prediction at each step."""
    generator = torch.Generator().manual_seed(2)
    made = [p.cond + 0.3 * torch.randn(p.cond.shape, generator=generator) for p in steps]
    paired = zip(steps, made, strict=True)
    return [replace(p, extra={**p.extra, **dict.fromkeys(names, v)}) for p, v in paired], made


def perturbed_arrives(rule: Any) -> float | None:
    """A chain with two perturbed passes against D + 3 (c - w): D without them, w the pass."""
    if not isinstance(rule, Chain):
        return None
    last = len(rule.rules)
    longer = rule.then(Perturbed(Source("cond"), 1.0)).then(Perturbed(Source("cond"), 2.0))
    steps, made = with_further(steps_of(rule), f"{last} perturbed", f"{last + 1} perturbed")
    plain = zip(play(rule, steps), steps, made, strict=True)
    return deviation(play(longer, steps), [guided + 3 * (p.cond - w) for guided, p, w in plain])


def reshapes_what_pulls(rule: Any) -> float | None:
    """A chain with a negative condition against the chain between u* and c, where plain CFG gives what that makes."""
    if not isinstance(rule, Chain) or any(isinstance(one, Combination | Replace) for one in rule.rules):
        return None
    longer = rule.then(Negative(("a condition",), (-0.5,)))
    steps, made = with_further(steps_of(rule), f"{len(rule.rules)} condition 2")
    state = rule.init(run_of(steps))
    virtual = []
    for p, other in zip(steps, made, strict=True):
        assert p.uncond is not None
        gamma = rule.scale(state, float(p.sigma[0]), GAMMA)
        pull = p.cond - p.uncond - 0.5 * (other - p.uncond)
        whole = p.uncond + gamma * pull - p.cond
        virtual.append(p if gamma == 1 else replace(p, uncond=p.cond - whole / (gamma - 1)))
    return deviation(play(longer, steps), play(rule, virtual))


def _tensors(p: Predictions) -> list[Tensor]:
    return [v for v in (p.x, p.sigma, p.alpha, p.uncond, p.cond, *p.extra.values()) if v is not None]


INVARIANTS = (
    Invariant("neutral is CFG", "neutral knobs give plain CFG", neutral_is_cfg),
    Invariant("gamma 1 is c", "at gamma = 1 the result is the conditional prediction", at_scale(1.0, "cond")),
    Invariant("gamma 0 is u", "at gamma = 0 it is the unconditional one", at_scale(0.0, "uncond"), "gamma 0 is u"),
    Invariant(
        "c = u gives c",
        "equal predictions give that prediction (a finite one, if it acts without a difference)",
        equal_predictions,
    ),
    Invariant("batch is singles", "an item gives the same in a batch as alone", batch_is_singles, "per item"),
    Invariant("rank 3, 4, 5", "sound, picture and video; same numbers if position does not matter", every_rank),
    Invariant(
        "same in every space", "VE, VP and flow models of one denoiser agree", every_space, "same in every space"
    ),
    Invariant("second run is first", "no state survives a run", second_run, None, EXACT),
    Invariant("split is whole", "two halves of a schedule equal the whole", split_schedule, "no memory"),
    Invariant("half precision", "fp16 and bf16 in, the same dtype out, finite", half_precision, None, EXACT),
    Invariant("in plane", "in the affine plane of x, u and c", outside(("x", "cond"), "uncond"), "in plane"),
    Invariant("in span", "in the span of x, u and c", outside(("x", "uncond", "cond"), None), "in span"),
    Invariant("inputs kept", "inputs are not modified", inputs_kept, None, EXACT),
    Invariant(
        "stages leave no state", "a second stage of a step changes no later step", stages_leave_no_state, None, EXACT
    ),
    Invariant("perturbed arrives", "perturbed passes add up to D + w (c - c_perturbed)", perturbed_arrives),
    Invariant("reshapes what pulls", "with a negative, the combined difference is reshaped", reshapes_what_pulls),
)


def examine(rule: Any) -> dict[str, Verdict]:
    """All invariants of a rule: {name: verdict}."""
    with torch.inference_mode():
        return {one.name: one.judge(rule) for one in INVARIANTS}


def list_failures(verdicts: Mapping[str, Verdict]) -> list[str]:
    """Names of the claimed invariants that do not hold."""
    return [name for name, verdict in verdicts.items() if verdict.word == "FAIL"]
