"""The recipes of CONTRIBUTING.md, followed to the letter in a copy of the pack: what they add works in the host."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

from guidance_geometry.sweeps.comfyui.client import Client
from guidance_geometry.tests.queue.conftest import host_folder
from guidance_geometry.tests.queue.prompts import HOST, ROOT, latents, small, steered
from guidance_geometry.tests.recipes import recipes

PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
RECIPES = {name: [one for one in changes if not one.command] for name, changes in recipes(PAGE).items()}
LEFT_OUT = shutil.ignore_patterns(".git", ".venv*", ".host", ".cache", "output", ".*_cache")


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """A host with a copy of the pack in which all recipes were followed; its pack is the copy's folder."""
    base = tmp_path_factory.mktemp("recipes")
    hosts = host_folder(base)
    copy = base / "custom_nodes" / hosts.pack
    copy.unlink()
    shutil.copytree(ROOT, copy, ignore=LEFT_OUT)
    for changes in RECIPES.values():
        for change in changes:
            change.follow(copy)
    draws = torch.Generator().manual_seed(0)
    shapes = {"conv.weight": (3, 3, 3, 3), "conv.bias": (3,), "tint.weight": (4, 3)}
    file = base / "models" / "denoisers" / "tinted.safetensors"
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: 0.1 * torch.randn(shape, generator=draws) for name, shape in shapes.items()}, file)
    with hosts.start() as server:
        yield server


@pytest.fixture(scope="module")
def client(live):
    with Client(live.address) as one:
        yield one


@pytest.fixture(scope="module")
def copy(live):
    return live.log.parent / "custom_nodes" / live.pack


def test_every_recipe_touches_as_many_files_as_its_table_says():
    files = {name: len({one.path for one in changes}) for name, changes in RECIPES.items()}
    assert [name for name in files if f"#recipe-{'-'.join(name.split())}) | {files[name]} |" not in PAGE] == []
    assert len(RECIPES) == 8


def test_the_tests_of_the_recipes_pass_in_the_copy(copy):
    written = sorted(one.path for changes in RECIPES.values() for one in changes if one.path.startswith("tests/"))
    python = [path for path in written if path.endswith(".py")]
    arrows = "tests/test_arrows.py::test_a_room_imports_only_what_the_arrows_allow"
    commands = [[sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *python, arrows]]
    if shutil.which("node"):
        commands.append(["node", "--test", *(path for path in written if path.endswith(".mjs"))])
    for command in commands:
        environment = os.environ | {"COMFYUI_PATH": str(HOST)}
        done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-3000:]


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


def test_the_measure_and_the_axis_are_those_of_a_sweep(live, copy, tmp_path):
    words = ["--server", live.address, "--output", tmp_path, "--cfg", "3", "--set", "steps=3"]
    words += ["--axis", "batch: 1, 2", "--measures", "first_strength,strength"]
    done = subprocess.run([sys.executable, copy, "sweep", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert [row["place"]["batch"] for row in rows] == [1, 2]
    assert rows[0]["measures"]["first_strength"] != rows[0]["measures"]["strength"]


def test_a_file_of_the_new_format_samples_and_the_new_figure_draws(client):
    graph = small(label="green; red", denoiser="tinted.safetensors", seed=7)
    inputs = {"trace": ["4", 2], "figure": "strength", "step": -1, "sample": 0, "size": "column 600", "theme": "light"}
    graph["5"] = {"class_type": "GGFigure", "inputs": inputs | {"save": "png", "filename_prefix": "strength"}}
    graph["6"] = {"class_type": "PreviewImage", "inputs": {"images": ["5", 0]}}
    job = client.run(graph)
    green, red = latents(client, job)
    assert not torch.equal(green, red)
    assert job.outputs["6"]["images"]
