import pytest

from guidance_geometry.files.writing import NotWritten
from guidance_geometry.sweeps.addresses import local, place_at, write_whole

fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed: it comes with pip install 'ray[data]'")


@pytest.fixture
def address():
    """An empty address in memory."""
    yield place_at("memory://bucket/study")
    fsspec.filesystem("memory").store.clear()


def test_folders_are_paths_and_addresses_are_not(tmp_path):
    assert place_at(str(tmp_path)) == tmp_path
    assert place_at(f"file://{tmp_path}") == tmp_path
    assert str(place_at("memory://a/b") / "c") == "memory://a/b/c"


@pytest.mark.parametrize("text", ["nothing-of-that-name://a/b", "s3x://bucket"])
def test_an_address_that_nothing_opens_is_named(text):
    with pytest.raises(ValueError, match=rf"^{text} cannot be opened: .* Mend the address"):
        place_at(text)


def test_a_write_that_fails_leaves_the_old_file_and_no_other(address):
    write_whole(address / "a", [b"old"])

    def parts():
        yield b"new"
        raise RuntimeError("the store is gone")

    with pytest.raises(NotWritten, match=r"memory://bucket/study/a could not be written: the store is gone\. Check"):
        write_whole(address / "a", parts())
    assert (address / "a").read_bytes() == b"old"
    assert fsspec.filesystem("memory").find("bucket") == ["/bucket/study/a"]


def test_a_copy_is_of_this_machine_for_a_while(address):
    write_whole(address / "a.txt", [b"words"])
    with local(address / "a.txt") as copy:
        assert (copy.name, copy.read_bytes()) == ("a.txt", b"words")
    assert not copy.exists()
