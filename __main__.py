"""The command for users: `python custom_nodes/guidance-geometry convert FILE`.  cli/command.py has the list."""

import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
PACK = "guidance_geometry"


def name_the_pack():
    """Register this folder, which may have any name, as the package, without running its entry point.

    Taken off the import path, its `nodes` never answers for ComfyUI's module of that name.
    """
    if PACK not in sys.modules:
        entry, here = ROOT / "__init__.py", [str(ROOT)]
        if spec := importlib.util.spec_from_file_location(PACK, entry, submodule_search_locations=here):
            sys.modules[PACK] = importlib.util.module_from_spec(spec)
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT]


if __name__ == "__main__":
    name_the_pack()
    from guidance_geometry.cli.command import main

    sys.exit(main())
