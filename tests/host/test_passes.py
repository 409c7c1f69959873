"""Guidance beside u and c: passes and patches are called what they call themselves, and counted."""

import pytest
import torch
from comfy.ldm.modules.attention import optimized_attention
from comfy_extras.nodes_pag import PerturbedAttentionGuidance
from comfy_extras.nodes_sag import SelfAttentionGuidance
from comfy_extras.nodes_slg import SkipLayerGuidanceDiT

from guidance_geometry.dev.fixtures.tiny_families import family, latent, text
from guidance_geometry.host.passes import guidance_name
from guidance_geometry.tests.host.runs import CFG, STEPS, guided
from guidance_geometry.verdict.report import report_of


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("SmoothedEnergyGuidanceAdvanced.patch.<locals>.post_cfg_function", "SEG"),
        ("LTXVModalityGuidance.execute.<locals>.after", "modality"),
        ("TokenPerturbationGuidance", "TPG"),
        ("nag_attn2_replace_wrapper.<locals>.nag_attn2_replace", "NAG"),
        ("stg_self_attn_blocks", "STG"),
        ("STGGuider.predict_noise", "STG"),
        ("post_cfg_function", ""),
        ("CFGGuider.predict_noise", ""),
        ("SEGSDetailer.doit", ""),
        ("GuidanceLimiter.patch.<locals>.limited", ""),
        ("GGGuidancePatch.execute", ""),
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


def test_an_object_in_the_place_of_a_part_is_named_too(host):
    model = family("SD15").clone()
    layer = model.model.diffusion_model.out[2]

    class NormalizedAttentionGuidance(torch.nn.Module):
        def forward(self, x):
            return layer(x)

    model.add_object_patch("diffusion_model.out.2", NormalizedAttentionGuidance())
    assert run(model).header["inside"] == {"NAG": 2 * STEPS}
