import math
from dataclasses import replace
from types import SimpleNamespace

import comfy.model_management
import comfy.sample
import pytest
import torch
from comfy.model_management import OOM_EXCEPTION

from guidance_geometry.extension import every_node
from guidance_geometry.guidance.chain import PLAIN, Chain
from guidance_geometry.guidance.energies.label import LabelEnergy
from guidance_geometry.guidance.gradients.term import GradientTerm
from guidance_geometry.guidance.rules.rescale import Rescale
from guidance_geometry.guidance.rules.reuse import Reuse
from guidance_geometry.guidance.rules.schedule import ScaleSchedule
from guidance_geometry.host.sweeps import runs as sweeping
from guidance_geometry.host.sweeps.conditions import Asked, labels_of, prepare_conditions
from guidance_geometry.host.sweeps.conditions import label_conditioning as asked_for
from guidance_geometry.host.sweeps.results import best_cfg
from guidance_geometry.host.sweeps.runs import (
    PRODUCTS,
    Settings,
    Subject,
    every_run,
    obstacle,
    sample_alone,
)
from guidance_geometry.nodes.load_classifier import GGLoadClassifier
from guidance_geometry.nodes.start import GGClassLabel
from guidance_geometry.nodes.sweep import GGSweep
from guidance_geometry.tests.host.runs import Counter, fitted, ksampler, names, watched
from guidance_geometry.verdict.case import scale_of
from guidance_geometry.verdict.report import report_of

CFGS = (0.0, 1.0, 4.0)
STEPS = 4
AXES = "cfg: 0, 1, 4\nseed: 3, 7"
FOUR = "cfg: 2, 4\nseed: 3, 7"


@pytest.fixture
def swept(labelled, empty_latent):
    """name, settings -> the outputs of a sweep over that model."""
    every_node()  # rules are named by their nodes

    def run(name="ve", axes=AXES, sampler="euler", model=None, batch=3, **more):
        own, positive, negative = labelled[name]
        latent = empty_latent(name, batch)
        return GGSweep.execute(model or own, positive, negative, latent, 7, STEPS, sampler, "karras", axes, **more).args

    return run


def alone(subject, sampler, cfg):
    return ksampler(*subject[:4], sampler, steps=STEPS, cfg=cfg)


@pytest.fixture
def robot(labelled):
    """One picture of the size that Pocket was trained for, where a row has the same bits in any batch."""
    model = labelled["pocket"][0]
    positive, negative = GGClassLabel.execute(model, "robot").args[:2]
    return Subject(model, positive, negative, {"samples": torch.zeros(1, 3, 32, 32)})


def in_sweep(subject, axes, sampler="euler", steps=STEPS, **more):
    """The samples of a sweep's runs as the node gives them."""
    widgets = {"seed": 7, "steps": steps, "sampler_name": sampler, "scheduler": "karras", "axes": axes}
    return GGSweep.execute(*subject[:4], **widgets, **more)[0]


def test_a_sweep_gives_ksamplers_samples_a_sheet_a_table_and_the_best(swept, labelled, empty_latent):
    latent, grid, table, best, trace = swept("flow")
    rows = latent["samples"].chunk(6)
    for i, cfg in enumerate(CFGS):
        assert torch.equal(rows[2 * i + 1], alone((*labelled["flow"], empty_latent("flow")), "euler", cfg))
    assert (trace.n, trace.batch, grid.shape[0], table.count("\n")) == (STEPS, 3, 1, 6)
    assert best in CFGS
    judge = SimpleNamespace(text="bright", noise_aware=False, classifiers=())
    judge.log_prob = lambda x, at=None: x.flatten(1).mean(dim=1)
    latent, _, table, best, _ = swept("pocket", "cfg: 0, 1, 8\nseed: 3", energy=judge)
    means = latent["samples"].clamp(-1, 1).chunk(3)
    assert best == (0.0, 1.0, 8.0)[max(range(3), key=lambda i: float(means[i].mean()))]
    assert "judge" in table.splitlines()[0]


@pytest.mark.parametrize(("place", "captured"), [(4, STEPS), (3, 0)])
def test_the_trace_has_pictures_where_somebody_reads_it(swept, monkeypatch, place, captured):
    read = {"9": {"inputs": {"value": ["5", place]}}}
    monkeypatch.setattr(
        GGSweep, "hidden", SimpleNamespace(unique_id="5", prompt=read, extra_pnginfo=None), raising=False
    )
    assert len(swept("flow", "cfg: 2")[4].captured_steps) == captured


def test_exact_batches_are_ksamplers_bit_for_bit(robot):
    """Of every eighth sampler, and of those that go alone."""
    for sampler in {*names()[::8], "dpm_adaptive", *PRODUCTS}:
        with watched(robot.model) as items:
            rows = in_sweep(robot, "cfg: 2\nseed: 3, 7", sampler, steps=2)["samples"]
        assert torch.equal(rows[1:], ksampler(*robot[:4], sampler, steps=2, cfg=2.0)), sampler
        assert (max(items) > 2) == (sampler not in ("dpm_adaptive", *PRODUCTS)), sampler


def test_on_a_device_whose_bits_follow_the_batch_runs_are_exact_one_by_one(robot):
    with watched(robot.model, lambda found: found * (1 + 1e-6 * (len(found) > 2))) as sizes:
        samples = in_sweep(robot, FOUR)["samples"]
    assert torch.equal(samples[3:], alone(robot, "euler", 4.0))
    assert [size for size in sizes if size > 2] == [4], "two runs were asked together, once"


@pytest.mark.parametrize("one", ["skips u", "sums by a product"])
def test_runs_in_exact_mode_are_those_of_a_sampler_by_itself(robot, one):
    """The order of a sum over three or more predictions follows the size of the batch."""
    sampler = "uni_pc_bh2" if one == "sums by a product" else "euler"
    chain = Chain((Reuse(every=3, predictor="hold"),)) if one == "skips u" else PLAIN
    runs = [Settings(cfg, seed, 12, sampler, "karras", chain) for cfg, seed in ((2.0, 3), (6.0, 7))]
    found = dict(every_run(robot, runs, "exact", {}))
    for i, run in enumerate(runs):
        assert torch.equal(found[i].samples["samples"], sample_alone(robot, run, {}).samples["samples"]), run


RULES = "cfg: 1, 4\nrule: cfg, APG + Rescale CFG, Limited Interval, Skip and Reuse\nseed: 3, 7"
SHARED = {
    "rules with memory": (RULES, {}),
    "a schedule in stages": (
        "cfg: 2, 6\nseed: 3, 7",
        {"sampler": "heun", "guidance": Chain((ScaleSchedule("linear"),))},
    ),
    "noise": (AXES, {"sampler": "dpmpp_2m_sde"}),
    "u": (AXES, {"sampler": "euler_cfg_pp"}),
}


@pytest.mark.parametrize(("axes", "more"), SHARED.values(), ids=SHARED)
def test_shared_runs_differ_by_rounding_alone_and_ask_less_often(swept, labelled, axes, more):
    found, calls = [], []
    for mode in ("exact", "shared"):
        counter = Counter(labelled["ve"][0])
        found.append(swept("ve", axes, mode=mode, model=counter.model, **more)[0]["samples"])
        calls.append(len(counter.items))
    exact, shared = found
    assert float((exact - shared).abs().max()) < 2e-4 * float(exact.abs().max())
    assert calls[1] < calls[0] / 2


def test_samples_have_the_sides_and_the_dtype_that_ksampler_hands_on(monkeypatch, labelled, empty_latent):
    monkeypatch.setattr(comfy.sample, "fix_empty_latent_channels", fitted)
    monkeypatch.setattr(comfy.model_management, "intermediate_dtype", lambda: torch.float16, raising=False)
    latent = {"samples": torch.zeros(3, 4, 4, 4), "downscale_ratio_spacial": 2, "downscale_ratio_temporal": None}
    found = in_sweep((*labelled["ve"], latent), AXES, mode="exact")
    assert set(found) == {"samples"}
    assert (found["samples"].shape, found["samples"].dtype) == ((18, 3, 8, 8), torch.float16)
    expected = alone((*labelled["ve"], empty_latent("ve")), "euler", 4.0).half()
    assert torch.equal(found["samples"].chunk(6)[5], expected)


def test_what_keeps_a_run_out_of_a_batch_is_named(labelled, empty_latent):
    subject = Subject(*labelled["ve"], latent=empty_latent("ve"))
    film = {"samples": torch.zeros(1, 3, 5, 8, 8), "noise_mask": torch.rand(5, 1, 8, 8)}
    patched = subject.model.clone()
    patched.set_model_sampler_cfg_function(lambda args: args["cond"])

    def why(subject, sampler="euler"):
        return obstacle(subject, Settings(2.0, 1, STEPS, sampler, "karras", PLAIN))

    assert why(subject) == why(subject, "heunpp2") == ""
    assert "step size" in why(subject, "dpm_adaptive")
    assert "own guidance" in why(subject._replace(model=patched))
    assert "3 entries" in why(subject._replace(latent=empty_latent("ve", 2)))
    assert "noise mask" in why(subject._replace(latent=film))


@pytest.mark.parametrize("schedule", [None, "linear"])
def test_a_run_of_a_shared_batch_is_judged_by_its_own_scale(labelled, empty_latent, schedule):
    subject = Subject(*labelled["ve"], latent=empty_latent("ve"))
    chain = Chain((ScaleSchedule(schedule),) if schedule else ())
    runs = [Settings(cfg, 7, 8, "euler", "karras", chain) for cfg in CFGS]
    shared, exact = ({i: one.trace for i, one in every_run(subject, runs, mode, {})} for mode in ("shared", "exact"))
    for i in range(len(runs)):
        assert shared[i].header["lanes"] == {}
        assert torch.equal(shared[i].steps["gamma"], exact[i].steps["gamma"])
        assert scale_of(shared[i]).change == 0, "D is u + gamma (c - u) with the scale that it has"
        own, alone = scale_of(shared[i]), scale_of(exact[i])
        assert own == replace(alone, change=0.0, effective=own.effective)
        known = alone.effective.scale if CFGS[i] != 1 else 1.0  # alone, cfg 1 makes no u
        assert own.effective.scale == pytest.approx(known, abs=1e-4)
        told, expected = report_of(shared[i]), report_of(exact[i])
        assert "reuse" not in shared[i].stage
        assert (told.answer.headline.id, told.cfg) == (expected.answer.headline.id, expected.cfg)


def test_a_batch_that_does_not_fit_is_halved(robot, monkeypatch):
    """In the exact mode memory runs out where the batch is tried."""
    whole = sweeping.predict_middle

    def small(subject, runs, *facts):
        if len(runs) > 2:
            raise OOM_EXCEPTION("out of memory")
        return whole(subject, runs, *facts)

    monkeypatch.setattr(sweeping, "predict_middle", small)
    runs = [Settings(2.0, seed, 2, "euler", "karras", PLAIN) for seed in range(5)]
    found = dict(every_run(robot, runs, "exact", {}))
    assert [found[i].in_batch for i in range(5)] == [True] * 4 + [False]


def test_saturation_gives_an_upper_end():
    def row(cfg, share):
        return {"place": {"cfg": cfg}, "measures": {"saturation": share}}

    assert best_cfg([row(1, 0.02), row(4, 0.025), row(8, 0.2)], "auto") == 4
    assert best_cfg([row(1, math.nan)], "auto") is None


def test_knobs_of_a_connected_rule_are_axes(swept):
    latent = swept("ve", "cfg: 4\nRescale CFG.phi: 0, 1", guidance=Chain((Rescale(),)))[0]["samples"]
    plain = swept("ve", "cfg: 4")[0]["samples"]
    assert torch.equal(latent.chunk(2)[0], plain)
    assert not torch.equal(latent.chunk(2)[1], plain)


def steered(*scales, **named):
    """A chain of gradients of the demo's clean classifier, by nodes 20, 21, ..."""
    energy = LabelEnergy(GGLoadClassifier.execute("pocket-clean-1")[0], ((0,),))
    own = {"evaluation": "x0", "title": "Steer", **named}
    return Chain(tuple(GradientTerm(energy, weight=w, node=str(20 + i), **own) for i, w in enumerate(scales)))


def test_the_scale_of_a_gradient_is_an_axis_like_cfg(swept):
    """0 is the run without it; of two gradients the number says which."""
    guidance = steered(50.0, 2.0, measured=True)
    latent = swept("pocket", "cfg: 1\n21.scale: 0, 90", guidance=guidance)[0]["samples"]
    without, own = (swept("pocket", "cfg: 1", guidance=steered(50.0, *more))[0]["samples"] for more in ((), (90.0,)))
    assert torch.equal(latent.chunk(2)[0], without)
    assert torch.equal(latent.chunk(2)[1], own)
    assert not torch.equal(own, without)


def test_labels_are_an_axis_and_each_run_is_as_its_own_ksampler(swept, labelled, empty_latent):
    model = labelled["pocket"][0]
    first, second = model.model.card.labels[:2]
    for mode, most in (("exact", 0.0), ("shared", 1e-3)):
        latent, _, _, _, trace = swept("pocket", f"cfg: 4\nlabel: {first}, 1\nseed: 7", mode=mode, batch=2)
        for rows, name in zip(latent["samples"].chunk(2), (first, second), strict=True):
            positive, negative = asked_for(model, name), labelled["pocket"][2]
            own = ksampler(model, positive, negative, empty_latent("pocket", 2), "euler", steps=STEPS, cfg=4.0)
            assert float((rows - own).abs().max()) <= most
        assert set(trace.header["labels"]) == {first}


class First:
    """A judge that finds every picture to be of the first of its labels."""

    noise_aware, judge, output = False, True, "labels"

    def __init__(self, labels):
        self.labels = labels

    def logits(self, x, sigma, alpha):
        return torch.eye(len(self.labels))[0].expand(len(x), -1) * 10


def test_a_judge_follows_the_labels_of_the_pictures_and_one_with_others_is_refused(swept, labelled):
    model, positive, _ = labelled["pocket"]
    own, labels = labels_of(model, positive), model.model.card.labels
    other, missing = [name for name in labels if name not in own][:2]

    def judge(names, wanted):
        return LabelEnergy(First(names), tuple((names.index(name),) for name in wanted))

    table = swept("pocket", f"cfg: 4\nlabel: {labels[0]}, {labels[1]}", energy=judge(labels, own))[2]
    at = table.splitlines()[0].split().index("judge")
    first, second = (float(line.split()[at]) for line in table.splitlines()[1:])
    assert first > -0.01
    assert second < -9
    for axis, energy, words in (
        ("", judge(labels, [other]), f"The judge asks for {other}"),
        (f"label: {other}, {missing}", judge((other, "tabby"), [other]), f"knows {other}, and not {missing}"),
    ):
        with pytest.raises(ValueError, match=words):
            swept("pocket", f"cfg: 4\n{axis}", energy=energy)


def test_prompts_are_encoded_carry_another_distilled_guidance_and_keep_what_else_positive_says():
    clip = SimpleNamespace(  # which puts the number of letters where a text is
        tokenize=len,
        encode_from_tokens_scheduled=lambda n: [[torch.full((1, 1, 1), float(n)), {"pooled_output": n}]],
    )
    usual = [[torch.zeros(1, 1, 1), {"guidance": 2.5, "control": "a net", "pooled_output": 0}]]
    every = [Asked(prompt=text, guidance=g) for text in ("a", "abc") for g in (1.0, None)] * 2
    found = prepare_conditions(None, usual, None, clip, every)
    seen = [found[asked].positive[0] for asked in every]
    assert {(float(tensor), more["guidance"]) for tensor, more in seen} == {(1, 1), (1, 2.5), (3, 1), (3, 2.5)}
    assert {(more["control"], more["pooled_output"]) for _, more in seen} == {("a net", 1), ("a net", 3)}
    assert usual[0][1]["guidance"] == 2.5


@pytest.mark.parametrize(
    ("axis", "words", "scales"),
    [
        ("label: robto", "robot", ()),
        ("prompt: a cat", "CLIP", ()),
        ("guidance: 3", "FluxGuidance", ()),
        ("rule: Rescael", "Rescale CFG", ()),
        ("rule: my_rule.py:halfway", "runs no files", ()),
        ("rule: cfg, TCFG\nAPG.eta: 0, 1", "No run", ()),
        ("rule: Reuse\nReuse.every: 2.5", "whole number", ()),
        ("Steer.scale: 1e300", "outside", (2.0,)),
        ("Classifier Guidance.scale: 1", "Connect", ()),
        ("Classifier Guidance.scale: 1", r"20\.scale, 21\.scale", (2.0, 3.0)),
    ],
)
def test_what_a_run_cannot_be_asked_for_is_refused_before_any_run(swept, labelled, axis, words, scales):
    counter = Counter(labelled["pocket"][0])
    guidance = {"guidance": steered(*scales)} if scales else {}
    with pytest.raises(ValueError, match=words):
        swept("pocket", f"cfg: 1\n{axis}", model=counter.model, **guidance)
    assert counter.items == []


def test_ten_thousand_runs_and_no_samples_are_refused(swept):
    with pytest.raises(ValueError, match="no samples"):
        swept("ve", batch=0)
    assert "10,000 cells, about 2.8 h" in str(GGSweep.validate_inputs(axes="cfg: 1..100\nseed: 1..100"))
    assert GGSweep.validate_inputs(axes="cfg: 1, 2") is True
