"""How often the size of a finished sample betrays a broken model, and how often it accuses a good run.

`python lab broken_runs` prints it for both demo models, and `--write` keeps it in docs/agents/SKILL.md. The sign is
rms(x_end) / sigma_d, as a report's JSON tells it, below SHORT or above LONG: both were chosen before anything was
measured. Good are runs at the middle of the card's range. Broken are the same runs of a model that is read wrongly, as
another parametrisation, or whose weights are noisy.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ...denoisers.reading import read_denoiser
from ...denoisers.spec import choose_spec
from ...files.included import included_weights
from ...guidance.predictions import PARAMETRISATIONS
from ...library.denoisers import NetworkDenoiser, load_denoiser
from ...library.recording import record
from ...library.sampling import karras
from ...verdict.features import features_of
from ...verdict.known import included_card
from ..markdown import put_section, table
from .blind_agent import CLASS, MODELS, SKILL, STEPS

SHORT, LONG = 0.5, 2.0  # times sigma_d
NOISE = 0.5  # of noisy weights, in units of their own standard deviation
HEADING = "The size of the finished sample"


def broken_models(name: str) -> Iterator[tuple[str, NetworkDenoiser]]:
    """What is wrong, and the model: first nothing."""
    own = load_denoiser(name)
    yield "nothing", own
    for kind in (one for one in PARAMETRISATIONS if one != own.spec.parametrisation):
        yield f"read as {kind}", read_as(name, kind)
    yield "noise in the weights", noisy(load_denoiser(name))


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


def sizes_of(denoiser: NetworkDenoiser, cfg: float, count: int, sigma_data: float) -> Tensor:  # -> [count]
    """rms(x_end) / sigma_d of single samples whose labels cycle."""
    flow = denoiser.spec.schedule == "flow"
    levels = [1 - i / STEPS for i in range(STEPS + 1)] if flow else karras(STEPS, highest=80.0)
    labels = [k % len(denoiser.labels) for k in range(count)]
    start = levels[0] * torch.randn(count, *denoiser.shape, generator=torch.Generator().manual_seed(1))
    run = record(denoiser, levels, cond=labels, gamma=cfg, capture="numbers").sample(start)
    return torch.tensor([features_of(run.of_samples(slice(k, k + 1))).end for k in range(count)]) / sigma_data


def accused(sizes: Tensor) -> Tensor:  # [count] -> [count] bool
    """Where the sign is, or the numbers are not finite."""
    return ~((sizes >= SHORT) & (sizes <= LONG))


def rows_of(name: str, count: int) -> Iterator[tuple[str, ...]]:
    """A row for everything that can be wrong with a model."""
    card = included_card(load_denoiser(name).facts["model"])
    if card is None:
        raise LookupError(f"{name} has no card.")
    for wrong, denoiser in broken_models(name):
        sizes = sizes_of(denoiser, card.bands[CLASS].centre, count, card.sigma_data)
        low, middle, high = sizes.nan_to_num(nan=torch.inf).quantile(torch.tensor([0.0, 0.5, 1.0])).tolist()
        yield name, wrong, f"{low:.2g}", f"{middle:.2g}", f"{high:.2g}", f"{int(accused(sizes).sum())} of {count}"


def main() -> None:
    """Measure, print, and keep it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=60, help="samples of each kind")
    parser.add_argument("--write", action="store_true", help=f"keep it in {SKILL.name}")
    options = parser.parse_args()
    rows = [row for name in MODELS for row in rows_of(name, options.count)]
    words = (
        f"`features.end` divided by the `facts.value` of `record.size` is about 1 in a good run. Outside {SHORT:g} to "
        f"{LONG:g} something is probably wrong: say so, and ask whether the model was loaded as what it is. A cfg "
        "that is far too high makes samples longer, too, so mend that first. "
        f"`python lab broken_runs`: {options.count} single samples of each kind, {STEPS} steps, at the middle of the "
        "card's range. All that were outside were too long: a picture that is too short, grey or flat, was not made by "
        "any of these faults, so how often it is seen was not measured. Nor were other models."
    )
    words += "\n\n" + table("model | what is wrong | least | median | most | below or above", rows)
    print(words)
    if options.write:
        put_section(SKILL, HEADING, words)


if __name__ == "__main__":
    main()
