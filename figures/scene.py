"""What one step of one sample looks like in its own plane: positions in rms units and the facts a caption prints."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from torch.nn.functional import pad

from ..trace.choices import default_step
from ..trace.faults import NothingToShow
from ..trace.gram import VECTORS, Frame, GramRecord, frame
from ..trace.metrics import FLOOR_FACTOR, guidance_strength
from ..trace.places import push_height, push_outside
from ..trace.trace import END, FROM_ZERO, PART, SKIP, UNSEEN, Trace

Place = tuple[float, float]
View = Callable[[GramRecord, float], tuple[GramRecord, float]]
LEFT_OUT = "At scale 1 the sampler does not need it. Sample at another scale to see both predictions."
NO_STEPS = "This trace has no steps: nothing was sampled. Raise denoise above 0 and run again."
NO_SAMPLES = "This trace has no samples: the batch was empty. Set batch_size to 1 or more and run again."
UNMEASURED = ("nothing was measured at this step", "The trace's notes say why.")
NO_PAIR = "no prediction without the prompt at this step"
FROM_ZERO_HERE = ("the positive or the negative was empty here, and ComfyUI counts from zero", "Choose another step.")
NO_SCALE = (
    "the scale of this step is unknown",
    "The guider mixes positive and negative in its own way. Choose another step, or a guider with one scale.",
)
LARGEST = 1e90  # an inner product of 10^12 of float32's largest numbers; beyond it a plane has no scale in float64
NOT_FINITE = (
    "values at this step are not finite",
    "The run overflowed: lower the scale, or use a wider dtype.",
)


@dataclass(frozen=True)
class Facts:
    """What a caption prints of a step.

    run: model and sampler, in words.
    step: from 0.
    steps: of the run.
    sample: from 0.
    samples: of the batch.
    median: the sample is the median of the batch.
    sigma, sigma_next: noise levels before and after the step.
    gamma: guidance scale.
    strength: M1.
    elements: N, numbers of a sample.
    space: "ve" or "flow".
    """

    run: str
    step: int
    steps: int
    sample: int
    samples: int
    median: bool
    sigma: float
    sigma_next: float
    gamma: float
    strength: float
    elements: int
    space: str


@dataclass(frozen=True)
class Positions:
    """Where things lie in the plane of a step, in rms units.

    points: {name: (along, across)}; x is the origin, u lies on the first axis, delta points across. Names: x, u, c, G,
        D, tip (after the deterministic step), and along, the foot of D on the line of delta, where `across` is there.
    noise: rms of the injected noise.
    other: rms of D - G.
    other_outside: rms of what of D - G leaves the plane.
    residual: |x' - x| outside the plane, as a share of it.
    end: foot of the run's end in the plane; None without pictures.
    end_outside: height of the run's end over the plane.
    across: of the push D - c its scale along delta, M19, its share across, M19a, and how much of that part leaves the
        plane; None where nothing goes across, or D holds more than guidance.
    notes: what else to say.
    """

    points: Mapping[str, Place] = field(default_factory=dict)
    noise: float = 0.0
    other: float = 0.0
    other_outside: float = 0.0
    residual: float = 0.0
    end: Place | None = None
    end_outside: float = 0.0
    across: tuple[float, float, float] | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scene:
    """One step of one sample.  missing: why there is nothing to draw, "" if there is; advice: what to do then."""

    facts: Facts
    positions: Positions = field(default_factory=Positions)
    missing: str = ""
    advice: str = ""


def plain_view(record: GramRecord, gamma: float) -> tuple[GramRecord, float]:
    """The view of classifier-free guidance: the record as it is, whatever else was recorded beside it."""
    return record.part(VECTORS), gamma


def scene_of(trace: Trace, step: int | None = None, sample: int | None = None, view: View = plain_view) -> Scene:
    """Read one step of one sample out of a trace; None picks the default step and the median sample.

    view: what the two predictions and their difference are, from the record and its scale to another record and scale.
    """
    insist_on_steps(trace)
    median = trace.median_sample()
    sample = median if sample is None else check_index(sample, trace.batch, "sample")
    step = default_step(trace, sample) if step is None else check_index(step, trace.n, "step")
    recorded = GramRecord(trace.record.vectors, trace.record.K[step, sample])
    record, gamma = view(recorded, float(trace.steps["gamma"][step]))
    facts = Facts(
        run=run_words(trace),
        step=step,
        steps=trace.n,
        sample=sample,
        samples=trace.batch,
        median=sample == median,
        sigma=float(trace.steps["sigma"][step]),
        sigma_next=float(trace.steps["sigma_next"][step]),
        gamma=gamma,
        strength=float(guidance_strength(record, gamma, float(trace.steps["alpha"][step]))),
        elements=trace.count,
        space=str(trace.header.get("space", "ve")),
    )
    if missing := _missing(trace, step, record, gamma):
        return Scene(facts, Positions(), *missing)
    positions = _positions(record, gamma, trace.count, float(trace.steps["floor"][step]))
    if view is not plain_view:
        return Scene(facts, positions)
    scale, share = (float(trace.column(name)[step, sample]) for name in ("M19", "M19a"))
    split = _split(record, gamma, scale, share, positions.points)
    return Scene(facts, replace(positions, **split, **_end(trace, step, sample)))


def scene_of_nothing(trace: Trace, missing: str, advice: str) -> Scene:
    """What is known of any run, where there is no step to draw."""
    unknown = dict.fromkeys(("sigma", "sigma_next", "gamma", "strength"), math.nan)
    place = {"step": 0, "steps": trace.n, "sample": 0, "samples": trace.batch, "median": True}
    facts = Facts(
        run_words(trace), **place, **unknown, elements=trace.count, space=str(trace.header.get("space", "ve"))
    )
    return Scene(facts, missing=missing, advice=advice)


def insist_on_steps(trace: Trace) -> None:
    """Raise NothingToShow, with why and what to do, where a trace has no step or no sample."""
    faults = trace.header.get("faults")
    if trace.n == 0:
        raise NothingToShow(
            f"This trace has no steps: {faults[0]}." if isinstance(faults, list) and faults else NO_STEPS
        )
    if trace.batch == 0:
        raise NothingToShow(NO_SAMPLES)


def run_words(trace: Trace) -> str:
    """Model and sampler, for captions."""
    model = (trace.header.get("model") or {}).get("name") or "unnamed model"
    part = f", {trace.header[PART]}" if trace.header.get(PART) else ""
    return f"{model}, {trace.header.get('sampler') or 'unknown sampler'}{part}"


def captured_vectors(
    trace: Trace, names: tuple[str, ...], step: int, sample: int
) -> list[Tensor] | None:  # each [N] float64
    """Captured tensors of one sample as flat vectors, None unless all of them were kept; "end" is the run's end."""
    tensors = [trace.tensors.get(END) if name == END else trace.captured_tensor(name, step) for name in names]
    vectors = [tensor[sample].double().flatten() for tensor in tensors if tensor is not None]
    if len(vectors) < len(names):
        return None
    return vectors if all(bool(v.isfinite().all()) for v in vectors) else None


def _end(trace: Trace, step: int, sample: int) -> dict:
    """Where the run's end lies: its foot in the step plane and its height, from the captured tensors."""
    vectors = captured_vectors(trace, ("x", "uncond", "cond", END), step, sample)
    if vectors is None:
        return {}
    missing = max(2 - len(vectors[0]), 0)  # of the two axes of a plane, where a sample is one value
    x, u, c, end = (pad(vector, (0, missing)) for vector in vectors)
    axes = torch.linalg.qr(torch.stack([u - x, c - u], dim=1))
    sign = axes.R.diagonal().sign()  # the first axis points at u, the difference has a positive second coordinate
    foot = (axes.Q.T @ (end - x)) * torch.where(sign == 0, 1.0, sign)
    height = ((end - x).square().sum() - foot.square().sum()).clamp(min=0).sqrt()
    scale = trace.count**-0.5
    return {"end": (float(foot[0]) * scale, float(foot[1]) * scale), "end_outside": float(height) * scale}


def check_index(index: int, count: int, what: str) -> int:
    """The index itself, if the trace has it."""
    if not 0 <= index < count:
        raise ValueError(
            f"There is no {what} {index}: the trace has {count}, counted here from 0 to {count - 1}. "
            "Choose one of them."
        )
    return index


def _missing(trace: Trace, step: int, record: GramRecord, gamma: float) -> tuple[str, str] | None:
    """Why a step has no plane, and what to do."""
    if trace.steps["evals"][step].isnan():
        return UNMEASURED
    single = trace.stage[step] in ("cond_only", SKIP, "recur", UNSEEN)
    if single and not record.dot("delta", "delta").isfinite():
        return NO_PAIR, LEFT_OUT if gamma == 1 else "Choose a step at which both predictions were made."
    if trace.stage[step] == FROM_ZERO and not drawable(record.K):
        return FROM_ZERO_HERE
    if math.isnan(gamma):
        return NO_SCALE
    return None if drawable(record.K) else NOT_FINITE


def drawable(products: Tensor) -> bool:
    """Whether inner products are finite, and those of vectors that a network could have made."""
    return bool((products.abs() < LARGEST).all())


def _positions(record: GramRecord, gamma: float, elements: int, floor: float) -> Positions:
    plane, scale = frame(record, gamma), elements**-0.5
    points = {name: tuple(float(v) * scale for v in place) for name, place in plane.points.items() if name != "next"}
    travel = record.square({"move": 1.0, "noise": 1.0}).sqrt()
    return Positions(
        points,
        noise=_rms(record, "noise", scale),
        other=_rms(record, "D-G", scale),
        other_outside=float(push_height(record, gamma)) * scale,
        residual=float(plane.height["next"] / travel) if travel > 0 else 0.0,
        notes=_notes(plane, _rms(record, "delta", scale), floor),
    )


def _split(record: GramRecord, gamma: float, scale: float, share: float, points: Mapping[str, Place]) -> dict:
    """The part of the push across, and the points with the foot of D on the line of delta; nothing where it is none."""
    outside = float(push_outside(record, gamma, scale, torch.tensor(share), push_height(record, gamma)))
    if math.isnan(outside):
        return {}
    foot = tuple(u + scale * (c - u) for u, c in zip(points["u"], points["c"], strict=True))
    return {"across": (scale, share, outside), "points": {**points, "along": foot}}


def _rms(record: GramRecord, name: str, scale: float) -> float:
    return float(record.dot(name, name).clamp(min=0).sqrt()) * scale


def _notes(plane: Frame, difference: float, floor: float) -> tuple[str, ...]:
    if bool(plane.same):
        return ("both predictions are equal: no difference",)
    notes = ("the noisy sample and both predictions lie on one line",) if bool(plane.collinear) else ()
    if difference < FLOOR_FACTOR * floor:
        notes += ("the difference is as small as rounding",)
    return notes
