"""A run guided by an exact classifier, recorded with its gradient: `python tools/run.py classifier_run FOLDER`.

The data are a Gaussian mixture, so that the denoiser and the classifier are both known in closed form. The sampler is
given u + w g, where g is the classifier's gradient; c is predicted too, only to be compared with: c - u = g, exactly.
Writes the trace and the classifier figures of the post.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from ..figures.order import Order
from ..figures.pictures import Pictures
from ..figures.registry import PULL, draw_figure
from ..guidance.gradients.estimators import noise_aware
from ..guidance.mixture import GaussianMixture, make_mixture
from ..samplers.loop import State, item_noise, run
from ..samplers.steps import Level, ddim, ddpm, level
from ..trace.accumulator import Capture, Ledger
from ..trace.file import save
from ..trace.gram import VECTORS, gram
from ..trace.recorder import Recorded
from ..trace.trace import END, VERSION, Trace

STEPS = {"euler": ddim, "gg_ddpm": ddpm}
GRADIENT = "gradient"


@dataclass
class ClassifierRun:
    """One run. weight: factor of the gradient. labels: one class an image.

    taken: u, c and the gradient of every evaluation, [B, *shape] float64, in order.
    """

    mixture: GaussianMixture
    labels: Tensor
    weight: float = 4.0
    sampler: str = "gg_ddpm"
    flow: bool = False
    taken: list[tuple[Tensor, Tensor, Tensor]] = field(default_factory=list)

    def trace(self, steps: int = 20, seed: int = 0) -> Trace:
        """Sample from noise to the end and record every step."""
        sigmas = self._sigmas(steps)
        draws = torch.Generator().manual_seed(seed)
        shape = (len(self.labels), *self.mixture.shape)
        x = sigmas[0] * torch.randn(shape, generator=draws, dtype=torch.float64)
        draw, ledger, rows, shifts, end = item_noise(x, seed), Ledger(self.flow, Capture("pictures")), [], [], x
        levels = [level(sigma, self.flow) for sigma in sigmas]
        for state in run(self._denoise, x, levels, STEPS[self.sampler], lambda *_: draw()):
            if state.step is not None and state.x_next is not None:
                ledger.enter(self._recorded(state))
                rows.append(self._inner_products(state))
                shifts.append(self.taken[-1][2].half())
                end = state.x_next
        kept, tensors, note = ledger.capture.stacked()
        tensors |= {GRADIENT: torch.stack([shifts[i] for i in kept]), END: end.half()}
        header = self._header(sigmas, seed) | {"capture": {"mode": "pictures", "steps": kept, "note": note}}
        return Trace(header, ledger.columns() | {"K": torch.stack(rows)}, ledger.stage, tensors)

    def _sigmas(self, steps: int) -> list[float]:
        if self.flow:
            return [0.97 * (1 - i / steps) for i in range(steps)] + [0.0]
        return [*torch.logspace(1.3, -1.7, steps, dtype=torch.float64).tolist(), 0.0]

    def _denoise(self, x: Tensor, now: Level) -> Tensor:
        mixture, rows = self.mixture, torch.arange(len(self.labels))
        u, c = (mixture.denoised(x, now.sigma, now.alpha, label) for label in (None, self.labels))
        gradient = noise_aware(
            lambda point: mixture.label_log_prob(point, now.sigma, now.alpha)[rows, self.labels],
            x,
            float(now.sigma),
            float(now.alpha),
        ).shift
        self.taken.append((u, c, gradient))
        return u + self.weight * gradient

    def _recorded(self, state: State) -> Recorded:
        u, c, _ = self.taken[-1]
        levels = (float(state.now.sigma), float(state.then.sigma))
        return Recorded(state.index, state.x, state.denoised, u, c, 0.0, *levels, *self._parts(state), 2)

    def _parts(self, state: State) -> tuple[Tensor, Tensor | None]:
        """The step's move, and its noise where there is any."""
        move, noise = state.step or (torch.zeros_like(state.x), None)
        return move, noise if self.sampler == "gg_ddpm" and state.then.sigma > 0 else None

    def _inner_products(self, state: State) -> Tensor:  # -> [B, 28]
        u, c, gradient = self.taken[-1]
        vectors = (u, u - state.x, c - u, state.denoised - u, *self._parts(state), gradient)
        return gram(dict(zip((*VECTORS, GRADIENT), vectors, strict=True)))

    def _header(self, sigmas: list[float], seed: int) -> dict:
        return {
            "version": VERSION,
            "run": "classifier",
            "space": "flow" if self.flow else "ve",
            "vectors": [*VECTORS, GRADIENT],
            "sampler": self.sampler,
            "scheduler": "log",
            "cfg": 0.0,
            "seed": seed,
            "sigmas": sigmas,
            "labels": [f"class {label}" for label in self.labels.tolist()],
            "chain": f"u + {self.weight:g} x exact classifier",
            "model": {"name": "exact mixture"},
            "latent": {"shape": list(self.mixture.shape), "format": "pixel"},
            "sigma_data": self.mixture.rms,
            "evaluations": 2 * (len(sigmas) - 1),
            "split": "formula",
            "notes": [],
        }


def main() -> None:
    """Write one trace and its figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weight", type=float, default=3.0, help="factor of the gradient (default 3)")
    parser.add_argument("--sampler", choices=tuple(STEPS), default="gg_ddpm")
    parser.add_argument("--sample", type=int, default=1, choices=range(4), help="image to draw (default 1)")
    parser.add_argument("--flow", action="store_true", help="flow instead of variance exploding")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    mixture = make_mixture((3, 16, 16), classes=3, seed=0)
    settings = (mixture, torch.arange(4) % 3, given.weight, given.sampler, given.flow)
    trace = save(ClassifierRun(*settings).trace(), given.folder / "classifier.safetensors")
    order = Order(trace, sample=given.sample, pictures=Pictures())
    for figure in PULL:
        film = draw_figure(order, figure.name)
        film.pages[0].save(given.folder / f"{figure.name.replace(' ', '-')}.png")
        print(film.caption)
    (given.folder / "classifier-animated.webp").write_bytes(draw_figure(order, "classifier animated").webp())


if __name__ == "__main__":
    main()
