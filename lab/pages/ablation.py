"""How far the estimate of what is left of a push is from an ablation: the run again with one window at gamma 1.

`python lab ablation` measures both demo models and an exact mixture, with and without fresh noise, in four
minutes on one core, and writes docs/which-steps.md; what is measured stays in .cache/ablation, so that a stopped run
goes on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy import ndarray

from ...dev.places import ROOT
from .. import markdown
from .ablation_runs import DEMO, EXACT, GAMMA, NOISE, SAMPLES, SEED, STEPS, WIDTH, WINDOWS, measures

PAGE = ROOT / "docs" / "which-steps.md"
NUMBERS = ROOT / "docs" / "which-steps.json"
LATER_NUMBERS = ROOT / "docs" / "later-reads.json"
DRAWS = 2000
Interval = tuple[float, float, float]  # a number, and between which it lies in 95 % of resamples of the runs


@dataclass(frozen=True)
class Window:
    """Steps without guidance in the second run.  push, left, change: mean shares; ratio: change / left, as lengths"""

    first: int
    last: int
    push: float
    left: float
    change: Interval
    ratio: Interval


@dataclass(frozen=True)
class Setting:
    """A model with a sampler: its windows, and how well push, estimate and their middle tell the ablation.

    push, left, middle: correlation with the change over the windows of a run. same: share of the runs in which the
    estimate names the window whose loss changes most. between: of all windows, those between push and estimate.
    """

    model: str
    noise: str
    windows: tuple[Window, ...]
    push: Interval
    left: Interval
    middle: Interval
    same: float
    between: float


def correlate(model: str, noise: str, pushed: ndarray, left: ndarray, change: ndarray) -> Setting:
    """What the ablation says of push and estimate.  [windows, B] each"""
    a, b, middle, real = (one / one.sum(axis=0) for one in (pushed, left, np.sqrt(pushed * left), change))
    ratio = np.divide(change, left, where=left > 0, out=np.full_like(change, np.nan))
    windows = [
        Window(
            steps[0] + 1,
            steps[-1] + 1,
            float(a[k].mean()),
            float(b[k].mean()),
            interval_of(real[k], np.mean),
            interval_of(ratio[k], np.median),
        )
        for k, steps in enumerate(WINDOWS)
    ]
    push, rest, mean = (interval_of(correlations(one, real), np.mean) for one in (a, b, middle))
    same, between = b.argmax(axis=0) == real.argmax(axis=0), (real - a) * (real - b) <= 0
    return Setting(model, noise, tuple(windows), push, rest, mean, float(same.mean()), float(between.mean()))


def correlations(one: ndarray, other: ndarray) -> ndarray:  # [windows, B] x2 -> [B]
    """Pearson's, of every run over its windows."""
    return np.array([np.corrcoef(x, y)[0, 1] for x, y in zip(one.T, other.T, strict=True)])


def interval_of(values: ndarray, statistic: Callable[..., ndarray]) -> Interval:  # [B]
    """A statistic of the runs in which it is known, and between which it lies in 95 % of their resamples."""
    values = values[np.isfinite(values)]
    drawn = np.random.default_rng(SEED).integers(len(values), size=(DRAWS, len(values)))
    low, high = np.quantile(statistic(values[drawn], axis=1), (0.025, 0.975))
    return float(statistic(values)), float(low), float(high)


TEXT = markdown.passages(__file__)
TRY = f"""To test a run of your own, queue it a second time with the same seed and a **CFG Schedule** on *list*: your
cfg at every step, and 1 in the window. In a script, with the `denoiser` and `sigmas` of [the library](library.md):

```python
scales = [1.0 if 4 <= step < 8 else {GAMMA:g} for step in range({STEPS})]
again = gg.record(denoiser, sigmas, cond=1, rule=gg.ScaleSchedule("list", values=tuple(scales))).sample(noise)
```"""
LATER_HEAD = "model | sampler | push | with later reads | estimate | with later reads"
WINDOW_HEAD = "model | fresh noise | steps | push | left, estimated | change, measured | change / estimate"


def page(settings: Sequence[Setting], later: Sequence[dict]) -> str:
    """The whole page.  later: rows of what multistep samplers read again."""
    windows = [row_of(one, window) for one in settings if one.model != EXACT for window in one.windows]
    order = [
        [one.model, one.noise, *map(correlation_text, (one.push, one.left, one.middle)), percent(one.between)]
        for one in settings
    ]
    return markdown.page(
        TEXT["OPENING"],
        markdown.bullets(readings(settings)),
        TEXT["TEST"].format(SAMPLES=SAMPLES, STEPS=STEPS, WIDTH=WIDTH, GAMMA=GAMMA),
        TEXT["ORDER"],
        markdown.table("model | fresh noise | push | estimate | middle | between", order),
        markdown.folded("Every window", TEXT["WINDOWS"], markdown.table(WINDOW_HEAD, windows)),
        TEXT["LATER"],
        markdown.folded("Every sampler", markdown.table(LATER_HEAD, map(later_row, later))),
        later_reading(later),
        "## Try it on a run of yours",
        TRY,
    )


def later_row(row: dict) -> list[str]:
    """What later reads do to one sampler's correlations."""
    told = (f"{row[key]:.2f}" for key in ("push", "push later", "left", "left later"))
    return [row["model"], row["sampler"], *told]


def later_reading(later: Sequence[dict]) -> str:
    """What the table of later reads shows."""
    gains = [round(row["left later"], 2) - round(row["left"], 2) for row in later]
    nearer = sum(gain > 0 for gain in gains)
    ends = f"{min(gains):+.2f} to {max(gains):+.2f}".replace("-", "\u2212")
    return (
        f"With later reads the estimate comes nearer in {nearer} of {len(gains)} cases, and its correlation changes by "
        f"{ends}. That is no steady gain, so bars, curve and the mean of the effective scale leave later reads out."
    )


def row_of(setting: Setting, window: Window) -> list[str]:
    """One window's cells."""
    value, *ends = map(percent, window.change)
    ratio = "{:.2g} ({:.2g} to {:.2g})".format(*window.ratio)
    shares = [percent(window.push), percent(window.left), f"{value} ({' to '.join(ends)})"]
    return [setting.model, setting.noise, f"{window.first} to {window.last}", *shares, ratio]


def percent(share: float) -> str:
    """A share in whole percent."""
    return f"{share:.0%}".replace("%", " %")


def correlation_text(interval: Interval) -> str:
    """A correlation with its interval."""
    return "{:.2f} ({:.2f} to {:.2f})".format(*interval).replace("-", "\u2212")


def readings(settings: Sequence[Setting]) -> list[str]:
    """What the tables show."""
    by = {(one.model, one.noise): one for one in settings}
    exact, best, worst = (by[key] for key in ((EXACT, "none"), (DEMO[1], "none"), (DEMO[0], "fresh")))
    said, real = max(worst.windows, key=lambda w: w.left), max(worst.windows, key=lambda w: w.change[0])
    late = [one.windows[-1].ratio[0] for one in settings if one.model != EXACT]
    return [
        f"In an exact mixture of Gaussians the estimate is good (correlation {exact.left[0]:.2f}), and on Pocket Flow "
        f"without fresh noise too ({best.left[0]:.2f}).",
        f"On Pocket with fresh noise it is wrong. It gives most weight to steps {said.first} to {said.last} "
        f"({percent(said.left)}); the second runs say steps {real.first} to {real.last} ({percent(real.change[0])}). "
        f"Without the first window the picture moved {worst.windows[0].ratio[0]:.0f} times as far as estimated.",
        "The likely reason: an early push chooses what the picture will be, a robot or a planet, and later steps "
        "finish what was chosen. One round cloud offers no choice, so there a push only fades.",
        f"Without the last window the picture moved {min(late):.2f} to {max(late):.2f} times as far as estimated: the "
        "estimate adds the lengths of four pushes, and they do not all point the same way.",
        "The middle between bars and curve is the steadiest guess, with a correlation of at least "
        f"{min(one.middle[0] for one in settings):.2f} everywhere. It remains a guess.",
    ]


def settings_of(numbers: Sequence[dict]) -> list[Setting]:
    """The settings as they were stored."""
    return [Setting(**{**one, "windows": tuple(Window(**window) for window in one["windows"])}) for one in numbers]


def main() -> None:
    """Measure what nobody did, and write the page with its numbers."""
    torch.set_num_threads(1)
    settings = [correlate(model, noise, **measures(model, noise)) for model in (*DEMO, EXACT) for noise in NOISE]
    NUMBERS.write_text(json.dumps([asdict(one) for one in settings], indent=1) + "\n", encoding="utf-8")
    later = json.loads(LATER_NUMBERS.read_text(encoding="utf-8"))
    print(f"wrote {NUMBERS}")
    markdown.write(PAGE, page(settings, later))


if __name__ == "__main__":
    main()
