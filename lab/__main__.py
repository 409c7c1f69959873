"""Run a program of the laboratory or of the developers: `python lab NAME [arguments]`, NAME.py in lab/ or dev/."""

import runpy
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HERE = Path(__file__).resolve()


def programs() -> list[str]:
    """Every program as a dotted name: what does something when it is run."""
    files = [file for room in ("lab", "dev") for file in sorted((ROOT / room).rglob("*.py")) if file != HERE]
    running = [file for file in files if "\nif __name__ ==" in file.read_text(encoding="utf-8")]
    return [".".join(file.relative_to(ROOT).with_suffix("").parts) for file in running]


def find_program(name: str, there: list[str]) -> str:
    """The program of this name, with or without its folder.  Raises LookupError that says which there are"""
    fitting = [one for one in there if f".{one}".endswith(f".{name}")]
    if not fitting:
        raise LookupError(f"No program is called {name!r}. There are {', '.join(there)}; the folder may be left out.")
    if len(fitting) > 1:
        raise LookupError(f"{name!r} may be {' or '.join(fitting)}. Give the folder too.")
    return fitting[0]


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("Which program? Give its name, for example first_look, and then its arguments.")
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != HERE.parent]
    runpy.run_path(str(ROOT / "__main__.py"))["name_the_pack"]()
    from guidance_geometry.sweeps.comfyui.process import StartError, hand_over, interpreter

    if (own := interpreter(ROOT / ".venv")).exists() and find_spec("torch") is None:  # not called with the project's
        try:
            sys.exit(hand_over(own, sys.argv))
        except StartError as error:
            sys.exit(str(error))
    del sys.argv[0]
    try:
        program = find_program(sys.argv[0], programs())
    except LookupError as error:
        sys.exit(str(error))
    runpy.run_module(f"guidance_geometry.{program}", run_name="__main__", alter_sys=True)
