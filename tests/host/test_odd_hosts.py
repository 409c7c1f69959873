"""What a record says in odd states of the host: nothing that was not so, and no number that nobody measured."""

import math
import re

import pytest
import torch
from comfy.controlnet import ControlNet
from comfy_extras.nodes_custom_sampler import BasicGuider

from guidance_geometry.dev.fixtures.tiny_families import control_net, family, text
from guidance_geometry.guidance.chain import PLAIN
from guidance_geometry.host.panel_record import of_every_part
from guidance_geometry.nodes.records import GGReadTrace, GGRecord
from guidance_geometry.verdict.report import report_of

from .chains import Away, patched
from .odd_hosts import READ_IN_TABLE, SCALE, host_in
from .rule_knobs import chain
from .runs import STEPS, guided, host_nodes, inspected, ksampler, readable, same

CFG = 4.0
BOTH = ["step"] * STEPS
NOT_COUNTED = re.compile(r"\binf\b|\bnan\b|\b0 times\b|acts like 4\b")


def sampled(state, cfg=CFG, sampler="euler"):
    """The trace of a run in a host in this state, whose samples are those of one that nobody records."""
    latent = {"samples": torch.zeros(1 if "windows" in state else 3, 4, 8, 8)}
    with host_in(state) as odd:
        plain, given = (odd(family("SD15"), text("SD15", 1), text("SD15", 2)) for _ in range(2))
        expected = ksampler(*plain, latent, sampler, cfg=cfg)
        model, recorder = GGRecord.execute(given[0], "pictures", 256, 2).args
        samples = ksampler(model, *given[1:], latent, sampler, cfg=cfg)
    assert same(samples, expected)
    return GGReadTrace.execute(recorder, {"samples": samples})[0]


def told(trace):
    """All words of the record: notes, report and what the inspector shows."""
    readable(trace)
    report = report_of(trace)
    shown = of_every_part(trace, None, 0, report={"report": report.as_json()})
    assert not {"Infinity", "-Infinity", "NaN"} & set(map(str, shown["steps"][0].values()))
    return "\n".join([*trace.header["notes"], report.text()])


CASES = {  # states, cfg -> stages, gamma of each step (None: unknown), evaluations, words of the headline
    ("empty negative", CFG): (["from_zero"] * 6, [CFG] * 6, 6, "the negative was empty at 6 of 6 steps"),
    ("ended negative", CFG): (BOTH[:3] + ["from_zero"] * 3, [CFG] * 6, 9, "the negative was empty at 3 of 6 steps"),
    ("ended positive", CFG): (BOTH[:3] + ["from_zero"] * 3, [CFG] * 6, 9, "the positive was empty at 3 of 6 steps"),
    ("areas", CFG): (BOTH, [CFG] * 6, 36, "No sign"),
    ("windows that remember", CFG): (BOTH, [CFG] * 6, 36, "No sign"),
    ("easy cache", CFG): ([*BOTH[:3], "skip", *BOTH[4:]], [CFG] * 6, 10, "No sign"),
    ("lazy cache", CFG): ([*BOTH[:2], "skip", "skip", *BOTH[4:]], [CFG, CFG, None, None, CFG, CFG], 8, "No sign"),
    ("stored u", CFG): (["step", "reuse"] * 3, [CFG] * 6, 9, "No sign"),
    ("cfg function", CFG): (BOTH, [SCALE] * 6, 12, "No sign"),
    ("cfg function", 1.0): (None, None, 6, "another node changes what the positive alone gives"),
    ("post cfg", 1.0): (None, None, 6, "another node changes what the positive alone gives"),
    ("perp neg", CFG): (BOTH, [CFG] * 6, 18, "negative took part besides cfg"),
    ("nan", CFG): (BOTH, [CFG, CFG, None, None, None, None], 12, "the numbers broke down at step 3"),
    ("nan", 1.0): (None, [1.0, 1.0, None, None, None, None], 6, "the numbers broke down at step 3"),
    ("calc_cond_batch replaced", CFG): (BOTH, [CFG] * 6, 12, "No sign"),
    ("sampling_function replaced", CFG): (["unseen"] * 6, [None] * 6, 12, "another node runs the model in its own way"),
    ("plain", 1.0): (None, [1.0] * 6, 6, "Guidance was off: cfg is 1."),
}


@pytest.mark.parametrize(("state", "cfg"), CASES)
def test_a_record_says_what_was_so(host, state, cfg):
    stages, gammas, evaluations, headline = CASES[state, cfg]
    trace = sampled(state, cfg=cfg)
    assert stages in (None, trace.stage)
    found = [gamma if math.isfinite(gamma) else None for gamma in trace.steps["gamma"].tolist()]
    assert gammas in (None, found)
    assert trace.header["evaluations"] == evaluations
    assert not trace.header["faults"]
    words = told(trace)
    broken = trace.record.dot("D-G", "D-G").isnan().any(dim=1)
    assert trace.steps["gamma"][broken].isnan().all()
    assert not trace.column("M19").isinf().any()
    assert headline in report_of(trace).answer.headline.text()
    assert not NOT_COUNTED.search(words), words


def test_the_zero_of_an_empty_negative_is_recorded_as_it_is(host):
    trace = sampled("ended negative", sampler="heun")
    zero = torch.tensor([stage == "from_zero" for stage in trace.stage])
    assert zero.any()
    assert (trace.record.dot("u", "u")[zero] == 0).all()
    assert (trace.record.dot("u", "u")[~zero] > 0).all()
    assert trace.column("M13")[zero].isnan().all(), "what is no difference of predictions has no memory"


@pytest.mark.parametrize(("state", "rule"), [("ended negative", "GGRescale"), ("ended positive", None)])
def test_with_our_sampler_an_ended_negative_is_no_guidance_and_no_other_node(host, state, rule):
    """It takes c alone there, which is the one wanted difference from the host."""
    parts = parts_in(state)
    chains = {"guidance": chain(rule, {"phi": 0.7})} if rule else {}
    trace = guided(*parts, {"samples": torch.zeros(1, 4, 8, 8)}, "euler", cfg=CFG, **chains)[2]
    words = told(trace)
    assert "another node" not in words
    ended = {"ended negative": "cond_only", "ended positive": "from_zero"}[state]
    assert trace.stage == BOTH[:3] + [ended] * 3
    said = "where the negative was empty or had ended, the prediction with the prompt was taken alone" in words
    assert said == (state == "ended negative")


@pytest.mark.parametrize(("cfg", "stage"), [(CFG, "from_zero"), (1.0, "cond_only")])
def test_a_guider_without_a_negative_counts_from_zero_where_its_scale_asks_for_one(host, cfg, stage):
    guider = BasicGuider.execute(family("SD15"), text("SD15", 1))[0]
    guider.set_cfg(cfg)
    trace = inspected(guider, {"samples": torch.zeros(2, 4, 8, 8)})
    assert trace.stage == [stage] * STEPS
    assert trace.steps["gamma"].tolist() == [cfg] * STEPS
    assert not NOT_COUNTED.search(told(trace))


def parts_in(state="plain"):
    with host_in(state) as odd:
        return odd(family("SD15"), text("SD15", 1), text("SD15", 2))


def asked(**given):
    """Which of the items were c and u in each call of the network, to a pack with a table of two."""
    READ_IN_TABLE.clear()
    run(parts_in("table of two"), **given)
    return READ_IN_TABLE


def run(parts, cfg=CFG, rules=None, looks=0):
    model, recorder = GGRecord.execute(patched(parts[0], rules) if rules else parts[0], "numbers", 256, looks).args
    samples = ksampler(model, *parts[1:], {"samples": torch.zeros(1, 4, 8, 8)}, "euler", cfg=cfg)
    return GGReadTrace.execute(recorder, {"samples": samples})[0]


def test_the_negative_of_a_look_after_the_run_stands_in_the_place_of_u(host):
    assert asked(cfg=1.0, looks=2) == ["c"] * STEPS + ["c", "u"] * 2


def test_the_further_condition_of_a_chain_is_no_pass_of_another_pack(host):
    rules = PLAIN.then(Away(text("SD15", 3)))
    trace = run(parts_in(), rules=rules)
    assert "passes" not in trace.header
    assert trace.header["evaluations"] == 3 * STEPS
    assert asked(rules=rules) == ["uuc"] * STEPS, "to a table of two it is u"


@pytest.mark.parametrize("mate", [2, 3], ids=["negative", "further"])
def test_a_further_condition_is_u_to_a_control_net(host, monkeypatch, mate):
    """To its own, and to one that it shares with the positive in one batch."""
    places, ask = [], ControlNet.get_control

    def note(control, x, timestep, cond, batched, options):
        assert options is cond["transformer_options"]
        places.append(sorted(options["cond_or_uncond"]))
        return ask(control, x, timestep, cond, batched, options)

    monkeypatch.setattr(ControlNet, "get_control", note)
    node, hint, under = host_nodes().ControlNetApplyAdvanced(), torch.zeros(1, 64, 64, 3), {}
    with torch.inference_mode():
        for together in ((1, mate), (5 - mate,)):
            conds = [text("SD15", seed) for seed in (*together, 4)[:2]]
            controlled = node.apply_controlnet(conds[0], conds[1], control_net(0), hint, 1.0, 0.0, 1.0)
            under.update(zip(together, controlled, strict=False))
    run((family("SD15"), under[1], under[2]), rules=PLAIN.then(Away(under[3])))
    assert sorted(places) == [[0, 1]] * STEPS + [[1]] * STEPS


@pytest.mark.parametrize("word", ["uncond", "cond"])
def test_a_second_model_is_asked_in_the_place_that_its_condition_has(host, word):
    with host_in("table of two") as odd:
        other = odd(family("SD15", seed=1), None, None)[0]
    READ_IN_TABLE.clear()
    run(parts_in(), rules=PLAIN.then(Away(word, other)))
    assert [{"uncond": "u", "cond": "c"}[word]] * STEPS == READ_IN_TABLE
