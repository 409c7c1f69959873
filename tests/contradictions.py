"""What a report may not say at once: sentences that exclude each other, and numbers of one thing that differ."""

import math

ONE_OF = (  # of each group at most one sentence
    ("acts.steps", "acts.step", "acts.nowhere", "acts.unknown"),
    ("skip.some", "skip.none", "skip.unknown"),
    ("negative.same", "negative.unused", "negative.unknown"),
    ("rule.none", "rule.off", "rule.moved"),
    ("clipped.share", "clipped.beyond"),
    ("half.clipped", "half.beyond"),
    ("half.same", "half.all", "half.some", "half.other", "half.none", "half.close", "half.close.all",
     "half.close.some", "half.mixed", "half.near", "half.near.some", "half.far",
     "half.strange", "half.equal", "half.lost"),
    ("head.measured.seen", "head.measured.first", "head.measured.calm", "head.measured.beyond"),
    ("judge.found", "judge.failed"),
)  # fmt: skip
ACTED = ("acts.steps", "acts.step", "skip.some", "skip.none", "skip.end")
NEVER = {  # a sentence, and what does not go with it
    "head.off": (*ACTED, "acts.nowhere", "negative.unknown", "rule.moved", "why.burns", "help.half"),
    "head.off.node": (*ACTED, "acts.nowhere", "rule.moved", "why.burns", "help.half"),
    "head.same": (*ACTED, "negative.unused", "negative.unknown", "why.burns", "help.half"),
    "acts.nowhere": (*ACTED, "classifier.moved"),
    "rule.none": ("rule.scaled", "effect.rules"),
    "rule.off": ("rule.scaled", "effect.rules"),
    "half.equal": ("half.clipped", "half.beyond"),
    "half.strange": ("half.clipped", "half.beyond"),
}
AGAINST_GREEN = {"why.burns", "why.clipped", "why.beyond", "why.long", "why.strange", "why.strange.endless"}
SAME_PICTURE = ("half.same", "half.all", "half.some", "half.close.some")


def contradictions(report, compared=None):
    """Every pair of sentences of a report that cannot both be true.  compared: whether pictures were"""
    told = [(one.id, one.facts) for one in report.sentences]
    ids = {name for name, _ in told}
    found = [f"{sorted(ids & set(group))}" for group in ONE_OF if len(ids & set(group)) > 1]
    found += [
        f"{name} and {other}" for name, others in NEVER.items() if name in ids for other in others if other in ids
    ]
    if compared is False and ids & set(SAME_PICTURE):
        found.append("the same picture, which nobody looked at")
    found += [*_of_clipping(told), *_of_scales(report, told), *_of_steps(told), *_of_counts(told)]
    return [*found, *_of_green(report, ids), *_of_curve(report, told)]


def _facts(told, *names):
    return [facts for name, facts in told if name in names]


def _of_clipping(told):
    own = {facts["percent"] for facts in _facts(told, "clipped.share", "clipped.beyond")}
    second = {facts["own"] for facts in _facts(told, "half.clipped", "half.beyond")}
    if second and own != second:
        yield f"clipped {own} and {second} of one run"


def _of_green(report, ids):
    """What a green answer may not stand beside."""
    if report.answer.colour == "fine":
        yield from (f"fine, and {name}" for name in sorted(AGAINST_GREEN & ids))
        if report.answer.against == "nothing":
            yield "fine, and compared with nothing"


def _of_curve(report, told):
    """Of runs that lie on a curve."""
    answer, curve = report.answer, report.as_json()["curve"]
    if answer.against != "measured":
        return
    if curve is None:
        yield "measured, and no curve"
        return
    gate = curve["gate"]
    if answer.colour in ("fine", "above") and gate and not gate["applies"]:
        yield f"{answer.colour}, and the measure does not apply"
    if answer.colour == "fine" and not gate:
        yield "fine, and nobody knows whether the measure applies"
    for facts in _facts(told, "why.measured"):
        if not curve["values"][0] <= facts["value"] <= curve["values"][-1]:
            yield f"measured at {facts['value']}, where nothing was"


def _of_scales(report, told):
    answer = report.answer
    low, high = answer.range or (-math.inf, math.inf)
    if not low <= high:
        yield f"a range from {low} to {high}"
    if answer.suggested is not None and answer.colour == "fine":
        yield "fine, and another scale suggested"
    if answer.suggested is not None and not low * 0.95 <= answer.suggested <= high * 1.05:
        yield f"{answer.suggested} suggested outside of {low} to {high}"
    if report.cfg is not None and report.plain:
        yield from _of_cfg(report.cfg, answer, low, high, told)


def _of_cfg(own, answer, low, high, told):
    """Of runs that cfg alone guided.  own: it"""
    of_cfg = "knob" not in answer.headline.id
    place, wanted = answer.headline.id.rpartition(".")[2] if of_cfg else "", answer.suggested
    if wanted is not None and ((place == "above" and wanted >= own) or (place == "below" and wanted <= own)):
        yield f"{place}, and {wanted} suggested at {own}"
    if place == "inside" and not low <= own <= high:
        yield f"{own} inside {low} to {high}"
    for facts in _facts(told, "help.half"):
        if facts["half"] >= own or facts["half"] < 1:
            yield f"half of {own} is {facts['half']}"


def _of_steps(told):
    for acts in _facts(told, "acts.steps", "acts.step"):
        first, last, n = acts["first"], acts["last"], acts["n"]
        if not 1 <= first <= last <= n or acts["count"] != last - first + 1:
            yield f"acted in {first} to {last} of {n}"
        for end in _facts(told, "skip.end"):
            if end["step"] <= last:
                yield f"acted to step {last}, and could end before {end['step']}"
    spent = _facts(told, "passes.spent")
    for facts in _facts(told, "passes.further", "passes.pushed", "passes.inside"):
        if spent and facts["count"] > spent[0]["evaluations"]:
            yield f"{facts['count']} passes of {spent[0]['evaluations']}"
    idle = {facts["name"] for facts in _facts(told, "passes.idle")}
    if idle & {facts["name"] for facts in _facts(told, "passes.across", "passes.pushed")}:
        yield f"{idle} idle, and not"


def _of_counts(told):
    for judge in _facts(told, "judge.found"):
        for fooled in (one for one in _facts(told, "classifier.fooled") if one["judge"] == judge["judge"]):
            if not fooled["reverse"] <= judge["count"] <= judge["batch"] - fooled["alone"]:
                yield f"{judge['count']} found, {fooled['alone']} not"
    for facts in _facts(told, "half.mixed"):
        if not 0 < facts["changed"] < facts["batch"] - facts["count"]:
            yield f"{facts['changed']} of {facts['batch']} change visibly, {facts['count']} not at all"
    for facts in _facts(told, "half.some", "half.close.some", "half.near.some"):
        if not 0 < facts["count"] < facts["batch"]:
            yield f"some are {facts['count']} of {facts['batch']}"
