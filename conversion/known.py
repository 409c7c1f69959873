"""The names a pickle of weights may use, and the plain value that takes the place of what each of them would make."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Any

from ..guidance.printing import class_of, quote, shorten
from .budget import ENTRY, OBJECT, SLOT, Budget
from .tape import Text
from .tensors import DTYPES, STORAGES, parameter, view, view_of_bytes
from .values import Name, Record, refusal

SCALARS = (str, int, float, bytes, type(None))  # what may be a key: the hash of anything else may take for ever
LARGEST_KEY = 2**60  # larger numbers can be chosen so that all have one hash
ENCODINGS = ("latin1", "latin-1", "utf-8")
LAYERS = re.compile(r"torch\.nn\.modules\.\w+\.\w+")
LONGEST_NAME = 200  # letters of a module's, and of what is in it
EMBEDDED = "torch.storage._load_from_bytes"


def mapping(budget: Budget, *arguments: Any) -> dict:
    """A dictionary in the place of OrderedDict, defaultdict, Counter and EasyDict, from pairs or from another one."""
    given = arguments[0] if arguments and not isinstance(arguments[0], Name) else ()  # a name: what a defaultdict makes
    if not isinstance(given, list | tuple | dict):
        raise refusal(f"makes a dictionary of {quote(given)}")
    budget.step(len(given))
    budget.charge(ENTRY * len(given))
    if isinstance(given, dict):
        return dict(given)
    if not all(isinstance(each, list | tuple) and len(each) == 2 for each in given):
        raise refusal(f"makes a dictionary of {quote(given)}")
    return {key(name): value for name, value in given}


def key(value: Any) -> Any:
    """The same value, if it may be a key."""
    if not isinstance(value, SCALARS) or (isinstance(value, int) and abs(value) > LARGEST_KEY):
        raise refusal(f"uses a {class_of(value)} as a key")
    return value


def several(kind: Callable[[Any], Any]) -> Callable[..., Any]:
    """What makes a set of the scalars in a list, or a tuple of anything in it."""
    empty = sys.getsizeof(kind(()))

    def make(budget: Budget, items: Any = ()) -> Any:
        if not isinstance(items, list | tuple | set | frozenset):
            raise refusal(f"makes a collection of {quote(items)}")
        budget.step(len(items))
        budget.charge(empty + (SLOT if kind is tuple else ENTRY) * len(items))
        return kind(items) if kind is tuple else kind(map(key, items))

    return make


def encode_text(budget: Budget, text: Any, encoding: Any = "utf-8") -> bytes:
    """Bytes, which old protocols write as text."""
    if not isinstance(text, str | Text) or encoding not in ENCODINGS:
        raise refusal(f"encodes {quote(text)} as {quote(encoding)}")
    try:
        if isinstance(text, Text):
            return text.encode_within(encoding, budget)
        budget.charge(len(text) * (4 if encoding == "utf-8" else 1))
        return text.encode(encoding)
    except UnicodeDecodeError:
        raise refusal("holds a text that is not UTF-8") from None
    except UnicodeEncodeError:
        raise refusal(f"encodes {quote(text)} as {quote(encoding)}, which has not all of its letters") from None


def persistent(_: Budget, meta: Any) -> Record:
    """A module as EDM and its kin save it: its class and state. The source text that comes along stays a text."""
    if not isinstance(meta, dict) or not isinstance(meta.get("class_name"), str):
        raise refusal("holds a persistent object without a class name")
    return Record(meta["class_name"], (meta.get("module_src"),), meta.get("state"))


REBUILT: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": mapping,
    "collections.defaultdict": mapping,
    "collections.Counter": mapping,
    "builtins.dict": mapping,
    "dnnlib.util.EasyDict": mapping,
    "builtins.set": several(set),
    "builtins.frozenset": several(frozenset),
    "torch.Size": several(tuple),
    "_codecs.encode": encode_text,
    "torch._utils._rebuild_tensor": view,
    "torch._utils._rebuild_tensor_v2": view,
    "torch._utils._rebuild_tensor_v3": view_of_bytes,
    "torch._utils._rebuild_parameter": parameter,
    "torch._utils._rebuild_parameter_with_state": parameter,
    "torch_utils.persistence._reconstruct_persistent_obj": persistent,
}
RECORDED = {  # a record takes their place
    "argparse.Namespace",
    "types.SimpleNamespace",
    "torch.device",
    "numpy.ndarray",
    "numpy.dtype",
    *(f"numpy.{home}.multiarray.{made}" for home in ("core", "_core") for made in ("_reconstruct", "scalar")),
}
KNOWN = {*REBUILT, EMBEDDED, *RECORDED, *STORAGES, *DTYPES}
OTHER_TENSORS = {  # what a tensor may be besides dense numbers, and what to do
    "_rebuild_sparse_tensor": "a sparse tensor (save it with to_dense())",
    "_rebuild_qtensor": "a quantised tensor (save it with dequantize())",
    "_rebuild_nested_tensor": "a nested tensor (save its parts)",
    "_rebuild_meta_tensor_no_storage": "a tensor without numbers, on the meta device (save it with its numbers)",
}


def name_of(module: Any, attribute: Any) -> Name:
    """A name, if it is a known one.  Raises ValueError for every other"""
    parts = (module, attribute)
    if not all(isinstance(part, str) and len(part) <= LONGEST_NAME for part in parts):
        raise refusal(f"calls for {quote(module)}, {quote(attribute)}, which is no name")
    text = f"{module}.{attribute}".replace("__builtin__.", "builtins.", 1)
    if attribute in OTHER_TENSORS:
        raise refusal(f"holds {OTHER_TENSORS[attribute]}")
    if text not in KNOWN and not LAYERS.fullmatch(text):
        raise refusal(f"calls for {shorten(text, 100)!r}")
    return Name(text)


def make_object(called: Any, arguments: Any, budget: Budget) -> Any:
    """What takes the place of a call.  Raises ValueError for arguments that do not belong to it, or are too many"""
    if not isinstance(called, Name) or not isinstance(arguments, tuple):
        raise refusal(f"calls {quote(called)} with {quote(arguments)}")
    budget.charge(OBJECT)
    if called.text in REBUILT:
        budget.step(len(arguments))
        try:
            return REBUILT[called.text](budget, *arguments)
        except TypeError:  # too many, or too few
            raise refusal(f"calls {called.text!r} with {len(arguments)} arguments") from None
    if called.text in RECORDED or LAYERS.fullmatch(called.text):
        return Record(called.text, arguments)
    raise refusal(f"calls {called.text!r}")
