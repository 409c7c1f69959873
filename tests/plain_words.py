"""What someone who knows only KSampler stumbles over in a text: signs and words of the trade, and long sentences.

The trade's words are those that the glossary of docs/architecture.md has to explain.
"""

import re
from functools import cache

from guidance_geometry.tests.project import ROOT

HELP = ROOT / "web" / "docs"

EVERYDAY = {"a", "an", "the", "of", "to", "way", "without", "size", "part", "error"}
EVERYDAY |= {"noise", "step", "guidance", "strength", "scale", "classifier", "rule"}  # on KSampler and our nodes
LAST_PART = "\n## For researchers\n"  # of a help page; it may use the trade's words
LONGEST = 25  # words of a sentence
CODES = re.compile(r"(?<![\w`-])[MFD]\d+[a-z]?(?!\w)", re.I)
LETTERS = re.compile(r"(?<![\w'\u2019-])[ucxDG](?![\w'\u2019-])")  # of vectors; `a` is a word
TYPED = re.compile(r"`[^`]*`|\]\([^)]*\)|https?://\S+|models/\w+")  # what is typed or linked is no prose
# What else a sampler node never says, in any form of the word:
UNHEARD = (
    *("gradient", "energy", "evaluation", "evaluate", "logit", "posterior", "ancestral", "cosine", "tensor", "rms"),
    *("unconditional", "conditional", "null label", "prediction", "predict", "chain", "judge", "velocity", "epsilon"),
    *("classifier", "rule", "trace", "norm", "orthogonal", "projection", "latent space", "denoiser", "deterministic"),
)


@cache
def glossary() -> str:
    """The part of the page that explains symbols, terms and codes."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    return page.split("## Glossary")[1].split("\n## ")[0]


@cache
def trade_terms() -> set[str]:
    """Names of the glossary of two words and more, its terms, and what else a sampler node never says."""
    names = re.findall(r"^\| [^|]+ \| ([a-z][^|]+) \|", glossary(), re.M)
    parts = {part.strip() for name in names for part in re.split(r"[,;]", name)}
    terms = set(re.findall(r"\*([a-z ]+)\*", glossary()))
    return {part for part in parts if " " in part} | terms - EVERYDAY - {"stages"} | {*UNHEARD}


@cache
def node_names() -> re.Pattern:
    """What nodes are called, with and without what stands in brackets."""
    titles = [page.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ") for page in HELP.glob("*.md")]
    names = {name for title in titles for name in (title, title.split(" (")[0])}
    return re.compile("|".join(map(re.escape, sorted(names, key=len, reverse=True))))


@cache
def trade_signs() -> set[str]:
    """Symbols of the glossary that are no letters of a keyboard."""
    cells = re.findall(r"^\| ([^|]+) \|", glossary(), re.M)
    return {letter for cell in cells for letter in cell if letter.isalpha() and not letter.isascii()}


def first_part(node: str) -> str:
    """The part of a node's help page that everybody reads."""
    return (HELP / f"{node}.md").read_text(encoding="utf-8").partition(LAST_PART)[0]


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
    """Without what is typed or linked, and without names of nodes."""
    return node_names().sub("it", TYPED.sub(" it ", text))


def explained(text: str) -> str:
    """What a page explains: first cells of tables, and what stands in bold where it is introduced."""
    cells = re.findall(r"^\|(.+?)(?<!\\)\|", text, re.M)
    return node_names().sub("", "\n".join([*cells, *re.findall(r"\*\*([^*]+)\*\*", text)])).lower()


def stumbles(text: str, known: str = "") -> list[str]:
    """What is hard in a text, each with its sentence.  known: what has been explained elsewhere."""
    known = f"{known}\n{explained(text)}"
    faults = []
    for sentence in sentences(text):
        if sentence.endswith(":") and len(sentence.split()) <= 3:
            continue  # a name whose meaning follows
        faults += clumsy(sentence)
        foreign = {sign for sign in trade_signs() if sign in sentence and sign not in known}
        foreign |= {letter for letter in LETTERS.findall(sentence) if letter.lower() not in re.findall(r"\w+", known)}
        foreign |= {code.upper() for code in CODES.findall(sentence)} - {code.upper() for code in CODES.findall(known)}
        foreign |= {term for term in trade_terms() if named(term, sentence) and not named(term, known)}
        faults += [f"{', '.join(sorted(foreign))}: {sentence}"] * bool(foreign)
    return faults


def clumsy(sentence: str) -> list[str]:
    """What makes a sentence hard whatever its words are."""
    count = len(sentence.split())
    faults = [f"{count} words: {sentence}"] * (count > LONGEST)
    faults += [f"who does it? {sentence}"] * bool(re.match(r"\w+(ed|wn) (is|are|was|were) ", sentence))
    chains = [part for part in re.split("[,;:]", sentence) if part.split().count("of") > 3]
    return faults + [f"chain of 'of': {chain}" for chain in chains]


def named(term: str, text: str) -> bool:
    """Whether a text has a term, in the singular or the plural."""
    stem = re.escape(term[:-1] if term.endswith("y") else term)
    return re.search(rf"(?<![\w*]){stem}(y|ies|s|d|ed|es)?(?!\w)", text.lower()) is not None
