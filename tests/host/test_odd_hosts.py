"""What a record says in odd states of the host: nothing that was not so, and no number that nobody measured."""

import math
import re
from contextlib import nullcontext
from unittest.mock import patch

import comfy.samplers
import node_helpers
import pytest
import torch
from comfy_extras.nodes_easycache import LazyCacheNode
from comfy_extras.nodes_perpneg import PerpNeg

from guidance_geometry.dev.fixtures.tiny_families import family, text
from guidance_geometry.guidance.chain import PLAIN
from guidance_geometry.host.editor.panel_record import record_with_parts
from guidance_geometry.nodes.records import GGReadTrace, GGRecord
from guidance_geometry.verdict.report import report_of

from .chains import Away, patched
from .rule_knobs import chain
from .runs import STEPS, guided, ksampler, readable, same

CFG = 4.0
BOTH = ["step"] * STEPS
NOT_COUNTED = re.compile(r"\binf\b|\bnan\b|\b0 times\b|acts like 4\b")


def during(condition, start, end):
    return node_helpers.conditioning_set_values(condition, {"start_percent": start, "end_percent": end})


def scaling(model, c, u):
    """A cfg function that does not ask for the widget's scale."""
    clone = model.clone()
    clone.set_model_sampler_cfg_function(lambda args: args["uncond"] + 2.0 * (args["cond"] - args["uncond"]))
    return clone, c, u


def breaking(model, c, u):
    """A network that answers nan below a noise level."""
    clone = model.clone()

    def call(apply, given):
        found = apply(given["input"], given["timestep"], **given["c"])
        return torch.where(given["timestep"].amax() < 4.0, torch.nan, 1.0) * found

    clone.set_model_unet_function_wrapper(call)
    return clone, c, u


def away_from_nothing(model, c, u):
    return PerpNeg.execute(model, [[torch.zeros_like(words), dict(more)] for words, more in c], 1.0)[0], c, u


def samples_alone(model, x, timestep, uncond, cond, cond_scale, model_options={}, seed=None):  # noqa: B006
    """The host's guided evaluation as a pack replaces it: neither wrappers nor patches are asked."""
    c, u = comfy.samplers._calc_cond_batch(model, [cond, uncond], x, timestep, model_options)
    return u + cond_scale * (c - u)


PARTS = {
    "ended negative": lambda model, c, u: (model, c, during(u, 0.0, 0.5)),
    "ended positive": lambda model, c, u: (model, during(c, 0.0, 0.5), u),
    "lazy cache": lambda model, c, u: (LazyCacheNode.execute(model, 3.0, 0.15, 0.95, False)[0], c, u),
    "cfg function": scaling,
    "perp neg": away_from_nothing,
    "nan": breaking,
}
UNMEASURED = "has not been measured"
CASES = {  # states, cfg -> stages, gamma of each step (None: unknown), evaluations, words of the headline
    ("ended negative", CFG): (BOTH[:3] + ["from_zero"] * 3, [CFG] * 6, 9, "the negative was empty at 3 of 6 steps"),
    ("ended positive", CFG): (BOTH[:3] + ["from_zero"] * 3, [CFG] * 6, 9, "the positive was empty at 3 of 6 steps"),
    ("lazy cache", CFG): ([*BOTH[:2], "skip", "skip", *BOTH[4:]], [CFG, CFG, None, None, CFG, CFG], 8, UNMEASURED),
    ("cfg function", CFG): (BOTH, [2.0] * 6, 12, UNMEASURED),
    ("cfg function", 1.0): (None, None, 6, "another node changes what the positive alone gives"),
    ("perp neg", CFG): (BOTH, [CFG] * 6, 18, UNMEASURED),
    ("nan", CFG): (BOTH, [CFG, CFG, None, None, None, None], 12, "the numbers broke down at step 3"),
    ("sampling_function", CFG): (["unseen"] * 6, [None] * 6, 12, "another node runs the model in its own way"),
    ("plain", 1.0): (None, [1.0] * 6, 6, "Guidance was off: cfg is 1."),
}


def parts_in(state="plain"):
    parts = family("SD15"), text("SD15", 1), text("SD15", 2)
    return PARTS[state](*parts) if state in PARTS else parts


def told(trace):
    """All words of the record: notes, report and what the inspector shows."""
    readable(trace)
    report = report_of(trace)
    shown = record_with_parts(trace, None, 0, report={"report": report.as_json()})
    assert not {"Infinity", "-Infinity", "NaN"} & set(map(str, shown["steps"][0].values()))
    return "\n".join([*trace.header["notes"], report.text()])


@pytest.mark.parametrize(("state", "cfg"), CASES)
def test_a_record_says_what_was_so(host, state, cfg):
    stages, gammas, evaluations, headline = CASES[state, cfg]
    latent = {"samples": torch.zeros(3, 4, 8, 8)}
    replaced = hasattr(comfy.samplers, state)
    with patch.object(comfy.samplers, state, samples_alone) if replaced else nullcontext():
        expected = ksampler(*parts_in(state), latent, "euler", cfg=cfg)
        model, *conditions = parts_in(state)
        model, recorder = GGRecord.execute(model, "pictures", 256, 2).args
        samples = ksampler(model, *conditions, latent, "euler", cfg=cfg)
    assert same(samples, expected)
    trace = GGReadTrace.execute(recorder, {"samples": samples})[0]
    assert stages in (None, trace.stage)
    found = [gamma if math.isfinite(gamma) else None for gamma in trace.steps["gamma"].tolist()]
    assert gammas in (None, found)
    assert trace.header["evaluations"] == evaluations
    assert not trace.header["faults"]
    assert not trace.column("M19").isinf().any()
    assert headline in report_of(trace).answer.headline.text()
    words = told(trace)
    assert not NOT_COUNTED.search(words), words


@pytest.mark.parametrize(("state", "rule"), [("ended negative", "GGRescale"), ("ended positive", None)])
def test_with_our_sampler_an_ended_negative_is_no_guidance_and_no_other_node(host, state, rule):
    """It takes c alone there, which is the one wanted difference from the host."""
    chains = {"guidance": chain(rule, {"phi": 0.7})} if rule else {}
    trace = guided(*parts_in(state), {"samples": torch.zeros(1, 4, 8, 8)}, "euler", cfg=CFG, **chains)[2]
    words = told(trace)
    assert "another node" not in words
    ended = {"ended negative": "cond_only", "ended positive": "from_zero"}[state]
    assert trace.stage == BOTH[:3] + [ended] * 3
    said = "where the negative was empty or had ended, the prediction with the prompt was taken alone" in words
    assert said == (state == "ended negative")


def test_what_a_chain_or_a_look_after_the_run_asks_for_is_c_or_u_to_a_pack_that_knows_two(host):
    seen = []

    def call(apply, given):
        seen.append("".join(("c", "u")[i] for i in given["cond_or_uncond"]))
        return apply(given["input"], given["timestep"], **given["c"])

    def asked(rules=PLAIN, cfg=CFG, looks=0):
        seen.clear()
        model, positive, negative = parts_in()
        model.set_model_unet_function_wrapper(call)
        recorded = GGRecord.execute(patched(model, rules) if rules.rules else model, "numbers", 256, looks)[0]
        ksampler(recorded, positive, negative, {"samples": torch.zeros(1, 4, 8, 8)}, "euler", cfg=cfg)
        return seen

    assert asked(cfg=1.0, looks=2) == ["c"] * STEPS + ["c", "u"] * 2
    assert asked(PLAIN.then(Away(text("SD15", 3)))) == ["uuc"] * STEPS
