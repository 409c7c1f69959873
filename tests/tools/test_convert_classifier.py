"""Conversion of .pt files: tensors are read, nothing else is."""

import pytest
import torch
from safetensors import safe_open

from guidance_geometry.classifiers.adm import SIZES, AdmClassifier
from guidance_geometry.classifiers.reading import open_classifier
from guidance_geometry.tests.programs import ARCHIVES, PROGRAMS, Payload
from guidance_geometry.tools.train.convert_classifier import convert


@pytest.mark.parametrize("holder", [None, "state_dict"])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_released_classifier_becomes_one_that_loads(tmp_path, holder, zipped):
    network = AdmClassifier(SIZES[0], 3, 64)
    held = network.state_dict() if holder is None else {holder: network.state_dict(), "epoch": 3}
    torch.save(held, tmp_path / "adm.pt", _use_new_zipfile_serialization=zipped)
    path = convert(tmp_path / "adm.pt", ["schedule=linear", 'labels=["a", "b", "c"]'])
    with safe_open(path, "pt") as file:
        assert all(torch.equal(file.get_tensor(name), tensor) for name, tensor in network.state_dict().items())
    guide = open_classifier(path, None)
    assert (guide.enter.schedule, guide.labels) == ("linear", ("a", "b", "c"))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_payload_is_refused_and_never_runs(tmp_path, zipped):
    canary, path = tmp_path / "canary", tmp_path / "evil.pt"
    torch.save({"weight": torch.zeros(3), "more": Payload(canary)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=r"evil\.pt holds more than tensors.*posix\.system") as caught:
        convert(path, [])
    assert "weights_only" not in str(caught.value), "torch would advise to read it all the same"
    assert not canary.exists()
    assert not path.with_suffix(".safetensors").exists()


@pytest.mark.parametrize("kind", PROGRAMS)
def test_a_program_is_refused_and_never_runs(tmp_path, kind):
    canary, path = tmp_path / "canary", tmp_path / "evil.pt"
    PROGRAMS[kind](path, canary)
    with pytest.raises(ValueError, match=r"evil\.pt holds more than tensors"):
        convert(path, [])
    assert not canary.exists()


@pytest.mark.parametrize("name", ARCHIVES)
def test_other_archives_are_refused(tmp_path, name):
    ARCHIVES[name](tmp_path / "net.pt")
    with pytest.raises(ValueError, match=r"net\.pt holds more than tensors, or is damaged"):
        convert(tmp_path / "net.pt", [])


@pytest.mark.parametrize(
    "held", [{"w": torch.zeros(2).to_sparse()}, {"a": {"b": torch.zeros(1)}}, [torch.zeros(1)], {"step": 3}]
)
def test_what_is_no_table_of_tensors_is_refused(tmp_path, held):
    torch.save(held, tmp_path / "net.pt")
    with pytest.raises(ValueError, match="no flat table of dense tensors"):
        convert(tmp_path / "net.pt", [])


def test_a_statement_nobody_reads_is_refused_and_nothing_is_overwritten(tmp_path):
    torch.save({"weight": torch.zeros(2, 2)}, tmp_path / "net.pt")
    with pytest.raises(ValueError, match="--say takes KEY=VALUE"):
        convert(tmp_path / "net.pt", ["colour=red"])
    convert(tmp_path / "net.pt", [])
    with pytest.raises(ValueError, match="exists"):
        convert(tmp_path / "net.pt", [])
