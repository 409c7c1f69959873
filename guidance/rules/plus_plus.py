"""CFG++ for any sampler, as a guidance scale that depends on the step."""

from __future__ import annotations

from dataclasses import dataclass

from ..knobs import Paper, knob
from ..run import Run
from .kinds import Schedule

PAPER = Paper(
    "Chung et al. 2024", "2406.08070", "CFG++: Manifold-constrained Classifier Free Guidance for Diffusion Models"
)
NOISY = ("euler_ancestral", "ddim")


@dataclass(frozen=True)
class PlusPlus(Schedule):
    """Renoise with u, denoise with D: the CFG++ step, reached by an ordinary step at another scale.

        gamma' = lambda / (1 - n_down / n)     n = sigma / alpha     lambda = the sampler's cfg, 0 .. 1
        euler             n_down = n'
        ddim              n_down = sqrt(n'^2 - up^2)     up = eta n' sqrt(1 - (n'/n)^2)
        euler_ancestral   as ddim on VE; on flow n_down = s / (1 - s) with s = sigma' (1 + (sigma'/sigma - 1) eta)
        measured          gamma' = lambda (1 + (alpha a + b) / kappa)  of a sampler x' = a x + kappa D + b u + noise

    Exact for steps of first order, which are linear in one prediction; approximate for others, which also remember
    predictions at earlier scales. Inside a step of several stages the scale is that of the step. At the last step, and
    at one that does not lower the noise, gamma' = lambda; measured is euler where nobody measured.
    Source: the paper; the scale is derived here.
    """

    node_id = "GGPlusPlus"
    name = "CFG++ (any sampler)"
    search_words = ("CFGPP", "manifold", "inversion", "low cfg")
    description = (
        "CFG++ for ordinary samplers. Set the sampler's cfg from 0 to 1. Exact with euler, euler_ancestral, DDIM "
        "Sampler and DDPM Sampler, near with others."
    )
    papers = (PAPER,)
    maturity = "stable"
    claims = frozenset({"gamma 0 is u"})
    step_of: str = knob(
        "euler",
        "The sampler in use. measured: finds out by itself. euler: any sampler that adds no noise. euler_ancestral: "
        "ComfyUI's. ddim: DDIM Sampler and DDPM Sampler. A wrong choice gives a wrong strength, without an error.",
        choices=("euler", "euler_ancestral", "ddim", "measured"),
    )
    eta: float = knob(
        1.0,
        f"The sampler's own eta, how much noise it adds: 0 none, 1 as usual. Ignored for euler. {PAPER.number}.",
        limits=(0.0, 1.0, 0.05),
    )

    def __post_init__(self):
        super().__post_init__()
        if not 0 <= self.eta <= 1:
            raise ValueError(f"eta is {self.eta:g} but must be from 0 (no noise) to 1 (ancestral).")

    @property
    def text(self) -> str:
        """One phrase for the trace."""
        return f"CFG++ ({self.step_of}{f', eta {self.eta:g}' if self.step_of in NOISY else ''})"

    def scale(self, gamma: float, run: Run, sigma: float) -> float:
        """The scale of the step that a noise level belongs to.  gamma: lambda."""
        step = run.step(sigma)
        if self.step_of == "measured" and run.moves:
            kept, kappa, uncond = run.moves[step]
            return gamma * (1 + (run.alpha(run.sigmas[step]) * kept + uncond) / kappa) if kappa > 0 else gamma
        now, then = run.sigmas[step], run.sigmas[step + 1]
        share = 0.0 if then >= now else 1 - self._down(run, now, then) / run.noise_to_signal(now)
        return gamma / share if share > 0 else gamma

    def _down(self, run: Run, sigma: float, sigma_next: float) -> float:
        after = run.noise_to_signal(sigma_next)
        if self.step_of not in NOISY:
            return after
        if self.step_of == "euler_ancestral" and run.flow:
            return run.noise_to_signal(sigma_next * (1 + (sigma_next / sigma - 1) * self.eta))
        up = self.eta * after * (1 - (after / run.noise_to_signal(sigma)) ** 2) ** 0.5
        return (after**2 - up**2) ** 0.5
