"""As few unconditional passes as a promise allows: how far the picture may be from that of plain guidance.

Whether every item can do without the pass decides what is evaluated, so a step reads that, and waits for the device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..knobs import knob
from ..predictions import Predictions
from ..run import Run
from ..vectors import constants, norm, per_item, promote, widen
from .interval import PAPER as INTERVAL
from .kinds import BeforeAlways, with_difference
from .reuse import PAPER as ADAPTIVE

FIRST_RATE = 1.0  # how fast e turns, before two differences are known
SHORTEST = 1e-12  # length of a prediction of nothing, so that quotients stay finite
LEAST_RATE = 0.3  # two that happen to agree promise less than that
OPPOSED = 2**0.5  # length of the error of an e that has nothing to do with the true one any more
DIRECTIONS = 9.0  # in which samples of a model differ most, as many as hold most of their variance
MOST_DEBT = 6.0  # differences that one step pays back
SETTLED, OPEN = 0.42, 0.34  # share of an error that reaches the picture: once it was paid back, and of an open gap
EARLY = 0.25  # share of a settled error that stays however early it was made
STRENGTHENED = 1.2  # a larger scale also drives apart what a gap has moved: an error grows with (gamma - 1)^1.2
SPARE = 0.25  # of what is allowed may be skipped even where earlier gaps have used it up: it adds a 32nd


class Progress(NamedTuple):
    """What is known of each item since the latest step at which it took u; e = delta / h there.

    e: [B, ...]. ratio: n there. length: |c| there. rate: how fast e turned between the latest two. gap: push of the
    steps since, of an e that turns by 1. risk: what is left of it in the picture. exposure: how much of D followed the
    sample in these steps. settled: what earlier gaps did to the picture, as it was measured. taken: how often u was
    taken, in so many steps. gamma: of the latest step. All but e, steps and gamma are [B].
    """

    e: Tensor
    ratio: Tensor
    length: Tensor
    rate: Tensor
    gap: Tensor
    risk: Tensor
    exposure: Tensor
    settled: Tensor
    taken: Tensor
    steps: int
    gamma: float


class Memory(NamedTuple):
    """The run, and what is known of its items; None before the first difference."""

    run: Run
    progress: Progress | None = None


class Advance(NamedTuple):
    """A step of the schedule, of each item [B].

    share: of D that the next sample takes over, 1 - n'/n. size: h. turned: clock since u was taken. left: survival.
    follows: how far D follows a change of the sample.
    """

    share: Tensor
    size: Tensor
    turned: Tensor
    left: Tensor
    follows: Tensor


def size_at(n: Tensor, length: Tensor) -> Tensor:
    """How a difference grows with noise: h = n r / sqrt(n^2 + r^2).  length: r = |c|"""
    return 1 / (n.pow(-2) + length.pow(-2)).sqrt()


def survival(n: Tensor, length: Tensor) -> Tensor:
    """What is left in the picture of a move that led to n: T = r / sqrt(n^2 + r^2).  length: r = |c|"""
    return 1 / (1 + (n / length).square()).sqrt()


def clock(n: Tensor, length: Tensor) -> Tensor:
    """Time in which differences turn about evenly: asinh(r / n), 0 at noise alone, -ln n later.  length: r = |c|"""
    return (length / n).asinh()


@dataclass(frozen=True)
class Economy(BeforeAlways):
    """Evaluate u only where the prediction of it would break a promise about the picture.

        h = n r / sqrt(n^2 + r^2)    T = r / sqrt(n^2 + r^2)    t = asinh(r / n)    n = sigma / alpha    r = |c|
        skipped      delta' = h e_j                              e = delta / h, j the latest step with u
        its error    h |e_j| rate (t - t_j)                      rate = |e_j - e_k| / (sqrt(|e_j| |e_k|) (t_j - t_k))
        picture      a^2 = sum over gaps of (share |gamma - 1| sum_i (1 - n_i'/n_i) T_i' error_i)^2
        evaluate     where skipping would make a > change |c| W_i, W_i: share of all (1 - n'/n) T' h up to this step
        with u       delta' = delta + (e_i - e_j) sum_s (1 - n_s'/n_s) h_s (t_s - t_j) / ((t_i - t_j) (1 - n_i'/n_i))

    The last line pays back what the steps s of a gap got wrong, as if the error had grown evenly. The open gap counts
    with the error that its rate predicts, closed ones with the one that was measured. An item takes u in a batch where
    it would alone.
    Source: derived here, after LinearAG (u from past ones: arXiv 2312.12487), an interval (2404.07724), and error
    feedback (recalled, not checked: 1901.09847); the shares are fitted to the demo models.
    """

    node_id = "GGEconomy"
    name = "Economy (faster, with a promise)"
    search_words = ("speed up", "skip uncond", "adaptive guidance", "budget")
    description = (
        "Saves time: the model runs without the prompt only where the picture would otherwise change by more than you "
        "allow. Measures its own error as it goes and says how far the picture is from the one of plain CFG."
    )
    papers = (ADAPTIVE, INTERVAL)
    claims = frozenset({"per item"})
    change: float = knob(
        10.0,
        "How much the picture may change, in percent of it. 0: plain CFG, nothing saved. 5: hard to see. 10: small "
        "details. 20: other details.",
        limits=(0.0, 100.0, 0.5),
        off=0.0,
        main=True,
        name="allowed_change",
    )

    @property
    def text(self) -> str:
        """One phrase for the trace."""
        return f"economy {self.change:g} %"

    def init(self, run: Run) -> Memory:
        """Nothing measured yet."""
        return Memory(run)

    def needs(self, state: Memory, sigma: float, wanted: frozenset[str]) -> frozenset[str]:
        """Without u where every item can spare it."""
        if self.neutral or state.progress is None or not bool(self._spares(state.run, state.progress, sigma).all()):
            return wanted
        return wanted - {"uncond"}

    def step(self, state: Memory, p: Predictions, gamma: float) -> tuple[Predictions, Memory]:
        """Take u where an item needs it, predict the difference elsewhere."""
        if gamma == 1 or state.progress is None:
            return p, state if gamma == 1 or p.uncond is None else state._replace(progress=_begin(p, gamma))
        before = state.progress._replace(gamma=gamma, steps=state.progress.steps + 1)
        spared = self._spares(state.run, before, p.level) | (p.uncond is None)
        p, progress = _act(p, before, spared, _advance_of(state.run, before, p.level, _ratio(p)))
        return p, state._replace(progress=progress)

    def stage(self, state: Memory, following: Memory, p: Predictions, gamma: float) -> Predictions:
        """Act as the first evaluation of the step did, of each item."""
        before, after = state.progress, following.progress
        if gamma == 1 or before is None or after is None:
            return p
        spared = (after.taken == before.taken) | (p.uncond is None)
        return _act(p, before, spared, _advance_of(state.run, before, p.level, _ratio(p)))[0]

    def _spares(self, run: Run, now: Progress, sigma: float) -> Tensor:  # -> [B] bool
        """Whether the promise holds where this step goes without u, of each item."""
        n = torch.full_like(now.length, run.noise_to_signal(sigma))
        allowed = self.change / 100 * now.length * _share_behind(run, now.length, sigma)
        left = torch.maximum(allowed.square() - _settled_error(now).square(), (SPARE * allowed).square())
        return _open_error(_skip(now, _advance_of(run, now, sigma, n))).square() <= left

    def remark(self, state: Memory) -> str:
        """What was saved, and how far the pictures are from those of plain guidance."""
        if (now := state.progress) is None:
            return ""
        taken, change = now.taken.tolist(), estimated_change(state).tolist()
        each = f"{min(taken):g}" if min(taken) == max(taken) else f"{min(taken):g} to {max(taken):g}"
        return (
            f"{self.text}: {each} of {now.steps} unconditional predictions used; estimated change of the picture "
            f"{100 * sum(change) / len(change):.2g} % on average, {100 * max(change):.2g} % at most"
        )


def _act(p: Predictions, before: Progress, spared: Tensor, advance: Advance) -> tuple[Predictions, Progress]:
    """Predictions with the difference that each item acts on, and what is known of it after that.  spared: [B] bool"""
    predicted, skipped = per_item(advance.size, before.e) * before.e, _skip(before, advance)
    if p.uncond is None:
        return with_difference(p, predicted), skipped
    paid, taken = _settle(p, before, advance)
    delta = torch.where(_item_mask(spared, paid), predicted.to(paid), paid)
    return with_difference(p, delta), Progress(*(_choose(spared, *pair) for pair in zip(skipped, taken, strict=True)))


def estimated_change(state: Memory) -> Tensor:  # -> [B]
    """Estimated distance from the picture of plain guidance, relative to the picture; 0 before the first difference."""
    now = state.progress
    return torch.zeros(()) if now is None else _total_error(now) / now.length


def _total_error(now: Progress) -> Tensor:  # -> [B]
    """What all gaps move the picture by: the closed ones, and the open one if it is never closed."""
    return (_settled_error(now).square() + _open_error(now).square()).sqrt()


def _settled_error(now: Progress) -> Tensor:  # -> [B]
    return SETTLED * now.settled


def _open_error(now: Progress) -> Tensor:  # -> [B]
    return OPEN * now.risk * norm(now.e) * now.rate


def _skip(now: Progress, advance: Advance) -> Progress:
    """What is known after a step without u."""
    pushed = advance.share * advance.size
    turned = torch.minimum(advance.turned, OPPOSED / now.rate)
    risk = abs(now.gamma - 1) ** STRENGTHENED * pushed * advance.left * turned
    return now._replace(
        gap=now.gap + pushed * advance.turned,
        risk=now.risk + risk,
        exposure=now.exposure + advance.share * advance.follows,
    )


def _advance_of(run: Run, now: Progress, sigma: float, n: Tensor) -> Advance:
    """The step at a noise level.  n: noise per signal there, [B]"""
    following = torch.full_like(n, run.noise_to_signal(run.sigmas[run.step(sigma) + 1]))
    turned = clock(n, now.length) - clock(now.ratio, now.length)
    share = (1 - following / n).nan_to_num(nan=0.0).clamp(0, 1)
    left, follows = survival(following, now.length), survival(n, now.length / DIRECTIONS**0.5).square()
    return Advance(share, size_at(n, now.length), turned.clamp(min=0), left, follows)


def _share_behind(run: Run, length: Tensor, sigma: float) -> Tensor:  # [B] -> [B] in 0 .. 1
    """How much of what guidance can do to the picture is behind once this step is made."""
    ratios = constants(tuple(map(run.noise_to_signal, run.sigmas)), length.dtype, length.device)
    now, following = ratios[:-1, None], ratios[1:, None]
    share = (1 - following / now).nan_to_num(nan=0.0).clamp(0, 1)
    weight = share * survival(following, length) * size_at(now, length)
    return weight[: run.step(sigma) + 1].sum(dim=0) / weight.sum(dim=0)


def _ratio(p: Predictions) -> Tensor:  # [B] float64; inf at alpha = 0
    return widen(p.sigma) / widen(p.alpha)


def _begin(p: Predictions, gamma: float) -> Progress:
    """What is known after the first difference."""
    zero = torch.zeros_like(norm(p.cond))
    return _take_difference(
        p, Progress(p.delta, zero, zero, zero, zero, zero, zero, zero, zero, 1, gamma), zero + FIRST_RATE
    )


def _take_difference(p: Predictions, now: Progress, rate: Tensor) -> Progress:
    """What is known after a step with u."""
    n, length, delta, zero = _ratio(p), norm(p.cond).clamp(min=SHORTEST), promote(p.delta), torch.zeros_like(rate)
    e = delta / per_item(size_at(n, length), delta)
    return now._replace(e=e, ratio=n, length=length, rate=rate, gap=zero, risk=zero, exposure=zero, taken=now.taken + 1)


def _settle(p: Predictions, now: Progress, advance: Advance) -> tuple[Tensor, Progress]:
    """The difference [B, ...] that also pays back what the gap got wrong, and what is known after that."""
    delta, turned = promote(p.delta), advance.turned
    e = delta / per_item(advance.size, delta)
    turn, lengths = e - now.e, (norm(delta) / advance.size * norm(now.e)).sqrt()
    speed = torch.where(turned > 0, norm(turn) / turned, 0.0)
    rate = torch.where(lengths > 0, speed / lengths, 0.0).clamp(min=LEAST_RATE)
    debt = torch.where((turned > 0) & (advance.share > 0), now.gap / (turned * advance.share), 0.0)
    debt = torch.minimum(debt, MOST_DEBT * advance.size)
    stays = (EARLY + now.exposure).clamp(max=1)
    settled = (now.settled.square() + (now.risk * speed * stays).square()).sqrt()
    return delta + per_item(debt, turn) * turn, _take_difference(p, now._replace(settled=settled), rate)


def _item_mask(items: Tensor, like: Tensor) -> Tensor:
    return items.to(like.device).reshape(-1, *(1,) * (like.ndim - 1))


def _choose(items: Tensor, one: Any, other: Any) -> Any:
    """Values of one for the items [B] named, of the other for the rest; what is the same for all stays."""
    return torch.where(_item_mask(items, one), one, other) if isinstance(one, Tensor) else one
