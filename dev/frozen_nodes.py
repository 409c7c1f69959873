"""Freeze what saved workflows know of nodes: `python lab frozen_nodes` adds the nodes that are new.

What is frozen already stays; `--again` freezes everything anew, which breaks the workflows that people have saved.
"""

from __future__ import annotations

import argparse
import json

from .fixtures.interfaces import FROZEN, interfaces, read
from .inside import enter_host
from .places import HOST, ROOT


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--again", action="store_true", help="freeze all nodes as they are now")
    again = parser.parse_args().again
    enter_host(HOST)
    frozen = interfaces() | ({} if again else read())
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(facts)}" for name, facts in sorted(frozen.items()))
    FROZEN.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
    print(f"{FROZEN.relative_to(ROOT)}: {len(frozen)} nodes")


if __name__ == "__main__":
    main()
