"""Every rule node: what its chain says with its settings as they stand, and settings that leave plain CFG."""

from guidance_geometry.dev.fixtures.interfaces import read as frozen
from guidance_geometry.dev.fixtures.rule_nodes import active_chain
from guidance_geometry.extension import nodes_in
from guidance_geometry.tests.rule_ids import RULE_IDS

# node: the chain that it makes, changes that leave plain CFG (None where there are none)
NODES = {
    "GGRescale": ("CFG > rescale 0.7 in v", {"phi": 0.0}),
    "GGEnergyPreserving": ("CFG > EP-CFG in ode", None),
    "GGLocationNorm": ("CFG > CFGNorm 1 in x0", {"strength": 0.0, "match": True}),
    "GGAdaptiveProjected": (
        "APG eta 0, cap 0.06 sqrt(N), momentum -0.5 in x0 > CFG",
        {"eta": 1.0, "threshold": 0.0, "momentum": 0.0},
    ),
    "GGZeroStar": ("CFG-Zero*, zero-init 1 > CFG", None),
    "GGTangential": ("TCFG in ode > CFG", None),
    "GGAngle": ("ADG up to 60 deg", None),
    "GGTangentialAmplify": ("CFG > TAG eta 1.05", {"eta": 1.0, "align": 0.0}),
    "GGNegative": ("1 further prompt x 0.5", {"second_weight": 0.0}),
    "GGPerpNeg": ("Perp-Neg 1", None),
    "GGCFGSchedule": ("gamma constant > CFG", {}),
    "GGInterval": ("interval percent 0.2 .. 0.8 > CFG", {"start": 0.0, "end": 1.0}),
    "GGFrequencyBands": ("FDG low 0.5, high 1 > CFG", {"method": "FreSca", "low": 1.0, "high": 1.0}),
    "GGDynamicThreshold": ("CFG > threshold mimic 4, quantile 0.995", None),
    "GGPlusPlus": ("CFG++ (euler) > CFG", None),
    "GGReuse": ("u every 2 steps (line) > CFG", {"every": 1}),
    "GGAutoguidance": ("autoguidance, weak model > CFG", {"weak_share": 0.0}),
    "GGPreset": ("APG eta 0, cap 0.06 sqrt(N), momentum -0.5 in x0 > CFG", {"preset": "plain CFG"}),
    "GGSkim": ("skim to 3", None),
    "GGPowerLaw": ("power law 0.9 in score > CFG", {"power": 0.0}),
    "GGMagnitudeAware": ("MAMBO-G 8 in ode > CFG", {"damping": 0.0}),
    "GGFeedback": ("FBG pi 0.95, t0 0.5, t1 0.4", None),
    "GGPerturbed": ("CFG > perturbed pass x 3", {"scale": 0.0}),
    "GGFormula": ("D = u + gamma * d", {"formula": "u + gamma*d"}),
    "GGWindow": ("CFG > rescale 0.7 in v", {"start_percent": 0.01, "end_percent": 0.02}),
}
NEW = sorted(RULE_IDS - NODES.keys())  # without an entry
ALL = [*NODES, *NEW]
ACTING = {  # where the knobs as they stand leave plain CFG
    "GGCFGSchedule": {"schedule": "linear"},
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


def knobs_of(name):
    """The node's widgets as a user finds them."""
    return {one["name"]: one["default"] for one in frozen()[name]["inputs"] if "default" in one}


def node(name):
    return {cls.__name__: cls for cls in nodes_in("rules")}[name]


def chain(name, changes=None, sockets=None, guidance=None):
    """What the node makes of its settings as they stand, some of them changed."""
    given = {one: sockets[one] for one in SOCKETS.get(name, ())} if sockets else {}
    return node(name).execute(**given, **knobs_of(name) | (changes or {}), guidance=guidance)[0]


def acting(name, sockets):
    """The node's chain, with knobs that do not leave plain CFG."""
    if name in NODES:
        return chain(name, ACTING.get(name), sockets)

    return active_chain(node(name), {kind: sockets[kind] for kind in ("MODEL", "CONDITIONING")})
