"""Networks that predict the clean sample, and what their files say of them."""

from typing import TYPE_CHECKING

from ...guidance.on_demand import modules_on_demand

if TYPE_CHECKING:
    from . import reading, spec
else:
    __getattr__ = modules_on_demand(__name__)

SCHEDULES = ("vp_linear", "vp_cosine", "edm", "flow")
