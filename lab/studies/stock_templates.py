"""Whether the Guidance tab reaches every sampler of ComfyUI's own templates: the numbers of docs/templates.md.

The taps are put in by the function that puts them into a job; of a node that the host does not have, the types are
those that stand in the workflow. `python lab stock_templates` prints the numbers in a minute.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from importlib import import_module
from itertools import zip_longest
from typing import Any, NamedTuple

from ...dev.fixtures import stock_workflows
from ...dev.fixtures.stock_workflows import FlatNode, Wire, flatten, scales_of, wires_alone
from ...dev.inside import enter_host
from ..command_line import parser_of
from ..markdown import table


class Sampling(NamedTuple):
    """How a template samples: ids of what samples, ids of taps, and the scales of what reads a tapped MODEL."""

    samplers: list[str]
    taps: list[str]
    scales: list[Any]


def sampling_of(nodes: Mapping[str, FlatNode]) -> Sampling:
    """How a flattened workflow samples, with the taps of a job."""
    from ...host.editor.tap_places import add_taps

    prompt = wires_alone(nodes)
    tapped, taps = add_taps(prompt, types_of(nodes), {})
    readers = [name for name in prompt if tapped[name] != prompt[name]]
    samplers = [
        name for name, node in nodes.items() if has_guider(node) or (name in readers and "GUIDER" not in node.outputs)
    ]
    return Sampling(samplers, taps, [scale for name in readers for scale in scales_of(nodes, name)])


def has_guider(node: FlatNode) -> bool:
    """Whether it samples with a guider."""
    return any(slot.kind == "GUIDER" and isinstance(slot.origin, Wire) for slot in node.inputs.values())


def types_of(nodes: Mapping[str, FlatNode]) -> Callable[[str], Any]:
    """What a class declares: as the host says, else as the slots of its nodes in the workflow do."""
    from ...host.editor.node_types import NodeType, declaration_of

    import_module("nodes")  # the host's: `declaration_of` asks it

    def by_slots(kind: str) -> Any:
        same = [node for node in nodes.values() if node.kind == kind]
        inputs = {name: slot.kind for node in same for name, slot in node.inputs.items()}
        kinds = ({*at} - {None} for at in zip_longest(*(node.outputs for node in same)))
        return NodeType(tuple(at.pop() if len(at) == 1 else "*" for at in kinds), lambda: inputs)

    return lambda kind: declaration_of(kind) or by_slots(kind)


def totals() -> list[tuple[str, int]]:
    """Numbers over all templates that sample."""
    every = [sampling_of(flatten(graph)) for graph in stock_workflows.stock_workflows().values()]
    every = [one for one in every if one.samplers or one.taps]
    inside = [sum(":" in name for name in one.samplers) for one in every]
    return [
        ("templates that sample", len(every)),
        ("samplers", sum(len(one.samplers) for one in every)),
        ("of them in subgraphs", sum(inside)),
        ("taps", sum(len(one.taps) for one in every)),
        ("templates with a sampler in a subgraph", sum(count > 0 for count in inside)),
        ("templates with several samplers", sum(len(one.samplers) > 1 for one in every)),
        ("templates at cfg 1 only", sum(all(scale == 1 for scale in one.scales) for one in every)),
    ]


def main() -> None:
    """Print the numbers."""
    enter_host(parser_of(__doc__).parse_args().host)
    asyncio.run(import_module("nodes").init_builtin_extra_nodes())
    print(f"{stock_workflows.PACKAGE} {stock_workflows.package_version()}\n")
    print(table("over all | number", totals()))


if __name__ == "__main__":
    main()
