"""Pickles that would do something, or eat the machine: nothing runs, and each is read or refused with a sentence."""

import struct
import subprocess
import sys
import time
import zipfile
from contextlib import suppress
from itertools import cycle
from pathlib import Path

import pytest
import torch

from guidance_geometry.models.conversion import convert as conversion
from guidance_geometry.tests.models.conversion.conversions import USUAL_READER, refused, tensors_or_sentence
from guidance_geometry.tests.models.conversion.hostile_pickles import (
    BOMBS,
    CLAIMS,
    FORMS,
    LIVE,
    STILL,
    call,
    hashed,
    laughs,
    members,
    name,
    number,
    row,
    table,
    text,
    zipped,
    zipped_entries,
)
from guidance_geometry.tests.programs import PROGRAMS


def in_turn(payloads):
    """One reader reads all forms, so each payload comes in one of them."""
    return list(zip(payloads, cycle(FORMS), strict=False))


def read_or_refused(path):
    """Whether a file with something in it was read; its weight is never another one."""
    try:
        tensors = tensors_or_sentence(path)
    except ValueError:
        return False
    assert tensors.keys() == {"weight"}
    assert torch.equal(tensors["weight"], torch.zeros(2, 2))
    return True


@pytest.fixture
def hurried(monkeypatch):
    """A file may take one second."""
    monkeypatch.setattr(conversion, "SECONDS", 1)
    monkeypatch.setattr(conversion, "PATIENCE", 60)


@pytest.mark.slow
def test_the_payloads_are_live(tmp_path):
    """In a usual reader, that is: in a process of its own."""
    files, canaries = [], {}
    for index, (kind, form) in enumerate(in_turn(LIVE)):
        canaries[kind] = tmp_path / f"canary-{index}"
        ending = "pkl" if form == "pickle" else "pt"
        files.append(FORMS[form](tmp_path / f"{index}.{ending}", LIVE[kind](canaries[kind])))
    command = [sys.executable, "-c", USUAL_READER, *map(str, files)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, stdin=subprocess.DEVNULL)
    time.sleep(0.5)  # some only start a process
    assert [kind for kind, canary in canaries.items() if not canary.exists()] == [], ran.stderr


@pytest.mark.parametrize(("kind", "form"), in_turn(LIVE))
def test_a_live_payload_never_runs(tmp_path, kind, form):
    read_or_refused(FORMS[form](tmp_path / "evil.pt", LIVE[kind](tmp_path / "canary")))
    assert not (tmp_path / "canary").exists()


def test_what_was_not_made_is_named_on_the_card(tmp_path):
    assert read_or_refused(FORMS["archive"](tmp_path / "evil.pt", LIVE["os.system"](tmp_path / "canary")))
    assert "dropped: more: os.system\n" in (tmp_path / "evil.card.txt").read_text(encoding="utf-8")


def test_even_what_could_be_called_would_not_run(tmp_path, monkeypatch):
    """As if a name of the file meant something after all."""
    own = "from pack.models.conversion import unpickling\nimport os\nunpickling.MAKERS['os.system'] = os.system\nmain("
    monkeypatch.setattr(conversion, "START", conversion.START.replace("main(", own))
    refused(FORMS["pickle"](tmp_path / "evil.pt", LIVE["os.system"](tmp_path / "canary")), r"os\.system is forbidden")
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize(("kind", "form"), in_turn(STILL))
def test_any_other_trick_is_read_or_refused_at_once(tmp_path, hurried, kind, form):
    read_or_refused(FORMS[form](tmp_path / "odd.pt", STILL[kind]))


@pytest.mark.slow
@pytest.mark.parametrize("kind", BOMBS)
def test_what_makes_much_of_little_is_read_or_refused_within_its_limits(tmp_path, hurried, kind):
    path = FORMS["pickle"](tmp_path / "bomb.pkl", BOMBS[kind]())
    assert path.stat().st_size < 10_000_000
    with suppress(ValueError):
        tensors_or_sentence(path)


def test_an_archive_of_many_entries_is_refused(tmp_path):
    (tmp_path / "net.pt").write_bytes(zipped_entries(70_000))
    refused(tmp_path / "net.pt")


ENDLESS = {"-9": table((hashed(60), b"N")), "MemoryError": STILL["a huge memo"]}


@pytest.mark.parametrize("limit", ENDLESS)
def test_a_limit_is_named(tmp_path, hurried, limit):
    refused(FORMS["pickle"](tmp_path / "bomb.pkl", ENDLESS[limit]), f"cannot be read in 1 seconds and 536,.*{limit}")


def test_where_a_system_has_no_limits_the_clock_is_watched(tmp_path, hurried, monkeypatch):
    monkeypatch.setattr(conversion, "START", f"import sys\nsys.modules['resource'] = None\n{conversion.START}")
    assert read_or_refused(FORMS["pickle"](tmp_path / "net.pkl", number(0)))
    monkeypatch.setattr(conversion, "PATIENCE", 2)
    refused(FORMS["pickle"](tmp_path / "bomb.pkl", ENDLESS["-9"]), "cannot be read in 1 seconds")


@pytest.mark.parametrize(("kind", "form"), list(zip(CLAIMS, cycle(["archive", "row"]), strict=False)))
def test_a_tensor_that_lies_about_its_storage_is_refused(tmp_path, kind, form):
    refused(FORMS[form](tmp_path / "net.pt", CLAIMS[kind]))


CHANGED = {  # what stands for an object may be given a state, what stands for a function or a type may not
    "a maker": name("_codecs", "encode") + b"}" + text("make") + name("os", "system") + b"sb",
    "a type": name("collections", "OrderedDict") + b"N}" + text("__init__") + name("os", "system") + b"s\x86b",
    "a class of no one": name("os", "system") + b"N}" + text("kind") + text("x") + b"s\x86b",
}


@pytest.mark.parametrize("kind", CHANGED)
def test_nothing_that_a_name_stands_for_can_be_changed(tmp_path, kind):
    refused(FORMS["pickle"](tmp_path / "net.pkl", CHANGED[kind]))


HARMLESS = {
    "lists that would never end": laughs(60),
    "a list within itself": b"]q\x00h\x00a",
    "20,000 lists in each other": b"]" * 20_000 + b"a" * 19_999,
    "numpy's makers of arrays": call(name("numpy", "dtype"), text("f4")) + text("x") + b"b",
}


@pytest.mark.parametrize(("kind", "form"), in_turn(HARMLESS))
def test_what_does_nothing_is_left_out(tmp_path, kind, form):
    assert read_or_refused(FORMS[form](tmp_path / "net.pt", HARMLESS[kind]))


ARCHIVE = members(number(0))
TRICKS = {
    "a member outside": [*ARCHIVE.items(), ("../../slipped.txt", b"x")],
    "a member of the disk": [*ARCHIVE.items(), ("/slipped.txt", b"x")],
    "two members of one name": [*ARCHIVE.items(), ("net/data/0", b"y" * 16)],
    "two pickles": [*ARCHIVE.items(), ("other/data.pkl", b"x")],
    "another order of bytes": [*(ARCHIVE | {"net/byteorder": b"big"}).items()],
    "a short storage": [*(ARCHIVE | {"net/data/0": bytes(15)}).items()],
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("kind", TRICKS)
def test_an_archive_with_a_trick_is_refused_and_no_member_is_unpacked(tmp_path, kind):
    path = zipped(tmp_path / "net.pt", TRICKS[kind])
    assert read_or_refused(path) == ("slipped.txt" in str(TRICKS[kind])), "a name alone does nothing"
    places = (tmp_path.parent, tmp_path.parents[1], Path("/"))
    assert not [place for place in places if (place / "slipped.txt").exists()]


def test_a_compressed_archive_is_refused_before_it_is_unpacked(tmp_path):
    bomb = [*ARCHIVE.items(), ("net/data/1", bytes(5_000_000))]
    refused(zipped(tmp_path / "net.pt", bomb, zipfile.ZIP_DEFLATED), "compressed or encrypted")


@pytest.mark.parametrize("field", ["size", "compressed", "offset", "flags"])
def test_an_archive_whose_directory_lies_is_refused(tmp_path, field):
    path = zipped(tmp_path / "net.pt", ARCHIVE.items())
    content, at = bytearray(path.read_bytes()), {"flags": 8, "compressed": 20, "size": 24, "offset": 42}[field]
    entry = content.index(b"PK\x01\x02")
    content[entry + at : entry + at + (2 if field == "flags" else 4)] = (
        b"\x01\x00" if field == "flags" else b"\xff\xff\xff\x7f"
    )
    path.write_bytes(content)
    refused(path)


def test_an_archive_whose_large_directory_is_beyond_all_files_is_refused(tmp_path):
    path = zipped(tmp_path / "net.pt", ARCHIVE.items())
    content = path.read_bytes()
    end, place = content.index(b"PK\x05\x06"), struct.pack("<4sLQL", b"PK\x06\x07", 0, 2**64 - 1, 1)
    path.write_bytes(content[:end] + place + content[end:])
    refused(path)


@pytest.mark.parametrize("storages", [{"keys": ()}, {"keys": ("0", "1")}, {"count": 2**40}])
def test_a_row_with_other_storages_than_its_tensors_use_is_refused(tmp_path, storages):
    refused(row(tmp_path / "net.pt", number(0), **storages))


def test_many_views_of_one_storage_do_not_fill_the_disk(tmp_path):
    path = tmp_path / "net.pt"
    weight = torch.zeros(2_000_000)
    torch.save({f"w{index}": weight for index in range(10)}, path)
    refused(path, "10 tensors of 80,000,000 bytes from a file of")


@pytest.mark.parametrize("content", [b"", b"\x80", b"PK\x03\x04", b"<html>", b"\x80\x02."])
def test_what_is_no_checkpoint_is_refused(tmp_path, content):
    (tmp_path / "net.pt").write_bytes(content)
    refused(tmp_path / "net.pt")


@pytest.mark.parametrize("kind", PROGRAMS)
def test_a_program_is_refused_and_never_runs(tmp_path, kind):
    canary, path = tmp_path / "canary", tmp_path / "evil.pt"
    PROGRAMS[kind](path, canary)
    refused(path)
    assert not canary.exists()
