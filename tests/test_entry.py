"""What a host finds when it imports the pack: nodes, or one line that says why there are none."""

import subprocess
import sys

import pytest

from guidance_geometry.tests.project import PROJECT, ROOT

LOAD = """
import importlib.util, logging, sys
logging.basicConfig(format="%(levelname)s %(message)s", stream=sys.stdout)
if importlib.util.find_spec("nodes"):
    importlib.import_module("nodes")
spec = importlib.util.spec_from_file_location("pack", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
print(getattr(module, "NODE_CLASS_MAPPINGS", "asks for the entry point"))
print(getattr(module, "WEB_DIRECTORY", "no scripts"))
"""
FIT = "asks for the entry point\n./web\n"
UNFIT = "{}\nno scripts\n"
RULED = {
    "comfy_api/latest/__init__.py": "ComfyExtension = object",
    "comfy/patcher_extension.py": "class WrappersMP:\n    PREDICT_NOISE = 'predict_noise'",
}
HOSTS = {  # the files by which the pack knows a host
    "of 2024": {"comfy/__init__.py": ""},
    "without a VAE for pixels": RULED | {"comfyui_version.py": "__version__ = '0.3.59'"},
    "that fits": RULED | {"comfy/pixel_space_convert.py": "PixelspaceConversionVAE = object"},
    "with another copy": RULED
    | {
        "comfy/pixel_space_convert.py": "PixelspaceConversionVAE = object",
        "nodes.py": "class Node:\n    RELATIVE_PYTHON_MODULE = 'custom_nodes.first'\n"
        "NODE_CLASS_MAPPINGS = {'GGGuidedSampler': Node}",
    },
    "that is none": {"comfy_cli/__init__.py": ""},
}
COMPLAINTS = {
    "of 2024": "found an older one, which has no comfy_api.latest.ComfyExtension.",
    "without a VAE for pixels": "found 0.3.59, which has no comfy.pixel_space_convert.PixelspaceConversionVAE.",
}


def loaded(folder, files):
    """What loading the pack prints among these files."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="ascii")
    command = [sys.executable, "-c", LOAD, ROOT / "__init__.py"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("host", COMPLAINTS)
def test_a_host_that_is_too_old_gets_one_line_and_no_nodes(tmp_path, host):
    line, rest = loaded(tmp_path, HOSTS[host]).split("\n", 1)
    oldest = PROJECT["tool"]["comfy"]["requires-comfyui"].removeprefix(">=")
    assert line.startswith(f"ERROR Guidance Geometry needs ComfyUI {oldest} or newer and found")
    assert COMPLAINTS[host] in line
    assert line.endswith("Update ComfyUI.")
    assert rest == UNFIT


@pytest.mark.parametrize("host", ["that fits", "that is none"])
def test_elsewhere_nothing_is_said(tmp_path, host):
    assert loaded(tmp_path, HOSTS[host]) == FIT


def test_of_two_copies_the_second_says_one_line_and_adds_nothing(tmp_path):
    line, rest = loaded(tmp_path, HOSTS["with another copy"]).split("\n", 1)
    assert line.startswith("WARNING Guidance Geometry is installed twice: the copy in first is at work")
    assert rest == UNFIT
