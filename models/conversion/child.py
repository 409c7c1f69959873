"""The process in which a file of weights is read: it has limits of time and memory, and hands over safetensors.

What it says is JSON on its output: nothing, or the sentence that refuses the file. Standard library only.
"""

from __future__ import annotations

import codecs
import json
import mmap
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any, BinaryIO

from ...guidance.printing import reason_of
from .tables import (
    MOST_TIMES,
    SLACK,
    checked_tensors,
    choose_table,
    describe_dropped,
    line,
    list_texts,
    settings_of,
    tables_of,
)
from .unpickling import WIDTHS, Refused, View, read_checkpoint

FORBIDDEN = ("import", "open", "exec", "compile", "os.", "subprocess.", "socket.", "shutil.", "ctypes.", "marshal.")
NUMBERS: Any = {1: "B", 2: "H", 4: "I", 8: "Q"}  # bytes of a number -> how a memoryview names it


def main(source: str, target: str, weights: str, seconds: str, memory: str) -> None:
    """Read one file, write the tensors that are its network's to another.  weights: the table to take, or nothing"""
    limit_costs(int(seconds), int(memory))
    with Path(source).open("rb") as file, Path(target).open("wb") as made:
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        codecs.lookup("cp437")  # what names in an archive may be written in
        sys.addaudithook(forbid)
        try:
            write_network(content, made, weights or None)
        except (Refused, OSError) as error:
            json.dump(line(str(error), 600), sys.stdout)
        except MemoryError:
            sys.exit("MemoryError")  # a traceback would have to open files
        except Exception as error:  # noqa: BLE001  damage may bring about any
            json.dump(f"it is damaged ({line(reason_of(error), 200)}). Fetch it again.", sys.stdout)


def limit_costs(seconds: int, memory: int) -> None:
    """Let the system end this process beyond so many seconds, and give it no more than so many bytes.

    Where a system has no such limits, the one who waits for it watches the time.
    """
    with suppress(ImportError):
        import resource

        for kind, most in ((resource.RLIMIT_CPU, seconds), (resource.RLIMIT_AS, memory), (resource.RLIMIT_CORE, 0)):
            with suppress(ValueError, OSError):
                resource.setrlimit(kind, (most, most))


def forbid(event: str, _: object) -> None:
    """Nothing in a file can import, open or run anything; if it could, it would end here."""
    if event.startswith(FORBIDDEN):
        raise RuntimeError(f"{event} is forbidden")


def write_network(content: mmap.mmap, made: BinaryIO, wanted: str | None) -> None:
    """Write the network's tensors, and in the metadata what was kept and dropped."""
    held = memoryview(content)
    checkpoint = read_checkpoint(content, held)
    tables = tables_of(checkpoint)
    table = choose_table(tables, wanted)
    tensors = checked_tensors(table, MOST_TIMES * len(held) + SLACK)
    facts = {"kept": str(table), "dropped": list_texts(describe_dropped(tables, table, checkpoint))}
    if settings := settings_of(table.owner):
        facts["settings"] = json.dumps(settings)
    for part in safetensors_parts(tensors, facts):
        made.write(part)


def safetensors_parts(tensors: Mapping[str, View], metadata: Mapping[str, str]) -> Iterator[bytes | memoryview]:
    """The header, then tensor after tensor, the widest first so that all are aligned."""
    order = sorted(tensors, key=lambda name: -WIDTHS[tensors[name].dtype])
    header: dict[str, object] = {"__metadata__": metadata}
    end = 0
    for name in order:
        begin, end = end, end + tensors[name].size
        header[name] = {"dtype": tensors[name].dtype, "shape": tensors[name].shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for name in order:
        yield from numbers_of(tensors[name])


def numbers_of(view: View) -> Iterator[bytes | memoryview]:
    """The bytes of a tensor without gaps, in the order of its axes."""
    if not view.size:
        return
    width = WIDTHS[view.dtype]
    data = view.storage.data
    if is_dense(view):
        yield data[view.offset * width :][: view.size]
        return
    cells = data[: len(data) // width * width].cast(NUMBERS[width])
    *outer, (length, stride) = zip(view.shape, view.strides, strict=True)
    for steps in product(*([index * step for index in range(count)] for count, step in outer)):
        start = view.offset + sum(steps)
        row = cells[start : start + (length - 1) * stride + 1 : stride or 1].tobytes()
        yield row if stride else row * length


def is_dense(view: View) -> bool:
    """Whether a tensor lies without gaps, in the order of its axes."""
    step = 1
    for length, stride in zip(reversed(view.shape), reversed(view.strides), strict=True):
        if length > 1 and stride != step:
            return False
        step *= length
    return True
