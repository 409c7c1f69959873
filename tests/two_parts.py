"""The record of a synthetic run of video and sound: random vectors, a further pass, no network and no host."""

import math
from dataclasses import replace
from functools import cache
from itertools import pairwise

import torch

from guidance_geometry.guidance.parts import Packed
from guidance_geometry.trace.accumulator import Accumulator, Capture
from guidance_geometry.trace.gram import VECTORS
from guidance_geometry.trace.recorder import Evaluation, Pass, Recorded
from guidance_geometry.trace.rows import Setting
from guidance_geometry.trace.trace import Trace

VIDEO, AUDIO = (3, 2, 6, 8), (4, 5, 7)
PACKED = Packed((VIDEO, AUDIO))
GAMMAS = (3.0, 7.0)
SIGMAS = (1.0, 0.7, 0.4, 0.0)


@cache
def steps(batch=2, late=True):
    """Steps of a packed run; late: the further pass is made from the second step on."""
    draws = torch.Generator().manual_seed(1)
    x, found = torch.randn(batch, 1, math.prod(VIDEO) + math.prod(AUDIO), generator=draws), []
    for i, (sigma, then) in enumerate(pairwise(SIGMAS)):
        u, c, away = (0.5 * torch.randn(x.shape, generator=draws) for _ in range(3))
        passes = {} if late and i == 0 else {"STG": Pass(away, 1)}
        own = [
            Evaluation(
                own_u + (own_c - own_u) * gamma + 0.5 * sum(one.difference for one in named.values()),
                own_u,
                own_c,
                gamma,
                2 + len(passes),
                passes=named,
            )
            for own_u, own_c, gamma, named in zip(
                PACKED.split(u), PACKED.split(c), GAMMAS, split_passes(passes), strict=True
            )
        ]
        whole = PACKED.join([one.denoised for one in own])
        seen = Evaluation(whole, nfe=2 + len(passes), parts=tuple(own), passes=passes)
        move = (1 - then / sigma) * (whole - x)
        spent = {name: one.nfe for name, one in passes.items()}
        found.append(Recorded(i, x, sigma, then, seen, move, None, seen.nfe, spent))
        x = x + move
    return found


def split_passes(passes):
    tables = PACKED.split_table({name: one.difference for name, one in passes.items()})
    return [{name: replace(passes[name], difference=v) for name, v in table.items()} for table in tables]


@cache
def two_parts(mode="tensors"):
    """Its trace: the video's, with that of the sound beside it."""
    accumulators = [Accumulator(Setting(flow=True), Capture(mode)) for _ in PACKED.shapes]
    for step in steps():
        for accumulator, own in zip(accumulators, step.split(PACKED), strict=True):
            accumulator.enter(own)
    video, audio = map(trace_of, accumulators, PACKED.names, PACKED.shapes, GAMMAS)
    return replace(video, parts={"audio": audio})


def trace_of(accumulator, name, shape, gamma):
    kept, tensors, note = accumulator.capture.stack()
    facts = {"run": "made up", "space": "flow", "vectors": list(VECTORS), "cfg": gamma, "sampler": "euler"}
    facts |= {"sigmas": list(SIGMAS), "labels": [], "notes": [f"of the {name}"], "sigma_data": 0.5, "faults": []}
    facts |= {"latent": {"shape": list(shape), "format": "none"}, "part": name, "passes": dict(accumulator.passes)}
    facts |= {"capture": {"mode": accumulator.capture.mode, "steps": kept, "note": note}, "evaluations": 8}
    return Trace(facts, accumulator.columns(), accumulator.stage, tensors)
