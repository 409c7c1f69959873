"""The terms of a run: energies that guided it or only measured it, by name and role."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..guidance.gradients.run import number_names
from ..guidance.gradients.term import Term as GuidanceTerm
from ..guidance.gradients.term import WatchTerm
from .gram import VECTORS

GUIDES, MEASURES = "guides", "only measures"
LOG_PROB = "log_prob "  # begins the columns of a trace that hold what energies said
WEIGHT = "weight "  # begins the columns [n, B] that hold the weights of gradients in the push that acted
PASS = "pass "  # begins the columns [n, B] of a trace that hold how far further passes lie from what they repeat
OF_PASSES = ("evals ", "scale ", PASS)  # before them their cost [n], and the weight of that difference in D [n]
EFFECTS = ("along ", "across ")  # before them, [n, B]: what it adds to the scale, and its share across delta


@dataclass(frozen=True)
class Term:
    """An energy that was asked in a run.

    name: of its column, and of its gradient in the record. role: GUIDES or MEASURES. text: as the chain prints it.
    title: of its node. scale: that node's, None where unknown or where there is none.
    """

    name: str
    role: str
    text: str = ""
    title: str = ""
    scale: float | None = None

    @property
    def label(self) -> str:
        """What users call it."""
        return self.title or self.name

    @property
    def guides(self) -> bool:
        """Whether its gradient took part, and is a vector of the record."""
        return self.role == GUIDES

    @property
    def column(self) -> str:
        """Name of the column that holds its log-probabilities."""
        return LOG_PROB + self.name

    @property
    def weight(self) -> str:
        """Name of the column that holds the weights of its gradient."""
        return WEIGHT + self.name


def terms_of_chain(names: Mapping[GuidanceTerm, str]) -> tuple[Term, ...]:
    """The terms of a chain as a record names them.  names: by term, as `GradientRun.names`"""
    titles = number_names([term.title for term in names])
    return tuple(
        Term(
            name,
            MEASURES if isinstance(term, WatchTerm) else GUIDES,
            term.text,
            title,
            getattr(term, "weight", None),
        )
        for (term, name), title in zip(names.items(), titles, strict=True)
    )


def term_facts(terms: tuple[Term, ...]) -> dict[str, dict[str, Any]]:
    """What a header says of the terms of a run: their texts, their nodes' titles and scales, by name."""
    return {
        "terms": {term.name: term.text for term in terms},
        "titles": {term.name: term.title for term in terms if term.title},
        "scales": {term.name: term.scale for term in terms if term.guides},
    }


def columns_of_pass(name: str) -> tuple[str, str, str]:
    """Names of the columns of a further pass: cost, weight, size."""
    cost, scale, size = (what + name for what in OF_PASSES)
    return cost, scale, size


def effects_of_pass(name: str) -> tuple[str, str]:
    """Names of the columns of what a further pass did: along and across the difference."""
    along, across = (what + name for what in EFFECTS)
    return along, across


def vector_of_pass(name: str) -> str:
    """Name of the vector by which a further pass differs from what it repeats; it stands in no file."""
    return PASS + name


def passes_of(columns: Iterable[str]) -> list[str]:
    """Names of the further passes of a record."""
    return [name.removeprefix(PASS) for name in columns if name.startswith(PASS)]


def terms_of(header: Mapping, columns: Iterable[str]) -> tuple[Term, ...]:
    """The terms of a record, those that guide first, in the order of their vectors.

    No file says their roles: a term guides if its gradient stands among the header's vectors, after the six that every
    run has, and only measures if it has nothing but a column.
    """
    texts, titles, scales = (header.get(field) or {} for field in ("terms", "titles", "scales"))
    guide = [name for name in header["vectors"] if name not in VECTORS]
    names = sorted(name.removeprefix(LOG_PROB) for name in columns if name.startswith(LOG_PROB))
    measure = [name for name in names if name not in guide]
    roles = dict.fromkeys(guide, GUIDES) | dict.fromkeys(measure, MEASURES)
    facts = {name: (texts.get(name, ""), titles.get(name, ""), scales.get(name)) for name in roles}
    return tuple(Term(name, role, *facts[name]) for name, role in roles.items())
