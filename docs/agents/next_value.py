"""What to change after a run, by the report of Guidance Geometry alone. Needs nothing but Python."""

CFG = (1, 1.5, 2.5, 4, 6, 9, 14)  # 1: where nothing guides, by which the model is tested itself


def next_value(report):
    """The number to write into input knob.input of node knob.node; None: leave everything as it is.

    report: what GET /guidance_geometry/tab/runs/RUN/report answers.
    """
    value = None
    if report["colour"] != "fine":
        halves = [one["facts"]["half"] for one in report["reasons"] if one["id"] in ("help.half", "help.gradient")]
        value = next((one for one in (report["suggested"], *halves) if one is not None), None)
    return None if value == report["knob"]["value"] else value


def values_to_measure(report):
    """The values of cfg at which a model of which nothing is known is to be measured; none where that needs a person.

    Only cfg has a value at which nothing guides. The own one takes the place of the nearest.
    """
    own, knob = report["cfg"], report["knob"]
    if report["against"] != "nothing" or knob["kind"] != "cfg" or not own:
        return []
    nearest = min(CFG[1:], key=lambda value: abs(value - own))
    kept = [value for value in CFG if value != nearest or own > CFG[-1]]
    return sorted({*kept, own})
