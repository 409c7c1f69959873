"""Pickles that would do something, or eat the machine: each is refused with a sentence, and nothing runs."""

import struct
import subprocess
import sys
import time
import zipfile
from collections import Counter
from pathlib import Path
from random import Random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from guidance_geometry.conversion.convert import convert
from guidance_geometry.tests.conversion.conversions import USUAL_READER, complaints_about, measurements, refused, same
from guidance_geometry.tests.conversion.hostile_pickles import (
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
    random_program,
    row,
    text,
    zipped,
    zipped_entries,
)
from guidance_geometry.tests.programs import ARCHIVES, PROGRAMS, Payload
from guidance_geometry.tests.shares import share_of


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """Every live payload in every form, loaded by a usual reader in a process of its own: which made their canaries."""
    folder = tmp_path_factory.mktemp("live")
    files = {}
    for kind, payload in LIVE.items():
        for form, written in FORMS.items():
            canary = folder / f"canary-{len(files)}"
            ending = "pkl" if form == "pickle" else "pt"
            files[kind, form] = written(folder / f"{len(files)}.{ending}", payload(canary)), canary
    command = [sys.executable, "-c", USUAL_READER, *(str(path) for path, _ in files.values())]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, stdin=subprocess.DEVNULL)
    time.sleep(0.5)  # some only start a process
    return {kind: canary.exists() for kind, (_, canary) in files.items()}, ran.stderr


@pytest.mark.slow
@pytest.mark.turn("live payloads")
def test_the_payloads_are_live(live):
    ran, said = live
    assert [kind for kind, made in ran.items() if not made] == [], said


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", LIVE)
def test_a_live_payload_is_refused_and_never_runs(tmp_path, kind, form):
    canary, path = tmp_path / "canary", tmp_path / "evil.pt"
    FORMS[form](path, LIVE[kind](canary))
    refused(path, "nothing is ever run")
    assert not canary.exists()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", STILL)
def test_any_other_trick_is_refused_at_once(tmp_path, kind, form):
    began = time.process_time()
    refused(FORMS[form](tmp_path / "odd.pt", STILL[kind]))
    assert time.process_time() - began < 5


@pytest.mark.slow
@pytest.mark.turn("costs of files")
def test_what_a_file_costs_is_counted_before_it_is_spent(tmp_path):
    """Memory beyond its tensors, and seconds, of files below 10 MB that make much of little."""
    files = {FORMS["pickle"](tmp_path / f"{index}.pkl", BOMBS[kind]()): kind for index, kind in enumerate(BOMBS)}
    for count in (40_000, 200_000):
        (directory := tmp_path / f"directory-{count}.pt").write_bytes(zipped_entries(count))
        files[directory] = f"the directory of an archive, {count} entries"
    assert max(file.stat().st_size for file in files) < 10_000_000
    found = dict(zip(files.values(), measurements(files, tmp_path), strict=True))
    assert {kind: wrong for kind, facts in found.items() if (wrong := complaints_about(facts))} == {}


@pytest.mark.slow
def test_random_programs_are_read_or_refused_within_their_costs(tmp_path, pytestconfig):
    """500 with --full; `--share SEED` makes others."""
    seed, count, kinds = share_of(pytestconfig), 500 if pytestconfig.getoption("full") else 10, Counter()
    for first in range(0, count, 25):
        files = []
        for index in range(first, min(first + 25, count)):
            program = random_program(Random(f"{seed} {index}"))
            files.append(FORMS[list(FORMS)[index % len(FORMS)]](tmp_path / f"{index}.pt", program))
        found = measurements(files, tmp_path)
        kinds.update(facts["kind"] for facts in found)
        assert {facts["file"]: wrong for facts in found if (wrong := complaints_about(facts))} == {}, f"--share {seed}"
        for file in files:
            file.unlink()
    assert kinds["read"] + kinds["refused"] == count


def test_a_text_that_its_codec_cannot_write_is_refused_in_our_own_words(tmp_path):
    payload = call(name("_codecs", "encode"), text("\u20ac"), text("latin1"))
    refused(
        FORMS["pickle"](tmp_path / "odd.pkl", payload), "as 'latin1', which has not all of its letters. Only tensors"
    )


@pytest.mark.parametrize("form", ["archive", "row"])
@pytest.mark.parametrize("kind", CLAIMS)
def test_a_tensor_that_lies_about_its_storage_is_refused(tmp_path, kind, form):
    refused(FORMS[form](tmp_path / "net.pt", CLAIMS[kind]))


HARMLESS = {
    "a number": number(3),
    "lists that would never end": laughs(60),
    "tuples that would never end": hashed(60),
    "a list within itself": b"]q\x00h\x00a",
    "20,000 lists in each other": b"]" * 20_000 + b"a" * 19_999,
    "a state that would be a method": name("argparse", "Namespace")
    + b")\x81}"
    + text("__setstate__")
    + text("x")
    + b"sb",
    "numpy's makers of arrays": call(name("numpy", "dtype"), text("f4")) + text("x") + b"b",
    "a numpy array of nothing known": call(
        name("numpy.core.multiarray", "_reconstruct"), name("numpy", "ndarray"), b")"
    ),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", HARMLESS)
def test_what_does_nothing_is_left_out_at_once(tmp_path, kind, form):
    began = time.process_time()
    same(FORMS[form](tmp_path / "net.pt", HARMLESS[kind]), {"weight": torch.zeros(2, 2)})
    assert time.process_time() - began < 5


ARCHIVE = members(number(0))
TRICKS = {
    "a member outside": [*ARCHIVE.items(), ("../../slipped.txt", b"x")],
    "a member within a folder outside": [*ARCHIVE.items(), ("net/../../slipped.txt", b"x")],
    "a member of the disk": [*ARCHIVE.items(), ("/slipped.txt", b"x")],
    "a member of a drive": [*ARCHIVE.items(), ("C:/slipped.txt", b"x")],
    "a member with backslashes": [*ARCHIVE.items(), ("net\\..\\slipped.txt", b"x")],
    "two members of one name": [*ARCHIVE.items(), ("net/data/0", b"y" * 16)],
    "two pickles": [*ARCHIVE.items(), ("other/data.pkl", b"x")],
    "no pickle": [("net/version", b"3")],
    "another order of bytes": [*(ARCHIVE | {"net/byteorder": b"big"}).items()],
    "a short storage": [*(ARCHIVE | {"net/data/0": bytes(15)}).items()],
    "a long storage": [*(ARCHIVE | {"net/data/0": bytes(20)}).items()],
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("kind", TRICKS)
def test_an_archive_with_a_trick_is_refused(tmp_path, kind):
    refused(zipped(tmp_path / "net.pt", TRICKS[kind]))
    assert not [
        place for place in (tmp_path.parent, tmp_path.parents[1], Path("/")) if (place / "slipped.txt").exists()
    ]


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_compressed_archive_is_refused_before_it_is_unpacked(tmp_path, compression):
    bomb = [*ARCHIVE.items(), ("net/data/1", bytes(50_000_000))]
    refused(zipped(tmp_path / "net.pt", bomb, compression), "compressed, as torch.save never does")


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
    refused(path, "its directory is not whole")


def test_two_members_in_one_place_are_refused(tmp_path):
    path = zipped(tmp_path / "net.pt", [*ARCHIVE.items(), ("net/data/1", bytes(16))])
    content = bytearray(path.read_bytes())
    first, second = (content.index(f"net/data/{key}".encode(), content.index(b"PK\x01\x02")) - 4 for key in "01")
    content[second : second + 4] = content[first : first + 4]
    path.write_bytes(content)
    refused(path, "in one place")


@pytest.mark.parametrize("storages", [*({"keys": keys} for keys in ((), ("0", "1"), ("1",))), {"count": 2**40}])
def test_a_row_with_other_storages_than_its_tensors_use_is_refused(tmp_path, storages):
    refused(row(tmp_path / "net.pt", number(0), **storages))


def test_many_views_of_one_storage_do_not_fill_the_disk(tmp_path):
    path = tmp_path / "net.pt"
    weight = torch.zeros(2_000_000)
    torch.save({f"w{index}": weight for index in range(10)}, path)
    refused(path, "10 tensors of 80,000,000 bytes from a file of")


@pytest.mark.parametrize("form", FORMS)
@given(dice=st.randoms(use_true_random=False))
def test_a_file_with_any_byte_changed_is_read_or_refused(tmp_path_factory, form, dice):
    folder = tmp_path_factory.mktemp("spoiled")
    path = FORMS[form](folder / "net.pt", number(0))
    content = bytearray(path.read_bytes())
    for _ in range(dice.randint(1, 4)):
        content[dice.randrange(len(content))] = dice.randrange(256)
    path.write_bytes(content[: dice.choice((len(content), dice.randrange(1, len(content))))])
    try:
        convert(path)
    except ValueError:
        refused(path)


@pytest.mark.parametrize("content", [b"", b"\x80", b"PK\x03\x04", b"<html>", b"{}", b"GGUF", b"\x80\x02."])
def test_what_is_no_checkpoint_is_refused(tmp_path, content):
    (tmp_path / "net.pt").write_bytes(content)
    refused(tmp_path / "net.pt")


@pytest.mark.parametrize("kind", PROGRAMS)
def test_a_program_is_refused_and_never_runs(tmp_path, kind):
    canary, path = tmp_path / "canary", tmp_path / "evil.pt"
    PROGRAMS[kind](path, canary)
    refused(path)
    assert not canary.exists()


@pytest.mark.parametrize("kind", ARCHIVES)
def test_other_archives_are_refused(tmp_path, kind):
    ARCHIVES[kind](tmp_path / "net.pt")
    refused(tmp_path / "net.pt")


@pytest.mark.parametrize("zipped_", [True, False])
def test_what_torch_saves_of_an_object_is_refused(tmp_path, zipped_):
    path = tmp_path / "evil.pt"
    torch.save({"w": torch.zeros(3), "more": Payload(tmp_path / "c")}, path, _use_new_zipfile_serialization=zipped_)
    refused(path, r"posix\.system")
