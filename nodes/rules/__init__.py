"""Rules as wires: one file per rule, named as the rule in guidance/rules; each node adds to a guidance chain."""

from importlib import import_module
from pathlib import Path

NODES = [
    node
    for file in sorted(Path(__file__).parent.glob("*.py"))
    if file.stem not in ("__init__", "link")
    for node in import_module(f".{file.stem}", __package__).NODES
]
