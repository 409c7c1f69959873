"""Archives that run code when they are loaded, and others that are no plain weights."""

import os
import zipfile

import torch


class Payload:
    """Unpickling this writes a file."""

    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return os.system, (f"touch {self.canary}",)


class Small(torch.nn.Module):
    def forward(self, x):
        return x.mean() + 1


class Script(torch.nn.Module):
    """Loading this as TorchScript writes a file."""

    def __init__(self, canary: str):
        super().__init__()
        self.canary, self.weight = canary, torch.zeros(2)

    @torch.jit.export
    def __getstate__(self):
        return self.canary, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]):
        self.canary, self.training = state
        self.weight = torch.from_file(self.canary, True, 4)

    def forward(self, x):
        return x


def evil_script(path, canary):
    torch.jit.save(torch.jit.script(Script(str(canary))), path)


def evil_export(path, canary):
    """An exported program whose sample inputs are the payload."""
    exported(path)
    torch.save(Payload(canary), path.with_name("inputs"))
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            inputs = name.endswith("sample_inputs/model.pt")
            archive.writestr(name, path.with_name("inputs").read_bytes() if inputs else data)


PROGRAMS = {"TorchScript": evil_script, "export": evil_export}


def saved_module(path):
    """A whole network, class and all."""
    torch.save(torch.nn.Identity(), path)


def scripted(path):
    torch.jit.save(torch.jit.script(Small()), path)


def exported(path):
    torch.export.save(torch.export.export(Small(), (torch.zeros(2, 3),)), path)


def bomb(path):
    with zipfile.ZipFile(path, "w") as archive:
        for index in range(2000):
            archive.writestr(f"archive/data/{index}", b"")


ARCHIVES = {"module": saved_module, "TorchScript": scripted, "export": exported, "many members": bomb}
