"""Load Classifier in the host: what it lists, what it refuses, and that a gradient comes out of it."""

import os
import shutil

import folder_paths
import pytest
import torch

from guidance_geometry.files.included import included_weights
from guidance_geometry.files.safetensors import write_safetensors
from guidance_geometry.host.models.model_folders import CLASSIFIERS
from guidance_geometry.nodes import load_classifier as room


@pytest.fixture
def folder(tmp_path):
    """A folder of the host's type `classifiers`, beside a file that no name may reach."""
    inside = tmp_path / "classifiers"
    (inside / "net").mkdir(parents=True)
    (inside / "net" / "config.json").write_text("{}")
    for path in (inside / "net" / "model.safetensors", inside / "linear.safetensors", tmp_path / "out.safetensors"):
        write_safetensors(path, {"weight": torch.zeros(2, 2)}, {})
    folder_paths.add_model_folder_path(CLASSIFIERS, str(inside))
    yield inside
    folder_paths.folder_names_and_paths[CLASSIFIERS][0].remove(str(inside))
    folder_paths.filename_list_cache.pop(CLASSIFIERS, None)


OUTSIDE = "is not a name inside models/classifiers"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("net/../../out.safetensors", OUTSIDE),
        ("..\\out.safetensors", OUTSIDE),
        ("a\0.safetensors", OUTSIDE),
        ("guide.ckpt", "can run code"),
        ("absent.safetensors", "Available: pocket-clean-1, pocket-judge-1"),
    ],
)
def test_names_that_lead_out_other_forms_and_absent_ones_are_refused(folder, name, words):
    if "guide" in name:
        (folder / name).write_bytes(b"no")
    said = room.GGLoadClassifier.validate_inputs(name)
    assert words in said
    with pytest.raises(ValueError, match="Classifier") as caught:
        room.GGLoadClassifier.execute(name)
    assert str(caught.value) == said, "execution repeats it"


@pytest.mark.parametrize("target", ["gone", "pipe", "/dev/zero"])
def test_a_link_to_what_is_no_file_is_not_read(folder, tmp_path, target):
    os.mkfifo(tmp_path / "pipe")
    (folder / "link.safetensors").symlink_to(tmp_path / target)
    with pytest.raises((ValueError, FileNotFoundError), match=r"not found"):
        room.GGLoadClassifier.execute("link.safetensors")


def test_a_bad_file_or_one_larger_than_memory_is_named_when_it_is_read(folder):
    with pytest.raises(ValueError, match="net/ is a nothing"):
        room.GGLoadClassifier.execute("net/")
    for size, words in ((0, "must say gg"), (1 << 42, "has 4,194,304 MB")):  # sparse: no disk is used
        with (folder / "linear.safetensors").open("ab") as file:
            file.truncate(max(size, file.tell()))
        with pytest.raises(ValueError, match=words):
            room.GGLoadClassifier.execute("linear.safetensors")


def test_a_linked_file_is_read_under_its_own_name_with_the_notes_beside_it(folder, tmp_path):
    """People keep their models on another disk, and link files and folders."""
    (kept := tmp_path / "elsewhere").mkdir()
    own = included_weights("classifiers", "pocket-clean-1")
    assert own is not None
    shutil.copy(own, kept / "a7f3c0")  # as a cache names it
    (folder / "shared").symlink_to(kept)
    name = "shared/linked.safetensors"
    place = folder / name
    place.symlink_to(kept / "a7f3c0")
    classifier, labels, _ = room.GGLoadClassifier.execute(name).args
    assert labels == room.GGLoadClassifier.execute("pocket-clean-1")[1]
    assert classifier.name == "linked"
    before = room.GGLoadClassifier.fingerprint_inputs(classifier_name=name)
    place.with_suffix(".json").write_text("{}")
    assert before != room.GGLoadClassifier.fingerprint_inputs(classifier_name=name)
