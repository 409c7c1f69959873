"""Load Classifier through the real queue: hostile names and files are refused, and nothing in them runs."""

import pytest
import torch

from guidance_geometry.sweeps.comfyui.client import JobError, RefusedError
from guidance_geometry.tests.programs import ARCHIVES, Payload


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
        ("/etc/passwd", "is not a name inside models/classifiers"),
        ("absent.safetensors", "was not found"),
    ],
)
def test_hostile_names_and_files_are_refused_and_the_next_job_runs(client, folder, name, words):
    with pytest.raises((RefusedError, JobError)) as caught:
        client.run(loading(name))
    assert words in str(caught.value)
    assert "Traceback" not in str(caught.value)
    assert not (folder / "canary").exists()
    client.run(loading("pocket-noisy-1"))


def test_the_labels_come_out(client):
    done = client.run(loading("pocket-clean-1"))
    assert "robot" in str(vars(done))
