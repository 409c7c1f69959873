"""What *See it* shows: a run beside the value that the Guidance tab advises, in random cases.

That is half of its value where nothing was measured, and half of the first mark where a curve was and the run lies
above it. The judge, which took no part, counts the pictures that show their label, and the line that the tab prints
stands beside that. `python lab own_measure_advice` prints the table of docs/own-measure.md.
"""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Iterator

import torch

from ... import library as gg
from ...guidance.vectors import flat
from ...measure.curve import MEASURABLE, Curve
from ...measure.estimates import likelier_without, variety
from ...verdict.known import included_curves
from ..markdown import table
from .judging import LABELS, named
from .own_measure import MODELS, draw, pictures_of

SEEDS = 4  # of each value, as the tab shows
LEAST, MOST = 1.1, 16.0  # values of cfg, drawn evenly in their logarithm
HEAD = (
    "compared with | cases | shows the prompt less | less strange | more varied | label shown less often | "
    "more often | the tab calls stranger | shows the prompt less, says the tab | of those with the label less often"
)


class Case:
    """A run at one cfg and the same seeds at another: [own, other] of every number.

    stranger: which of the two the tab calls so; "neither", or "no model" where the gate refuses. weaker: whether it
    says that the other shows the prompt less, or that more of its pictures are likelier without.
    """

    def __init__(self, denoiser: gg.NetworkDenoiser, label: int, seed: int, own: float, other: float):
        self.own = own
        x = [draw(denoiser, scale, SEEDS, seed, label=label) for scale in (own, other)]
        made = [gg.measure(denoiser, one, label, draws=1) for one in x]
        self.strength, self.ratio = [one.strength.value for one in made], [one.ratio.value for one in made]
        self.right = [int((named(pictures_of(denoiser, one)) == label).sum()) for one in x]
        self.variety = variety(flat(x[1]), flat(x[0])).value
        curve = Curve((other, own), made[::-1])
        most = own if curve.least == other else other
        sure = round(curve.times_at(most).low, 2) > 1  # as `saidOf` in web/lib/advice.mjs
        self.stranger = {own: "own", other: "advised"}[most] if sure else "neither"
        gained = curve.gained_at(most)  # over the other of the two
        lost = likelier_without(made[1].levels) > likelier_without(made[0].levels)
        self.weaker = lost or (gained.low if curve.least == other else -gained.high) > 0
        if other == 1 and not made[1].gate.applies:
            self.stranger, self.weaker = "no model", False


def cases(count: int) -> dict[str, list[Case]]:
    """All cases, by what they are compared with."""
    draws, found = random.Random(0), {"half": [], "half of the first mark": []}
    denoisers = {name: gg.load_denoiser(name) for name in MODELS}
    for _ in range(count):
        denoiser, label, seed = denoisers[draws.choice(MODELS)], draws.randrange(LABELS), draws.randrange(10**6)
        own = round(math.exp(draws.uniform(math.log(LEAST), math.log(MOST))), 1)
        known = included_curves(denoiser.facts["model"])
        mark = known and known.curves[0].curve.mark(MEASURABLE)
        found["half"].append(Case(denoiser, label, seed, own, max(1.0, own / 2)))
        if mark and own > mark.value:
            found["half of the first mark"].append(Case(denoiser, label, seed, own, round(mark.value / 2, 1)))
    return found


def counts(found: list[Case]) -> Iterator[str]:
    """How often the advised value does what."""
    fewer = [case for case in found if case.right[1] < case.right[0]]
    for chosen in (
        found,
        [case for case in found if case.strength[1] < case.strength[0]],
        [case for case in found if case.ratio[1] < case.ratio[0]],
        [case for case in found if case.variety > 1],
        fewer,
        [case for case in found if case.right[1] > case.right[0]],
    ):
        yield str(len(chosen))
    said = [case.stranger for case in found]
    yield ", ".join(f"{word} {said.count(word)}" for word in ("own", "neither", "advised", "no model"))
    for some in (found, fewer):
        yield f"{sum(case.weaker for case in some)} of {len(some)}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=50)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with torch.no_grad():
        found = cases(given.cases)
    print(table(HEAD, ((name, *counts(some)) for name, some in found.items())), flush=True)
    for name, some in found.items():
        right = [sum(case.right[i] for case in some) / max(1, SEEDS * len(some)) for i in (0, 1)]
        print(f"\nWith {name}: {right[0]:.1%} of the own pictures show their label, {right[1]:.1%} of the advised.")
        print("Less often at cfg", *sorted(case.own for case in some if case.right[1] < case.right[0]))


if __name__ == "__main__":
    main()
