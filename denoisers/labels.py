"""Labels as a user types them: names or numbers, one per picture."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

MODEL = "model"  # the one kind that has a null label


def label_indices(text: str, labels: Sequence[str], null_index: int, owner: str = MODEL) -> list[int]:
    """Read a line such as "cat; 3; *" as one label per picture.

    Entries are separated by ";" or line breaks; one that ends the text starts no further entry. An entry is a name
    (capitals do not matter), an index, "*" for all labels in turn, or empty for the null label; a name goes before an
    index. owner: whose labels these are, for messages. Raises ValueError for anything else, with the nearest name.
    """
    entries = [entry.strip() for entry in re.split(r"[;\n]", text.strip().removesuffix(";"))]
    return [index for entry in entries for index in _entry(entry, labels, null_index, owner)]


def _entry(entry: str, labels: Sequence[str], null_index: int, owner: str) -> list[int]:
    if entry == "":
        return [null_index]
    if entry == "*":
        return list(range(len(labels)))
    if entry in labels:
        return [labels.index(entry)]
    lowered = [label.casefold() for label in labels]
    if lowered.count(entry.casefold()) == 1:
        return [lowered.index(entry.casefold())]
    return [_index(entry, labels, owner)]


def _index(entry: str, labels: Sequence[str], owner: str) -> int:
    empty = " Empty means unconditional." if owner == MODEL else ""
    if re.fullmatch(r"[+-]?\d{1,9}", entry):
        if 0 <= int(entry) < len(labels):
            return int(entry)
        raise ValueError(
            f"Label index {entry} is outside 0 .. {len(labels) - 1}: the {owner} has {len(labels)} labels.{empty}"
        )
    near = difflib.get_close_matches(entry.casefold(), [label.casefold() for label in labels], n=1, cutoff=0)
    nearest = next(label for label in labels if label.casefold() == near[0])
    listing = " Put ';' between labels." if "," in entry else ""
    raise ValueError(
        f"Label {entry!r} is not one of the {owner}'s {len(labels)} labels. Nearest: {nearest!r}.{empty}{listing}"
    )
