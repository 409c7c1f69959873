"""The registry's archive alone, unpacked in a ComfyUI that has nothing else: all that a user gets works there."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import torch

from guidance_geometry.dev.browser import page_in
from guidance_geometry.dev.fixtures.interfaces import read as frozen
from guidance_geometry.files.safetensors import read_safetensors
from guidance_geometry.sweeps.comfyui.process import DIRECT
from guidance_geometry.tests.archive import archived_files
from guidance_geometry.tests.project import ROOT
from guidance_geometry.tests.queue.conftest import host_folder
from guidance_geometry.tests.queue.steering import queue
from guidance_geometry.tests.queue.tab_steering import begin, open_below, shows_run_of

NODES = frozen()
TEMPLATES = sorted(file.stem for file in (ROOT / "example_workflows").glob("*.json"))


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """That ComfyUI runs."""
    place = tmp_path_factory.mktemp("fresh")
    folders = host_folder(place)
    pack = place / "custom_nodes" / folders.pack
    pack.unlink()  # the link to this repository
    for name in archived_files():
        (pack / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, pack / name)
    with folders.start() as live:
        yield live


def served(live, path):
    with DIRECT.open(live.address + path) as answer:
        return answer.read()


def test_every_node_page_script_and_template_is_served(fresh):
    nodes = json.loads(served(fresh, "/object_info"))
    assert {name for name, node in nodes.items() if node["python_module"].endswith(fresh.pack)} == NODES.keys()
    assert sorted(json.loads(served(fresh, "/workflow_templates"))[fresh.pack]) == TEMPLATES
    for name in TEMPLATES:
        assert json.loads(served(fresh, f"/api/workflow_templates/{fresh.pack}/{name}.json"))["nodes"]
        assert served(fresh, f"/api/workflow_templates/{fresh.pack}/{name}.jpg")
    pages = [f"docs/{name}.md" for name in NODES] + [f"docs/{name}/zh.md" for name in NODES]
    for file in ["inspector.js", *pages, *(f"lib/{one.name}" for one in (ROOT / "web" / "lib").glob("*.mjs"))]:
        assert served(fresh, f"/extensions/{fresh.pack}/{file}") == (ROOT / "web" / file).read_bytes()


@pytest.mark.browser
def test_the_tab_shows_a_run(browser, fresh):
    with page_in(browser, fresh.address) as page:
        open_below(page)
        begin(page)
        queue(page)
        shows_run_of(page, 6)


def test_the_command_converts_and_sweeps(fresh, tmp_path):
    def call(*words):
        command = [sys.executable, str(fresh.log.parent / "custom_nodes" / fresh.pack), *map(str, words)]
        clean = {name: value for name, value in os.environ.items() if name != "COMFYUI_PATH"}
        done = subprocess.run(command, cwd=tmp_path, env=clean, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    weights = {"weight": torch.randn(3, 4), "bias": torch.randn(3).half()}
    torch.save(weights, tmp_path / "net.pt")
    call("convert", "net.pt", "--licence", "MIT")
    found, _ = read_safetensors(tmp_path / "net.safetensors")
    assert all(torch.equal(found[name], tensor) for name, tensor in weights.items())
    assert "2 cells" in call("sweep", "--server", fresh.address, "--cfg", "1,3", "--seeds", 1, "--set", "steps=4")
    results = json.loads((tmp_path / "output" / "sweep" / "results.json").read_text(encoding="utf-8"))
    assert len(results["rows"]) == 2
    log = fresh.log.read_text(encoding="utf-8", errors="replace")
    assert "IMPORT FAILED" not in log
    assert "Traceback" not in log
