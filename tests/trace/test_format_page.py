"""docs/trace-format.md: its reader reads, and it names everything that a file may hold."""

import re

import numpy as np
import pytest

from guidance_geometry.tests.project import ROOT
from guidance_geometry.tests.traces import exact_trace
from guidance_geometry.trace.file import COMPARED, HEADER, save
from guidance_geometry.trace.gram import VECTORS
from guidance_geometry.trace.trace import PER_SAMPLE, PER_STEP, STAGES

PAGE = (ROOT / "docs" / "trace-format.md").read_text(encoding="utf-8")
READER, EXAMPLE = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """A trace, and what the page's code finds in its file."""
    folder = tmp_path_factory.mktemp("trace")
    trace = save(exact_trace(steps=6, batch=2), folder / "trace.safetensors")
    names = {}
    exec(READER + EXAMPLE.replace("trace.safetensors", str(folder / "trace.safetensors")), names)  # noqa: S102
    return trace, names


def test_the_reader_finds_every_number(found):
    trace, names = found
    assert names["header"]["sampler"] == trace.header["sampler"]
    for name, column in trace.steps.items():
        assert np.array_equal(names["arrays"][f"steps.{name}"], column.numpy(), equal_nan=True), name
    for name, tensor in trace.tensors.items():
        assert np.array_equal(names["arrays"][f"tensors.{name}"], tensor.numpy()), name


def test_its_example_is_a_metric(found):
    trace, names = found
    assert np.allclose(names["strength"], trace.column("M1").numpy(), rtol=1e-12)
    for first, second in (("u", "noise"), ("move", "a"), ("D-G", "D-G")):
        wanted = trace.record.dot(first, second).numpy()
        assert np.array_equal(names["dot"](names["header"], names["arrays"], first, second), wanted)


def test_the_page_names_what_a_file_may_hold():
    named = [*HEADER, *COMPARED, *STAGES, *VECTORS, *(f"steps.{one}" for one in (*PER_STEP, *PER_SAMPLE))]
    assert [name for name in named if not re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", PAGE)] == []
