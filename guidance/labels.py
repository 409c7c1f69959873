"""Labels as a user types them, or a script gives them: names or numbers, one per picture."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Any

from .printing import count_of, shorten

MODEL = "model"  # the one kind that has a null label
NO_LABEL = -1  # asks a model for its prediction without a label, which one without a null label refuses
MOST = 4096  # labels of one text: the largest batch
LONGEST = 200  # characters of a name
SCREENFUL, NAMED = 20, 5  # so many labels are all named in a message; of more, at most so many


UNTRAINED = "{} was never trained without a label, and this run asks for a prediction without one"


def label_numbers(given: Any, labels: Sequence[str], null_index: int | None) -> list[int]:
    """Labels as a script gives them: a name, a number, None for no label, or a list or 1-d array of these.

    null_index: as in `label_indices`; that number means no label, too. A model without labels has one prediction for
    all, 0. Raises ValueError for anything else, with what there is.
    """
    plain = given.tolist() if hasattr(given, "tolist") else given
    several = plain if isinstance(plain, list | tuple) else [plain]
    if not several:
        raise ValueError("There are no labels in the list. Give one label, or one for each sample.")
    return [number for one in several for number in _numbers(one, labels, null_index)] if labels else [0] * len(several)


def _numbers(one: Any, labels: Sequence[str], null_index: int | None) -> list[int]:
    one = one.item() if getattr(one, "ndim", None) == 0 else one
    if one is None or isinstance(one, str):
        return _entry((one or "").strip(), labels, null_index, MODEL)
    if isinstance(one, bool) or not isinstance(one, int):
        raise ValueError(f"{shorten(repr(one), 60)} is no label. Give names, or whole numbers from 0.")
    null = NO_LABEL if null_index is None else null_index
    return [null if one == null else _index(str(one), labels, null_index, MODEL)]


def label_indices(text: str, labels: Sequence[str], null_index: int | None, owner: str = MODEL) -> list[int]:
    """Read a line such as "cat; 3; *" as one label per picture.

    Entries are separated by ";" or line breaks; one that ends the text starts no further entry. An entry is a name
    (capitals do not matter), an index, "*" for all labels in turn, or empty for the null label; a name goes before an
    index, and "#3" is always an index, for labels whose own names are "*", empty or numbers. null_index: None for a
    model without a null label, whose empty entries are NO_LABEL. owner: whose labels these are, for messages.
    Raises ValueError for anything else, with what there is.
    """
    indices: list[int] = []
    for entry in entries_of(text):
        indices += _entry(entry, labels, null_index, owner)
        if len(indices) > MOST:
            raise ValueError(f"The text names more than {MOST:,} labels, one for each image. Name fewer.")
    return indices


def entries_of(text: str) -> list[str]:
    """What stands between semicolons or line breaks; one that ends the text starts nothing further.

    Raises ValueError for more than MOST.
    """
    entries = re.split(r"[;\n]", text.strip().removesuffix(";"), maxsplit=MOST)
    if len(entries) > MOST:
        raise ValueError(f"The text has more than {MOST:,} entries, one for each image. Write fewer.")
    return [entry.strip() for entry in entries]


def _entry(entry: str, labels: Sequence[str], null_index: int | None, owner: str) -> list[int]:
    if entry == "":
        return [NO_LABEL if null_index is None else null_index]
    if not labels:
        raise ValueError(f"Label {shorten(entry, 60)!r} was given but the {owner} has no labels. Leave it empty.")
    if entry == "*":
        return list(range(len(labels)))
    lowered = entry.casefold()
    alike = [i for i, label in enumerate(labels) if label == entry] or [
        i for i, label in enumerate(labels) if label.casefold() == lowered
    ]
    if len(alike) > 1:
        places = ", ".join(map(str, alike[:4]))
        raise ValueError(f"{len(alike)} of the {owner}'s labels are named {entry!r}: {places}. Give an index.")
    if alike:
        return alike
    return [_index(entry, labels, null_index, owner)]


def _index(entry: str, labels: Sequence[str], null_index: int | None, owner: str) -> int:
    if len(entry) > LONGEST:
        raise ValueError(f"A label has {len(entry):,} characters; at most {LONGEST} are read. Put ';' between labels.")
    empty = " Empty means no label." if owner == MODEL and null_index is not None else ""
    if number := re.fullmatch(r"#?([+-]?\d{1,9})", entry):
        if 0 <= int(number[1]) < len(labels):
            return int(number[1])
        raise ValueError(
            f"Label index {number[1]} is outside 0 .. {len(labels) - 1}: the {owner} has "
            f"{count_of(len(labels), 'label')}.{empty}"
        )
    listing = " Put ';' between labels." if "," in entry else ""
    raise ValueError(
        f"Label {entry!r} is not one of the {owner}'s {len(labels)} labels. {offers(entry, labels)}{empty}{listing}"
    )


def offers(entry: str, labels: Sequence[str]) -> str:
    """Sentences with what a label may have meant, and with all there are where those fit on a few lines."""
    low = {label.casefold(): label for label in labels}
    word = re.compile(rf"\b{re.escape(entry.casefold())}\b")
    near = [name for name in low if word.search(name)] or difflib.get_close_matches(entry.casefold(), low, NAMED, 0.6)
    sentences = [f"Nearest: {', '.join(repr(low[name]) for name in near[:NAMED])}."] if near else []
    if len(labels) <= SCREENFUL and sum(map(len, labels)) <= LONGEST:
        sentences.append(f"They are {', '.join(labels)}.")
    elif not near:
        sentences.append(f"None is like it; the first are {', '.join(map(repr, labels[:NAMED]))}.")
    return " ".join(sentences)
