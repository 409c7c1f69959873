"""The table of runs and of what is known of their model, row by row: each a report.  test_report.py says what of."""

import math
from dataclasses import replace
from functools import cache

import torch

from guidance_geometry.measure.curve import Curve
from guidance_geometry.measure.estimates import Estimate
from guidance_geometry.measure.levels import LEVELS, Level
from guidance_geometry.measure.measurement import Measurement, setting_of
from guidance_geometry.tests.edited_runs import (
    acting,
    clipped,
    darkened,
    extended,
    faulty,
    from_zero,
    gap,
    headed,
    latents,
    nan,
    part_of,
    passed,
    repeating,
    rounded,
    scheduled,
    staged,
    unknown_scale,
    unseen,
    unseen_end,
    with_columns,
    with_products,
)
from guidance_geometry.tests.traces import exact_trace
from guidance_geometry.trace.trace import MASK_NOTE
from guidance_geometry.verdict.case import Judged
from guidance_geometry.verdict.known import Known
from guidance_geometry.verdict.measured import MeasuredCurve, ModelCurves, beside_of
from guidance_geometry.verdict.picks import CLASSES, Pick, Picks
from guidance_geometry.verdict.report import report_of as report
from guidance_geometry.verdict.run_knobs import RULE
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


def steered(gamma=1.0, weight=40.0, batch=2, **changes):
    """A run that a gradient pushed further than cfg did."""
    return extended(run(gamma, changes.items(), batch=batch), "gradient", 1.0, weight=weight, scale=weight)


def distilled(value=3.5, **changes):
    """A run at cfg 1 of a model that is told a guidance."""
    return run(1.0, {"distilled_guidance": value, **changes})


def shrunk(u, c, guided):
    return 0.8 * guided


def projected(u, c, guided):
    """APG at eta 0: of what lies beyond c, nothing along c."""
    beyond = guided - c
    shares = (beyond * c).flatten(1).sum(1) / (c * c).flatten(1).sum(1)
    return guided - shares[:, None, None, None] * c


def along(u, c, guided):
    """Half of what cfg asks for beyond c, and nothing across."""
    return c + (guided - c) / 2


def patched(gamma, cfg, changes=(), **how):
    """A run in a host that acted with one scale where its widget said another."""
    host = {"cfg": cfg, "host": {"comfyui": "0.3.75"}, "chain": "CFGGuider"}
    return run(gamma, {**host, **dict(changes)}, **how)


def lanes(*scales, chain="CFG"):
    """Runs side by side, the last with a chain of its own."""
    return {"cfg": [*scales], "chain": [*["CFG"] * (len(scales) - 1), chain]}


def ending(*factors):
    """A run at cfg 1 whose samples end where those at cfg 2 do, times a factor each."""
    end = run(2.0).tensors["end"]
    return replace(run(1.0), tensors={"end": torch.stack([end[b] * factors[b % len(factors)] for b in range(2)])})


def stage_of(gamma, first, last):
    return part_of(run(gamma, steps=40), first, last)


def told(guidance):
    """A run at cfg 1 of a distilled model, with the end of all others."""
    return headed(ending(1.0), distilled_guidance=guidance)


def of_phi(phi):
    stated = {"kind": "rule", "name": "phi", "key": "phi, GGRescale", "value": phi}
    return headed(told(3.5), chain=f"rescale {phi} > CFG", knobs=[stated])


def halves(other):
    """Finished pictures of a run and of one at half its scale: thin rows of black and white, and another."""
    return tuple(picture.expand(1, 3, 32, 32) for picture in (ROWS, other))


def turned(*shades):
    """Finished pictures of a run and of one at half its scale, whose grey is so many shades of 8 CIEDE2000 another."""
    own = torch.full((len(shades), 3, 32, 32), 0.5)
    return own, own + 0.075 * torch.tensor(shades)[:, None, None, None].clamp(max=6)


def of_class(key):
    kind, _, steps = key.partition("-")
    changes = {"split": "noise not observable"} if kind == "unseen" else {}
    found = run(4.0, changes, steps={"few": 6, "": 16, "many": 40}[steps], sampler="ddpm" if kind == "sde" else "euler")
    return nan(found, "kappa") if kind == "unseen" else found


def phi_at(cfg, rule=shrunk):
    """A run with a rule whose number a widget sets."""
    stated = {"kind": RULE, "name": "phi", "key": f"phi, GGRescale, cfg {cfg:g}", "value": 0.7, "title": "Mine"}
    return run(cfg, {**RULED, "knobs": [{**stated, "node": "7"}]}, rule=rule)


def picks(*pairs, by=None, sampler="ode", knob="cfg"):
    return Picks("m", HASH, tuple(Pick(cfg, sampler, good, by=by, knob=knob) for cfg, good in pairs))


def chosen(*pairs, also=(), **how):
    """What somebody chose.  also: what another did"""
    return Known(picks(*pairs, **how).merge(also))


def measured(ratios=(1.0, 1.0, 1.2, 1.6), values=(1.0, 2.0, 4.0, 8.0), knob="cfg", of=None, variety=(), **change):
    """What was measured of the model of `run`: so strange at each value, in twelve pictures.

    of: another run with the sampler and the size. spread: of one picture, the last and the first in turn. strength,
    expected: of all. rising: by how much the strength grows from value to value.
    """
    header, spread, one = (of or run()).header, change.get("spread", 0.0), torch.ones(12, dtype=torch.float64)
    share = 1 + spread * torch.cat([-one[:11], 11 * one[:1]])
    strength, expected = (change.get(name, 1.0) * one for name in ("strength", "expected"))
    points = []
    for i, ratio in enumerate(ratios):
        error = (3.0 if ratio == math.inf else ratio) * (share.flip(0) if i % 2 else share)
        along, hopeless = strength + i * change.get("rising", 0.0), ratio == math.inf
        levels = [Level(sigma, along, one, error, -expected if hopeless else expected) for sigma in LEVELS]
        points.append(Measurement(levels, setting_of(header)))
    curve = Curve(values, points, [Estimate(value, value, value) for value in variety])
    found = MeasuredCurve(knob, knob, "2026-11-12", curve, beside_of(header))
    return Known(curves=(ModelCurves("m", HASH, (found,)),))


def asked(trace, ratio, expected=1.0):
    """A run whose model was asked about its own pictures: so strange, each a little more or less."""
    rows = [[1.0 + 0.1 * b for b in range(trace.batch)] for _ in LEVELS]
    sums = {"along": rows, "length": rows, "error": [[ratio * v for v in row] for row in rows]}
    sums["expected"] = [[expected * v for v in row] for row in rows]
    return headed(trace, measured={"evaluations": 24, "sigmas": [*LEVELS], **sums})


def with_lora(*on):
    """A run whose weights were patched, with what, as far as that is known."""
    return headed(run(), model={"name": "m", "hash": HASH, "patches": "5" * 16, "on": [*on]})


def elsewhere(*on):
    """What was measured of the same weights with something else on them."""
    (curves,) = measured().curves
    return Known(related=(replace(curves, key=HASH + (f"+{'4' * 16}" if on else ""), on=on),))


def trouble(name):
    return Known(trouble=(say(name, fault="a.json: version is 2."),))


BURNT = 40.0  # scale at which the exact run burns
LIKED = chosen((2.0, True), (4.5, True), (5.5, False))
OF_PARTS = chosen((9.0, True), (13.0, True), knob="cfg, in a later stage", also=LIKED.picks.picks)
OF_GUIDANCE = chosen((2.0, True), (3.0, False), knob="guidance", also=LIKED.picks.picks)
OF_PHI = chosen((0.3, True), (0.5, False), knob="phi, GGRescale, cfg 8", also=LIKED.picks.picks)
STEERS = "scale, Steer gradient"  # key of the knob of `steered`
OF_EACH = torch.linspace(1.5, 2.5, 8).double()[:, None, None, None]  # scales of samples, about the widget's quarter
HIDDEN = {"notes": [f"{MASK_NOTE}: D is the original outside it"], "cfg": None}
EMBEDDED = {"afterwards": {"against": "embedded guidance 1"}}
STATED_KNOB = {"kind": "guidance", "name": "guidance", "key": "guidance", "value": 3.5, "title": "Flux", "node": "9:4",
               "low": 1.0, "high": 100.0}  # fmt: skip
WATCHED = {"terms": {"watch": "watch a > b", "watch 2": "watch a > b, from 0.5 on"},
           "chain": "CFG > watch a > b > watch a > b, from 0.5 on"}  # fmt: skip
LOG_PROBS = {f"log_prob {name}": torch.zeros(20, 2).double() for name in WATCHED["terms"]}
IN_CHAIN = {"chain": "rescale 0.7 > CFG > + 4 x g", "terms": {"gradient": "+ 4 x g"}}
GUIDER = {"guider": "TheirGuider", "chain": "TheirGuider", "host": {"comfyui": "0.3.75"}, "cfg": 4.0}

OF_CURVES = {
    "head.measured.seen": lambda: report(run(8.0), measured()),
    "head.measured.first": lambda: report(run(4.0), measured()),
    "head.measured.calm": lambda: report(run(2.0), measured(variety=(1.0, 0.8, 0.7, 0.5))),
    "head.measured.beyond": lambda: report(run(8.0), measured((1.0, 1.1), (1.0, 2.0))),
    "below what was measured": lambda: report(run(1.5), measured((1.0, 1.1), (2.0, 4.0))),
    "why.gate.strange": lambda: report(run(), measured((2.0, 2.0), (1.0, 2.0))),
    "why.gate.smooth": lambda: report(run(), measured((0.4, 0.4), (1.0, 2.0))),
    "why.gate.strength": lambda: report(run(), measured(strength=1.6)),
    "why.gate.trace": lambda: report(run(), measured(expected=-1.0)),
    "head.unsure": lambda: report(run(), measured((2.2, 3.3), (1.0, 4.0), spread=0.15)),
    "head.unsure.alike": lambda: report(run(), measured((2.2, 2.2), (1.0, 2.0), spread=0.15)),
    "measured, and refused at cfg 1": lambda: report(run(1.0), measured(strength=1.6)),
    "measured, and off": lambda: report(run(1.0), measured()),
    "measured beside picks": lambda: report(run(8.0), replace(measured(), picks=picks((8.0, True)))),
    "measured, without a value that does not guide": lambda: report(run(2.0), measured((1.0, 1.0), (1.5, 4.0))),
    "measured of pictures that differ": lambda: report(run(1.5), measured(spread=0.3)),
    "measured of another schedule": lambda: report(run(), measured(of=run(steps=8))),
    "measured of distilled guidance": lambda: report(distilled(2.0), measured(knob="guidance", of=distilled())),
    "measured beside a gradient": lambda: report(steered(weight=1.0), measured(knob=STEERS, of=steered())),
    "measured of a part of a run": lambda: report(part_of(run(8.0), 0, 16), measured()),
    "unmeasured, and long": lambda: report(headed(run(1.5), sigma_data=0.2)),
    "head.large": lambda: report(headed(run(1.5), sigma_data=0.012)),
    "beyond what was measured, and long": lambda: report(
        headed(run(8.0), sigma_data=0.1), measured((1.0, 1.1), (1.0, 2.0))
    ),
    "beyond what was measured, and burnt": lambda: report(run(BURNT), measured((1.0, 1.1), (1.0, 2.0))),
    "head.strange": lambda: report(asked(run(2.0), 2.55)),
    "why.strange.endless": lambda: report(asked(run(2.0), 3.0, expected=-1.0)),
    "asked, of one picture": lambda: report(asked(run(2.0, batch=1), 2.9)),
    "asked, and no stranger than can be": lambda: report(asked(run(2.0), 1.3)),
    "asked, and so at cfg 1": lambda: report(asked(run(1.0), 2.55)),
    "asked, of a model to which the measure does not apply": lambda: report(
        asked(run(), 2.5), measured((2.0, 2.0), (1.0, 2.0))
    ),
    "asked inside picks": lambda: report(asked(run(), 2.55), LIKED),
    "asked, and calm by the curve": lambda: report(asked(run(2.0), 2.55), measured()),
    "why.measured.endless": lambda: report(run(4.0), measured((1.0, 1.2, math.inf), (1.0, 2.0, 4.0))),
    "measured, and clipped": lambda: report(clipped(run(1.5), 0.5), measured()),
    "measured, and beyond the range": lambda: report(clipped(latents(run(1.5)), 0.5), measured(of=latents(run()))),
    "measured, and burnt": lambda: report(run(BURNT), measured((1.0, 1.0), (1.0, 50.0))),
    "why.liked": lambda: report(run(8.0), replace(measured(rising=0.5), picks=picks((2.0, True), (4.0, True)))),
    "why.curves.damaged": lambda: report(run(), trouble("why.curves.damaged")),
    "why.elsewhere": lambda: report(with_lora("detail 1.2"), elsewhere("detail 0.8")),
    "on.nothing": lambda: report(with_lora("detail 1.2"), elsewhere()),
    "on.others": lambda: report(with_lora(), elsewhere("detail 0.8")),
    "of other weights in another way": lambda: report(run(2.0, steps=8), elsewhere("detail 0.8")),
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
    **{
        f"sampler.{key}": lambda key=key, other=other: report(of_class(key), chosen((3.0, True), sampler=other))
        for key, other in zip(CLASSES, CLASSES[1:] + CLASSES[:1], strict=True)
    },
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
    "picks of cfg beside those of guidance": lambda: report(run(), OF_GUIDANCE),
    "a gradient of which nothing is chosen": lambda: report(steered(weight=1.0), OF_GUIDANCE),
    "a gradient burns inside its picks": lambda: report(steered(), chosen((30.0, True), (50.0, True), knob=STEERS)),
    "of a rule": lambda: report(phi_at(8.0), OF_PHI),
    "of a rule that nobody chose": lambda: report(phi_at(8.0), LIKED),
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
    "why.lost": lambda: report(faulty(run())),
    "a fault took the last step": lambda: report(replace(part_of(faulty(run(), 19), 0, 19), tensors=run().tensors)),
    "record.fault": lambda: report(run(changes={"faults": ["no numbers from step 3 on: disk"]})),
    "a difference that is lost": lambda: report(gap(run())),
    "a difference that is reused": lambda: report(staged(gap(run()), "reuse", [3])),
    "equal predictions at the end": lambda: report(unseen_end(run())),
    "why.size.damaged": lambda: report(run(), trouble("why.size.damaged")),
    "size.vae": lambda: report(headed(run(), sigma_data=None), Known(size=Size(0.9, 8))),
    "size.format": lambda: report(headed(run(), sigma_data=None), Known(size=Size(1.0, format="SD15"))),
    "size: of the trace": lambda: report(run(), Known(size=Size(0.9, 8))),
}
NOT_GUIDED = {
    "help.off": lambda: report(run(1.0)),
    "head.off": lambda: report(run(1.0), LIKED),
    "head.off.node": lambda: report(patched(1.0, 8.0), LIKED),
    "off, good below 1": lambda: report(run(1.0), chosen((0.4, True), (5.0, True))),
    "head.weak": lambda: report(run(0.5), LIKED),
    "weak, nothing": lambda: report(run(0.5)),
    "head.same": lambda: report(with_products(run(), ["delta"], 0.0)),
    "no negative": lambda: report(run(1.0, {"negative": False})),
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
    "later stage, in the dark, of unknown size": lambda: report(
        headed(part_of(darkened(run()), 8, 20), sigma_data=None)
    ),
}
BURNING = {
    "head.burns": lambda: report(run(BURNT)),
    "head.burns.gradient": lambda: report(steered()),
    "at an unknown scale": lambda: report(unknown_scale(run(BURNT))),
    "beside a pass": lambda: report(run(BURNT, {"passes": {"STG": 20}})),
    "of unknown size, and longer than the first level": lambda: report(
        with_columns(headed(run(BURNT), sigma_data=None), K=100 * run(BURNT).steps["K"])
    ),
    "at a low cfg": lambda: report(run(1.5, RULED, rule=lambda u, c, guided: 4 * guided)),
    "cfg beside a gradient": lambda: report(extended(run(BURNT), "gradient", 1.0, weight=0.5)),
    "beside a gradient at cfg 1 no rule": lambda: report(steered(1.0, **IN_CHAIN)),
    "a gradient without a difference": lambda: report(
        staged(with_products(steered(), ["delta"], math.nan), "cond_only")
    ),
    "a gradient without a number": lambda: report(headed(steered(), scales={})),
    "a patch": lambda: report(patched(BURNT, 10.0)),
}
FINDINGS = {
    "head.unmeasured": lambda: report(run()),
    "acts.step": lambda: report(with_columns(run(), kappa=torch.eye(20)[5].double() + 1e-9)),
    "acts.unknown": lambda: report(nan(run(), "kappa")),
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
    "like.steps": lambda: report(acting(run(8.0, RULED, rule=along), [1.0] * 6 + [8.0] * 3 + [1.0] * 11)),
    "like.samples": lambda: report(patched(2.0, 8.0, rule=lambda u, c, _: u + OF_EACH * (c - u), batch=8)),
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
    "skip.unknown": lambda: report(headed(run(), sigma_data=None)),
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
    "an energy that watches is no rule": lambda: report(with_columns(run(changes=WATCHED), **LOG_PROBS)),
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
    "no widget tells": lambda: report(
        run(2.0), half=headed(with_columns(ending(1.01), gamma=torch.linspace(0.5, 1.5, 20).double()), cfg=None)
    ),
    "no steps": lambda: report(run(2.0), half=replace(part_of(ending(1.0), 0, 0), tensors=ending(1.0).tensors)),
    "another model": lambda: report(run(2.0), half=headed(ending(1.0), model={"name": "m", "hash": "cd" * 32})),
    "of a told guidance": lambda: report(told(3.5), half=told(1.75)),
    "two knobs": lambda: report(told(3.5), half=headed(told(1.75), cfg=2.0)),
    "a number of a rule": lambda: report(of_phi(0.7), half=of_phi(0.35)),
    "pictures that are equal": lambda: of_latents(1.0, shown=(PICTURES, PICTURES)),
    "pictures tell, whatever ends say": lambda: of_latents(1.01, shown=(PICTURES, PICTURES.roll(1, dims=1))),
    "too few pictures": lambda: of_latents(1.0, shown=halves(ROWS)),
    "pictures of another size": lambda: of_latents(1.0, shown=(PICTURES, PICTURES[..., :-1])),
    "pictures that are not finite": lambda: of_latents(1.0, shown=(PICTURES, PICTURES * math.nan)),
}


def one_picture(shown):
    return report(run(2.0, batch=1), half=run(1.0, batch=1), shown=shown)


def of_latents(*factors, shown=None):
    return report(latents(run(2.0)), half=latents(ending(*factors)), shown=shown)


def of_guide(alone, reverse, batch=12):
    """A guide that finds so many samples that a judge does not, and the other way round."""
    own, judge = torch.full((batch,), -0.1), torch.full((batch,), -0.1)
    judge[:alone], own[alone : alone + reverse] = -3.0, -3.0
    return report(extended(run(batch=batch), "gradient", 0.5, own), judge=Judged("CLIP", judge))


GROUPS = {"curves": OF_CURVES, "picks": OF_PICKS, "knobs": OF_ANOTHER_KNOB, "odd": ODD, "not guided": NOT_GUIDED,
          "parts": PARTS, "burning": BURNING, "findings": FINDINGS, "half": HALVES}  # fmt: skip
CASES = {f"{group}: {name}": row for group, rows in GROUPS.items() for name, row in rows.items()}


@cache
def made(row):
    return CASES[row]()
