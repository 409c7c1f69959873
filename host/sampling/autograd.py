"""Gradients through the host's models, which live under inference mode with weights that forbid them.

The host loads its weights under torch.inference_mode, and an inference tensor stays one for good: a layer that has to
save it for its backward raises. So for the time of one forward and one backward every weight is replaced by a normal
tensor on the same memory, and put back afterwards, also when something fails in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from typing import Any, cast

import comfy.ldm.modules.attention as host_attention
import comfy.model_management
import torch
from comfy.model_patcher import ModelPatcher
from comfy.patcher_extension import copy_nested_dicts
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten

from ...guidance.vectors import gradient_mode, per_item, where_float64_is

BLOCKS = (  # of models that call further parts beside their blocks, or keep them in several lists
    "ResBlock",
    "SpatialTransformer",
    "JointBlock",
    "DoubleStreamBlock",
    "SingleStreamBlock",
    "WanAttentionBlock",
    "Block",  # of Pocket
)
OUT_OF_MEMORY = ("not enough memory", "can't allocate memory", "out of memory")  # a CPU raises a plain RuntimeError
IN_PLACE = "modified by an inplace operation"
INFERENCE = "nference tensor"  # as errors begin that speak of saving one, or of changing one in place
NO_FORMULA = "no autograd formula was registered"
OVERRIDE = "optimized_attention_override"
PLAIN = (Tensor, nn.Parameter)  # kinds of tensors that are numbers in memory and nothing else


def alias(t: Tensor) -> Tensor:
    """A normal tensor on the memory of an inference tensor, outside inference mode: no copy.

    Quantised weights stay what they are: the host's are tensors around others, other packs' have notes on them.
    """
    # An alias and not a clone: a second set of weights would not fit beside the first, and it is `set_` because views
    # of an inference tensor are inference tensors themselves.
    kind: Any = type(t)
    if hasattr(kind, "__tensor_flatten__"):
        names, how = cast(Any, t).__tensor_flatten__()
        inner = {name: alias(getattr(t, name)) for name in names}
        return kind.__tensor_unflatten__(inner, how, t.size(), t.stride())
    plain = torch.empty(0, dtype=t.dtype, device=t.device)
    plain.set_(t.untyped_storage(), t.storage_offset(), t.size(), t.stride())
    if kind in PLAIN:
        return plain
    view = plain.as_subclass(kind)
    vars(view).update(vars(t))
    return view


@contextmanager
def differentiable(module: nn.Module, *owners: Any) -> Iterator[None]:
    """Replace inference tensors and trainable ones by normal ones, frozen, while the context lasts.

    Those of a module, also the ones it keeps as plain attributes, and those of other objects. What somebody else has
    put in their place by the end stays there.
    """
    parts: list[Any] = [*module.modules()]
    own = [place for part in parts for place in (part._parameters, part._buffers, part.__dict__)]
    with gradient_mode(recording=False):  # under inference mode the aliases would be its tensors again
        held = [
            (place, name, t, nn.Parameter(alias(t), requires_grad=False) if isinstance(t, nn.Parameter) else alias(t))
            for place in (*own, *(owner.__dict__ for owner in owners))
            for name, t in place.items()
            if isinstance(t, Tensor) and (t.is_inference() or t.requires_grad)
        ]
    try:
        for place, name, _, frozen in held:
            place[name] = frozen
        yield
    finally:
        for place, name, t, frozen in held:
            if place.get(name) is frozen:
                place[name] = t


@contextmanager
def redirect_calls(stand_ins: Mapping[nn.Module, Callable]) -> Iterator[None]:
    """Modules whose calls go to something else; each has the forward that stood on it again afterwards."""
    places = [(vars(module), vars(module).get("forward")) for module in stand_ins]
    try:
        for module, stand_in in stand_ins.items():
            vars(module)["forward"] = stand_in
        yield
    finally:
        for own, before in places:
            del own["forward"]
            own.update({} if before is None else {"forward": before})


class State:
    """What a call may change beside its result: attributes of a module and its parts, dicts it is given, chance."""

    def __init__(self, module: nn.Module, dicts: Iterable[Any]):
        self.chance = torch.get_rng_state(), torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
        self.attributes = [(vars(part), dict(vars(part))) for part in module.modules()]
        self.dicts = [(one, copy_nested_dicts(one)) for one in dicts if isinstance(one, dict)]

    def restore(self) -> None:
        """Everything is again what it was."""
        for own, before in (*self.attributes, *((one, copy_nested_dicts(kept)) for one, kept in self.dicts)):
            own.clear()
            own.update(before)
        own, devices = self.chance
        torch.set_rng_state(own)
        torch.cuda.set_rng_state_all(devices)


@contextmanager
def gone_back(before: State, module: nn.Module) -> Iterator[None]:
    """Everything is for a second call what it was for the first, and afterwards what it has become since."""
    now = State(module, [one for one, _ in before.dicts])
    before.restore()
    try:
        yield
    finally:
        now.restore()


class Call:
    """One call of a part of a model: what it was asked, in which state of everything around it.

    Its tensors are cut off what they came from, which is not kept beside them. One tensor in several places of a
    question or an answer stays one: who changes it in place, as the host does with what a ControlNet says to several
    blocks, changes all of them once. tracked: what carries a gradient, until the answer is handed on. refilled: whether
    the latest answer changed what lies in the lists and dicts of the question, which were copies.
    """

    def __init__(self, part: nn.Module, function: Callable, args: tuple, named: dict):
        self.part, self.function, self.refilled = part, function, False
        leaves, self.form = tree_flatten((args, named), is_leaf=is_options)
        self.tracked = distinct(filter(is_tracked, leaves))
        self.before = State(part, leaves)
        # The caller may change its own tensors afterwards; what blocks share, as positions, lies within tuples.
        direct = [a for a in (*args, *named.values()) if isinstance(a, Tensor) and a.is_floating_point()]
        copies = {id(t): t.detach().clone() for t in distinct((*self.tracked, *direct))}
        self.leaves = [copies.get(id(leaf), leaf) for leaf in leaves]
        self.origins = [copies[id(t)] for t in self.tracked]

    def ask(self) -> tuple[Any, list[Tensor]]:
        """The answer, with its graph where one is recorded, and the tensors that it goes back to."""
        sources = [t.detach().requires_grad_() for t in self.origins]
        numbers = {id(t): t for t in distinct(self.leaves) if t.is_floating_point()}
        begin = numbers | dict(zip(map(id, self.origins), sources, strict=True))
        given = {key: t.clone() for key, t in begin.items()}  # a model may change what it is given
        leaves = [given.get(id(leaf), leaf) for leaf in self.leaves]
        args, named = tree_unflatten(leaves, self.form)
        answer = self.function(*args, **named)
        left, form = tree_flatten((args, named), is_leaf=is_options)
        self.refilled = form != self.form or any(now is not then for now, then in zip(left, leaves, strict=True))
        return answer, sources

    def ask_again(self) -> tuple[Any, list[Tensor]]:
        """Ask in the state of the first call: the answer, and the tensors that it goes back to."""
        with gone_back(self.before, self.part):
            return self.ask()

    def backwards(self, gradients: tuple[Tensor, ...]) -> tuple[Tensor | None, ...]:
        """Gradients of the question from those of the answer."""
        with torch.enable_grad():
            answer, sources = self.ask_again()
        pairs = zip(distinct(tree_leaves(answer)), gradients, strict=True)
        by_end = {end: own for end, own in pairs if end.requires_grad}
        if not by_end:
            return (None,) * len(sources)
        return torch.autograd.grad([*by_end], sources, [*by_end.values()], allow_unused=True)

    def hand_on(self, answer: Any, ends: list[Tensor]) -> Any:
        """The answer on the graph of its surroundings.  ends: tensors in it, each handed on as its own copy"""
        tracked, self.tracked = self.tracked, []
        handed = dict(zip(map(id, ends), _Answer.apply(self, ends, *tracked), strict=True))
        leaves, form = tree_flatten(answer)
        return tree_unflatten([handed.get(id(leaf), leaf) for leaf in leaves], form)


class _Answer(torch.autograd.Function):
    """Tensors of an answer, with a call's way back."""

    @staticmethod
    def forward(ctx: Any, call: Call, ends: list[Tensor], *tracked: Tensor) -> tuple[Tensor, ...]:
        ctx.call = call
        return tuple(end.detach().clone() for end in ends)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor):
        return None, None, *ctx.call.backwards(gradients)


def distinct(leaves: Iterable[Any]) -> list[Tensor]:
    """The tensors among them, each once."""
    return [*{id(leaf): leaf for leaf in leaves if isinstance(leaf, Tensor)}.values()]


def is_tracked(leaf: Any) -> bool:
    """Whether it carries a gradient."""
    return isinstance(leaf, Tensor) and leaf.requires_grad


def is_options(leaf: Any) -> bool:
    """Whether it is a MODEL's options, which networks write into on the way."""
    return isinstance(leaf, dict) and "wrappers" in leaf


def _twice(block: nn.Module, forward: Callable, *args, **named):
    """A block's answer without its graph, which is made on the way back.

    One that changes what lies in lists or dicts that it is given keeps its graph: later blocks may read there.
    """
    call = Call(block, forward, args, named)
    if not call.tracked or not torch.is_grad_enabled():
        return forward(*args, **named)
    with torch.no_grad():
        answer, _ = call.ask()
    if call.refilled:
        call.before.restore()
        return forward(*args, **named)
    return call.hand_on(answer, distinct(tree_leaves(answer)))


def blocks_of(module: nn.Module) -> list[nn.Module]:
    """Blocks known by name; else the members of the list with most weights, where transformers keep theirs."""
    if blocks := [part for part in module.modules() if type(part).__name__ in BLOCKS]:
        return blocks
    lists = [[*part] for part in module.modules() if isinstance(part, nn.ModuleList) and part is not module]
    idle = nn.ModuleList.forward  # of what cannot be called
    callable_ones = [parts for parts in lists if all(type(part).forward is not idle for part in parts)]
    return max(callable_ones, key=lambda parts: sum(w.numel() for part in parts for w in part.parameters()), default=[])


def copies_of_saved(module: nn.Module) -> saved_tensors_hooks:
    """Copies of what is saved for a backward, weights left out: who changes it in place afterwards changes no gradient.

    PyTorch's own `allow_mutation_on_saved_tensors` copies later and less, but watches every operation, and cannot hold
    what is computed again on the way back.
    """
    weights = {t.untyped_storage().data_ptr() for t in (*module.parameters(), *module.buffers()) if type(t) in PLAIN}

    def pack(t: Tensor) -> Tensor:
        return t if type(t) not in PLAIN or t.untyped_storage().data_ptr() in weights else t.clone()

    return saved_tensors_hooks(pack, lambda t: t)


@contextmanager
def normal(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Outside inference mode, on weights that allow gradients: what is kept in here may meet a graph later."""
    with gradient_mode(recording=False), differentiable(nn.ModuleList(modules)):
        yield


@contextmanager
def graph(module: nn.Module, recompute: bool) -> Iterator[None]:
    """What a forward and a backward need beside normal weights.

    recompute: keep only what enters the blocks, and compute their insides again on the way back.
    """
    with ExitStack() as stack:
        stack.enter_context(torch.enable_grad())
        stack.enter_context(_training())
        if recompute:
            stack.enter_context(redirect_calls({one: partial(_twice, one, one.forward) for one in blocks_of(module)}))
        yield


@contextmanager
def _training() -> Iterator[None]:
    """Newer hosts have fused operations without a backward, and leave them out where they train."""
    manager: Any = comfy.model_management
    before = getattr(manager, "in_training", None)
    if before is None:
        yield
        return
    manager.in_training = True
    try:
        yield
    finally:
        manager.in_training = before


class DifferentiableAttention:
    """Stands for a model's attention, and lets PyTorch's replace one without a backward: the same but for rounding.

    function: another pack's, None where the host's is in force. pytorch: PyTorch's from the start, since some kernels
    fail on the way back only. in_use: whether the model asks here at all. lacking: names of those without a backward.
    """

    def __init__(self, function: Callable | None, pytorch: bool):
        self.function, self.pytorch = function, pytorch
        self.in_use, self.lacking = False, dict[str, None]()

    def __call__(self, hosts: Callable, *args, **named) -> Tensor:
        """Attention as the model asks for it.  hosts: what the host would use."""
        self.in_use = True
        if not self.pytorch:
            out = hosts(*args, **named) if self.function is None else self.function(hosts, *args, **named)
            # A kernel without a backward raises nothing: its result has simply forgotten the graph.
            if out.requires_grad or not any(isinstance(t, Tensor) and t.requires_grad for t in args):
                return out
            self.lacking[getattr(self.function or hosts, "__name__", "the attention in force")] = None
        return host_attention.attention_pytorch(*args, **named)


def hosts_without_backward() -> str | None:
    """Name of the attention that the host uses where nobody chooses another, if it has no backward."""
    attention = host_attention.optimized_attention
    return getattr(attention, "__name__", "the attention in force") if _forgets(attention) else None


@cache
def _forgets(attention: Callable) -> bool:
    device = comfy.model_management.get_torch_device()
    kind = torch.float32 if device.type == "cpu" else torch.float16
    with gradient_mode():
        q = torch.zeros(1, 64, 64, device=device, dtype=kind, requires_grad=True)
        return not attention(q, q, q, 1).requires_grad


def without_underflow(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:  # [B, ...] -> [B, ...]
    """function(x), whose way back keeps small gradients: half precision knows none below 6e-8.

    Every sample's gradient enters with a largest element of 0.5 to 1 and leaves at its own size. Both are products
    with a power of two, which single precision does without rounding.
    """
    within = x.view_as(x)  # a node of its own for the hook: x itself gathers gradients from elsewhere too
    result = function(within)
    if not (x.requires_grad and result.requires_grad):
        return result
    sizes: list[Tensor] = []

    def enter(gradient: Tensor) -> Tensor:
        sizes[:] = [power_of_two(gradient)]
        return gradient / per_item(sizes[0], gradient)

    result.register_hook(enter)
    within.register_hook(lambda gradient: gradient * per_item(sizes[0].to(gradient), gradient))
    return result


def power_of_two(gradient: Tensor) -> Tensor:  # [B, ...] -> [B]
    """The next power of two above each sample's largest element; 1 where that is 0 or no number."""
    largest = where_float64_is(gradient.flatten(1).abs().amax(dim=1)).nan_to_num(0.0, 0.0, 0.0)  # MPS has no frexp
    return torch.ldexp(torch.ones_like(largest), torch.frexp(largest).exponent)


def pages_weights(patcher: ModelPatcher) -> bool:
    """Whether a newer host pages this MODEL's weights in and out by itself: saved tensors would point at nothing."""
    return bool(getattr(patcher, "is_dynamic", bool)())


def staying(patcher: Any) -> ModelPatcher | None:  # a later host's MODEL knows more than a ModelPatcher
    """A MODEL, or VAE's, with weights that stay in place, itself where they do; None if there is no file of it.

    A host that pages weights loads the file a second time for this, and keeps it with the MODEL.
    """
    if not pages_weights(patcher):
        return patcher
    if getattr(patcher, "cached_patcher_init", None) is None:
        return None
    delegate = getattr(patcher, "get_non_dynamic_delegate", None)
    return delegate() if delegate else patcher.clone(disable_dynamic=True)


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on any device."""
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    return any(words in str(error).lower() for words in OUT_OF_MEMORY)
