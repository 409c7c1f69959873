"""Archives that run code when they are loaded, and one that is no plain weights."""

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
    torch.export.save(torch.export.export(Small(), (torch.zeros(2, 3),)), path)
    torch.save(Payload(canary), path.with_name("inputs"))
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            inputs = name.endswith("sample_inputs/model.pt")
            archive.writestr(name, path.with_name("inputs").read_bytes() if inputs else data)


def saved_module(path, _):
    """A whole network, class and all."""
    torch.save(torch.nn.Identity(), path)


PROGRAMS = {"TorchScript": evil_script, "export": evil_export, "a module": saved_module}
