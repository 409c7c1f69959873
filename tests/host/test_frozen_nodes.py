"""Saved workflows and prompts keep working: what a node's interface was when it was frozen, it is."""

import pytest

from guidance_geometry.dev.fixtures.interfaces import interfaces, read

NAMES = sorted(read())


def broken(was, now):
    """What a saved workflow or prompt would miss in an interface."""
    if now is None:
        return ["the node is gone"]
    more = now["inputs"][len(was["inputs"]) :]
    pairs = zip(was["inputs"], now["inputs"], strict=False)
    wrong = [f"{one['name']}: {one} is now {other}" for one, other in pairs if not covers(one, other)]
    wrong += [f"{one['name']} is missing" for one in was["inputs"][len(now["inputs"]) :]]
    wrong += [f"{one['name']} came later and is not optional" for one in more if not one["optional"]]
    return wrong + ([] if now["outputs"][: len(was["outputs"])] == was["outputs"] else ["outputs"])


def covers(was, now):
    """Whether an input takes all that it took; a menu may grow."""
    options = was.get("options", [])
    return {**was, "options": []} == {**now, "options": []} and [o for o in options if o not in now["options"]] == []


@pytest.fixture(scope="module")
def now(host):
    return interfaces()


@pytest.mark.parametrize("name", NAMES)
def test_an_interface_stays_as_it_was_frozen(now, name):
    assert broken(read()[name], now.get(name)) == []
