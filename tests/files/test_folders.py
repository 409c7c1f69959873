"""A folder as a library saves a model: what is read of it, and what is never opened or followed."""

import json
import pickle  # noqa: TID251 - to make a file that must be refused

import pytest
import torch

from guidance_geometry.files.folders import read_json, refuse_links, weight_files
from guidance_geometry.files.safetensors import read_safetensors, write_safetensors
from guidance_geometry.tests.programs import Payload


def shards(folder, *names):
    for name in names:
        write_safetensors(folder / name, {name: torch.zeros(1)}, {})
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {name: name for name in names}}))


def test_weights_lie_in_one_file_or_in_those_of_an_index(tmp_path):
    shards(tmp_path, "b.safetensors", "a.safetensors")
    assert [file.name for file in weight_files(tmp_path)] == ["a.safetensors", "b.safetensors"]
    write_safetensors(tmp_path / "model.safetensors", {}, {})
    assert weight_files(tmp_path) == [tmp_path / "model.safetensors"]
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(ValueError, match=r"holds no other\.safetensors \(pytorch_model\.bin\)\. .*can run code"):
        weight_files(tmp_path, "other")


@pytest.mark.parametrize(
    "name", ["../a.safetensors", "/etc/passwd", "a\\b.safetensors", "weights.bin", 7, ["x"]], ids=str
)
def test_an_index_leads_to_safetensors_inside_the_folder_alone(tmp_path, name):
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"w": name}}))
    with pytest.raises(ValueError, match="is not a plain file name inside"):
        weight_files(tmp_path)


def test_a_shard_that_is_a_pickle_never_runs(tmp_path):
    shards(tmp_path, "a.safetensors")
    (tmp_path / "a.safetensors").write_bytes(pickle.dumps(Payload(tmp_path / "canary")))
    with pytest.raises(ValueError, match=r"a\.safetensors is a .* can run code when loaded"):
        read_safetensors(weight_files(tmp_path)[0])
    assert not (tmp_path / "canary").exists()


def test_a_snapshot_of_a_hub_s_cache_may_link_its_own_files_and_no_others(tmp_path):
    model = tmp_path / "models--a--b"
    snapshot = model / "snapshots" / "7f3c"
    (snapshot / "unet").mkdir(parents=True)
    (model / "blobs").mkdir()
    for path, up in ((snapshot / "model_index.json", "../.."), (snapshot / "unet" / "config.json", "../../..")):
        (model / "blobs" / path.stem).write_text('{"a": 1}', encoding="utf-8")
        path.symlink_to(f"{up}/blobs/{path.stem}")
    (tmp_path / "mine").symlink_to(snapshot)
    for folder in (snapshot, tmp_path / "mine"):
        refuse_links(folder)
        assert read_json(folder / "unet" / "config.json") == {"a": 1}
    (tmp_path / "secret").write_text("{}", encoding="utf-8")
    for target in ("../../../secret", "../../blobs/../../secret", "../../refs/main"):
        (snapshot / "more").symlink_to(target)
        with pytest.raises(ValueError, match=r"more is a link, and links are not followed"):
            refuse_links(tmp_path / "mine")
        (snapshot / "more").unlink()


@pytest.mark.parametrize("text", [b"[1]", b"{", b"\xff\xfe", b" " * (2**20 + 1)], ids=["list", "cut", "bytes", "long"])
def test_json_of_another_kind_or_size_is_refused(tmp_path, text):
    (tmp_path / "config.json").write_bytes(text)
    with pytest.raises(ValueError, match=r"^config\.json"):
        read_json(tmp_path / "config.json")
    with pytest.raises(FileNotFoundError, match=r"other\.json is missing"):
        read_json(tmp_path / "other.json")
