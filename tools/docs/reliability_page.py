"""docs/reliability.md: a section a measurement, each written by the command that it names."""

from __future__ import annotations

import re
from pathlib import Path

from ..places import ROOT

PAGE = ROOT / "docs" / "reliability.md"
OPENING = """# Reliability, measured

What hostile input, interrupts, kills and long use do to a host with this pack. Every section names the command that
prints its figures and writes it.
"""


def put_section(heading: str, words: str, page: Path = PAGE) -> None:
    """Replace what stands under a heading, or add the heading; other sections stay.  heading: with its hashes"""
    whole = page.read_text(encoding="utf-8") if page.exists() else OPENING
    opening, *sections = re.split(r"^(?=## )", whole, flags=re.MULTILINE)
    kept = {section.splitlines()[0]: section.rstrip() + "\n" for section in sections}
    kept[heading] = f"{heading}\n\n{words.rstrip()}\n"
    page.write_text("\n".join([opening.rstrip() + "\n", *kept.values()]), encoding="utf-8")
