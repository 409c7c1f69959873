"""How often a finished sample betrays that something is wrong, and how often it accuses a good run.

`python lab broken_runs` prints it for both demo models, and `--write` keeps it in docs/agents/SKILL.md. The signs are
four numbers of a report's JSON, and all limits were chosen before anything was measured. Good are runs at the middle
of the card's range. Broken are the same runs of a model that is read wrongly, whose weights are noisy or missing, that
stop early, or at another cfg or size. What the judge sees says whether the pictures are any worse for it.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from ...denoisers.reading import read_denoiser
from ...denoisers.spec import choose_spec
from ...files.included import included_weights
from ...guidance.predictions import PARAMETRISATIONS
from ...library.denoisers import NetworkDenoiser, load_denoiser
from ...library.recording import record
from ...library.sampling import karras
from ...trace.trace import END, Trace
from ...verdict.card import Card
from ...verdict.features import features_of, texture_of
from ...verdict.findings import clipped_share
from ...verdict.known import included_card
from ..markdown import put_section, table
from ..train.demo_evaluation import to_pixels
from ..train.demo_files import read_judge
from .blind_agent import CLASS, MODELS, SKILL, STEPS
from .worlds import SIDE, pocket_world

SHORT, LONG = 0.5, 2.0  # end, in units of sigma_d
FLAT = 0.25  # contrast, in units of sigma_d
GRAINY = 0.8  # grain
NOISE = 0.5  # of noisy weights, in units of their own standard deviation
HEADING = "The finished sample"
CLIPPED = 0.05  # share of the values of the last guided prediction
NUMBERS: tuple[str, ...] = ("end", "contrast", "grain", "clipped")  # of a sample, the first two in units of sigma_d
SIGNS: dict[str, tuple[str, Callable[[float], bool]]] = {  # a number that is not finite shows every one
    "too long or short": ("end", lambda end: not SHORT <= end <= LONG),
    "flat": ("contrast", lambda contrast: not contrast >= FLAT),
    "grainy": ("grain", lambda grain: not grain <= GRAINY),
    "burnt": ("clipped", lambda clipped: not clipped <= CLIPPED),
}


@dataclass(frozen=True)
class Case:
    """Runs of a demo model of which something may be wrong.

    shrunk: how large its predictions are. stretch: cfg over the middle of the range. steps: of the schedule; made: the
    share of them that is made. zoom: the side of a sample over the model's own.
    """

    wrong: str
    denoiser: NetworkDenoiser
    shrunk: float = 1.0
    stretch: float = 1.0
    steps: int = STEPS
    made: float = 1.0
    zoom: float = 1.0

    def __call__(self, x: Tensor, sigma: float, label: Any) -> Tensor:  # [B, ...] -> [B, ...]
        """x0-hat."""
        return self.shrunk * self.denoiser(x, sigma, label)

    @property
    def levels(self) -> list[float]:
        """Of the run."""
        flow = self.denoiser.spec.schedule == "flow"
        every = [1 - i / self.steps for i in range(self.steps + 1)] if flow else karras(self.steps, highest=80.0)
        return every[: math.ceil(self.made * self.steps) + 1]

    def sample(self, cfg: float, labels: list[int]) -> Trace:
        """Their trace."""
        shape = [size if side == 0 else round(self.zoom * size) for side, size in enumerate(self.denoiser.shape)]
        start = self.levels[0] * torch.randn(len(labels), *shape, generator=torch.Generator().manual_seed(1))
        return record(self, self.levels, cond=labels, gamma=self.stretch * cfg, **self.denoiser.facts).sample(start)


def cases_of(name: str) -> Iterator[Case]:
    """First nothing is wrong, then more and more."""
    good = Case("nothing", load_denoiser(name))
    yield good
    for kind in (one for one in PARAMETRISATIONS if one != good.denoiser.spec.parametrisation):
        yield Case(f"read as {kind}", read_as(name, kind))
    yield Case("noise in the weights", noisy(load_denoiser(name)))
    yield Case("the last layer is empty", without_last_layer(load_denoiser(name)))
    yield replace(good, wrong="predictions a tenth as large", shrunk=0.1)
    yield replace(good, wrong="stopped after half of the steps", made=0.5)
    yield from (
        replace(good, wrong=words, steps=k) for k, words in enumerate(("one step", "two steps", "three steps"), 1)
    )
    yield from (replace(good, wrong=f"cfg {times} times as high", stretch=times) for times in (3, 10))
    yield from (replace(good, wrong=f"{words} the size", zoom=zoom) for words, zoom in (("half", 0.5), ("twice", 2.0)))


def read_as(name: str, parametrisation: str) -> NetworkDenoiser:
    """The model as if its network predicted something else."""
    path = included_weights("denoisers", name)
    if path is None:
        raise FileNotFoundError(f"{name} is no included model.")
    spec = choose_spec(read_denoiser(path).spec, parametrisation)
    return NetworkDenoiser(spec, load_denoiser(name).network)


@torch.no_grad()
def noisy(denoiser: NetworkDenoiser) -> NetworkDenoiser:
    """The same with noise on every weight."""
    draws = torch.Generator().manual_seed(0)
    network: nn.Module = denoiser.network
    for weight in network.parameters():
        weight += NOISE * weight.std(correction=0) * torch.randn(weight.shape, generator=draws)
    return denoiser


@torch.no_grad()
def without_last_layer(denoiser: NetworkDenoiser) -> NetworkDenoiser:
    """The same as if a file lacked the weights of its last layer."""
    *_, last = (one for one in denoiser.network.modules() if isinstance(one, nn.Conv2d | nn.Linear))
    for weight in last.parameters():
        weight.zero_()
    return denoiser


@torch.no_grad()
def share_named(name: str, ends: Tensor, labels: list[int]) -> float:  # [B, ...] -> 0 .. 1
    """The share of samples in which the judge sees what was asked for, at the size that it knows."""
    path = included_weights("denoisers", name)
    assert path is not None
    pictures = pocket_world(name, path).pictures(ends.float().nan_to_num())
    pictures = interpolate(pictures, (SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)
    seen = torch.from_numpy(to_pixels(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1
    judge = read_judge()
    named = judge.out(judge.features(seen)).argmax(1)
    return float((named == torch.tensor(labels)).double().mean())


def numbers_of(run: Trace, k: int, sigma_data: float) -> tuple[float, ...]:
    """NUMBERS of one sample of a batch."""
    alone = run.of_samples(slice(k, k + 1))
    contrast, grain = texture_of(run.tensors[END][k : k + 1])
    share = clipped_share(alone)
    end = features_of(alone).end
    return end / sigma_data, contrast / sigma_data, grain, math.nan if share is None else share


def rows_of(name: str, count: int) -> Iterator[tuple[str, ...]]:
    """A row for everything that can be wrong with a model."""
    card = included_card(load_denoiser(name).facts["model"])
    if card is None:
        raise LookupError(f"{name} has no card.")
    for case in cases_of(name):
        yield name, case.wrong, *row_of(name, case, card, count)


def row_of(name: str, case: Case, card: Card, count: int) -> Iterator[str]:
    """The medians of what is measured, how many samples show each sign, and what the judge sees."""
    labels, data = [k % len(case.denoiser.labels) for k in range(count)], card.sigma_data
    run = case.sample(card.bands[CLASS].centre, labels)
    measured = dict(zip(NUMBERS, zip(*(numbers_of(run, k, data) for k in range(count)), strict=True), strict=True))
    for values in measured.values():
        yield f"{torch.tensor(values).nan_to_num(nan=torch.inf).median():.2g}"
    for number, shows in SIGNS.values():
        yield f"{sum(map(shows, measured[number]))} of {count}"
    yield f"{share_named(name, run.tensors['end'], labels):.0%}"


def main() -> None:
    """Measure, print, and keep it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=30, help="samples of each kind")
    parser.add_argument("--write", action="store_true", help=f"keep it in {SKILL.name}")
    options = parser.parse_args()
    rows = [row for name in MODELS for row in rows_of(name, options.count)]
    words = (
        "Three numbers are in `features`. Divide `end` and `contrast` by the `facts.value` of `record.size`, the size "
        f"of clean data; `grain` is taken as it is. `end` outside {SHORT:g} to {LONG:g} is too long or too short. "
        f"`contrast` below {FLAT:g} is flat: grey, black, or one colour. Then something is probably wrong: say so, and "
        "ask whether the model was loaded as what it is. A cfg that is far too high makes samples longer, too, so mend "
        "that first. `grain` is near 1 in noise, but good samples of few places or fine detail come near it, too: it "
        "accuses nobody by itself. Compare it with a good run of the same model. *Clipped* is `clipped.share` or "
        f"`clipped.beyond`; above {CLIPPED:.0%} the picture is probably burnt.\n\n"
        f"`python lab broken_runs`: {options.count} single samples of each kind, {STEPS} steps, at the middle of the "
        "card's range. The numbers are medians. *Named*: in how many of them a classifier sees what was asked for; "
        f"where it is high, little is wrong. *Grainy* is a grain above {GRAINY:g}. Samples of pocket-flow-1 are 8 x 8, "
        "and the first of its rows says how many good ones are grainy. Other models were not measured."
    )
    head = " | ".join(("model", "what is wrong", *NUMBERS, *SIGNS, "named"))
    words += "\n\n" + table(head, rows)
    print(words)
    if options.write:
        put_section(SKILL, HEADING, words)


if __name__ == "__main__":
    main()
