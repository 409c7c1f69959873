"""The numbers that guide a run, and the widgets that set them: found in the prompt of the job, by walking its wires.

A widget counts only where it holds the number that acted, or would once another one is set by hand: a preset may stand
between.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ...guidance.gradients.term import Term, WatchTerm
from ...guidance.knobs import main_knob
from ...guidance.printing import shorten
from ...guidance.rules.kinds import Add, Rule
from ...sweeps.workflow import PRESET
from ...trace.trace import model_key
from ...verdict.picks import CFG, LONGEST
from ...verdict.run_knobs import DISTILLED, GRADIENT, LEAST_CFG, LORA, RULE
from ..editor.job_wires import class_of, given_of, walk
from ..editor.jobs import RunningJob, within
from ..editor.node_types import ANY, limits_of
from .host_run import HostRun
from .weight_patches import WeightPatch, mark_without, weight_patches

POSITIVE, CONDITIONING, GUIDER = "positive", "CONDITIONING", "GUIDER"


def run_knobs(
    run: HostRun, distilled: float | None, model: Mapping[str, Any], job: RunningJob | None
) -> list[dict[str, Any]]:
    """What the header of a trace states of its knobs: as `verdict.run_knobs.RunKnob`, without a value for cfg.

    distilled: the guidance that the network was told. model: as the header describes it.
    """
    cfg = None if run.foreign else float(getattr(run.guider, CFG, math.nan))
    rules = run.chain_run.chain.rules if run.chain_run else ()
    at_work = [rule for rule in rules if not rule.neutral and not isinstance(rule, WatchTerm)]
    texts = [rule.chain_text for rule in at_work]
    of_cfg, of_distilled = {}, {}
    if cfg is not None:  # by the sampler, and the guiders that it is given
        guiders = walk(job, lambda node, name, kind: kind == GUIDER)
        of_cfg = {"kind": CFG, "name": CFG, "key": CFG} | _widget(job, CFG, cfg, guiders)
    if distilled is not None:
        key = _key(DISTILLED, cfg, texts)
        of_distilled = {"kind": DISTILLED, "name": DISTILLED, "key": key, "value": distilled}
        of_distilled |= _widget(job, DISTILLED, distilled, _conditions(job))
    ruled = (_of_rule(run, job, rule, cfg, [*texts[:i], *texts[i + 1 :]]) for i, rule in enumerate(at_work))
    beside = [*texts, *([] if distilled is None else [f"{DISTILLED} {distilled:g}"])]
    put_on = [_of_patch(job, patch, _key(f"{patch.name}, {patch.what}", cfg, beside), model)
              for patch in weight_patches(job, run.patcher)] if job else []  # fmt: skip
    return [knob for knob in (of_cfg, of_distilled, *ruled, *put_on) if knob]


def _of_rule(run: HostRun, job: RunningJob | None, rule: Rule, cfg: float | None, others: list[str]) -> dict[str, Any]:
    """The main knob of a rule or a gradient; empty where it has none, or acts on a difference that nobody makes."""
    main, is_term = main_knob(type(rule)), isinstance(rule, Term)
    if main is None or not (is_term or isinstance(rule, Add) or cfg != 1):
        return {}
    (field, stated), kind = main, getattr(rule, "node_id", "")
    value = float(getattr(rule, field))
    if is_term:
        nodes = [getattr(rule, "node", "")]
    else:  # of all that the sampler reads, directly or not
        nodes = [node for node in walk(job, lambda node, name, kind: True) if class_of(job, node) == kind]
    widget = _widget(job, stated.name, value, nodes) or _widget_under_preset(job, stated.name, nodes)
    if not is_term and not widget.get("node"):
        return {}
    what = getattr(rule, "asks", "") if is_term else kind
    facts = {"kind": GRADIENT if is_term else RULE, "name": stated.name, "value": value, "title": rule.name}
    facts |= {"key": _key(f"{stated.name}, {what}", cfg, others)}
    if isinstance(rule, Term):
        facts |= {"term": run.chain_run.gradients.names[rule], "title": rule.title or rule.name}
    return facts | widget


def _of_patch(job: RunningJob, patch: WeightPatch, key: str, model: Mapping[str, Any]) -> dict[str, Any]:
    """The strength of a LoRA.  model: as the header describes it"""
    low, high = limits_of(class_of(job, patch.node) or "", patch.name)
    limits = {"low": max(low, 0.0)} | ({"high": high} if math.isfinite(high) else {})
    base = model_key({**model, "patches": ""})
    kept_under = {"model": f"{base}+{mark_without(job, patch)}"} if base else {}
    facts = {"kind": LORA, "name": patch.name, "value": patch.value, "key": key, "what": patch.what}
    return facts | {"node": patch.node, "title": job.title_of(patch.node)} | limits | kept_under


def _key(what: str, cfg: float | None, others: list[str]) -> str:
    """A number means the same only beside the same of everything else that guided."""
    more = [] if cfg is None or cfg == 1 else [f"cfg {cfg:g}"]
    return shorten(", ".join([what, *more, *others]), LONGEST // 2)


def _widget(job: RunningJob | None, name: str, value: float, nodes: Iterable[str]) -> dict[str, Any]:
    """The one node that holds this number in this input, what it is called, and what may be tried there."""
    nodes = list(nodes) if job else []
    holding = [node for node in nodes if _is_number(given := given_of(job, node, name)) and math.isclose(given, value)]
    wired = [node for node in nodes if isinstance(given_of(job, node, name), list)]
    candidates = holding or wired
    if job is None or not candidates or (len(candidates) > 1 and name not in (CFG, DISTILLED)):
        return {}
    return _place_of(job, name, candidates[0])


def _widget_under_preset(job: RunningJob | None, name: str, nodes: Iterable[str]) -> dict[str, Any]:
    """The one node whose preset stands in for this input, and "by_hand": the input that chooses it."""
    preset = [
        node for node in nodes if isinstance(given_of(job, node, PRESET), str) and _is_number(given_of(job, node, name))
    ]
    held = job is not None and len(preset) == 1 and given_of(job, preset[0], PRESET) != name
    return _place_of(job, name, preset[0]) | {"by_hand": PRESET} if job is not None and held else {}


def _place_of(job: RunningJob, name: str, node: str) -> dict[str, Any]:
    """What a node is called, and what may be tried in one of its inputs."""
    low, high = limits_of(class_of(job, node) or "", name)
    low = max(low, LEAST_CFG if name in (CFG, DISTILLED) else 0.0)
    limits = {"low": low} | ({"high": high} if math.isfinite(high) else {})
    return {"node": node, "title": job.title_of(node)} | limits


def _conditions(job: RunningJob | None) -> Iterator[str]:
    """What the positive condition of the sampler goes through, the nearest first."""

    def leads(node: str, name: str, kind: str) -> bool:
        named = POSITIVE in (within(job.prompt, node, "inputs") or {}) if job else False
        return kind == GUIDER or (kind in (CONDITIONING, *ANY) and (name == POSITIVE or not named))

    return walk(job, leads)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
