"""The commands of README, word by word, where the Python that is called has no torch."""

import os
import re
import shlex
import subprocess
import sys

import pytest

from guidance_geometry.tests.project import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
CALLED = list(dict.fromkeys(re.findall(r"^python custom_nodes.*|(?<=`)python custom_nodes[^`]*", README, re.MULTILINE)))
CLEAN, CHECK, SWEEP = CALLED
(RULE,) = re.findall(r"```python\n(def .*?)```", README, re.DOTALL)
FOLDER = re.findall(r"python custom_nodes/(\S+)", README)[0]
TELLS = '#!/bin/sh\n[ "$1" = -c ] && exit 0\necho {} "$@"\n'  # a Python that finds torch, and says how it is called
LIES = '#!/bin/sh\n[ "$1" = -c ] && exit 0\necho started >> {}\nexec {} "$@"\n'  # one that finds none when it runs

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the programs of these tests are scripts of a shell")


def script(place, text):
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text, encoding="ascii")
    place.chmod(0o755)
    return place


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """A Python without torch."""
    place = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    return place / "bin" / "python"


@pytest.fixture
def comfyui(tmp_path):
    """The folder of a ComfyUI without an environment, which says at its start which Python it has."""
    place = tmp_path / "comfyui"
    (place / "comfy").mkdir(parents=True)
    (place / "main.py").write_text("import sys\nprint('it is', sys.executable)\nsys.exit(3)\n", encoding="ascii")
    (place / "my_rule.py").write_text(RULE, encoding="utf-8")
    (place / "custom_nodes").mkdir()
    (place / "custom_nodes" / FOLDER).symlink_to(ROOT, target_is_directory=True)
    return place


@pytest.fixture
def called(bare, comfyui):
    """A line of README in the folder of that ComfyUI, with a Python without torch and none but it on the path."""

    def call(line, **variables):
        program, *words = shlex.split(line)
        assert program == "python"
        env = {
            "PATH": str(bare.parent),
            **{k: v for k, v in os.environ.items() if k in ("HOME", "TMPDIR")},
            **variables,
        }
        return subprocess.run([bare, *words], cwd=comfyui, env=env, capture_output=True, text=True, timeout=120)

    return call


def test_the_folder_of_a_clone_is_the_one_that_comfyui_manager_makes():
    assert f"git clone https://github.com/guidance-geometry/comfyui-guidance-geometry {FOLDER}\n" in README
    assert f"pip install -r {FOLDER}/requirements.txt" in README
    assert f'name = "{FOLDER}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8"), "Manager's name of the folder"
    assert {line.split()[1] for line in CALLED} == {f"custom_nodes/{FOLDER}"}


def test_help_and_clean_need_no_torch(called):
    done = called(f"python custom_nodes/{FOLDER} sweep --help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: guidance-geometry sweep")
    done = called(CLEAN)
    assert (done.returncode, done.stderr) == (0, "")
    assert "nothing to remove" in done.stdout


def test_without_any_python_with_torch_a_command_says_where_it_looked(called, comfyui):
    done = called(SWEEP)
    assert done.returncode == 1
    assert str(comfyui / "venv" / "bin" / "python") in done.stderr
    assert "--python PATH" in done.stderr


LAYOUTS = {  # what the Python of a ComfyUI in `here` is called, and the variables that a shell sets
    "venv": lambda here: ("comfyui/venv/bin/python", {}),
    "conda active": lambda here: ("elsewhere/bin/python", {"CONDA_PREFIX": str(here / "elsewhere")}),
    "venv beside": lambda here: (".venv/bin/python", {}),
    "named": lambda here: ("odd/python3.12", {}),
}


def test_what_lies_beside_a_comfyui_is_named_and_not_started(tmp_path, called):
    python = script(tmp_path / "miniconda3" / "bin" / "python", LIES.format(tmp_path / "starts", "python"))
    (python.parents[1] / "conda-meta").mkdir()
    done = called(CHECK)
    assert (done.returncode, str(python) in done.stderr) == (1, True)
    assert not (tmp_path / "starts").exists()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_command_of_readme_finds_the_python_of_the_comfyui(tmp_path, called, layout):
    name, variables = LAYOUTS[layout](tmp_path)
    python = script(tmp_path / name, TELLS.format(layout.split()[0]))
    if layout.startswith("conda"):
        (python.parents[1] / "conda-meta").mkdir()
    words = f"{CHECK} --python {python}" if layout == "named" else CHECK
    done = called(words, **variables)
    expected = " ".join(shlex.split(words)[2:])
    assert (done.returncode, done.stdout) == (0, f"{layout.split()[0]} {ROOT} {expected}\n"), done.stderr


def test_the_commands_of_readme_work_with_the_python_that_they_find(comfyui, called):
    script(comfyui / "venv" / "bin" / "python", f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    done = called(CHECK)
    assert (done.returncode, "Everything that is claimed holds." in done.stdout) == (0, True), done.stderr
    done = called(SWEEP, COMFYUI_PATH=str(comfyui))
    assert f"it is {sys.executable}" in done.stderr, "the ComfyUI that is started ends at once, and its log is shown"
