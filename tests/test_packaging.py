"""What a user gets: the files that the registry's archive carries, and metadata that say the same everywhere."""

import ast
import re
import subprocess
import sys
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from .project import PROJECT, ROOT

ROOMS = {"guidance", "files", "networks", "samplers", "trace", "verdict", "denoisers", "classifiers", "figures"}
ROOMS |= {"sweeps", "conversion", "cli", "host", "nodes"}
INSTALLED = ROOMS - {"host", "nodes"}
PACKAGE = "guidance_geometry"
NEEDED = {"__init__.py", "__main__.py", "extension.py", *ROOMS, "web", "assets"}
NEEDED |= {"example_workflows", "pyproject.toml", "requirements.txt", "README.md", "LICENSE", "CHANGELOG.md"}
ALLOWED = NEEDED | {"locales", "subgraphs"}
LARGEST = 12_000_000  # bytes of the whole archive, before compression


def git(*arguments):
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.fixture(scope="module")
def archive():
    """The files that the registry's tool packs: tracked by git (or about to be), less those that .comfyignore names."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git clone")
    every = set(git("ls-files", "--cached", "--others", "--exclude-standard"))
    ignored = set(git("ls-files", "--cached", "--others", "--ignored", f"--exclude-from={ROOT / '.comfyignore'}"))
    return sorted(every - ignored)


def test_the_archive_holds_the_pack_and_nothing_else(archive):
    assert NEEDED <= {Path(file).parts[0] for file in archive} <= ALLOWED


def test_the_archive_is_small_and_free_of_pickles(archive):
    assert sum((ROOT / file).stat().st_size for file in archive) <= LARGEST
    assert not [
        file for file in archive if Path(file).suffix in {".pt", ".pth", ".ckpt", ".bin", ".pkl", ".npz", ".pyc"}
    ]


def test_every_asset_and_web_page_is_in_the_archive(archive):
    for folder in ("assets", "web", "locales", "example_workflows"):
        present = {str(file.relative_to(ROOT)) for file in (ROOT / folder).rglob("*") if file.is_file()}
        assert present <= set(archive), f"git ignores something in {folder}/"


def test_the_editor_loads_no_script_but_the_inspector():
    assert {str(file.relative_to(ROOT)) for file in (ROOT / "web").rglob("*.js")} <= {"web/inspector.js"}


def requirements():
    return (ROOT / "requirements.txt").read_text(encoding="utf-8").split()


def test_the_host_is_asked_for_what_figures_need_and_never_for_what_it_has():
    """The host installs requirements.txt, and torch must stay the one that it has."""
    assert requirements() == PROJECT["project"]["optional-dependencies"]["figures"]
    assert not {line.split(">=")[0] for line in requirements()} & {"torch", "numpy", "pillow", "safetensors"}


def test_requirements_are_lower_bounds():
    needed = PROJECT["project"]["dependencies"]
    assert {line.split(">=")[0] for line in needed} == {"torch", "safetensors"}
    for line in [*needed, *(line for extra in PROJECT["project"]["optional-dependencies"].values() for line in extra)]:
        assert re.fullmatch(r"[a-z-]+(\[[a-z]+\])?>=[0-9.]+", line)


def with_what_they_need(lines):
    """The packages of some requirements, and those that come with them."""
    found, waiting = set(), [Requirement(line) for line in lines]
    while waiting:
        one = waiting.pop()
        if one.name.lower() in found:
            continue
        found.add(one.name.lower())
        with suppress(metadata.PackageNotFoundError):
            for more in map(Requirement, metadata.requires(one.name) or ()):
                names = ("", *one.extras)
                asked = not more.marker or any(more.marker.evaluate({"extra": name}) for name in names)
                waiting += [more] if asked else []
    return found


def test_whatever_the_library_imports_is_among_its_dependencies_or_extras():
    files = [file for room in (*INSTALLED, "library") for file in (ROOT / room).rglob("*.py")]
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))]
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
    modules = {name.split(".")[0] for name in imported} - sys.stdlib_module_names
    project = PROJECT["project"]
    named = [*project["dependencies"], *(line for lines in project["optional-dependencies"].values() for line in lines)]
    there, owners = with_what_they_need(named), metadata.packages_distributions()
    there = {name.replace("_", "-") for name in there}
    found = {module: {owner.lower().replace("_", "-") for owner in owners.get(module, ())} for module in modules}
    absent = {module for module, names in found.items() if names and not names & there}
    assert not absent, f"{absent} come with nothing that pyproject names"
    assert {"torch", "scipy", "yaml"} <= modules


def test_an_installation_has_every_room_that_does_not_need_the_host():
    setup = PROJECT["tool"]["setuptools"]
    rooms = {file.parent.relative_to(ROOT) for room in (*INSTALLED, "library") for file in (ROOT / room).rglob("*.py")}
    named = {f"{PACKAGE}.{'.'.join(room.parts)}" for room in rooms - {Path("library/installed")}}
    assert set(setup["packages"]) == named | {PACKAGE, f"{PACKAGE}.assets", f"{PACKAGE}.web"}
    assert set(setup["package-dir"].values()) == {*INSTALLED, "library", "library/installed", "assets", "web"}


def test_the_registry_fields_are_complete():
    project, comfy = PROJECT["project"], PROJECT["tool"]["comfy"]
    assert project["name"] == "guidance-geometry"
    assert re.fullmatch(r"\d+\.\d+\.\d+", project["version"])
    assert project["urls"]["Repository"]
    assert comfy["PublisherId"]
    assert comfy["DisplayName"] == "Guidance Geometry"
    assert "web" not in comfy, "the editor would load every script twice"


def test_the_changelog_opens_with_this_version():
    versions = re.findall(r"^## \[?(\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert versions[0] == PROJECT["project"]["version"]


@pytest.mark.parametrize("workflow", sorted((ROOT / "example_workflows").glob("*.json")), ids=lambda file: file.stem)
def test_every_template_has_its_thumbnail(workflow):
    from PIL import Image

    with Image.open(workflow.with_suffix(".jpg")) as picture:
        assert picture.size == (512, 512)


def test_every_file_that_the_readme_shows_or_links_is_there():
    words = (ROOT / "README.md").read_text(encoding="utf-8")
    linked = [target for target in re.findall(r"\]\(([^)]+)\)", words) if "://" not in target]
    assert linked
    assert [target for target in linked if not (ROOT / target).exists()] == []
