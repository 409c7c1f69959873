"""Long matrices: a test marked `matrix(parts=4)` runs a quarter of its cases, chosen by the tree of the
commit: the same files run the same tests, the next commit runs others.

`matrix(parts=2, together="a")`: all tests with that word make one case, so they run all or none. `turn("a")`: so do
these, and of all such words one in TURNS runs each time. So marked are the longest tests, which have few cases.
A test with both marks runs where both let it.
`--full` runs every case; `--share SEED` runs another share. A test of one long run asks
`share_of_steps` how many steps of it to run.
"""

import math
import os
import random
import subprocess
from collections import defaultdict

TURNS = 5  # one in so many of the longest tests runs each time


def share(cases: list, parts: int, seed: str) -> list:
    """Pick one part in `parts` of a matrix, at least one case; the seed decides which, the order stays."""
    picked = random.Random(seed).sample(range(len(cases)), math.ceil(len(cases) / parts))
    return [cases[i] for i in sorted(picked)]


def tree_of(root) -> str:
    """The checksum of the files of the last commit; that of nothing where there is no git."""
    ask = ["git", "rev-parse", "HEAD^{tree}"]
    try:
        return subprocess.run(ask, cwd=root, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "no commit"


def share_of(config) -> str:
    """The seed of this run's share."""
    return config.getoption("share") or os.environ["GG_TEST_SHARE"]


def share_of_steps(config, most: int, parts: int = 25) -> int:
    """How long a long run is: a part in `parts` of it or somewhat less, by the commit; all with --full."""
    if config.getoption("full"):
        return most
    return random.Random(f"{share_of(config)} {most}").randint(most // (2 * parts), most // parts)


def left_out(items: list, seed: str) -> list:
    """List the collected cases of all matrices that are not in this run's share."""
    matrices = defaultdict(lambda: defaultdict(list))
    for item in items:
        turn, mark = item.get_closest_marker("turn"), item.get_closest_marker("matrix")
        if turn:
            matrices["turns", TURNS][turn.args[0]].append(item)
        if mark:
            matrix, case = place(item, **mark.kwargs)
            matrices[matrix][case].append(item)
    away = [
        item
        for (name, parts), cases in matrices.items()
        for case in set(cases) - set(share(list(cases), parts, f"{seed} {name} {parts}"))
        for item in cases[case]
    ]
    return list(dict.fromkeys(away))


def place(item, parts: int, together: str = "") -> tuple:
    """Say to which matrix and case a test belongs; tests that go `together` follow each other in one page's life."""
    return ("" if together else item.nodeid.split("[")[0], parts), together or item
