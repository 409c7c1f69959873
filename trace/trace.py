"""The record of one run: what every step did to every sample, as numbers, with some tensors for pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ..guidance.printing import Printed, count_of, nth
from .faults import NothingToShow
from .gram import GramRecord, fill_absent
from .metrics import METRICS, MOTION, Metric, motion_metrics, pass_metrics, term_metrics
from .terms import Term, terms_of

VERSION = 1
AFTERWARDS = "afterwards"  # stage of a step at cfg 1 whose u was evaluated after the run, and a field of the header
SKIP = "skip"  # stage of a step at which nothing was evaluated: another pack handed out what it had stored
FROM_ZERO = "from_zero"  # stage of a step whose u or c is the zero that a host takes for an empty condition
UNSEEN = "unseen"  # stage of a step that was evaluated where nobody sees c
STAGES = ("step", SKIP, "reuse", "cond_only", "recur", AFTERWARDS, FROM_ZERO, UNSEEN)
PER_STEP = ("sigma", "sigma_next", "alpha", "alpha_next", "gamma", "kappa", "evals", "floor")
SCALES = ("gamma_eff", "across")  # per sample
PER_SAMPLE = ("m9", "m9a", "m10", "m10c", "m11", "m11s", "m12", "m13", "m14", *SCALES)
END = "end"
MASK_NOTE = "a noise mask was set"  # begins a note of such a run
PART = "part"  # of the header: which part of the sample this is the record of
MEASURED = "measured"  # of the header: what the model said of the finished samples, sums [levels][B]
OF_A_PART = (PART, "latent", "capture", "cfg", "notes", "faults", MEASURED)  # of the header: facts of one part


@dataclass(frozen=True, eq=False)
class Trace(Printed):
    """One run.

    header: JSON-able facts (run, space, vectors, sampler, sigmas, labels, chain, model, host, latent, capture, ...);
        latent.shape is the shape of one sample, without the batch axis; faults: what ended the record early, if so.
    steps: {column: float64 tensor}: [n] for sigma, sigma_next, alpha, alpha_next, gamma, kappa, evals, floor;
        [n, B] for PER_SAMPLE; "K" [n, B, pairs]; "sum" [n, B, 3] = sums of u, delta, D - G. nan is "unknown"; where
        evals is nan, nothing was measured. Where gamma is unknown D - G counts from u.
    stage: one word a step, of STAGES. recur: back to a noisier level, without a prediction of its own.
    tensors: fp16 x, uncond, cond, guided [k, B, *latent] at the steps of header.capture.steps, and end [B, *latent].
    cross: float64 numbers that compare several steps; optional: directions [B, k(k+1)/2], header.directions says which.
    parts: of a sample that holds several tensors, such as video and sound, this is the first, header.part its name; the
        records of the others by name. They have the same steps; of their headers only OF_A_PART is read.
    """

    header: Mapping
    steps: Mapping[str, Tensor]
    stage: list[str]
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    cross: Mapping[str, Tensor] = field(default_factory=dict)
    parts: Mapping[str, Trace] = field(default_factory=dict)

    @property
    def part_names(self) -> list[str]:
        """The parts of the sample, this one first."""
        return [str(self.header.get(PART) or ""), *self.parts]

    @property
    def every_part(self) -> list[Trace]:
        """The records of all parts, this one first."""
        return [self, *self.parts.values()]

    def part(self, name: str) -> Trace:
        """The record of one part by itself, with what the header says of the run."""
        if name == self.part_names[0]:
            return replace(self, parts={})
        part = self.parts[name]
        facts_of_part = {fact: value for fact, value in part.header.items() if fact in OF_A_PART}
        return replace(part, header={**self.header, **facts_of_part})

    @property
    def n(self) -> int:
        """Steps in the record."""
        return len(self.stage)

    @property
    def batch(self) -> int:
        """Samples in the record."""
        return self.steps["K"].shape[1]

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """Shape of one sample, without the batch axis."""
        return tuple(self.header["latent"]["shape"])

    @property
    def pixels(self) -> bool:
        """Whether the samples are pictures, so that values have a bound of their own."""
        return self.latent_shape[:1] == (3,)

    @property
    def count(self) -> int:
        """N: elements of one sample."""
        return math.prod(self.latent_shape)

    def of_samples(self, rows: slice) -> Trace:
        """The numbers of some of the samples, first part; labels are those of these samples, tensors are left out."""
        steps = {name: value if value.ndim == 1 else value[:, rows] for name, value in self.steps.items()}
        header = dict(self.header)
        if labels := header.get("labels"):
            header["labels"] = labels[rows]
        if measured := header.get(MEASURED):
            sums = {name: value for name, value in measured.items() if isinstance(value, list) and name != "sigmas"}
            header[MEASURED] = {**measured, **{name: [level[rows] for level in sums[name]] for name in sums}}
        cross = {name: value[rows] for name, value in self.cross.items()}
        return replace(self, header=header, steps=steps, tensors={}, cross=cross, parts={})

    def in_stages(self, *stages: str) -> Tensor:  # -> [n] bool
        """Which steps are of one of these stages."""
        return torch.tensor([stage in stages for stage in self.stage], dtype=torch.bool)

    @cached_property
    def record(self) -> GramRecord:
        """Inner products of every step and sample: leading shape [n, B]."""
        return GramRecord(tuple(self.header["vectors"]), self.steps["K"])

    @cached_property
    def filled(self) -> GramRecord:
        """The record, in which a vector that was not asked for counts as zero."""
        return fill_absent(self.record)

    @property
    def captured_steps(self) -> list[int]:
        """Indices of the steps whose tensors were kept, in the order of their first axis."""
        return list(self.header.get("capture", {}).get("steps") or [])

    def captured_tensor(self, name: str, step: int) -> Tensor | None:  # -> [B, *latent] fp16
        """One captured tensor of one step, None where it was not kept."""
        if name not in self.tensors or step not in self.captured_steps:
            return None
        return self.tensors[name][self.captured_steps.index(step)]

    def require_tensor(self, name: str, step: int) -> Tensor:  # -> [B, *latent] fp16
        """One captured tensor that must be there.  Raises NothingToShow where it was not kept."""
        tensor = self.captured_tensor(name, step)
        if tensor is None:
            raise NothingToShow(
                f"The trace keeps no {name} of step {nth(step)}. Set capture to pictures and run again."
            )
        return tensor

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        """The energies that guided this run, then those that only measured it."""
        return terms_of(self.header, self.steps)

    def middle_of(self, metric: str) -> float:
        """A metric of the run in one number, its median over the steps, averaged over the samples; nan without any.

        A mean over the steps may be the value of one step: M1 divides by what is left to denoise, next to nothing at
        the last one.
        """
        values = self.column(metric)
        return float(values.nanquantile(0.5, dim=0).nanmean()) if self.n else math.nan

    def median_sample(self, among: Sequence[int] | None = None) -> int:
        """The sample that is shown unless somebody asks for another: its M1, mean over the steps, is the median one.

        among: samples it is chosen from, None for all; the first of them where M1 is unknown.
        """
        return nearest_to_median(self.column("M1").nanmean(dim=0), among)

    @cached_property
    def metrics(self) -> dict[str, Metric]:
        """Every metric of this run: those of all runs, of films, gradients, energies and further passes."""
        of_film = motion_metrics(self.steps)
        return METRICS | of_film | term_metrics(self.terms, self.steps) | pass_metrics(self.steps)

    def column(self, metric: str) -> Tensor:  # -> [n, B] float64
        """A metric of every step and sample, by its number: "M1", "M6t", "M18 gradient", ... ("M6" is M6t)."""
        name = "M6t" if metric == "M6" else metric
        stated = METRICS.get(name) or MOTION.get(name) or self.metrics.get(name)
        if stated is None:
            raise ValueError(f"Metric {metric!r} is unknown. Use one of {', '.join(self.metrics)}.")
        return stated.values(self.record, self.steps, self.count, self.header.get("sigma_data"))

    def __repr__(self) -> str:
        header = self.header
        beside = f", {' and '.join(self.part_names)}" if self.parts else ""
        pictures = f"tensors of {count_of(len(self.captured_steps), 'step')}" if self.captured_steps else "numbers only"
        model = (header.get("model") or {}).get("name") or "unnamed model"
        steps, samples = count_of(self.n, "step"), count_of(self.batch, "sample")
        return (
            f"Trace({steps}, {samples} of {'x'.join(map(str, self.latent_shape))}, {model}, "
            f"{header.get('sampler') or 'unknown sampler'}, cfg {header.get('cfg')}, {pictures}{beside})"
        )

    __str__ = __repr__


CROSS = "directions"  # name of the tensor in a trace's cross part, and of its facts in the header


def model_key(model: Mapping[str, Any]) -> str | None:
    """What tells a model from others, None if nothing does: the hash of its weights, else the name of their file or a
    mark of their values, and a mark of the LoRAs and whatever else was put on them.

    model: of a trace's header.
    """
    sha256, file, weights = (model.get(name) for name in ("hash", "file", "weights"))
    base = str(sha256).lower() if sha256 else f"file:{file}" if file else f"weights:{weights}" if weights else None
    return f"{base}+{model['patches']}" if base and model.get("patches") else base


def nearest_to_median(values: Tensor, among: Sequence[int] | None = None) -> int:  # [B]
    """The place whose value is nearest to the lower median, the first of equals; nan is farthest.

    among: places it is chosen from, None for all.
    """
    away = (values - values.nanmedian()).abs().nan_to_num(nan=math.inf).tolist()
    return min(range(len(away)) if among is None else among, key=away.__getitem__, default=0)
