"""Samplers and guiders of other packs: what the trace says of them is what was measured, and no more."""

import math
from itertools import pairwise

import comfy.samplers
import pytest
from comfy.ldm.modules.attention import optimized_attention
from comfy_extras.nodes_pag import PerturbedAttentionGuidance
from comfy_extras.nodes_sag import SelfAttentionGuidance
from comfy_extras.nodes_slg import SkipLayerGuidanceDiT

from guidance_geometry.dev.fixtures.tiny_families import family, latent, text
from guidance_geometry.host.recording.passes import guidance_name
from guidance_geometry.tests.host.runs import CFG, STEPS, guided
from guidance_geometry.trace import recorder
from guidance_geometry.trace.checks import check
from guidance_geometry.verdict.report import report_of

from .runs import readable, trace_of_both

LEVELS = [10.0, 4.0, 1.5, 0.5, 0.0]


def two_stages(model, x, sigmas, extra_args, report):
    """Heun's steps; `report` is called after both stages of each."""
    ones = x.new_ones([len(x)])
    for i, (now, then) in enumerate(pairwise(sigmas)):
        denoised = model(x, now * ones, **extra_args)
        slope = (x - denoised) / now
        if then > 0:
            ahead = x + slope * (then - now)
            again = model(ahead, then * ones, **extra_args)
            slope = (slope + (ahead - again) / then) / 2
        report({"x": x, "i": i, "sigma": now, "sigma_hat": now, "denoised": denoised})
        x = x + slope * (then - now)
    return x


def late(model, x, sigmas, extra_args, callback, disable):
    return two_stages(model, x, sigmas, extra_args, callback)


def late_and_once_more(model, x, sigmas, extra_args, callback, disable):
    """And a last report, which no model call belongs to."""
    x = two_stages(model, x, sigmas, extra_args, callback)
    callback({"x": x, "i": len(sigmas) - 2, "sigma": sigmas[-2], "denoised": x})
    return x


@pytest.mark.parametrize(("model", "function"), [("ve", late), ("flow", late_and_once_more)])
def test_a_sampler_that_reports_after_its_stages_has_its_steps_told_right(labelled, empty_latent, model, function):
    sigmas = [level / 10 for level in LEVELS] if model == "flow" else LEVELS
    trace = trace_of_both(labelled[model], empty_latent(model, 2), comfy.samplers.KSAMPLER(function), sigmas, "tensors")
    assert not trace.header["faults"]
    assert trace.steps["sigma"].tolist() == pytest.approx(sigmas[:-1], rel=1e-6)
    assert trace.steps["sigma_next"].tolist() == pytest.approx(sigmas[1:], rel=1e-6)
    assert trace.steps["evals"].tolist() == [4, 4, 4, 2]
    states = [*trace.tensors["x"][1:].float(), trace.tensors["end"].float()]
    for i, reached in enumerate(states):
        travelled = trace.tensors["x"][i].float() + trace.tensors["move"][i].float()
        assert (travelled - reached).abs().max() <= 4e-3 * max(1.0, float(reached.abs().max()))
    assert check(trace) == []


def two_models(ask, conds, sigma):
    """Asks a second model for u, with a list of conditions that is not the guider's own."""
    (c,) = ask(conds["positive"])
    (u,) = ask(list(conds["negative"]))
    return u + 6.0 * (c - u)


def scheduled(ask, conds, sigma):
    """Plain CFG at high noise, c alone at low noise; the guider's cfg stays."""
    if sigma < 2:
        return ask(conds["positive"])[0]
    c, u = ask(conds["positive"], conds["negative"])
    return u + 6.0 * (c - u)


def guider_of(parts, way):
    """A guider of another pack that predicts in this way."""

    class Stranger(comfy.samplers.CFGGuider):
        def predict_noise(self, x, timestep, model_options={}, seed=None):  # noqa: B006
            def ask(*conds):
                return comfy.samplers.calc_cond_batch(self.inner_model, list(conds), x, timestep, model_options)

            return way(ask, self.conds, float(timestep[0]))

    guider = Stranger(parts[0])
    guider.inner_set_conds({"positive": parts[1], "negative": parts[2]})
    guider.cfg = 6.0
    return guider


@pytest.fixture
def watched(labelled, empty_latent):
    def run(way):
        guider = guider_of(labelled["ve"], way)
        sampler = comfy.samplers.sampler_object("euler")
        trace = trace_of_both(labelled["ve"], empty_latent("ve", 3), sampler, LEVELS, "tensors", guider)
        assert not trace.header["faults"]
        assert not check(trace)
        readable(trace)
        return trace

    return run


def test_what_completes_the_line_is_u_and_where_d_lies_on_it_is_gamma(watched):
    trace = watched(two_models)
    assert trace.steps["gamma"].tolist() == [6.0] * 4
    assert trace.stage == ["step"] * 4
    assert trace.header["cfg"] == 6.0
    assert not trace.header["notes"]
    assert trace.column("M1").isfinite().all()
    u, c, d = (trace.tensors[name][0].float() for name in ("uncond", "cond", "guided"))
    assert (d - (u + 6 * (c - u))).abs().max() <= 0.02


def unnamed(ask, conds, sigma):
    """Asks in two calls, under conditions that are nobody's."""
    fresh = {name: [{**entry, "uuid": object()} for entry in entries] for name, entries in conds.items()}
    (u,), (c,) = (ask(fresh[name]) for name in ("negative", "positive"))
    return u + 6.0 * (c - u)


def test_where_nobody_says_what_was_predicted_the_scale_is_unknown_and_said(watched):
    trace = watched(unnamed)
    assert all(math.isnan(gamma) for gamma in trace.steps["gamma"].tolist())
    assert trace.header["cfg"] is None
    assert any("its scale is unknown in 4 of 4 steps" in note for note in trace.header["notes"])
    assert trace.column("M19").isnan().all()


def test_where_only_c_ran_the_scale_is_one(watched):
    trace = watched(scheduled)
    assert trace.steps["gamma"].tolist() == [6.0, 6.0, 1.0, 1.0]
    assert trace.stage == ["step", "step", "cond_only", "cond_only"]
    assert trace.header["cfg"] is None
    assert "the prediction without the prompt was not made in 2 of 4 steps" in trace.header["notes"]


def tireless(model, x, sigmas, extra_args, callback, disable):
    for _ in range(recorder.MOST_CALLS + 20):
        x = model(x, sigmas[:1].expand(len(x)), **extra_args)
    return x


def silent(model, x, sigmas, extra_args, callback, disable):
    return two_stages(model, x, sigmas, extra_args, lambda info: None)


@pytest.mark.parametrize(("function", "calls"), [(silent, 7), (tireless, 64)])
def test_a_sampler_that_never_reports_is_named_and_does_not_fill_the_memory(labelled, empty_latent, function, calls):
    trace = trace_of_both(labelled["ve"], empty_latent("ve", 2), comfy.samplers.KSAMPLER(function), LEVELS)
    assert trace.n == 0
    (fault,) = trace.header["faults"]
    assert f"{function.__name__} called the model {calls} times" in fault
    assert fault in trace.header["notes"]
    readable(trace)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("SmoothedEnergyGuidanceAdvanced.patch.<locals>.post_cfg_function", "SEG"),
        ("LTXVModalityGuidance.execute.<locals>.after", "modality"),
        ("nag_attn2_replace_wrapper.<locals>.nag_attn2_replace", "NAG"),
        ("stg_self_attn_blocks", "STG"),
        ("post_cfg_function", ""),
        ("CFGGuider.predict_noise", ""),
        ("SEGSDetailer.doit", ""),
    ],
)
def test_a_guidance_is_called_what_code_calls_itself(written, name):
    assert guidance_name(written) == name


def run(model, name="SD15", **more):
    return guided(model, text(name, 1), text(name, 2), latent(name), "euler", **more)[2]


def test_passes_of_the_host_bear_their_names(host):
    patched = PerturbedAttentionGuidance.execute(SelfAttentionGuidance.execute(family("SD15"), 0.5, 2.0)[0], 3.0)
    trace = run(patched[0])
    assert trace.header["passes"] == {"SAG": STEPS, "PAG": STEPS}
    assert trace.header["evaluations"] == 4 * STEPS
    assert trace.steps["pass SAG"].isnan().all()  # it was asked of another x: what it took away is unknown
    assert trace.steps["pass PAG"].isfinite().all(), "nothing or rounding: SAG stands in the place of its layer"
    assert (run(PerturbedAttentionGuidance.execute(family("SD15"), 3.0)[0]).steps["pass PAG"] > 0).all()
    assert "inside" not in trace.header
    skipped = SkipLayerGuidanceDiT.execute(family("SD3"), 2.0, 0.0, 1.0, double_layers="1")[0]
    assert run(skipped, "SD3").header["passes"] == {"SLG": STEPS}


def test_a_pass_that_changes_nothing_is_told_and_what_one_made_is_measured(host):
    absent = SkipLayerGuidanceDiT.execute(family("SD3"), 2.0, 0.0, 1.0, double_layers="77")[0]
    idle = {one.id: one.text() for one in report_of(run(absent, "SD3")).findings}
    assert idle["passes.idle"] == f"SLG ran {STEPS} times and changed the prediction by at most 0.0 %."
    trace = run(PerturbedAttentionGuidance.execute(family("SD15"), 3.0)[0], capture="tensors")
    found = {one.id: one for one in report_of(trace).findings}
    c, d = (trace.tensors[name].double() for name in ("cond", "guided"))
    delta = c - trace.tensors["uncond"].double()
    own, rest = (d - c - (CFG - 1) * delta).flatten(2).norm(dim=2), ((CFG - 1) * delta).flatten(2).norm(dim=2)
    kappa = trace.steps["kappa"].abs()[:, None]
    share = (kappa * own).nansum() / (kappa * (own + rest)).nansum()
    assert float(found["passes.pushed"].facts["share"]) == pytest.approx(100 * float(share), rel=0.1)
    assert found["passes.pushed"].facts["percent"] == "33"


def nag_attention(scale):
    """An attention that a pack puts into the network."""

    def attention(q, k, v, extra_options):
        return optimized_attention(q, k, v, extra_options["n_heads"]) * scale

    return attention


def test_guidance_inside_the_network_is_named_and_counted(host):
    model = family("SD15").clone()
    model.set_model_attn2_replace(nag_attention(1.5), "middle", 0)
    trace = run(model)
    assert (trace.header["inside"], trace.header.get("passes")) == ({"NAG": 2 * STEPS}, None)
    assert run(model, cfg=1.0).header["inside"] == {"NAG": STEPS}
    assert "inside" not in run(family("SD15")).header
