"""Addresses for templates: the editor opens those of custom nodes that are there when its server starts."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..sweeps.comfyui.process import custom_nodes_below

SHELF = "guidance-geometry-opened"


def beside(base: Path) -> list[str]:
    """Make a custom node without nodes below `base`, for templates with an address; returns the options for the host.

    The host serves the templates of the custom nodes that are there when it starts.
    """
    folder, options = custom_nodes_below(base)
    (folder / SHELF / "example_workflows").mkdir(parents=True, exist_ok=True)
    (folder / SHELF / "__init__.py").write_text("NODE_CLASS_MAPPINGS = {}\n", encoding="utf-8")
    return options


@contextmanager
def addressable(template: Path, base: Path) -> Iterator[str]:
    """Give a template an address for a while: the editor opens only names of letters, digits, - and _ by theirs.

    base: that of `beside`; a twin of the template lies there as long.
    """
    stem, folder = template.stem.replace(" ", "-"), base / "custom_nodes" / SHELF / "example_workflows"
    there = [file for file in (template, template.with_suffix(".jpg")) if file.exists()]  # the list shows its picture
    twins = [shutil.copyfile(file, folder / f"{stem}{file.suffix}") for file in there]
    try:
        yield f"/?template={stem}&source={SHELF}"
    finally:
        for twin in twins:
            twin.unlink(missing_ok=True)
