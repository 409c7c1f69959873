"""Rules on the plane for notebooks: as a table and as a figure."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from ..measure import plane
from .traces import require

if TYPE_CHECKING:
    from ..figures.film import Film


@dataclass(frozen=True, eq=False, repr=False)
class Plane(plane.Plane):
    """Rules beside plain guidance, as `measure.plane.Plane`, with what a notebook wants; printed, it is a table."""

    @classmethod
    def of(cls, plain: plane.Plane) -> Plane:
        """A plane of any room with what a notebook wants of it."""
        return cls(**{each.name: getattr(plain, each.name) for each in fields(plain)})

    def to_pandas(self, values: Any = None) -> Any:
        """A DataFrame with one row for each rule and value of plain guidance; an estimate has three columns.

        values: of plain guidance at which rules are compared; None for all above cfg 1.
        """
        rows = [
            {"at": here["cfg"], **spread_out(row)}
            for here in self.as_json(values)["comparisons"]
            for row in (here["plain"], *here["rules"])
        ]
        return require("pandas", "pandas").DataFrame(rows)

    def plot(self, **look: Any) -> Film:
        """The figure, which a notebook shows and `save` writes.

        look: size (blog, slide, column), theme (light, dark, transparent) and at, the value of plain guidance whose
        prompt strength is marked. Raises TypeError for another look.
        """
        from ..figures.rule_plane import draw_plane

        return draw_plane(self, **look)


def spread_out(row: dict[str, Any]) -> dict[str, Any]:
    """A row with its estimates as three columns each."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, list):
            flat |= dict(zip((name, f"{name}_low", f"{name}_high"), value, strict=True))
        else:
            flat[name] = value
    return flat
