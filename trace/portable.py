"""Values of any kind as JSON says them."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from ..files.claims import LONGEST_NUMBER
from ..guidance.printing import words_of


def ascii_json(value: object) -> str:
    """Compact JSON in ASCII; nan and inf become null, what JSON does not know its text."""
    return json.dumps(jsonable(value), ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def jsonable(value: object) -> Any:
    """As JSON says it: nan, inf and whole numbers beyond them are null, and what it does not know is its text."""
    if isinstance(value, Mapping):
        return {words_of(name): jsonable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if isinstance(value, int | float):
        if not abs(value) <= sys.float_info.max:  # nan is not either
            return None
        return value if abs(value) < 10**LONGEST_NUMBER else float(value)
    return value if isinstance(value, str) or value is None else words_of(value)
