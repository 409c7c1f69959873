"""The recipes of CONTRIBUTING.md, followed to the letter in a copy of the pack: what they add works in the host."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from guidance_geometry.tests.queue import steering
from guidance_geometry.tests.queue.prompts import HOST, ROOT, latents, small, steered
from guidance_geometry.tests.recipes import recipes

RECIPES = recipes((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
MOST_FILES = {
    "a guidance rule": 5,
    "an energy": 4,
    "a denoiser format": 3,
    "a figure": 4,
    "a view in the panel": 4,
}
LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv*", ".host", ".cache", "output", "__pycache__", ".*_cache", "figures.md"
)


def files(name):
    return {change.path for change in RECIPES[name]}


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """A host with a copy of the pack in which all recipes were followed; its pack is the copy's folder."""
    if not (HOST / "main.py").exists():
        pytest.skip("no ComfyUI host: run `python3 dev.py test`, or set COMFYUI_PATH")
    from guidance_geometry.tools.host import provision
    from guidance_geometry.tools.host.server import own_folders, running

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    base = tmp_path_factory.mktemp("recipes")
    options, pack = own_folders(base)
    copy = base / "custom_nodes" / pack
    copy.unlink()
    shutil.copytree(ROOT, copy, ignore=LEFT_OUT)
    for changes in RECIPES.values():
        for change in changes:
            change.follow(copy)
    save_tinted(base / "models" / "denoisers" / "tinted.safetensors")
    options += provision.device_options(Path(sys.executable))
    with running(Path(sys.executable), HOST, base / "host.log", options, pack) as server:
        yield server


def save_tinted(file):
    from safetensors.torch import save_file

    draws = torch.Generator().manual_seed(0)
    shapes = {"conv.weight": (3, 3, 3, 3), "conv.bias": (3,), "tint.weight": (4, 3)}
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: 0.1 * torch.randn(shape, generator=draws) for name, shape in shapes.items()}, file)


@pytest.fixture(scope="module")
def client(live):
    from guidance_geometry.tools.host.client import Client

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
    always = ["tests/test_arrows.py", "tests/test_style.py", "tests/denoisers/test_registry.py"]
    always += ["tests/figures/test_registry.py", "tests/tools/test_pages.py", "tests/tools/test_translations.py"]
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


@pytest.mark.browser
def test_the_view_is_a_tab_of_the_panel_and_draws(live, browser):
    from guidance_geometry.tools.host.browser import page_in

    with page_in(browser, live.address) as page:
        page.set_default_timeout(12000)
        steering.start(page)
        steering.shows_run_of(page, 20)
        steering.choose(page, "strength")
        page.wait_for_function(steering.DRAWN)
