"""Records of exact runs for the tests of both languages: `python tools/run.py record_fixtures` writes them.

Each file of tests/fixtures/records/ is one run on a Gaussian mixture with a closed-form denoiser, as it travels to the
browser, with metrics and coordinates of some of its steps as Python finds them in that same record.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from ..guidance.mixture import GaussianMixture, make_mixture
from ..samplers.loop import item_noise, run
from ..samplers.steps import ddim, ddpm, level
from ..trace.accumulator import Accumulator, Capture
from ..trace.gram import GramRecord, frame
from ..trace.record import RunFacts, run_record, step_metrics
from ..trace.recorder import Evaluation, Recorded
from ..trace.rows import Setting
from ..trace.trace import VERSION, Trace

FOLDER = Path(__file__).resolve().parents[1] / "tests" / "fixtures" / "records"
SHOWN = 3  # steps with expected numbers: first, middle, last
SHOWN_SAMPLES = 4
DIGITS = 12
STEPS = {"euler": ddim, "gg_ddpm": ddpm}
Rule = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Case:
    """One run. levels: sigmas, the last one is where it ends; None spreads `steps` of them evenly in log sigma.

    equal: c = u. absent: steps without an unconditional pass. broken: steps whose prediction is nan.
    rule: (u, c, G) -> D. limit: bytes of the record, so that steps are left out.
    """

    shape: tuple[int, ...] = (3, 8, 8)
    batch: int = 2
    steps: int = 8
    gamma: float = 4.0
    sampler: str = "euler"
    flow: bool = False
    levels: tuple[float, ...] | None = None
    equal: bool = False
    absent: tuple[int, ...] = ()
    broken: tuple[int, ...] = ()
    rule: Rule | None = None
    limit: int | None = None
    labels: tuple[int, ...] = field(default=(0, 1, 2, 3))


def shrunk(uncond: Tensor, cond: Tensor, guided: Tensor) -> Tensor:
    """A rule that leaves the plane: the guided prediction scaled down."""
    return 0.9 * guided


CASES: Mapping[str, Case] = {
    "euler": Case(batch=4, steps=12),
    "ddpm": Case(batch=3, steps=12, gamma=7.5, sampler="gg_ddpm"),
    "flow": Case(steps=10, flow=True, levels=tuple(1 - i / 10 for i in range(11))),
    "video": Case(shape=(4, 3, 6, 6), steps=5),
    "audio": Case(shape=(8, 32), steps=5, gamma=2.0),
    "rule": Case(steps=6, rule=shrunk),
    "batch_16": Case(batch=16, steps=2, sampler="gg_ddpm"),
    "batch_200": Case(shape=(1, 4, 4), batch=200, steps=2, sampler="gg_ddpm"),
    "one_step": Case(levels=(5.0, 0.0)),
    "long": Case(shape=(1, 4, 4), batch=1, steps=220),
    "gamma_0": Case(steps=4, gamma=0.0),
    "gamma_1": Case(steps=4, gamma=1.0),
    "gamma_30": Case(steps=6, gamma=30.0),
    "equal": Case(steps=4, equal=True),
    "zero_step": Case(levels=(4.0, 2.0, 2.0, 1.0, 0.0)),
    "nan": Case(steps=6, broken=(3,)),
    "missing_uncond": Case(steps=6, absent=(0, 3, 4)),
    "hole": Case(steps=12, limit=8000),
    "empty": Case(levels=(1.0,)),
}


def trace_of(case: Case) -> Trace:
    """Run a case and record it."""
    sigmas = _levels(case)
    batch_levels = [level(sigma, case.flow) for sigma in sigmas]
    mixture = make_mixture(case.shape, len(case.labels), seed=5)
    labels = torch.tensor(case.labels)[torch.arange(case.batch) % len(case.labels)]
    noise = torch.randn(case.batch, *case.shape, generator=torch.Generator().manual_seed(11), dtype=torch.float64)
    start = noise * sigmas[0] if len(sigmas) > 1 else noise
    accumulator = Accumulator(Setting(case.flow), Capture("numbers"))
    draw = item_noise(start, 3)
    denoise = _Denoiser(case, mixture, labels)
    for state in run(denoise, start, batch_levels, STEPS[case.sampler], lambda *_: draw()):
        if state.step is not None:
            accumulator.enter(_recorded(case, state, *denoise.latest))
    stage = accumulator.stage
    return Trace(_header(case, sigmas, mixture, len(stage)), _columns(accumulator, case), stage)


class _Denoiser:
    """Predictions of a case, kept for the recorder."""

    def __init__(self, case: Case, mixture: GaussianMixture, labels: Tensor):
        self.case, self.mixture, self.labels, self.latest, self.step = case, mixture, labels, (), -1

    def __call__(self, x: Tensor, now) -> Tensor:
        case, self.step = self.case, self.step + 1
        predict = partial(self.mixture.denoised, x, now.sigma, now.alpha)
        c = predict(label=self.labels)
        u = c if case.equal else predict()
        if self.step in case.broken:
            c = torch.full_like(c, torch.nan)
        guided = u + (c - u) * case.gamma
        denoised = guided if case.rule is None else case.rule(u, c, guided)
        if self.step in case.absent:
            u, denoised = None, c
        self.latest = (u, c)
        # a broken step is recorded as such, but the run goes on
        return u if self.step in case.broken else denoised


def _recorded(case: Case, state, u: Tensor | None, c: Tensor) -> Recorded:
    denoised = c if state.index in case.broken else state.denoised
    seen = Evaluation(denoised, u, c, case.gamma, nfe=1 if u is None else 2)
    return Recorded(
        index=state.index,
        x=state.x,
        sigma=float(state.now.sigma),
        sigma_next=float(state.then.sigma),
        evaluation=seen,
        move=state.step.move,
        noise=state.step.noise if state.then.sigma > 0 and case.sampler == "gg_ddpm" else None,
        nfe=seen.nfe,
    )


def _levels(case: Case) -> list[float]:
    if case.levels is not None:
        return list(case.levels)
    return [*torch.logspace(1.3, -1.7, case.steps, dtype=torch.float64).tolist(), 0.0]


def _columns(accumulator: Accumulator, case: Case) -> dict[str, Tensor]:
    if accumulator.stage:
        return accumulator.columns()
    per_step = ("sigma", "sigma_next", "alpha", "alpha_next", "gamma", "kappa", "evals", "floor")
    columns = {name: torch.zeros(0, dtype=torch.float64) for name in per_step}
    return columns | {"K": torch.zeros(0, case.batch, 21), "sum": torch.zeros(0, case.batch, 3)}


def _header(case: Case, sigmas: list[float], mixture: GaussianMixture, steps: int) -> dict:
    return {
        "version": VERSION,
        "run": "fixture",
        "space": "flow" if case.flow else "ve",
        "vectors": ["u", "a", "delta", "D-G", "move", "noise"],
        "sampler": case.sampler,
        "scheduler": "log",
        "cfg": case.gamma,
        "seed": 11,
        "sigmas": sigmas,
        "labels": [f"class {case.labels[b % len(case.labels)]}" for b in range(min(case.batch, 16))],
        "chain": "cfg",
        "model": {"name": "mixture"},
        "latent": {"shape": list(case.shape), "format": "pixel"},
        "sigma_data": mixture.rms,
        "evaluations": 2 * steps,
        "split": "formula",
        "notes": [],
        "capture": {"mode": "numbers", "budget_mb": 0, "steps": [], "note": ""},
    }


def fixture_of(case: Case) -> dict:
    """A record and what Python finds in it: {"record": ..., "expected": [...]}."""
    record = run_record(trace_of(case), case.limit)
    return {"record": record, "expected": expected_of(record)}


def expected_of(record: Mapping) -> list[dict]:
    """Metrics and coordinates of some samples of the first, middle and last step, from the record's own numbers."""
    steps = record["steps"]
    chosen = sorted({0, len(steps) // 2, len(steps) - 1}) if steps else []
    return [expected for k in chosen for expected in _of_step(steps[k], record.get("sigma_data"))]


def _of_step(step: Mapping, sigma_data: float | None) -> list[dict]:
    facts = RunFacts(step["run"], step["n"], step["space"], step["N"], tuple(step["vectors"]), sigma_data)
    columns = {name: _tensor(step[name]) for name in ("gamma", "sigma", "alpha")}
    columns["K"] = torch.stack([_tensor(sample["K"]) for sample in step["samples"]])
    metrics = step_metrics(columns, facts)
    plane = frame(GramRecord(facts.vectors, columns["K"]), columns["gamma"])
    named = step.get("subset") or range(len(step["samples"]))
    return [
        {
            "i": step["i"],
            "sample": sample,
            "metrics": {name: short(values[b]) for name, values in metrics.items()},
            "points": {name: short(places[b]) for name, places in plane.points.items()},
        }
        for b, sample in list(enumerate(named))[:SHOWN_SAMPLES]
    ]


def _tensor(value: object) -> Tensor:
    listed = value if isinstance(value, list) else [value]
    numbers = torch.tensor([torch.nan if v is None else v for v in listed], dtype=torch.float64)
    return numbers if isinstance(value, list) else numbers[0]


def short(value: Tensor) -> object:
    """Numbers with 12 significant digits; None for what is not finite."""
    if value.ndim:
        return [short(item) for item in value]
    return float(f"{float(value):.{DIGITS}g}") if value.isfinite() else None


def main() -> None:
    """Write all files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=FOLDER)
    folder = parser.parse_args().folder
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    total = 0
    for name, case in CASES.items():
        text = json.dumps(fixture_of(case), separators=(",", ":"), allow_nan=False)
        (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")
        total += len(text)
        print(f"{name}.json {len(text):,} bytes")
    print(f"{len(CASES)} files, {total:,} bytes")


if __name__ == "__main__":
    main()
