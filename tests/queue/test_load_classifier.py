"""Load Classifier through the real queue: hostile names and files are refused, and nothing in them runs."""

import pytest
import torch

from guidance_geometry.tests.programs import ARCHIVES, Payload

from .prompts import refusal


def loading(name):
    """A graph that loads a classifier and shows its labels."""
    return {
        "1": {"class_type": "GGLoadClassifier", "inputs": {"classifier_name": name}},
        "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 1]}},
    }


@pytest.fixture(scope="module")
def folder(server):
    """Files in the server's own models/classifiers that must never be loaded; unpickling one would leave a canary."""
    folder = server.log.parent / "models" / "classifiers"
    folder.mkdir(parents=True, exist_ok=True)
    evil = {"weight": torch.zeros(3), "more": Payload(folder / "canary")}
    torch.save(evil, folder / "evil.safetensors")
    torch.save(evil, folder / "evil.pt")
    ARCHIVES["TorchScript"](folder / "script.safetensors")
    ARCHIVES["export"](folder / "export.safetensors")
    return folder


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("evil.safetensors", "zip archive"),
        ("script.safetensors", "zip archive"),
        ("export.safetensors", "zip archive"),
        ("evil.pt", "can run code when they are loaded"),
        ("../denoisers/evil.safetensors", "is not a name inside models/classifiers"),
    ],
)
def test_hostile_names_and_files_are_refused_and_the_next_job_runs(client, folder, name, words):
    assert words in refusal(client, loading(name))
    assert not (folder / "canary").exists()
