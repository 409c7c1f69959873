"""The weights of a file, and of the network that they should fit."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def is_bookkeeping(name: str) -> bool:
    """Whether a state entry counts training batches and says nothing about the function."""
    return name.endswith("num_batches_tracked")


def weights_of(network: nn.Module) -> dict[str, Tensor]:
    """The tensors that define the network's function."""
    return drop_counters(network.state_dict())


def drop_counters(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of a state_dict without counters of training batches."""
    return {name: tensor for name, tensor in tensors.items() if not is_bookkeeping(name)}


def differences(needed: Mapping[str, Tensor], held: Mapping[str, Tensor]) -> list[str]:
    """Every tensor of a file that a network has not, or has of another shape or kind, and the other way round."""
    first, second = ({name: claim(t) for name, t in drop_counters(part).items()} for part in (needed, held))
    return [
        f"{name!r} is {second.get(name, 'missing')} but {first.get(name, 'nothing')} is needed"
        for name in sorted(first.keys() | second.keys())
        if first.get(name) != second.get(name)
    ]


def claim(tensor: Tensor) -> str:
    """Shape and kind of a tensor, in words."""
    return str(tuple(tensor.shape)) + ("" if tensor.is_floating_point() else " of whole numbers")


def check_weights(file: str, needed: Mapping[str, Tensor], held: Mapping[str, Tensor]) -> None:
    """Raise ValueError unless a file holds what a network needs, and nothing else."""
    if wrong := differences(needed, held):
        more = f", and {len(wrong) - 1} more do not fit" if len(wrong) > 1 else ""
        raise ValueError(f"{file}: the weight {wrong[0]}{more}. Save the network's whole state_dict, unchanged.")


def fill(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Give a network without memory these tensors as its own; counters of training batches are zero."""
    counters = {name: torch.tensor(0) for name in network.state_dict() if is_bookkeeping(name)}
    network.load_state_dict(counters | drop_counters(weights), assign=True)
