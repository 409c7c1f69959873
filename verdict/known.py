"""What a run can be compared with: a person's choices, and what its model said of its own pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ..trace.trace import model_key
from .measured import MeasuredCurve, ModelCurves, read_curves
from .picks import Picks
from .run_knobs import RunKnob
from .sentences import Sentence, say
from .size import Size

CARDS = Path(__file__).parents[1] / "assets" / "denoisers"  # of the models that are included, beside their weights
OTHER = "It is of another model ({})."
Found = TypeVar("Found", ModelCurves, Picks)


@dataclass(frozen=True)
class Known:
    """What is known of the model of a run.

    picks: a person's choices of its knobs.
    curves: what was measured of its pictures; the first that fits counts.
    trouble: why something that is there could not be used.
    size: of its data, where its file does not say it.
    lora_picks: choices of the strengths of its LoRAs, for each LoRA.
    related: what was measured of the same weights with something else put on them.
    """

    picks: Picks | None = None
    curves: tuple[ModelCurves, ...] = ()
    trouble: tuple[Sentence, ...] = ()
    size: Size | None = None
    lora_picks: tuple[Picks, ...] = ()
    related: tuple[ModelCurves, ...] = ()

    def picks_of(self, knob: RunKnob) -> Picks | None:
        """The choices among which those of a knob are."""
        if not knob.model:
            return self.picks
        return next((picks for picks in self.lora_picks if picks.key == knob.model), None)

    def curve_of(self, knob: RunKnob, header: Mapping[str, Any]) -> MeasuredCurve | None:
        """What was measured of a knob in runs that were made as this one.  header: of its trace"""
        fitting = (curves.curve_for(header, knob.key) for curves in self.curves if knob.model in ("", curves.key))
        return next((curve for curve in fitting if curve), None)


def knowledge_without_host(
    model: Mapping[str, Any], curves: ModelCurves | None = None, picks: Picks | None = None
) -> Known:
    """What is known of a model by itself, with curves or picks that somebody gave.  model: of a trace's header

    What was given is not used where it is of another model, as far as anything tells the two apart.
    """
    key, trouble = model_key(model), []

    def of_this_model(given: Found | None, fault: str) -> Found | None:
        if given and key and given.key != key:
            trouble.append(say(fault, fault=OTHER.format(given.name)))
            return None
        return given

    known = of_this_model(curves, "why.curves.damaged"), included_curves(model)
    chosen = of_this_model(picks, "why.picks.damaged")
    return Known(chosen, tuple(curves for curves in known if curves), tuple(trouble))


def included_curves(
    model: Mapping[str, Any], read: Callable[[Path], ModelCurves | None] = read_curves
) -> ModelCurves | None:
    """What came with the pack for the weights of a model.  Raises as `read`."""
    key, files = model_key(model), sorted(CARDS.glob("*.measured.json"))
    included = map(read, files) if key else ()
    return next((curves for curves in included if curves and curves.key == key), None)
