"""The table of runs and of what is known of their model, row by row: each a report.  test_report.py says what of."""

import math
from dataclasses import replace
from functools import cache
from typing import Any

import torch

from guidance_geometry.measure.curve import Curve
from guidance_geometry.measure.estimates import Estimate
from guidance_geometry.measure.levels import LEVELS, Level
from guidance_geometry.measure.measurement import Measurement, setting_of
from guidance_geometry.tests.traces import exact_trace
from guidance_geometry.trace.effective import MASKED
from guidance_geometry.trace.gram import VECTORS, triangle
from guidance_geometry.verdict.features import features_of
from guidance_geometry.verdict.findings import Judged
from guidance_geometry.verdict.known import Known
from guidance_geometry.verdict.measured import MeasuredCurve, ModelCurves, beside_of
from guidance_geometry.verdict.picks import Pick, Picks
from guidance_geometry.verdict.report import report_of
from guidance_geometry.verdict.run_knobs import RULE
from guidance_geometry.verdict.sampler_class import CLASSES
from guidance_geometry.verdict.sentences import say
from guidance_geometry.verdict.size import Size

HASH = "ab" * 32
RUNS = {}
RULED = {"chain": "rescale 0.7 > CFG"}
ROWS = (torch.arange(32.0) % 4 // 2)[:, None].expand(32, 32)  # black and white, two by two
PICTURES = torch.rand(2, 3, 20, 30, generator=torch.Generator().manual_seed(0))


def run(gamma=4.0, changes=(), **how):
    """An exact run of 20 steps, made once, with other facts in its header."""
    key = (gamma, *sorted((name, str(value)) for name, value in how.items()))
    if key not in RUNS:
        RUNS[key] = exact_trace(gamma, **{"steps": 20, "batch": 2, **how})
    return headed(RUNS[key], model={"name": "m", "hash": HASH}, **dict(changes))


def with_columns(trace, **columns):
    return replace(trace, steps={**trace.steps, **columns})


def with_products(trace, names, value, steps=slice(None)):
    """The same run with another value for every inner product of these vectors."""
    full = trace.record.matrix().clone()
    for at in map(VECTORS.index, names):
        full[steps, :, at, :] = full[steps, :, :, at] = value
    return with_columns(trace, K=triangle(full))


def with_departure(trace, factor, **columns):
    """The same run, had D - G been so many differences.  factor: [n]"""
    full, factor = trace.record.matrix().clone(), factor[:, None, None]
    i, d = VECTORS.index("D-G"), VECTORS.index("delta")
    full[..., i, :] = factor * full[..., d, :]
    full[..., :, i] = factor * full[..., :, d]
    full[..., i, i] = factor[..., 0] ** 2 * full[..., d, d]
    return with_columns(trace, K=triangle(full), **columns)


def nan(trace, name, steps=slice(None)):
    column = trace.steps[name].clone()
    column[steps] = math.nan
    return with_columns(trace, **{name: column})


def staged(trace, stage, steps=None):
    """Some steps of a run made another stage."""
    chosen = range(trace.n) if steps is None else steps
    return replace(trace, stage=[stage if i in chosen else s for i, s in enumerate(trace.stage)])


def headed(trace, **facts):
    return replace(trace, header={**trace.header, **facts})


def part_of(trace, first, last):
    steps = {name: column[first:last] for name, column in trace.steps.items()}
    return replace(trace, steps=steps, stage=trace.stage[first:last], tensors={})


def stage_of(gamma, first, last):
    return part_of(run(gamma, steps=40), first, last)


def faulty(trace, first=12):
    """The record of a run whose numbers a fault took from a step on."""
    fault = f"no numbers from step {first + 1} on: RuntimeError (boom)"
    return headed(nan(trace, "evals", slice(first, None)), faults=[fault])


def passed(trace, weight=1.0, size=0.05, across=0.25, counts=1.0):
    """The record of a run with a further pass, of so large a difference."""
    n, batch = trace.n, trace.batch
    levels = {"evals PAG": counts, "scale PAG": weight}
    values = {"pass PAG": size, "along PAG": 0.5, "across PAG": across}
    columns = {name: torch.full((n,), value).double() for name, value in levels.items()}
    columns |= {name: torch.full((n, batch), value).double() for name, value in values.items()}
    header = {**trace.header, "passes": {"PAG": n}, "evaluations": 3 * n}
    return replace(with_columns(trace, **columns), header=header)


def extended(trace, name, vector, log_prob=None, weight: float | None = 2.0, scale=2.0):
    """The same run with one more vector in its record: a gradient of so many differences, and what its energy says.

    weight: of the gradient in D. scale: of its node, which is called "Steer NAME".
    """
    record, n = trace.record, len(VECTORS)
    full = torch.zeros(*record.K.shape[:-1], n + 1, n + 1, dtype=torch.float64)
    full[..., :n, :n] = record.matrix()
    along = vector * record.matrix()[..., VECTORS.index("delta"), :]
    full[..., n, :n] = full[..., :n, n] = along
    full[..., n, n] = vector**2 * record.dot("delta", "delta")
    at = VECTORS.index("D-G")
    full[..., at, :] += (weight or 0.0) * full[..., n, :]
    full[..., :, at] += (weight or 0.0) * full[..., :, n]
    steps = {**trace.steps, "K": triangle(full)}
    if log_prob is not None:
        steps[f"log_prob {name}"] = torch.as_tensor(log_prob).double().expand(trace.n, trace.batch)
    if weight is not None:
        steps[f"weight {name}"] = torch.full((trace.n, trace.batch), weight, dtype=torch.float64)
    titles = {"titles": {name: f"Steer {name}"}} | ({"scales": {name: scale}} if scale is not None else {})
    return replace(trace, steps=steps, header={**trace.header, "vectors": [*VECTORS, name], **titles})


def steered(gamma=1.0, weight=40.0, batch=2, **changes):
    """A run that a gradient pushed further than cfg did."""
    return extended(run(gamma, changes.items(), batch=batch), "gradient", 1.0, weight=weight, scale=weight)


def distilled(value=3.5, **changes):
    """A run at cfg 1 of a model that is told a guidance."""
    return run(1.0, {"distilled_guidance": value, **changes})


def told(guidance):
    """A run at cfg 1 of a distilled model, with the end of all others."""
    return headed(ending(1.0), distilled_guidance=guidance)


def fooled(alone, reverse, batch=12):
    """A run whose guide finds so many samples that a judge does not, and the other way round; and the judge."""
    own, judge = torch.full((batch,), -0.1), torch.full((batch,), -0.1)
    judge[:alone], own[alone : alone + reverse] = -3.0, -3.0
    trace = extended(run(batch=batch), "gradient", 0.5, own)
    return trace, Judged("CLIP", judge)


def watched(*texts):
    """A run whose chain has energies that only watch."""
    names = ["watch", "watch 2"][: len(texts)]
    trace = run(changes={"terms": dict(zip(names, texts, strict=True)), "chain": " > ".join(["CFG", *texts])})
    return with_columns(trace, **{f"log_prob {name}": torch.zeros(20, 2).double() for name in names})


def equal_predictions(trace):
    """The same run, had the condition added nothing."""
    return with_products(trace, ["delta"], 0.0)


def unsized(trace):
    return headed(trace, sigma_data=None)


def darkened(trace):
    """The same run, had its last step gone to zero: move = -x."""
    full, (u, a, move) = trace.record.matrix().clone(), map(VECTORS.index, ("u", "a", "move"))
    row = full[-1, :, a] - full[-1, :, u]
    full[-1, :, move], full[-1, :, :, move] = row, row
    full[-1, :, move, move] = row[:, a] - row[:, u]
    return with_columns(trace, K=triangle(full))


def scheduled(trace):
    """A run whose rule changed cfg from step to step: D stays what it was, so D - G makes up for the other scale."""
    gamma = trace.steps["gamma"] + torch.linspace(-1, 1, trace.n).double()
    return with_departure(trace, trace.steps["gamma"] - gamma, gamma=gamma)


def shrunk(u, c, guided):
    return 0.8 * guided


def stretched(u, c, guided):
    return 4 * guided


def projected(u, c, guided):
    """APG at eta 0: of what lies beyond c, nothing along c."""
    beyond = guided - c
    shares = (beyond * c).flatten(1).sum(1) / (c * c).flatten(1).sum(1)
    return guided - shares[:, None, None, None] * c


def along(u, c, guided):
    """Half of what cfg asks for beyond c, and nothing across."""
    return c + (guided - c) / 2


def each_its_own(u, c, guided):
    """A scale for each sample, about the widget's quarter."""
    scales = torch.linspace(1.5, 2.5, len(u), dtype=u.dtype)[:, None, None, None]
    return u + scales * (c - u)


def patched(gamma, cfg, changes=(), **how):
    """A run in a host that acted with one scale where its widget said another."""
    host = {"cfg": cfg, "host": {"comfyui": "0.3.75"}, "chain": "CFGGuider"}
    return run(gamma, {**host, **dict(changes)}, **how)


def acting(trace, scales):
    """The same run, had its steps acted at these scales."""
    scales = torch.as_tensor(scales, dtype=torch.float64)
    return with_columns(trace, gamma_eff=scales[:, None].expand(trace.n, trace.batch))


def with_end(trace, times):
    """The same run, whose finished samples are so many times as large as clean data."""
    return headed(trace, sigma_data=features_of(trace).end / times)


def lanes(*scales, chain="CFG"):
    """Runs side by side, the last with a chain of its own."""
    return {"cfg": [*scales], "chain": [*["CFG"] * (len(scales) - 1), chain]}


def ending(*factors):
    """A run at cfg 1 whose samples end where those at cfg 2 do, times a factor each."""
    end = run(2.0).tensors["end"]
    return replace(run(1.0), tensors={"end": torch.stack([end[b] * factors[b % len(factors)] for b in range(2)])})


def latents(trace):
    """The same, as a run of latents, which no one can look at."""
    return headed(trace, latent={"shape": [4, 32, 24]})


def halves(other):
    """Finished pictures of a run and of one at half its scale: thin rows of black and white, and another."""
    return tuple(picture.expand(1, 3, 32, 32) for picture in (ROWS, other))


def turned(*shades):
    """Finished pictures of a run and of one at half its scale, whose grey is so many shades of 8 CIEDE2000 another."""
    own = torch.full((len(shades), 3, 32, 32), 0.5)
    return own, own + 0.075 * torch.tensor(shades)[:, None, None, None].clamp(max=6)


def shifted(channels):
    return PICTURES, PICTURES.roll(channels, dims=1)


def clipped(trace, share):
    return with_columns(trace, m10=torch.full((20, 2), share).double())


def unseen(trace):
    """Runs without u have no inner products of it, nor of the difference."""
    return staged(with_products(trace, ["u", "a", "delta"], math.nan), "cond_only")


def without_difference(trace):
    """No u was made at cfg 1."""
    return staged(with_products(trace, ["delta"], math.nan), "cond_only")


def from_zero(trace, name):
    """Runs whose host took zero for u or for c."""
    full, u, delta = trace.record.matrix().clone(), VECTORS.index("u"), VECTORS.index("delta")
    rows = {"u": (u, 0.0), "c": (delta, -1.0)}
    place, factor = rows[name]
    full[..., place, :] = factor * full[..., u, :]
    full[..., :, place] = factor * full[..., :, u]
    return staged(with_columns(trace, K=triangle(full)), "from_zero")


def repeating(trace, step):
    """A schedule that has the level of a step twice."""
    following = trace.steps["sigma_next"].clone()
    following[step] = trace.steps["sigma"][step]
    return with_columns(trace, sigma_next=following)


def unknown_scale(trace):
    """A guider that combines by itself: gamma is nan, and D - G counts from u."""
    gamma = trace.steps["gamma"]
    return with_departure(trace, gamma, gamma=torch.full_like(gamma, math.nan))


def unseen_end(trace):
    """The same, with u and c equal to rounding in the last steps, where no scale can be seen."""
    return nan(with_products(trace, ["delta"], 0.0, slice(17, None)), "gamma_eff", slice(17, None))


def gap(trace):
    """Nothing was evaluated in the place of u at a step."""
    return with_products(trace, ["u", "a", "delta"], math.nan, slice(3, 4))


def pushed_once(trace):
    kappa = torch.full_like(trace.steps["kappa"], 1e-9)
    kappa[5] = 1.0
    return with_columns(trace, kappa=kappa)


def of_class(key):
    kind, _, steps = key.partition("-")
    changes = {"split": "noise not observable"} if kind == "unseen" else {}
    found = run(4.0, changes, steps={"few": 6, "": 16, "many": 40}[steps], sampler="ddpm" if kind == "sde" else "euler")
    return nan(found, "kappa") if kind == "unseen" else found


def without_cfg(trace):
    """Of a schedule about 1, and no widget tells."""
    return headed(with_columns(trace, gamma=torch.linspace(0.5, 1.5, trace.n).double()), cfg=None)


def of_phi(phi):
    stated = {"kind": "rule", "name": "phi", "key": "phi, GGRescale", "value": phi}
    return headed(told(3.5), chain=f"rescale {phi} > CFG", knobs=[stated])


def phi_at(cfg, rule=shrunk):
    """A run with a rule whose number a widget sets."""
    stated = {"kind": RULE, "name": "phi", "key": f"phi, GGRescale, cfg {cfg:g}", "value": 0.7, "title": "Mine"}
    return run(cfg, {**RULED, "knobs": [{**stated, "node": "7"}]}, rule=rule)


def rounded(trace):
    """The same at cfg 1, with D apart from c in the last digit, where u was evaluated after the run."""
    full, at = trace.record.matrix().clone(), VECTORS.index("D-G")
    full[..., at, at] = (trace.steps["floor"][:, None] * trace.count**0.5).square()
    return staged(with_columns(trace, K=triangle(full)), "afterwards", [0, 9, 19])


def report(trace, known=None, **more) -> Any:
    return report_of(trace, known, **more)


def picks(*pairs, by=None, sampler="ode", knob="cfg"):
    return Picks("m", HASH, tuple(Pick(cfg, sampler, good, by=by, knob=knob) for cfg, good in pairs))


def chosen(*pairs, also=(), **how):
    """What somebody chose.  also: what another did"""
    return Known(picks(*pairs, **how).merge(also))


def measured(ratios=(1.0, 1.0, 1.2, 1.6), values=(1.0, 2.0, 4.0, 8.0), knob="cfg", of=None, variety=(), **change):
    """What was measured of the model of `run`: so strange at each value, in twelve pictures.

    of: another run with the sampler and the size. spread: of one picture, the last and the first in turn. strength,
    expected: of all.
    """
    header, spread, one = (of or run()).header, change.get("spread", 0.0), torch.ones(12, dtype=torch.float64)
    share = 1 + spread * torch.cat([-one[:11], 11 * one[:1]])
    strength, expected = (change.get(name, 1.0) * one for name in ("strength", "expected"))
    points = []
    for i, ratio in enumerate(ratios):
        error = ratio * (share.flip(0) if i % 2 else share)
        levels = [Level(sigma, strength, one, error, expected) for sigma in LEVELS]
        points.append(Measurement(levels, setting_of(header)))
    curve = Curve(values, points, [Estimate(value, value, value) for value in variety])
    found = MeasuredCurve(knob, knob, "2026-11-12", curve, beside_of(header))
    return Known(curves=(ModelCurves("m", HASH, (found,)),))


def of_other_class(key):
    return chosen((3.0, True), sampler="sde" if key.startswith("ode") else "ode")


def trouble(name):
    return Known(trouble=(say(name, fault="a.json: version is 2."),))


BURNT = 40.0  # scale at which the exact run burns
LIKED = chosen((2.0, True), (4.5, True), (5.5, False))
OF_PARTS = chosen((9.0, True), (13.0, True), knob="cfg, in a later stage", also=LIKED.picks.picks)
OF_GUIDANCE = chosen((2.0, True), (3.0, False), knob="guidance", also=LIKED.picks.picks)
OF_PHI = chosen((0.3, True), (0.5, False), knob="phi, GGRescale, cfg 8", also=LIKED.picks.picks)
STEERS = "scale, Steer gradient"  # key of the knob of `steered`
HIDDEN = {"notes": [f"{MASKED}: D is the original outside it"], "cfg": None}
EMBEDDED = {"afterwards": {"against": "embedded guidance 1"}}
STATED_KNOB = {"kind": "guidance", "name": "guidance", "key": "guidance", "value": 3.5, "title": "Flux", "node": "9:4",
               "low": 1.0, "high": 100.0}  # fmt: skip
IN_CHAIN = {"chain": "rescale 0.7 > CFG > + 4 x g", "terms": {"gradient": "+ 4 x g"}}
GUIDER = {"guider": "TheirGuider", "chain": "TheirGuider", "host": {"comfyui": "0.3.75"}, "cfg": 4.0}

OF_CURVES = {
    "head.measured.seen": lambda: report(run(8.0), measured()),
    "head.measured.first": lambda: report(run(4.0), measured()),
    "head.measured.calm": lambda: report(run(1.5), measured(variety=(1.0, 0.8, 0.7, 0.5))),
    "head.measured.beyond": lambda: report(run(8.0), measured((1.0, 1.1), (1.0, 2.0))),
    "below what was measured": lambda: report(run(1.5), measured((1.0, 1.1), (2.0, 4.0))),
    "why.gate.strange": lambda: report(run(), measured((2.0, 2.0), (1.0, 2.0))),
    "why.gate.smooth": lambda: report(run(), measured((0.4, 0.4), (1.0, 2.0))),
    "why.gate.strength": lambda: report(run(), measured(strength=1.6)),
    "why.gate.trace": lambda: report(run(), measured(expected=-1.0)),
    "head.unsure": lambda: report(run(), measured((2.2, 2.2), (1.0, 2.0), spread=0.15)),
    "measured, and refused at cfg 1": lambda: report(run(1.0), measured(strength=1.6)),
    "measured, and off": lambda: report(run(1.0), measured()),
    "measured beside picks": lambda: report(run(8.0), replace(measured(), picks=picks((8.0, True)))),
    "measured, without a value that does not guide": lambda: report(run(2.0), measured((1.0, 1.0), (1.5, 4.0))),
    "measured of pictures that differ": lambda: report(run(1.5), measured(spread=0.3)),
    "measured of another schedule": lambda: report(run(), measured(of=run(steps=8))),
    "measured beside another rule": lambda: report(run(), measured(of=run(changes=RULED))),
    "measured of another knob": lambda: report(run(), measured(knob="guidance")),
    "measured of distilled guidance": lambda: report(distilled(2.0), measured(knob="guidance", of=distilled())),
    "measured beside a gradient": lambda: report(steered(weight=1.0), measured(knob=STEERS, of=steered())),
    "measured of a part of a run": lambda: report(part_of(run(8.0), 0, 16), measured()),
    "measured, and long": lambda: report(with_end(run(1.5), 2.0), measured()),
    "measured, and clipped": lambda: report(clipped(run(1.5), 0.5), measured()),
    "measured, and beyond the range": lambda: report(clipped(latents(run(1.5)), 0.5), measured(of=latents(run()))),
    "measured, and burnt": lambda: report(run(BURNT), measured((1.0, 1.0), (1.0, 50.0))),
    "why.curves.damaged": lambda: report(run(), trouble("why.curves.damaged")),
}
OF_PICKS = {
    "head.picks.above": lambda: report(run(8.0), LIKED),
    "head.picks.untried": lambda: report(run(8.0), chosen((3.0, True), (4.0, True))),
    "head.picks.below": lambda: report(run(1.5), LIKED),
    "head.picks.inside": lambda: report(run(), LIKED),
    "inside, and burnt": lambda: report(run(BURNT), chosen((20.0, True), (60.0, True))),
    "above, and burnt": lambda: report(run(BURNT), chosen((3.0, True))),
    "head.judged.above": lambda: report(run(8.0), chosen((3.0, True), (6.0, False), by="CLIP")),
    "head.judged.untried": lambda: report(run(8.0), chosen((3.0, True), by="CLIP")),
    "head.judged.below": lambda: report(run(1.5), chosen((3.0, True), by="CLIP")),
    "head.judged.inside": lambda: report(run(), chosen((3.0, True), (5.0, True), by="CLIP")),
    "chose.both": lambda: report(run(), chosen((3.0, True), by="CLIP", also=picks((5.0, True)).picks)),
    "cfg.like": lambda: report(patched(4.0, 8.0), LIKED),
    "why.picks.damaged": lambda: report(run(), trouble("why.picks.damaged")),
    "why.picks.plain": lambda: report(run(4.0, RULED, rule=shrunk), LIKED),
    "help.widget": lambda: report(patched(8.0, 16.0), LIKED),
    "a patch below the range": lambda: report(patched(1.5, 2.0), LIKED),
    "a patch of unknown factor": lambda: report(patched(0.5, 8.0), LIKED),
    "a patch at cfg 1": lambda: report(patched(8.0, 1.0), LIKED),
    "who.node": lambda: report(patched(4.0, 8.0, rule=projected), LIKED),
    "who.mask": lambda: report(run(4.0, HIDDEN, rule=shrunk), LIKED),
    "a guider by itself": lambda: report(run(4.0, GUIDER), LIKED),
    "at 1.5 in a flow": lambda: report(run(1.5, space="flow"), LIKED),
    **{f"sampler.{key}": lambda key=key: report(of_class(key), of_other_class(key)) for key in CLASSES},
}
OF_ANOTHER_KNOB = {
    "told a guidance": lambda: report(distilled()),
    "remedy.knob": lambda: report(distilled(), OF_GUIDANCE),
    "head.knob.untried": lambda: report(distilled(), chosen((2.0, True), knob="guidance")),
    "head.knob.below": lambda: report(distilled(1.5), chosen((2.0, True), knob="guidance")),
    "head.knob.inside": lambda: report(steered(weight=1.0), chosen((1.0, True), knob=STEERS)),
    "whose.judge": lambda: report(distilled(), chosen((3.5, True), by="CLIP", knob="guidance")),
    "cfg beside a told guidance": lambda: report(run(4.0, {"distilled_guidance": 3.5})),
    "a pass at cfg 1 beside a told guidance": lambda: report(
        run(1.0, {"distilled_guidance": 3.5, "passes": {"PAG": 20}})
    ),
    "a gradient beside a told guidance": lambda: report(steered(distilled_guidance=3.5)),
    "of a widget": lambda: report(distilled(knobs=[STATED_KNOB])),
    "picks of cfg beside those of guidance": lambda: report(run(), OF_GUIDANCE),
    "a gradient of which nothing is chosen": lambda: report(steered(weight=1.0), OF_GUIDANCE),
    "a gradient burns inside its picks": lambda: report(steered(), chosen((30.0, True), (50.0, True), knob=STEERS)),
    "a gradient burns beside picks of cfg": lambda: report(steered(), LIKED),
    "of a rule": lambda: report(phi_at(8.0), OF_PHI),
    "of a rule that nobody chose": lambda: report(phi_at(8.0), LIKED),
    "of a rule beside another cfg": lambda: report(phi_at(4.0), OF_PHI),
    "of a rule that burns": lambda: report(phi_at(BURNT, lambda u, c, guided: 1.01 * guided), OF_PHI),
}
ODD = {
    "head.empty": lambda: report(part_of(run(), 0, 0)),
    "no numbers": lambda: report(nan(run(), "evals")),
    "no samples": lambda: report(run().of_samples(slice(0, 0))),
    "head.not_finite": lambda: report(nan(run(), "K", slice(3, None))),
    "help.repeats": lambda: report(nan(repeating(run(), 2), "K", slice(3, None))),
    "head.one_step": lambda: report(part_of(run(), 19, 20)),
    "head.lost": lambda: report(unseen(faulty(run()))),
    "head.no_uncond": lambda: report(unseen(run())),
    "head.zero.negative": lambda: report(from_zero(run(), "u")),
    "head.zero.positive": lambda: report(from_zero(run(), "c")),
    "head.cached": lambda: report(staged(run(), "skip", range(8, 20))),
    "head.unseen": lambda: report(staged(unseen(nan(run(), "gamma")), "unseen")),
    "head.moved": lambda: report(nan(unseen(run()), "gamma")),
    "who.rule": lambda: report(nan(unseen(run(changes=RULED)), "gamma")),
    "head.changed": lambda: report(nan(run(1.0), "kappa")),
    "head.scale": lambda: report(unknown_scale(run(changes={"chain": "TheirGuider"}))),
    "who.guider": lambda: report(unknown_scale(run())),
    "head.scales": lambda: report(run(4.0, {"lanes": lanes(1.0, 4.0, 4.0)}), LIKED),
    "head.chains": lambda: report(run(4.0, {"lanes": lanes(4.0, 4.0, chain="APG eta 0 > CFG")})),
    "side by side with one setting": lambda: report(run(4.0, {"lanes": lanes(4.0, 4.0)}), LIKED),
    "side by side, one burns": lambda: report(run(BURNT, {"lanes": lanes(1.0, BURNT)}), LIKED, half=run(2.0)),
    "side by side with rules": lambda: report(run(8.0, {**RULED, "lanes": lanes(4.0, 8.0)}, rule=projected), LIKED),
    "why.lost": lambda: report(faulty(run())),
    "a fault took the last step": lambda: report(replace(part_of(faulty(run(), 19), 0, 19), tensors=run().tensors)),
    "record.fault": lambda: report(run(changes={"faults": ["no numbers from step 3 on: disk"]})),
    "a difference that is lost": lambda: report(gap(run())),
    "a difference that is reused": lambda: report(staged(gap(run()), "reuse", [3])),
    "equal predictions at the end": lambda: report(unseen_end(run())),
    "why.size.damaged": lambda: report(run(), trouble("why.size.damaged")),
    "size.vae": lambda: report(unsized(run()), Known(size=Size(0.9, 8))),
    "size.format": lambda: report(unsized(run()), Known(size=Size(1.0, format="SD15"))),
    "size: of the trace": lambda: report(run(), Known(size=Size(0.9, 8))),
}
NOT_GUIDED = {
    "help.off": lambda: report(run(1.0)),
    "head.off": lambda: report(run(1.0), LIKED),
    "head.off.node": lambda: report(patched(1.0, 8.0), LIKED),
    "off, good below 1": lambda: report(run(1.0), chosen((0.4, True), (5.0, True))),
    "head.weak": lambda: report(run(0.5), LIKED),
    "weak, good below 1": lambda: report(run(0.5), chosen((0.4, True), (5.0, True))),
    "weak, nothing": lambda: report(run(0.5)),
    "head.same": lambda: report(equal_predictions(run())),
    "no negative": lambda: report(run(1.0, {"negative": False})),
    "noise at cfg 1": lambda: report(run(1.0, sampler="ddpm")),
    "rounding at cfg 1 is no push": lambda: report(rounded(run(1.0))),
    "a rule that moves the prediction at cfg 1 guides": lambda: report(run(1.0, RULED, rule=shrunk)),
    "a pass at cfg 1": lambda: report(unseen(run(1.0, {"passes": {"STG": 20}}))),
}
PARTS = {
    "head.stage": lambda: report(part_of(run(), 0, 9)),
    "the end of a run": lambda: report(part_of(run(), 9, 20)),
    "place.above": lambda: report(stage_of(13.0, 0, 30), LIKED),
    "place.below": lambda: report(stage_of(1.5, 0, 30), LIKED),
    "place.inside": lambda: report(stage_of(4.0, 18, 40), LIKED),
    "first stage, off": lambda: report(stage_of(1.0, 0, 30), LIKED),
    "later stage, picks of such stages": lambda: report(stage_of(13.0, 18, 40), OF_PARTS),
    "first stage, picks of later ones": lambda: report(stage_of(13.0, 0, 30), OF_PARTS),
    "whole run, picks of later stages": lambda: report(run(13.0), OF_PARTS),
    "later stage, in the dark": lambda: report(part_of(darkened(run()), 8, 20)),
    "later stage, in the dark, of unknown size": lambda: report(unsized(part_of(darkened(run()), 8, 20))),
    "whole run, in the dark, of unknown size": lambda: report(unsized(darkened(run()))),
}
BURNING = {
    "head.burns": lambda: report(run(BURNT)),
    "head.burns.gradient": lambda: report(steered()),
    "at 16": lambda: report(run(16.0)),
    "at an unknown scale": lambda: report(unknown_scale(run(BURNT))),
    "beside a pass": lambda: report(run(BURNT, {"passes": {"STG": 20}})),
    "of unknown size, and longer than the first level": lambda: report(
        with_columns(unsized(run(BURNT)), K=100 * run(BURNT).steps["K"])
    ),
    "at a low cfg": lambda: report(run(1.5, RULED, rule=stretched)),
    "cfg beside a gradient": lambda: report(extended(run(BURNT), "gradient", 1.0, weight=0.5)),
    "beside a gradient no rule": lambda: report(steered(4.0, **IN_CHAIN)),
    "beside a gradient at cfg 1 no rule": lambda: report(steered(1.0, **IN_CHAIN)),
    "a gradient without a difference": lambda: report(without_difference(steered())),
    "a gradient without a number": lambda: report(headed(steered(), scales={})),
    "a patch": lambda: report(patched(BURNT, 10.0)),
}
FINDINGS = {
    "head.unmeasured": lambda: report(run()),
    "acts.step": lambda: report(pushed_once(run())),
    "acts.unknown": lambda: report(nan(run(), "kappa")),
    "a push that is unknown at first": lambda: report(nan(run(), "kappa", slice(0, 5))),
    "a push that is unknown at the end": lambda: report(nan(run(), "kappa", slice(19, 20))),
    "a push that is unknown in the middle": lambda: report(nan(run(), "kappa", slice(10, 11))),
    "costs of skipping that are unknown": lambda: report(nan(run(), "m14")),
    "effect.rules": lambda: report(run(8.0, RULED, rule=projected)),
    "effect.rules, of unknown scale": lambda: report(acting(run(8.0, RULED, rule=projected), [math.nan] * 20)),
    "effect.passes": lambda: report(run(8.0, {"passes": {"STG": 20}}, rule=projected)),
    "effect.node": lambda: report(patched(2.0, 4.0)),
    "effect.named": lambda: report(run(4.0, {"cfg": 8.0, "chain": "halved", "host": {}})),
    "a patch that is named": lambda: report(patched(4.0, 8.0, {"patches": ["halve (their_pack.nodes)"]})),
    "effect.guider": lambda: report(run(4.0, {"cfg": None, "chain": "TheirGuider"}, rule=projected)),
    "effect.guider.apart": lambda: report(passed(run(4.0, {"cfg": None, "guider": "TheirGuider"}))),
    "a guider by itself that projects": lambda: report(run(4.0, GUIDER, rule=projected)),
    "like.steps": lambda: report(acting(run(8.0, RULED, rule=along), [1.0] * 6 + [8.0] * 3 + [1.0] * 11)),
    "like.samples": lambda: report(patched(2.0, 8.0, rule=each_its_own, batch=8)),
    "passes.further": lambda: report(run(changes={"passes": {"STG": 20}})),
    "passes.idle": lambda: report(passed(run(), size=1e-6)),
    "passes.pushed": lambda: report(passed(run())),
    "passes.inside": lambda: report(run(changes={"inside": {"NAG": 40}})),
    "a pass of weight 0": lambda: report(passed(run(), weight=0.0)),
    "a pass whose direction is unknown": lambda: report(passed(run(), across=math.nan)),
    "a pass of unknown weight": lambda: report(passed(run(), weight=math.nan)),
    "a pass that never ran": lambda: report(passed(run(), counts=0.0)),
    "further prompts": lambda: report(run(changes={"beside": ["1 further prompt x -1"]})),
    "skip.some": lambda: report(with_columns(run(), m14=torch.full((20, 2), 1e-3).double())),
    "skip.none": lambda: report(with_columns(run(), m14=torch.full((20, 2), 9.0).double())),
    "skip.unknown": lambda: report(unsized(run())),
    "negative.unknown": lambda: report(run(changes={"negative": True})),
    "no negative, guided": lambda: report(run(changes={"negative": False})),
    "rule.none": lambda: report(run(4.0, {"chain": "APG eta 1 > CFG"})),
    "rule.off": lambda: report(run(1.0, {"chain": "APG eta 0 > CFG"})),
    "rule.moved": lambda: report(run(4.0, RULED, rule=shrunk)),
    "rule.scaled": lambda: report(scheduled(run(4.0, {"chain": "linear > CFG"}))),
    "distilled.push": lambda: report(staged(run(1.0, {"afterwards": {"against": "the negative"}}), "afterwards")),
    "distilled.embedded": lambda: report(staged(run(1.0, EMBEDDED), "afterwards", [4])),
    "who.both": lambda: report(steered(4.0)),
    "classifier.zero": lambda: report(extended(run(), "gradient", 0.0)),
    "classifier.unknown": lambda: report(extended(run(), "gradient", 0.5, weight=None)),
    "classifier.moved": lambda: report(extended(run(), "gradient", 0.5)),
    "an energy that watches is no rule": lambda: report(watched("watch p")),
    "two texts, of which one begins the other": lambda: report(watched("watch a > b", "watch a > b, from 0.5 on")),
    **{
        f"a guide alone in {alone}, its judge in {reverse}": lambda pair=(alone, reverse): of_guide(*pair)
        for alone, reverse in ((6, 0), (5, 0), (4, 0), (2, 0), (6, 3))
    },
    "clipped.beyond": lambda: report(latents(run())),
    "judge.failed": lambda: report(run(), judge=Judged("CLIP", torch.zeros(0), "out of memory")),
    "judge.found": lambda: report(run(), judge=Judged("CLIP", torch.tensor([-3.0, -0.1]))),
}
HALVES = {
    "half.same": lambda: one_picture(halves(ROWS)),
    "half.all": lambda: report(run(2.0), half=ending(1.01)),
    "half.some": lambda: report(run(2.0), half=ending(1.0, -1.0)),
    "half.other": lambda: one_picture(halves(1 - ROWS)),
    "half.none": lambda: report(run(2.0), half=ending(-1.0)),
    "half.close": lambda: one_picture(turned(1)),
    "half.close.all": lambda: report(run(2.0), half=run(1.0), shown=turned(1, 1)),
    "half.close.some": lambda: report(run(2.0), half=run(1.0), shown=turned(0, 1)),
    "half.mixed": lambda: report(run(2.0), half=run(1.0), shown=turned(1, 9)),
    "change.colours": lambda: one_picture(halves(0.3 * ROWS)),
    "change.shapes": lambda: one_picture(halves(ROWS.mT)),
    "half.near": lambda: of_latents(1.39),
    "half.near.some": lambda: of_latents(1.0, -1.0),
    "half.far": lambda: of_latents(1.41),
    "half.clipped": lambda: report(clipped(run(2.0), 0.5), half=clipped(ending(1.01), 0.3)),
    "half.beyond": lambda: report(clipped(latents(run(2.0)), 0.5), half=clipped(latents(ending(1.01)), 0.3)),
    "half.equal": lambda: report(run(2.0), half=run(2.0)),
    "half.strange": lambda: report(run(2.0), half=run(1.0, {"seed": 1})),
    "half.lost": lambda: report(run(2.0), half=run(1.0, capture=False)),
    "no widget tells": lambda: report(run(2.0), half=without_cfg(ending(1.01))),
    "no steps": lambda: report(run(2.0), half=replace(part_of(ending(1.0), 0, 0), tensors=ending(1.0).tensors)),
    "another model": lambda: report(run(2.0), half=headed(ending(1.0), model={"name": "m", "hash": "cd" * 32})),
    "of a told guidance": lambda: report(told(3.5), half=told(1.75)),
    "two knobs": lambda: report(told(3.5), half=headed(told(1.75), cfg=2.0)),
    "a number of a rule": lambda: report(of_phi(0.7), half=of_phi(0.35)),
    "pictures that are equal": lambda: of_latents(1.0, shown=shifted(0)),
    "pictures tell, whatever ends say": lambda: of_latents(1.01, shown=shifted(1)),
    "too few pictures": lambda: of_latents(1.0, shown=halves(ROWS)),
    "pictures of another size": lambda: of_latents(1.0, shown=(PICTURES, PICTURES[..., :-1])),
    "pictures that are not finite": lambda: of_latents(1.0, shown=(PICTURES, PICTURES * math.nan)),
}


def one_picture(shown):
    return report(run(2.0, batch=1), half=run(1.0, batch=1), shown=shown)


def of_latents(*factors, shown=None):
    return report(latents(run(2.0)), half=latents(ending(*factors)), shown=shown)


def of_guide(alone, reverse):
    trace, judge = fooled(alone, reverse)
    return report(trace, judge=judge)


GROUPS = {"curves": OF_CURVES, "picks": OF_PICKS, "knobs": OF_ANOTHER_KNOB, "odd": ODD, "not guided": NOT_GUIDED,
          "parts": PARTS, "burning": BURNING, "findings": FINDINGS, "half": HALVES}  # fmt: skip
CASES = {f"{group}: {name}": row for group, rows in GROUPS.items() for name, row in rows.items()}


@cache
def made(row):
    return CASES[row]()
