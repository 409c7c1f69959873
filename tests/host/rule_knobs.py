"""Every rule node with knobs of its own, what its chain says, and knobs that leave plain CFG."""

import re

from guidance_geometry.tests.project import ROOT

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


def node(name):
    from guidance_geometry.extension import nodes_in

    return {cls.__name__: cls for cls in nodes_in("rules")}[name]


def chain(name, knobs, sockets=None, guidance=None):
    given = {one: sockets[one] for one in SOCKETS.get(name, ())} if sockets else {}
    return node(name).execute(**given, **knobs, guidance=guidance).result[0]


def acting(name, sockets):
    """The node's chain, with knobs that do not leave plain CFG."""
    if name in NODES:
        return chain(name, ACTING.get(name, NODES[name][0]), sockets)
    from guidance_geometry.tools.fixtures.rule_nodes import active_chain

    return active_chain(node(name), {kind: sockets[kind] for kind in ("MODEL", "CONDITIONING")})
