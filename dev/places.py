"""Where the repository is, and where a tool finds a ComfyUI unless another is given. Standard library only."""

import os
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOST = Path(os.environ.get("COMFYUI_PATH") or ROOT / ".host" / "ComfyUI")


def pack_version() -> str:
    """As pyproject.toml has it."""
    return re.findall(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)[0]
