"""Write docs/samplers.md: what every sampler of the host costs, which noise it adds, and what a trace tells apart.

`python lab samplers` writes it. The second table holds the adaptive solvers of a library of their own against
the host's.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...dev.inside import enter_host
from ...dev.places import ROOT
from .. import markdown
from ..command_line import parser_of

PAGE = ROOT / "docs" / "samplers.md"
STEPS, CFG, SEED, BATCH = 12, 3.0, 7, 2
ENDS = {"ve": (80.0, 0.002), "flow": (0.999, 0.002)}  # noise levels of the second table
TOLERANCES = (0.2, 0.05, 0.01, 0.003)
ABSOLUTE = 0.0078 / 0.05  # of a relative tolerance: the host's own default ratio
SOLVERS = ("dopri5", "bosh3", "adaptive_heun")
RESPONSES = "What a dry run says"  # a section that bench samplers_response measures
TEXT = markdown.passages(__file__)


@dataclass(frozen=True)
class Seen:
    """What one run of a sampler shows.  evaluations: per step. noise, split: in words. residual: M12, nan without"""

    evaluations: float
    noise: str
    split: str
    residual: float

    def cells(self) -> list[str]:
        """For the table."""
        missed = "" if math.isnan(self.residual) else f"{self.residual:.0e}"
        return [f"{self.evaluations:.2f}".rstrip("0").rstrip("."), self.noise, self.split, missed]


def world(kind: str) -> tuple[Any, Any, Any]:
    """An exact mixture as MODEL, positive, negative.  kind: ve or flow"""
    from ...nodes.lab import GGMixtureModel
    from ...nodes.start import GGClassLabel

    model = GGMixtureModel.execute(shape="3x8x8", classes=3, kind=kind, seed=0)[0]
    return model, *GGClassLabel.execute(model, "0;1").args


def run(
    model: Any, positive: Any, negative: Any, sampler: Any, seed: int = SEED, shared: int = 0
) -> tuple[Tensor, Any]:
    """Sample from one starting noise: the sample, the trace.  seed: of the sampler. shared: of the global generator"""
    import comfy.samplers

    from ...guidance.chain import PLAIN
    from ...host.guided_run import chain_guider
    from ...host.recording import Recording
    from ...host.sampling import sample_recorded

    latent = torch.zeros(BATCH, 3, 8, 8)
    noise = torch.randn(latent.shape, generator=torch.Generator().manual_seed(SEED))
    levels = comfy.samplers.calculate_sigmas(model.get_model_object("model_sampling"), "karras", STEPS)
    torch.manual_seed(shared)
    guider = chain_guider(model, positive, negative, CFG, PLAIN)
    out, _, trace = sample_recorded(guider, noise, {"samples": latent}, sampler, levels, seed, Recording("numbers"))
    return out["samples"], trace


def samplers() -> dict[str, Any]:
    """The host's samplers, then the two of this pack, by the names that users see."""
    import comfy.samplers

    from ...nodes.blog_samplers import GGSamplerDDIM, GGSamplerDDPM

    found = {name: comfy.samplers.sampler_object(name) for name in comfy.samplers.KSampler.SAMPLERS}
    found["DDPM Sampler (this pack)"] = GGSamplerDDPM.execute(1.0, 0)[0]
    found["DDIM Sampler (this pack), eta 0"] = GGSamplerDDIM.execute(0.0, 0)[0]
    return found


def observe_sampler(parts: tuple[Any, Any, Any], sampler: Any) -> Seen:
    """What a sampler does."""
    calls = []

    def counted(apply: Callable, given: dict) -> Tensor:
        calls.append(1)
        return apply(given["input"], given["timestep"], **given["c"])

    model = parts[0].clone()
    model.set_model_unet_function_wrapper(counted)
    first, trace = run(model, *parts[1:], sampler)
    evaluations = len(calls) / STEPS
    seeded, shared = run(*parts, sampler, seed=SEED + 1)[0], run(*parts, sampler, shared=1)[0]
    sentence = trace.header["split"]
    told = "not told apart" if "not observable" in sentence else "told apart"
    residual = trace.column("M12")
    worst = float(residual[~residual.isnan()].max()) if not residual.isnan().all() else math.nan
    return Seen(evaluations, noise_of(sampler, parts[0], first, seeded, shared), told, worst)


def noise_of(sampler: Any, model: Any, first: Tensor, seeded: Tensor, shared: Tensor) -> str:
    """Where a sampler's noise comes from.  seeded, shared: runs with another seed, or another state of torch's own"""
    from comfy.k_diffusion.sampling import BrownianTreeNoiseSampler

    from ...host.dry_run import own_noise

    if not torch.equal(first, shared):
        return "torch's own generator, which no seed fixes"
    if torch.equal(first, seeded):
        return "none"
    levels = torch.tensor([0.9, 0.5, 0.0])  # of both spaces
    drawn = own_noise(sampler.sampler_function, first, levels, SEED, model.get_model_object("model_sampling"))
    return "a Brownian path of the seed" if isinstance(drawn, BrownianTreeNoiseSampler) else "independent, of the seed"


def guided_world(kind: str) -> tuple[Callable[[Tensor, float], Tensor], Tensor, list]:
    """D(x, sigma) at CFG of an exact mixture, a starting x, and a list that grows by one with each call."""
    from ...guidance.mixture import ANY, make_mixture

    mixture, calls, labels = make_mixture((3, 8, 8), 3, seed=0), [], torch.arange(8) % 3

    def denoised(x: Tensor, sigma: float) -> Tensor:
        calls.append(1)
        levels = torch.full((len(x),), float(sigma), dtype=x.dtype)
        alpha = 1 - levels if kind == "flow" else 1.0
        uncond = mixture.denoised(x, levels, alpha, torch.full_like(labels, ANY))
        return uncond + CFG * (mixture.denoised(x, levels, alpha, labels) - uncond)

    return denoised, torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * ENDS[kind][0], calls


def solver_rows(kind: str) -> list[list[str]]:
    """Rows of the second table: solver, then evaluations and error at each tolerance."""
    from comfy.k_diffusion.sampling import sample_dpm_adaptive
    from torchdiffeq import odeint

    denoised, start, calls = guided_world(kind)
    high, low = ENDS[kind]

    def slope(log_sigma: Tensor, x: Tensor) -> Tensor:
        return x - denoised(x, math.exp(float(log_sigma)))

    def library(method: str, x: Tensor, relative: float, absolute: float) -> Tensor:
        ends = torch.tensor([math.log(high), math.log(low)], dtype=x.dtype)
        states: Any = odeint(slope, x, ends, method=method, rtol=relative, atol=absolute)
        return states[-1]

    def own(tolerance: float) -> Tensor:
        model = lambda x, levels, **_: denoised(x, float(levels[0]))  # noqa: E731  the form of the host
        kept = {"rtol": tolerance, "atol": tolerance * ABSOLUTE, "disable": True}
        end: Any = sample_dpm_adaptive(model, start, low, high, **kept)
        return end

    exact = library("dopri5", start.double(), 1e-8, 1e-10)
    ways: dict[str, Callable[[float], Tensor]] = {"dpm_adaptive (host)": own}
    for method in SOLVERS:
        ways[method] = lambda at, method=method: library(method, start, at, at * ABSOLUTE)
    return [[kind, name, *(measure_error(way, at, exact, calls) for at in TOLERANCES)] for name, way in ways.items()]


def measure_error(way: Callable[[float], Tensor], tolerance: float, exact: Tensor, calls: list) -> str:
    """Evaluations, and the error of what they gave."""
    calls.clear()
    found = way(tolerance)
    return f"{len(calls)}: {float((found - exact).square().mean().sqrt()):.1e}"


def page() -> str:
    """The whole page."""
    import comfyui_version
    import torchdiffeq

    rows = []
    worlds = {kind: world(kind) for kind in ENDS}
    for name, sampler in samplers().items():
        cells = {kind: observe_sampler(parts, sampler).cells() for kind, parts in worlds.items()}
        rows.append([name, *("; flow: ".join(dict.fromkeys(both)) for both in zip(*cells.values(), strict=True))])
    opening = TEXT["OPENING"].format(version=comfyui_version.__version__, steps=STEPS, cfg=CFG)
    head = "solver | " + " | ".join(f"tolerance {at:g}" for at in TOLERANCES)
    return markdown.page(
        opening,
        markdown.table("sampler | evaluations | noise | move and noise | response", rows),
        TEXT["SOLVED"].format(version=torchdiffeq.__version__),
        markdown.table(f"coordinates | {head}", [row for kind in ENDS for row in solver_rows(kind)]),
        markdown.section_in(PAGE, RESPONSES),
    )


def main() -> int:
    """Write the page."""
    parser = parser_of(__doc__)
    enter_host(parser.parse_args().host)
    torch.set_num_threads(1)
    with torch.inference_mode():
        markdown.write(PAGE, page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
