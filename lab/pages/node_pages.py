"""What other pages say of nodes, made from the nodes: `python lab node_pages` writes it.

The English words for translators; the tables of inputs on the help pages of rules and energies, in every language that
has the page; the rows of both in docs/nodes.md; their papers in docs/citing.bib; and docs/rules.md. A node that is
made of its class has an English page from the start; what else is to be said is added there by hand, around the table.
"""

from __future__ import annotations

import argparse
import inspect
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from ...dev.inside import enter_host
from ...dev.places import HOST, ROOT
from ...guidance.knobs import Paper, Stated
from ...guidance.registry import every_energy, every_rule
from .. import markdown
from . import rules_table, translations

NODES, CITING, HELP = ROOT / "docs" / "nodes.md", ROOT / "docs" / "citing.bib", ROOT / "web" / "docs"
IN_TABLES = json.loads(Path(__file__).with_name("help_words.json").read_text(encoding="utf-8"))  # {language: words}
ROWS = r"^(## {}\n[^|]*\|.*\n\|---\|---\|\n)(?:\|.*\n)*"  # the table of a section
UPSTREAM = "guidance"  # the same on every page


def pages_to_write() -> dict[Path, str]:
    """{page: its text}, of all that stand for themselves; docs/rules.md needs its measurements."""
    from ...extension import nodes_in

    pages, listed = {}, NODES.read_text(encoding="utf-8")
    for room in ("rules", "energies"):
        nodes = nodes_in(room)
        pages |= {HELP / f"{node.__name__}.md": help_page(node) for node in nodes}
        pages |= {page: translated_page(node, page) for node in nodes for page in (HELP / node.__name__).glob("*.md")}
        listed = list_nodes(listed, room.capitalize(), nodes)
    return {**pages, NODES: listed, CITING: bibliography()}


def help_page(node: Any) -> str:
    """The help page of a node with its table of inputs; without such a table it stays."""
    place, schema = HELP / f"{node.__name__}.md", node.define_schema()
    if place.exists():
        return with_table(place, inputs_table(schema))
    stated = node.owner
    formula = f"```\n{inspect.getdoc(stated)}\n```"
    papers = "\n".join(map(rules_table.paper_link, stated.papers)) or "No paper."
    inputs = ("## Inputs", inputs_table(schema), "## Formula", formula, "## Source", papers)
    return markdown.page(f"# {schema.display_name}", plain(schema.description), *inputs)


def translated_page(node: Any, place: Path) -> str:
    """The page in another language, with the words that the editor shows in it beside those of the node's inputs."""
    return with_table(place, inputs_table(node.define_schema(), place.stem))


def with_table(place: Path, table: str) -> str:
    """The text of a page, whose table with the same head, if there is one, becomes this one."""
    head = table.partition("\n")[0]
    rows = re.compile(rf"^{re.escape(head)}\n(\|.*\n)+", re.MULTILINE)
    return rows.sub(lambda _: f"{table}\n", place.read_text(encoding="utf-8"))


def inputs_table(schema: Any, language: str = "en") -> str:
    """Every input but the chain so far."""
    words = IN_TABLES[language]
    said = {one.id: {"name": one.id, "tooltip": one.tooltip} for one in schema.inputs}
    if language != "en":
        said |= translations.of_node(schema.node_id, language)["inputs"]
    shown = [one for one in schema.inputs if one.id != UPSTREAM]
    rows = [
        [called(one.id, said[one.id], words), default_of(one, words), plain(said[one.id]["tooltip"])] for one in shown
    ]
    return markdown.table(words["head"], rows)


def called(name: str, said: dict[str, str], words: dict[str, str]) -> str:
    """An input by both its names; by the one that the editor shows alone where that begins with the other."""
    alone = said["name"].casefold().startswith(name.casefold())
    return said["name"] if alone else words["named"].format(id=name, name=said["name"])


def default_of(one: Any, words: dict[str, str]) -> str:
    """What a widget shows at first, and of a number the range."""
    value = getattr(one, "default", None)
    if value is None:
        return words["optional"].format(kind=one.io_type) if one.optional else one.io_type
    if isinstance(value, bool):
        return words["on"] if value else words["off"]
    if one.io_type in ("INT", "FLOAT"):
        return words["range"].format(value=value, low=one.min, high=one.max)
    return plain(str(value)) or words["empty"]


def list_nodes(page: str, section: str, nodes: list) -> str:
    """The page with a row for each node in the table of a section."""
    return re.sub(ROWS.format(section), lambda table: table[1] + node_rows(nodes), page, flags=re.MULTILINE)


def node_rows(nodes: list) -> str:
    """A row for each node, those first that artists are shown first."""
    schemas = sorted((node.define_schema() for node in nodes), key=lambda schema: bool(schema.is_experimental))
    new = {False: "", True: ", experimental"}
    return "".join(
        f"| [{schema.display_name}](../web/docs/{schema.node_id}.md){new[bool(schema.is_experimental)]} "
        f"| {plain(schema.description)} |\n"
        for schema in schemas
    )


def bibliography() -> str:
    """An entry for every paper of a rule or an energy, below the names of those that are made from it."""
    stated = (every_rule() | every_energy()).values()
    papers = sorted({paper for one in stated for paper in one.papers}, key=lambda paper: paper.arxiv)
    return "\n".join(f"% {made_from(paper, stated)}\n{bibtex(paper)}" for paper in papers)


def made_from(paper: Paper, stated: Iterable[type[Stated]]) -> str:
    """Names of the rules and energies that state a paper."""
    return "; ".join(sorted(one.name for one in stated if paper in one.papers))


def bibtex(paper: Paper) -> str:
    """The entry of one paper; its key is the first author, the year and the number."""
    authors, _, year = paper.authors.rpartition(" ")
    fields = {
        "author": authors.replace(" et al.", " and others"),
        "title": f"{{{paper.title}}}",  # in braces its capitals stay
        "year": year,
        "eprint": paper.arxiv,
        "archivePrefix": "arXiv",
    }
    lines = "".join(f"  {name} = {{{value}}},\n" for name, value in fields.items())
    return f"@misc{{{authors.split()[0].lower()}{year}-{paper.arxiv},\n{lines}}}\n"


def plain(text: str) -> str:
    """A text whose signs Markdown leaves alone."""
    return re.sub(r"([|*\\])", r"\\\1", text).replace("<", "&lt;")


def main() -> None:
    """Write all pages."""
    argparse.ArgumentParser(description="Write what other pages say of nodes.").parse_args()
    enter_host(HOST)
    torch.set_num_threads(1)
    for place, text in pages_to_write().items():
        if not place.exists() or place.read_text(encoding="utf-8") != text:
            markdown.write(place, text)
    with torch.inference_mode():
        markdown.write(rules_table.PAGE, rules_table.page())


if __name__ == "__main__":
    main()
