"""What a report says of a run, in one table: every sentence with its facts, the colour and the scale to take."""

import json
import math
import random
import re
from dataclasses import fields, replace
from functools import cache
from itertools import product
from pathlib import Path
from string import Formatter
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from guidance_geometry.measure.curve import Curve
from guidance_geometry.measure.estimates import Estimate
from guidance_geometry.measure.levels import LEVELS, Level
from guidance_geometry.measure.measurement import Measurement, setting_of
from guidance_geometry.tests.contradictions import contradictions
from guidance_geometry.tests.plain_words import clumsy, sentences
from guidance_geometry.tests.project import ROOT
from guidance_geometry.tests.random_runs import random_run
from guidance_geometry.tests.report_schema import SCHEMA, misfits
from guidance_geometry.tests.traces import exact_trace
from guidance_geometry.trace.effective import MASKED, EffectiveScale
from guidance_geometry.trace.gram import VECTORS, triangle
from guidance_geometry.trace.pushes import push_shares
from guidance_geometry.verdict.card import Band, Card
from guidance_geometry.verdict.features import Features, features_of
from guidance_geometry.verdict.findings import Judged
from guidance_geometry.verdict.known import Known, Template
from guidance_geometry.verdict.measured import MeasuredCurve, ModelCurves, beside_of
from guidance_geometry.verdict.odds import ODDS, HalfOdds, Odds, RuleOdds, odds_of
from guidance_geometry.verdict.picks import CFG, Pick, Picks
from guidance_geometry.verdict.report import AGAINST, COLOURS, VERSION, report_of
from guidance_geometry.verdict.run_knobs import DISTILLED, GRADIENT, RULE
from guidance_geometry.verdict.sampler_class import CLASSES, MEASURED
from guidance_geometry.verdict.scale import scale_of
from guidance_geometry.verdict.sentences import LANGUAGES, SENTENCES, say, short
from guidance_geometry.verdict.size import Size, read_size, write_size


def darkened(trace):
    """The same run, had its last step gone to zero: move = -x."""
    full, (u, a, move) = trace.record.matrix().clone(), map(VECTORS.index, ("u", "a", "move"))
    row = full[-1, :, a] - full[-1, :, u]
    full[-1, :, move], full[-1, :, :, move] = row, row
    full[-1, :, move, move] = row[:, a] - row[:, u]
    return with_columns(trace, K=triangle(full))


FACTS, INSIDE = (
    json.loads((ROOT / "tests" / "fixtures" / name).read_text(encoding="utf-8"))
    for name in ("report_facts.json", "report_facts_inside.json")
)
HASH = "ab" * 32
RUNS = {}
STATED = Odds(  # no measurement: a sentence must not go when odds are measured anew
    sure=4.5, likely=2.5, false=0.05, hits=((2.0, 0.23), (3.0, 0.76), (4.0, 0.91)), beyond=1.5, ratio=1.6,
    rules=RuleOdds(further=1.2, false=0.04, miss=0.3),
    card_false=0.05, card_coverage=0.8, half=HalfOdds(
        same=0.6, wrong=0.04, close=1.0, changed=0.15, near=0.4, subject=0.009, colours=0.2),
)  # fmt: skip
STEERS = "scale, Steer gradient"  # key of the knob of `steered`
EDGES = {"high": {"overmean": 0.3, "strength": 0.35}}


def run(gamma=4.0, changes=(), **how):
    """An exact run of 20 steps, made once, with other facts in its header."""
    key = (gamma, *sorted((name, str(value)) for name, value in how.items()))
    if key not in RUNS:
        RUNS[key] = exact_trace(gamma, **{"steps": 20, "batch": 2, **how})
    trace = RUNS[key]
    return replace(trace, header={**trace.header, "model": {"name": "m", "hash": HASH}, **dict(changes)})


def with_columns(trace, **columns):
    return replace(trace, steps={**trace.steps, **columns})


def passed(trace, weight=1.0, size=0.05, across=0.25, counts=1.0):
    """The record of a run with a further pass, of so large a difference."""
    n, batch = trace.n, trace.batch
    levels = {"evals PAG": counts, "scale PAG": weight}
    values = {"pass PAG": size, "along PAG": 0.5, "across PAG": across}
    columns = {name: torch.full((n,), value).double() for name, value in levels.items()}
    columns |= {name: torch.full((n, batch), value).double() for name, value in values.items()}
    header = {**trace.header, "passes": {"PAG": n}, "evaluations": 3 * n}
    return replace(with_columns(trace, **columns), header=header)


def part_of(trace, first, last):
    steps = {name: column[first:last] for name, column in trace.steps.items()}
    return replace(trace, steps=steps, stage=trace.stage[first:last], tensors={})


def faulty(trace, first=12):
    """The record of a run whose numbers a fault took from a step on."""
    faults = {"faults": [f"no numbers from step {first + 1} on: RuntimeError (boom)"]}
    return replace(nan(trace, "evals", slice(first, None)), header={**trace.header, **faults})


def staged(trace, stage, steps=None):
    """Some steps of a run made another stage."""
    chosen = range(trace.n) if steps is None else steps
    return replace(trace, stage=[stage if i in chosen else s for i, s in enumerate(trace.stage)])


def card(low=2.0, centre=3.0, high=5.0, edges=EDGES, sampler="ode", sha256=HASH):
    band = Band(low, centre, high, 2000, "J", {"low": {}, "high": {}, **edges})
    return Card("m", sha256, 0.4684, "data", {sampler: band}, "a judge", "2026-11-27")


def picks(*pairs, by=None, sampler="ode", knob="cfg"):
    return Picks("m", HASH, tuple(Pick(cfg, sampler, good, by=by, knob=knob) for cfg, good in pairs))


def of_both():
    """A range whose lower end a judge chose, and the upper end the user."""
    return picks((3.0, True), by="CLIP").merge(picks((5.0, True)).picks)


def template(*scales):
    return Template("m.safetensors", scales, 2, "templates 1.0")


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


def fooled(alone, reverse, batch=12):
    """What a report says where a guide finds so many samples that a judge does not, and the other way round."""
    own, judge = torch.full((batch,), -0.1), torch.full((batch,), -0.1)
    judge[:alone], own[alone : alone + reverse] = -3.0, -3.0
    trace = extended(run(batch=batch), "gradient", 0.5, own)
    return report(trace, judge=Judged("CLIP", judge))


def equal_predictions(trace):
    """The same run, had the condition added nothing."""
    full = trace.record.matrix().clone()
    at = VECTORS.index("delta")
    full[..., at, :] = 0
    full[..., :, at] = 0
    return with_columns(trace, K=triangle(full))


def unsized(trace):
    return replace(trace, header={**trace.header, "sigma_data": None})


def nan(trace, name, steps=slice(None)):
    column = trace.steps[name].clone()
    column[steps] = math.nan
    return with_columns(trace, **{name: column})


def begun_late(trace, first=3):
    """The record of a run that made no second prediction before a step."""
    products = torch.cat([unseen(trace).steps["K"][:first], trace.steps["K"][first:]])
    return staged(with_columns(trace, K=products), "cond_only", range(first))


def scheduled(trace):
    """A run whose rule changed cfg from step to step: D stays what it was, so D - G makes up for the other scale."""
    gamma = trace.steps["gamma"] + torch.linspace(-1, 1, trace.n).double()
    full = trace.record.matrix().clone()
    i, d = VECTORS.index("D-G"), VECTORS.index("delta")
    off = (trace.steps["gamma"] - gamma)[:, None]
    full[..., i, :] = off[..., None] * full[..., d, :]
    full[..., :, i] = off[..., None] * full[..., :, d]
    full[..., i, i] = off**2 * full[..., d, d]
    return with_columns(trace, gamma=gamma, K=triangle(full))


def shrunk(u, c, guided):
    return 0.8 * guided


def projected(u, c, guided):
    """APG at eta 0: of what lies beyond c, nothing along c."""
    beyond = guided - c
    shares = (beyond * c).flatten(1).sum(1) / (c * c).flatten(1).sum(1)
    return guided - shares[:, None, None, None] * c


def each_its_own(u, c, guided):
    """A scale for each sample, about the widget's quarter."""
    scales = torch.linspace(1.5, 2.5, len(u), dtype=u.dtype)[:, None, None, None]
    return u + scales * (c - u)


def patched(gamma, cfg, changes=(), **how):
    """A run in a host that acted with one scale where its widget said another."""
    host = {"cfg": cfg, "host": {"comfyui": "0.3.75"}, "chain": "CFGGuider"}
    return run(gamma, {**host, **dict(changes)}, **how)


def along(u, c, guided):
    """Half of what cfg asks for beyond c, and nothing across."""
    return c + (guided - c) / 2


def acting(trace, scales):
    """The same run, had its steps acted at these scales."""
    scales = torch.as_tensor(scales, dtype=torch.float64)
    return with_columns(trace, gamma_eff=scales[:, None].expand(trace.n, trace.batch))


def report(trace, known=None, odds=STATED, **more) -> Any:
    return report_of(trace, known, odds=odds, **more)


ROWS = (torch.arange(32.0) % 4 // 2)[:, None].expand(32, 32)
UNSEEN = [key for key in CLASSES if key not in MEASURED]
BURNT = 40.0  # scale at which the exact run burns
LEAST, MOST, MIXED = ({"high": {"overmean": a, "strength": b}} for a, b in ((-9.0, 1e-3), (9.0, 9.0), (9.0, 1e-3)))
RULED = {"chain": "rescale 0.7 > CFG"}
HIDDEN = {"notes": [f"{MASKED}: D is the original outside it"], "cfg": None}
LATER = {"afterwards": {"against": "the negative"}}
PICKED = picks((6.0, True), (7.0, True))
LATER_PICKS = picks((9.0, True), (13.0, True), knob="cfg, in a later stage")
BOTH = picks((2.0, True), (3.0, False), knob="guidance").merge(picks((3.0, True), (9.0, False)).picks)
OF_PHI = picks((0.3, True), (0.5, False), knob="phi, GGRescale, cfg 8")
STATED_KNOB = {"kind": "guidance", "name": "guidance", "key": "guidance", "value": 3.5, "title": "Flux", "node": "9:4",
               "low": 1.0, "high": 100.0}  # fmt: skip
IN_CHAIN = {"chain": "rescale 0.7 > CFG > + 4 x g", "terms": {"gradient": "+ 4 x g"}}
GUIDER = {"guider": "TheirGuider", "chain": "TheirGuider", "host": {"comfyui": "0.3.75"}, "cfg": 4.0}
PICTURES = torch.rand(2, 3, 20, 30, generator=torch.Generator().manual_seed(0))


def curves(ratios=(1.0, 1.0, 1.2, 1.6), values=(1.0, 2.0, 4.0, 8.0), strength=1.0, variety=(), spread=0.0, **change):
    """What was measured of the model of `run`: so strange at each value, in twelve pictures."""
    share = 1 + spread * torch.cat([torch.full([11], -1.0), torch.tensor([11.0])]).double()
    points = []
    for ratio in ratios:
        ones = torch.ones(12, dtype=torch.float64)
        sums = [Level(sigma, strength * ones, ones, ratio * ones * share, ones * change.get("expected", 1.0))
                for sigma in LEVELS]  # fmt: skip
        points.append(Measurement(sums, setting_of(run().header)))
    curve = Curve(values, points, [Estimate(one, one, one) for one in variety])
    measured = MeasuredCurve("cfg", "cfg", "2026-11-12", curve, beside_of(run().header))
    return Known(curves=ModelCurves("m", HASH, (measured,)))


def with_end(trace, times):
    """The same run, whose finished samples are so many times as large as clean data."""
    return replace(trace, header={**trace.header, "sigma_data": features_of(trace).end / times})


CASES = {
    "head.measured.seen": lambda: report(run(8.0), curves()),
    "head.measured.first": lambda: report(run(4.0), curves()),
    "head.measured.calm": lambda: report(run(1.5), curves(variety=(1.0, 0.8, 0.7, 0.5))),
    "head.measured.beyond": lambda: report(run(8.0), curves((1.0, 1.1), (1.0, 2.0))),
    "head.refused": lambda: report(run(), curves((2.0, 2.0), (1.0, 2.0))),
    "why.gate.smooth": lambda: report(run(), curves((0.4, 0.4), (1.0, 2.0))),
    "why.gate.strength": lambda: report(run(), curves(strength=1.6)),
    "why.gate.trace": lambda: report(run(), curves(expected=-1.0)),
    "head.unsure": lambda: report(run(), curves((2.0, 2.0), (1.0, 2.0), spread=0.15)),
    "measured beside picks": lambda: report(run(8.0), replace(curves(), picks=picks((8.0, True)))),
    "measured, and green no more": lambda: report(with_end(run(1.5), 2.0), curves()),
    "measured, and clipped": lambda: report(with_columns(run(1.5), m10=torch.full([20, 2], 0.5)), curves()),
    "why.curves.damaged": lambda: report(run(), Known(trouble=(say("why.curves.damaged", fault="It is no JSON."),))),
    "head.picks.above": lambda: report(run(8.0), Known(picks((3.0, True), (4.0, True), (6.0, False)))),
    "head.picks.untried": lambda: report(run(8.0), Known(picks((3.0, True), (4.0, True)))),
    "head.picks.below": lambda: report(run(1.5), Known(picks((3.0, True)))),
    "head.picks.inside": lambda: report(run(), Known(picks((3.0, True), (5.0, True)))),
    "head.judged.above": lambda: report(run(8.0), Known(picks((3.0, True), (6.0, False), by="CLIP"))),
    "head.judged.untried": lambda: report(run(8.0), Known(picks((3.0, True), by="CLIP"))),
    "head.judged.below": lambda: report(run(1.5), Known(picks((3.0, True), by="CLIP"))),
    "head.judged.inside": lambda: report(run(), Known(picks((3.0, True), (5.0, True), by="CLIP"))),
    "chose.both": lambda: report(run(), Known(of_both())),
    "head.card.above": lambda: report(run(8.0), Known(card=card())),
    "head.card.edge": lambda: report(run(7.0), Known(card=card())),
    "head.card.below": lambda: report(run(1.5), Known(card=card())),
    "head.card.inside": lambda: report(run(), Known(card=card())),
    "head.card.further": lambda: report(run(16.0, RULED, rule=shrunk), Known(card=card(edges=LEAST))),
    "head.card.no_further": lambda: report(run(4.0, RULED, rule=shrunk), Known(card=card(edges=MOST))),
    "head.template.above": lambda: report(run(8.0), Known(template=template(4.0))),
    "head.template.alike": lambda: report(run(), Known(template=template(1.0, 4.0, 4.5))),
    "head.template.below": lambda: report(run(1.5), Known(template=template(4.0))),
    "head.burns": lambda: report(run(BURNT)),
    "head.burns.gradient": lambda: report(steered()),
    "head.gradient": lambda: report(steered(weight=1.0)),
    "head.may_burn": lambda: report(run(16.0)),
    "head.inside_burns": lambda: report(run(BURNT), Known(card=card(20, 40, 60))),
    "head.no_sign": lambda: report(run()),
    "head.off": lambda: report(run(1.0), Known(card=card())),
    "head.off.node": lambda: report(patched(1.0, 8.0), Known(card=card())),
    "cfg.like": lambda: report(patched(4.0, 8.0), Known(card=card())),
    "head.weak": lambda: report(run(0.5), Known(picks((3.0, True)))),
    "head.same": lambda: report(equal_predictions(run())),
    "head.empty": lambda: report(part_of(run(), 0, 0)),
    "head.not_finite": lambda: report(nan(run(), "K", slice(3, None))),
    "head.one_step": lambda: report(run(steps=20, skip=()) and part_of(run(), 19, 20)),
    "head.stage": lambda: report(part_of(run(), 0, 9)),
    "head.stage.known": lambda: report(part_of(run(8.0), 0, 16), Known(card=card())),
    "head.distilled": lambda: report(distilled()),
    "remedy.knob": lambda: report(distilled(), Known(picks((2.0, True), (3.0, False), knob="guidance"))),
    "head.knob.untried": lambda: report(distilled(), Known(picks((2.0, True), knob="guidance"))),
    "head.knob.below": lambda: report(distilled(1.5), Known(picks((2.0, True), knob="guidance"))),
    "head.knob.inside": lambda: report(steered(weight=1.0), Known(picks((1.0, True), knob=STEERS))),
    "whose.judge": lambda: report(distilled(), Known(picks((3.5, True), by="CLIP", knob="guidance"))),
    "head.lost": lambda: report(unseen(faulty(run()))),
    "head.no_uncond": lambda: report(unseen(run())),
    "head.zero.negative": lambda: report(from_zero(run(), "u")),
    "head.zero.positive": lambda: report(from_zero(run(), "c")),
    "head.cached": lambda: report(staged(run(), "skip", range(8, 20))),
    "head.unseen": lambda: report(staged(unseen(nan(run(), "gamma")), "unseen")),
    "head.moved": lambda: report(nan(unseen(run()), "gamma")),
    "help.repeats": lambda: report(nan(repeating(run(), 2), "K", slice(3, None))),
    "head.scale": lambda: report(unknown_scale(run(changes={"chain": "TheirGuider"}))),
    "head.scales": lambda: report(run(4.0, {"lanes": lanes(1.0, 4.0, 4.0)}), Known(card=card())),
    "head.chains": lambda: report(run(4.0, {"lanes": lanes(4.0, 4.0, chain="APG eta 0 > CFG")})),
    "head.passes": lambda: report(run(changes={"passes": {"STG": 20}}), Known(card=card())),
    "head.changed": lambda: report(run(3.0, RULED, rule=shrunk), Known(card=card(edges=MIXED))),
    "why.lost": lambda: report(faulty(run())),
    "why.picks": lambda: report(run(), Known(picks((3.0, True), (9.0, False)))),
    "why.picks.judge": lambda: report(run(), Known(picks((3.0, True), by="CLIP"))),
    "why.card.size": lambda: report(
        run(changes={"latent": {"shape": [3, 32, 32], "native": [3, 16, 16]}}), Known(card=card())
    ),
    "why.card.lengths": lambda: report(scheduled(run(4.0, {"chain": "linear > CFG"})), Known(card=card())),
    "why.along": lambda: report(run(16.0, RULED, rule=along), Known(card=card(edges=LEAST))),
    "why.along.across": lambda: report(run(16.0, RULED, rule=projected), Known(card=card(edges=LEAST))),
    "place.inside": lambda: report(run(6.0, RULED, rule=along), Known(card=card(edges=MIXED))),
    "place.above": lambda: report(run(16.0, RULED, rule=along), Known(card=card(edges=MIXED))),
    "place.below": lambda: report(run(2.0, RULED, rule=along), Known(card=card(edges=MIXED))),
    "why.template": lambda: report(run(), Known(template=template(4.0))),
    "why.template.distilled": lambda: report(run(), Known(template=template(1.0))),
    "why.template.rules": lambda: report(run(4.0, RULED, rule=shrunk), Known(template=template(4.0))),
    "why.card.damaged": lambda: report(run(), Known(trouble=(say("why.card.damaged", fault="a.json: version is 2."),))),
    "why.card.other": lambda: report(run(), Known(card=card(sha256="cd" * 32))),
    "why.card.class": lambda: report(run(), Known(card=card(sampler="sde"))),
    "why.card.features": lambda: report(run(4.0, RULED, rule=shrunk), Known(card=card(edges={}))),
    "why.card.features.own": lambda: report(begun_late(run(16.0, RULED, rule=shrunk)), Known(card=card(edges=MIXED))),
    "why.picks.damaged": lambda: report(
        run(), Known(trouble=(say("why.picks.damaged", fault="b.json: it is empty."),))
    ),
    "why.size.damaged": lambda: report(run(), Known(trouble=(say("why.size.damaged", fault="c.json: version is 2."),))),
    "why.picks.class": lambda: report(run(), Known(picks((3.0, True), sampler="sde"))),
    "why.picks.plain": lambda: report(run(4.0, RULED, rule=shrunk), Known(picks((3.0, True)))),
    "help.off": lambda: report(run(1.0)),
    "help.widget": lambda: report(patched(8.0, 16.0), Known(card=card())),
    "help.whole": lambda: report(part_of(run(), 9, 20)),
    "help.steps": lambda: report(part_of(run(), 19, 20)),
    "help.record": lambda: report(nan(run(), "evals")),
    "help.guider": lambda: report(unknown_scale(run())),
    "help.alone": lambda: report(run(4.0, {"lanes": lanes(1.0, 4.0)})),
    "help.plain": lambda: report(run(changes={"beside": ["1 further prompt x -1"]})),
    "help.precision": lambda: report(nan(run(), "K")),
    "odds.picks": lambda: report(run(), Known(picks((3.0, True)))),
    "acts.step": lambda: report(pushed_once(run())),
    "who.both": lambda: report(steered(4.0)),
    "who.node": lambda: report(patched(4.0, 8.0, rule=projected), Known(picks((3.0, True)))),
    "who.mask": lambda: report(run(4.0, HIDDEN, rule=shrunk), Known(picks((3.0, True)))),
    "effect.rules": lambda: report(run(8.0, RULED, rule=projected)),
    "effect.passes": lambda: report(run(8.0, {"passes": {"STG": 20}}, rule=projected)),
    "effect.node": lambda: report(patched(2.0, 4.0)),
    "effect.named": lambda: report(run(4.0, {"cfg": 8.0, "chain": "halved", "host": {}})),
    "effect.guider": lambda: report(run(4.0, {"cfg": None, "chain": "TheirGuider"}, rule=projected)),
    "effect.guider.apart": lambda: report(passed(run(4.0, {"cfg": None, "guider": "TheirGuider"}))),
    "like.steps": lambda: report(acting(run(8.0, RULED, rule=along), [1.0] * 6 + [8.0] * 3 + [1.0] * 11)),
    "like.samples": lambda: report(patched(2.0, 8.0, rule=each_its_own, batch=8)),
    "acts.unknown": lambda: report(nan(run(), "kappa")),
    "passes.further": lambda: report(run(changes={"passes": {"STG": 20}})),
    "passes.idle": lambda: report(passed(run(), size=1e-6)),
    "passes.pushed": lambda: report(passed(run())),
    "passes.inside": lambda: report(run(changes={"inside": {"NAG": 40}})),
    "skip.some": lambda: report(with_columns(run(), m14=torch.full((20, 2), 1e-3).double())),
    "skip.none": lambda: report(with_columns(run(), m14=torch.full((20, 2), 9.0).double())),
    "skip.unknown": lambda: report(unsized(run())),
    "negative.unknown": lambda: report(run(changes={"negative": True})),
    "rule.none": lambda: report(run(4.0, {"chain": "APG eta 1 > CFG"})),
    "rule.off": lambda: report(run(1.0, {"chain": "APG eta 0 > CFG"})),
    "rule.moved": lambda: report(run(4.0, RULED, rule=shrunk)),
    "rule.scaled": lambda: report(scheduled(run(4.0, {"chain": "linear > CFG"}))),
    "distilled.told": lambda: report(run(changes={"distilled_guidance": 3.5})),
    "distilled.push": lambda: report(staged(run(1.0, LATER), "afterwards")),
    "distilled.embedded": lambda: report(
        staged(run(1.0, {"afterwards": {"against": "embedded guidance 1"}}), "afterwards", [4])
    ),
    "classifier.zero": lambda: report(extended(run(), "gradient", 0.0)),
    "classifier.unknown": lambda: report(extended(run(), "gradient", 0.5, weight=None)),
    "classifier.moved": lambda: report(extended(run(), "gradient", 0.5)),
    "classifier.fooled": lambda: fooled(6, 0),
    "clipped.beyond": lambda: report(run(changes={"latent": {"shape": [4, 32, 24]}})),
    "judge.failed": lambda: report(run(), judge=Judged("CLIP", torch.zeros(0), "out of memory")),
    "judge.found": lambda: report(run(), judge=Judged("CLIP", torch.tensor([-3.0, -0.1]))),
    "half.same": lambda: report(run(2.0, batch=1), half=run(1.0, batch=1), shown=halves(ROWS)),
    "half.all": lambda: report(run(2.0), half=ending(1.01)),
    "half.some": lambda: report(run(2.0), half=ending(1.0, -1.0)),
    "half.other": lambda: report(run(2.0, batch=1), half=run(1.0, batch=1), shown=halves(1 - ROWS)),
    "half.none": lambda: report(run(2.0), half=ending(-1.0)),
    "half.close": lambda: report(run(2.0, batch=1), half=run(1.0, batch=1), shown=turned(1)),
    "half.close.all": lambda: report(run(2.0), half=run(1.0), shown=turned(1, 1)),
    "half.close.some": lambda: report(run(2.0), half=run(1.0), shown=turned(0, 1)),
    "half.mixed": lambda: report(run(2.0), half=run(1.0), shown=turned(1, 9)),
    "half.odds": lambda: report(run(2.0), half=ending(1.0)),
    "half.odds.knob": lambda: report(told(3.5), half=told(1.75)),
    "change.colours": lambda: report(run(2.0, batch=1), half=run(1.0, batch=1), shown=halves(0.3 * ROWS)),
    "change.shapes": lambda: report(run(2.0, batch=1), half=run(1.0, batch=1), shown=halves(ROWS.mT)),
    "half.near": lambda: report(latents(run(2.0)), half=latents(ending(1.39))),
    "half.near.some": lambda: report(latents(run(2.0)), half=latents(ending(1.0, -1.0))),
    "half.far": lambda: report(latents(run(2.0)), half=latents(ending(1.41))),
    "half.near.odds": lambda: report(latents(run(2.0)), half=latents(ending(1.0))),
    "half.clipped": lambda: report(clipped(run(2.0), 0.5), half=clipped(ending(1.01), 0.3)),
    "half.beyond": lambda: report(clipped(latents(run(2.0)), 0.5), half=clipped(latents(ending(1.01)), 0.3)),
    "half.equal": lambda: report(run(2.0), half=run(2.0)),
    "half.strange": lambda: report(run(2.0), half=run(1.0, {"seed": 1})),
    "half.lost": lambda: report(run(2.0), half=run(1.0, capture=False)),
    "record.fault": lambda: report(run(changes={"faults": ["no numbers from step 3 on: disk"]})),
    "size.card.vae": lambda: report(run(), Known(card=replace(card(), source="vae"))),
    "size.card.format": lambda: report(run(), Known(card=replace(card(), source="latent format"))),
    "size.vae": lambda: report(unsized(run()), Known(size=Size(0.9, 8))),
    "size.format": lambda: report(unsized(run()), Known(size=Size(1.0, format="SD15"))),
    **{f"sampler.{key}": lambda key=key: report(of_class(key), Known(card=card(sampler=key))) for key in MEASURED},
    **{f"sampler.{key}": lambda key=key: report(of_class(key), Known(card=card())) for key in UNSEEN},
    "a rule that moves the prediction at cfg 1 guides": lambda: report(run(1.0, RULED, rule=shrunk)),
    "a sampler that makes u at cfg 1 and does not follow D": lambda: report(nan(run(1.0), "kappa")),
    "a fault took the last step": lambda: report(replace(part_of(faulty(run(), 19), 0, 19), tensors=run().tensors)),
    "a fault took no step": lambda: report(run(changes={"faults": ["no pictures were kept: OSError"]})),
    "no samples": lambda: report(run().of_samples(slice(0, 0))),
    "half: no widget tells": lambda: report(run(2.0), half=without_cfg(ending(1.01))),
    "half: no steps": lambda: report(run(2.0), half=replace(part_of(ending(1.0), 0, 0), tensors=ending(1.0).tensors)),
    "half: another model": lambda: report(run(2.0), half=headed(ending(1.0), model={"name": "m", "hash": "cd" * 32})),
    "half: two knobs": lambda: report(told(3.5), half=headed(told(1.75), cfg=2.0)),
    "half: a number of a rule": lambda: report(of_phi(0.7), half=of_phi(0.35)),
    "half: pictures that are equal": lambda: report(latents(run(2.0)), half=latents(ending(1.0)), shown=shifted(0)),
    "half: pictures tell, whatever ends say": lambda: report(
        latents(run(2.0)), half=latents(ending(1.01)), shown=shifted(1)
    ),
    "half: too few pictures": lambda: report(latents(run(2.0)), half=latents(ending(1.0)), shown=halves(ROWS)),
    "half: pictures of another size": lambda: report(
        latents(run(2.0)), half=latents(ending(1.0)), shown=(PICTURES, PICTURES[..., :-1])
    ),
    "half: pictures that are not finite": lambda: report(
        latents(run(2.0)), half=latents(ending(1.0)), shown=(PICTURES, PICTURES * math.nan)
    ),
    "picks, card and template": lambda: report(run(8.0), Known(PICKED, card(), template(4.0))),
    "card and template": lambda: report(run(8.0), Known(card=card(), template=template(4.0))),
    "far above a template": lambda: report(run(8.0), Known(template=template(4.0, 5.0))),
    "a little above a template": lambda: report(run(8.0), Known(template=template(6.0))),
    "burning at an unknown scale": lambda: report(unknown_scale(run(BURNT))),
    "burning beside a pass": lambda: report(run(BURNT, {"passes": {"STG": 20}})),
    "burning, and longer than the first level": lambda: report(
        with_columns(unsized(run(BURNT)), K=100 * run(BURNT).steps["K"])
    ),
    "burning at a low cfg": lambda: report(run(1.5), odds=replace(STATED, sure=1e-3)),
    "a push that is unknown at first": lambda: report(nan(run(), "kappa", slice(0, 5))),
    "a push that is unknown at the end": lambda: report(nan(run(), "kappa", slice(19, 20))),
    "a push that is unknown in the middle": lambda: report(nan(run(), "kappa", slice(10, 11))),
    "costs of skipping that are unknown": lambda: report(nan(run(), "m14")),
    "a pass of weight 0": lambda: report(passed(run(), weight=0.0)),
    "a pass whose direction is unknown": lambda: report(passed(run(), across=math.nan)),
    "a pass of unknown weight": lambda: report(passed(run(), weight=math.nan)),
    "a pass that never ran": lambda: report(passed(run(), counts=0.0)),
    "a pass at cfg 1": lambda: report(unseen(run(1.0, {"passes": {"STG": 20}}))),
    "off, picks": lambda: report(run(1.0), Known(picks((3.0, True), (5.0, True)))),
    "off, a template": lambda: report(run(1.0), Known(template=template(4.0, 7.0))),
    "off, a template at cfg 1": lambda: report(run(1.0), Known(template=template(1.0))),
    "off, good below 1": lambda: report(run(1.0), Known(card=card(low=0.4, centre=0.8))),
    "weak, a card": lambda: report(run(0.5), Known(card=card())),
    "weak, a template at cfg 1": lambda: report(run(0.5), Known(template=template(1.0))),
    "weak, good below 1": lambda: report(run(0.5), Known(card=card(low=0.4, centre=0.8))),
    "weak, nothing": lambda: report(run(0.5)),
    "first stage, too high": lambda: report(stage_of(13.0, 0, 30), Known(card=card())),
    "first stage, off": lambda: report(stage_of(1.0, 0, 30), Known(card=card())),
    "later stage, inside": lambda: report(stage_of(4.0, 18, 40), Known(card=card())),
    "later stage, picks of whole runs": lambda: report(stage_of(13.0, 18, 40), Known(PICKED, card())),
    "later stage, picks of such stages": lambda: report(stage_of(13.0, 18, 40), Known(LATER_PICKS, card())),
    "first stage, picks of later ones": lambda: report(stage_of(13.0, 0, 30), Known(LATER_PICKS, card())),
    "whole run, picks of later stages": lambda: report(run(13.0), Known(LATER_PICKS, card())),
    "later stage, in the dark": lambda: report(part_of(darkened(run()), 8, 20)),
    "later stage, in the dark, of unknown size": lambda: report(unsized(part_of(darkened(run()), 8, 20))),
    "whole run, in the dark, of unknown size": lambda: report(unsized(darkened(run()))),
    "knob: cfg beside a told guidance": lambda: report(run(4.0, {"distilled_guidance": 3.5})),
    "knob: a pass at cfg 1": lambda: report(run(1.0, {"distilled_guidance": 3.5, "passes": {"PAG": 20}})),
    "knob: a gradient beside a told guidance": lambda: report(steered(distilled_guidance=3.5)),
    "knob: of a widget": lambda: report(distilled(knobs=[STATED_KNOB])),
    "knob: picks of it alone": lambda: report(distilled(), Known(BOTH)),
    "knob: picks of another": lambda: report(run(), Known(BOTH)),
    "knob: none picked": lambda: report(steered(weight=1.0), Known(BOTH)),
    "knob: burning beside picks": lambda: report(steered(), Known(picks((30.0, True), (50.0, True), knob=STEERS))),
    "knob: of a rule": lambda: report(phi_at(8.0), Known(OF_PHI, card())),
    "knob: of a rule that nobody chose": lambda: report(phi_at(8.0), Known(card=card())),
    "knob: of a rule beside another cfg": lambda: report(phi_at(4.0), Known(OF_PHI, card())),
    "knob: of a rule that burns": lambda: report(phi_at(BURNT, lambda u, c, guided: 1.01 * guided), Known(OF_PHI)),
    "no negative": lambda: report(run(1.0, {"negative": False})),
    "no negative, guided": lambda: report(run(changes={"negative": False})),
    "rounding at cfg 1 is no push": lambda: report(rounded(run(1.0))),
    "side by side with one setting": lambda: report(run(4.0, {"lanes": lanes(4.0, 4.0)}), Known(card=card())),
    "side by side, one burns": lambda: report(run(BURNT, {"lanes": lanes(1.0, BURNT)}), Known(PICKED), half=run(2.0)),
    "size: of the card": lambda: report(run(), Known(card=card(), size=Size(0.9, 8))),
    "size: of the trace": lambda: report(run(), Known(size=Size(0.9, 8))),
    "between the top and the factor": lambda: report(shrunk_at(16.0), Known(card=card(edges=top_of(1.1)))),
    "at the top of a card": lambda: report(shrunk_at(16.0), Known(card=card(edges=top_of(1.0)))),
    "beyond the factor": lambda: report(shrunk_at(16.0), Known(card=card(edges=top_of(1.3)))),
    "far beyond, with mild predictions": lambda: report(shrunk_at(4.0), Known(card=card(edges=LEAST))),
    "a card of absurd lengths": lambda: report(shrunk_at(16.0), Known(card=card(edges=edge(-1e300, 1e-300)))),
    "a card of absurdly large lengths": lambda: report(shrunk_at(16.0), Known(card=card(edges=edge(1e300, 1e300)))),
    "a card without a push": lambda: report(shrunk_at(16.0), Known(card=card(edges=edge(-1e300, 0.0)))),
    "a gradient burns, with a card": lambda: report(steered(), Known(card=card(), template=template(4.0))),
    "cfg burns beside a gradient": lambda: report(extended(run(BURNT), "gradient", 1.0, weight=0.5)),
    "three quarters are guidance's": lambda: report(extended(run(), "gradient", 0.5, weight=2.0)),
    "beside a gradient no rule": lambda: report(steered(4.0, **IN_CHAIN)),
    "beside a gradient at cfg 1 no rule": lambda: report(steered(1.0, **IN_CHAIN)),
    "an energy that watches is no rule": lambda: report(watched("watch p")),
    "two texts, of which one begins the other": lambda: report(watched("watch a > b", "watch a > b, from 0.5 on")),
    "a gradient without a difference": lambda: report(without_difference(steered())),
    "a guide that is right": lambda: fooled(2, 0),
    "a guide that is fooled": lambda: fooled(5, 0),
    "a guide as wrong as its judge": lambda: fooled(6, 3),
    "a guide fooled by chance": lambda: fooled(4, 0),
    **{
        f"plain at {gamma:g}, {how}": lambda gamma=gamma, how=how: report(run(gamma, **how), Known(card=card()))
        for gamma, how in ((1.0, {"sampler": "ddpm"}), (1.5, {"space": "flow"}), (16.0, {}), (BURNT, {}))
    },
    "a patch that is named": lambda: report(patched(4.0, 8.0, {"patches": ["halve (their_pack.nodes)"]})),
    "a patch below the card": lambda: report(patched(1.5, 2.0), Known(card=card())),
    "a patch of unknown factor": lambda: report(patched(0.5, 8.0), Known(card=card())),
    "a patch at cfg 1": lambda: report(patched(8.0, 1.0), Known(card=card())),
    "a patch that burns": lambda: report(patched(BURNT, 10.0)),
    "a rule like a template": lambda: report(run(8.0, RULED, rule=along), Known(template=template(4.5))),
    "a rule across, beside a template": lambda: report(shrunk_at(8.0), Known(template=template(8.0))),
    "of what is unknown: no scale": lambda: report(
        acting(run(8.0, RULED, rule=projected), [math.nan] * 20), Known(card=card(edges=MIXED))
    ),
    "of what is unknown: several cfg": lambda: report(
        run(8.0, {**RULED, "lanes": lanes(4.0, 8.0)}, rule=projected), Known(card=card(edges=MIXED))
    ),
    "of what is unknown: a weight": lambda: report(extended(run(), "gradient", 0.5, weight=None), Known(card=card())),
    "equal predictions at the end": lambda: report(unseen_end(run())),
    "a difference that is reused": lambda: report(staged(gap(run()), "reuse", [3])),
    "a difference that is lost": lambda: report(gap(run())),
    "a guider by itself": lambda: report(run(4.0, GUIDER), Known(card=card())),
    "a guider by itself that projects": lambda: report(run(4.0, GUIDER, rule=projected)),
    "a card of other weights": lambda: report(run(), Known(card=card(sha256="cd"))),
}


def lanes(*scales, chain="CFG"):
    """Runs side by side, the last with a chain of its own."""
    return {"cfg": [*scales], "chain": [*["CFG"] * (len(scales) - 1), chain]}


def ending(*factors):
    """A run at cfg 1 whose samples end where those at cfg 2 do, times a factor each."""
    end = run(2.0).tensors["end"]
    return replace(run(1.0), tensors={"end": torch.stack([end[b] * factors[b % len(factors)] for b in range(2)])})


def told(guidance):
    """A run at cfg 1 of a distilled model, with the end of all others."""
    return replace(ending(1.0), header={**ending(1.0).header, "distilled_guidance": guidance})


def latents(trace):
    """The same, as a run of latents, which no one can look at."""
    return replace(trace, header={**trace.header, "latent": {"shape": [4, 32, 24]}})


def halves(other):
    """Finished pictures of a run and of one at half its scale: thin rows of black and white, and another."""
    return tuple(picture.expand(1, 3, 32, 32) for picture in (ROWS, other))


def turned(*shades):
    """Finished pictures of a run and of one at half its scale, whose grey is so many shades of 8 CIEDE2000 another."""
    own = torch.full((len(shades), 3, 32, 32), 0.5)
    return own, own + 0.075 * torch.tensor(shades)[:, None, None, None].clamp(max=6)


def clipped(trace, share):
    return with_columns(trace, m10=torch.full((20, 2), share).double())


def unseen(trace):
    """Runs without u have no inner products of it, nor of the difference."""
    full = trace.record.matrix().clone()
    for name in ("u", "a", "delta"):
        full[..., VECTORS.index(name), :] = math.nan
        full[..., :, VECTORS.index(name)] = math.nan
    return staged(with_columns(trace, K=triangle(full)), "cond_only")


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
    full = trace.record.matrix().clone()
    i, d = VECTORS.index("D-G"), VECTORS.index("delta")
    gamma = trace.steps["gamma"][:, None]
    full[..., i, :] = gamma[..., None] * full[..., d, :]
    full[..., :, i] = gamma[..., None] * full[..., :, d]
    full[..., i, i] = gamma**2 * full[..., d, d]
    return with_columns(trace, K=triangle(full), gamma=torch.full_like(trace.steps["gamma"], math.nan))


def pushed_once(trace):
    kappa = torch.full_like(trace.steps["kappa"], 1e-9)
    kappa[5] = 1.0
    return with_columns(trace, kappa=kappa)


def of_class(key):
    kind, _, steps = key.partition("-")
    changes = {"split": "noise not observable"} if kind == "unseen" else {}
    found = run(4.0, changes, steps={"few": 6, "": 16, "many": 40}[steps], sampler="ddpm" if kind == "sde" else "euler")
    return nan(found, "kappa") if kind == "unseen" else found


def headed(trace, **facts):
    return replace(trace, header={**trace.header, **facts})


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


def shifted(channels):
    return PICTURES, PICTURES.roll(channels, dims=1)


def stage_of(gamma, first, last):
    return part_of(run(gamma, steps=40), first, last)


def rounded(trace):
    """The same at cfg 1, with D apart from c in the last digit, where u was evaluated after the run."""
    full, at = trace.record.matrix().clone(), VECTORS.index("D-G")
    full[..., at, at] = (trace.steps["floor"][:, None] * trace.count**0.5).square()
    return staged(with_columns(trace, K=triangle(full)), "afterwards", [0, 9, 19])


def shrunk_at(gamma):
    return run(gamma, RULED, rule=shrunk)


def edge(overmean, strength):
    return {"high": {"overmean": overmean, "strength": strength}}


def top_of(times):
    """A card whose top lies so many times below a run with rules."""
    own = report(shrunk_at(16.0)).features
    return edge(own.overmean - math.log(times), own.strength / times * (1 + 1e-9))


def watched(*texts):
    """A run whose chain has energies that only watch."""
    names = ["watch", "watch 2"][: len(texts)]
    trace = run(changes={"terms": dict(zip(names, texts, strict=True)), "chain": " > ".join(["CFG", *texts])})
    return with_columns(trace, **{f"log_prob {name}": torch.zeros(20, 2).double() for name in names})


def without_difference(trace):
    """No u was made at cfg 1."""
    full, at = trace.record.matrix().clone(), VECTORS.index("delta")
    full[..., at, :] = full[..., :, at] = math.nan
    return staged(with_columns(trace, K=triangle(full)), "cond_only")


def unseen_end(trace):
    """The same, with u and c equal to rounding in the last steps, where no scale can be seen."""
    full, at = trace.record.matrix().clone(), VECTORS.index("delta")
    full[-3:, :, at], full[-3:, ..., at] = 0, 0
    return nan(with_columns(trace, K=triangle(full)), "gamma_eff", slice(17, None))


def gap(trace):
    """Nothing was evaluated in the place of u at a step."""
    full = trace.record.matrix().clone()
    for name in ("u", "a", "delta"):
        full[3, :, VECTORS.index(name), :] = full[3, :, :, VECTORS.index(name)] = math.nan
    return with_columns(trace, K=triangle(full))


@cache
def made(row):
    return CASES[row]()


def facts_of(found):
    """What a report holds, without its words: every sentence with its facts, and the numbers of the answer."""
    told = found.as_json()
    facts = {one.id: {k: v.id if hasattr(v, "id") else v for k, v in one.facts.items()} for one in found.sentences
             if not one.id.startswith("plain.")}  # fmt: skip
    numbers = {name: told[name] for name in ("colour", "against", "suggested", "range", "cfg", "plain", "push")}
    knobs = [[knob["key"], knob["value"]] for knob in told["knobs"]]
    then = found.answer.headline.then
    return {"says": facts, "then": then and then.id, **numbers, "effective": told["effective"]["scale"], "knobs": knobs}


def inside(found):
    """Sentences that stand in others, or follow at once."""
    within = [v for one in found.sentences for v in (*one.facts.values(), one.then) if hasattr(v, "id")]
    return {one.id: {k: v.id if hasattr(v, "id") else v for k, v in one.facts.items()} for one in within}


def said(found):
    """Ids of everything that a report says, also inside other sentences."""
    return {one.id for one in found.sentences} | inside(found).keys()


def agree(found, expected):
    """Whether two JSON values agree; numbers to what a processor may differ by."""
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(agree(found[key], expected[key]) for key in expected)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(agree, found, expected))
    return math.isclose(found, expected, rel_tol=1e-4) if isinstance(expected, float) else found == expected


@pytest.mark.parametrize("row", CASES)
def test_a_run_is_told_what_the_table_says_and_in_words_that_read_well(row):
    """tests/fixtures/report_facts.json is {row: facts_of(made(row))}."""
    found = made(row)
    own = json.loads(json.dumps(facts_of(found)))
    assert agree(own, FACTS[row]), own
    assert contradictions(found) == []
    assert misfits(found.as_json()) == []
    for one, language in product(found.sentences, LANGUAGES):
        text = one.text(language)
        assert not re.search(r"nan|inf\b|None|[{}]", text), text
        assert text.endswith("." if language == "en" else ("\u3002", ".")), text
    assert [fault for one in found.sentences for part in sentences(one.text()) for fault in clumsy(part)] == []
    if found.answer.headline.text().startswith("Cannot tell"):
        answer = found.answer
        assert (answer.colour, answer.suggested, answer.range, answer.odds) == ("unclear", None, None, None)
        assert any(one.id.startswith("help.") for one in answer.reasons)


@pytest.mark.parametrize("name", INSIDE)
def test_a_sentence_inside_another_has_its_facts(name):
    row, facts = INSIDE[name]
    assert agree(inside(made(row))[name], facts)


def test_every_sentence_is_said_of_some_run():
    assert set().union(*(said(made(row)) for row in CASES)) == set(SENTENCES)
    assert CASES.keys() == FACTS.keys()


@pytest.mark.parametrize("name", SENTENCES)
def test_a_sentence_names_the_same_facts_in_every_language(name):
    named = [
        {field for _, field, spec, _ in Formatter().parse(SENTENCES[name][language]) if field and not spec}
        for language in LANGUAGES
    ]  # a field with a spec is a word that goes with a number, and no fact
    assert named[0] == named[1]


def fields_of(name):
    return SCHEMA["$defs"][name]["properties"]


def test_the_schema_has_every_word_and_number_of_a_report():
    own = SCHEMA["properties"]
    assert own["v"]["const"] == VERSION
    words = ("colour", COLOURS), ("against", AGAINST), ("sampler_class", CLASSES)
    assert all(own[name]["enum"] == [*there] for name, there in words)
    assert set(fields_of("knob")["kind"]["enum"]) == {CFG, DISTILLED, GRADIENT, RULE}
    for name, kind in (("effective", EffectiveScale), ("features", Features)):
        assert [*fields_of(name)] == [one.name for one in fields(kind)]


def test_a_range_of_one_value_is_that_value():
    one = say("head.picks.below", cfg=1.5, low=3.0, high=3.0)
    assert one.text() == "cfg 1.5 is below your range (3)."
    assert one.text("zh").endswith("\uff083\uff09\u3002")
    assert say("head.picks.below", cfg=1.5, low=3.0, high=4.9).text() == "cfg 1.5 is below your range (3 to 4.9)."


def random_report(seed):
    """The report on a random run and another one like it, of a random model, and whether pictures were compared."""
    draws = random.Random(seed)
    strange = seed % 2 == 0
    gamma = draws.choice((0.5, 1.0, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 14.0, BURNT))
    trace = random_run(seed) if strange else run(gamma, rule=draws.choice((None, None, shrunk, projected, along)))
    trace = draws.choice((lambda one: one, lambda one: one, latents, unsized, equal_predictions, scheduled))(trace)
    if draws.random() < 0.3:
        trace = passed(trace, weight=draws.choice((0.0, 1.0, math.nan)))
    if draws.random() < 0.2 and not strange:
        trace = extended(trace, "gradient", draws.choice((0.0, 0.5, 20.0)), draws.choice((None, -0.1, -3.0)))
    chain = draws.choice(("CFG", "CFG", "rescale 0.7 > CFG"))
    changes = {"model": {"name": "m", "hash": HASH}, "chain": chain, "negative": draws.choice((True, False, None))}
    if draws.random() < 0.3:
        changes["cfg"] = draws.choice((1.0, 2.0, 13.0))
    if draws.random() < 0.5:
        trace = with_columns(trace, m10=torch.full((trace.n, trace.batch), draws.choice((0.0, 0.0007, 0.43))).double())
    trace = replace(trace, header={**trace.header, **changes})
    second = replace(trace, header={**trace.header, "cfg": draws.choice((trace.header.get("cfg"), 0.75, 6.0))})
    second = with_columns(second, m10=torch.full((trace.n, trace.batch), draws.choice((0.0, 0.02, 0.3))).double())
    ends = draws.choice((None, 1.0, 1.001, 1.2, -1.0, math.nan))
    start = torch.rand(trace.batch, *trace.latent_shape, generator=torch.Generator().manual_seed(seed))
    if ends is not None:
        trace = replace(trace, tensors={**trace.tensors, "end": start})
        second = replace(second, tensors={**second.tensors, "end": start * ends})
    pictures = torch.rand(trace.batch, 3, 8, 9, generator=torch.Generator().manual_seed(seed))
    shown = draws.choice((None, None, (pictures, pictures), (pictures, pictures.flip(1)), (pictures, pictures * 0.9)))
    good = sorted(draws.choice((1.2, 2.0, 3.0, 6.0, 9.0)) for _ in range(3))
    known = draws.choice((
        Known(), Known(card=card(good[0], good[1], good[2])), Known(template=template(good[1])),
        Known(card=card(good[0], good[1], good[2]), template=template(4.0)),
        Known(picks((good[0], True), (good[2] + 1, draws.random() < 0.5))),
    ))  # fmt: skip
    judge = draws.choice(
        (None, Judged("CLIP", torch.full((trace.batch,), -0.1)), Judged("CLIP", torch.zeros(0), "lost"))
    )
    looked = shown is not None or (trace.pixels and len(trace.latent_shape) == 3)
    return report(trace, known, half=draws.choice((None, second, second)), judge=judge, shown=shown), looked


@given(st.integers(0, 10_000))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_no_random_run_makes_a_report_contradict_itself(seed):
    found, looked = random_report(seed)
    assert contradictions(found, looked) == []
    assert not re.search(r"\bnan\b|[{}]", found.text())
    assert misfits(found.as_json()) == []


def test_odds_are_numbers_of_one_file():
    written = json.loads((Path(__file__).parents[2] / "verdict" / "odds.json").read_text())
    assert odds_of(written) == ODDS
    with pytest.raises(ValueError, match=r"burn\.sure"):
        odds_of({**written, "burn": {**written["burn"], "sure": "high"}})
    high = odds_of({**written, "burn": {**written["burn"], "sure": 100.0, "likely": 99.0}})
    assert report(run(BURNT), odds=high).answer.headline.id == "head.no_sign"


def test_a_measured_size_is_read_as_it_was_written_and_damage_is_told(tmp_path):
    path = tmp_path / "a.json"
    write_size(Size(0.9, 8, key=HASH), path)
    assert read_size(path) == Size(0.9, 8, key=HASH)
    for damage in ('{"format": "guidance-geometry/size"}', "[]", "{", path.read_text().replace("0.9", '"x"')):
        path.write_text(damage)
        with pytest.raises(ValueError, match="Measure it again"):
            read_size(path)


def test_the_share_of_a_pass_is_that_of_all_lengths():
    trace = passed(run(), weight=2.0, size=0.1)
    guided = trace.steps["kappa"][:, None].abs() * trace.record.square({"delta": 3.0}).sqrt()
    own = trace.steps["kappa"][:, None].abs() * 2 * 0.1 * trace.count**0.5
    share = float(own.sum() * trace.batch / (own.sum() * trace.batch + guided.sum()))
    assert push_shares(trace) == pytest.approx({"guidance": 1 - share, "PAG": share}, rel=1e-6)


@pytest.mark.parametrize("weight", [0.25, 10.0])
def test_a_percentage_of_a_gradient_states_the_push_that_acted(weight):
    """|w g| over |D|, and not |g|."""
    trace = extended(run(), "gradient", 0.5, weight=weight)
    record = trace.record
    guided = record.square({"u": 1.0, "delta": 4.0, "D-G": 1.0}).sqrt()
    share = weight * record.dot("gradient", "gradient").sqrt() / guided
    told = next(one for one in report(trace).findings if one.id == "classifier.moved")
    assert float(told.facts["percent"]) == pytest.approx(100 * float(share.max()), rel=0.02)


@pytest.mark.parametrize("weight", [1e5, 1e-1])
def test_what_rounding_leaves_beside_a_gradient_is_no_push_of_guidance(weight):
    """At cfg 1 D - c is the gradient's part alone, known to float32 of the longest: c or the gradient."""
    trace = with_columns(steered(weight=weight), floor=torch.zeros(20).double())
    matrix = trace.record.matrix().clone()
    place = list(trace.record.vectors).index("D-G")
    u, moved = (trace.record.dot(name, name).sqrt() for name in ("u", "D-G"))
    more = (1 + 1e-7 * torch.maximum(u, moved) / moved)[..., None]
    matrix[..., place, :] *= more
    matrix[..., :, place] *= more
    found = report(with_columns(trace, K=triangle(matrix)))
    assert found.push == {"guidance": 0.0, "Steer gradient": 1.0}
    assert not {name for name in said(found) if name.startswith("skip.")}


def test_a_scale_that_rounding_hides_at_the_end_is_still_one_scale():
    """Where u and c agree to rounding no scale can be seen, and none is needed."""
    trace, at = run(), VECTORS.index("delta")
    full = trace.record.matrix().clone()
    full[-3:, :, at], full[-3:, ..., at] = 0, 0
    equal = nan(with_columns(trace, K=triangle(full)), "gamma_eff", slice(17, None))
    found = nan(equal, "gamma", slice(17, None))
    assert (scale_of(found).low, scale_of(found).high) == (4.0, 4.0)
    assert math.isnan(scale_of(nan(trace, "gamma", slice(17, None))).low)
    gamma = trace.steps["gamma"].clone()
    gamma[17:] = 8.0  # what the widget says stands where nothing can be seen
    patch = with_columns(equal, gamma=gamma)
    assert (scale_of(patch).low, scale_of(patch).high) == (4.0, 4.0)
    rule = replace(patch, header={**patch.header, "chain": "linear > CFG"})
    assert (scale_of(rule).low, scale_of(rule).high) == (4.0, 8.0)


@pytest.mark.parametrize(
    ("count", "words"), [(1, "1 step of 2"), (2, "2 steps of 2"), (1.0, "1 step of 2"), (0, "0 steps of 2")]
)
def test_a_word_agrees_with_its_number(count, words, monkeypatch):
    monkeypatch.setitem(SENTENCES, "one", {"en": "{count} {count:step|steps} of {n}", "zh": "{n}"})
    assert say("one", count=count, n=2).text() == words


@pytest.mark.parametrize(
    ("value", "text"), [(4.5e37, "4.5e+37"), (123456.0, "123456"), (2.718, "2.72"), (99.96, "100")]
)
def test_a_number_in_a_sentence_is_short(value, text):
    assert short(value) == text


def test_a_header_tells_whose_widget_a_knob_is_and_an_older_one_none():
    told = report(distilled(knobs=[STATED_KNOB])).as_json()["knob"]
    facts = {"name": "guidance", "title": "Flux", "node": "9:4", "input": "guidance", "value": 3.5}
    assert facts.items() <= told.items()
    assert told["limits"] == [1.0, 100.0]
    older = report(distilled()).as_json()["knob"]
    assert (older["key"], older["value"], older["node"]) == ("guidance", 3.5, None)


PLAIN_SENTENCES = [
    ["head.card.inside", "plain.why.card", "why.card", "odds.card", "acts.steps", "passes.spent", "skip.end"],
    ["head.off", "plain.head.off", "plain.why.card", "help.use", "head.card.below", "why.card", "odds.card",
     "passes.spent", "negative.unused"],
]  # fmt: skip


@pytest.mark.parametrize(("gamma", "ids"), zip((4.0, 1.0), PLAIN_SENTENCES, strict=True))
def test_of_plain_guidance_this_is_said_and_nothing_more(gamma, ids):
    found = report(run(gamma), Known(card=card()))
    assert [one.id for one in found.sentences] == [*ids, "clipped.share", "record.size"]
    assert (found.cfg, found.plain, found.answer.suggested) == (gamma, True, None if gamma > 1 else 3.0)
    assert found.as_json()["effective"]["scale"] == pytest.approx(gamma, abs=1e-5)
