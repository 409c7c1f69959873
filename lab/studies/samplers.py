"""What every sampler of the host costs, which noise it adds, and what a trace tells apart: docs/samplers.md.

12 steps of an exact mixture at cfg 3, in variance-exploding and in flow coordinates. `python lab samplers` prints the
table in two minutes of one core.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...dev.inside import enter_host
from ..command_line import parser_of
from ..markdown import table

STEPS, CFG, SEED, BATCH = 12, 3.0, 7, 2


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
    from ...host.recording.sampler_nodes import sample_recorded
    from ...host.recording.watch import Recording
    from ...host.sampling.guided_run import chain_guider

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

    from ...host.sampling.dry_run import own_noise

    if not torch.equal(first, shared):
        return "torch's own generator, which no seed fixes"
    if torch.equal(first, seeded):
        return "none"
    levels = torch.tensor([0.9, 0.5, 0.0])  # of both spaces
    drawn = own_noise(sampler.sampler_function, first, levels, SEED, model.get_model_object("model_sampling"))
    return "a Brownian path of the seed" if isinstance(drawn, BrownianTreeNoiseSampler) else "independent, of the seed"


def main() -> None:
    """Print the table: each sampler in both coordinates."""
    parser = parser_of(__doc__)
    parser.add_argument("--names", nargs="*", help="of samplers; default: all")
    given = parser.parse_args()
    enter_host(given.host)
    torch.set_num_threads(1)
    rows = []
    with torch.inference_mode():
        worlds = [world(kind) for kind in ("ve", "flow")]
        for name, sampler in samplers().items():
            if name in (given.names or samplers()):
                both = (observe_sampler(parts, sampler).cells() for parts in worlds)
                rows.append([name, *("; flow: ".join(dict.fromkeys(pair)) for pair in zip(*both, strict=True))])
    print(table("sampler | evaluations | noise | move and noise | response", rows))


if __name__ == "__main__":
    main()
