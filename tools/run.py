"""Run a tool that uses the pack's rooms: `python tools/run.py NAME [arguments]`, where NAME.py is anywhere in tools/.

The clone may have any folder name, so the root is registered as the package `guidance_geometry` first.
"""

import importlib.util
import runpy
import sys
from pathlib import Path

TOOLS = Path(__file__).resolve().parent
ROOT = TOOLS.parent
PACK = "guidance_geometry"


def name_the_pack() -> None:
    """Register the root as a package without running its entry point, and keep its folders out of the import path."""
    spec = importlib.util.spec_from_file_location(PACK, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)])
    sys.modules[PACK] = importlib.util.module_from_spec(spec)
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() not in (ROOT, TOOLS)]


def runnable() -> list[str]:
    """Every tool as a dotted name: what does something when it is run."""
    files = [file for file in sorted(TOOLS.rglob("*.py")) if "\nif __name__ ==" in file.read_text(encoding="utf-8")]
    files.remove(Path(__file__).resolve())
    return [".".join(file.relative_to(TOOLS).with_suffix("").parts) for file in files]


def found(name: str, tools: list[str]) -> str:
    """The tool of this name, with or without its folder.  Raises LookupError that says which there are"""
    fitting = [tool for tool in tools if name in (tool, tool.rpartition(".")[2])]
    if not fitting:
        raise LookupError(f"No tool is called {name!r}. There are {', '.join(tools)}; the folder may be left out.")
    if len(fitting) > 1:
        raise LookupError(f"{name!r} may be {' or '.join(fitting)}. Give the folder too.")
    return fitting[0]


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("Which tool? Give its name, for example first_look, and then its arguments.")
    name_the_pack()
    del sys.argv[0]
    try:
        tool = found(sys.argv[0], runnable())
    except LookupError as error:
        sys.exit(str(error))
    runpy.run_module(f"{PACK}.tools.{tool}", run_name="__main__", alter_sys=True)
