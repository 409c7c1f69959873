"""Write docs/templates.md: which samplers the host's stock templates have, and that the Guidance tab taps each of them.

`python lab stock_templates` writes it. The taps are put in by the function that puts them into a job; of a
node that the host does not have, the types are those that stand in the workflow.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from itertools import zip_longest
from typing import Any

from ...dev.fixtures import stock_workflows
from ...dev.fixtures.stock_workflows import FlatNode, Wire, flatten, scales_of, wires_alone
from ...dev.inside import enter_host
from ...dev.places import ROOT
from .. import markdown
from ..command_line import parser_of

PAGE = ROOT / "docs" / "templates.md"
TEXT = markdown.passages(__file__)


@dataclass(frozen=True)
class Sampling:
    """How a template samples.

    samplers, readers: ids of the nodes that sample, and of those that read a tapped MODEL. taps: ids. scales: of each
    reader, None where one is computed.
    """

    samplers: list[str]
    readers: list[str]
    taps: list[str]
    scales: list[list[Any]]

    @property
    def in_subgraphs(self) -> int:
        """How many samplers lie inside of one."""
        return sum(":" in name for name in self.samplers)

    @property
    def only_at_one(self) -> bool:
        """Whether every scale is 1; a guider without a scale counts as such."""
        return all(scale == 1 for scales in self.scales for scale in scales)


def sampling_of(nodes: Mapping[str, FlatNode]) -> Sampling:
    """How a flattened workflow samples, with the taps of a job."""
    from ...host.tap_places import with_taps

    prompt = wires_alone(nodes)
    tapped, taps = with_taps(prompt, types_of(nodes), {})
    readers = [name for name in prompt if tapped[name] != prompt[name]]
    samplers = [name for name, node in nodes.items() if has_guider(node) or (name in readers and is_sampler(node))]
    return Sampling(samplers, readers, taps, [scales_of(nodes, name) for name in readers])


def has_guider(node: FlatNode) -> bool:
    """Whether it samples with a guider."""
    return any(slot.kind == "GUIDER" and isinstance(slot.origin, Wire) for slot in node.inputs.values())


def is_sampler(node: FlatNode) -> bool:
    """Whether what reads a MODEL samples by itself."""
    return "GUIDER" not in node.outputs


def types_of(nodes: Mapping[str, FlatNode]) -> Callable[[str], Any]:
    """What a class declares: as the host says, else as the slots of its nodes in the workflow do."""
    from ...host.node_types import NodeType, declaration_of

    import_module("nodes")  # the host's: `declaration_of` asks it

    def by_slots(kind: str) -> Any:
        same = [node for node in nodes.values() if node.kind == kind]
        inputs = {name: slot.kind for node in same for name, slot in node.inputs.items()}
        kinds = ({*at} - {None} for at in zip_longest(*(node.outputs for node in same)))
        return NodeType(tuple(at.pop() if len(at) == 1 else "*" for at in kinds), lambda: inputs)

    return lambda kind: declaration_of(kind) or by_slots(kind)


def every_sampling() -> dict[str, Sampling]:
    """Name -> how it samples, of every stock template that does."""
    found = {name: sampling_of(flatten(graph)) for name, graph in stock_workflows.stock_workflows().items()}
    return {name: one for name, one in found.items() if one.samplers or one.taps}


def totals(found: Mapping[str, Sampling]) -> list[tuple[str, int]]:
    """What stands above the table."""
    every = found.values()
    return [
        ("templates that sample", len(found)),
        ("samplers", sum(len(one.samplers) for one in every)),
        ("of them in subgraphs", sum(one.in_subgraphs for one in every)),
        ("taps", sum(len(one.taps) for one in every)),
        ("templates with a sampler in a subgraph", sum(one.in_subgraphs > 0 for one in every)),
        ("templates with several samplers", sum(len(one.samplers) > 1 for one in every)),
        ("templates at cfg 1 only", sum(one.only_at_one for one in every)),
    ]


def page(found: Mapping[str, Sampling]) -> str:
    """The whole page."""
    graphs, version = len(stock_workflows.stock_workflows()), stock_workflows.package_version()
    return markdown.page(
        TEXT["OPENING"].format(package=stock_workflows.PACKAGE, version=version, graphs=graphs, sampling=len(found)),
        markdown.table("over all | number", totals(found)),
    )


def main() -> int:
    """Write the page."""
    parser = parser_of(__doc__)
    enter_host(parser.parse_args().host)
    asyncio.run(import_module("nodes").init_builtin_extra_nodes())
    markdown.write(PAGE, page(every_sampling()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
