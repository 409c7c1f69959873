"""A trace for notebooks: as a table and as figures."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..guidance.printing import count_of
from ..trace import file, trace
from ..trace.trace import PER_STEP

if TYPE_CHECKING:
    from ..figures.film import Film
    from ..verdict.measured import ModelCurves
    from ..verdict.report import Report


@dataclass(frozen=True, eq=False, repr=False)
class Trace(trace.Trace):
    """One run, as `trace.trace.Trace`, with what a notebook wants of it; printed, it is one line."""

    @classmethod
    def of(cls, plain: trace.Trace) -> Trace:
        """A trace of any room with what a notebook wants of it."""
        parts = {name: cls.of(part) for name, part in plain.parts.items()}
        return cls(plain.header, plain.steps, plain.stage, plain.tensors, plain.cross, parts)

    def __repr__(self) -> str:
        head = self.header
        facts = [head.get("model", {}).get("name"), head.get("sampler"), head.get("chain")]
        facts += [f"cfg {head['cfg']:g}"] if head.get("cfg") is not None else []
        size = [count_of(self.n, "step"), count_of(self.batch, "sample")]
        lost = [f"the record is incomplete ({fault})" for fault in (head.get("faults") or ())[:1]]
        return f"Trace of {', '.join([*filter(None, facts), *size, *lost])}: to_pandas(), plot(), report(), save(path)"

    def to_pandas(self) -> Any:
        """A DataFrame with one row a step and sample: noise levels, gamma, and every metric by its code.

        Steps and samples count from 0, as in `steps`; nan is unknown.
        """
        n, batch = self.n, self.batch
        columns: dict[str, Any] = {
            "step": torch.arange(n).repeat_interleave(batch),
            "sample": torch.arange(batch).repeat(n),
        }
        columns |= {name: self.steps[name].repeat_interleave(batch) for name in PER_STEP}
        columns |= {name: self.column(name).flatten() for name in self.metrics}
        table = require("pandas", "pandas").DataFrame({name: column.numpy() for name, column in columns.items()})
        table.insert(2, "stage", [word for word in self.stage for _ in range(batch)])
        return table

    def plot(
        self,
        figure: str = "step plane",
        step: int | None = None,
        sample: int | None = None,
        *,
        decode: Callable[[Tensor], Tensor] | None = None,
        **look: Any,
    ) -> Film:
        """A figure, which a notebook shows and `save` writes.

        figure: a word of the gallery; step, sample: from 0, None chooses. decode: latents [B, ...] to pictures
        [B, H, W, 3] in 0..1. look: size (blog, slide, column) and theme (light, dark, transparent).
        Raises ValueError for an unknown figure, step or sample, with those that there are; TypeError for another look.
        """
        from ..figures.order import Order
        from ..figures.pictures import Pictures
        from ..figures.registry import draw_figure

        if unknown := look.keys() - {"size", "theme", "photo", "steady"}:
            raise TypeError(f"plot takes no {', '.join(sorted(unknown))}. Give it step, sample, decode, size or theme.")
        return draw_figure(Order(self, step, sample, pictures=Pictures(decode), **look), figure)

    def report(self, curves: ModelCurves | None = None, half: trace.Trace | None = None) -> Report:
        """What the run says of its scale, and what else it tells: `verdict.report.report_of`.

        curves: what was measured of its model, read by `verdict.measured.read_curves`, beside what came with the pack.
        half: a run at half the scale with the same noise.
        """
        from ..verdict.known import knowledge_without_host
        from ..verdict.report import report_of

        return report_of(self, knowledge_without_host(self.header.get("model") or {}, curves), half)

    def save(self, path: str | os.PathLike) -> Trace:
        """Write one file, and return the trace as written: `trace.file.save`."""
        return Trace.of(file.save(self, path))


def load(path: str | os.PathLike) -> Trace:
    """Read a trace file, as `trace.file.load`."""
    return Trace.of(file.load(path))


def require(module: str, extra: str) -> ModuleType:
    """A package that only some uses need.  Raises ImportError that says how to install it."""
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(f"This needs {module}: pip install '.[{extra}]' in the folder of the project.") from error
