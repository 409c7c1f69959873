"""ComfyUI inside this process: what asks its nodes and sampling functions directly starts here."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import torch


def enter_host(host: Path) -> None:
    """Put the host on the path and fix its device."""
    sys.path.insert(0, str(host))
    sys.argv = sys.argv[:1]
    from comfy import options

    options.enable_args_parsing(False)
    from comfy import cli_args

    cli_args.args.cpu = not (torch.cuda.is_available() or torch.backends.mps.is_available())
    logging.disable(logging.WARNING)
