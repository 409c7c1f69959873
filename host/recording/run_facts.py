"""What a trace says about its run besides numbers: its header, its notes, and the tensors that were kept."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ...guidance.gradients.term import Term
from ...guidance.printing import count_of
from ...guidance.side_by_side import Lane, SideBySide
from ...measure.measurement import MEASURED
from ...trace.faults import keep_out
from ...trace.gram import GramRecord, point
from ...trace.maker import EndedRun, make_trace
from ...trace.metrics import IDENTITY_LIMIT
from ...trace.recorder import RECUR
from ...trace.trace import AFTERWARDS, FROM_ZERO, MASK_NOTE, PART, SCALES, SKIP, UNSEEN, Trace
from ...verdict.sentences import percent
from ..editor.jobs import file_of, running_job
from ..editor.prompt_words import has_words
from ..editor.saving import map_tensors
from ..models import adapter
from ..models.native_model import card_of, format_name
from .host_run import HostRun
from .passes import guidance_patches
from .run_knobs import run_knobs
from .weight_patches import weight_patches

NO_EFFECT = (
    "the rules of the chain had no effect: at cfg 1 only the prediction with the prompt is made, and they need the "
    "difference between two. Raise cfg above 1"
)

CHECKED = "held against the sampler's measured response (M12)"
REFUTED = "a dry run of {name} said otherwise of {count}: how far these follow the prediction is unknown"
MOST_ASTRAY = 0.02  # of the clean sample in a state
ASTRAY = (
    "{name} does not keep to its noise levels here: its states hold up to {share:.0f} % {how} of the clean sample than "
    "belongs there, so its samples are wrong"
)
SIDE_BY_SIDE = "several runs share this batch: gamma is of the one farthest from 1, and D - G holds the others' scales"
OTHER_SIZE = (
    "{name} draws pictures of {native}; these are {got}, and may show a thing several times or none. For its own size "
    "use Empty Canvas, with 0 as width and height"
)
REPEATED = "{asked} labels for {batch} pictures: they repeat in turn"
NOT_MADE = "the prediction without the prompt was not made in {skipped} of {steps} steps"
CACHED = "{cached} of {steps} steps were answered from what another pack had stored: the network made nothing there"
OUT_OF_SIGHT = (
    "in {unseen} of {steps} steps another node predicts in its own way: u and c were not seen, and the scale is unknown"
)
COUNTS_FROM_ZERO = "the {name} was empty in {count} of {steps} steps: there the host takes zero for its prediction"
MOVED_ALONE = (
    "in {count} of {steps} steps only the prediction with the prompt was made, and D is another: the scale is unknown"
)
BROKEN = "the numbers of {count} of {steps} steps are not finite"
UNPROVED = "no scale explains {count} of {steps} steps: it is unknown there"


@dataclass(frozen=True)
class EndedHostRun(EndedRun):
    """A run of the host that has ended, or one part of its sample, as far as it was seen.

    run: the run as it was known before its first step.
    split: how move and noise were told apart, in words.
    lost_draws: steps whose noise was lost.
    part: name of the part of the sample whose numbers `accumulator` has.
    afterwards: what was evaluated after the run.
    inside: at how many evaluations a guidance was patched into the network, by name.
    measured: what the model said of the end.
    """

    run: HostRun = field(kw_only=True)
    split: str = ""
    lost_draws: int = 0
    part: str = ""
    afterwards: Mapping[str, Any] = field(default_factory=dict)
    inside: Mapping[str, int] = field(default_factory=dict)
    measured: Mapping[str, Any] = field(default_factory=dict)


def trace_of(ended: EndedHostRun) -> Trace:
    """All that was seen of a run; what cannot be told is left out, and a note says so."""
    run, faults = ended.run, ended.faults
    facts: dict[str, Any] = {"sampler": run.name, "seed": run.seed, "space": "flow" if run.flow else "ve"}
    has_model = run.patcher is not None  # of a run whose MODEL is out of reach there are no further facts
    for name, fact in FACTS.items() if has_model else ():
        with keep_out(lambda fault, name=name: faults.append(f"{name} of the run unknown: {fault}")):
            facts[name] = fact(ended)
    with keep_out(lambda fault: faults.append(f"knobs of the run unknown: {fault}")):
        distilled, model = facts.get("distilled_guidance"), facts.get("model") or {}
        facts["knobs"] = run_knobs(run, distilled, model, running_job()) if has_model else []
    trace = make_trace(ended, facts, map_tensors, partial(_about_numbers, ended, facts))
    by_numbers: dict[str, Any] = {}
    if run.foreign:  # nobody but its numbers tells its scale
        scale, *others = {*trace.steps["gamma"].tolist()} or {math.nan}
        cfg = None if others or not math.isfinite(scale) else scale
        by_numbers = {"cfg": cfg, "guider": type(run.guider).__name__}
    inside = {name: count for name, count in ended.inside.items() if name not in ended.accumulator.passes}
    header = {PART: ended.part, "inside": inside, AFTERWARDS: dict(ended.afterwards), MEASURED: dict(ended.measured)}
    present = {name: value for name, value in header.items() if value}
    return replace(trace, header={**trace.header, **by_numbers, **present})


def on_the_node(trace: Trace) -> dict:
    """What a node shows beside a trace: what ended its record, if anything did, and what was asked by mistake."""
    words = [*trace.header.get("faults", ()), *trace.header.get("advice", ())]
    return {"ui": {"text": words}}  # none, too: else the words of an earlier run would stay


def _split(ended: EndedHostRun) -> str:
    response = ended.accumulator.setting.response
    unknown = f"not checked: the sampler's response is unknown ({response.why})"
    return f"{ended.split}; {CHECKED if response.steps else unknown}"


def _cfg(ended: EndedHostRun) -> float | None:
    """The guider's scale; one that combines its predictions itself need not have one."""
    return None if ended.run.foreign else float(getattr(ended.run.guider, "cfg", math.nan))


def _chain(ended: EndedHostRun) -> str:
    guider, chain_run = ended.run.guider, ended.run.chain_run
    guidance = chain_run.chain if chain_run else getattr(guider, "guidance", None)
    return getattr(guidance, "text", type(guider).__name__)


def _model(ended: EndedHostRun) -> dict:
    """The MODEL, with the file of its weights, and what was put on them, where the job says which it is."""
    job, patcher = running_job(), ended.run.patcher
    name, put_on = file_of(job), [patch.words for patch in weight_patches(job, patcher)] if job else []
    return adapter.describe_model(patcher) | ({"file": name} if name else {}) | ({"on": put_on} if put_on else {})


def _negative_words() -> bool | None:
    """Whether the negative of the job was made from any words."""
    job = running_job()
    return has_words(job.prompt, job.display, "negative") if job else None


def _rules(ended: EndedHostRun) -> tuple:
    """The rules of our chain, none where another guides."""
    return ended.run.chain_run.chain.rules if ended.run.chain_run else ()


def _side_by_side(ended: EndedHostRun) -> list[Lane]:
    return [lane for rule in _rules(ended) if isinstance(rule, SideBySide) for lane in rule.lanes]


def _lanes(ended: EndedHostRun) -> dict[str, list]:
    """What each of several runs side by side was guided by, where they differ; else nothing."""
    lanes = _side_by_side(ended)
    facts = {"cfg": [float(lane.gamma) for lane in lanes], "chain": [lane.chain.text for lane in lanes]}
    return facts if any(len(set(values)) > 1 for values in facts.values()) else {}


def _latent(ended: EndedHostRun) -> dict:
    """The shape of a sample, and the one that the model was made for where it says so."""
    card = card_of(ended.run.patcher)
    native = {"native": list(card.shape)} if card and len(card.shape) == len(ended.shape) else {}
    return {
        "shape": ended.shape,
        "format": format_name(ended.run.patcher.get_model_object("latent_format")),
    } | native


FACTS: dict[str, Callable[[EndedHostRun], Any]] = {
    "latent": _latent,
    "options": lambda ended: {name: v for name, v in ended.run.options.items() if isinstance(v, int | float | str)},
    "cfg": _cfg,
    "distilled_guidance": lambda ended: adapter.distilled_guidance(ended.run.guider),
    "labels": lambda ended: adapter.labels_of(ended.run.guider, ended.batch),
    "negative": lambda ended: adapter.has_negative(ended.run.guider, _negative_words()),
    "chain": _chain,
    "model": _model,
    "beside": lambda ended: [rule.chain_text for rule in _rules(ended) if rule.sources and not rule.neutral],
    "patches": lambda ended: guidance_patches(ended.run.guider.model_options),
    "lanes": _lanes,
    "host": lambda ended: adapter.describe_host(ended.run.patcher),
    "sigma_data": lambda ended: adapter.data_deviation(ended.run.patcher),
    "split": _split,
    "notes": lambda ended: [*notes_of(ended), *advice_on(ended)],
    "advice": lambda ended: advice_on(ended),
}


def notes_of(ended: EndedHostRun) -> list[str]:
    """What a reader should know before trusting the numbers."""
    run, notes = ended.run, []
    if run.has_mask:
        notes.append(f"{MASK_NOTE}: D is the original outside it, so D - G does not come from a rule there")
    notes += [SIDE_BY_SIDE] if _lanes(ended) else []
    lost = ended.lost_draws
    notes += _about_uncond(ended)
    notes += [f"the noise of {lost} steps could not be followed: it counts as part of the move"] if lost else []
    return [*notes, *(run.chain_run.sentences() if run.chain_run else ())]


def advice_on(ended: EndedHostRun) -> list[str]:
    """What a user of a class-conditional model probably did not mean, and may do."""
    card, classes = card_of(ended.run.patcher), adapter.classes_of(ended.run.guider)
    if card is None:
        return []
    cell, sentences = card.latents.downscale, []
    if ended.shape and tuple(ended.shape) != card.shape:
        native, got = ("x".join(str(cell * side) for side in sides[1:]) for sides in (card.shape, ended.shape))
        sentences.append(OTHER_SIZE.format(name=card.name, native=native, got=got))
    if 1 < len(classes) < ended.batch:
        sentences.append(REPEATED.format(asked=len(classes), batch=ended.batch))
    return sentences


def _about_uncond(ended: EndedHostRun) -> list[str]:
    stages = [stage for stage in ended.accumulator.stage if stage != RECUR]
    count = Counter(stages)
    skipped = sum(count[stage] for stage in ("cond_only", "reuse", AFTERWARDS))
    facts = {"skipped": skipped, "cached": count[SKIP], "unseen": count[UNSEEN], "steps": len(stages)}
    by_fact = {"cached": CACHED, "unseen": OUT_OF_SIGHT}
    sentences = [sentence.format(**facts) for name, sentence in by_fact.items() if facts[name]]
    if skipped:
        sentences = [NOT_MADE.format(**facts), *_about_afterwards(ended.afterwards), *sentences]
    chains = [lane.chain.rules for lane in _side_by_side(ended)] or [_rules(ended)]
    ruled = any(not isinstance(rule, Term) for rules in chains for rule in rules)
    alone = ruled and {*stages} <= {"cond_only", AFTERWARDS} and all(scale == 1 for scale in ended.accumulator.scales)
    return [*sentences, NO_EFFECT] if alone else sentences


def _about_afterwards(summary: Mapping[str, Any]) -> list[str]:
    """What cfg 1 leaves out was looked at after the run; what a reader should know of that."""
    if not summary:
        return []
    if why := summary.get("why"):
        return [f"nor after the run: {why}"]
    steps, dropped = len(summary["steps"]), summary["dropped"]
    sentence = f"at {steps} steps it was evaluated after the run, against {summary['against']}: "
    sentence += f"{summary['evaluations']} evaluations more"
    if not dropped:
        return [sentence]
    return [
        f"{sentence}. {dropped} more were dropped: the prediction with the prompt was not the run's, so another "
        "pack answers from a cache or counts calls"
    ]


def _about_numbers(ended: EndedHostRun, header: Mapping[str, Any], columns: Mapping[str, Tensor]) -> list[str]:
    """What only the numbers of the run tell."""
    return [*_about_response(ended, columns), *_about_scale(ended, header, columns)]


def _about_response(ended: EndedHostRun, columns: Mapping[str, Tensor]) -> list[str]:
    """What a dry run said of the sampler, as far as the run bears it out."""
    run, count = ended.run, int((columns["m12"] > IDENTITY_LIMIT).any(dim=1).sum())
    if count:
        return [REFUTED.format(name=run.name, count=count_of(count, "step"))]
    excess = ended.accumulator.setting.response.excess_signal(run.flow)
    facts = {"name": run.name, "share": 100 * abs(excess), "how": "more" if excess > 0 else "less"}
    return [ASTRAY.format(**facts)] if abs(excess) > MOST_ASTRAY else []


def _about_scale(ended: EndedHostRun, header: Mapping[str, Any], columns: Mapping[str, Tensor]) -> list[str]:
    """What is not as the sampler's scale and our rules have it."""
    forward = torch.tensor([stage != RECUR for stage in ended.accumulator.stage])
    gamma, effective, across = (columns[name][forward] for name in ("gamma", *SCALES))
    if ended.run.foreign:
        unknown, name = int(gamma.isnan().sum()), type(ended.run.guider).__name__
        sentence = f"{name} combines its predictions itself: its scale is unknown in {unknown} of {len(gamma)} steps"
        return [sentence] if unknown else []
    middle, share = effective.nanmedian(dim=1).values, float(across.nan_to_num().max())
    acted = torch.where(middle.isnan(), gamma, middle)
    expected = gamma if ended.run.states_scales else torch.full_like(gamma, header["cfg"])
    alone = torch.tensor([stage == "cond_only" for stage in ended.accumulator.stage])[forward]
    known = acted.isfinite()
    unknown_scales = [] if ended.run.has_rules else _about_unknown_scales(ended, known, columns["K"][forward])
    known = known & ~alone if ended.run.chain_run else known  # where our chain asks c alone, it means to
    if ended.run.has_rules or (not share and torch.equal(acted[known], expected[known])):
        return unknown_scales
    low, high = (f"{float(end):.3g}" for end in (acted[known].min(), acted[known].max()))
    acts = f"cfg {header['cfg']:g} acts like {low}" + (f" to {high}" if high != low else "")
    aside = f", and up to {percent(share)} % of the push of a step goes across" if share else ""
    patches = f" ({'; '.join(header['patches'])})" if header.get("patches") else ""
    return [f"another node changes guidance: {acts}{aside}{patches}", *unknown_scales]


def _about_unknown_scales(ended: EndedHostRun, known: Tensor, products: Tensor) -> list[str]:
    """Steps that the host counts from zero, and those at which no scale is proved, with why.  products: K [n, B, P]"""
    stages = [stage for stage in ended.accumulator.stage if stage != RECUR]
    record = GramRecord(ended.accumulator.setting.vectors, products)
    zero, count = torch.tensor([stage == FROM_ZERO for stage in stages]), {"steps": len(stages)}
    empty = {
        name: zero & (record.square(point(v)) == 0).all(dim=1) for name, v in (("negative", "u"), ("positive", "c"))
    }
    sentences = [
        COUNTS_FROM_ZERO.format(name=name, count=int(at.sum()), **count) for name, at in empty.items() if at.any()
    ]
    finite = record.dot("D-G", "D-G").isfinite().all(dim=1)
    seen_steps = ~known & torch.tensor([stage not in (SKIP, UNSEEN) for stage in stages])
    alone = torch.tensor([stage == "cond_only" for stage in stages])
    causes = {BROKEN: ~finite, MOVED_ALONE: finite & alone, UNPROVED: finite & ~alone}
    counts = {sentence: int((seen_steps & at).sum()) for sentence, at in causes.items()}
    return [*sentences, *(sentence.format(count=number, **count) for sentence, number in counts.items() if number)]
