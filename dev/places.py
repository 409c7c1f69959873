"""Where the repository is, and where a tool finds a ComfyUI unless another is given. Standard library only."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOST = Path(os.environ.get("COMFYUI_PATH") or ROOT / ".host" / "ComfyUI")
