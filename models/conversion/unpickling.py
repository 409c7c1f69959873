"""Pickles of published weights, read by Python's own unpickler, to which their names mean nothing.

A pickle is a program that calls what it names. Here nothing is imported for a name and nothing of a file is called: the
few names that weights need make plain values, and every other one is a class of its own that keeps what it is given.
What a file may cost is not counted: `child` reads it in a process with limits of time and memory.

The forms are torch.save's archive, its older row of pickles, and one pickle alone. Standard library only, so that the
process starts at once. A damaged file brings about any error of Python's; `Refused` is raised for all others.
"""

from __future__ import annotations

import io
import math
import pickle  # noqa: TID251  with names of our own
import struct
import zipfile
from functools import cache
from typing import Any, NamedTuple

from ...files.limits import DTYPES, LARGEST_SIZE, MOST_AXES
from ...guidance.printing import class_of, quote, shorten

ZIP, PICKLE = b"PK\x03\x04", b"\x80"
MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # what a row of pickles begins with
WIDTHS = {dtype: width for dtype, (width, _, _) in DTYPES.items()}
OF_TORCH = {f"torch.{name}": dtype for dtype, (_, name, _) in DTYPES.items()}
STORAGES = {f"torch.{storage}": dtype for dtype, (_, _, storage) in DTYPES.items() if storage}
STORAGES |= {"torch.storage.UntypedStorage": "U8"}
TENSOR_MAKERS = ("torch._utils", "torch._tensor")  # a tensor that is not understood may not be left out
OTHER_TENSORS = {
    "_rebuild_sparse_tensor": "a sparse tensor (save it with to_dense())",
    "_rebuild_qtensor": "a quantised tensor (save it with dequantize())",
    "_rebuild_nested_tensor": "a nested tensor (save its parts)",
    "_rebuild_meta_tensor_no_storage": "a tensor without numbers, on the meta device (save it with its numbers)",
}


class Refused(ValueError):
    """A file is not read, and the sentence says why."""


def refusal(what: str) -> Refused:
    """The error for a file that holds what is not read.  what: a verb and its object"""
    return Refused(
        f"it {shorten(what, 300)}. Only tensors and plain values are read, and nothing is ever run: look for the "
        "weights as safetensors, or for a state_dict alone."
    )


class Inert:
    """What a pickle cannot change."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        raise refusal(f"changes a {class_of(self)}")


class Storage(Inert):
    """Numbers in a row.  count: of numbers. data: their bytes, which `fill` finds"""

    __slots__ = ("count", "data", "dtype", "size")

    def __init__(self, dtype: str, count: int):
        self.dtype, self.count, self.size = dtype, count, count * WIDTHS[dtype]
        self.data = memoryview(b"")

    def fill(self, data: memoryview) -> None:
        """Take these bytes, if they are as many as were announced."""
        if len(data) != self.size:
            raise Refused(f"a storage announces {self.size:,} bytes and has {len(data):,}: fetch the file again.")
        self.data = data


class View(NamedTuple):
    """A tensor: what it shows of its storage, in numbers of its dtype."""

    storage: Storage
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes, when it is written."""
        return math.prod(self.shape) * WIDTHS[self.dtype]


class Record:
    """An object that was not made: what its class is called, what it was called with, and its state."""

    __slots__ = ("arguments", "state")
    kind = ""

    def __new__(cls, *arguments: Any, **_: Any) -> Record:
        """Keep the arguments."""
        made = super().__new__(cls)
        made.arguments, made.state = arguments, None
        return made

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def leave_out(self, *_: Any) -> Record:
        """What an object of an unknown class is given, or called with, is not kept."""
        return self

    __call__ = __setitem__ = append = extend = add = leave_out


class Entries(dict):
    """A dictionary in the place of OrderedDict and its kin. What it has besides its entries is left out."""

    __slots__ = ()

    def __init__(self, *given: Any):
        super().__init__(*(each for each in given if not isinstance(each, type)))  # a type: what a defaultdict makes

    def __setstate__(self, state: Any) -> None:
        pass


class Maker(Inert):
    """What a pickle may call."""

    __slots__ = ("make",)

    def __init__(self, make: Any):
        self.make = make

    def __call__(self, *arguments: Any) -> Any:
        """The plain value that takes the place of the call."""
        return self.make(*arguments)


def view(storage: Any, offset: Any, shape: Any, strides: Any, *more: Any) -> View:
    """A tensor, if all of it lies inside its storage and it is no larger.

    more: of a storage that does not know its dtype, that is the third.
    """
    kind = kind_of(more[2]) if len(more) > 2 else ""
    axes = type(shape) is type(strides) is tuple and len(shape) == len(strides) <= MOST_AXES
    if not isinstance(storage, Storage) or not axes or not all(map(is_whole, (offset, *shape, *strides))):
        raise refusal(f"makes a tensor of {quote(storage)} whose shape and strides are none that are read")
    dtype = OF_TORCH.get(kind) if kind else storage.dtype
    if dtype is None:
        raise refusal(f"holds a tensor of {kind}, which is not one of {', '.join(OF_TORCH)}")
    count, there = math.prod(shape), storage.size // WIDTHS[dtype]
    last = offset + sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True))
    spanned = math.prod(length or 1 for length in shape)  # torch multiplies the strides of an empty tensor too
    if spanned > LARGEST_SIZE or (count and (last >= there or count > there)):
        raise refusal(f"makes a tensor of shape {shape} and strides {strides} of a storage of {there:,} numbers")
    return View(storage, dtype, offset, shape, strides)


def is_whole(value: Any) -> bool:
    """Whether this can be a length, an offset or a stride: true and false are none, nor is anything below 0."""
    return type(value) is int and 0 <= value <= LARGEST_SIZE


def parameter(inner: Any, *_: Any) -> View:
    """A parameter is its tensor."""
    if not isinstance(inner, View):
        raise refusal(f"makes a parameter of {quote(inner)}")
    return inner


def persistent(meta: Any) -> Record:
    """A module as EDM and its kin save it: its class and state. The source text that comes along stays a text."""
    if not isinstance(meta, dict) or not isinstance(meta.get("class_name"), str):
        raise refusal("holds a persistent object without a class name")
    made = record_class(meta["class_name"])(meta.get("module_src"))
    made.state = meta.get("state")
    return made


def encoded(text: Any, encoding: Any = "utf-8") -> bytes:
    """Bytes, which old protocols write as text."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1", "utf-8"):
        raise refusal(f"encodes {quote(text)} as {quote(encoding)}")
    return text.encode(encoding)


def embedded(content: Any) -> Storage:
    """The storage in a file within the pickle, as tensors are pickled without torch.save."""
    inner = read_row(io.BytesIO(content), memoryview(content))
    if not isinstance(inner, Storage):
        raise refusal("holds a file that is no tensor storage")
    return inner


MAKERS: dict[str, Any] = {
    **dict.fromkeys(("collections.OrderedDict", "collections.defaultdict", "collections.Counter"), Entries),
    **dict.fromkeys(("builtins.dict", "dnnlib.util.EasyDict"), Entries),
    "builtins.set": set,
    "builtins.frozenset": frozenset,
    "torch.Size": tuple,
    "_codecs.encode": Maker(encoded),
    "torch._utils._rebuild_tensor": Maker(view),
    "torch._utils._rebuild_tensor_v2": Maker(view),
    "torch._utils._rebuild_tensor_v3": Maker(view),
    "torch._utils._rebuild_parameter": Maker(parameter),
    "torch._utils._rebuild_parameter_with_state": Maker(parameter),
    "torch.storage._load_from_bytes": Maker(embedded),
    "torch_utils.persistence._reconstruct_persistent_obj": Maker(persistent),
}


@cache
def record_class(name: str) -> type[Record]:
    """What stands for a class or a function of this name, whatever it is."""
    return type("Record", (Record,), {"__slots__": (), "kind": name})


def kind_of(thing: Any) -> str:
    """The name that a class stands for, empty for anything else."""
    return thing.kind if isinstance(thing, type) and issubclass(thing, Record) else ""


class Reader(pickle.Unpickler):  # noqa: S301  it finds nothing but stand-ins
    """One reading of one pickle.  storages: outside of it, by their keys; None where there may be none"""

    def __init__(self, file: Any, storages: dict[str, Storage] | None = None):
        super().__init__(file, encoding="latin1")  # what Python 2 called a text: a byte is a letter
        self.storages = storages

    def find_class(self, module: str, name: str) -> Any:
        """What stands for a name: nothing is looked up."""
        text = f"{module}.{name}".replace("__builtin__.", "builtins.", 1)
        if text not in MAKERS and module in TENSOR_MAKERS:
            raise refusal(f"holds {OTHER_TENSORS.get(name, f'a tensor made by {quote(text)}')}")
        return MAKERS[text] if text in MAKERS else record_class(text)

    def persistent_load(self, named: Any) -> Storage:
        """A storage outside of the pickle, the same one under the same key.

        named: "storage", its kind, its key, a device, its count, and None in older files.
        """
        parts: tuple[Any, ...] = named if type(named) is tuple and len(named) in (5, 6) else (None,) * 5
        word, kind, key, _, count, *part = parts
        if self.storages is None or word != "storage" or type(key) is not str or part not in ([], [None]):
            raise refusal(f"refers to {quote(named)} outside itself that is no whole storage")
        dtype = STORAGES.get(kind_of(kind))
        if dtype is None or not is_whole(count):
            raise refusal(f"announces a storage of {quote(count)} {quote(kind_of(kind) or kind)}")
        storage = self.storages.setdefault(key, Storage(dtype, count))
        if (storage.dtype, storage.count) != (dtype, count):
            raise refusal("announces one storage with two sizes")
        return storage


def read_checkpoint(file: Any, content: memoryview) -> Any:
    """What a file of weights holds: plain values, records, and a `View` for each tensor, whose bytes stay in the file.

    file: at its start. content: all of it.
    """
    return read_archive(file, content) if content[: len(ZIP)] == ZIP else read_row(file, content)


def read_archive(file: Any, content: memoryview) -> Any:
    """What an archive of torch.save holds.  Raises Refused for members that it does not write"""
    with zipfile.ZipFile(file) as archive:
        members = {entry.filename: member_of(content, entry) for entry in archive.infolist()}
        if len(members) < len(archive.infolist()):
            raise refusal("has two archive members of one name")
    roots = [name.removesuffix("data.pkl") for name in members if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(roots) != 1:
        raise Refused(f"the archive has {len(roots)} members data.pkl, and torch.save writes one. Give its file.")
    if (order := members.get(f"{roots[0]}byteorder", b"little")) != b"little":
        raise Refused(f"its numbers are {quote(str(order[:20], 'latin1'))} endian. Save it again on a usual machine.")
    storages: dict[str, Storage] = {}
    value = Reader(io.BytesIO(members[f"{roots[0]}data.pkl"]), storages).load()
    for key, storage in storages.items():
        storage.fill(members.get(f"{roots[0]}data/{key}", memoryview(b"")))
    return value


def member_of(content: memoryview, entry: zipfile.ZipInfo) -> memoryview:
    """A member of an archive as it lies in the file.  Raises Refused for one that would have to be unpacked"""
    if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size or entry.flag_bits & 1:
        raise refusal(
            f"has an archive member compressed or encrypted, as torch.save never does: {quote(entry.filename)}"
        )
    mark, name, extra = struct.unpack_from("<4s22xHH", content, entry.header_offset)
    start = entry.header_offset + 30 + name + extra
    member = content[start : start + entry.file_size]
    if mark != ZIP or len(member) < entry.file_size:
        raise Refused(f"its archive is damaged ({quote(entry.filename)} is not whole). Fetch the file again.")
    return member


def read_row(file: Any, content: memoryview) -> Any:
    """What a row of pickles holds, as torch.save once wrote it, or one pickle alone.

    file: at the first pickle. content: all of it. Raises Refused for a row of another kind.
    """
    first = Reader(file).load()
    if type(first) is not int or first != MAGIC:
        return first
    protocol, system = Reader(file).load(), Reader(file).load()
    if protocol != PROTOCOL or not isinstance(system, dict) or system.get("little_endian") is not True:
        raise Refused("it was written by another version of torch.save. Save it again with a newer one.")
    storages: dict[str, Storage] = {}
    value, keys = Reader(file, storages).load(), Reader(file).load()
    if type(keys) is not list or not all(type(key) is str for key in keys) or sorted(keys) != sorted(storages):
        raise Refused("its storages are others than its tensors use: it is damaged. Fetch the file again.")
    for key in keys:
        (count,) = struct.unpack("<q", file.read(8))
        if count != storages[key].count:
            raise Refused(f"a storage has {count:,} numbers instead of {storages[key].count:,}: fetch the file again.")
        start = file.tell()
        file.seek(start + storages[key].size)
        storages[key].fill(content[start : file.tell()])
    return value
