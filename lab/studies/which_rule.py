"""Hold every rule of the pack, and ComfyUI's own guidance nodes, against plain guidance, and write docs/which-rule.md.

`python lab which_rule` runs what is missing in .cache/arena and writes the page, docs/which-rule.json, and a line on
the help page of each rule. `--worlds`, `--seeds` and `--trials` as `guidance-geometry arena` has them; worlds of the
page that are not named stay as they are. `--only-run` writes no page, `--page` sets the numbers of the JSON again.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from ...dev.inside import enter_host
from ...dev.places import HOST, ROOT
from ...guidance.registry import every_rule
from ...library.arena import table
from ...library.arena.arena import PAPER
from ...library.arena.entrants import HIGHEST, LEFT_OUT, PLAIN_GUIDANCE, Entrant, pack_entrants
from ...library.arena.run import RESULT, USUAL, Size, choose_worlds, refuse_missing_packages, run_arena
from ...library.arena.standing import BETTER, WORSE
from ...library.arena.worlds import worlds
from .. import markdown
from .galaxies import GalaxyWorld

PAGE, NUMBERS, HELP = ROOT / "docs" / "which-rule.md", ROOT / "docs" / "which-rule.json", ROOT / "web" / "docs"
CACHE = ROOT / ".cache" / "arena"
TEXT = markdown.passages(__file__)
WITHOUT = ("PerpNeg",)  # nodes of the host that ask for a third prediction; the pack has the rule


def host_entrants() -> Iterator[Entrant]:
    """ComfyUI's own guidance nodes with their default settings; a batch of the arena is a batch of theirs."""
    enter_host(HOST)
    from comfy_extras.nodes_eps import EpsilonScaling

    from ..pages.host_rules import HostRule, host_rules

    rules = [*host_rules(), HostRule("EpsilonScaling 1.005", lambda model: EpsilonScaling.execute(model, 1.005)[0])]
    for rule in rules:
        if not rule.text.startswith(WITHOUT):
            yield Entrant(f"ComfyUI: {rule.text}", lambda other, values, rule=rule: rule, highest=HIGHEST)


def rounded(value: Any) -> Any:
    """The numbers with five digits."""
    if isinstance(value, Mapping):
        return {name: rounded(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(each) for each in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


def numbers_json(result: Mapping[str, Any]) -> str:
    """The result, a line for every row."""
    text = json.dumps(rounded(result), allow_nan=False, separators=(",", ":"))
    return text.replace('{"rule":', '\n{"rule":').replace('{"world":', '\n{"world":') + "\n"


def count_verdicts(result: Mapping[str, Any], kind: str, beside: str) -> dict[str, list[str]]:
    """{verdict: rules, each with its world} of one kind of rows, without plain guidance itself."""
    found: dict[str, list[str]] = {BETTER: [], WORSE: [], "all": []}
    for world in result["worlds"]:
        for row in world["rows"]:
            if row["kind"] == kind and row["rule"] != PLAIN_GUIDANCE.name:
                at = "" if row["at"] is None else f" at the strength of cfg {row['at']:g}"
                words = f"{row['rule']} ({world['world']}{at})"
                found["all"].append(words)
                found.setdefault(row[beside]["distance"]["verdict"], []).append(words)
    return found


def answers(result: Mapping[str, Any]) -> list[str]:
    """What was found, counted."""
    equal, chosen = (count_verdicts(result, PAPER, f"against_{one}") for one in ("plain", "chosen"))
    tuned, scale = count_verdicts(result, "tuned", "against_chosen"), count_verdicts(result, PAPER, "beyond")
    return [
        f"**Tuned, beside plain cfg that was tuned alike**: of {len(tuned['all'])} rows better in "
        f"{named(tuned[BETTER])}; worse in {len(tuned[WORSE])}. The others are not told apart, here and below.",
        f"**As published, beside plain cfg of equal prompt strength**: of {len(equal['all'])} rows better in "
        f"{named(equal[BETTER])}; worse in {len(equal[WORSE])}.",
        f"**As published, beside well-chosen plain cfg**: better in {named(chosen[BETTER])}; worse in "
        f"{len(chosen[WORSE])} of {len(chosen['all'])}.",
        "**Beyond its effective scale**: what a rule does that plain guidance at its effective scales does not do "
        f"helps in {named(scale[BETTER])}, and harms in {len(scale[WORSE])}.",
        "**Does the model's own measure order rules as the distance does?** Where departure and variety order two "
        f"rules that the distance tells apart, too: {', '.join(map(agreement_in_words, result['worlds']))}.",
    ]


def agreement_in_words(world: Mapping[str, Any]) -> str:
    """How often both orders are the same, at all strengths."""
    same, opposite = (sum(one["distance"][way] for one in world["agreement"]) for way in ("same", "opposite"))
    return f"in {world['world']} alike in {same} pairs and the other way in {opposite}"


def named(rows: list[str]) -> str:
    """Rows, counted and named."""
    return f"{len(rows)} ({', '.join(rows)})" if rows else "none"


def page(result: Mapping[str, Any]) -> str:
    """The whole page."""
    worlds = result["worlds"]
    sizes = ", ".join(f"{world['world']} {world['pictures']}" for world in worlds)
    left = markdown.bullets(f"{name}: {why}." for name, why in sorted(LEFT_OUT.items()))
    return markdown.page(
        TEXT["IDEA"],
        markdown.bullets(answers(result)),
        TEXT["SIZE"].format(sizes=sizes, trials=result["trials"], seeds=result["seeds"], release=result["release"]),
        table.overview(result),
        table.KEY,
        TEXT["READ"],
        *(block for world in worlds for block in section_of(world)),
        TEXT["AGREE"],
        table.agreement_table(result),
        TEXT["HALVES"],
        table.halves_table(result),
        TEXT["ROW"],
        TEXT["CITE"],
        TEXT["NOT_SAID"],
        "## Rules that are not here",
        left,
    )


def section_of(world: Mapping[str, Any]) -> list[str]:
    """One world."""
    failed = markdown.bullets(f"{rule} has no row: {why}" for rule, why in world["failed"].items())
    return [
        f"## World: {world['world']}",
        f"{world['about']} Distance: {world['distance_is']}. Label right: {world['right_is']}. Well-chosen plain cfg: "
        f"{world['chosen']:.3g}.",
        failed,
        markdown.folded("Every row, and plain cfg", table.world_table(world), table.plain_table(world)),
    ]


def help_lines(result: Mapping[str, Any]) -> dict[Path, str]:
    """{help page: its text with the line of its rule}, in every language that has the page."""
    pages = {}
    for name, kind in every_rule().items():
        for place in (HELP / f"{kind.node_id}.md", *(HELP / kind.node_id).glob("*.md")):
            if name in pack_entrants() and place.is_file():
                language = "EN" if place.parent == HELP else place.stem.upper()
                pages[place] = with_line(place.read_text(encoding="utf-8"), line_of(result, name, language), language)
    return pages


def line_of(result: Mapping[str, Any], name: str, language: str) -> str:
    """What was found of a rule, in a sentence."""
    rows = [row for world in result["worlds"] for row in world["rows"] if row["rule"] == name]
    equal = [row["against_plain"]["distance"]["verdict"] for row in rows if row["kind"] == PAPER]
    return TEXT[f"HELP_{language}"].format(rows=len(equal), better=equal.count(BETTER), worse=equal.count(WORSE))


def with_line(text: str, line: str, language: str) -> str:
    """A help page whose last line is this one, in the place of an earlier one."""
    opening = TEXT[f"HELP_{language}"].partition("{")[0]
    kept = re.sub(rf"\n*^{re.escape(opening)}.*$", "", text, flags=re.MULTILINE)
    return f"{kept.rstrip()}\n\n{line}\n"


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Run what is missing, and read everything."""
    size = Size(given.seeds, given.trials)
    refuse_missing_packages(size)
    offered = {**worlds(), GalaxyWorld.name: GalaxyWorld()}
    places = choose_worlds([name for name in given.worlds.split(",") if name], offered)
    entrants = [PLAIN_GUIDANCE, *pack_entrants().values(), *host_entrants()]
    if given.rules:
        wanted = given.rules.split(",")
        entrants = [one for one in entrants if any(word in one.name for word in wanted)]
    return run_arena(entrants, places, given.folder, size, lambda line: print(line, flush=True))


def with_others(result: Mapping[str, Any], page: Mapping[str, Any]) -> dict[str, Any]:
    """A result, and behind it those worlds of the page that were not run now.

    Raises ValueError where the page has others that were run in another way: one table has one size.
    """
    ran = {world["world"] for world in result["worlds"]}
    others = [world for world in page["worlds"] if world["world"] not in ran]
    differing = [name for name in ("release", "seeds", "trials", "torch") if result[name] != page[name]]
    if others and differing:
        names, ways = ", ".join(world["world"] for world in others), ", ".join(differing)
        raise ValueError(f"The page has other {ways} for {names}. Run these worlds, too.")
    order = [*worlds(), GalaxyWorld.name]
    return {**result, "worlds": sorted([*others, *result["worlds"]], key=lambda world: order.index(world["world"]))}


def main() -> None:
    """Measure, and write the page, its numbers and the lines on the help pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", default="")
    parser.add_argument("--rules", default="", help="parts of names, with commas; default: all")
    parser.add_argument("--seeds", type=int, default=USUAL.seeds)
    parser.add_argument("--trials", type=int, default=USUAL.trials)
    parser.add_argument("--folder", type=Path, default=CACHE)
    parser.add_argument("--page", action="store_true", help="set the numbers that are there")
    parser.add_argument("--only-run", action="store_true", help="write nothing but the folder's own " + RESULT)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if not given.page:
        result = measure(given)
        if given.only_run:
            return
        result = with_others(result, json.loads(NUMBERS.read_text(encoding="utf-8")))
        NUMBERS.write_text(numbers_json(result), encoding="utf-8")
    result = json.loads(NUMBERS.read_text(encoding="utf-8"))
    markdown.write(PAGE, page(result))
    for place, text in help_lines(result).items():
        place.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
