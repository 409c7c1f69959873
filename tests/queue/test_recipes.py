"""The recipes of CONTRIBUTING.md, followed to the letter in a copy of the pack: what they add works in the host."""

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

from guidance_geometry.dev.hosts import HostFolder
from guidance_geometry.sweeps.comfyui.client import Client
from guidance_geometry.tests.queue.prompts import HOST, ROOT, latents, small, steered
from guidance_geometry.tests.recipes import recipes

RECIPES = recipes((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
MOST_FILES = {
    "a guidance rule": 3,
    "a rule that remembers": 2,
    "an energy": 2,
    "a denoiser format": 3,
    "a figure": 5,
    "a view in the panel": 4,
    "a measure": 1,
    "an axis": 1,
}
LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv*", ".host", ".cache", "output", "__pycache__", ".*_cache", "figures.md"
)


def files(name):
    return {change.path for change in RECIPES[name] if not change.command}


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """A host with a copy of the pack in which all recipes were followed; its pack is the copy's folder."""
    if not (HOST / "main.py").exists():
        pytest.skip("no ComfyUI host: run `python3 dev.py test`, or set COMFYUI_PATH")

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    base = tmp_path_factory.mktemp("recipes")
    hosts = HostFolder(base, HOST)
    copy = base / "custom_nodes" / hosts.pack
    copy.unlink()
    shutil.copytree(ROOT, copy, ignore=LEFT_OUT)
    changes = [change for changes in RECIPES.values() for change in changes]
    for change in changes:
        if not change.command:
            change.follow(copy)
    for command in {change.command: change for change in changes if change.command}.values():
        command.follow(copy)  # writes pages from all of the others
    save_tinted(base / "models" / "denoisers" / "tinted.safetensors")
    with hosts.start() as server:
        yield server


def save_tinted(file):
    draws = torch.Generator().manual_seed(0)
    shapes = {"conv.weight": (3, 3, 3, 3), "conv.bias": (3,), "tint.weight": (4, 3)}
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: 0.1 * torch.randn(shape, generator=draws) for name, shape in shapes.items()}, file)


@pytest.fixture(scope="module")
def client(live):
    with Client(live.address) as one:
        yield one


@pytest.fixture(scope="module")
def copy(live):
    return live.log.parent / "custom_nodes" / live.pack


def test_every_recipe_is_followed_and_touches_no_more_than_it_says():
    assert {name: len(files(name)) for name in RECIPES} == MOST_FILES
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert [
        name
        for name, most in MOST_FILES.items()
        if f"[{name}](#recipe-{'-'.join(name.split())}) | {most} |" not in page
    ] == []


def test_the_tests_of_the_recipes_pass_in_the_copy(copy):
    written = sorted(path for name in RECIPES for path in files(name) if path.startswith("tests/"))
    python = [path for path in written if path.endswith(".py")]
    always = ["tests/test_arrows.py::test_a_room_imports_only_what_the_arrows_allow", "tests/test_style.py"]
    always += ["tests/denoisers/test_registry.py", "lab/tests/test_pages.py", "lab/tests/test_translations.py"]
    always += ["tests/figures/test_registry.py::test_a_figure_fills_its_sheet_and_can_be_read_at_half_its_size"]
    always += ["tests/guidance/test_knobs.py", "lab/tests/test_node_pages.py"]
    always += ["tests/host/test_energies_at_work.py", "tests/host/test_nodes_page.py", "tests/library/test_names.py"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *python, *always]
    done = subprocess.run(
        command, cwd=copy, env=os.environ | {"COMFYUI_PATH": str(HOST)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-3000:]
    if shutil.which("node"):
        scripts = [path for path in written if path.endswith(".mjs")]
        done = subprocess.run(["node", "--test", *scripts], cwd=copy, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-3000:]
    assert len(written) == 4


def test_the_rule_acts_in_a_chain_through_the_queue(client):
    """D = c + (gamma - 1) / 2 (c - u) is guidance at a scale in the middle between 1 and gamma."""
    graph = small(cfg=5.0, seed=3)
    graph["7"] = {"class_type": "GGRescale", "inputs": {"phi": 0.0, "space": "x0"}}
    graph["8"] = {"class_type": "GGHalfway", "inputs": {"share": 0.5, "guidance": ["7", 0]}}
    graph["4"]["inputs"]["guidance"] = ["8", 0]
    halfway = latents(client, client.run(graph))
    assert torch.allclose(halfway, latents(client, client.run(small(cfg=3.0, seed=3))), atol=1e-5)


def test_the_energy_steers_a_run(client):
    energy = {"class_type": "GGBrightnessEnergy", "inputs": {"wanted": 0.8, "spread": 0.1}}
    plain, found = (
        latents(client, client.run(steered(energy, scale=scale, evaluation="x0", seed=5, steps=8))).mean(dim=(1, 2, 3))
        for scale in (0.0, None)
    )
    assert ((found - 0.8).abs() < 0.5 * (plain - 0.8).abs()).all()


def test_in_a_sweep_the_rule_is_a_value_and_the_energy_the_judge(client):
    graph = {node: small()[node] for node in "123"}
    wires = {"model": ["1", 0], "positive": ["2", 0], "negative": ["2", 1], "latent_image": ["3", 0]}
    settings = {"seed": 3, "steps": 4, "sampler_name": "euler", "scheduler": "karras", "best_by": "judge"}
    graph["21"] = {"class_type": "GGBrightnessEnergy", "inputs": {"wanted": 0.8, "spread": 0.1}}
    axes = {"axes": "rule: cfg, Halfway\ncfg: 2, 4", "energy": ["21", 0]}
    graph["4"] = {"class_type": "GGSweep", "inputs": wires | settings | axes}
    graph["5"] = {"class_type": "PreviewAny", "inputs": {"source": ["4", 2]}}
    (table,) = client.run(graph).outputs["5"]["text"]
    head, *rows = table.strip().splitlines()
    assert "judge" in head
    assert sum("Halfway" in row for row in rows) == 2, table


def test_the_measure_and_the_axis_are_those_of_a_sweep(live, copy, tmp_path):
    words = ["--server", live.address, "--output", tmp_path, "--cfg", "3", "--set", "steps=3"]
    words += ["--axis", "batch: 1, 2", "--measures", "first_strength,strength"]
    done = subprocess.run([sys.executable, copy, "sweep", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert [row["place"]["batch"] for row in rows] == [1, 2]
    assert all(row["measures"]["first_strength"] > row["measures"]["strength"] / 100 for row in rows)
    assert rows[0]["measures"]["first_strength"] != rows[0]["measures"]["strength"]
    assert "Guidance strength (M1), first step" in (tmp_path / "report.txt").read_text()


def test_a_file_of_the_new_format_samples(client):
    graph = small(label="green; red", denoiser="tinted.safetensors", seed=7)
    found = latents(client, client.run(graph))
    assert found.shape == (2, 3, 16, 16)
    assert found.isfinite().all()
    assert not torch.equal(found[0], found[1])


def test_the_figure_is_in_the_menu_and_draws(client):
    menu = client.get("/object_info/GGFigure")
    assert b'"strength"' in menu
    graph = small(seed=9)
    inputs = {"trace": ["4", 2], "figure": "strength", "step": -1, "sample": 0, "size": "column 600", "theme": "light"}
    graph["5"] = {"class_type": "GGFigure", "inputs": inputs | {"save": "png", "filename_prefix": "strength"}}
    graph["6"] = {"class_type": "PreviewImage", "inputs": {"images": ["5", 0]}}
    job = client.run(graph)
    assert job.outputs["6"]["images"]
