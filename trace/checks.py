"""What must be true of any run, held against its record."""

from __future__ import annotations

from torch import Tensor

from ..guidance.printing import nth
from .gram import ROUNDING, VECTORS, negativity
from .metrics import IDENTITY_LIMIT
from .trace import Trace


def check(trace: Trace) -> list[str]:
    """Hold a record against what must be true of any run; an empty list means nothing was found wrong.

    Every number of a full step that was measured is finite; K is a Gram matrix up to rounding; and M12 <= 1e-4.
    M12 holds the noise too, of every sampler whose response is known:
    move + noise is x' - x, so noise of another size than the sampler's leaves another move than the response's.
    """
    problems = []
    share = negativity(trace.record)
    full = trace.in_stages("step") & ~trace.steps["evals"].isnan()
    finite = trace.record.part(VECTORS).K.isfinite().all(dim=-1)  # a gradient beside them may be absent
    broken, bad = ~finite.all(dim=1) & full, (share > ROUNDING).any(dim=1)
    if broken.any():
        problems.append(f"The state or a prediction is not finite at {_steps(broken)}: the run diverged or overflowed.")
    if bad.any():
        problems.append(
            f"The inner products at {_steps(bad)} are not those of any set of vectors (an eigenvalue of "
            f"-{share[bad].nan_to_num().max():.1e} of the trace; rounding explains {ROUNDING:.0e}): this is a recorder "
            "error."
        )
    residual = trace.column("M12")
    large = (residual > IDENTITY_LIMIT).any(dim=1)
    if large.any() and "not observable" not in str(trace.header.get("split", "")):
        problems.append(
            f"At {_steps(large)} the sampler did not do what was measured of it before the run: x' is off by up to "
            f"{residual[large].nan_to_num().max():.1e} sigma (limit {IDENTITY_LIMIT:.0e}). How far it follows the "
            "prediction is unknown there, and the split into move and noise cannot be trusted."
        )
    return problems


def _steps(marked: Tensor) -> str:
    """Steps in words, six at most."""
    numbers = marked.nonzero()[:, 0].tolist()
    shown = ", ".join(str(nth(step)) for step in numbers[:6]) + (", ..." if len(numbers) > 6 else "")
    return f"step {shown}" if len(numbers) == 1 else f"steps {shown}"
