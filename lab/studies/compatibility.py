"""Every kind of model against everything that this pack does with one: the table of docs/compatibility.md.

`python lab compatibility` prints it. A column is a name and a function that raises where it does not hold; what each
means is on the page.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from ...dev.fixtures.subjects import Subject, every_subject
from ...dev.inside import enter_host
from ..command_line import parser_of
from ..markdown import bullets, table

STEPS, SEED, CFG = 3, 7, 3.0
PUSH = 0.001  # gamma of a gradient: small, since the slope of a random network holds for a short way only
CLOSE = {"float16": 5e-3, "bfloat16": 0.1, "float8_e4m3fn": 0.2}  # distance from float32, over the sample's rms


class CannotExistError(Exception):
    """This question makes no sense for this model; the message says why."""


def sample_ours(subject: Subject, model: Any, latent: dict, **more: Any) -> tuple[Tensor, Any]:
    """Our sampler: the sample, the trace."""
    from ...nodes.sampling import GGGuidedSampler

    given = {"cfg": CFG, "sampler_name": "euler", "scheduler": "simple", **more}
    positive, negative = given.pop("conditions", None) or (subject.positive(model), subject.negative(model))
    given |= {"positive": positive, "negative": negative, "latent_image": dict(latent)}
    out = GGGuidedSampler.execute(model, SEED, STEPS, **given).args
    return join_parts(out[0]["samples"]), out[2]


def hosts(subject: Subject, model: Any, latent: dict, cfg: float = CFG, conditions: tuple | None = None) -> Tensor:
    """The host's KSampler on the same."""
    return join_parts(hosts_latent(subject, model, latent, cfg, conditions)["samples"])


def insist_same(subject: Subject, model: Any, latent: dict, conditions: tuple | None = None) -> Tensor:
    """Our sampler gives the host's bits; returns them."""
    cfg = scale_of(subject)
    theirs = hosts(subject, model, latent, cfg, conditions)
    insist(torch.equal(sample_ours(subject, model, latent, cfg=cfg, conditions=conditions)[0], theirs), "bits differ")
    return theirs


def hosts_latent(subject: Subject, model: Any, latent: dict, cfg: float, conditions: tuple | None = None) -> dict:
    """LATENT of the host's own sampling node."""
    both = conditions or (subject.positive(model), subject.negative(model))
    return host_nodes().common_ksampler(model, SEED, STEPS, cfg, "euler", "simple", *both, dict(latent))[0]


def join_parts(samples: Any) -> Tensor:
    """A sample as one tensor: the parts of a nested one side by side."""
    from ...host.models.adapter import parts_of

    parts = parts_of(samples)
    return torch.cat([part.flatten(1) for part in parts], dim=1) if len(parts) > 1 else samples


def host_nodes() -> Any:
    """The host's module of that name; this pack has one too."""
    return import_module("nodes")


def version() -> str:
    """Of the host."""
    return import_module("comfyui_version").__version__


def scale_of(subject: Subject) -> float:
    """The cfg to ask at: 1 where there is nothing to guide away from."""
    return CFG if "unconditional" in subject.has else 1.0


def same_pixels(subject: Subject) -> None:
    """Our sampler against the host's, every bit."""
    model = subject.make(torch.float32)
    insist_same(subject, model, subject.latent(model, 2))


def check_record(subject: Subject) -> None:
    """Any KSampler, behind Record Guidance: the same bits, and every step."""
    from ...nodes.records import GGReadTrace, GGRecord

    model, cfg = subject.make(torch.float32), scale_of(subject)
    latent = subject.latent(model, 2)
    tapped, recorder = GGRecord.execute(model).args
    out = hosts_latent(subject, tapped, latent, cfg)
    insist(torch.equal(join_parts(out["samples"]), hosts(subject, model, latent, cfg)), "bits differ")
    trace = GGReadTrace.execute(recorder, out)[0]
    insist(trace.n == STEPS, f"{trace.n} of {STEPS} steps recorded")
    insist(not trace.header.get("faults"), "; ".join(trace.header.get("faults") or []))


def adds_up(subject: Subject) -> None:
    """The trace's own checks."""
    from ...trace.checks import check

    model = subject.make(torch.float32)
    trace = sample_ours(subject, model, subject.latent(model, 2), cfg=scale_of(subject))[1]
    found = [fault for one in (trace, *trace.parts.values()) for fault in check(one)]
    insist(not found, "; ".join(map(str, found)))


def rules(subject: Subject) -> None:
    """Every rule node, in a run of its own."""
    from ...dev.fixtures.rule_nodes import active_chain
    from ...extension import nodes_in

    need_unconditional(subject)
    model = subject.make(torch.float32)
    latent = subject.latent(model, 1)
    wires = {"MODEL": model.clone(), "CONDITIONING": subject.positive(model)}
    for node in nodes_in("rules"):
        chain = active_chain(node, wires)
        try:
            found = sample_ours(subject, model, latent, guidance=chain)[0]
        except ValueError as refusal:
            insist(chain.embeds and "embedding" in str(refusal), str(refusal))  # a model that reads none
            continue
        insist(bool(found.isfinite().all()), f"{chain.text}: not finite")


def gradient_by(evaluation: str) -> Callable[[Subject], None]:
    """A gradient that darkens the sample, by one way of evaluating it."""

    def ask(subject: Subject) -> None:
        model = subject.make(torch.float32)
        latent = one_frame(subject.latent(model, 2))
        plain = sample_ours(subject, model, latent, cfg=1.0)[0]
        try:
            kept, pushed = (sample_with_gradient(weight, evaluation, subject, model, latent) for weight in (0.0, PUSH))
        except ValueError as refusal:
            if "parts" in subject.has:
                raise CannotExistError(str(refusal)) from refusal
            raise
        insist(torch.equal(kept, plain), "weight 0 changes bits")
        insist(bool(pushed.isfinite().all()), "not finite")
        insist(bool((energy_of(pushed) > energy_of(plain)).all()), "the energy does not rise")

    return ask


def sample_with_gradient(weight: float, evaluation: str, subject: Subject, model: Any, latent: dict) -> Tensor:
    """A sample with a gradient of this weight."""
    from ...guidance.chain import PLAIN
    from ...guidance.gradients.term import GradientTerm

    term = GradientTerm(Small(), weight=weight, evaluation=evaluation)
    return sample_ours(subject, model, latent, cfg=1.0, guidance=PLAIN.then(term))[0]


def one_frame(latent: dict) -> dict:
    """Energies read single pictures, so a video is asked for one."""
    samples = latent["samples"]
    return {**latent, "samples": samples[:, :, :1] if getattr(samples, "ndim", 4) == 5 else samples}


class Small:
    """log p = -|x|^2 / 2 per element, of whatever it is shown: it makes samples smaller."""

    text, noise_aware, classifiers = "small", False, ()

    def log_prob(self, x: Tensor, at: Any = None) -> Tensor:  # [B, ...] -> [B]
        """The energy."""
        return energy_of(x)


def energy_of(x: Tensor) -> Tensor:  # [B, ...] -> [B]
    """-|x|^2 / 2, mean over elements."""
    return -0.5 * x.float().square().flatten(1).mean(dim=1)


def check_pictures(subject: Subject) -> None:
    """Pictures of a trace without a VAE: pixels, or the host's preview colours."""
    from ...host.editor.panel_record import keep_pictures as pictures

    model = subject.make(torch.float32)
    _, trace = sample_ours(subject, model, subject.latent(model, 2), cfg=scale_of(subject))
    kept: list[bytes] = []

    def keep(data: bytes, ending: str) -> dict:
        kept.append(data)
        return {"filename": f"{len(kept)}{ending}"}

    note = pictures(trace, None, 3, keep).get("note")
    insist(len(kept) == STEPS, note or f"{len(kept)} of {STEPS} steps shown")


def check_mask(subject: Subject) -> None:
    """Inpainting, every bit."""
    model = subject.make(torch.float32)
    latent = subject.latent(model, 2)
    latent = {**latent, "samples": latent["samples"] + 0.25, "noise_mask": half_masks(latent["samples"])}
    try:
        insist_same(subject, model, latent)
    except AttributeError as fault:
        if "parts" not in subject.has:
            raise
        raise CannotExistError(f"ComfyUI {version()} takes no mask of several parts; newer ones do") from fault


def half_masks(samples: Any) -> Any:
    """A mask that keeps the left half, of each part."""
    from ...host.models.adapter import parts_of

    parts = parts_of(samples)
    masks = [
        (torch.arange(part.shape[-1]) >= part.shape[-1] // 2).float().expand(1, 1, *part.shape[2:]) for part in parts
    ]
    return type(samples)(masks) if len(parts) > 1 else masks[0]


def check_controlnet(subject: Subject) -> None:
    """A ControlNet of the host, every bit."""
    from ...dev.fixtures.tiny_families import TinyVAE, control_net

    fitting = [trait.split()[1] for trait in subject.has if trait.startswith("control ")]
    if not fitting:
        raise CannotExistError("the host has no ControlNet for it")
    model = subject.make(torch.float32)
    latent = subject.latent(model, 2)
    hint = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(5))
    plain, net = (subject.positive(model), subject.negative(model)), control_net(name=fitting[0])
    apply = host_nodes().ControlNetApplyAdvanced().apply_controlnet
    both = apply(*plain, net, hint, 1.0, 0.0, 1.0, vae=TinyVAE() if fitting == ["SD3"] else None)
    theirs = insist_same(subject, model, latent, both)
    insist(not torch.equal(theirs, hosts(subject, model, latent)), "the ControlNet does nothing")


def check_patch(subject: Subject) -> None:
    """A weight patch, as a LoRA is one: every bit, and it acts."""
    need_weights(subject)
    model, cfg = subject.make(torch.float32), scale_of(subject)
    latent = subject.latent(model, 2)
    clone = model.clone()
    state = model.model.state_dict()
    keys = [key for key, weight in state.items() if key.startswith("diffusion_model.") and weight.ndim == 2]
    clone.add_patches({key: ("diff", (0.5 * state[key].roll(1, 0),)) for key in keys})
    theirs = insist_same(subject, clone, latent)
    insist(not torch.equal(theirs, hosts(subject, model, latent, cfg)), "the patch does nothing")


def check_precision(dtype: torch.dtype) -> Callable[[Subject], None]:
    """Weights in half precision: the host's bits, and near the run in float32."""

    def ask(subject: Subject) -> None:
        need_weights(subject)
        cfg, model = scale_of(subject), subject.make(dtype)
        latent = subject.latent(model, 2)
        found = insist_same(subject, model, latent)
        full = sample_ours(subject, subject.make(torch.float32), latent, cfg=cfg)[0]
        away = float((found - full).square().mean().sqrt() / full.square().mean().sqrt())
        insist(away <= CLOSE[str(dtype).removeprefix("torch.")], f"{away:.2g} of the sample's size away from float32")

    return ask


def check_batch(subject: Subject) -> None:
    """The items of a batch, each alone from its own noise."""
    import comfy.sample

    model, cfg = subject.make(torch.float32), scale_of(subject)
    latent = subject.latent(model, 2)["samples"]
    noise = comfy.sample.prepare_noise(latent, SEED)
    both = (subject.positive(model), subject.negative(model))

    def alone(part: slice) -> Tensor:
        given = (STEPS, cfg, "euler", "simple", *both, latent[part])
        return join_parts(comfy.sample.sample(model, noise[part], *given, disable_pbar=True, seed=SEED))

    together, single = alone(slice(None)), torch.cat([alone(slice(i, i + 1)) for i in range(2)])
    error = float((together - single).abs().max() / single.abs().max())
    insist(error <= 1e-4, f"{error:.1e} of the largest value apart")


def need_parts(subject: Subject) -> None:
    """Old hosts sample one tensor."""
    if "parts" in subject.has and find_spec("comfy.nested_tensor") is None:
        raise CannotExistError(f"ComfyUI {version()} has no latents of several parts")


def need_unconditional(subject: Subject) -> None:
    """Rules act on the difference of two predictions."""
    if "unconditional" not in subject.has:
        raise CannotExistError("it has no prediction without a condition, so there is no difference to guide along")


def need_weights(subject: Subject) -> None:
    """A formula has none."""
    if "weights" not in subject.has:
        raise CannotExistError("it is a formula, without weights")


def insist(holds: bool, why: str) -> None:
    """Raise ValueError with the cause where something does not hold."""
    if not holds:
        raise ValueError(why)


COLUMNS: dict[str, Callable[[Subject], None]] = {
    "KSampler": same_pixels,
    "recorded": check_record,
    "identity": adds_up,
    "rules": rules,
    "x0 gradient": gradient_by("x0"),
    "backprop": gradient_by("x0 + backprop"),
    "pictures": check_pictures,
    "mask": check_mask,
    "ControlNet": check_controlnet,
    "LoRA": check_patch,
    "fp16": check_precision(torch.float16),
    "bf16": check_precision(torch.bfloat16),
    "fp8": check_precision(torch.float8_e4m3fn),
    "batch 2": check_batch,
}


def answer(column: str, subject: Subject) -> tuple[str, str]:
    """Ask one question of one kind of model: yes, no or a dash, and why."""
    try:
        need_parts(subject)
        COLUMNS[column](subject)
    except CannotExistError as reason:
        return "\u2013", str(reason)
    except Exception as fault:  # noqa: BLE001  whatever went wrong is a cause for the page
        return "**no**", f"{type(fault).__name__}: {' '.join(str(fault).split())[:300]}"
    return "yes", ""


def main() -> None:
    """Print the table, and the causes of what is not yes."""
    parser = parser_of(__doc__)
    parser.add_argument("--columns", nargs="*", choices=COLUMNS, default=[*COLUMNS])
    given = parser.parse_args()
    enter_host(given.host)
    logging.disable(logging.CRITICAL)
    torch.set_num_threads(1)
    with torch.inference_mode():
        found = {one.name: {column: answer(column, one) for column in given.columns} for one in every_subject()}
    rows = [[name, *(word for word, _ in answers.values())] for name, answers in found.items()]
    print(table(" | ".join(["model", *given.columns]), rows), "\n## Causes\n", sep="\n")
    causes: dict[str, list[str]] = {}
    for name, answers in found.items():
        for column, (word, why) in answers.items():
            if why:
                causes.setdefault(f"{word} {column}: {why.rstrip('.')}", []).append(name)
    print(bullets(f"{why}. ({'; '.join(names)})" for why, names in sorted(causes.items())))


if __name__ == "__main__":
    main()
