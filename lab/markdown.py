"""Pages in Markdown: blocks with an empty line between them, tables, and sections of a page that others share."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path


def page(*blocks: str) -> str:
    """The text of a page; an empty block leaves nothing."""
    return "\n\n".join(block.strip("\n") for block in blocks if block) + "\n"


def passages(program: str) -> dict[str, str]:
    """{name: words} of a page, from the .md beside its program; each stands below a line <!-- NAME -->.

    They are apart from the program, so that a reader may mend words where no number is kept under a checksum of code.
    """
    text = Path(program).with_suffix(".md").read_text(encoding="utf-8")
    parts = re.split(r"^<!-- (\w+) -->\n", text, flags=re.MULTILINE)[1:]
    return {name: words.strip("\n") for name, words in zip(parts[::2], parts[1::2], strict=True)}


def table(head: str, rows: Iterable[Iterable[object]]) -> str:
    """Rows of cells under a head.  head: names with " | " between them"""
    lines = [f"| {' | '.join(map(str, cells))} |" for cells in rows]
    return "\n".join([f"| {head} |", "|---" * (head.count(" | ") + 1) + "|", *lines])


def folded(summary: str, *blocks: str) -> str:
    """Blocks behind a line that opens them: what is looked up and not read.  GitHub and the site fold them alike."""
    return page(f'<details markdown="1"><summary>{summary}</summary>', *blocks, "</details>").rstrip("\n")


def bullets(lines: Iterable[str]) -> str:
    """A list."""
    return "\n".join(f"- {line}" for line in lines)


def between(value: float, low: float, high: float) -> str:
    """A share with its interval."""
    return f"{value:.3f} ({low:.3f} to {high:.3f})"


def write(path: Path, text: str) -> None:
    """Keep a page, and say so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    print(f"wrote {path}")


def section_in(path: Path, heading: str) -> str:
    """What stands under a heading of a page, and the heading; nothing where nothing does, or there is no page."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    line = f"## {heading}\n"
    return line + text.partition(line)[2].partition("\n## ")[0] if line in text else ""


def put_section(path: Path, heading: str, *blocks: str) -> None:
    """Replace what stands under a heading of a page, or add it; other sections stay."""
    opening, *sections = re.split(r"^(?=## )", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    kept = {section.splitlines()[0]: section for section in sections}
    kept[f"## {heading}"] = page(f"## {heading}", *blocks)
    path.write_text(page(opening, *kept.values()), encoding="utf-8")
