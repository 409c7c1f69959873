"""How many examples each property is tried on, and what came of them.

Few in the ordinary suite, and always the same. `python3 dev.py fuzz --examples N --seed S` sets the variable EXAMPLES.
"""

import os
from collections import Counter, defaultdict

from hypothesis import HealthCheck, settings

EXAMPLES = int(os.environ.get("GUIDANCE_GEOMETRY_FUZZ_EXAMPLES", "0"))  # of every property; 0: each its own few
LESS = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)
OUTCOMES: defaultdict[str, Counter[str]] = defaultdict(Counter)  # kind of input -> what came of it -> how often


def budget(few: int, cost: int = 1) -> settings:
    """The settings of a property that the ordinary suite tries on `few` examples.  cost: of one, in usual ones"""
    count, derandomize = max(few, EXAMPLES // cost), not EXAMPLES
    return settings(
        max_examples=count, derandomize=derandomize, deadline=None, database=None, suppress_health_check=LESS
    )
