"""How often "the same picture" is wrong, of a run at half the scale with the same noise.

    python lab same_picture            measure what is missing, and print the odds
    python lab same_picture --write    keep them in verdict/odds.json and docs/verdict.md

The distance of `verdict.alike` is held against a truth that does not know it: the judge's label, and colours that are
counted (`seen_colours`). A pair is one sample of a cell at gamma and at gamma / 2, or at 1 where that is less.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ...dev.places import address_of
from ...verdict.alike import compare_pictures
from ...verdict.halved import distance
from ..markdown import passages, put_section, table
from ..pictures import write_pixels
from ..train.demo_data import LABELS
from .calibrate import ODDS, keep
from .card import CARDED, measure_all
from .cells import CACHE, Cell, Plan
from .drawing import draw_grid
from .evidence import share
from .limits import Limit, percent
from .page import HALF, PAGE
from .pictures import STEM
from .runs import SAMPLERS
from .seen_colours import HUE, SHARE, colours_changed
from .worlds import World, trained_worlds

SEEDS = (30, 31)  # none of a card's
SAMPLES = 50  # a cell
USED = ("A", "B", "C")
SCALES = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)
TRIED = tuple(round(0.05 * k, 2) for k in range(4, 41))  # thresholds
MARGINS = tuple(round(1 - 0.05 * k, 2) for k in range(15))
WRONG = 0.03  # of the pairs that are called the same
CHANGED = 0.2  # of the pairs that are said to change a little, with another subject or other colours
NEAR = 0.4  # distance of ends below which a label hardly changes
PRINTED = (0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.5, 2.0)
SHOWN = (0.1, 0.3, 0.5, 0.65, 0.8, 1.0, 1.5, 3.0)
MOST_WRONG = 8  # that are shown
TEXT = passages(__file__)


@dataclass(frozen=True)
class Pairs:
    """Pairs of one world and sampler, all [n].

    distance: of pictures. ends: of latents. subject, colours: whether either changed. pictures: [n, 2, 3, H, W] in
    0 .. 1, at half the scale and at the scale. names: [n, 2] of the judge.
    """

    world: str
    sampler: str
    distance: Tensor
    ends: Tensor
    subject: Tensor
    colours: Tensor
    pictures: Tensor
    names: Tensor

    @cached_property
    def changed(self) -> Tensor:
        """The truth."""
        return self.subject | self.colours

    def wrong(self, threshold: float, least: float = 0.0) -> float:
        """Share of the pairs from one distance to another that changed; nan where there is none."""
        return share(self.changed[(self.distance >= least) & (self.distance < threshold)].tolist())


def join(groups: Sequence[Pairs]) -> Pairs:
    """All of them."""
    columns = ("distance", "ends", "subject", "colours", "pictures", "names")
    together = [torch.cat([getattr(one, name) for one in groups]) for name in columns]
    return Pairs("all", "", *together)


def cells_of(worlds: Sequence[World], samples: int, seeds: Sequence[int], cache: Path) -> list[list[Cell]]:
    """The cells of every world and sampler."""
    plan = Plan(USED, tuple(seeds), samples, SCALES)
    cells = [cell for world in worlds for cell in plan.cells(world, cache)]
    places = {(cell.world.name, cell.sampler.key): None for cell in cells}
    return [[cell for cell in cells if (cell.world.name, cell.sampler.key) == place] for place in places]


def pairs_of(cells: Sequence[Cell]) -> Pairs:
    """Every pair of one world and sampler."""
    held = {(cell.seed, cell.gamma): cell for cell in cells}
    parts = [
        _compare(held[seed, max(1.0, gamma / 2)], held[seed, gamma])
        for seed, gamma in held
        if gamma > 1 and (seed, max(1.0, gamma / 2)) in held
    ]
    world, sampler = cells[0].world, cells[0].sampler
    words = f"{sampler.name} {'simple' if world.flow else sampler.scheduler} {sampler.steps}"
    return Pairs(world.name, words, *(torch.cat(column) for column in zip(*parts, strict=True)))


def _compare(half: Cell, whole: Cell) -> tuple[Tensor, ...]:
    """The columns of the pairs of two cells."""
    kept = [np.load(cell.path) for cell in (half, whole)]
    ends = [torch.from_numpy(one["ends"]).float() for one in kept]
    names = torch.stack([torch.from_numpy(one["named"][: len(ends[0])]).long() for one in kept], dim=1)
    pictures = [whole.world.pictures(one).clamp(-1, 1) / 2 + 0.5 for one in ends]  # pyright: ignore[reportAttributeAccessIssue]
    apart = compare_pictures(*pictures[::-1]).distance
    changed = colours_changed(*pictures)
    return apart, distance(*ends[::-1]), names[:, 0] != names[:, 1], changed, torch.stack(pictures, dim=1), names


def limit_of(groups: Sequence[Pairs], least: float = 0.0, most: float | None = None) -> float:
    """The largest threshold up to which, from `least`, at most a share of the pairs changed, in every group.

    most: that share, WRONG where none is given.
    """
    bound = WRONG if most is None else most
    fitting = [tried for tried in TRIED if all(not one.wrong(tried, least) > bound for one in groups)]
    return max(fitting, default=TRIED[0])


def left_out(groups: Sequence[Pairs], margin: float, least: float = 0.0, most: float | None = None) -> list[float]:
    """Of every group the share that is wrong by the threshold of the others."""
    others = ([other for other in groups if other is not one] for one in groups)
    return [one.wrong(margin * limit_of(more, least, most), least) for one, more in zip(groups, others, strict=True)]


def chosen(groups: Sequence[Pairs], least: float = 0.0, most: float | None = None) -> tuple[float, float]:
    """The threshold, and its margin."""
    bound = WRONG if most is None else most
    holding = (m for m in MARGINS if all(not wrong > bound for wrong in left_out(groups, m, least, most)))
    margin = next(holding, MARGINS[-1])
    return max(round(margin * limit_of(groups, least, most), 3), least), margin


def odds_json(groups: Sequence[Pairs], command: str) -> dict:
    """Part "half" of verdict/odds.json."""
    everything, (same, margin) = join(groups), chosen(groups)
    close, further = chosen(groups, same, CHANGED)
    near = everything.ends < NEAR
    worlds = " and ".join(dict.fromkeys(one.world for one in groups))
    return {
        "command": command,
        "source": f"{len(everything.distance):,} pairs of {worlds}, {len(groups)} combinations with a sampler",
        "same": same,
        "wrong": round(max(left_out(groups, margin)), 3),
        "close": close,
        "changed": round(np.nanmax([0.0, *left_out(groups, further, same, CHANGED)]), 3),
        "near": NEAR,
        "subject": round(share(everything.subject[near].tolist()), 4),
        "colours": round(share(everything.colours[near].tolist()), 3),
    }


def blocks(groups: Sequence[Pairs], command: str, folder: Path) -> Iterator[str]:
    """The section of the page.  folder: for its pictures"""
    everything, (same, margin) = join(groups), chosen(groups)
    yield TEXT["OPENING"].format(
        command=command, pairs=len(everything.distance), same=same,
        worlds=" and ".join(dict.fromkeys(one.world for one in groups)),
        samplers=", ".join(SAMPLERS[key].name for key in USED), scales=", ".join(f"{scale:g}" for scale in SCALES[1:]),
    )  # fmt: skip
    yield TEXT["TRUTH"].format(hue=HUE, share=_whole(SHARE))
    worst = max(left_out(groups, margin))
    what = 'pairs called "the same picture" that are not, with the worst model and sampler, left out'
    limit = Limit(what, f"at most {_whole(WRONG)}", percent(worst), worst <= WRONG)
    yield table("what | limit | measured | holds", [(*_cells(limit), "yes" if limit.holds else "**no**")])
    yield TEXT["CHOSEN"].format(limit=_whole(WRONG))
    rows = [
        (one.world, one.sampler, len(one.distance), *_rates(one, same), percent(outside))
        for one, outside in zip(groups, left_out(groups, margin), strict=True)
    ]
    yield table("model | sampler | pairs | the same | wrong | other label | false alarms | left out", rows)
    close, further = chosen(groups, same, CHANGED)
    worst = np.nanmax([0.0, *left_out(groups, further, same, CHANGED)])
    between = (everything.distance >= same) & (everything.distance < close)
    in_vain = percent(share((everything.distance[~everything.changed] >= close).tolist()))
    yield TEXT["CLOSE"].format(
        same=same, close=close, limit=_whole(CHANGED), worst=percent(worst), in_vain=in_vain,
        taken=percent(share(between.tolist())), wrong=percent(everything.wrong(close, same)),
        subject=percent(share(everything.subject[between].tolist())),
    )  # fmt: skip
    yield TEXT["THRESHOLDS"]
    yield table(
        "d below | the same | wrong | other label | false alarms",
        [(f"{tried:g}", *_rates(everything, tried)) for tried in sorted({*PRINTED, same, close})],
    )
    near = everything.ends < NEAR
    subject, colours = (percent(share(truth[near].tolist())) for truth in (everything.subject, everything.colours))
    yield TEXT["LATENTS"].format(near=NEAR, subject=subject, colours=colours)
    yield from figures(everything, same, folder)


def _cells(limit: Limit) -> tuple[str, str, str]:
    return limit.what, limit.limit, limit.measured


def _whole(share: float) -> str:
    return f"{100 * share:.0f} %"


def _rates(pairs: Pairs, threshold: float) -> tuple[str, ...]:
    """Called the same; of these wrong, and with another label; and called changed in vain."""
    same, stays = pairs.distance < threshold, ~pairs.changed
    shares = (same, pairs.changed[same], pairs.subject[same], ~same[stays])
    return tuple(percent(share(one.tolist())) for one in shares)


def figures(pairs: Pairs, same: float, folder: Path) -> Iterator[str]:
    """Pairs by distance, and pairs that are wrongly called the same."""
    shown = [int((pairs.distance - wanted).abs().argmin()) for wanted in SHOWN]
    frame = next((k for k, place in enumerate(shown) if pairs.distance[place] >= same), 0)
    yield TEXT["SHOWN"]
    yield _draw("pairs", "pairs of pictures by their distance", pairs, shown, frame, folder)
    wrong = ((pairs.distance < same) & pairs.changed).nonzero()[:, 0]
    if len(wrong):
        worst = wrong[pairs.distance[wrong].argsort(descending=True)][:MOST_WRONG].tolist()
        yield TEXT["WRONG"]
        yield _draw("same-wrong", "pairs that are wrongly called the same", pairs, worst, -1, folder)


def _draw(name: str, words: str, pairs: Pairs, places: Sequence[int], frame: int, folder: Path) -> str:
    heads = [f"d {pairs.distance[place]:.2f}" for place in places]
    pictures = [[pairs.pictures[place, row].numpy() * 2 - 1 for place in places] for row in (0, 1)]
    names = [[LABELS[int(pairs.names[place, row])] for place in places] for row in (0, 1)]
    file = f"{STEM}{name}.webp"
    write_pixels(folder / file, draw_grid(pictures, heads, frame, names).png())
    return f"![{words}](figures/{file})"


def measure(options: argparse.Namespace, report: Callable[[Sequence[Cell]], None] = measure_all) -> list[Pairs]:
    """Every pair of the demo models, whose cells are measured first where they are missing."""
    worlds = [world for name, world in trained_worlds(options.cache).items() if name in CARDED]
    groups = cells_of(worlds, options.samples, options.seeds, options.cache)
    report([cell for group in groups for cell in group])
    return [pairs_of(group) for group in groups]


def parsed_options(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=SAMPLES, help="a cell")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder where cells are kept")
    parser.add_argument("--write", action="store_true", help="write verdict/odds.json and docs/verdict.md")
    return parser.parse_args(arguments)


def main() -> None:
    """Measure, and print the odds or keep them."""
    options = parsed_options()
    torch.set_num_threads(1)
    groups, command = measure(options), "python lab same_picture"
    path, text = (ODDS, PAGE) if options.write else (options.cache / "odds.json", options.cache / "verdict.md")
    for own, published in ((path, ODDS), (text, PAGE)):
        if not own.exists():
            own.write_bytes(published.read_bytes())
    put_section(text, HALF, *blocks(groups, command, text.parent / "figures"))
    half = odds_json(groups, address_of(Path(__file__)))  # for people who have the pack alone
    keep(json.loads(path.read_text(encoding="utf-8")) | {"half": half}, path)


if __name__ == "__main__":
    main()
