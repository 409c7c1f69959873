"""Long matrices: a test marked `matrix(parts=4)` runs a quarter of its cases each time, another one every day.

`--full` runs every case; `--share SEED` runs the share of another day again.
"""

import math
import os
import random
from collections import defaultdict


def share(cases: list, parts: int, seed: str) -> list:
    """Pick one part in `parts` of a matrix, at least one case; the seed decides which, the order stays."""
    picked = random.Random(seed).sample(range(len(cases)), math.ceil(len(cases) / parts))
    return [cases[i] for i in sorted(picked)]


def share_of(config) -> str:
    """The seed of this run's share."""
    return config.getoption("share") or os.environ["GG_TEST_SHARE"]


def left_out(items: list, seed: str) -> list:
    """List the collected cases of all matrices that are not in this run's share."""
    matrices = defaultdict(list)
    for item in items:
        if mark := item.get_closest_marker("matrix"):
            matrices[item.nodeid.split("[")[0], mark.kwargs["parts"]].append(item)
    kept = {item for (name, parts), cases in matrices.items() for item in share(cases, parts, f"{seed} {name}")}
    return [item for cases in matrices.values() for item in cases if item not in kept]
