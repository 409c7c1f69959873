"""What must be true of any run, held against its record."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..guidance.printing import nth
from .gram import ROUNDING, VECTORS, negativity
from .metrics import IDENTITY_LIMIT, identity_limit
from .trace import Trace

NOISE_LIMIT = 0.01  # M8 against its formula


def check(trace: Trace) -> list[str]:
    """Hold a record against what must be true of any run; an empty list means nothing was found wrong.

    Every number of a full step that was measured is finite; M12 (the split adds up, where a response could tell)
    <= 1e-4, or what rounding leaves of a long state at little noise; K is a Gram matrix up to rounding; and the noise
    of DDPM has the length its formula says (`ddpm_noise`).
    """
    return [*_gram_problems(trace), *_identity_problems(trace), *_noise_problems(trace)]


def _gram_problems(trace: Trace) -> list[str]:
    share = negativity(trace.record)
    full = torch.tensor([stage == "step" for stage in trace.stage], dtype=torch.bool) & ~trace.steps["evals"].isnan()
    known = trace.record.part(VECTORS).K.isfinite().all(dim=-1)  # a gradient beside them may be absent
    broken, bad = ~known.all(dim=1) & full, (share > ROUNDING).any(dim=1)
    problems = []
    if broken.any():
        problems.append(f"The state or a prediction is not finite at {_steps(broken)}: the run diverged or overflowed.")
    if bad.any():
        problems.append(
            f"The inner products at {_steps(bad)} are not those of any set of vectors (an eigenvalue of "
            f"-{share[bad].nan_to_num().max():.1e} of the trace; rounding explains {ROUNDING:.0e}): this is a recorder "
            "error."
        )
    return problems


def _identity_problems(trace: Trace) -> list[str]:
    residual = trace.column("M12")
    large = (residual > identity_limit(trace.record, trace.count, trace.steps["sigma"])).any(dim=1)
    if "not observable" in str(trace.header.get("split", "")) or not large.any():
        return []
    return [
        f"move + noise misses x' - x by {residual[large].nan_to_num().max():.1e} sigma at {_steps(large)} "
        f"(limit {IDENTITY_LIMIT:.0e}): the split of the step cannot be trusted there."
    ]


def _noise_problems(trace: Trace) -> list[str]:
    sampler = trace.header.get("sampler")
    if sampler != "gg_ddpm" and (sampler != "ddpm" or trace.header.get("space") == "flow"):
        return []  # the host's own ddpm step knows VE only
    levels = [trace.steps[name] for name in ("sigma", "sigma_next", "alpha", "alpha_next")]
    stated = (trace.header.get("options") or {}).get("eta")
    eta = 1.0 if stated is None else float(stated)
    expected = torch.where(levels[1] > levels[0], forward_noise(*levels), eta * ddpm_noise(*levels))
    found = trace.column("M8").square().mean(dim=1).sqrt()
    limit = max(NOISE_LIMIT, 5 / math.sqrt(2 * trace.count * trace.batch))
    off = (found - expected).abs() > limit * expected
    if not off.any():
        return []
    return [
        f"The noise at {_steps(off)} has rms {found[off][0]:.4g} where DDPM gives {expected[off][0]:.4g} "
        f"(limit {100 * limit:.1f} %): the split is wrong there."
    ]


def ddpm_noise(sigma: Tensor, sigma_next: Tensor, alpha: Tensor, alpha_next: Tensor) -> Tensor:  # [n] x4 -> [n]
    """Rms of the noise of an exact-posterior step: sqrt(sigma'^2 - (alpha sigma'^2 / (alpha' sigma))^2).

    VE: sigma' sqrt(sigma^2 - sigma'^2) / sigma. Source: Ho et al. 2020, arXiv 2006.11239, eq. 7.
    """
    kept = alpha * sigma_next**2 / (alpha_next * sigma)
    return (sigma_next**2 - kept**2).clamp(min=0).sqrt()


def forward_noise(sigma: Tensor, sigma_next: Tensor, alpha: Tensor, alpha_next: Tensor) -> Tensor:  # [n] x4 -> [n]
    """Rms of the noise that takes a state back to a noisier level: sqrt(sigma'^2 - (alpha' sigma / alpha)^2)."""
    return (sigma_next**2 - (alpha_next * sigma / alpha) ** 2).clamp(min=0).sqrt()


def _steps(marked: Tensor) -> str:
    numbers = marked.nonzero()[:, 0].tolist()
    shown = ", ".join(str(nth(step)) for step in numbers[:6]) + (", ..." if len(numbers) > 6 else "")
    return f"step {shown}" if len(numbers) == 1 else f"steps {shown}"
