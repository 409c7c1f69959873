"""The server of the host, and the name under which the pack stands in the host's options."""

from __future__ import annotations

import sys

KEY = "guidance_geometry"  # of the pack's own wrappers and its run


def prompt_server():
    """The host's server; None in scripts and tests, which run without one."""
    return getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)
