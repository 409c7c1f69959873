"""What `pip install .` gives: the library in a process that knows no ComfyUI, and every line of its page."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys

import pytest

from guidance_geometry.tests.archive import archived_files
from guidance_geometry.tests.project import PROJECT, ROOT
from guidance_geometry.tests.traces import exact_trace
from guidance_geometry.trace.file import save

PAGE = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"(Save this as `[\w.]+`:\n\n)?```(python)?\n(.*?)```", PAGE, re.DOTALL)
PYTHON = [text for _, language, text in BLOCKS if language]
COMMANDS = [text.strip() for _, language, text in BLOCKS if not language]
WITHOUT = "import sys\nfor name in {}: sys.modules[name] = None\n"
HOST = ["comfy", "comfy_api", "folder_paths", "server"]
BARE = [*HOST, "numpy", "matplotlib", "PIL", "pandas", "diffusers"]
EVERY_NAME = """
import guidance_geometry as gg
assert "torch" not in sys.modules, "an import costs no more than it needs"
import torch
for name in dir(gg):
    getattr(gg, name)
print(*(gg.load_classifier(f"pocket-{role}-1").name for role in ("noisy", "clean", "judge")))
assert gg.load_denoiser("pocket-1").facts["model"]["hash"].startswith("56e20fd55f3e"), "bit for bit as it was trained"
assert not [name for name in sys.modules if name.startswith("guidance_geometry.figures")]
world = gg.make_mixture((3, 8, 8), classes=2, seed=0)
trace = gg.record(gg.ExactDenoiser(world), gg.karras(4), cond=1).sample(20 * torch.randn(1, 3, 8, 8))
trace.save("run.safetensors")
print(gg.load("run.safetensors"))
try:
    gg.host
except AttributeError as error:
    print(error)
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder of an installation from what the registry's archive holds, of which a clone has more.

    And one to work in, with a trace and the files that the page saves.
    """
    source, site, work = (tmp_path_factory.mktemp(name) for name in ("source", "site", "work"))
    for file in archived_files():
        (source / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, source / file)
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--no-cache-dir", "--quiet"]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, "--target", site, source], check=True)
    save(exact_trace(steps=12, batch=2), work / "trace.safetensors")
    for before, _, text in BLOCKS:
        if name := re.findall("`(.*)`", before):
            (work / name[0]).write_text(text, encoding="utf-8")
    return site, work


def ran(installed, code, without=HOST):
    """What a fresh process prints that has only the installation, and not these modules."""
    site, work = installed
    command = [sys.executable, "-c", WITHOUT.format(without) + code]
    paths = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
    alone = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, cwd=work, env=alone, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_torch_and_safetensors_are_enough_and_nothing_of_the_host_or_the_laboratory_is_there(installed):
    said = ran(installed, EVERY_NAME, BARE)
    assert said.startswith("pocket-noisy-1 pocket-clean-1 pocket-judge-1\n")
    assert "Trace(4 steps, 1 sample of 3x8x8, exact mixture, euler" in said
    assert "guidance_geometry has no 'host'. It has AdaptiveProjected, Angle," in said
    package = installed[0] / "guidance_geometry"
    files = {file.name for file in package.iterdir()}
    assert not files & {"host", "nodes", "lab", "dev", "tests", "dev.py", "extension.py"}
    assert (package / "assets" / "denoisers" / "pocket-1.json").is_file()


SWEPT = """
world = gg.make_mixture((3, 8, 8), classes=2, seed=0)
rows = gg.sweep(gg.ExactDenoiser(world), (1, 3, 8, 8), gg.karras(3), cond=1, axes={"cfg": [1, 2]}, folder="swept")
print(len(rows), len(open("swept/index.html", encoding="utf-8").read()) > 100_000)
"""


EXAMPLES = ["post_figures", "diffusers_guider"]
RUN_EXAMPLE = "\nsys.argv = ['', {name!r}]\nexec(open({script!r}, encoding='utf-8').read())\n"


def test_every_block_of_the_page_and_every_example_runs(installed):
    """Each block sees what those before it made, as in a notebook."""
    pytest.importorskip("scipy", reason="the page of a sweep needs scipy: pip install '.[studies]'")
    pytest.importorskip("diffusers")
    known = importlib.util.find_spec("pandas") is not None
    code = "".join(text for text in PYTHON if known or "pandas" not in text) + SWEPT
    assert code.count("gg.") > 10
    scripts = {name: str(ROOT / "docs" / "examples" / f"{name}.py") for name in EXAMPLES}
    code += "".join(RUN_EXAMPLE.format(name=name, script=script) for name, script in scripts.items())
    said = ran(installed, code)
    assert "Trace(12 steps, 2 samples" in said
    assert "\n2 True\n" in said, "an installation writes the page of a sweep"
    assert "the guided step" in said
    assert "guidance strength" in said
    for name in EXAMPLES:
        made = {file.suffix for file in (installed[1] / name).iterdir() if file.stat().st_size > 1000}
        assert {".png", ".safetensors"} <= made
    if not known:
        pytest.skip("pandas is not installed, so its blocks were left out; the others ran")
    assert re.search(r"gamma +\n1 +0\.\d+ +0\.\d+ +0\.\d+", said), "the table of the sweep"


def test_its_commands_are_those_of_the_project():
    install, check = COMMANDS
    extras = re.findall(r"^pip install '\.\[(.*)\]'$", install.splitlines()[-1])[0].split(",")
    assert set(extras) <= PROJECT["project"]["optional-dependencies"].keys()
    assert check.split()[0] in PROJECT["project"]["scripts"]
