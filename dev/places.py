"""Where the repository is, and where a tool finds a ComfyUI unless another is given. Standard library only."""

import os
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOST = Path(os.environ.get("COMFYUI_PATH") or ROOT / ".host" / "ComfyUI")


def pack_version() -> str:
    """As pyproject.toml has it."""
    return _stated("version")


def address_of(file: Path) -> str:
    """Where people who have the pack alone read a file of the repository."""
    return f"{_stated('Repository')}/blob/main/{file.resolve().relative_to(ROOT).as_posix()}"


def _stated(name: str) -> str:
    return re.findall(rf'^{name} = "(.+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)[0]
