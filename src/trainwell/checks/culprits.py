"""Which module's backward pass does not belong to its forward pass.

A wrong backward pass spoils the gradients of everything before it. So modules are looked at one by
one: each alone, on the inputs that it has in the network, against its own centred differences.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import BackwardCFunction
from torch.overrides import TorchFunctionMode

from trainwell.checks.central_difference import Comparer, Problem
from trainwell.checks.double_precision import Replay
from trainwell.checks.gradient_report import GradientOf
from trainwell.checks.gradient_search import examine
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
    module: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    functions: set[str] = field(default_factory=set)


class Cuts(TorchFunctionMode):
    """Context that notes what takes tensors out of the graph."""

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


def record_calls(
    model: nn.Module, inputs: tuple[Any, ...], loss: Callable[[Any], Tensor]
) -> list[Call]:
    """The first call of each module and of the loss, children before their parents.

    Args:
        model: Run once.
        inputs: Its arguments.
        loss: Of the model's outputs.
    """
    calls: dict[nn.Module, Call] = {}
    finished: list[Call] = []
    seen: set[Any] = set()

    def enter(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if module not in calls:
                calls[module] = Call(name, module, _detach(args), _detach(kwargs))

        return hook

    def leave(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        call = calls[module]
        call.functions |= _new_functions(output, seen)
        if call not in finished:
            finished.append(call)

    handles = []
    for name, module in model.named_modules():
        handles.append(module.register_forward_pre_hook(enter(name), with_kwargs=True))
        handles.append(module.register_forward_hook(leave, with_kwargs=True))
    try:
        with torch.enable_grad():
            outputs = model(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    with torch.enable_grad():
        value = loss(outputs)
    of_loss = Call(LOSS, loss, (_detach(outputs),), {}, _new_functions(value, seen))
    return [*finished, of_loss]


def _new_functions(outputs: Any, seen: set[Any]) -> set[str]:
    """Names of the custom functions in the graph of the outputs that were not met before."""
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
    with Cuts() as cuts, torch.enable_grad():
        problem.compute()
    module = call.module
    is_flat = all(not _moves(one) and one.comparison.analytic for one in wrong)
    return Culprit(
        call.name,
        type(module).__name__
        if isinstance(module, nn.Module)
        else getattr(module, "__name__", type(module).__name__),
        tuple(sorted(call.functions)),
        tuple(sorted(cuts.noted)),
        bool(getattr(module, "_backward_hooks", None) or getattr(module, "_backward_pre_hooks", 0)),
        tuple(wrong),
        is_flat,
    )


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


def is_own_code(call: Call) -> bool:
    """Whether the backward pass can be wrong: it is not PyTorch's own, or has hooks."""
    kind = type(call.module)
    if kind is type(LOSS) or inspect.isfunction(call.module):
        return True
    has_hooks = getattr(call.module, "_backward_hooks", None) or getattr(
        call.module, "_backward_pre_hooks", None
    )
    return bool(has_hooks) or not kind.__module__.startswith("torch.")
