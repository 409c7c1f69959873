"""Every sentence of a report is provoked by a run; what cannot be told is not told."""

import json
import math
import random
import re
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

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
from guidance_geometry.verdict.features import Features
from guidance_geometry.verdict.findings import Judged
from guidance_geometry.verdict.known import Known, Template
from guidance_geometry.verdict.odds import ODDS, HalfOdds, Odds, RuleOdds, odds_of
from guidance_geometry.verdict.picks import CFG, Pick, Picks
from guidance_geometry.verdict.report import AGAINST, COLOURS, VERSION, report_of
from guidance_geometry.verdict.run_knobs import DISTILLED, GRADIENT, RULE
from guidance_geometry.verdict.sampler_class import CLASSES, MEASURED
from guidance_geometry.verdict.scale import scale_of
from guidance_geometry.verdict.sentences import LANGUAGES, SENTENCES, percent, say, short
from guidance_geometry.verdict.size import Size, read_size, write_size


def darkened(trace):
    """The same run, had its last step gone to zero: move = -x."""
    full, (u, a, move) = trace.record.matrix().clone(), map(VECTORS.index, ("u", "a", "move"))
    row = full[-1, :, a] - full[-1, :, u]
    full[-1, :, move], full[-1, :, :, move] = row, row
    full[-1, :, move, move] = row[:, a] - row[:, u]
    return with_columns(trace, K=triangle(full))


FACTS = json.loads((ROOT / "tests" / "fixtures" / "report_facts.json").read_text(encoding="utf-8"))
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
CASES = {
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
    "odds.card.further": lambda: report(run(16.0, RULED, rule=shrunk), Known(card=card(edges=LEAST))),
    "odds.card.no_further": lambda: report(run(4.0, RULED, rule=shrunk), Known(card=card(edges=MOST))),
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
    "remedy.use": lambda: report(run(8.0), Known(card=card())),
    "remedy.try": lambda: report(run(BURNT)),
    "remedy.scale": lambda: report(steered()),
    "cfg.like": lambda: report(patched(4.0, 8.0), Known(card=card())),
    "head.weak": lambda: report(run(0.5), Known(picks((3.0, True)))),
    "head.same": lambda: report(equal_predictions(run())),
    "head.empty": lambda: report(part_of(run(), 0, 0)),
    "head.not_finite": lambda: report(nan(run(), "K", slice(3, None))),
    "head.one_step": lambda: report(run(steps=20, skip=()) and part_of(run(), 19, 20)),
    "head.stage": lambda: report(part_of(run(), 0, 9)),
    "head.stage.known": lambda: report(part_of(run(8.0), 0, 16), Known(card=card())),
    "why.stage.whole": lambda: report(part_of(run(8.0), 0, 16), Known(card=card())),
    "head.distilled": lambda: report(distilled()),
    "why.distilled": lambda: report(distilled()),
    "help.picks.knob": lambda: report(distilled()),
    "knob": lambda: report(distilled()),
    "remedy.knob": lambda: report(distilled(), Known(picks((2.0, True), (3.0, False), knob="guidance"))),
    "help.use.knob": lambda: report(distilled(), Known(picks((2.0, True), (3.0, False), knob="guidance"))),
    "head.knob.above": lambda: report(distilled(), Known(picks((2.0, True), (3.0, False), knob="guidance"))),
    "head.knob.untried": lambda: report(distilled(), Known(picks((2.0, True), knob="guidance"))),
    "head.knob.below": lambda: report(distilled(1.5), Known(picks((2.0, True), knob="guidance"))),
    "head.knob.inside": lambda: report(steered(weight=1.0), Known(picks((1.0, True), knob=STEERS))),
    "knob.of": lambda: report(steered(weight=1.0), Known(picks((1.0, True), knob=STEERS))),
    "whose.user": lambda: report(steered(weight=1.0), Known(picks((1.0, True), knob=STEERS))),
    "whose.judge": lambda: report(distilled(), Known(picks((3.5, True), by="CLIP", knob="guidance"))),
    "why.picks.knob": lambda: report(distilled(), Known(picks((2.0, True), (3.0, False), knob="guidance"))),
    "why.picks.knob.judge": lambda: report(distilled(), Known(picks((3.5, True), by="CLIP", knob="guidance"))),
    "head.lost": lambda: report(unseen(faulty(run()))),
    "head.no_uncond": lambda: report(unseen(run())),
    "head.zero.negative": lambda: report(from_zero(run(), "u")),
    "head.zero.positive": lambda: report(from_zero(run(), "c")),
    "head.cached": lambda: report(staged(run(), "skip", range(8, 20))),
    "head.unseen": lambda: report(staged(unseen(nan(run(), "gamma")), "unseen")),
    "head.moved": lambda: report(nan(unseen(run()), "gamma")),
    "help.zero": lambda: report(from_zero(run(), "u")),
    "help.repeats": lambda: report(nan(repeating(run(), 2), "K", slice(3, None))),
    "head.scale": lambda: report(unknown_scale(run(changes={"chain": "TheirGuider"}))),
    "head.scales": lambda: report(run(4.0, {"lanes": lanes(1.0, 4.0, 4.0)}), Known(card=card())),
    "head.chains": lambda: report(run(4.0, {"lanes": lanes(4.0, 4.0, chain="APG eta 0 > CFG")})),
    "head.passes": lambda: report(run(changes={"passes": {"STG": 20}}), Known(card=card())),
    "head.changed": lambda: report(run(3.0, RULED, rule=shrunk), Known(card=card(edges=MIXED))),
    "why.lost": lambda: report(faulty(run())),
    "why.stage": lambda: report(part_of(run(), 0, 9)),
    "why.picks": lambda: report(run(), Known(picks((3.0, True), (9.0, False)))),
    "why.picks.judge": lambda: report(run(), Known(picks((3.0, True), by="CLIP"))),
    "why.card": lambda: report(run(), Known(card=card())),
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
    "why.nothing": lambda: report(run()),
    "why.burns": lambda: report(run(BURNT)),
    "why.not_long": lambda: report(run()),
    "why.gradient": lambda: report(steered(weight=1.0)),
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
    "help.half": lambda: report(run(BURNT)),
    "help.use": lambda: report(run(8.0), Known(card=card())),
    "help.lower": lambda: report(run(16.0, RULED, rule=shrunk), Known(card=card(edges=LEAST))),
    "help.off": lambda: report(run(1.0)),
    "help.same": lambda: report(equal_predictions(run())),
    "help.widget": lambda: report(patched(8.0, 16.0), Known(card=card())),
    "help.widget.unknown": lambda: report(patched(1.0, 8.0), Known(card=card())),
    "help.picks": lambda: report(run()),
    "help.gradient": lambda: report(steered()),
    "help.scales": lambda: report(steered(weight=1.0)),
    "help.whole": lambda: report(part_of(run(), 9, 20)),
    "help.steps": lambda: report(part_of(run(), 19, 20)),
    "help.record": lambda: report(nan(run(), "evals")),
    "help.lost": lambda: report(unseen(faulty(run()))),
    "help.uncond": lambda: report(unseen(run())),
    "help.guider": lambda: report(unknown_scale(run())),
    "help.alone": lambda: report(run(4.0, {"lanes": lanes(1.0, 4.0)})),
    "help.plain": lambda: report(run(changes={"beside": ["1 further prompt x -1"]})),
    "help.precision": lambda: report(nan(run(), "K")),
    "odds.burn": lambda: report(run(BURNT)),
    "odds.gradient": lambda: report(steered()),
    "odds.may_burn": lambda: report(run(16.0)),
    "odds.silent": lambda: report(run()),
    "odds.card": lambda: report(run(), Known(card=card())),
    "odds.picks": lambda: report(run(), Known(picks((3.0, True)))),
    "odds.picks.judge": lambda: report(run(), Known(picks((3.0, True), by="CLIP"))),
    "odds.picks.both": lambda: report(run(), Known(of_both())),
    "odds.template": lambda: report(run(), Known(template=template(4.0))),
    "acts.steps": lambda: report(run()),
    "acts.step": lambda: report(pushed_once(run())),
    "who.guidance": lambda: report(run()),
    "who.gradients": lambda: report(steered()),
    "who.both": lambda: report(steered(4.0)),
    "who.rule": lambda: report(run(3.0, RULED, rule=shrunk), Known(card=card(edges=MIXED))),
    "who.node": lambda: report(patched(4.0, 8.0, rule=projected), Known(picks((3.0, True)))),
    "who.guider": lambda: report(unknown_scale(run())),
    "who.mask": lambda: report(run(4.0, HIDDEN, rule=shrunk), Known(picks((3.0, True)))),
    "effect.rules": lambda: report(run(8.0, RULED, rule=projected)),
    "effect.passes": lambda: report(run(8.0, {"passes": {"STG": 20}}, rule=projected)),
    "effect.node": lambda: report(patched(2.0, 4.0)),
    "effect.named": lambda: report(run(4.0, {"cfg": 8.0, "chain": "halved", "host": {}})),
    "effect.guider": lambda: report(run(4.0, {"cfg": None, "chain": "TheirGuider"}, rule=projected)),
    "effect.guider.apart": lambda: report(passed(run(4.0, {"cfg": None, "guider": "TheirGuider"}))),
    "like.one": lambda: report(patched(2.0, 4.0)),
    "like.ends": lambda: report(run(8.0, RULED, rule=projected)),
    "like.steps": lambda: report(acting(run(8.0, RULED, rule=along), [1.0] * 6 + [8.0] * 3 + [1.0] * 11)),
    "like.samples": lambda: report(patched(2.0, 8.0, rule=each_its_own, batch=8)),
    "like.across": lambda: report(run(8.0, RULED, rule=projected)),
    "acts.nowhere": lambda: report(equal_predictions(run())),
    "acts.unknown": lambda: report(nan(run(), "kappa")),
    "passes.spent": lambda: report(run()),
    "passes.further": lambda: report(run(changes={"passes": {"STG": 20}})),
    "passes.idle": lambda: report(passed(run(), size=1e-6)),
    "passes.pushed": lambda: report(passed(run())),
    "passes.across": lambda: report(passed(run())),
    "passes.inside": lambda: report(run(changes={"inside": {"NAG": 40}})),
    "skip.some": lambda: report(with_columns(run(), m14=torch.full((20, 2), 1e-3).double())),
    "skip.none": lambda: report(with_columns(run(), m14=torch.full((20, 2), 9.0).double())),
    "skip.unknown": lambda: report(unsized(run())),
    "skip.end": lambda: report(run()),
    "negative.same": lambda: report(equal_predictions(run())),
    "negative.unused": lambda: report(run(1.0)),
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
    "clipped.share": lambda: report(run()),
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
    "half.close.odds": lambda: report(run(2.0), half=run(1.0), shown=turned(1, 1)),
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
    "record.size": lambda: report(run()),
    "size.card.data": lambda: report(run(), Known(card=card())),
    "size.card.vae": lambda: report(run(), Known(card=replace(card(), source="vae"))),
    "size.card.format": lambda: report(run(), Known(card=replace(card(), source="latent format"))),
    "size.vae": lambda: report(unsized(run()), Known(size=Size(0.9, 8))),
    "size.format": lambda: report(unsized(run()), Known(size=Size(1.0, format="SD15"))),
    "size.model": lambda: report(run()),
    **{f"sampler.{key}": lambda key=key: report(of_class(key), Known(card=card(sampler=key))) for key in MEASURED},
    **{f"sampler.{key}": lambda key=key: report(of_class(key), Known(card=card())) for key in UNSEEN},
}
CASES |= {f"plain.{name}": ask for name, ask in CASES.items() if f"plain.{name}" in SENTENCES}


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


@cache
def made(name):
    return CASES[name]()


def said(found):
    """Ids of everything that a report says, also inside other sentences."""
    return set(facts_of(found)[0])


def facts_of(found):
    """Everything that a report holds, without its words: each sentence with its facts, and the answer's numbers."""
    within = (v for one in found.sentences for v in (*one.facts.values(), one.then) if hasattr(v, "id"))
    named = (*found.sentences, *within)
    facts = {one.id: {k: v.id if hasattr(v, "id") else v for k, v in one.facts.items()} for one in named}
    answer = found.answer
    return facts, {"colour": answer.colour, "against": answer.against, "suggested": answer.suggested,
                   "range": answer.range and list(answer.range), "cfg": found.cfg, "plain": found.plain}  # fmt: skip


def alike(found, expected):
    """Whether two JSON values agree; numbers to what a processor may differ by."""
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(alike(found[key], expected[key]) for key in expected)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(alike, found, expected))
    return math.isclose(found, expected, rel_tol=1e-4) if isinstance(expected, float) else found == expected


@pytest.mark.parametrize("name", SENTENCES)
def test_every_sentence_is_provoked_by_a_run_with_its_facts(name):
    """And the answer is colour for colour and number for number that of the first release."""
    facts, answer = facts_of(made(name))
    assert alike({"facts": facts[name], "answer": answer}, FACTS[name])


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


def test_no_case_is_about_a_sentence_that_is_gone():
    assert set(CASES) == set(SENTENCES) == set(FACTS)


@pytest.mark.parametrize("name", SENTENCES)
def test_what_is_said_reads_well_in_every_language_and_does_not_contradict_itself(name):
    found = made(name)
    named = [
        {field for _, field, spec, _ in Formatter().parse(SENTENCES[name][language]) if field and not spec}
        for language in LANGUAGES
    ]  # a field with a spec is a word that goes with a number, and no fact
    assert named[0] == named[1]
    assert contradictions(found) == []
    for one in found.sentences:
        for language in LANGUAGES:
            text = one.text(language)
            assert not re.search(r"nan|inf\b|None|[{}]", text), text
            assert text.endswith("." if language == "en" else ("\u3002", ".")), text
    assert [fault for one in found.sentences for part in sentences(one.text()) for fault in clumsy(part)] == []
    assert found.answer.colour in COLOURS
    assert found.answer.against in AGAINST
    assert 1 <= len(found.answer.reasons) <= 4 or found.answer.colour == "off"
    assert misfits(found.as_json()) == []


def test_a_range_of_one_value_is_that_value():
    one = say("head.picks.below", cfg=1.5, low=3.0, high=3.0)
    assert one.text() == "cfg 1.5 is below your range (3)."
    assert one.text("zh").endswith("\uff083\uff09\u3002")
    assert say("head.picks.below", cfg=1.5, low=3.0, high=4.9).text() == "cfg 1.5 is below your range (3 to 4.9)."


def test_a_rule_that_moves_the_prediction_at_cfg_1_is_guidance():
    assert "head.off" not in said(report(run(1.0, RULED, rule=lambda u, c, guided: 0.7 * guided)))


def test_a_sampler_that_makes_u_at_cfg_1_and_does_not_follow_d_may_guide_by_itself():
    moves = nan(run(1.0), "kappa")  # no multiple of D - x
    assert {*moves.stage} == {"step"}
    assert "head.changed" in said(report(moves))
    assert "head.off" in said(report(run(1.0)))


def test_a_record_that_lacks_its_last_step_says_what_took_it():
    assert "why.lost" in said(report(replace(part_of(faulty(run(), 19), 0, 19), tensors=run().tensors)))
    assert "why.lost" not in said(report(run(changes={"faults": ["no pictures were kept: OSError"]})))


def test_of_no_samples_there_is_nothing_to_judge():
    assert report(run().of_samples(slice(0, 0))).answer.headline.id == "head.empty"


def test_where_no_widget_tells_the_other_run_bears_its_largest_scale():
    gamma = torch.linspace(0.5, 1.5, 20).double()
    half = with_columns(replace(ending(1.01), header={**ending(1.01).header, "cfg": None}), gamma=gamma)
    assert facts_of(report(run(2.0), half=half))[0]["half.all"]["half"] == 1.5


def test_cannot_tell_suggests_nothing_and_says_what_would_help():
    for name in CASES:
        found = made(name)
        if found.answer.headline.text().startswith("Cannot tell"):
            answer = found.answer
            assert (answer.colour, answer.suggested, answer.range, answer.odds) == ("unclear", None, None, None), name
            assert any(one.id.startswith("help.") for one in answer.reasons), name


def test_the_order_is_picks_card_template_nothing():
    all_of_them = {"picks": picks((3.0, True)), "card": card(), "template": template(4.0)}
    for against in AGAINST:
        assert report(run(), Known(**all_of_them)).answer.against == against
        all_of_them.pop(against, None)


def test_an_answer_names_the_scale_to_take_and_never_one_of_an_unseen_model():
    assert report(run(8.0), Known(card=card())).answer.suggested == 3.0
    assert report(run(8.0), Known(picks((2.0, True), (8.1, False), (4.5, True)))).answer.suggested == 3.5
    assert report(run(8.0), Known(template=template(4.0, 5.0))).answer.suggested == 5.0
    assert report(run(), Known(card=card())).answer.suggested is None
    for gamma in (1.0, 1.5, 4.0, 16.0, BURNT):
        assert report(run(gamma)).answer.suggested is None
        assert report(run(gamma)).answer.range is None


def test_burning_is_said_of_a_run_whose_scale_nobody_knows():
    assert report(unknown_scale(run(BURNT))).answer.headline.id == "head.burns"
    assert report(run(BURNT, {"passes": {"STG": 20}})).answer.headline.id == "head.burns"


def test_a_burnt_end_does_not_make_a_whole_run_a_part():
    trace = unsized(run(BURNT))
    longer = with_columns(trace, K=100 * trace.steps["K"])
    assert report(longer).features.end > float(trace.steps["sigma"][0]) / 8
    assert report(longer).answer.headline.id == "head.burns"


def test_what_is_unknown_is_neither_needed_nor_idle():
    assert not any(name.startswith("skip.") for name in said(report(nan(run(), "kappa", slice(0, 5)))))
    assert "skip.none" not in said(report(nan(run(), "m14")))
    assert "skip.end" not in said(report(nan(run(), "kappa", slice(19, 20))))


def test_a_second_run_without_steps_or_of_another_model_is_no_half():
    empty = replace(part_of(ending(1.0), 0, 0), tensors=ending(1.0).tensors)
    assert all(one.id.startswith("half.") for one in report(run(2.0), half=empty).findings[-2:])
    other = replace(ending(1.0), header={**ending(1.0).header, "model": {"name": "m", "hash": "cd" * 32}})
    strange = report(run(2.0), half=other).findings[-1]
    assert (strange.id, strange.facts["fact"]) == ("half.strange", "the model")


def test_one_knob_may_be_turned_and_no_second_one():
    same, odds, _ = report(told(3.5), half=told(1.75)).findings[-3:]
    assert (same.id, odds.id) == ("half.all", "half.odds.knob")
    assert (same.facts["knob"], same.facts["half"]) == ("guidance", 1.75)
    both = replace(told(1.75), header={**told(1.75).header, "cfg": 2.0})
    strange = report(told(3.5), half=both).findings[-1]
    assert (strange.id, strange.facts["fact"]) == ("half.strange", "cfg and guidance")
    stated = {"kind": "rule", "name": "phi", "key": "phi, GGRescale"}
    chains = [replace(told(3.5), header={**told(3.5).header, "chain": f"rescale {phi} > CFG",
                                         "knobs": [stated | {"value": phi}]}) for phi in (0.7, 0.35)]  # fmt: skip
    assert report(chains[0], half=chains[1]).findings[-3].facts["knob"] == "phi"


def test_half_a_low_cfg_is_no_less_than_1():
    thick = replace(ODDS, sure=1e-3)
    assert next(one.facts["half"] for one in report(run(1.5), odds=thick).answer.reasons if one.id == "help.half") == 1


def test_only_finished_pictures_are_called_the_same():
    own, half = run(2.0), ending(1.01)
    assert {"half.all", "half.odds"} <= said_of(own, half)
    assert not said_of(latents(own), latents(half)) & {"half.same", "half.all", "half.some", "half.odds"}
    pictures = torch.rand(2, 3, 20, 30)
    other = pictures.roll(1, dims=1)
    assert "half.all" in said(report(latents(own), half=latents(half), shown=(pictures, pictures)))
    assert "half.none" in said(report(latents(own), half=latents(half), shown=(pictures, other))), "whatever ends say"
    unfit = [(pictures[:1], pictures[:1]), (pictures, pictures[..., :-1]), (pictures, pictures * math.nan)]
    assert all("half.near" in said(report(latents(own), half=latents(half), shown=shown)) for shown in unfit)


def said_of(trace, half):
    return said(report(trace, half=half))


def test_what_a_pass_did_is_measured():
    found = {one.id: one.text() for one in report(passed(run(), weight=0.0)).findings}
    assert "passes.idle" in found
    trace = passed(run(), weight=2.0, size=0.1)
    guided = trace.steps["kappa"][:, None].abs() * trace.record.square({"delta": 3.0}).sqrt()
    own = trace.steps["kappa"][:, None].abs() * 2 * 0.1 * trace.count**0.5
    share = float(own.sum() * trace.batch / (own.sum() * trace.batch + guided.sum()))
    assert push_shares(trace)["PAG"] == pytest.approx(share, rel=1e-6)
    assert sum(push_shares(trace).values()) == pytest.approx(1)
    found = {one.id: one for one in report(trace).findings}
    assert found["passes.pushed"].facts["share"] == percent(share)
    assert found["passes.across"].facts["percent"] == "25"
    assert "passes.across" not in said(report(passed(run(), across=math.nan)))
    assert "passes.further" in said(report(passed(run(), weight=math.nan)))
    assert "passes.further" in said(report(passed(run(), counts=0.0)))


@pytest.mark.parametrize(
    ("known", "against", "suggested"),
    [
        ({"card": card()}, "card", (3.0, 3.0)),
        ({"picks": picks((3.0, True), (5.0, True))}, "picks", (3.9, 3.9)),
        ({"template": template(4.0, 7.0)}, "template", (4.0, 4.0)),
        ({"card": card(low=0.4, centre=0.8)}, "card", (None, None)),
        ({"template": template(1.0)}, "template", (None, 1.0)),
        ({}, "nothing", (None, None)),
    ],
)
def test_a_run_without_guidance_is_told_which_scales_are_good(known, against, suggested):
    for gamma, headline, scale in zip((1.0, 0.5), ("head.off", "head.weak"), suggested, strict=True):
        found = report(run(gamma), Known(**known)).answer
        assert (found.headline.id, found.colour, found.against) == (headline, "off", against)
        assert (found.suggested, bool(found.range)) == (scale, bool(known))


@pytest.mark.parametrize("part", [(0, 30), (18, 40)])
@pytest.mark.parametrize(("gamma", "suggested"), [(13.0, 3.0), (4.0, None), (1.0, 3.0)])
def test_a_part_of_a_run_is_told_where_whole_runs_are_good_and_gets_no_verdict(part, gamma, suggested):
    stage = part_of(run(gamma, steps=40), *part)
    found = report(stage, Known(card=card())).answer
    assert found.headline.id == ("head.off" if gamma == 1 else "head.stage.known")
    assert found.colour == ("off" if gamma == 1 else "unclear")
    assert (found.against, found.range, found.suggested, found.odds) == ("card", (2.0, 5.0), suggested, None)
    assert "why.stage.whole" in {one.id for one in found.reasons}
    chosen = report(stage, Known(picks((6.0, True), (7.0, True)), card())).answer
    assert (chosen.against, chosen.range) == ("picks", (6.0, 7.0))
    assert chosen.colour != "above"


def test_picks_of_a_stage_are_compared_with_such_stages_and_with_no_whole_run():
    later, first = part_of(run(13.0, steps=40), 18, 40), part_of(run(13.0, steps=40), 0, 30)
    keys = [report(trace).knobs[0].key for trace in (run(13.0), later, first)]
    assert keys == ["cfg", "cfg, in a later stage", "cfg, in a first stage"]
    known = Known(picks((9.0, True), (13.0, True), knob=keys[1]), card())
    assert report(later, known).answer.headline.id == "head.picks.inside"
    assert report(first, known).answer.against == report(run(13.0), known).answer.against == "card"


@pytest.mark.parametrize(
    ("trace", "kind", "value"),
    [
        (run, "cfg", 4.0),
        (distilled, "guidance", 3.5),
        (lambda: run(4.0, {"distilled_guidance": 3.5}), "cfg", 4.0),
        (lambda: run(1.0, {"distilled_guidance": 3.5, "passes": {"PAG": 20}}), "cfg", 1.0),
        (steered, "gradient", 40.0),
        (lambda: extended(run(), "gradient", 0.5), "cfg", 4.0),
        (lambda: steered(distilled_guidance=3.5), "gradient", 40.0),
    ],
)
def test_the_knob_of_a_run_is_what_acted_most(trace, kind, value):
    found = report(trace())
    assert (found.knobs[0].kind, found.as_json()["knob"]["value"]) == (kind, value)
    assert len({knob.key for knob in found.knobs}) == len(found.knobs)
    assert "cfg" in {knob.kind for knob in found.knobs}


STATED_KNOB = {"kind": "guidance", "name": "guidance", "key": "guidance", "value": 3.5, "title": "Flux", "node": "9:4",
               "low": 1.0, "high": 100.0}  # fmt: skip


def test_a_header_tells_whose_widget_a_knob_is_and_an_older_one_none():
    told = report(distilled(knobs=[STATED_KNOB])).as_json()["knob"]
    facts = {"name": "guidance", "title": "Flux", "node": "9:4", "input": "guidance", "value": 3.5}
    assert facts.items() <= told.items()
    assert told["limits"] == [1.0, 100.0]
    older = report(distilled()).as_json()["knob"]
    assert (older["key"], older["value"], older["node"]) == ("guidance", 3.5, None)


def test_a_run_is_compared_with_picks_of_its_own_knob_alone():
    both = picks((2.0, True), (3.0, False), knob="guidance").merge(picks((3.0, True), (9.0, False)).picks)
    found = report(distilled(), Known(both)).answer
    assert (found.headline.id, found.colour, found.suggested) == ("head.knob.above", "above", 2.2)
    assert report(run(), Known(both)).answer.headline.id == "head.picks.inside"
    assert report(steered(weight=1.0), Known(both)).answer.headline.id == "head.gradient"
    burning = Known(picks((30.0, True), (50.0, True), knob=STEERS))
    assert report(steered(), burning).answer.headline.id == "head.burns.gradient", "the sign is a fact of its own"


def test_a_run_with_a_rule_is_compared_with_what_was_chosen_of_the_rules_number():
    stated = {"kind": RULE, "name": "phi", "key": "phi, GGRescale, cfg 8", "value": 0.7, "title": "Mine", "node": "7"}
    ruled = run(8.0, {**RULED, "knobs": [stated]}, rule=shrunk)
    known = Known(picks((0.3, True), (0.5, False), knob=stated["key"]), card())
    found = report(ruled, known)
    assert (found.answer.headline.id, found.answer.colour, found.answer.suggested) == ("head.knob.above", "above", 0.34)
    assert (found.knobs[0].kind, found.knobs[0].node) == (RULE, "7")
    assert report(ruled, Known(card=card())).knobs[0].kind == CFG, "nobody chose any"
    other = Known(picks((0.3, True), knob="phi, GGRescale, cfg 4"), card())
    assert report(ruled, other).knobs[0].kind == CFG, "another cfg is another matter"
    burnt = run(BURNT, {**RULED, "knobs": [stated]}, rule=lambda u, c, guided: 1.01 * guided)
    assert report(burnt, known).knobs[0].kind == CFG, "the sign is a fact of its own"


def test_rounding_is_no_push():
    """At cfg 1 the guided prediction is c; what differs from it in the last digit acted nowhere."""
    full = run(1.0).record.matrix().clone()
    at = VECTORS.index("D-G")
    full[..., at, at] = (run(1.0).steps["floor"][:, None] * run(1.0).count ** 0.5).square()
    found = said(report(staged(with_columns(run(1.0), K=triangle(full)), "afterwards", [0, 9, 19])))
    assert not {name for name in found if name.startswith(("acts.", "skip."))}


def test_of_a_negative_prompt_nothing_is_said_where_there_was_none():
    assert "negative.unknown" not in said(report(run()))
    assert "negative.unknown" not in said(report(run(changes={"negative": False})))
    assert "negative.unused" not in said(report(run(1.0, {"negative": False})))


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
@settings(max_examples=80, deadline=None, derandomize=True)
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


def test_runs_side_by_side_with_one_setting_are_judged_as_one():
    found = report(run(4.0, {"lanes": lanes(4.0, 4.0)}), Known(card=card()))
    assert found.answer == report(run(4.0), Known(card=card())).answer


def test_of_several_scales_nothing_is_told_but_that():
    found = report(run(BURNT, {"lanes": lanes(1.0, BURNT)}), Known(picks((3.0, True))), half=run(2.0))
    assert [one.id for one in found.sentences] == ["head.scales", "plain.head.scales", "help.alone"]
    assert (found.cfg, found.plain, found.answer.colour) == (None, False, "unclear")
    assert "1, 40" in found.answer.headline.text()


def test_the_size_of_data_is_the_cards_then_the_traces_then_measured_then_by_construction():
    told = [
        report(trace, known).findings[-1].text()
        for trace, known in (
            (run(), Known(card=card(), size=Size(0.9, 8))),
            (run(), Known(size=Size(0.9, 8))),
            (unsized(run()), Known(size=Size(0.9, 8))),
            (unsized(run()), Known(size=Size(1.0, format="SD15"))),
        )
    ]
    assert ["card" in told[0], "trace" in told[1], "8 pictures" in told[2], "SD15 and not measured" in told[3]] == [
        True
    ] * 4
    own, twice = (report(unsized(run()), Known(size=Size(value, 8))).features for value in (0.4, 0.8))
    assert math.isclose(
        own.push8 - report(replace(run(), header={**run().header, "sigma_data": 0.4})).features.push8, 0
    )
    assert own.push8 != twice.push8
    assert own.overshoot == twice.overshoot


def test_a_measured_size_is_read_as_it_was_written_and_damage_is_told(tmp_path):
    path = tmp_path / "a.json"
    write_size(Size(0.9, 8, key=HASH), path)
    assert read_size(path) == Size(0.9, 8, key=HASH)
    for damage in ('{"format": "guidance-geometry/size"}', "[]", "{", path.read_text().replace("0.9", '"x"')):
        path.write_text(damage)
        with pytest.raises(ValueError, match="Measure it again"):
            read_size(path)


@pytest.mark.parametrize(("times", "said"), [(1.0, "no_further"), (1.1, None), (1.3, "further")])
def test_between_the_top_of_a_card_and_the_factor_that_was_measured_nothing_is_said_of_a_run_with_rules(times, said):
    ruled = run(16.0, RULED, rule=shrunk)
    own = report(ruled).features
    assert STATED.likely < own.overshoot < STATED.sure
    top = {"overmean": own.overmean - math.log(times), "strength": own.strength / times * (1 + 1e-9)}
    found = report(ruled, Known(card=card(edges={"high": top}))).answer
    assert found.headline.id == (f"head.card.{said}" if said else "head.changed")
    assert (found.odds.id if found.odds else None) == (f"odds.card.{said}" if said else None)


def test_a_run_with_rules_pushes_further_only_where_its_own_predictions_show_it():
    mild = report(run(4.0, RULED, rule=shrunk), Known(card=card(edges=LEAST)))
    assert mild.features.overshoot < STATED.likely
    assert mild.answer.headline.id == "head.changed"


def texts(found):
    return " ".join(one.text() for one in found.sentences)


def test_burning_is_ascribed_to_who_pushed_more_and_the_advice_names_its_widget():
    found = report(steered(), Known(card=card(), template=template(4.0))).answer
    assert found.headline.id == "head.burns.gradient"
    assert "Steer gradient" in found.headline.text()
    assert {one.id: one.facts.get("half") for one in found.reasons}["help.gradient"] == 20.0
    assert (found.odds.id, found.suggested) == ("odds.gradient", None)
    both = report(extended(run(BURNT), "gradient", 1.0, weight=0.5)).answer
    assert both.headline.id == "head.burns"
    assert {"why.burns", "help.half"} <= {one.id for one in both.reasons}


def test_shares_of_the_push_are_those_of_the_vectors_that_acted():
    """D - c = 3 delta + 2 x 0.5 delta: three quarters are guidance's."""
    found = report(extended(run(), "gradient", 0.5, weight=2.0))
    assert found.push == pytest.approx({"guidance": 0.75, "Steer gradient": 0.25})
    assert found.as_json()["push"]["Steer gradient"] == 0.25
    assert report(steered()).push == pytest.approx({"guidance": 0.0, "Steer gradient": 1.0})
    assert report(run()).push == {"guidance": 1.0}
    assert report(run(1.0)).push == {}


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
    assert "Steer gradient acted" in texts(found)
    assert not {name for name in said(found) if name.startswith("skip.")}


def test_where_a_gradient_acted_nothing_is_said_of_rules():
    for gamma in (1.0, 4.0):
        trace = steered(gamma, chain="rescale 0.7 > CFG > + 4 x g", terms={"gradient": "+ 4 x g"})
        assert not {name for name in said(report(trace)) if name.startswith("rule.")}


def test_an_energy_that_only_watches_is_no_rule():
    terms = {"chain": "CFG > watch p", "terms": {"watch": "watch p"}}
    trace = with_columns(run(changes=terms), **{"log_prob watch": torch.zeros(20, 2).double()})
    assert not {name for name in said(report(trace)) if name.startswith("rule.")}


def test_at_cfg_1_the_push_of_a_gradient_is_known_without_a_difference():
    """No u was made: what the gradient was added to stands for it, and c is the same."""
    full = steered().record.matrix().clone()
    for name in ("delta",):
        full[..., VECTORS.index(name), :] = full[..., :, VECTORS.index(name)] = math.nan
    found = report(staged(with_columns(steered(), K=triangle(full)), "cond_only"))
    assert found.push == pytest.approx({"guidance": 0.0, "Steer gradient": 1.0})
    assert {"acts.steps", "classifier.moved"} <= said(found)
    assert "Steer gradient acted" in texts(found)


@pytest.mark.parametrize(("alone", "reverse", "told"), [(2, 0, False), (5, 0, True), (6, 3, False), (4, 0, False)])
def test_a_guide_is_called_fooled_only_beyond_chance(alone, reverse, told):
    assert ("classifier.fooled" in said(fooled(alone, reverse))) == told


def test_a_term_whose_text_begins_that_of_another_leaves_no_rule_behind():
    texts = {"watch": "watch CLIP: a > b", "watch 2": "watch CLIP: a > b, from 0.5 on"}
    trace = run(changes={"terms": texts, "chain": " > ".join(["CFG", *texts.values()])})
    said = torch.zeros(trace.n, trace.batch, dtype=torch.float64)
    assert scale_of(with_columns(trace, **{f"log_prob {name}": said for name in texts})).rules == ""


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


@pytest.mark.parametrize(
    ("gamma", "how"), [(0.5, {}), (1.0, {"sampler": "ddpm"}), (1.5, {"space": "flow"}), (16.0, {}), (BURNT, {})]
)
def test_no_plain_run_is_said_to_act_like_another(gamma, how):
    assert not {name for name in said(report(run(gamma, **how))) if name.startswith(("effect.", "like.", "cfg."))}


def test_a_patch_of_another_pack_is_judged_by_the_scale_that_acted():
    half = report(patched(4.0, 8.0), Known(card=card()))
    plain = report(run(4.0), Known(card=card()))
    assert half.findings[0].id == "effect.node"
    assert (half.answer.colour, half.answer.odds, half.answer.range) == (plain.answer.colour, plain.answer.odds, None)
    assert (half.cfg, half.plain, half.effective.scale) == (8.0, False, pytest.approx(4.0))
    named = report(patched(4.0, 8.0, changes={"patches": ["halve (their_pack.nodes)"]})).findings[0]
    assert (named.id, "halve (their_pack.nodes)" in named.text()) == ("effect.named", True)


@pytest.mark.parametrize(("gamma", "cfg", "suggested"), [(8.0, 16.0, 5.3), (1.5, 2.0, 5.0), (8.0, 8.0, 3.0)])
def test_a_scale_is_advised_in_the_numbers_of_the_widget(gamma, cfg, suggested):
    """At cfg 16 it acts like 8, 7 / 15 as far from 1: 1 + 2 x 15 / 7 should act like 3."""
    found = report(patched(gamma, cfg), Known(card=card())).answer
    assert found.suggested == suggested
    assert [one.facts for one in found.reasons if one.id == "help.widget"] == (
        [{"cfg": suggested, "scale": 3.0}] if gamma != cfg else []
    )


@pytest.mark.parametrize("trace", [lambda: patched(1.0, 8.0), lambda: patched(8.0, 1.0), lambda: patched(0.5, 8.0)])
def test_a_widget_of_which_nothing_is_known_gets_no_number(trace):
    found = report(trace(), Known(card=card())).answer
    assert found.suggested is None
    assert found.reasons[-1].id == "help.widget.unknown"


def test_burning_advises_half_of_what_the_widget_says():
    told = {one.id: one.facts for one in report(patched(BURNT, 10.0)).answer.reasons}
    assert told["help.half"]["half"] == 5.0


def test_a_template_is_compared_with_what_acted():
    found = report(run(8.0, RULED, rule=along), Known(template=template(4.5))).answer
    assert found.headline.id == "head.template.alike"
    assert report(run(8.0, RULED, rule=shrunk), Known(template=template(8.0))).answer.suggested is None


@pytest.mark.parametrize(
    "trace",
    [
        lambda: acting(run(8.0, RULED, rule=projected), [math.nan] * 20),
        lambda: run(8.0, {**RULED, "lanes": lanes(4.0, 8.0)}, rule=projected),
        lambda: extended(run(), "gradient", 0.5, weight=None),
    ],
)
def test_of_what_is_unknown_no_scale_is_told(trace):
    found = report(trace(), Known(card=card(edges=MIXED)))
    assert not {name for name in said(found) if name.startswith(("effect.", "like.", "cfg.", "why.along"))}
    assert set(found.as_json()["effective"].values()) == {None}


def test_a_gradient_is_nothing_that_goes_across():
    """It is named, and taken out first."""
    assert not {name for name in said(report(extended(run(), "gradient", 0.5))) if name.startswith("effect.")}


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


def test_a_step_that_reuses_a_difference_is_no_broken_one():
    """Nothing was evaluated in the place of u there, so nothing of it is recorded."""
    trace, full = run(), run().record.matrix().clone()
    for name in ("u", "a", "delta"):
        full[3, :, VECTORS.index(name), :] = full[3, :, :, VECTORS.index(name)] = math.nan
    gap = with_columns(trace, K=triangle(full))
    assert report(staged(gap, "reuse", [3])).answer.headline.id == "head.no_sign"
    assert report(gap).answer.headline.id == "head.not_finite"


def test_what_a_guider_does_by_itself_is_not_put_on_another_node():
    """The cfg of such a run is what its steps have in common, and no widget's."""
    alone = {"guider": "TheirGuider", "chain": "TheirGuider", "host": {"comfyui": "0.3.75"}, "cfg": 4.0}
    found = report(run(4.0, alone, rule=projected))
    assert found.findings[0].id == "effect.guider"
    plain = report(run(4.0, alone), Known(card=card()))
    assert plain.answer == report(run(4.0), Known(card=card())).answer
    assert (plain.cfg, plain.plain) == (4.0, True)


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


def test_what_is_there_and_cannot_be_compared_with_is_not_nothing():
    useless = (Known(picks((3.0, True), sampler="sde")), Known(card=card(sampler="sde")), Known(card=card(sha256="cd")))
    assert not any("why.nothing" in said(report(run(), known)) for known in useless)
    assert "why.nothing" not in said(report(steered()))


@pytest.mark.parametrize("step", [0, 10, 19])
def test_where_guidance_acted_is_not_said_when_the_push_of_a_step_is_unknown(step):
    found = said(report(nan(run(), "kappa", slice(step, step + 1))))
    assert "acts.unknown" in found
    assert not {"acts.step", "acts.steps"} & set(found)


def test_of_a_further_pass_at_cfg_1_no_length_is_told_and_no_idleness():
    found = said(report(unseen(run(1.0, {"passes": {"STG": 20}}))))
    assert "head.passes" in found
    assert not found & {"why.not_long", "acts.nowhere"}


def test_a_part_of_a_run_that_ends_in_a_dark_picture_is_still_a_part():
    part = part_of(darkened(run()), 8, 20)
    assert report(part).answer.headline.id == report(unsized(part)).answer.headline.id == "head.stage"
    assert report(unsized(darkened(run()))).answer.headline.id != "head.stage"


@pytest.mark.parametrize(
    ("overmean", "strength", "said"),
    [(-1e300, 1e-300, "card.further"), (1e300, 1e300, "card.no_further"), (-1e300, 0.0, "changed")],
)
def test_a_card_of_absurd_lengths_is_compared_with_like_any_other_and_no_push_with_nothing(overmean, strength, said):
    edges = {"high": {"overmean": overmean, "strength": strength}}
    found = report(run(16.0, RULED, rule=shrunk), Known(card=card(edges=edges)))
    assert found.answer.headline.id == f"head.{said}"
    assert found.text()
    assert misfits(found.as_json()) == []
