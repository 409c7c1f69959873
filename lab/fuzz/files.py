"""Files as a case describes them: a sound source and what is changed in it, written where the host reads it.

Nothing here trusts a library to write what is wrong: a safetensors file is taken apart and put together by hand.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

Change = dict[str, Any]
CANARY = "canary"
PICKLE = "cposix\nmkdir\n(S'{canary}'\ntR."  # unpickling it makes a folder


@dataclass
class Parts:
    """A safetensors file taken apart.  header: tensor name -> claim; metadata apart. body: the bytes after it"""

    metadata: dict[str, Any]
    header: dict[str, Any]
    body: bytes

    @classmethod
    def of(cls, content: bytes) -> Parts:
        """Take apart."""
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        metadata = header.pop("__metadata__", {})
        metadata.pop("gg.sha256", None)  # or every change of a trace would be refused for it
        return cls(metadata, header, content[8 + length :])

    def join(self) -> bytes:
        """Put together."""
        header = json.dumps({"__metadata__": self.metadata} | self.header).encode()
        return len(header).to_bytes(8, "little") + header + self.body


def change_content(content: bytes, changes: Iterable[Change], canary: Path) -> bytes:
    """A file's content after these changes, in their order."""
    for change in changes:
        content = CHANGES[change["op"]](content, change, canary)
    return content


def at(place: list, document: Any, change: Change) -> Any:
    """A JSON document with another value at a place, or nothing there; a place that is not there changes nothing."""
    if not place:
        return change.get("value", document)
    key, *rest = place
    if isinstance(document, dict):
        if not rest and "value" not in change:
            return {name: value for name, value in document.items() if name != key}
        return document | {key: at(rest, document.get(key), change)} if isinstance(key, str) else document
    if isinstance(document, list) and isinstance(key, int) and key < len(document):
        middle = [] if not rest and "value" not in change else [at(rest, document[key], change)]
        return document[:key] + middle + document[key + 1 :]
    return document


def _metadata(content: bytes, change: Change, _: Path) -> bytes:
    """Change a key of the metadata, or something inside a key that holds JSON."""
    parts, (key, *rest) = Parts.of(content), change["place"]
    if rest:
        inside = json.loads(parts.metadata.get(key, "null"))
        parts.metadata[key] = json.dumps(at(rest, inside, change))
    else:
        parts.metadata = at([key], parts.metadata, change)
    return parts.join()


def _tensor(content: bytes, change: Change, _: Path) -> bytes:
    """Replace, add or (without a shape) drop a tensor; what stands after it moves."""
    parts, name = Parts.of(content), change["name"]
    kept, body = {}, b""
    for other, claim in parts.header.items():
        if other != name:
            begin, end = claim["data_offsets"]
            kept[other] = claim | {"data_offsets": [len(body), len(body) + end - begin]}
            body += parts.body[begin:end]
    if "shape" in change:
        filled = torch.zeros(change["shape"]) + float(change["fill"])
        claim = Parts.of(save({name: filled.to(getattr(torch, change["dtype"]))}))
        size = len(claim.body)
        kept[name] = claim.header[name] | {"data_offsets": [len(body), len(body) + size]}
        body += claim.body
    return Parts(parts.metadata, kept, body).join()


def _claim(content: bytes, change: Change, _: Path) -> bytes:
    """Let the header claim something else of a tensor."""
    parts = Parts.of(content)
    parts.header = at(change["place"], parts.header, change)
    return parts.join()


def _length(content: bytes, change: Change, _: Path) -> bytes:
    return int(change["value"]).to_bytes(8, "little") + content[8:]


def _cut(content: bytes, change: Change, _: Path) -> bytes:
    return content[: int(len(content) * change["at"])]


def _append(content: bytes, change: Change, _: Path) -> bytes:
    return content + bytes(change["count"])


def _byte(content: bytes, change: Change, _: Path) -> bytes:
    place = min(int(8 + change["at"] * 4000), len(content) - 1)
    return content[:place] + bytes([change["value"]]) + content[place + 1 :]


def _whole(_: bytes, change: Change, canary: Path) -> bytes:
    return change["value"].replace("{canary}", str(canary)).encode("latin-1")


def _json(content: bytes, change: Change, _: Path) -> bytes:
    return json.dumps(at(change["place"], json.loads(content), change)).encode()


CHANGES = {
    "metadata": _metadata,
    "tensor": _tensor,
    "claim": _claim,
    "length": _length,
    "cut": _cut,
    "append": _append,
    "byte": _byte,
    "whole": _whole,
    "json": _json,
}


class Files:
    """The files of a case, for as long as the block lasts.  recipes: {"path", "source", "edits"}; sources: their folder

    An edit of a folder names the file in it: {"file", "op", ...}, with two more operations: remove and link.
    """

    def __init__(self, folder: Path, recipes: Iterable[dict[str, Any]]):
        self.folder, self.recipes = folder, list(recipes)
        self.canary = folder / CANARY

    def __enter__(self) -> Files:
        for recipe in self.recipes:
            source, path = self.folder / "sources" / recipe["source"], self.folder / recipe["path"]
            path.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                self._write_folder(source, path, recipe["edits"])
            else:
                path.write_bytes(self._sound(source, recipe["edits"]))
        return self

    def __exit__(self, *_: object) -> None:
        for recipe in self.recipes:
            path = self.folder / recipe["path"]
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        if self.canary.exists():
            self.canary.rmdir()

    @property
    def ran_code(self) -> bool:
        """Whether something in the files was run."""
        return self.canary.exists()

    def _write_folder(self, source: Path, path: Path, edits: list[Change]) -> None:
        shutil.copytree(source, path)
        for edit in edits:
            file = path / edit["file"]
            before = file.read_bytes() if file.is_file() else b"{}"
            file.unlink(missing_ok=True)  # it may be a link to one of the sources
            if edit["op"] == "link":
                file.symlink_to(self.folder / edit["to"])
            elif edit["op"] != "remove":
                file.write_bytes(self._after(before, [edit]))

    def _sound(self, source: Path, edits: list[Change]) -> bytes:
        return self._after(source.read_bytes() if source.is_file() else b"{}", edits)

    def _after(self, content: bytes, edits: list[Change]) -> bytes:
        """The content after the edits; one that no longer fits what is left of the file changes nothing."""
        for edit in edits:
            with contextlib.suppress(ValueError, KeyError, TypeError, RuntimeError, AttributeError):
                content = change_content(content, [edit], self.canary)
        return content
