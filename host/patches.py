"""Who else changes guidance: functions that other packs put on a MODEL, by the names that they give themselves."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import comfy.patcher_extension
import folder_paths

PACK = Path(__file__).parents[1]
PLACES = (  # of the host's options, where a function sees the predictions of a call or what is made of them
    "sampler_calc_cond_batch_function",
    "sampler_pre_cfg_function",
    "sampler_cfg_function",
    "sampler_post_cfg_function",
)
WRAPPERS = (comfy.patcher_extension.WrappersMP.CALC_COND_BATCH, comfy.patcher_extension.WrappersMP.PREDICT_NOISE)


def guidance_patches(options: Mapping[str, Any]) -> list[str]:
    """Names of what may change guidance on a MODEL with these options, without what is of this pack."""
    named = ((_file_of(function), _name_of(function)) for function in _functions(options))
    return list(dict.fromkeys(f"{_pack_of(file)}: {name}" for file, name in named if not _is_ours(file)))


def _is_ours(file: Path) -> bool:
    """Whether a file is of this pack; a developer's host lies in its hidden folder."""
    return PACK in file.parents and not file.relative_to(PACK).parts[0].startswith(".")


def _functions(options: Mapping[str, Any]) -> Iterator[Callable]:
    for place in PLACES:
        found = options.get(place) or ()
        yield from found if isinstance(found, list | tuple) else (found,)
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


def _name_of(function: Any) -> str:
    """The function that made it, which stands in the code of its node, or its own name."""
    return str(getattr(_plain(function), "__qualname__", type(function).__name__)).partition(".<locals>")[0]


def _file_of(function: Any) -> Path:
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
