"""Turn a .pt file of plain tensors into safetensors: `python tools/run.py convert_classifier FILE [--say KEY=VALUE]`.

Only tensors and containers of them are read (torch's weights_only); a file that holds anything else is refused.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ...classifiers.contract import CLAIMS
from ...files.safetensors import write_safetensors

SAFE_SINCE = (2, 6)  # earlier versions' weights_only could be made to run code
HOLDERS = ("state_dict", "model", "model_state_dict")


def tensors_of(path: Path) -> dict[str, Tensor]:
    """The tensors of a .pt file by name.  Raises ValueError where it holds anything that is not a dense tensor."""
    if tuple(map(int, torch.__version__.split(".")[:2])) < SAFE_SINCE:
        raise ValueError(f"torch {torch.__version__} cannot read a .pt file safely; 2.6 or newer is needed. Update it.")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(
            f"{path.name} holds more than tensors, or is damaged, and is not read: {reason(error)}"
        ) from error
    for holder in HOLDERS:
        found = found[holder] if isinstance(found, Mapping) and isinstance(found.get(holder), Mapping) else found
    if not isinstance(found, Mapping) or not all(is_plain(tensor) for tensor in found.values()):
        raise ValueError(f"{path.name} is no flat table of dense tensors. Save the network's state_dict() alone.")
    return {str(name): tensor.contiguous() for name, tensor in found.items()}


def reason(error: Exception) -> str:
    """What torch found, without its advice to read the file all the same."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and "weights_only" not in line]
    return lines[0] if lines else type(error).__name__


def is_plain(value: object) -> bool:
    """Whether this is a dense, unquantised tensor."""
    return isinstance(value, Tensor) and value.layout == torch.strided and not value.is_quantized


def statements(pairs: list[str]) -> dict[str, str]:
    """KEY=VALUE pairs as metadata.  Raises ValueError for keys that the loader does not read."""
    said = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    if len(said) < len(pairs) or set(said) - set(CLAIMS):
        raise ValueError(f"--say takes KEY=VALUE with a key out of {', '.join(CLAIMS)}; got {' '.join(pairs)}.")
    return {f"gg.{key}": value for key, value in said.items()}


def convert(path: Path, pairs: list[str]) -> Path:
    """Write <name>.safetensors beside the file, with its metadata; an existing one is not overwritten."""
    target = path.with_suffix(".safetensors")
    if target.exists():
        raise ValueError(f"{target} exists. Move it away first.")
    write_safetensors(target, tensors_of(path), statements(pairs))
    return target


def main() -> None:
    """Convert the file that was named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--say", nargs="*", default=[], metavar="KEY=VALUE", help="for example schedule=linear")
    wanted = parser.parse_args()
    try:
        print(convert(wanted.file, wanted.say))
    except (OSError, ValueError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
