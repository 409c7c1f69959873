"""The best settings of a rule in one world: cfg and its knobs, tried by a sampler of trials with one budget for all."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from ..traces import require
from .entrants import Entrant, Range

FIRST = (4.0, 8.0)  # times below the largest cfg at which the settings of the paper are tried first
LOWEST = 16.0  # times below the largest cfg where the search begins
Evaluate = Callable[[float, Mapping[str, Any]], float]  # cfg, knobs -> distance; ValueError: they do not fit


def tune(entrant: Entrant, evaluate: Evaluate, trials: int, seed: int) -> tuple[float, dict[str, Any]]:
    """The cfg and the knobs with the least distance.

    The first trials have the settings of the paper; the others are drawn by the tree-structured Parzen estimator of
    optuna (Bergstra et al. 2011, Algorithms for hyper-parameter optimization; recalled, not checked). The same seed
    tries the same. Raises ImportError where optuna is absent.
    """
    optuna = require("optuna", "arena")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed % 2**32, n_startup_trials=trials // 3))
    for times in FIRST[:trials]:
        study.enqueue_trial({"cfg": entrant.highest / times, **paper_values(entrant)})
    tried: dict[int, tuple[float, dict[str, Any]]] = {}

    def objective(trial: Any) -> float:
        cfg = trial.suggest_float("cfg", entrant.highest / LOWEST, entrant.highest, log=True)
        values = {name: suggest(trial, name, place) for name, place in entrant.space.items()}
        tried[trial.number] = cfg, values
        try:
            return evaluate(cfg, values)
        except ValueError:
            return math.inf

    study.optimize(objective, n_trials=trials)
    return tried[study.best_trial.number]


def suggest(trial: Any, name: str, place: Range) -> Any:
    """A value of a knob."""
    if place.choices:
        return place.choices[trial.suggest_categorical(name, [*range(len(place.choices))])]
    draw = trial.suggest_int if place.whole else trial.suggest_float
    low, high = (int(place.low), int(place.high)) if place.whole else (place.low, place.high)
    return draw(name, low, high, log=place.logarithmic)


def paper_values(entrant: Entrant) -> dict[str, Any]:
    """The settings of the paper, as trials write them: a choice by its place."""
    return {
        name: place.choices.index(entrant.usual[name]) if place.choices else entrant.usual[name]
        for name, place in entrant.space.items()
    }
