"""Whatever a file says is read, or refused in a sentence, by a process that goes on; and nothing in it is run."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from guidance_geometry.files.safetensors import write_safetensors

from . import files
from .budget import OUTCOMES, budget
from .equipment import write_sources
from .reader import Reader
from .readings import DOCUMENTS, TABLES
from .verdicts import CODE, FAULTS


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """A folder with sound files of every kind, a folder a kind."""
    base = tmp_path_factory.mktemp("sources")
    write_sources(base)
    return base


@pytest.fixture(scope="module")
def reader():
    """A process that reads."""
    process = Reader()
    yield process
    process.close()


def check(reader, kind, path):
    """Read one file; fail where that is a fault."""
    verdict, words = reader.read(kind, path)
    canary = path.parent / files.CANARY
    verdict = CODE if canary.exists() else verdict
    OUTCOMES[kind][verdict] += 1
    assert verdict not in FAULTS, (verdict, words)


@pytest.mark.parametrize("name", DOCUMENTS)
@given(data=st.data())
@budget(12)
def test_any_claim_is_read_or_refused(tmp_path_factory, reader, name, data):
    document, table = DOCUMENTS[name]
    hostile = files.snippets | files.of_yaml if name.endswith(".yaml") else files.snippets
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(data.draw(files.claims(document, table, hostile)).encode("latin-1", "replace"))
    if name == "probe.json":
        write_safetensors(
            path.with_name("weights.safetensors"), {"weight": torch.zeros(3, 4), "bias": torch.zeros(3)}, {}
        )
    check(reader, name, path)


@pytest.mark.parametrize(("kind", "few"), [("traces", 30), ("classifiers", 12), ("denoisers", 15)])
def test_any_safetensors_file_is_read_or_refused(tmp_path_factory, sources, reader, kind, few):
    @given(data=st.data())
    @budget(few)
    def try_one(data):
        source = data.draw(st.sampled_from(sorted((sources / kind).glob("*.safetensors"))))
        path = tmp_path_factory.getbasetemp() / f"{kind}.safetensors"
        path.write_bytes(files.spoil_safetensors(data.draw, source.read_bytes(), TABLES))
        check(reader, kind, path)

    try_one()


@given(data=st.data())
@budget(20)
def test_any_pickle_is_read_or_refused_and_never_run(tmp_path_factory, sources, reader, data):
    sound = sorted((sources / "pickles").iterdir())
    path = tmp_path_factory.getbasetemp() / "weights.pt"
    content = files.spoil_bytes(data.draw, data.draw(st.sampled_from(sound)).read_bytes())
    path.write_bytes(content.replace(b"{canary}", str(path.parent / files.CANARY).encode()))
    check(reader, "pickles", path)
