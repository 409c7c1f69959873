"""Which files of weights a sampler's MODEL came from, as the job's prompt says: no MODEL keeps its file's name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PureWindowsPath
from typing import Any

from .jobs import RunningJob, within

WIRES = ("model", "guider")  # inputs that lead to a MODEL contain one of these
FILES = ("ckpt_name", "unet_name")  # widgets that name a file of weights
PATCHES = ("lora_name",)  # and those that change them
MOST = 1000  # nodes that are looked at


def file_of(job: RunningJob | None) -> str | None:
    """The file that the sampler of a job reads its model from, with the LoRAs on the way; None if that is not plain.

    Two files leave it open which of them sampled.
    """
    if job is None:
        return None
    said = list(_upstream(job.prompt, job.node))
    files, patches = ([name for kind, name in said if kind in kinds] for kinds in (FILES, PATCHES))
    if len(set(files)) != 1:
        return None
    return " + ".join([files[0], *sorted(patches)])


def _upstream(prompt: Mapping[str, Any], node: str) -> Iterator[tuple[str, str]]:
    """Widgets that name a file, and those names without folders, of all nodes that a MODEL goes through."""
    waiting, seen = [node], set()
    while waiting and len(seen) < MOST:
        name = waiting.pop()
        inputs = within(prompt, name, "inputs")
        if name in seen or not isinstance(inputs, Mapping):
            continue
        seen.add(name)
        for given, value in inputs.items():
            if given in (*FILES, *PATCHES) and isinstance(value, str):
                yield given, PureWindowsPath(value).name  # it takes both kinds of slashes
            elif isinstance(value, list) and value and isinstance(value[0], str) and any(w in given for w in WIRES):
                waiting.append(value[0])
