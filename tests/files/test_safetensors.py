import json
import struct

import pytest
import torch
from safetensors.torch import save

from guidance_geometry.files import limits
from guidance_geometry.files.safetensors import (
    DTYPES,
    read_header,
    read_safetensors,
    write_atomically,
    write_safetensors,
)

TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor([1, 2], dtype=torch.int64)}


def raw(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(dtype="F32", shape=(1,), offsets=(0, 4)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


@pytest.fixture
def file(tmp_path):
    def written(data):
        path = tmp_path / "model.safetensors"
        path.write_bytes(data)
        return path

    return written


def test_any_layout_is_written_as_it_reads_and_the_same_content_is_the_same_bytes(tmp_path):
    wide = TENSORS | {"c": torch.zeros(0, 3), "d": torch.tensor(2.0).half(), "e": torch.tensor([True])}
    wide |= {"f": torch.arange(12.0).reshape(3, 4).T, "g": torch.arange(9.0)[::2].double()}
    wide |= {"h": wide["f"]}
    metadata = {f"gg.{index}": "\u03b3" for index in range(20)}
    made = set()
    for order in (list, reversed):
        tensors = {name: wide[name] for name in order(list(wide))}
        write_safetensors(tmp_path / "f", tensors, {key: metadata[key] for key in order(list(metadata))})
        made.add((tmp_path / "f").read_bytes())
    assert len(made) == 1
    again, said = read_safetensors(tmp_path / "f", finite=True)
    assert (again.keys(), said) == (wide.keys(), metadata)
    for name, tensor in wide.items():
        assert again[name].dtype == tensor.dtype
        assert torch.equal(again[name], tensor)


def test_a_dtype_that_no_file_has_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"Tensor 'z' is torch\.complex64, which is not written"):
        write_safetensors(tmp_path / "f", {"z": torch.zeros(1, dtype=torch.complex64)}, {})
    assert not list(tmp_path.iterdir())


def test_every_known_dtype_is_read(file):
    for name, dtype in DTYPES.items():
        tensor = torch.ones(2, 3).to(dtype)
        assert tensor.itemsize == limits.DTYPES[name][0], "as the reader without torch has it"
        assert torch.equal(read_safetensors(file(save({"t": tensor})))[0]["t"].float(), tensor.float())


FOREIGN = {
    "a Python pickle": b"\x80\x04\x95" + b"\0" * 40,
    "a zip archive": b"PK\x03\x04" + b"\0" * 60,
    "a web page": b"<!DOCTYPE html><html>" + b" " * 60,
    "announces a header of 4,611,686,018,427,387,904 bytes": struct.pack("<Q", 1 << 62) + b"{}",
    "tensor 'a' is F4; F64, F32": raw({"a": entry("F4", (8,))}, b"\0" * 4),
    "more than 8 sizes": raw({"a": entry(shape=[1] * 9)}, b"\0" * 4),
    "or one above 2\\^48": raw({"a": entry(shape=(0, 2**50), offsets=(0, 0))}),
}
DAMAGED = {
    "seven bytes": b"1234567",
    "cut in the header": raw({"a": entry()}, b"\0" * 4)[:20],
    "no JSON": raw(b"{not json}"),
    "no UTF-8": raw(b"{\xff\xfe}"),
    "deep JSON": raw(b'{"a":' * 100_000),
    "metadata not text": raw({"__metadata__": {"a": 1}}),
    "no offsets": raw({"a": {"dtype": "F32", "shape": [1]}}),
    "negative shape": raw({"a": entry(shape=(-1,))}, b"\0" * 4),
    "wrong size": raw({"a": entry(shape=(2,))}, b"\0" * 4),
    "backwards": raw({"a": entry(shape=(0,), offsets=(4, 0))}, b"\0" * 4),
    "gap": raw({"a": entry(offsets=(4, 8))}, b"\0" * 8),
    "overlap": raw({"a": entry(), "b": entry()}, b"\0" * 8),
    "cut in the data": raw({"a": entry()}, b"\0" * 3),
}


@pytest.mark.parametrize(("words", "data"), FOREIGN.items(), ids=FOREIGN)
def test_what_is_no_model_file_is_named(file, words, data):
    with pytest.raises(ValueError, match=rf"^model\.safetensors.*{words}"):
        read_safetensors(file(data))


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
@pytest.mark.parametrize("read", [read_header, read_safetensors])
def test_a_damaged_file_is_refused(file, read, data):
    with pytest.raises(ValueError, match=r"^model\.safetensors cannot be read \(.*cut off, or the file is damaged"):
        read(file(data))


def test_limits_and_wishes_are_kept(file):
    path = file(save(TENSORS))
    with pytest.raises(ValueError, match="tensor 'b' is I64; F32, F16 are expected"):
        read_safetensors(path, dtypes=("F32", "F16"))
    with pytest.raises(ValueError, match="at most 20 are read here"):
        read_safetensors(path, max_bytes=20)
    with pytest.raises(ValueError, match="'t' holds nan or inf"):
        read_safetensors(file(save({"t": torch.tensor([1.0, torch.inf])})), finite=True)


def test_writing_is_all_or_nothing(tmp_path):
    def parts():
        yield b"new"
        raise OSError("disk full")

    path = tmp_path / "trace.safetensors"
    write_atomically(path, [b"o", b"ld"])
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, parts())
    assert path.read_bytes() == b"old"
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken"):
        write_atomically(tmp_path / "taken", [b"new"])
    assert {found.name for found in tmp_path.iterdir()} == {path.name, "taken"}
    for absent in ("missing.safetensors", "taken"):
        with pytest.raises(FileNotFoundError, match="is not a file"):
            read_safetensors(tmp_path / absent)
