"""What the reliability bench looks at: files that are cut, results that differ, and jobs that hang together."""

import pytest
import torch
from PIL import Image

from guidance_geometry.files.safetensors import write_safetensors
from guidance_geometry.lab.bench.branches import rooms_in, table
from guidance_geometry.lab.bench.reliability import move_wires
from guidance_geometry.lab.fuzz.mixed_jobs import UNFINISHED, Folder, broken_files, checksum, numbered_job
from guidance_geometry.lab.fuzz.mixed_use import CUT, OK, SharedHost
from guidance_geometry.lab.fuzz.sites import Site
from guidance_geometry.lab.fuzz.surroundings import addresses_in, is_own

TENSORS = {"a": torch.ones(50), "none": torch.zeros(0)}
WHOLE = {"mixed_00001_.svg": b"<svg></svg>\n", "mixed_00001_.html": b"<html></html>", "mixed_00001_.csv": b"a,b\n1,2\n"}


@pytest.fixture
def made(tmp_path):
    """A folder in which a job has left a file of every kind."""
    folder = Folder(tmp_path)
    place = tmp_path / "output"
    place.mkdir()
    write_safetensors(
        place / "mixed_00001_.safetensors", {"a": torch.ones(50), "none": torch.zeros(0)}, {"when": "now"}
    )
    Image.new("RGB", (16, 16), "red").save(place / "mixed_00001_.png")
    for name, content in WHOLE.items():
        (place / name).write_bytes(content)
    return folder


def test_what_a_job_has_left_is_found_and_taken_away(made):
    assert len(made.new()) == 5
    assert broken_files(made.new()) == []
    made.clear()
    assert made.new() == []


@pytest.mark.parametrize("ending", [".safetensors", ".png", ".svg", ".html"])
def test_a_file_that_is_cut_is_seen_under_its_own_name_only(made, ending):
    (file,) = [path for path in made.new() if path.suffix == ending]
    file.write_bytes(file.read_bytes()[:-9])
    assert broken_files(made.new()) == [file.name]
    file.rename(file.with_name(f".{file.name}.123{UNFINISHED}"))
    assert broken_files(made.new()) == []


def test_a_checksum_is_of_the_content_and_not_of_counters_or_times(made):
    before = checksum(made.new())
    for file in made.new():
        file.rename(file.with_name(file.name.replace("00001", "00002")))
    (trace,) = [path for path in made.new() if path.suffix == ".safetensors"]
    write_safetensors(trace, TENSORS, {"when": "later"})
    assert checksum(made.new()) == before
    write_safetensors(trace, TENSORS | {"a": torch.ones(50).nextafter(torch.zeros(50))}, {})
    assert checksum(made.new()) != before


@pytest.mark.parametrize("ending", [".png", ".csv"])
def test_another_pixel_or_number_is_another_result(made, ending):
    before = checksum(made.new())
    (file,) = [path for path in made.new() if path.suffix == ending]
    if ending == ".png":
        Image.new("RGB", (16, 16), (254, 0, 0)).save(file)
    else:
        file.write_bytes(b"a,b\n1,3\n")
    assert checksum(made.new()) != before


def test_a_part_of_a_larger_job_keeps_its_own_wires():
    found = move_wires({"class_type": "A", "inputs": {"x": ["4", 1], "y": 3}}, "part")
    assert found == {"class_type": "A", "inputs": {"x": ["part 4", 1], "y": 3}}


def test_the_files_of_a_job_are_told_from_those_of_others_by_its_number(made):
    before = checksum(made.new())
    inputs = {"filename_prefix": "latents/mixed", "sampler": "mixed sampler"}
    found = numbered_job({"1": {"inputs": inputs}}, 17)["1"]["inputs"]
    assert found == inputs | {"filename_prefix": "latents/mixed00017"}
    for file in made.new():
        file.rename(file.with_name(file.name.replace("mixed", "mixed00017")))
    (made.roots[0] / "mixed00018_00001_.png").write_bytes(b"of another job")
    assert len(made.of_job(17)) == 5
    assert checksum(made.of_job(17)) == before


def test_a_file_that_is_cut_is_a_complaint_unless_the_host_was_killed_while_it_wrote_its_own(tmp_path):
    shared = SharedHost(Site(tmp_path / "site", tmp_path), {}, {}, {}, 9)
    for number, (ending, name) in enumerate([(OK, "png"), (CUT, "png"), (OK, "latent"), (CUT, "latent")], start=1):
        (shared.folder.roots[0] / f"mixed{number:05d}_00001_.{name}").write_bytes(b"half")
        shared.judge_files(ending, number)
    assert [words.partition("mixed")[2][:5] for words in shared.complaints] == ["00001", "00002", "00003"]
    assert (shared.counts[OK], shared.counts[CUT], shared.folder.new()) == (2, 2, [])


def test_whom_a_host_talks_to_is_read_from_its_calls():
    calls = """
      71 connect(5, {sa_family=AF_INET, sin_port=htons(443), sin_addr=inet_addr("203.0.113.5")}, 16) = 0
      71 bind(3, {sa_family=AF_INET, sin_port=htons(0), sin_addr=inet_addr("127.0.0.1")}, 16) = 0
      72 connect(5, {sa_family=AF_UNIX, sun_path="/tmp/x"}, 110) = 0
      72 connect(9, {sa_family=AF_INET6, sin6_port=htons(80), sin6_flowinfo=htonl(0), \
         inet_pton(AF_INET6, "::1", &sin6_addr), sin6_scope_id=0}, 28) = 0
      73 sendto(4, "a", 1, 0, {sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr("203.0.113.5")}, 16) = 1"""
    found = addresses_in(calls)
    assert found == {"203.0.113.5": 2, "127.0.0.1": 1, "::1": 1}
    assert [one for one in found if not is_own(one)] == ["203.0.113.5"]


def test_branches_are_added_up_by_room():
    def facts(branches, taken, missing):
        summary = {"num_statements": 10, "covered_lines": 9, "num_branches": branches, "covered_branches": taken}
        return {"summary": summary, "missing_branches": missing}

    files = {"trace/a.py": facts(10, 9, [[3, 5]]), "trace/b/c.py": facts(10, 10, []), "verdict/d.py": facts(4, 4, [])}
    rooms = rooms_in(files, ["trace", "verdict"])
    assert (rooms["trace"].share, rooms["trace"].gaps) == (0.95, {"trace/a.py": [[3, 5]]})
    assert "| trace | 20 | 90.0% | 20 | 95.0% |" in table(rooms)
