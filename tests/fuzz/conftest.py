"""One ComfyUI for all that is queued here, and the counts at the end."""

import pytest

from guidance_geometry.dev.places import HOST

from .budget import OUTCOMES


@pytest.fixture(scope="session")
def watched(tmp_path_factory):
    """A host under watch, with all in its folders that the prompts name."""
    from .equipment import equip
    from .watched import Watched

    if not (HOST / "main.py").exists():
        pytest.skip("no ComfyUI host: run `python3 dev.py test`, or set COMFYUI_PATH")
    host = Watched(tmp_path_factory.mktemp("fuzz"), HOST)
    try:
        equip(host.place)
        host.read_catalogue()
        yield host
    finally:
        host.close()


def pytest_terminal_summary(terminalreporter):
    """Print what came of all examples, for `dev.py fuzz`."""
    if OUTCOMES:
        terminalreporter.section("fuzz")
        for kind, ends in sorted(OUTCOMES.items()):
            terminalreporter.write_line(f"{kind}: {ends.total():,} tried; {dict(ends)}")
