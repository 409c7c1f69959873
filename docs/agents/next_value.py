"""What to change after a run, by the report of Guidance Geometry alone. Needs nothing but Python."""


def next_value(report):
    """The number to write into input knob.input of node knob.node; None: leave everything as it is.

    report: what GET /guidance_geometry/tab/runs/RUN/report answers.
    """
    value = None
    if report["colour"] != "fine":
        halves = [one["facts"]["half"] for one in report["reasons"] if one["id"] in ("help.half", "help.gradient")]
        value = next((one for one in (report["suggested"], *halves) if one is not None), None)
    return None if value == report["knob"]["value"] else value
