import math
from dataclasses import replace
from typing import Any

import comfy.model_management
import comfy.sample
import comfy.samplers
import pytest
import torch
from comfy.model_management import OOM_EXCEPTION

from guidance_geometry.extension import every_node
from guidance_geometry.figures.pictures import Pictures
from guidance_geometry.guidance.chain import PLAIN, Chain
from guidance_geometry.guidance.energies.label import LabelEnergy
from guidance_geometry.guidance.energies.perception import TextEnergy
from guidance_geometry.guidance.gradients.term import GradientTerm
from guidance_geometry.guidance.rules.rescale import Rescale
from guidance_geometry.guidance.rules.reuse import Reuse
from guidance_geometry.guidance.rules.schedule import ScaleSchedule
from guidance_geometry.host import sweep_results, sweeping
from guidance_geometry.host.recording import Recording
from guidance_geometry.host.run_recorder import record_model
from guidance_geometry.host.sweep_conditions import Asked, labels_of, prepare_conditions, steady
from guidance_geometry.host.sweep_conditions import label_conditioning as asked_for
from guidance_geometry.host.sweep_results import best_cfg
from guidance_geometry.host.sweeping import (
    PRODUCTS,
    Settings,
    Subject,
    every_run,
    groups,
    obstacle,
    sample_alone,
    shapes_of,
)
from guidance_geometry.nodes.guidance_patch import patch_model
from guidance_geometry.nodes.load_classifier import GGLoadClassifier
from guidance_geometry.nodes.start import GGClassLabel
from guidance_geometry.nodes.sweep import GGSweep
from guidance_geometry.tests.host.runs import Counter, fitted, ksampler, names, watched
from guidance_geometry.verdict.report import report_of
from guidance_geometry.verdict.scale import scale_of

CFGS = (0.0, 1.0, 4.0)
SEEDS = (3, 7)  # the second is that of the shared runs of this room
STEPS = 4
AXES = "cfg: 0, 1, 4\nseed: 3, 7"


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


def exactly(subject, sampler="euler"):
    """The samples of cfg 2 and 4 with seeds 3 and 7."""
    return in_sweep(subject, "cfg: 2, 4\nseed: 3, 7", sampler)["samples"]


@pytest.mark.parametrize("name", ["pocket", "flow"])
def test_exact_runs_are_ksamplers_bit_for_bit(swept, labelled, empty_latent, name):
    latent, grid, table, best, trace = swept(name)
    rows = latent["samples"].chunk(6)
    for i, cfg in enumerate(CFGS):
        assert torch.equal(rows[2 * i + 1], alone((*labelled[name], empty_latent(name)), "euler", cfg))
    assert (trace.n, trace.batch, grid.shape[0], table.count("\n")) == (STEPS, 3, 1, 6)
    assert best in CFGS


@pytest.mark.matrix(parts=6)
@pytest.mark.parametrize("part", range(6))
def test_exact_batches_of_every_sampler_are_ksamplers_bit_for_bit(robot, part):
    for sampler in names()[part::6]:
        with watched(robot.model) as items:
            rows = exactly(robot, sampler)
        for i, cfg in ((1, 2.0), (3, 4.0)):
            assert torch.equal(rows[i : i + 1], alone(robot, sampler, cfg)), sampler
        assert (max(items) > 2) == (sampler not in ("dpm_adaptive", *PRODUCTS)), sampler


def test_on_a_device_whose_bits_follow_the_batch_runs_are_exact_one_by_one(robot):
    with watched(robot.model, lambda found: found * (1 + 1e-6 * (len(found) > 2))) as sizes:
        assert torch.equal(exactly(robot)[3:], alone(robot, "euler", 4.0))
    assert [size for size in sizes if size > 2] == [4], "two runs were asked together, once"


@pytest.mark.parametrize("one", ["scale 1", "schedule", "timed"])
def test_runs_that_change_their_batch_on_the_way_are_exact_alone(robot, one):
    if one == "timed":
        condition, options = robot.positive[0]
        robot = robot._replace(positive=[[condition, {**options, "start_percent": 0.5}]])
    chain = Chain((ScaleSchedule("linear"),)) if one == "schedule" else PLAIN
    runs = [Settings(1.0 if one == "scale 1" else 4.0, seed, 4, "euler", "karras", chain) for seed in range(3)]
    assert groups(robot, runs, "exact") == [[0], [1], [2]]
    assert groups(robot, runs, "shared") == [[0, 1, 2]]


def assert_exact(subject, chain, steps=12, sampler="euler"):
    """Runs in exact mode are those of a sampler by itself."""
    runs = [sweeping.Settings(cfg, seed, steps, sampler, "karras", chain) for cfg in (2.0, 6.0) for seed in SEEDS]
    found = dict(sweeping.every_run(subject, runs, "exact", {}))
    for i, one in enumerate(runs):
        assert torch.equal(found[i].samples["samples"], sweeping.sample_alone(subject, one, {}).samples["samples"]), one


def test_runs_of_a_rule_that_skips_u_are_exact(robot):
    assert_exact(robot, Chain((Reuse(every=3, predictor="hold"),)))


@pytest.mark.parametrize("sampler", ["sa_solver", "sa_solver_pece", "uni_pc", "uni_pc_bh2"])
def test_samplers_that_sum_by_a_product_are_exact_in_longer_runs(robot, sampler):
    """The order of a sum over three or more predictions follows the size of the batch."""
    assert_exact(robot, PLAIN, sampler=sampler)


def test_runs_with_a_cache_of_steps_are_exact(robot):
    """EasyCache skips a step by the mean change of all rows."""
    nodes = pytest.importorskip("comfy_extras.nodes_easycache", reason="this host has no EasyCache: newer ones have it")
    cached = nodes.EasyCacheNode.execute(robot.model, 0.3, 0.1, 0.95, False).args[0]
    assert_exact(robot._replace(model=cached), PLAIN)


@pytest.mark.parametrize("mode", ["exact", "shared"])
def test_a_model_with_a_guidance_chain_of_its_own_can_be_swept(robot, mode):
    guided_by = robot._replace(model=patch_model(robot.model, Chain((Rescale(),))))
    rows = in_sweep(guided_by, "cfg: 4\nseed: 3, 7", mode=mode)["samples"]
    assert torch.equal(rows[1:], alone(guided_by, "euler", 4.0))


def test_places_in_a_batch_are_those_of_no_sweep(robot):
    subject = robot._replace(latent={**robot.latent, "batch_index": [2], "noise_mask": torch.ones(1, 1, 32, 32)})
    made = in_sweep(subject, "cfg: 2, 4", steps=2)
    assert (set(made), len(made["samples"])) == ({"samples"}, 2)


def test_noise_of_a_condition_follows_the_seed_of_its_run(robot):
    condition, options = robot.positive[0]
    settings = Settings(2.0, 1, STEPS, "euler", "karras", PLAIN)
    for strength, words in ((0.0, ""), (0.2, "noise_augmentation")):
        augmented = robot._replace(positive=[[condition, {**options, "noise_augmentation": strength}]])
        assert words in obstacle(augmented, settings)
        assert bool(words) == bool(obstacle(augmented, settings))


def test_a_mask_of_frames_is_no_mask_of_a_batch(labelled):
    film = {"samples": torch.zeros(1, 3, 5, 8, 8), "noise_mask": torch.rand(5, 1, 8, 8)}
    condition = [[torch.zeros(1, 1, 1), {}]]
    settings = Settings(2.0, 1, STEPS, "euler", "karras", PLAIN)
    assert "noise mask" in obstacle(Subject(labelled["ve"][0], condition, condition, film), settings)


def test_only_runs_are_recorded_and_not_what_they_were_preceded_by(robot):
    kept = []
    begin = lambda: Recording("numbers", keep=lambda trace, latents: kept.append(trace))  # noqa: E731
    with watched(robot.model) as items:
        exactly(robot._replace(model=record_model(robot.model, begin)))
    assert [(trace.n, trace.batch) for trace in kept] == [(STEPS, 4), (STEPS, 1)], "the second is the one that is read"
    assert max(items) == 8, "the runs share a batch"


@pytest.mark.parametrize(
    "sampler",
    [
        "euler",
        "heun",
        "euler_ancestral",
        "dpmpp_2m_sde",
        "dpmpp_sde",
        "uni_pc",
        "lcm",
        "euler_cfg_pp",
        "seeds_2",
        "ddim",
    ],
)
def test_shared_runs_differ_by_rounding_alone(swept, sampler):
    exact, shared = (swept("ve", sampler=sampler, mode=mode)[0]["samples"] for mode in ("exact", "shared"))
    assert float((exact - shared).abs().max()) < 2e-4 * float(exact.abs().max())


RULES = "cfg: 1, 4\nrule: cfg, APG + Rescale CFG, Limited Interval, Skip and Reuse\nseed: 3, 7"


@pytest.mark.parametrize(
    ("axes", "more"),
    [(RULES, {}), ("cfg: 2, 6\nseed: 3, 7", {"sampler": "heun", "guidance": Chain((ScaleSchedule("linear"),))})],
    ids=["rules", "schedule"],
)
def test_shared_rules_keep_their_own_memory_and_a_schedule_guides_stages_too(swept, axes, more):
    exact, shared = (swept("ve", axes, mode=mode, **more)[0]["samples"] for mode in ("exact", "shared"))
    assert float((exact - shared).abs().max()) < 2e-4 * float(exact.abs().max())


@pytest.mark.parametrize("schedule", [None, "linear"])
def test_a_run_of_a_shared_batch_is_judged_by_its_own_scale(labelled, empty_latent, schedule):
    subject = Subject(*labelled["ve"], latent=empty_latent("ve"))
    chain = Chain((ScaleSchedule(schedule),) if schedule else ())
    runs = [Settings(cfg, 7, 16, "euler", "karras", chain) for cfg in CFGS]
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


def test_the_batch_itself_gets_no_verdict_where_it_has_several_scales(swept, labelled):
    kept = []
    begin = lambda: Recording("numbers", keep=lambda trace, latents: kept.append(trace))  # noqa: E731
    swept("ve", mode="shared", model=record_model(labelled["ve"][0], begin))
    swept("ve", "cfg: 4\nseed: 3, 7", mode="shared", model=record_model(labelled["ve"][0], begin))
    several, one = (trace for trace in kept if trace.batch > 3)  # the others are the reference of each sweep
    assert (several.batch, one.batch) == (18, 6)
    assert several.header["lanes"]["cfg"] == [0, 0, 1, 1, 4, 4]
    assert report_of(several).answer.headline.text().endswith("several cfg values (0, 1, 4).")
    assert report_of(one).answer.headline.id != "head.scales"


@pytest.mark.parametrize("mode", ["exact", "shared"])
def test_an_empty_latent_of_another_downscale_gets_its_sides(monkeypatch, labelled, mode):
    monkeypatch.setattr(comfy.sample, "fix_empty_latent_channels", fitted)
    latent = {"samples": torch.zeros(3, 4, 4, 4), "downscale_ratio_spacial": 2, "downscale_ratio_temporal": None}
    found = in_sweep((*labelled["ve"], latent), AXES, mode=mode)
    assert found["samples"].shape == (18, 3, 8, 8)
    assert set(found) == {"samples"}


@pytest.mark.parametrize("mode", ["exact", "shared"])
def test_samples_have_the_dtype_that_ksampler_hands_on(monkeypatch, swept, labelled, empty_latent, mode):
    monkeypatch.setattr(comfy.model_management, "intermediate_dtype", lambda: torch.float16, raising=False)
    found = swept("ve", mode=mode)[0]["samples"]
    assert found.dtype == torch.float16
    expected = alone((*labelled["ve"], empty_latent("ve")), "euler", 4.0).half()
    assert (found.chunk(6)[5] - expected).abs().max() <= (0 if mode == "exact" else 2e-3 * expected.abs().max())


def test_a_shared_sweep_asks_the_network_less_often(swept, labelled):
    calls = {}
    for mode in ("exact", "shared"):
        counter = Counter(labelled["ve"][0])
        swept("ve", mode=mode, model=counter.model)
        calls[mode] = len(counter.items)
    assert calls["shared"] < calls["exact"] / 2


def test_samplers_that_cannot_share_run_alone_and_the_sheet_says_so(labelled, empty_latent):
    subject = Subject(*labelled["ve"], latent=empty_latent("ve"))
    runs = [Settings(2.0, seed, STEPS, name, "karras", PLAIN) for name in ("dpm_adaptive", "euler") for seed in SEEDS]
    found = dict(every_run(subject, runs, "shared", {}))
    assert [found[i].in_batch for i in range(4)] == [False, False, True, True]
    assert "step size" in obstacle(subject, runs[0])


def test_a_sampler_that_draws_for_itself_runs_alone(labelled, empty_latent, monkeypatch):
    """heunpp2 does so only where it is told to churn."""
    subject, run = (
        Subject(*labelled["ve"], latent=empty_latent("ve")),
        Settings(2.0, 1, STEPS, "heunpp2", "karras", PLAIN),
    )
    assert obstacle(subject, run) == ""
    monkeypatch.setattr(comfy.samplers, "sampler_object", lambda name: comfy.samplers.ksampler(name, {"s_churn": 2.0}))
    assert "draws its noise" in obstacle(subject, run)


def test_a_patched_model_and_uneven_conditions_run_alone(labelled, empty_latent):
    model, positive, negative = labelled["ve"]
    settings = Settings(2.0, 1, STEPS, "euler", "karras", PLAIN)
    patched = model.clone()
    patched.set_model_sampler_cfg_function(lambda args: args["cond"])
    assert "own guidance" in obstacle(Subject(patched, positive, negative, empty_latent("ve")), settings)
    assert "3 entries" in obstacle(Subject(model, positive, negative, empty_latent("ve", 2)), settings)
    assert obstacle(Subject(model, positive, negative, empty_latent("ve")), settings) == ""


def test_a_batch_that_does_not_fit_is_halved(labelled, empty_latent, monkeypatch):
    subject = sweeping.Subject(*labelled["ve"], latent=empty_latent("ve"))
    runs = [sweeping.Settings(2.0, seed, 2, "euler", "karras", PLAIN) for seed in range(5)]
    tried, whole = [], sweeping.sample_shared

    def small(subject, runs, facts):
        tried.append(len(runs))
        if len(runs) > 2:
            raise OOM_EXCEPTION("out of memory")
        return whole(subject, runs, facts)

    monkeypatch.setattr(sweeping, "sample_shared", small)
    found = dict(sweeping.every_run(subject, runs, "shared", {}))
    assert (sorted(found), tried) == ([0, 1, 2, 3, 4], [5, 2, 2])


def test_memory_that_runs_out_in_the_probe_is_no_end(robot, monkeypatch):
    whole = sweeping.predict_middle

    def small(subject, runs):
        if len(runs) > 2:
            raise OOM_EXCEPTION("out of memory")
        return whole(subject, runs)

    monkeypatch.setattr(sweeping, "predict_middle", small)
    runs = [sweeping.Settings(2.0, seed, 2, "euler", "karras", PLAIN) for seed in range(5)]
    found = dict(sweeping.every_run(robot, runs, "exact", {}))
    assert [found[i].in_batch for i in range(5)] == [True] * 4 + [False]


def test_a_judge_chooses_the_scale(swept):
    class Bright:
        text, noise_aware, classifiers = "bright", False, ()

        def log_prob(self, x, at=None):
            return x.flatten(1).mean(dim=1)

    latent, _, table, best, _ = swept("pocket", "cfg: 0, 1, 8\nseed: 3", energy=Bright())
    means = latent["samples"].clamp(-1, 1).chunk(3)
    assert best == (0.0, 1.0, 8.0)[max(range(3), key=lambda i: float(means[i].mean()))]
    assert "judge" in table.splitlines()[0]


def test_saturation_gives_an_upper_end():
    def row(cfg, share):
        return {"place": {"cfg": cfg}, "measures": {"saturation": share}}

    assert best_cfg([row(1, 0.02), row(4, 0.025), row(8, 0.2)], "auto") == 4
    assert best_cfg([row(1, math.nan)], "auto") is None


def test_a_knob_without_a_widget_of_its_name_is_an_axis_too(swept):
    """Sweeps that were saved with these names go on working."""
    chain = PLAIN.then(ScaleSchedule("linear"))
    axes = "cfg: 4\nCFG Schedule.start: 0, 0.5\nCFG Schedule.shape: linear, cosine"
    latent = swept("ve", axes, guidance=chain)[0]["samples"]
    assert len({float(rows.sum()) for rows in latent.chunk(4)}) == 4


def test_the_scale_and_the_seed_go_by_their_other_words_too(swept):
    plain, called = swept("ve", "cfg: 1, 4\nseed: 3"), swept("ve", "gamma: 1, 4\nnoise_seed: 3")
    assert torch.equal(plain[0]["samples"], called[0]["samples"])
    assert plain[3] == called[3]
    with pytest.raises(ValueError, match="gamma is 101, outside 0 to 100"):
        swept("ve", "gamma: 101")


def test_knobs_of_a_connected_rule_are_axes(swept):
    chain = Chain((Rescale(),))
    latent = swept("ve", "cfg: 4\nRescale CFG.phi: 0, 1", guidance=chain)[0]["samples"]
    plain = swept("ve", "cfg: 4")[0]["samples"]
    assert torch.equal(latent.chunk(2)[0], plain)
    assert not torch.equal(latent.chunk(2)[1], plain)


def steered(*scales, **named):
    """A chain of gradients of the demo's clean classifier, by nodes 20, 21, ..."""
    energy = LabelEnergy(GGLoadClassifier.execute("pocket-clean-1")[0], ((0,),))
    own = {"evaluation": "x0", "title": "Steer", **named}
    return Chain(tuple(GradientTerm(energy, weight=w, node=str(20 + i), **own) for i, w in enumerate(scales)))


@pytest.mark.parametrize("name", ["Classifier Guidance", "classifier guidance", "Steer", "20", "GGClassifierGradient"])
def test_the_scale_of_a_gradient_is_an_axis_like_cfg(swept, name):
    """0 is the run without it, and each run is that of a node with this scale; a preset is given up."""
    axes = f"cfg: 1\n{name}.scale: 0, 90"
    latent = swept("pocket", axes, guidance=steered(2.0, measured=True))[0]["samples"]
    plain = swept("pocket", "cfg: 1")[0]["samples"]
    own = swept("pocket", "cfg: 1", guidance=steered(90.0))[0]["samples"]
    assert torch.equal(latent.chunk(2)[0], plain)
    assert torch.equal(latent.chunk(2)[1], own)
    assert not torch.equal(own, plain)


def test_runs_at_cfg_1_that_no_rule_is_asked_for_blame_none(swept):
    """A gradient at scale 0 is no rule, and neither is what puts runs side by side."""
    for guidance in (steered(0.0), None):
        trace = swept("pocket", "cfg: 1\nseed: 3, 7", guidance=guidance)[-1]
        assert not any("had no effect" in note for note in trace.header["notes"])


@pytest.mark.parametrize(
    ("axis", "scales", "words"),
    [
        ("Classifier Guidance.scale: robot", (2.0,), "scale is 'robot', which is not a number"),
        ("Classifier Guidance.scale: 1e300", (2.0,), r"scale is 1e\+300, outside"),
        ("Classifier Guidance.sclae: 1", (2.0,), "Did you mean scale"),
        ("Classifier Guidance.evaluation: robot", (2.0,), "evaluation is 'robot'"),
        ("Classifier Guidance.scale: 1", (), "Connect Classifier Guidance to guidance"),
        ("rule: cfg, TCFG\nAPG.eta: 0, 1", (), r"No run of this sweep has a rule with APG\.eta"),
        ("scale: 1", (2.0,), r"There is no axis 'scale'\. Did you mean Steer\.scale\?"),
        ("strength: 1", (2.0,), r"There are cfg, .*, rule, Steer\.scale\."),
        (
            "Classifier Guidance.scale: 1",
            (2.0, 3.0),
            r"may be one of 2 gradients\. Write which: 20\.scale, 21\.scale\.",
        ),
    ],
)
def test_a_scale_that_no_gradient_takes_is_refused_before_any_run(swept, axis, scales, words):
    with pytest.raises(ValueError, match=words):
        swept("pocket", f"cfg: 1\n{axis}", **({"guidance": steered(*scales)} if scales else {}))


def test_of_two_gradients_the_number_says_which(swept):
    latent = swept("pocket", "cfg: 1\n21.scale: 0, 90", guidance=steered(50.0, 3.0))[0]["samples"]
    first, both = (
        swept("pocket", "cfg: 1", guidance=steered(*scales))[0]["samples"] for scales in ((50.0,), (50.0, 90.0))
    )
    assert torch.equal(latent.chunk(2)[0], first)
    assert torch.equal(latent.chunk(2)[1], both)


def bright_judge(labels, wanted):
    """A judge of ten classes that finds every picture to be of its first one, and label energies of it."""

    class First:
        noise_aware, judge, output = False, True, "labels"

        def __init__(self):
            self.labels = labels

        def logits(self, x, sigma, alpha):
            return torch.eye(len(labels))[0].expand(len(x), -1) * 10

    return LabelEnergy(First(), tuple((labels.index(name),) for name in wanted))


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


def test_a_judge_follows_the_labels_of_the_pictures(swept, labelled):
    model, positive, _ = labelled["pocket"]
    own, labels = labels_of(model, positive), model.model.card.labels
    judge = bright_judge(labels, own)
    table = swept("pocket", f"cfg: 4\nlabel: {labels[0]}, {labels[1]}", energy=judge)[2]
    at = table.splitlines()[0].split().index("judge")
    first, second = (float(line.split()[at]) for line in table.splitlines()[1:])
    assert (first > -0.01, second < -9) == (True, True), table


def test_a_judge_with_other_labels_is_refused_before_any_run(swept, labelled):
    model, positive, _ = labelled["pocket"]
    labels, own = model.model.card.labels, labels_of(model, positive)
    counter = Counter(model)
    other = next(name for name in labels if name not in own)
    with pytest.raises(ValueError, match=f"The judge asks for {other}, and the pictures are of {own[0]}"):
        swept("pocket", "cfg: 4", energy=bright_judge(labels, [other]), model=counter.model)
    fewer = bright_judge((*own, "tabby"), own)
    missing = next(name for name in labels if name not in own)
    with pytest.raises(ValueError, match=f"'{missing}' is not one of the judge's"):
        swept("pocket", f"cfg: 4\nlabel: {missing}", energy=fewer, model=counter.model)
    assert counter.items == []
    table = swept("pocket", "cfg: 4", energy=bright_judge(("tabby", "hen"), ["tabby"]))[2]
    assert "judge" in table, "a judge that does not know the label asks for what it was told to"


def test_a_judge_that_knows_half_of_the_labels_is_refused_and_one_of_none_is_told(swept, labelled):
    model, positive, _ = labelled["pocket"]
    other, missing = [one for one in model.model.card.labels if one not in labels_of(model, positive)][:2]
    counter = Counter(model)
    half = bright_judge((other, "tabby"), [other])
    with pytest.raises(ValueError, match=f"it knows {other}, and not {missing}"):
        swept("pocket", f"cfg: 4\nlabel: {other}, {missing}", energy=half, model=counter.model)
    assert counter.items == []
    for known, words in (
        (("tabby", "hen"), "The judge asks for tabby in every picture."),
        (model.model.card.labels, ""),
    ):
        energy = bright_judge(known, ["tabby"] if words else labels_of(model, positive))
        assert (
            steady(energy, prepare_conditions(model, positive, energy, None, asked_of_labels(other, missing))) == words
        )


def asked_of_labels(*labels):
    return [Asked(label=label) for label in labels]


def test_the_bits_of_a_batch_are_asked_for_once_for_equal_shapes(robot, monkeypatch):
    asked, real = [], sweeping.predict_middle
    monkeypatch.setattr(
        sweeping, "predict_middle", lambda subject, runs: asked.append(len(runs)) or real(subject, runs)
    )
    in_sweep(robot, "cfg: 4\nseed: 3, 7\nlabel: robot, face, monster")
    assert asked == [2, 1, 1]


def test_shapes_tell_prompts_of_other_lengths_and_options_apart(robot):
    def shapes(tokens, **options):
        own = [[torch.zeros(1, tokens, 8), options]]
        return shapes_of(robot._replace(positive=own), Settings(4.0, 0, 4, "euler", "karras", PLAIN))

    assert shapes(77) == shapes(77)
    assert len({shapes(77), shapes(154), shapes(77, strength=0.5), shapes(77, mask=torch.zeros(1, 4, 4))}) == 4


class Words:
    """A CLIP that puts the number of letters where the distilled guidance is looked for."""

    def tokenize(self, text):
        return len(text)

    def encode_from_tokens_scheduled(self, tokens):
        return [[torch.full((1, 1, 1), float(tokens)), {"guidance": 3.5}]]


def test_prompts_are_encoded_once_and_carry_another_distilled_guidance():
    usual = [[torch.zeros(1, 1, 1), {"guidance": 3.5}]]
    every = [Asked(prompt=text, guidance=g) for text in ("a", "abc") for g in (1.0, 2.0)] * 2
    found = prepare_conditions(None, usual, None, Words(), every)
    seen = {(float(w.positive[0][0]), w.positive[0][1]["guidance"]) for w in found.values()}
    assert seen == {(1.0, 1.0), (1.0, 2.0), (3.0, 1.0), (3.0, 2.0)}
    assert usual[0][1] == {"guidance": 3.5}
    assert prepare_conditions(None, usual, None, None, [Asked()])[Asked()].positive is usual


def test_a_prompt_keeps_what_else_positive_says():
    class Plain(Words):
        def encode_from_tokens_scheduled(self, tokens):
            return [[torch.full((1, 1, 1), float(tokens)), {"pooled_output": tokens}]]

    usual = [[torch.zeros(1, 1, 1), {"guidance": 2.5, "control": "a net", "pooled_output": 0}]]
    asked = Asked(prompt="abc")
    [(tensor, options)] = prepare_conditions(None, usual, None, Plain(), [asked])[asked].positive
    assert (float(tensor), options) == (3.0, {"guidance": 2.5, "control": "a net", "pooled_output": 3})
    with pytest.raises(ValueError, match="positive holds 2 conditionings"):
        prepare_conditions(None, usual * 2, None, Plain(), [asked])


def test_a_judge_of_texts_follows_the_prompts():
    class Letters:
        scale, bias, noise_aware, judge, output = 1.0, None, False, True, "text"

        def text_features(self, texts):
            return torch.tensor([[float(len(text))] for text in texts])

    letters: Any = Letters()
    every = [Asked(prompt="a cat"), Asked(prompt="a dog or two")]
    for text, heard in (("a cat", ["a cat", "a dog or two"]), ("a hen", ["a hen", "a hen"])):
        found = prepare_conditions(None, [], TextEnergy(letters, (text,), ("x",)), Words(), every)
        assert [found[asked].energy.texts[0] for asked in every] == heard


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        ("cfg: 1\nlabel: robto", "Nearest: 'robot'"),
        ("cfg: 1\nprompt: a cat", "needs the CLIP"),
        ("cfg: 1\nguidance: 3", "Put FluxGuidance before positive"),
        ("cfg: 1\nguidance: high", "not a number"),
        ("cfg: 1\nlabel: robot\nprompt: a robot", "Leave out the other"),
        ("cfg: 1\nlable: robot", "Did you mean label"),
    ],
)
def test_what_a_run_cannot_be_asked_for_is_refused_before_any_run(swept, labelled, axes, words):
    counter = Counter(labelled["pocket"][0])
    with pytest.raises(ValueError, match=words):
        swept("pocket", axes, model=counter.model)
    assert counter.items == []


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        ("seed: 0..3", "have no cfg"),
        ("cfg: 1\nstpes: 4", "Did you mean steps"),
        ("cfg: 1\nrule: Rescael", "Did you mean Rescale CFG"),
        ("cfg: 1\nrule: my_rule.py:halfway", "this ComfyUI runs no files"),
        ("cfg: 1\nAPG.eta: 0", "on no rule of the chain"),
        ("cfg: 1\nsampler: eulre", "sampler_name is 'eulre'"),
        ("cfg: 1\nrule: APG\nAPG.eta: robot", "eta is 'robot', which is not a number"),
        ("cfg: 1\nrule: APG\nAPG.eta: 1e300", "eta is 1e\\+300, outside"),
        ("cfg: 1\nrule: APG\nAPG.space: robot", "space is 'robot', which this host does not offer"),
        ("cfg: 1\nrule: Reuse\nReuse.every: 2.5", "every is 2.5, which is not a whole number"),
        ("cfg: 1\nrule: Energy-Preserving\nEnergyPreserving.robust: 2", "robust is 2. Give true or false"),
        ("cfg: 1\nrule: APG\nAPG.windows: 2", "no knob 'windows' that an axis can set"),
        ("cfg: 1\nrule: CFG Schedule\nCFG Schedule.start: 1e300", "start is 1e\\+300, outside"),
        ("cfg: 1\nsteps: 0..1000000000000", "holds 1,000,000,000,001 values; a range holds 100,000"),
        ("cfg: 3..1", "The range 3..1 runs downwards. Write the smaller number first: 1..3"),
        ("cfg: -1", "outside 0 to 100"),
        ("cfg: high", "not a number"),
        ("cfg: 1, nan", "not finite"),
        ("cfg:", "no value"),
        ("cfg: 1\nsteps: 2.5", "whole number"),
    ],
)
def test_bad_axes_are_refused_before_any_run(swept, axes, words):
    with pytest.raises(ValueError, match=words):
        swept("ve", axes)


def test_a_latent_without_samples_is_refused(swept):
    with pytest.raises(ValueError, match="holds no samples"):
        swept("ve", batch=0)


def test_ten_thousand_runs_are_refused_in_the_queue_and_where_the_axes_are_wired(swept):
    with pytest.raises(ValueError, match="10,000 cells"):
        swept("ve", "cfg: 1..100\nseed: 1..100")

    assert "10,000 cells, about 2.8 h" in str(GGSweep.validate_inputs(axes="cfg: 1..100\nseed: 1..100"))
    assert GGSweep.validate_inputs(axes="cfg: 1, 2") is True


def test_a_run_keeps_no_more_of_its_pictures_than_the_sheet_shows(labelled, empty_latent, monkeypatch):
    subject = Subject(*labelled["pocket"], latent=empty_latent("pocket", 3))
    run = sample_alone(subject, Settings(2.0, 1, 2, "euler", "karras", PLAIN), {})
    monkeypatch.setattr(Pictures, "image", lambda own, x: torch.zeros(3, 600, 300, 3))
    kept = sweep_results.row_of(0, {"cfg": 2}, subject, run, None, None)[1]
    assert kept.shape == (sweep_results.SIDE, sweep_results.SIDE // 2, 3)
    monkeypatch.setattr(Pictures, "image", lambda own, x: torch.zeros(3, 32, 32, 3))
    kept = sweep_results.row_of(0, {"cfg": 2}, subject, run, None, None)[1]
    assert kept.untyped_storage().nbytes() == kept.nbytes
