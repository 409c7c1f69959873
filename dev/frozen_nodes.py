"""Freeze what saved workflows know of nodes: `python lab frozen_nodes` adds the nodes that are new; the others stay."""

from __future__ import annotations

import json

from .fixtures.interfaces import FROZEN, interfaces, read
from .inside import enter_host
from .places import HOST, ROOT


def main() -> None:
    """Write the file."""
    enter_host(HOST)
    frozen = interfaces() | read()
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(facts)}" for name, facts in sorted(frozen.items()))
    FROZEN.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
    print(f"{FROZEN.relative_to(ROOT)}: {len(frozen)} nodes")


if __name__ == "__main__":
    main()
