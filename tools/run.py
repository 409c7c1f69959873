"""Run a tool that uses the pack's rooms: `python tools/run.py NAME [arguments]` runs tools/NAME.py.

The clone may have any folder name, so the root is registered as the package `guidance_geometry` first.
"""

import importlib.util
import runpy
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACK = "guidance_geometry"


def name_the_pack() -> None:
    """Register the root as a package without running its entry point, and keep its folders out of the import path."""
    spec = importlib.util.spec_from_file_location(PACK, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)])
    sys.modules[PACK] = importlib.util.module_from_spec(spec)
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() not in (ROOT, ROOT / "tools")]


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("Which tool? Give its name, for example first_look, and then its arguments.")
    name_the_pack()
    del sys.argv[0]
    runpy.run_module(f"{PACK}.tools.{sys.argv[0]}", run_name="__main__", alter_sys=True)
