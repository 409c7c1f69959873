"""The scale of a run: what cfg was in force, at which plain scale the run stands, and what else took part."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..trace.effective import EffectiveScale, alike, cfg_of, is_masked, rounding
from ..trace.gram import point
from ..trace.metrics import FLOOR_FACTOR
from ..trace.recorder import RECUR
from ..trace.terms import columns_of_pass, passes_of
from ..trace.trace import FROM_ZERO, SCALES, SKIP, Trace
from .sentences import Sentence, say

ROUNDED = 1e-6  # of a share, in which two are alike
NEGLIGIBLE = 1e-3  # share of D below which D - G is rounding
GUIDED = ("step", "reuse")  # stages with both predictions, or one in the place of u
PLAIN = "CFG"  # of a chain: no rule


@dataclass(frozen=True)
class Scale:
    """What guided a run.

    low, high: least and largest gamma of its steps, nan where one is unknown. change: largest |D - G| / |D| over the
    steps that know it, 0 where that is rounding, nan where none knows it; at: that step. further: names of what else
    took part: further passes, patches in the network, further conditions, classifiers. rules: the chain as text, empty
    where there is none. cfg: of the widget, nan where nobody tells. effective: the plain scale at which the run stands.
    other: who else may have changed guidance, empty where nobody tells. has_mask: whether a noise mask was set.
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
        """Whether every step had the same."""
        return self.low == self.high

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


def scale_of(trace: Trace) -> Scale:
    """What guided a run, from its steps and its header."""
    gamma = trace.steps["gamma"][own_steps(trace) & ~_steps_without_scale(trace)]
    moved, at = _largest_departure(trace)
    header = trace.header
    gradients = [term.label for term in trace.terms if term.guides]
    passes = [name for name in header.get("passes") or {} if not _weighs_nothing(trace, name)]
    passes += header.get("inside") or {}
    further = (*passes, *(header.get("beside") or ()), *gradients)
    rules = _rules_of(trace)
    several = several_of(trace)
    is_constant = len(gamma) > 0 and bool(gamma.isfinite().all()) and not several["cfg"]
    low, high = (float(gamma.min()), float(gamma.max())) if is_constant else (math.nan, math.nan)
    effective = EffectiveScale() if any(several.values()) else EffectiveScale.of(trace)
    return Scale(low, high, moved, at, further, rules, cfg_of(trace), effective, _other(trace), is_masked(trace))


def _other(trace: Trace) -> str:
    """Who else may have changed guidance: a guider that has no cfg, what names itself, a function given in Python."""
    header, chain = trace.header, str(trace.header.get("chain") or "")
    own = chain if math.isnan(cfg_of(trace)) or "comfyui" not in (header.get("host") or {}) else ""
    return header.get("guider") or ", ".join(header.get("patches") or ()) or ("" if own.upper() == PLAIN else own)


def apart_of(trace: Trace) -> list[str]:
    """What took part and is counted by itself, not as guidance: further passes of known weight, and gradients."""
    passes = [name for name in passes_of(trace.steps) if bool(trace.steps[columns_of_pass(name)[1]].nan_to_num().any())]
    return [*passes, *(term.label for term in trace.terms if term.guides)]


def _weighs_nothing(trace: Trace, name: str) -> bool:
    """Whether a further pass is proved to have had no part in D at any step that made it."""
    cost, scale, _ = (trace.steps.get(column) for column in columns_of_pass(name))
    return cost is not None and scale is not None and bool((scale[cost > 0] == 0).all())


def _rules_of(trace: Trace) -> str:
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


def own_steps(trace: Trace) -> Tensor:  # -> [n] bool
    """Steps with a prediction of their own: none back to a noisier level."""
    return torch.tensor([stage != RECUR for stage in trace.stage], dtype=torch.bool)


def without_cached(trace: Trace) -> Trace:
    """The same without the numbers of steps that a cache answered: nothing was predicted there."""
    cached = torch.tensor([stage == SKIP for stage in trace.stage], dtype=torch.bool)
    if not cached.any():
        return trace
    steps = {name: trace.steps[name].clone() for name in ("K", "gamma", *SCALES) if name in trace.steps}
    for column in steps.values():
        column[cached] = math.nan
    return replace(trace, steps={**trace.steps, **steps})


def zero_steps(trace: Trace) -> dict[str, Tensor]:  # [n] bool each
    """Steps at which the host took zero for the prediction of an empty negative or positive, and that had a say."""
    zero, gamma = torch.tensor([stage == FROM_ZERO for stage in trace.stage], dtype=torch.bool), trace.steps["gamma"]
    lengths = {v: trace.record.square(point(v)).sum(dim=1) for v in ("u", "c")}
    return {
        "negative": zero & (lengths["u"] == 0) & (gamma != 1),
        "positive": zero & ~(lengths["c"] > 0) & (gamma != 0),
    }


def is_off(trace: Trace, scale: Scale) -> bool:
    """Whether guidance was off: every step has scale 1."""
    return scale.low == scale.high == 1


def predictions_agree(trace: Trace) -> bool:
    """Whether u and c are the same to rounding at every step that has both, of which there is one."""
    finite = trace.record.dot("delta", "delta").isfinite().all(dim=1)
    return bool(finite.any()) and bool(_agreeing(trace)[finite].all())


def _steps_without_scale(trace: Trace) -> Tensor:  # -> [n] bool
    """Steps whose u and c agree to rounding, so that no scale can be seen, unless a rule was handed one."""
    unseen = trace.column("M19").isnan().all(dim=1)
    cached = torch.tensor([stage == SKIP for stage in trace.stage], dtype=torch.bool)
    if _rules_of(trace) or bool(unseen.all()):
        return cached | (trace.steps["gamma"].isnan() & _agreeing(trace))
    return cached | unseen & torch.tensor([stage in GUIDED for stage in trace.stage], dtype=torch.bool)


def _agreeing(trace: Trace) -> Tensor:  # -> [n] bool
    """Steps whose u and c are the same to rounding in every sample."""
    size = (trace.record.dot("delta", "delta") / trace.count).sqrt()
    return (size <= FLOOR_FACTOR * trace.steps["floor"][:, None]).all(dim=1)


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
