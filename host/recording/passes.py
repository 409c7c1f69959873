"""Who else guides: further passes beside u and c, and what other packs put on a MODEL, by what they call themselves.

A pass asks for u or c once more with something changed. It is called after the patches that it puts in, the node that
asks for it, or the options that it sets: PerturbedAttentionGuidance is PAG, as in the papers. Whether it was asked at
the x of the first is known without a look where it is the same tensor; a copy is compared in the first step that has
the pass, since that waits.
"""

from __future__ import annotations

import functools
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import comfy.patcher_extension
import folder_paths
from torch import Tensor

ABBREVIATIONS = ("NAG", "PAG", "SAG", "SEG", "SLG", "STG", "SWG", "TPG")  # as code writes those that papers gave
MODALITY = ("a2v_cross_attn", "v2a_cross_attn")  # options of the host that cut one stream off from the other
NAMELESS = "further pass"
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
PLAIN = (bool, int, float, str, frozenset, tuple, type(None))
PACK = Path(__file__).parents[2]
HOST = (__package__ or "").rpartition(".")[0]  # the part of this pack that stands between the host and a patch
PLACES = (  # of the host's options, where a function sees the predictions of a call or what is made of them
    "sampler_calc_cond_batch_function",
    "sampler_pre_cfg_function",
    "sampler_cfg_function",
    "sampler_post_cfg_function",
)
WRAPPERS = (comfy.patcher_extension.WrappersMP.CALC_COND_BATCH, comfy.patcher_extension.WrappersMP.PREDICT_NOISE)


class Asked(NamedTuple):
    """What the network was asked: x [B, ...], entries of a condition, and the options of its transformer."""

    x: Tensor
    entries: list[dict]
    options: Mapping[str, Any]

    @property
    def facts(self) -> dict[str, Any]:
        """Options by name as far as they compare, and which conditions there are."""
        conditions = {name: True for entry in self.entries for name in entry.get("model_conds", {})}
        return {**conditions, **{name: value for name, value in self.options.items() if isinstance(value, PLAIN)}}

    def shares_tensor(self, other: Asked) -> bool | None:
        """Whether both were asked for the same x; None where only its numbers tell."""
        return True if self.x is other.x else None if self.x.shape == other.x.shape else False


def pass_name(plain: Asked, other: Asked) -> str:
    """What a second pass is called; NAMELESS where nothing of it bears the name of a guidance, or is changed."""
    patches = {id(patch) for patch in patches_of(plain.options)}
    fresh = [patch for patch in patches_of(other.options) if id(patch) not in patches]
    first, second = plain.facts, other.facts
    changed = [name for name in first | second if first.get(name) != second.get(name)]
    named = (*map(name_of_patch, fresh), *map(guidance_name, _names_of_asker()), *map(guidance_name, changed))
    if guidance := next(filter(None, named), ""):
        return guidance
    return "modality" if set(changed) & set(MODALITY) else changed[0].replace("_", " ") if changed else NAMELESS


def names_inside(options: Mapping[str, Any], objects: Iterable[Any]) -> set[str]:
    """Names of the guidance that is patched into a network.  objects: what stands in the place of its own parts"""
    return set(filter(None, map(name_of_patch, (*patches_of(options), *objects))))


def patches_of(options: Mapping[str, Any]) -> Iterator[Any]:
    """Everything that is patched into the transformer; what is of another kind than the host's is left alone."""
    for table in (options.get("patches_replace"), options.get("patches")):
        for held in table.values() if isinstance(table, Mapping) else ():
            yield from held.values() if isinstance(held, Mapping) else held if isinstance(held, list) else ()


def name_of_patch(patch: Any) -> str:
    """The guidance after which a function or an object is called, empty for none; that of its module comes last."""
    code = getattr(patch, "__code__", None) or getattr(getattr(patch, "__func__", None), "__code__", None)
    named = patch if hasattr(patch, "__qualname__") else type(patch)
    return _guidance_in(str(named.__qualname__), str(getattr(named, "__module__", "")), code.co_names if code else ())


@lru_cache(1024)
def _guidance_in(written: str, module: str, used: tuple[str, ...]) -> str:
    """The first guidance in the name of a function, of its module, or of what its code uses; empty for none."""
    return next(filter(None, map(guidance_name, (written, module.rpartition(".")[2], *used))), "")


def guidance_name(written: str) -> str:
    """The guidance that a name in code is about, empty for none.

    PerturbedAttentionGuidance.patch -> PAG, nag_attention -> NAG, LTXVModalityGuidance -> modality.
    """
    for part in written.split("."):
        words = WORD.findall(part)
        if abbreviation := next((word.upper() for word in words if word.upper() in ABBREVIATIONS), ""):
            return abbreviation
        end = words.index("Guidance") if "Guidance" in words else 0
        if before := [word for word in words[:end] if word.capitalize() == word]:
            return before[0].lower() if len(before) == 1 else "".join(word[0] for word in (*before, "Guidance"))
    return ""


def _names_of_asker() -> list[str]:
    """Names of what asked for the evaluation in progress: functions, the classes they belong to, then their modules."""
    frames = list(_frames_of_asker())
    selves = [type(frame.f_locals["self"]).__qualname__ for frame in frames if "self" in frame.f_locals]
    written = [getattr(frame.f_code, "co_qualname", frame.f_code.co_name) for frame in frames]
    return [*written, *selves, *(_module(frame).rpartition(".")[2] for frame in frames)]


def _frames_of_asker() -> Iterator[FrameType]:
    """Frames between the host's evaluation and the host's sampling."""
    between = ("comfy.", f"{HOST}.")  # modules that stand between the host and whoever asks
    frame: FrameType | None = sys._getframe()
    while frame is not None and _module(frame).startswith(between):
        frame = frame.f_back
    while frame is not None and not _module(frame).startswith(between):
        yield frame
        frame = frame.f_back


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def guidance_patches(options: Mapping[str, Any]) -> list[str]:
    """Names of what may change guidance on a MODEL with these options, without what is of this pack."""
    names: dict[str, None] = {}
    for function in _functions(options):
        file, plain = _file_of(function), _plain(function)
        if PACK in file.parents and not file.relative_to(PACK).parts[0].startswith("."):
            continue  # of this pack; a developer's host lies in a hidden folder of it
        # the function that made it, which stands in the code of its node, or its own name
        written = str(getattr(plain, "__qualname__", type(function).__name__)).partition(".<locals>")[0]
        names[f"{_pack_of(file)}: {written}"] = None
    return list(names)


def _functions(options: Mapping[str, Any]) -> Iterator[Callable]:
    """Functions that see the predictions of a call or what is made of them."""
    for place in PLACES:
        stored = options.get(place) or ()
        yield from stored if isinstance(stored, list | tuple) else (stored,)
    wrappers = (options.get("transformer_options") or {}).get("wrappers") or {}
    for kind in WRAPPERS:
        for functions in (wrappers.get(kind) or {}).values():
            yield from functions


def _plain(function: Any) -> Any:
    """What stands behind a partial, a decorator such as no_grad, a method or an object that can be called."""
    while isinstance(function, functools.partial):
        function = function.func
    function = inspect.unwrap(getattr(function, "__func__", function))
    return function if hasattr(function, "__code__") else vars(type(function)).get("__call__", type(function))


def _file_of(function: Any) -> Path:
    """The file in which a function is written, an empty path where nothing tells."""
    plain = _plain(function)
    code = getattr(plain, "__code__", None)
    module = sys.modules.get(str(getattr(plain, "__module__", "")))
    return Path(code.co_filename if code else getattr(module, "__file__", None) or "")


def _pack_of(file: Path) -> str:
    """The folder of a pack; of the host's own code its file."""
    for root in map(Path, folder_paths.get_folder_paths("custom_nodes")):
        if root in file.parents:
            return file.relative_to(root).parts[0]
    return file.stem
