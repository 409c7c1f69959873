"""The command of an installation: `python -m guidance_geometry`, which is `guidance-geometry` too."""

import sys

from .cli.command import main

sys.exit(main())
