"""What someone who knows only KSampler stumbles over in a text: long sentences, and who does what."""

import re

from guidance_geometry.tests.project import ROOT

LAST_PART = "\n## For researchers\n"  # of a help page; it may use the trade's words
LONGEST = 25  # words of a sentence
TYPED = re.compile(r"`[^`]*`|\]\([^)]*\)|https?://\S+|models/\w+")  # what is typed or linked is no prose


def first_part(node: str) -> str:
    """The part of a node's help page that everybody reads."""
    return (ROOT / "web" / "docs" / f"{node}.md").read_text(encoding="utf-8").partition(LAST_PART)[0]


def sentences(text: str) -> list[str]:
    """Prose in sentences: of paragraphs, of items, and of each cell of a table; code and headings are none."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith(("#", "|---", "!["))]
    parts = []
    for line in lines:
        cells = re.split(r"(?<!\\)\|", line)[1:-1] if line.startswith("|") else [line]
        parts += [part for cell in cells for part in re.split(r"(?<=[.:;?!])\s+", spoken(cell).strip())]
    return [part for part in parts if part]


def spoken(text: str) -> str:
    """Without what is typed or linked."""
    return TYPED.sub(" it ", text)


def clumsy(sentence: str) -> list[str]:
    """What makes a sentence hard whatever its words are."""
    count = len(sentence.split())
    faults = [f"{count} words: {sentence}"] * (count > LONGEST)
    faults += [f"who does it? {sentence}"] * bool(re.match(r"\w+(ed|wn) (is|are|was|were) ", sentence))
    chains = [part for part in re.split("[,;:]", sentence) if part.split().count("of") > 3]
    return faults + [f"chain of 'of': {chain}" for chain in chains]
