"""Numbers that were measured once are used again only while nothing that made them has changed."""

import re
import shutil
from pathlib import Path

import pytest
import torch

from guidance_geometry.lab.pages import economy, evaluations
from guidance_geometry.lab.pages.sources import ROOT, origin, sources_of

DATA = {
    "pages/evaluations": evaluations.WEIGHTS,
    "pages/economy": economy.WEIGHTS,
    "pages/evaluation_costs": (),
    "bench/transformers_versions": (),
}
CODE = (
    "guidance",
    "files",
    "networks",
    "samplers",
    "trace",
    "denoisers",
    "classifiers",
    "figures",
    "host",
    "nodes",
    "sweeps",
    "verdict",
    "dev",
    "lab",
)
KEEP_NO_NUMBERS = {
    "provision",
    "train_demo",
    "train_flow",
    "workshop",
    "pocket_means",
    "sweep",
}  # packages, pictures, checkpoints, logs


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The source files and data of the project in another place."""
    root = tmp_path_factory.mktemp("copy")
    files = [file for room in CODE for file in (ROOT / room).rglob("*.py")]
    for file in {*files, *(file for data in DATA.values() for file in data)}:
        target = root / file.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    return root


def changed(copy, tool, name):
    """Whether a byte more in a file changes the checksum of a tool."""
    file = copy / name
    asked = ROOT / "lab" / f"{tool}.py", DATA[tool], copy
    before, content = origin.__wrapped__(*asked), file.read_bytes()
    try:
        file.write_bytes(content + b"\n")
        return origin.__wrapped__(*asked) != before
    finally:
        file.write_bytes(content)


@pytest.mark.matrix(parts=4)
@pytest.mark.parametrize(
    ("tool", "name"),
    [
        ("pages/evaluations", "guidance/gradients/term.py"),
        ("pages/evaluations", "guidance/gradients/estimators.py"),
        ("pages/evaluations", "host/gradient_run.py"),
        ("pages/evaluations", "samplers/steps.py"),
        ("pages/evaluations", "denoisers/pocket.py"),
        ("pages/evaluations", "classifiers/networks.py"),
        ("pages/evaluations", "lab/pages/evaluations.py"),
        ("pages/evaluations", "lab/train/demo_evaluation.py"),
        ("pages/evaluations", "assets/denoisers/pocket-1.safetensors"),
        ("pages/economy", "guidance/rules/reuse.py"),
        ("pages/economy", "guidance/chain.py"),
        ("pages/economy", "lab/train/demo_evaluation.py"),
        ("pages/economy", "assets/denoisers/pocket-1.safetensors"),
        ("pages/evaluation_costs", "guidance/gradients/term.py"),
        ("pages/evaluation_costs", "host/autograd.py"),
        ("bench/transformers_versions", "classifiers/transformers_folders.py"),
        ("bench/transformers_versions", "dev/fixtures/tiny_folders.py"),
    ],
)
def test_a_byte_of_what_made_a_number_changes_its_checksum(copy, tool, name):
    assert changed(copy, tool, name)


@pytest.mark.parametrize(
    ("tool", "name"), [("pages/evaluations", "figures/film.py"), ("pages/economy", "host/live.py")]
)
def test_a_byte_elsewhere_leaves_numbers_as_they_are(copy, tool, name):
    assert not changed(copy, tool, name)


def test_files_named_at_run_time_count_too(tmp_path):
    loader = tmp_path / "loader.py"
    loader.write_text("from importlib import import_module\n\nimport_module('.one', __package__)\n", encoding="utf-8")
    for name in ("one.py", "two.py", "folder/__init__.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = {file.relative_to(tmp_path).as_posix() for file in sources_of(loader, tmp_path)}
    assert found == {"loader.py", "one.py", "two.py", "folder/__init__.py"}
    nodes = sources_of(ROOT / "extension.py")
    assert {ROOT / "nodes" / "rules" / "window.py", ROOT / "nodes" / "energies" / "reference.py"} <= set(nodes)
    assert {ROOT / "guidance" / "rules" / "rescale.py", ROOT / "guidance" / "energies" / "reference.py"} <= set(nodes)


def test_samples_are_kept_under_the_checksum(tmp_path):
    class Grey:
        def sample(self, row, batch, seed):
            return torch.zeros(batch, 3, 2, 2)

    evaluations.kept_pixels(Grey(), evaluations.TABLE[0], 1, folder=tmp_path)
    assert [folder.name for folder in tmp_path.iterdir()] == [origin(Path(evaluations.__file__), evaluations.WEIGHTS)]


def test_every_tool_that_keeps_numbers_keeps_them_under_a_checksum():
    tools = [file for file in (ROOT / "lab").rglob("*.py") if file.stem not in KEEP_NO_NUMBERS]
    texts = {str(file.relative_to(ROOT)): file.read_text(encoding="utf-8") for file in tools}
    keeping = {name for name, text in texts.items() if '".cache"' in text}
    assert keeping >= {"lab/pages/evaluations.py", "lab/pages/economy.py"}
    assert [name for name in keeping if not re.search(r"\borigin\(", texts[name])] == []


def test_every_file_that_is_found_exists_and_is_of_the_project():
    for file in sources_of(Path(evaluations.__file__)):
        assert file.is_file()
        assert file.is_relative_to(ROOT)
