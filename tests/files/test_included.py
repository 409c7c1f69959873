"""The models of the pack lie in it with their bytes in another order, and are written out when they are first used."""

import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guidance_geometry.files import included
from guidance_geometry.files.included import included_models, included_weights, join_planes, split_planes


def weights(kind: str, name: str) -> Path:
    """The file of a model that is there."""
    file = included_weights(kind, name)
    assert file is not None
    return file


MODELS = [(kind, name) for kind in included.KINDS for name in included_models(kind)]


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A folder of assets where nothing is written out, and a temp folder."""
    source, place = included.ASSETS, tmp_path / "assets"
    for kind, name in MODELS:
        file = source / kind / f"{name}.safetensors.planes"
        (place / kind).mkdir(parents=True, exist_ok=True)
        (place / kind / file.name).write_bytes(file.read_bytes())
    monkeypatch.setattr(included, "ASSETS", place)
    monkeypatch.setattr(included.tempfile, "gettempdir", lambda: str(tmp_path / "temp"))
    return place


@given(st.binary(max_size=99))
def test_bytes_come_back_in_their_order(data):
    assert join_planes(split_planes(data)) == data


@pytest.mark.parametrize(("kind", "name"), MODELS)
def test_what_is_kept_is_the_file_and_smaller_in_a_zip(kind, name):
    """A model that was trained again is kept again: `lab/train` does that."""
    file = weights(kind, name)
    data, planes = file.read_bytes(), file.with_name(f"{file.name}.planes").read_bytes()
    assert join_planes(planes) == data, f"after a change of {file.name} call keep_planes"
    assert len(zlib.compress(planes)) < 0.94 * len(zlib.compress(data))


def test_a_model_is_written_beside_at_its_first_use_and_then_taken(installed):
    file = weights("denoisers", "pocket-1")
    assert file == installed / "denoisers" / "pocket-1.safetensors"
    state = file.stat()
    assert included_weights("denoisers", "pocket-1") == file
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (state.st_ino, state.st_mtime_ns)
    assert not [path for path in installed.rglob("*") if path.suffix == ".part"]


@pytest.mark.parametrize("name", ["pocket-2", "../denoisers/pocket-1", "/etc/passwd", "", "pocket-noisy-1"])
def test_no_other_name_is_a_model_of_the_pack(installed, name):
    assert included_weights("denoisers", name) is None


def test_where_the_folder_cannot_be_written_the_temp_folder_has_it(installed, monkeypatch, tmp_path):
    write = Path.write_bytes

    def read_only(path, data):
        if path.is_relative_to(installed):
            raise PermissionError(13, "Permission denied")
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", read_only)
    file = weights("classifiers", "pocket-judge-1")
    assert file.is_relative_to(tmp_path / "temp")
    whole = file.read_bytes()
    write(file, b"somebody else's")
    assert weights("classifiers", "pocket-judge-1").read_bytes() == whole, "what lies there is looked at"
    assert not list(installed.rglob("*.part"))
    monkeypatch.setattr(Path, "write_bytes", lambda path, data: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(OSError, match="No space left"):
        included_weights("denoisers", "pocket-1")
