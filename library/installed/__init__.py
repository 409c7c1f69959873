"""Guidance Geometry for scripts and notebooks: `import guidance_geometry as gg`.  docs/library.md shows its use.

An installation has this file for its package; in ComfyUI the folder of the pack is the package.
"""

from importlib import import_module

_library = import_module(f"{__name__}.library")
__getattr__, __dir__ = _library.__getattr__, _library.__dir__
