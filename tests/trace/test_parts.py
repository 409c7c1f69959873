"""Traces of video and sound: each part is a trace, and one file holds them all."""

import json
from dataclasses import replace

import pytest
import torch

from guidance_geometry.files.safetensors import read_safetensors, write_safetensors
from guidance_geometry.tests.two_parts import AUDIO, GAMMAS, PACKED, VIDEO, steps, two_parts
from guidance_geometry.trace.checks import check
from guidance_geometry.trace.file import fit_trace, load, save, with_end_alone
from guidance_geometry.trace.record import run_record
from guidance_geometry.trace.trace import OF_A_PART


def same(first, second):
    return first.shape == second.shape and torch.equal(first.nan_to_num(7e77), second.nan_to_num(7e77))


def test_each_part_is_a_trace_of_its_own_vectors():
    trace = two_parts()
    assert trace.part_names == ["video", "audio"]
    for name, shape, gamma, place in zip(trace.part_names, (VIDEO, AUDIO), GAMMAS, (0, 1), strict=True):
        part = trace.part(name)
        assert (part.latent_shape, part.header["cfg"], part.parts) == (shape, gamma, {})
        assert part.steps["gamma"].tolist() == [gamma] * 3
        for i, step in enumerate(steps()):
            own = step.evaluation.parts[place]
            delta = (own.cond - own.uncond).double().flatten(1)
            assert (part.record.dot("delta", "delta")[i] - delta.square().sum(dim=1)).abs().max() < 1e-6
            a = (own.uncond - PACKED.split(step.x)[place]).double().flatten(1)
            assert (part.record.dot("a", "delta")[i] - (a * delta).sum(dim=1)).abs().max() < 1e-6


def test_a_further_pass_has_columns_and_a_metric():
    part = two_parts().part("audio")
    assert part.steps["evals STG"].tolist() == [0, 1, 1]
    assert same(part.steps["scale STG"], torch.tensor([torch.nan, 0.5, 0.5], dtype=torch.float64))
    away = PACKED.split(steps()[1].evaluation.passes["STG"].difference)[1].double().flatten(1)
    assert (part.column("pass STG")[1] - away.square().mean(dim=1).sqrt()).abs().max() < 1e-6
    assert part.column("pass STG")[0].isnan().all()


def test_a_file_holds_every_part_and_an_old_reader_sees_the_first(tmp_path):
    trace, path = two_parts(), tmp_path / "run.safetensors"
    written = save(trace, path)
    found = load(path)
    assert found.part_names == ["video", "audio"]
    for name in found.part_names:
        mine, own = found.part(name), written.part(name)
        facts = {fact: value for fact, value in mine.header.items() if fact in own.header}
        assert facts == {**own.header, "directions": facts["directions"]}
        assert mine.stage == own.stage
        for room in ("steps", "tensors", "cross"):
            one, other = getattr(mine, room), getattr(own, room)
            assert one.keys() == other.keys()
            assert all(same(one[key], other[key]) for key in one)
    tensors, metadata = read_safetensors(path)
    del metadata["gg.sha256"]  # others than ours leave it out
    assert {*json.loads(metadata["gg.parts"])[0]} <= {*OF_A_PART, "directions", "stage"}
    first = {key: tensor for key, tensor in tensors.items() if not key.startswith("part")}
    write_safetensors(tmp_path / "first.safetensors", first, {k: v for k, v in metadata.items() if k != "gg.parts"})
    alone = load(tmp_path / "first.safetensors")
    assert alone.parts == {}
    assert same(alone.steps["K"], trace.steps["K"])
    sound = {key: tensor for key, tensor in tensors.items() if key.startswith("part1.") and 2 in tensor.shape}
    fewer = {key: tensor.narrow([*tensor.shape].index(2), 0, 1).clone() for key, tensor in sound.items()}
    write_safetensors(tmp_path / "fewer.safetensors", tensors | fewer, metadata)
    with pytest.raises(ValueError, match="its parts hold different samples"):
        load(tmp_path / "fewer.safetensors")


def test_pictures_of_all_parts_share_the_room_of_a_file(tmp_path):
    trace, path = two_parts(), tmp_path / "small.safetensors"
    save(replace(trace, tensors={}, parts={"audio": replace(trace.parts["audio"], tensors={})}), path)
    numbers = path.stat().st_size
    small = fit_trace(trace, numbers + 8000)
    assert len(small.part("video").captured_steps) < 3
    save(small, path)
    assert path.stat().st_size <= numbers + 8000
    assert "left out to keep the file" in small.part("video").header["capture"]["note"]
    with pytest.raises(ValueError, match="Save fewer samples"):
        fit_trace(trace, numbers // 2)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda own: {}, "a list of tables is needed"),
        (lambda own: own * 20, "a list of tables is needed"),
        (lambda own: [own[0] | {"latent": {"shape": [0]}}], "the header of part 1"),
        (lambda own: [own[0] | {"latent": {"shape": [4, 5, 8]}}], "captured"),
        (lambda own: [own[0] | {"part": "video"}], "do not have names of their own"),
    ],
)
def test_a_damaged_part_is_refused_in_words(tmp_path, change, complaint):
    path = tmp_path / "run.safetensors"
    save(two_parts(), path)
    tensors, metadata = read_safetensors(path)
    metadata["gg.parts"] = json.dumps(change(json.loads(metadata["gg.parts"])))
    write_safetensors(path, tensors, metadata)
    with pytest.raises(ValueError, match=complaint):
        load(path)


def test_the_record_of_a_part_says_what_its_passes_cost():
    record = run_record(two_parts().part("audio"))
    assert (record["part"], record["passes"]) == ("audio", {"STG": 2})
    unknown = dict.fromkeys(("scale", "size", "along", "across"))
    assert record["steps"][0]["passes"]["STG"] == {"evals": 0, **unknown}
    told = record["steps"][1]["passes"]["STG"]
    assert (told["evals"], told["scale"]) == (1, 0.5)
    assert told["size"] > 0
    assert not check(two_parts().part("audio"))


def test_of_the_tensors_of_all_parts_the_ends_alone_are_kept():
    for part, own in zip(with_end_alone(two_parts()).every_part, two_parts().every_part, strict=True):
        assert own.captured_steps
        assert part.header["capture"] == {**own.header["capture"], "steps": []}
        assert {*part.tensors} == {*own.tensors} & {"end"}


def test_more_parts_than_a_file_holds_are_refused_before_anything_is_written(tmp_path):
    trace = two_parts()
    many = replace(trace, parts={f"part {i}": trace.part("audio") for i in range(16)})
    with pytest.raises(ValueError, match=r"The trace has 17 parts; a file holds 16\. Save one part"):
        save(many, tmp_path / "a.safetensors")
    assert not list(tmp_path.iterdir())
