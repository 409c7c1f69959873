"""What the reliability bench looks at: files that are cut, results that differ, and jobs that hang together."""

import pytest
import torch
from PIL import Image

from guidance_geometry.files.safetensors import write_safetensors
from guidance_geometry.lab.bench.reliability import move_wires
from guidance_geometry.lab.fuzz.mixed_jobs import UNFINISHED, Folder, broken_files, checksum

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
