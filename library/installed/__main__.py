"""The command of an installation: `python -m guidance_geometry`, which is `guidance-geometry` too."""

import sys
from importlib import import_module

sys.exit(import_module(f"{__package__}.cli.command").main())
