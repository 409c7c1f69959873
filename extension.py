"""What the host loads: every node that a file in nodes/ or in a folder there defines."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from comfy_api.latest import ComfyExtension

from .host.editor.checks import CheckedNode

NODES = Path(__file__).parent / "nodes"
ORDER = (  # of the editor's menus; a file that is not named here comes after these
    "start",
    "sampling",
    "sweep",
    "guidance_patch",
    "blog_samplers",
    "records",
    "rules",
    "load_classifier",
    "train_classifier",
    "energies",
    "label",
    "reference",
    "composition",
    "perception",
    "classifier_guidance",
    "see",
    "measure",
    "trace_files",
    "trace_part",
    "compare",
    "inspector",
    "export_html",
    "lab",
    "tap",
)


class GuidanceGeometry(ComfyExtension):
    """The pack."""

    async def get_node_list(self):
        """All node classes, room by room."""
        return every_node()


def every_node() -> list[type[CheckedNode]]:
    """All node classes, in the order of the menus."""
    return nodes_of(NODES, "")


def nodes_in(name: str) -> list[type[CheckedNode]]:
    """The node classes of a file in nodes/, or of all files in a folder there, in the order in which they stand."""
    if (NODES / name).is_dir():
        return nodes_of(NODES / name, f"{name}.")
    module = import_module(f".nodes.{name}", __package__)
    return [node for node in vars(module).values() if isinstance(node, type) and is_node(node, module.__name__)]


def nodes_of(folder: Path, prefix: str) -> list[type[CheckedNode]]:
    """The node classes of a folder in the order of the menus: of its files, and those that its package makes."""
    made = vars(import_module(f".nodes.{prefix}".rstrip("."), __package__)).get("MADE", {})
    names = in_order({*names_in(folder), *made})
    return [node for name in names for node in made.get(name) or nodes_in(prefix + name)]


def names_in(folder: Path) -> list[str]:
    """Modules and folders of modules; what editors and systems leave there is neither."""
    files = [file for file in folder.iterdir() if file.suffix == ".py" or file.is_dir()]
    return [file.stem for file in files if file.stem.isidentifier() and not file.stem.startswith("_")]


def in_order(names: set[str]) -> list[str]:
    """Names of modules in the order of the menus."""
    place = {name: number for number, name in enumerate(ORDER)}
    return sorted(names, key=lambda name: (place.get(name, len(ORDER)), name))


def is_node(value: type, module: str) -> bool:
    """Whether a class is a node that this module defines; one without a schema is only what nodes share."""
    return issubclass(value, CheckedNode) and value.__module__ == module and "inputs_by_id" in vars(value)
