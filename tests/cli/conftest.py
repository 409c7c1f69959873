"""A server that computes nothing, and a sweep on it."""

import pytest

from guidance_geometry.cli import sweep as run_sweep
from guidance_geometry.cli.sweep import main
from guidance_geometry.dev.fixtures import hostile_answers as hostile
from guidance_geometry.sweeps.comfyui import client

from .stubbed import stubs


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The server, and its address."""
    with stubs(tmp_path_factory.mktemp("stub"), 1) as (made, addresses):
        yield made[0], addresses[0]


@pytest.fixture
def stub(served, monkeypatch):
    """The server, which a test may spoil."""
    monkeypatch.setattr(client, "AGAIN", (0.01, 0.01))
    monkeypatch.setattr(run_sweep, "PAUSES", (0.01,))
    yield served[0]
    hostile.make_honest(served[0])


@pytest.fixture
def swept(served, stub, tmp_path, capsys):
    """Words of a command line -> the exit code and what was printed."""

    def run(*words):
        code = main(["--server", served[1], "--output", str(tmp_path / "out"), *words])
        return code, "".join(capsys.readouterr())

    return run
