"""Long matrices: a test marked `matrix(parts=4)` runs a quarter of its cases each time, another one every day.

`matrix(parts=2, together="a")`: all tests with that word make one case, so they run all or none.
`--full` runs every case; `--share SEED` runs the share of another day again. A test of one long run asks
`share_of_steps` how many steps of it to run.
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


def share_of_steps(config, most: int, parts: int = 25) -> int:
    """How long a long run is: a part in `parts` of it or somewhat less, another length every day; all with --full."""
    if config.getoption("full"):
        return most
    return random.Random(f"{share_of(config)} {most}").randint(most // (2 * parts), most // parts)


def left_out(items: list, seed: str) -> list:
    """List the collected cases of all matrices that are not in this run's share."""
    matrices = defaultdict(lambda: defaultdict(list))
    for item in items:
        if mark := item.get_closest_marker("matrix"):
            matrix, case = place(item, **mark.kwargs)
            matrices[matrix][case].append(item)
    return [
        item
        for (name, parts), cases in matrices.items()
        for case in set(cases) - set(share(list(cases), parts, f"{seed} {name}"))
        for item in cases[case]
    ]


def place(item, parts: int, together: str = "") -> tuple:
    """Say to which matrix and case a test belongs; tests that go `together` follow each other in one page's life."""
    return ("" if together else item.nodeid.split("[")[0], parts), together or item
