"""Numbers that were measured once are used again only while nothing that made them has changed."""

import re
import shutil
from pathlib import Path

import pytest
import torch

from guidance_geometry.tools import economy, roads
from guidance_geometry.tools.sources import ROOT, origin, sources_of

DATA = {"roads": roads.WEIGHTS, "economy": economy.WEIGHTS, "road_costs": (), "bench/transformers_versions": ()}
CODE = ("guidance", "samplers", "denoisers", "classifiers", "drawing", "nodes", "tools", "tests")
KEEP_NO_NUMBERS = {
    "provision",
    "train_demo",
    "pocket_means",
}  # packages, pictures


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
    fresh = origin.__wrapped__
    before, content = fresh(tool, DATA[tool], copy), file.read_bytes()
    try:
        file.write_bytes(content + b"\n")
        return fresh(tool, DATA[tool], copy) != before
    finally:
        file.write_bytes(content)


@pytest.mark.parametrize(
    ("tool", "name"),
    [
        ("roads", "guidance/gradients/term.py"),
        ("roads", "guidance/gradients/estimators.py"),
        ("roads", "host/gradient_run.py"),
        ("roads", "samplers/steps.py"),
        ("roads", "denoisers/pocket.py"),
        ("roads", "classifiers/networks.py"),
        ("roads", "tools/roads.py"),
        ("roads", "tools/demo_evaluation.py"),
        ("roads", "assets/denoisers/pocket-1.safetensors"),
        ("economy", "guidance/rules/reuse.py"),
        ("economy", "guidance/chain.py"),
        ("economy", "tools/demo_evaluation.py"),
        ("economy", "assets/denoisers/pocket-1.safetensors"),
        ("road_costs", "guidance/gradients/term.py"),
        ("road_costs", "host/autograd.py"),
        ("bench/transformers_versions", "classifiers/transformers_folders.py"),
        ("bench/transformers_versions", "tools/fuzz/tiny_folders.py"),
    ],
)
def test_a_byte_of_what_made_a_number_changes_its_checksum(copy, tool, name):
    assert changed(copy, tool, name)


@pytest.mark.parametrize(("tool", "name"), [("roads", "figures/film.py"), ("economy", "host/live.py")])
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


def test_samples_are_kept_under_the_checksum(tmp_path):
    class Grey:
        def sample(self, row, batch, seed):
            return torch.zeros(batch, 3, 2, 2)

    roads.kept_pixels(Grey(), roads.TABLE[0], 1, kept=tmp_path)
    assert [folder.name for folder in tmp_path.iterdir()] == [origin("roads", roads.WEIGHTS)]


def test_every_tool_that_keeps_numbers_keeps_them_under_a_checksum():
    tools = [file for file in (ROOT / "tools").rglob("*.py") if file.stem not in KEEP_NO_NUMBERS]
    texts = {str(file.relative_to(ROOT)): file.read_text(encoding="utf-8") for file in tools}
    keeping = {name for name, text in texts.items() if '".cache"' in text}
    assert keeping >= {"tools/roads.py", "tools/economy.py"}
    assert [name for name in keeping if not re.search(r"\borigin\(", texts[name])] == []


def test_every_file_that_is_found_exists_and_is_of_the_project():
    for file in sources_of(Path(roads.__file__)):
        assert file.is_file()
        assert file.is_relative_to(ROOT)
