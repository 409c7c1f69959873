"""Figures of a run, and the words by which they are asked for."""

from typing import TYPE_CHECKING

from ..guidance.on_demand import modules_on_demand

if TYPE_CHECKING:
    from . import canvas, compare, difference, difference_grid, loss, order, palette, registry, strips, table, typeset
else:
    __getattr__ = modules_on_demand(__name__)

BACKGROUNDS = ("light", "dark", "transparent")
MENU = (  # every figure of a run, in the order of the node's menu
    "step plane",
    "two predictions",
    "difference",
    "scaled difference",
    "step",
    "noise levels",
    "noisy sample",
    "prediction",
    "small step",
    "added noise",
    "next prediction",
    "next step",
    "gradient",
    "combined",
    "scaled gradient",
    "scaled sum",
    "gradient and noise",
    "step and noise",
    "sampling animated",
    "classifier animated",
    "guidance animated",
    "run animated",
    "filmstrip",
    "heat map",
    "classifier curves",
    "effective scale",
)  # the end of the menu
