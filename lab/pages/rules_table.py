"""Write docs/rules.md: every rule of this pack and of the host against the invariants.

`python lab rules_table` writes it; a test holds it fresh.
"""

from __future__ import annotations

from typing import Any

import torch

from ...dev.inside import enter_host
from ...dev.places import ROOT
from ...guidance.invariants import INVARIANTS, Verdict, examine, list_failures
from ...guidance.knobs import Paper
from ...guidance.registry import every_rule
from .. import markdown
from ..command_line import parser_of

PAGE = ROOT / "docs" / "rules.md"
ECONOMY = "What skipped passes cost"  # a section that economy measures
WORDS = {"pass": "ok", "FAIL": "**FAIL**", "not claimed": "\u2013", "none": ""}
TEXT = markdown.passages(__file__)


def verdicts_of_ours() -> dict[str, dict[str, Verdict]]:
    """{node id: verdicts} of the rule nodes of this pack."""
    from ...dev.fixtures.rule_nodes import active_chain
    from ...extension import nodes_in
    from ...guidance.chain import PLAIN
    from ...nodes.lab import GGMixtureModel
    from ...nodes.start import GGClassLabel

    model = GGMixtureModel.execute(shape="4x8x8", classes=3, kind="ve", seed=0)[0]
    sockets = {"MODEL": model, "CONDITIONING": GGClassLabel.execute(model, "1")[0]}
    chains = {"plain CFG": PLAIN} | {
        node.define_schema().node_id: active_chain(node, sockets) for node in nodes_in("rules")
    }
    return {f"{name}: {chain.text}" if chain.rules else name: examine(chain) for name, chain in chains.items()}


def verdicts_of_the_host() -> dict[str, dict[str, Verdict]]:
    """{name and knobs: verdicts} of the host's own guidance nodes."""
    from .host_rules import host_rules

    return {rule.text: examine(rule) for rule in host_rules()}


def table(rows: dict[str, dict[str, Verdict]]) -> str:
    """One table in Markdown, and the errors that its rules raised."""
    names = [one.name for one in INVARIANTS]
    cells = [[text, *(cell(verdicts[name]) for name in names)] for text, verdicts in rows.items()]
    notes = {f"{text}: {v.note}" for text, verdicts in rows.items() for v in verdicts.values() if v.note}
    return markdown.page(markdown.table(" | ".join(["rule", *names]), cells), markdown.bullets(sorted(notes)))


def cell(verdict: Verdict) -> str:
    """A verdict in one cell."""
    size = verdict.note.split(":")[0] or (
        "" if verdict.size is None else f"{verdict.size:.0e}" if verdict.size else "0"
    )
    return f"{WORDS[verdict.word]} {size}".strip()


def page() -> str:
    """The whole page."""
    import comfyui_version

    opening = TEXT["OPENING"].format(version=comfyui_version.__version__)
    meanings = markdown.bullets(f"**{one.name}**: {one.meaning}{_who(one.claim)}." for one in INVARIANTS)
    ours, theirs = (section(one) for one in (verdicts_of_ours(), verdicts_of_the_host()))
    sources = markdown.bullets(papers())
    return markdown.page(
        opening,
        "## The tests",
        meanings,
        TEXT["READING"],
        "## This pack",
        *ours,
        "## The host",
        *theirs,
        markdown.section_in(PAGE, ECONOMY),
        "## Papers",
        sources,
    )


def section(rows: dict[str, dict[str, Verdict]]) -> tuple[str, str]:
    """Which rules fail in what, and the table behind a fold."""
    failing = {text: list_failures(verdicts) for text, verdicts in rows.items()}
    lines = [f"**{text}** fails: {', '.join(names)}." for text, names in failing.items() if names]
    passing = len(rows) - len(lines)
    counted = f"{passing} of {len(rows)} rules hold all that they must and all that they claim."
    return markdown.page(counted, markdown.bullets(lines)), markdown.folded("Every rule and every test", table(rows))


def papers() -> list[str]:
    """Where the rules come from, in words."""
    stated = sorted((rule for rule in every_rule().values() if rule.papers), key=lambda rule: rule.node_id)
    return [f"**{rule.node_id}**: {' '.join(map(paper_link, rule.papers))}" for rule in stated]


def paper_link(paper: Paper) -> str:
    """A paper with its address."""
    title = paper.title.replace("*", r"\*")
    return f"{paper.authors}, *{title}*, [{paper.arxiv}](https://arxiv.org/abs/{paper.arxiv})."


def _who(claim: Any) -> str:
    return "" if claim is None else " (where claimed)"


def gist(text: str) -> list[list[str]]:
    """Rows and verdicts of a page, without the sizes: those differ in the last digit from machine to machine."""
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return [[row[0], *(one.split(" ")[0] for one in row[1:])] for row in rows]


def main() -> None:
    """Write the page."""
    enter_host(parser_of(__doc__).parse_args().host)
    torch.set_num_threads(1)
    with torch.inference_mode():
        text = page()
    markdown.write(PAGE, text)


if __name__ == "__main__":
    main()
