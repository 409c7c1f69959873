"""Rule nodes in the host: what they put on the wire, what they refuse, and whole runs with them."""

import math
from pathlib import Path

import pytest
import torch

from .test_bits import guided, ksampler

DOCS = Path(__file__).resolve().parents[2] / "web" / "docs"
EXPERIMENTAL = {"GGEnergyPreserving", "GGLocationNorm", "GGAngle", "GGTangentialAmplify"}
# node: its knobs, the chain they make, knobs that leave plain CFG (None where there are none)
APG = {"threshold_unit": "per element", "space": "x0"}
PULL = {"second": [], "form": "sum", "third_weight": 0.5, "fourth_weight": 0.5}
NODES = {
    "GGRescale": ({"phi": 0.7, "space": "v"}, "CFG > rescale 0.7 in v", {"phi": 0.0, "space": "v"}),
    "GGEnergyPreserving": ({"robust": False, "space": "ode"}, "CFG > EP-CFG in ode", None),
    "GGLocationNorm": (
        {"strength": 1.0, "match": False, "space": "x0"},
        "CFG > CFGNorm 1 in x0",
        {"strength": 0.0, "match": True, "space": "x0"},
    ),
    "GGAdaptiveProjected": (
        {"eta": 0.0, "threshold": 0.06, "momentum": -0.5, **APG},
        "APG eta 0, cap 0.06 sqrt(N), momentum -0.5 in x0 > CFG",
        {"eta": 1.0, "threshold": 0.0, "momentum": 0.0, **APG},
    ),
    "GGZeroStar": ({"zero_init_steps": 1}, "CFG-Zero*, zero-init 1 > CFG", None),
    "GGTangential": ({"space": "ode"}, "TCFG in ode > CFG", None),
    "GGAngle": ({"max_angle": 60.0, "keep_norm": False}, "ADG up to 60 deg", None),
    "GGTangentialAmplify": ({"eta": 1.05, "align": 0.0}, "CFG > TAG eta 1.05", {"eta": 1.0, "align": 0.0}),
    "GGNegative": (PULL | {"second_weight": 0.5}, "conditions + 0.5", PULL | {"second_weight": 0.0}),
    "GGPerpNeg": ({"empty": [], "weight": 1.0}, "Perp-Neg 1", None),
}
RUNS = [name for name in NODES if name not in ("GGNegative", "GGPerpNeg")]


def node(name):
    from guidance_geometry.nodes import rules

    return {cls.__name__: cls for cls in rules.NODES}[name]


def chain(name, knobs, guidance=None):
    return node(name).execute(**knobs, guidance=guidance).result[0]


@pytest.mark.parametrize("name", NODES)
def test_the_schema_explains_itself(name):
    schema = node(name).define_schema()
    assert [one.id for one in (*schema.inputs, *schema.outputs) if not one.tooltip] == []
    assert schema.is_experimental == (name in EXPERIMENTAL)
    assert schema.inputs[-1].id == "guidance"
    assert set(NODES[name][0]) <= {one.id for one in schema.inputs}
    page = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    assert page.startswith(f"# {schema.display_name}\n")
    assert [one.id for one in schema.inputs[:-1] if one.id not in page] == []


@pytest.mark.parametrize("name", NODES)
def test_the_chain_grows_by_the_rule_and_says_what_it_is(name):
    knobs, text, _ = NODES[name]
    assert chain(name, knobs).text == text
    before = chain("GGRescale", {"phi": 1.0, "space": "x0"})
    assert len(chain(name, knobs, before).rules) == 2
    assert len(before.rules) == 1


@pytest.mark.parametrize(
    ("name", "knob", "value"),
    [
        (name, knob, math.nan if isinstance(value, int | float) else "nowhere")
        for name, (knobs, _, _) in NODES.items()
        for knob, value in knobs.items()
        if isinstance(value, int | float | str) and not isinstance(value, bool)
    ],
)
def test_a_value_out_of_range_is_refused_in_the_queue_and_over_a_wire(name, knob, value):
    assert knob in node(name).validate_inputs(**{knob: value})
    with pytest.raises(ValueError, match=f"{knob} is "):
        chain(name, NODES[name][0] | {knob: value})


@pytest.mark.parametrize("model", ["pocket", "ve", "flow"])
@pytest.mark.parametrize("name", RUNS)
def test_a_run_is_finite_and_not_plain_guidance(labelled, empty_latent, model, name):
    latent = empty_latent(model)
    guidance = chain(name, NODES[name][0])
    out, _, trace = guided(*labelled[model], latent, "euler", cfg=5.0, guidance=guidance)
    assert out["samples"].isfinite().all()
    assert trace.header["chain"] == guidance.text
    assert not torch.equal(out["samples"], ksampler(*labelled[model], latent, "euler", cfg=5.0))
    again = guided(*labelled[model], latent, "euler", cfg=5.0, guidance=guidance)[0]["samples"]
    assert torch.equal(out["samples"], again), "the second run differs from the first"


@pytest.mark.parametrize("name", [name for name, (_, _, plain) in NODES.items() if plain])
def test_neutral_knobs_give_the_host_pixels(labelled, empty_latent, name):
    latent = empty_latent("flow")
    out = guided(*labelled["flow"], latent, "euler", guidance=chain(name, NODES[name][2]))[0]["samples"]
    assert torch.equal(out, ksampler(*labelled["flow"], latent, "euler"))
