"""What guidance is: rules, chains of them, energies and their gradients; no model, no host."""

from typing import TYPE_CHECKING

from .on_demand import modules_on_demand

if TYPE_CHECKING:
    from . import chain, contract, mixture, parts, rule_file, vectors
else:
    __getattr__ = modules_on_demand(__name__)

OFFERED = "GG_RULE_FILES"  # in the environment: FILE:RULE one a line; nothing else is run for a prompt
