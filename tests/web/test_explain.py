"""The page that needs no install computes in the browser what Python computes: network, runs, rules, measures."""

import itertools
import json
import math
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from guidance_geometry import library as gg
from guidance_geometry.guidance.mixture import GaussianMixture
from guidance_geometry.library import sampling
from guidance_geometry.measure import levels
from guidance_geometry.measure.curve import MEASURABLE, VISIBLE, Curve
from guidance_geometry.measure.estimates import students_quantile, variety
from guidance_geometry.measure.levels import Answer, Level, query_levels
from guidance_geometry.measure.measurement import Measurement
from guidance_geometry.trace.record import run_record

ROOT = Path(__file__).resolve().parents[2]
WEIGHTS = ROOT / "assets" / "denoisers" / "pocket-flow-1.safetensors"
CLOSE = 1e-4  # of a latent or a pixel: Python rounds to float32 at every layer, the browser does not
EXACT = 1e-8  # where Python computes in float64, too
DIGITS = 2e-5  # of a record, whose numbers have six
RULES = {
    "cfg": None,
    "apg": gg.AdaptiveProjected(),
    "rescale": gg.Rescale(),
    "zero": gg.ZeroStar(),
    "interval": gg.Interval(),
    "skim": gg.Skim(),
}
LEVEL = ("sigma", "sigma_next", "alpha", "alpha_next", "gamma", "kappa")
OF_MOVES = ("M7", "M8")
METRICS = (*OF_MOVES, "M1", "M2", "M11", "M19", "M19a")
ALONE = 15  # place in K behind all products of what is unknown where u is
ACTED = ("least", "most", "across", "low", "high")


@pytest.fixture(scope="module")
def browser():
    """What the page computes."""
    if shutil.which("node") is None:
        pytest.skip("no node on the path")
    script = Path(__file__).with_name("explain-numbers.mjs")
    command = ["node", str(script), str(WEIGHTS)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout)


@pytest.fixture(scope="module")
def exact():
    """The network in float64."""
    denoiser = gg.load_denoiser("pocket-flow-1")
    denoiser.network.double()
    denoiser.vae.double()
    return denoiser


def tensor(values):  # [B, 256] -> [B, 4, 8, 8]
    return torch.tensor(values, dtype=torch.float64).reshape(-1, 4, 8, 8)


def farthest(mine, theirs):
    return float((mine.double().flatten() - torch.tensor(theirs, dtype=torch.float64).flatten()).abs().max())


def trace_of(denoiser, run):
    """The same run by the library, with the noise that the browser drew, and where it ends."""
    order, drawn = run["order"], [tensor(rows) for rows in zip(*run["drawn"], strict=True)]

    def item_noise(x, seed):  # anew for the dry run that measures the sampler, whose x is another, and for the run
        draws = itertools.chain(drawn, itertools.repeat(torch.zeros(20, 4, 8, 8)))
        return lambda: next(draws).flatten()[: x.numel()].reshape(x.shape).to(x)

    steps = order["steps"]
    labels = [denoiser.labels[k] for k in run["labels"]]
    recording = gg.record(
        denoiser, [1 - i / steps for i in range(steps + 1)], labels, gamma=order["gamma"], rule=RULES[order["rule"]]
    )
    dtype = next(denoiser.network.parameters()).dtype
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampling, "item_noise", item_noise)
        return recording.sample(tensor(run["starts"]).to(dtype), order["sampler"]), recording.end


@pytest.fixture(scope="module")
def others(browser, exact):
    """Runs of every rule and sampler: (as the browser made it, its trace by the library, where that ends)."""
    return [(run, *trace_of(exact, run)) for run in browser["others"]]


def test_twenty_pictures_are_those_of_python(browser):
    denoiser, run = gg.load_denoiser("pocket-flow-1"), browser["twenty"]
    _, end = trace_of(denoiser, run)
    assert len(end) == 20
    assert farthest(end, run["latents"]) < CLOSE
    assert farthest(denoiser.decoder(end), run["pictures"]) < CLOSE


def test_every_rule_and_sampler_ends_where_the_library_does(others):
    ends = {(run["order"]["rule"], run["order"]["sampler"]): farthest(end, run["latents"]) for run, _, end in others}
    assert {rule for rule, _ in ends} == RULES.keys()
    assert {name: far for name, far in ends.items() if not far < EXACT} == {}


def compare(mine, theirs, where):
    """Numbers of a record beside those of the browser, where nan is null."""
    for k, (one, other) in enumerate(zip(mine, theirs, strict=True)):
        assert (one is None) == (other is None), (where, k)
        assert one is None or math.isclose(one, other, rel_tol=DIGITS, abs_tol=DIGITS), (where, k, one, other)


def compare_steps(step, b, other):
    """A step of sample b in the library's record, beside the same in the browser's of that sample alone."""
    where = (b, step["i"], step["stage"])
    names, whole = ("stage", "vectors"), step["stage"] == "step"
    assert [step[name] for name in names] == [other[name] for name in names], where
    compare([step[name] for name in LEVEL], [other[name] for name in LEVEL], where)
    mine, (theirs,) = step["samples"][b], other["samples"]
    numbers, known = mine["m"] | dict(zip(step["numbers"], mine["n"], strict=True)), METRICS if whole else OF_MOVES
    compare([numbers[name] for name in known], [theirs["m"][name] for name in known], where)
    compare(mine["K"][0 if whole else ALONE :], theirs["K"][0 if whole else ALONE :], where)
    compare(mine["at"] if whole else [], theirs["at"], where)


def test_a_record_draws_what_the_library_records(others):
    for run, trace, _ in others:
        record = run_record(trace)
        for b, theirs in enumerate(run["records"]):
            for step, other in zip(record["steps"], theirs["steps"], strict=True):
                compare_steps(step, b, other)
            if run["order"]["gamma"] != 1:
                names = [name for name in theirs["choices"] if name in ACTED]
                compare(
                    [record["choices"][n][b] for n in names], [theirs["choices"][n][0] for n in names], run["order"]
                )


def measured(exact, point, monkeypatch):
    """The answers about the browser's pictures, with the noise that it drew."""
    noise = [tensor(rows) for rows in zip(*point["drawn"], strict=True)]
    monkeypatch.setattr(levels, "picture_noise", lambda x, seed: iter(noise))

    def predict(y, sigma, both):
        signal = 1 / (1 + sigma)
        conditions = ("planet", None) if both else ("planet",)
        answers = [exact(y * signal, sigma * signal, condition) for condition in conditions]
        return Answer(answers[0], answers[1] if both else None)

    return Measurement(*query_levels(predict, tensor(point["latents"]), 1.0, draws=1))


def test_the_measures_are_those_of_the_library(browser, exact, monkeypatch):
    points, theirs = browser["points"], browser["curve"]
    curve = Curve(
        [point["value"] for point in points], [measured(exact, point, monkeypatch) for point in points], unguided=1
    )
    plain = tensor(points[0]["latents"])
    for k, (value, measurement) in enumerate(zip(curve.values, curve.points, strict=True)):
        mine = {
            "times_as_strange": curve.times_at(value),
            "prompt_strength": measurement.strength,
            "ratio": measurement.ratio,
            "variety": variety(tensor(points[k]["latents"]), plain),
        }
        for name, estimate in mine.items():
            assert theirs[name][k] == pytest.approx(list(estimate), rel=1e-6), (name, value)
    marks = {"measured": curve.mark(MEASURABLE), "seen": curve.mark(VISIBLE)}
    assert {name: theirs[name][0] for name in marks} == pytest.approx(
        {name: mark.value for name, mark in marks.items()}
    )
    assert theirs["least"] == curve.least
    for freedom, quantile in browser["quantiles"]:
        assert quantile == pytest.approx(students_quantile(freedom), rel=1e-6)


def test_marks_are_read_off_curves_of_any_shape(browser):
    """Parabolas, and those that rise as a line, fall first, flatten, jump, or never rise."""
    one = torch.ones(1, dtype=torch.float64)
    found = []
    for curve in browser["marks"]:
        levels = [[Level(s, one, one, ratio * one, one) for s in (1.6, 0.2)] for ratio in curve["ratios"]]
        library = Curve(curve["values"], [Measurement(each) for each in levels], unguided=1)
        marks = [library.mark(times) for times in (MEASURABLE, VISIBLE)]
        assert curve["found"] == [mark and pytest.approx(mark.value) for mark in marks], curve["ratios"]
        found += [mark is not None for mark in marks]
    assert {True, False} == set(found)


def test_the_map_is_an_exact_mixture_and_its_classifier_pushes_along_the_difference(browser):
    world = browser["map"]
    means, shares = (torch.tensor(world[name], dtype=torch.float64) for name in ("means", "shares"))
    labels, looks = shares.shape
    mixture = GaussianMixture(
        means.repeat(labels, 1),
        torch.full((labels * looks,), world["spread"] ** 2, dtype=torch.float64),
        (shares / labels).flatten().log(),
        torch.arange(labels).repeat_interleave(looks),
    )
    for found, (name, exact) in itertools.product(world["found"], {"both": 1e-9, "push": 1e-5, "clean": 1e-9}.items()):
        x, y, s, label = found["at"]
        place = torch.tensor([[x, y]], dtype=torch.float64)
        u, c = mixture.denoised(place, s, 1 - s)[0], mixture.denoised(place, s, 1 - s, label)[0]
        mine = {
            "both": [*u.tolist(), *c.tolist(), float(mixture.label_log_prob(place, s, 1 - s)[0, label].exp())],
            "push": (c - u).tolist(),
            "clean": {
                "all": float(mixture.log_prob(place, 0.0).exp()),
                "called": float(mixture.label_log_prob(place, 0.0)[0, label].exp()),
            },
        }[name]
        assert found[name] == pytest.approx(mine, rel=exact, abs=exact), (name, found["at"])
