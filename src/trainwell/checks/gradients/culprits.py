"""Which module's backward pass does not belong to its forward pass.

A wrong backward pass spoils the gradients of everything before it. So modules are looked at one by
one: each alone, on the inputs that it has in the network, against its own centred differences.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import BackwardCFunction
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from trainwell.checks.gradients.batch_loss import BatchLoss
from trainwell.checks.gradients.central_difference import Comparer, Problem
from trainwell.checks.gradients.double_precision import Replay
from trainwell.checks.gradients.report import GradientOf
from trainwell.checks.gradients.search import examine
from trainwell.errors import TrainwellError

LOSS = "the loss"
CUTTING = {
    torch.Tensor.detach: "detach()",
    torch.Tensor.detach_: "detach_()",
    torch.Tensor.item: "item()",
    torch.Tensor.tolist: "tolist()",
    torch.Tensor.numpy: "numpy()",
    torch.Tensor.data.__get__: ".data",  # pyright: ignore[reportAttributeAccessIssue]
}


@dataclass(frozen=True)
class Culprit:
    """A module whose backward pass is wrong.

    Attributes:
        name: Of the module within the model; empty for the model itself.
        kind: Name of its class.
        functions: Custom `autograd.Function`s that it calls itself, by name.
        cuts: What it calls that takes tensors out of the graph, such as `"detach()"`.
        has_hooks: Whether a backward hook changes its gradients.
        wrong: Gradients that differ, of its parameters and of its inputs (`"input 0"`).
        is_surrogate: Whether its output does not change at all where a gradient is given: steps
            with the gradient of something else, as in straight-through estimators.
    """

    name: str
    kind: str
    functions: tuple[str, ...]
    cuts: tuple[str, ...]
    has_hooks: bool
    wrong: tuple[GradientOf, ...]
    is_surrogate: bool


@dataclass
class Call:
    """How a module was called, and what custom functions it called itself."""

    name: str
    kind: str
    module: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    functions: set[str] = field(default_factory=set)


class Cuts(TorchFunctionMode):
    """Context that notes what takes tensors out of the graph.

    Attributes:
        noted: Such as `"detach()"`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.noted: set[str] = set()

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        if func in CUTTING:
            self.noted.add(CUTTING[func])
        elif not torch.is_grad_enabled():
            self.noted.add("no_grad()")
        return func(*args, **(kwargs or {}))


def record_calls(task: BatchLoss, replay: Replay) -> tuple[list[Call], dict[str, int]]:
    """How modules that may be wrong are called, and in which order all modules end.

    Args:
        task: Evaluated once.
        replay: Of its modules.

    Returns:
        The first call of each, children before what holds them, the loss last; by name of a module
        its turn.
    """
    calls: dict[str, Call] = {}
    turns: dict[str, int] = {}
    seen: set[Any] = set()

    def watch(name: str, module: nn.Module) -> None:
        def enter(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if name not in calls and has_own_backward(module):
                calls[name] = Call(name, name_of(module), module, _detach(args), _detach(kwargs))

        def leave(_: nn.Module, args: Any, output: Any) -> None:
            turns.setdefault(name, len(turns))
            if name in calls:
                calls[name].functions |= find_functions(output, seen)

        handles.append(module.register_forward_pre_hook(enter, with_kwargs=True))
        handles.append(module.register_forward_hook(leave))

    handles: list[RemovableHandle] = []
    for name, module in task.model.named_modules():
        watch(name, module)
    try:
        replay.rewind()
        with torch.enable_grad():
            outputs, value = task.with_gradient().measure()
    finally:
        for handle in handles:
            handle.remove()
    functions = find_functions(value, seen)
    of_loss = Call(LOSS, name_of(task.loss), task.loss_of, (_detach(outputs),), {}, functions)
    turns[LOSS] = len(turns)
    return [*sorted(calls.values(), key=lambda call: turns[call.name]), of_loss], turns


def find_functions(outputs: Any, seen: set[Any]) -> set[str]:
    """Names of the custom functions in the graph of the outputs.

    Args:
        outputs: Tensors, within tuples, lists and dicts too.
        seen: Nodes of the graph that were met before; those met now are added.
    """
    found: set[str] = set()
    waiting = [tensor.grad_fn for tensor in tensors_in(outputs).values() if tensor.grad_fn]
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        if isinstance(node, BackwardCFunction):
            made_by = getattr(node, "_forward_cls", type(node))
            if not made_by.__module__.startswith("torch."):
                found.add(made_by.__name__)
        waiting += [before for before, _ in node.next_functions if before is not None]
    return found


def find_culprits(
    calls: Sequence[Call], replay: Replay, allowed: float, step_size: float, seed: int
) -> list[Culprit]:
    """Modules whose own backward pass is wrong, in the order of the calls.

    A module that holds another culprit is none: it is wrong because of that one.

    Args:
        calls: As `record_calls` gives them, of those modules that are to be looked at.
        replay: Of the model.
        allowed: Relative error that passes.
        step_size: Of the differences.
        seed: Of the directions.
    """
    culprits: list[Culprit] = []
    for call in calls:
        if any(_is_within(culprit.name, call) for culprit in culprits):
            continue
        with contextlib.suppress(TrainwellError):
            found = _examine_call(call, replay, allowed, step_size, seed)
            if found is not None:
                culprits.append(found)
    return culprits


def _is_within(name: str, call: Call) -> bool:
    if call.name == LOSS or name == LOSS:
        return False
    return call.name == "" or name.startswith(f"{call.name}.")


def _examine_call(
    call: Call, replay: Replay, allowed: float, step_size: float, seed: int
) -> Culprit | None:
    problem = isolate(call, replay, seed)
    if not problem.tensors:
        return None
    comparer = Comparer(problem, step_size, seed)
    wrong = [
        one for one in examine(comparer, dimensions=4, allowed=allowed) if one.outcome == "differs"
    ]
    if not wrong:
        return None
    replay.rewind()
    args, kwargs = _copy((call.args, call.kwargs))
    with Cuts() as cuts, torch.enable_grad():
        call.module(*args, **kwargs)
    module = call.module
    is_flat = all(not _moves(one) and one.comparison.analytic for one in wrong)
    return Culprit(
        call.name,
        call.kind,
        tuple(sorted(call.functions)),
        tuple(sorted(cuts.noted)),
        _has_hooks(module),
        tuple(wrong),
        is_flat,
    )


def name_of(function: Callable[..., Any]) -> str:
    """What a reader knows a module or function by: of `MyFunction.apply` the class."""
    owner = getattr(function, "__self__", None)
    if isinstance(owner, type):
        return owner.__name__
    return getattr(function, "__name__", type(function).__name__)


def _moves(gradient: GradientOf) -> bool:
    comparison = gradient.comparison
    return abs(comparison.numeric) > comparison.rounding


def isolate(call: Call, replay: Replay, seed: int) -> Problem:
    """A module alone: its outputs, weighted at random, by its inputs and parameters.

    Args:
        call: Of the module.
        replay: Makes all calls alike.
        seed: Of the weights.
    """
    inputs = {
        f"input {place}": tensor.requires_grad_()
        for place, tensor in enumerate(tensors_in((call.args, call.kwargs)).values())
        if tensor.is_floating_point() and tensor.numel()
    }
    parameters: dict[str, Tensor] = {}
    if isinstance(call.module, nn.Module):
        parameters = {n: p for n, p in call.module.named_parameters() if p.requires_grad}

    def compute() -> Tensor:
        replay.rewind()
        # A copy: what works in place must not work on the leaves.
        args, kwargs = _copy((call.args, call.kwargs))
        return project(call.module(*args, **kwargs), seed)

    return Problem({**inputs, **parameters}, compute)


def project(outputs: Any, seed: int) -> Tensor:
    """One number of all outputs: their sum with random weights, the same each time."""
    generator = torch.Generator().manual_seed(seed)
    terms = [
        (tensor * torch.randn(tensor.shape, generator=generator).to(tensor)).sum()
        for tensor in tensors_in(outputs).values()
        if tensor.is_floating_point()
    ]
    return torch.stack(terms).sum() if terms else torch.zeros((), dtype=torch.float64)


def tensors_in(values: Any) -> Mapping[int, Tensor]:
    """All tensors within tuples, lists and dicts, numbered in their order."""
    return dict(enumerate(_walk(values)))


def _walk(values: Any) -> Iterator[Tensor]:
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, tuple | list):
        for value in values:
            yield from _walk(value)
    elif isinstance(values, dict):
        yield from _walk(list(values.values()))


def _map(values: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(values, Tensor):
        return change(values)
    if isinstance(values, tuple) and hasattr(values, "_fields"):
        return type(values)(*(_map(value, change) for value in values))
    if isinstance(values, tuple | list):
        return type(values)(_map(value, change) for value in values)
    if isinstance(values, dict):
        return {name: _map(value, change) for name, value in values.items()}
    return values


def _detach(values: Any) -> Any:
    return _map(values, lambda tensor: tensor.detach().clone())


def _copy(values: Any) -> Any:
    return _map(values, lambda tensor: tensor.clone())


def has_own_backward(module: nn.Module) -> bool:
    """Whether its backward pass can be wrong: it is not PyTorch's own, or has hooks."""
    return _has_hooks(module) or not type(module).__module__.startswith("torch.")


def _has_hooks(module: object) -> bool:
    return any(getattr(module, name, None) for name in ("_backward_hooks", "_backward_pre_hooks"))
