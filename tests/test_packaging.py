"""What a user gets: the files that the registry's archive carries, and metadata that say the same everywhere."""

import ast
import io
import re
import sys
import zipfile
from fnmatch import fnmatch
from importlib import metadata
from pathlib import Path, PureWindowsPath

import pytest
import yaml
from packaging.requirements import Requirement

from guidance_geometry.dev.places import HOST
from guidance_geometry.files.safetensors import read_header
from guidance_geometry.verdict.measured import read_curves

from .archive import archived_files, tracked_files
from .project import PROJECT, ROOT

ROOMS = {"guidance", "files", "samplers", "trace", "measure", "verdict", "models", "figures", "sweeps", "cli"}
ROOMS |= {"host", "nodes"}
INSTALLED = ROOMS - {"host", "nodes"}
NEEDED = {"__init__.py", "__main__.py", "extension.py", *ROOMS, "library", "web", "assets"}
NEEDED |= {"example_workflows", "subgraphs", "pyproject.toml", "requirements.txt", "README.md", "LICENSE"}
ALLOWED = NEEDED | {"locales"}
REPOSITORY = PROJECT["project"]["urls"]["Repository"]
BLOB, RAW = f"{REPOSITORY}/blob/main/", f"{REPOSITORY.replace('github.com', 'raw.githubusercontent.com')}/main/"
LICENCES = ROOT / "assets" / "LICENSES.md"
SITE = ROOT / "web" / "explain"  # for the site alone
READMES = ("README.md", "README.zh.md")  # the second is in the repository alone
TEXTS = {".py", ".md", ".json", ".mjs", ".js", ".css", ".html", ".toml", ".txt", ""}
LARGEST = 10_000_000  # bytes of the zip, names and directory included: what a user downloads
BROUGHT_ALONG = {"numpy", "pillow", "fsspec", "pyarrow", "typing-extensions", "yarl"}  # by what is named
BROUGHT = {"torch", "safetensors"}  # by every ComfyUI, which keeps the versions that it has


@pytest.fixture(scope="module")
def archive():
    return archived_files()


def test_the_archive_holds_the_pack_and_nothing_else(archive):
    assert NEEDED <= {Path(file).parts[0] for file in archive} <= ALLOWED


def test_the_archive_is_small_and_free_of_pickles(archive):
    with io.BytesIO() as made:
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as packed:  # as the registry's own tool writes it
            for file in archive:
                packed.write(ROOT / file, file)
        assert made.tell() <= LARGEST
    assert not [
        file for file in archive if Path(file).suffix in {".pt", ".pth", ".ckpt", ".bin", ".pkl", ".npz", ".pyc"}
    ]


def test_every_path_of_the_archive_can_be_unpacked_on_windows_and_macs(archive):
    """No reserved name, no character that a file system lacks, no names that differ by case alone, none too long."""
    parts = {part for file in archive for part in Path(file).parts}
    assert not [part for part in parts if PureWindowsPath(part).is_reserved() or re.search(r'[<>:"|?*\\]|[. ]$', part)]
    assert len({file.casefold() for file in archive}) == len(archive)
    assert max(map(len, archive)) <= 120


def test_every_asset_and_web_page_is_in_the_archive(archive):
    for folder in ("assets", "web", "locales", "example_workflows", "subgraphs"):
        files = (file for file in (ROOT / folder).rglob("*") if file.is_file() and SITE not in file.parents)
        assert {str(file.relative_to(ROOT)) for file in files} <= set(archive), f"git ignores something in {folder}/"


def test_the_host_is_asked_for_every_dependency_but_those_that_it_has():
    """The host installs requirements.txt, and torch must stay the one that it has."""
    needed = {Requirement(line).name: line for line in PROJECT["project"]["dependencies"]}
    asked = (ROOT / "requirements.txt").read_text(encoding="utf-8").split()
    assert asked == [line for name, line in needed.items() if name not in BROUGHT]
    assert needed.keys() > BROUGHT
    if HOST.is_dir():
        lines = (HOST / "requirements.txt").read_text(encoding="utf-8").splitlines()
        own = {re.split(r"[<>=!~\[; ]", line)[0].lower() for line in lines}
        assert own >= BROUGHT
        assert not {Requirement(line).name for line in asked} & own


def test_the_registry_fields_are_complete():
    project, comfy = PROJECT["project"], PROJECT["tool"]["comfy"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", project["version"])
    assert project["license"] == "MIT", "an SPDX expression; a table stops builds"
    assert all(any(ROOT.glob(pattern)) for pattern in project["license-files"])
    assert not [line for line in project["classifiers"] if line.startswith("License ::")], "the expression says it"
    assert all(address.startswith(REPOSITORY) for address in project["urls"].values())
    assert (bool(comfy["PublisherId"]), comfy["DisplayName"]) == (True, "Guidance Geometry")
    assert "web" not in comfy, "the editor would load every script twice"


@pytest.mark.parametrize(("field", "shape"), [("Icon", (400, 400)), ("Banner", (1260, 540))])  # 21:9
def test_the_registry_shows_a_picture_of_this_repository(field, shape):
    from PIL import Image

    address = PROJECT["tool"]["comfy"][field]
    assert address.startswith(RAW)
    with Image.open(ROOT / address.removeprefix(RAW)) as picture:
        assert (picture.format, picture.size) == ("PNG", shape)


def licence_lines():
    """(patterns of files, licence) of every line of the table."""
    lines = (line for line in LICENCES.read_text(encoding="utf-8").splitlines() if line.startswith("| `"))
    cells = (line.strip("| ").split(" | ") for line in lines)
    return [(re.findall(r"`([^`]+)`", first), last) for first, *_, last in cells]


def test_every_embedded_file_has_its_licence_stated_once(archive):
    """All of assets/, and what is no text."""
    lines = licence_lines()
    own = {file for file in archive if file.startswith("assets/") or Path(file).suffix not in (*TEXTS, ".comfyignore")}
    own -= {"assets/LICENSES.md"}
    found = {file: [licence for names, licence in lines if any(fnmatch(file, name) for name in names)] for file in own}
    assert {file: licences for file, licences in found.items() if len(licences) != 1} == {}
    assert not [name for names, _ in lines for name in names if not any(fnmatch(file, name) for file in own)]
    weights = [file for file in own if file.endswith(".safetensors")]
    assert len(weights) >= 5
    stated = {read_header(ROOT / file)[1]["gg.licence"] for file in weights}
    assert stated == {found[file][0] for file in weights}


def text_of(name):
    return (ROOT / name).read_text(encoding="utf-8")


def links_of(name):
    return re.findall(r"\]\(([^)]+)\)", text_of(name))


def test_both_readmes_give_the_same_commands_and_addresses_of_the_web():
    (english, chinese), blocks = map(links_of, READMES), r"^```.*?^```$"
    assert english[0] == f"{BLOB}README.zh.md"
    assert chinese[0] == f"{BLOB}README.md"
    assert sorted(english[1:]) == sorted(chinese[1:])
    first, second = (re.findall(blocks, text_of(name), re.MULTILINE | re.DOTALL) for name in READMES)
    assert first == second
    assert [target for target in english if not target.startswith(("https://", "#"))] == []


@pytest.mark.parametrize("name", READMES)
def test_a_readme_states_the_marks_that_came_with_the_demo_model(name):
    (curve,) = read_curves(ROOT / "assets" / "denoisers" / "pocket-flow-1.measured.json").curves
    marks = [f"cfg {curve.as_json()[mark][0]:.2g}" for mark in ("measured", "seen")]
    assert [mark for mark in marks if mark not in text_of(name)] == []


def test_the_citation_names_this_project():
    cited = yaml.safe_load(text_of("CITATION.cff"))
    project = PROJECT["project"]
    assert cited["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= cited.keys()
    assert (cited["version"], cited["license"]) == (project["version"], project["license"])
    assert cited["repository-code"] == cited["url"] == REPOSITORY


def test_whatever_the_library_imports_is_among_its_dependencies_or_extras():
    files = [file for room in (*INSTALLED, "library") for file in (ROOT / room).rglob("*.py")]
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))]
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
    modules = {name.split(".")[0] for name in imported} - sys.stdlib_module_names
    project, owners = PROJECT["project"], metadata.packages_distributions()
    named = [*project["dependencies"], *(line for lines in project["optional-dependencies"].values() for line in lines)]
    there = {Requirement(line).name.lower() for line in named} | BROUGHT_ALONG
    found = {module: {owner.lower().replace("_", "-") for owner in owners.get(module, ())} for module in modules}
    assert {module for module, names in found.items() if names and not names & there} == set()
    assert {"torch", "scipy", "yaml"} <= modules


def test_every_address_of_this_repository_is_one_of_its_files(archive):
    texts = [text_of(file) for file in (*archive, "README.zh.md") if Path(file).suffix in TEXTS]
    named = {target for text in texts for target in re.findall(rf"(?:{BLOB}|{RAW})([\w./-]+\w)", text)}
    assert len(named) > 20
    assert named - tracked_files() == set()


def test_every_figure_of_the_docs_is_on_a_page():
    figures = {file.rpartition("/")[2] for file in tracked_files() if file.startswith("docs/figures/")}
    pages = "".join(text_of(file) for file in tracked_files() if file.endswith((".md", ".toml")))
    assert len(figures) > 20
    assert {name for name in figures if name not in pages} == set()
