"""Values that an input of a node allows, and values that nobody should send."""

import math

from hypothesis import strategies as st

# Inputs that say how much work is asked for: what is allowed stays small, so that slow means a fault.
WORK = {"steps": 6, "batch_size": 3, "width": 64, "height": 64, "classes": 7, "capture_mb": 300}
WORK |= {"recurrence": 3, "draws": 2, "views": 2, "backward_steps": 3}
TEXTS = (
    *("", " ", "*", ";", ";;;\n\n", "0;1;2;3;4;5;6;7;8;9", "3; robot; ", "0-99999999", "5-1", "nan", "1e999"),
    *("(" * 2000, "u + gamma *", "u" + " + u" * 3000, "9" * 5000, "x" * 100_000, "name\0name", "\ud800"),
    *("../../etc/passwd", "/etc/passwd", "C:\\x", "con", "%date%", "%s %d {} {0}", "<b>&amp;</b>", "APG.eta: robot"),
    *("[[1, 2], [3]]", "3x32x32x32", "1x1x1", "0x0x0", "3x-1x32", "tiny-clip/", "</script><script>"),
)
NUMBERS = (0, -1, 1, 2, 0.5, 1e-300, 1e30, 1e308, -1e308, math.nan, math.inf, -math.inf, 10**19, 10**30, 10**400)
texts = st.sampled_from(TEXTS) | st.text(max_size=30)
numbers = st.sampled_from(NUMBERS) | st.integers() | st.floats()
things = st.sampled_from((None, True, False, {}, [], [1], [1, 2, 3], {"__value__": []}, {"__value__": {"samples": 1}}))
anything = st.recursive(things | texts | numbers, lambda one: st.lists(one, max_size=3) | st.dictionaries(texts, one))


def allowed(slot):
    """What a slot allows: mostly its default, or an end of its range."""
    if slot.kind == "COMBO":
        return st.sampled_from(slot.facts["options"] or [""])
    if slot.kind == "BOOLEAN":
        return st.booleans()
    if slot.kind == "STRING":
        return st.just(slot.usual()) | texts
    low = slot.facts.get("min", -10)
    high = min(slot.facts.get("max", 10), WORK.get(slot.name, math.inf))
    if slot.kind == "INT":
        return st.just(slot.usual()) | st.sampled_from((low, high)) | st.integers(int(low), int(high))
    return st.just(slot.usual()) | st.sampled_from((low, high)) | st.floats(low, high)


def forbidden(slot):
    """A value at or beyond the ends of a range, or of another type."""
    if slot.kind in ("STRING", "COMBO", "BOOLEAN"):
        return texts | anything
    low, high, near = slot.facts.get("min"), slot.facts.get("max"), 1 if slot.kind == "INT" else 1e-6
    ends = [v for end, away in ((low, -near), (high, near)) if end is not None for v in (end, end + away)]
    beyond = st.sampled_from(ends) | numbers if ends else numbers
    return (beyond | anything).map(lambda value: limit_work(slot, value))


def limit_work(slot, value):
    """The same, unless it asks for much work that the slot allows."""
    most = WORK.get(slot.name)
    if most is None or not isinstance(value, int | float) or not most < value <= slot.facts.get("max", math.inf):
        return value
    return most
