"""Rule nodes in the host: whole runs with them."""

import itertools

import pytest
import torch

from guidance_geometry.extension import nodes_in
from guidance_geometry.host.models.adapter import part_of_schedule
from guidance_geometry.nodes.rules.perturbed import GGPerturbed
from guidance_geometry.nodes.rules.window import GGWindow

from .chains import patched
from .rule_knobs import ALL, EMBEDDING, acting, chain, node
from .runs import STEPS, Counter, guided, ksampler


def test_every_rule_node_is_found_and_artists_see_fourteen():
    assert {cls.__name__ for cls in nodes_in("rules")} == set(ALL)
    shown = [cls.__name__ for cls in nodes_in("rules") if not cls.define_schema().is_experimental]
    assert len(shown) <= 14, "make the newest experimental"


def test_the_chain_grows_by_the_rule():
    before = chain("GGRescale", {"phi": 1.0, "space": "x0"})
    assert len(chain("GGTangential", {"guidance": before}).rules) == 2
    assert len(before.rules) == 1


@pytest.mark.parametrize("formula", ["u" + ".u" * 900, "(" * 900 + "u" + ")" * 900, "-" * 1990 + "u"])
def test_a_formula_of_any_depth_is_refused_in_a_sentence(formula):
    assert "formula" in str(node("GGFormula").validate_inputs(formula))
    with pytest.raises(ValueError, match="formula"):
        node("GGFormula").execute(formula)


@pytest.fixture(scope="module")
def plain(labelled, empty_latent):
    """name of a model -> the host's samples without a rule."""
    with torch.inference_mode():
        models = ("pocket", "ve", "flow")
        return {name: ksampler(*labelled[name], empty_latent(name), "euler", cfg=5.0) for name in models}


ON = {name: ("pocket", "ve", "flow")[i % 3] for i, name in enumerate(ALL)} | {EMBEDDING: "pocket"}


@pytest.mark.parametrize(("name", "model"), ON.items())
def test_a_run_is_finite_and_not_plain_guidance(labelled, empty_latent, wires, plain, model, name):
    guidance = acting(name, wires[model])
    run = (*labelled[model], empty_latent(model), "euler")
    out, _, trace = guided(*run, cfg=5.0, guidance=guidance)
    assert out["samples"].isfinite().all()
    assert trace.header["chain"] == guidance.text
    assert name != "GGPerpNeg" or trace.header["beside"] == ["Perp-Neg 1"]
    assert not torch.equal(out["samples"], plain[model])
    again = guided(*run, cfg=5.0, guidance=guidance)[0]["samples"]
    assert torch.equal(out["samples"], again), "the second run differs from the first"


RULES = [name for name in ALL if name != "GGWindow"]
HALF, CFG = STEPS // 2, 5.0


@pytest.mark.parametrize(("model", "sampler"), [("ve", "heun"), ("flow", "dpmpp_2m")])
def test_a_window_without_a_step_gives_the_host_pixels(labelled, empty_latent, wires, model, sampler):
    expected = ksampler(*labelled[model], empty_latent(model), sampler, cfg=CFG)
    for name in RULES[model == "flow" :: 2]:
        rules = GGWindow.execute(acting(name, wires[model]), 0.51, 0.6)[0]
        assert not rules.rules[-1].neutral
        found = guided(*labelled[model], empty_latent(model), sampler, cfg=CFG, guidance=rules)[0]["samples"]
        assert torch.equal(found, expected), name


def staged(model, positive, negative, latent, *cuts):
    """The samples of a run in stages, as KSampler (Advanced) makes them, each from one cut of the steps to the next."""
    samples = latent
    for first, last in itertools.pairwise(cuts):
        more = {"start_step": first, "last_step": last}
        more |= {"disable_noise": first > 0, "force_full_denoise": last == STEPS}
        samples = {"samples": ksampler(model, positive, negative, samples, "euler", scheduler="normal", **more)}
    return samples["samples"]


def test_a_perturbed_pass_is_run_inside_its_window_also_at_scale_one(labelled, empty_latent, wires):
    strong, worse = Counter(labelled["ve"][0]), Counter(wires["ve"]["MODEL"])
    rules, rest = GGPerturbed.execute(worse.model, 1.0, 0.2, 0.5)[0], (*labelled["ve"][1:], empty_latent("ve"), "euler")
    out = guided(strong.model, *rest, steps=10, cfg=1.0, guidance=rules)[0]["samples"]
    assert (strong.items, worse.items) == ([3] * 10, [3] * 3)
    assert not torch.equal(out, ksampler(labelled["ve"][0], *rest, steps=10, cfg=1.0))


@pytest.mark.parametrize(("name", "start", "end"), [("GGRescale", 0.5, 1.0), ("GGInterval", 0.0, 0.5)])
def test_the_stages_of_a_run_share_its_window(labelled, empty_latent, wires, name, start, end):
    """As the host's own percent, which no stage starts anew: two stages are the run, bit for bit."""
    model, positive, negative = labelled["pocket"]
    if name == "GGInterval":
        rules = chain(name, {"unit": "percent", "start": start, "end": end})
    else:
        rules = GGWindow.execute(acting(name, wires["ve"]), start, end)[0]
    parts = (patched(model, rules), positive, negative, empty_latent("pocket"))
    whole = staged(*parts, 0, STEPS)
    assert torch.equal(staged(*parts, 0, HALF, STEPS), whole)
    assert not torch.equal(staged(model, *parts[1:], 0, STEPS), whole)


def test_a_part_of_a_run_begins_where_the_hosts_percent_says(labelled):
    sampling = labelled["pocket"][0].get_model_object("model_sampling")
    cut = [sampling.percent_to_sigma(share) for share in (0.25, 0.5, 0.75)]
    assert part_of_schedule(labelled["pocket"][0], cut) == pytest.approx((0.25, 0.75), abs=2e-3)
    assert part_of_schedule(labelled["pocket"][0], [*cut, 0.0]) == pytest.approx((0.25, 1.0), abs=2e-3)
    assert part_of_schedule(labelled["pocket"][0], [80.0, *cut, 0.0]) == (0.0, 1.0)
    assert part_of_schedule(labelled["pocket"][0], cut[:2]) == pytest.approx((0.25, 0.5), abs=2e-3)
    assert part_of_schedule(labelled["pocket"][0], cut[:1]) == (0.0, 1.0), "one level is no part"
