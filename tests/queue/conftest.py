import signal
import sys
from pathlib import Path

import pytest

from guidance_geometry.tests.queue.prompts import HOST


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """One real ComfyUI for all tests, with folders of its own and this pack as its only custom node."""
    if not (HOST / "main.py").exists():
        pytest.skip("no ComfyUI host: run `python3 dev.py test`, or set COMFYUI_PATH")
    from guidance_geometry.tools import provision
    from guidance_geometry.tools.server import own_folders, running

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that a terminated test run still ends its server
    base = tmp_path_factory.mktemp("host")
    python = Path(sys.executable)
    options, pack = own_folders(base)
    options += provision.device_options(python)
    with running(python, HOST, base / "host.log", options, pack) as live:
        yield live


@pytest.fixture
def client(server):
    """A client of that server; the test must leave the server healthy, or the next one fails here."""
    from guidance_geometry.tools.api_client import Client

    with Client(server.address) as one:
        yield one


@pytest.fixture(scope="session")
def damaged_files(server):
    """Files that a user may have in the model folders and that must never be loaded."""
    import torch
    from safetensors.torch import save, save_file

    folder = server.log.parent / "models" / "denoisers"
    folder.mkdir(parents=True, exist_ok=True)
    whole = save({"weight": torch.zeros(1000)})
    (folder / "truncated.safetensors").write_bytes(whole[:-1000])
    (folder / "huge_header.safetensors").write_bytes((1 << 40).to_bytes(8, "little") + whole[8:])
    (folder / "pickle.safetensors").write_bytes(b"\x80\x04\x95" + bytes(200) + b".")
    torch.save({"weight": torch.zeros(10)}, folder / "zip.safetensors")
    latent = {"latent_tensor": torch.ones(2, 4, 32, 32), "latent_format_version_0": torch.zeros(1)}
    save_file(latent, server.log.parent / "input" / "four_channels.latent")
    return folder
