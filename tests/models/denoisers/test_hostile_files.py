"""What a file of weights claims of its sizes is refused in a sentence of ours, and takes no memory.  See tests/fuzz"""

import json
import struct
import time

import pytest

from guidance_geometry.files.safetensors import read_safetensors


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [2**40] * 100_000, "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [10**4000, 1], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [2**62, 0], "data_offsets": [0, 0]},
        {"dtype": "x" * 10**6, "shape": [1], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1], "data_offsets": [0, 10**300]},
    ],
    ids=["axes", "digits", "size", "dtype", "offset"],
)
def test_a_claim_of_any_size_is_refused_at_once(tmp_path, entry):
    path = tmp_path / "own.safetensors"
    text = json.dumps({"a": entry}).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"\0" * 4 * (entry["data_offsets"][1] == 4))
    started = time.perf_counter()
    with pytest.raises(ValueError, match=r"^own\.safetensors") as refusal:
        read_safetensors(path)
    assert (len(str(refusal.value)) < 1000, time.perf_counter() - started < 20) == (True, True)
