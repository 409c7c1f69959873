"""Rule nodes in the host: what they put on the wire, what they refuse, and whole runs with them.

A rule node needs no entry here: it is held to what holds for every one, with the settings that its schema gives it. An
entry in NODES also fixes its knobs, its text and the knobs that leave plain CFG.
"""

import math
import re
from pathlib import Path

import pytest
import torch

from .queued import queued
from .test_bits import guided, ksampler

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "web" / "docs"
EXPERIMENTAL = {
    *("GGEnergyPreserving", "GGAngle", "GGTangentialAmplify", "GGLocationNorm", "GGSkim", "GGPowerLaw"),
    *("GGMagnitudeAware", "GGFeedback", "GGPerturbed", "GGFormula", "GGWindow"),
}
MOST_SHOWN = 14  # rules that artists see first
NO_PAPER = {
    "GGLocationNorm": "HiDream-E1",
    "GGSkim": "No paper",
    "GGFormula": "your own",
    "GGPreset": "APG",
    "GGWindow": "any rule",
}
# node: its knobs as they stand, the chain they make, knobs that leave plain CFG (None where there are none)
APG = {"threshold_unit": "per element", "space": "x0", "norm_over": "sample"}
PULL = {"form": "sum", "third_weight": 0.5, "fourth_weight": 0.5}
SHAPE = {"start_weight": 0.0, "end_weight": 1.0, "power": 2.0, "values": ""}
WINDOW = {"start_percent": 0.0, "end_percent": 1.0}
SAVING = {"predictor": "line", "stop_cosine": 1.0, "patience": 2}
RANGE = {"quantile": 0.995, "bound": 1.0, "mimic_scale": 4.0}
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
    "GGPerpNeg": ({"weight": 1.0}, "Perp-Neg 1", None),
    "GGCFGSchedule": ({"schedule": "constant", **SHAPE}, "gamma constant > CFG", {"schedule": "constant", **SHAPE}),
    "GGInterval": (
        {"unit": "percent", "start": 0.2, "end": 0.8},
        "interval percent 0.2 .. 0.8 > CFG",
        {"unit": "percent", "start": 0.0, "end": 1.0},
    ),
    "GGFrequencyBands": (
        {"method": "FDG", "low": 0.5, "high": 1.0, "cutoff": 0.5, "middle": ""},
        "FDG low 0.5, high 1 > CFG",
        {"method": "FreSca", "low": 1.0, "high": 1.0, "cutoff": 0.5, "middle": ""},
    ),
    "GGDynamicThreshold": ({"method": "mimic", **RANGE}, "CFG > threshold mimic 4, quantile 0.995", None),
    "GGPlusPlus": ({"step_of": "euler", "eta": 1.0}, "CFG++ (euler) > CFG", None),
    "GGReuse": ({"every": 2, **SAVING}, "u every 2 steps (line) > CFG", {"every": 1, **SAVING}),
    "GGAutoguidance": ({"weak_share": 1.0}, "autoguidance, weak model > CFG", {"weak_share": 0.0}),
    "GGPreset": (
        {"preset": "less burn (APG)"},
        "APG eta 0, cap 0.06 sqrt(N), momentum -0.5 in x0 > CFG",
        {"preset": "plain CFG"},
    ),
    "GGSkim": ({"skim": 3.0}, "skim to 3", None),
    "GGPowerLaw": ({"power": 0.9, "space": "score"}, "power law 0.9 in score > CFG", {"power": 0.0, "space": "score"}),
    "GGMagnitudeAware": ({"damping": 8.0, "space": "ode"}, "MAMBO-G 8 in ode > CFG", {"damping": 0.0, "space": "ode"}),
    "GGFeedback": ({"pi": 0.95, "t0": 0.5, "t1": 0.4}, "FBG pi 0.95, t0 0.5, t1 0.4", None),
    "GGPerturbed": ({"scale": 3.0, **WINDOW}, "CFG > perturbed pass x 3", {"scale": 0.0, **WINDOW}),
    "GGFormula": ({"formula": "u + gamma * d"}, "D = u + gamma * d", {"formula": "u + gamma*d"}),
    "GGWindow": (WINDOW, "CFG > rescale 0.7 in v", WINDOW | {"start_percent": 0.01, "end_percent": 0.02}),
}
SOURCES = [file.read_text(encoding="utf-8") for file in sorted((ROOT / "nodes" / "rules").glob("*.py"))]
FOUND = [name for source in SOURCES for name in re.findall(r"^class (GG\w+)\(", source, re.MULTILINE)]
NEW = [name for name in FOUND if name not in NODES]  # without an entry
ALL = [*NODES, *NEW]
TYPED = ("formula", "values", "middle")  # what a user writes is refused in words of its own
ACTING = {  # where the knobs as they stand leave plain CFG
    "GGCFGSchedule": {"schedule": "linear", **SHAPE},
    "GGFormula": {"formula": "c + (gamma - 1) * rej(d, c)"},
    "GGWindow": {"start_percent": 0.0, "end_percent": 0.5},
}
SOCKETS = {
    "GGNegative": ("second",),
    "GGPerpNeg": ("empty",),
    "GGAutoguidance": ("weak_model",),
    "GGPerturbed": ("perturbed_model",),
    "GGWindow": ("rules",),
}


@pytest.fixture(scope="module")
def wires(labelled):
    """name of a model -> what its rules' sockets take: further conditions, and another model that answers worse."""
    from guidance_geometry.nodes.lab import GGMixtureModel
    from guidance_geometry.nodes.start import GGClassLabel, GGLoadDenoiser

    found = {}
    with torch.inference_mode():
        for name in ("pocket", "ve", "flow"):
            if name == "pocket":
                worse = GGLoadDenoiser.execute("pocket-1", "auto", "auto", "default").result[0]
                key, weight = max(worse.model.state_dict().items(), key=lambda entry: entry[1].numel())
                assert worse.add_patches({key: ("diff", (-0.5 * weight,))})
            else:
                worse = GGMixtureModel.execute(shape="3x8x8", classes=3, kind=name, seed=5).result[0]
            condition = GGClassLabel.execute(labelled[name][0], "1").result[0]
            models = dict.fromkeys(("weak_model", "perturbed_model"), worse)
            rules = {"rules": chain("GGRescale", {"phi": 0.7, "space": "v"})}
            by_type = {"MODEL": worse, "CONDITIONING": condition}
            found[name] = models | rules | dict.fromkeys(("second", "empty"), condition) | by_type
    return found


def node(name):
    from guidance_geometry.nodes import rules

    return {cls.__name__: cls for cls in rules.NODES}[name]


def chain(name, knobs, sockets=None, guidance=None):
    given = {one: sockets[one] for one in SOCKETS.get(name, ())} if sockets else {}
    return node(name).execute(**given, **knobs, guidance=guidance).result[0]


def acting(name, sockets):
    """The node's chain, with knobs that do not leave plain CFG."""
    if name in NODES:
        return chain(name, ACTING.get(name, NODES[name][0]), sockets)
    from guidance_geometry.tools.rule_nodes import active_chain

    return active_chain(node(name), {kind: sockets[kind] for kind in ("MODEL", "CONDITIONING")})


def test_every_rule_node_is_found_and_artists_see_fourteen():
    from guidance_geometry.nodes import rules

    assert {cls.__name__ for cls in rules.NODES} == set(ALL), "NODES of its file holds it"
    shown = [cls.__name__ for cls in rules.NODES if not cls.define_schema().is_experimental]
    assert len(shown) <= MOST_SHOWN, "make the newest experimental"


@pytest.mark.parametrize("name", ALL)
def test_the_schema_explains_itself(name):
    schema = node(name).define_schema()
    assert [one.id for one in (*schema.inputs, *schema.outputs) if not one.tooltip] == []
    assert schema.is_experimental == (name in EXPERIMENTAL) or name in NEW
    assert schema.category == "guidance geometry/rules" + ("/experimental" if schema.is_experimental else "")
    ids = [one.id for one in schema.inputs]
    assert all(one.optional for one in schema.inputs[ids.index("guidance") :]), "what came later is optional"
    page = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    assert page.startswith(f"# {schema.display_name}\n")
    assert [one for one in ids if one != "guidance" and one not in page] == []


@pytest.mark.parametrize("name", ALL)
def test_the_node_names_its_source(name):
    schema = node(name).define_schema()
    words = " ".join([schema.display_name, schema.description, *(one.tooltip for one in schema.inputs)])
    paper = re.search(r"arXiv \d{4}\.\d{5}", words)
    if name in NEW:
        assert paper or "no paper" in words.lower(), "name the paper, or say that there is none"
    else:
        assert NO_PAPER[name].lower() in words.lower() if name in NO_PAPER else paper


@pytest.mark.parametrize("name", NODES)
def test_the_knobs_of_the_table_are_those_that_a_user_finds(name):
    from guidance_geometry.tools.rule_nodes import settings

    found = settings(node(name), {})
    assert {knob: value for knob, value in found.items() if knob not in SOCKETS.get(name, ())} == NODES[name][0]


@pytest.mark.parametrize("name", NEW)
def test_a_node_without_an_entry_adds_a_rule_and_says_what_it_is(name, wires):
    found = acting(name, wires["ve"])
    assert found.rules, "knobs that do something, or options"
    assert all(rule.text for rule in found.rules)


@pytest.mark.parametrize("name", NODES)
def test_the_chain_grows_by_the_rule_and_says_what_it_is(name, wires):
    knobs, text, _ = NODES[name]
    assert chain(name, knobs, wires["ve"]).text == text
    before = chain("GGRescale", {"phi": 1.0, "space": "x0"})
    assert len(chain(name, knobs, wires["ve"], before).rules) == 2
    assert len(before.rules) == 1


@pytest.mark.parametrize(
    ("name", "knob", "value"),
    [
        (name, knob, math.nan if isinstance(value, int | float) else "nowhere")
        for name, (knobs, _, _) in NODES.items()
        for knob, value in knobs.items()
        if not isinstance(value, bool) and knob not in TYPED
    ],
)
def test_a_value_out_of_range_is_refused_in_the_queue_and_over_a_wire(name, knob, value, wires):
    beyond = value if isinstance(value, str) else 1e9  # the host itself lets NaN through
    assert len(queued(node(name), **{knob: beyond})) == 1
    with pytest.raises(ValueError, match=f"{knob} is "):
        chain(name, NODES[name][0] | {knob: value}, wires["ve"])


@pytest.mark.parametrize("model", ["pocket", "ve", "flow"])
@pytest.mark.parametrize("name", ALL)
def test_a_run_is_finite_and_not_plain_guidance(labelled, empty_latent, wires, model, name):
    latent = empty_latent(model)
    guidance = acting(name, wires[model])
    out, _, trace = guided(*labelled[model], latent, "euler", cfg=5.0, guidance=guidance)
    assert out["samples"].isfinite().all()
    assert trace.header["chain"] == guidance.text
    assert not torch.equal(out["samples"], ksampler(*labelled[model], latent, "euler", cfg=5.0))
    again = guided(*labelled[model], latent, "euler", cfg=5.0, guidance=guidance)[0]["samples"]
    assert torch.equal(out["samples"], again), "the second run differs from the first"


@pytest.mark.parametrize("name", [name for name, (_, _, plain) in NODES.items() if plain])
def test_neutral_knobs_give_the_host_pixels(labelled, empty_latent, wires, name):
    latent, neutral = empty_latent("flow"), chain(name, NODES[name][2], wires["flow"])
    out = guided(*labelled["flow"], latent, "euler", guidance=neutral)[0]["samples"]
    assert torch.equal(out, ksampler(*labelled["flow"], latent, "euler"))
