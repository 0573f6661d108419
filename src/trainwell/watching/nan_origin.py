"""Where the first value that is not finite came from: rolls back, runs again, and looks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from trainwell.tracing.origin import Origin
from trainwell.tracing.search import name_batch
from trainwell.tracing.tensors import count_rows, first_tensor, is_finite
from trainwell.tracing.tracing import Pass, Trace, trace
from trainwell.watching.batch_ring import SeenBatch
from trainwell.watching.growth import find_grown_parameter, measure_growth
from trainwell.watching.history import NanOrigin
from trainwell.watching.loss_poles import name_poles
from trainwell.watching.passes import run_eagerly
from trainwell.watching.reliving import relive
from trainwell.watching.snapshots import State
from trainwell.watching.undisturbed import replicate, untouched_randomness

_EVERY_DAY = frozenset((
    "linear", "matmul", "mm", "bmm", "add", "sub", "mul", "conv1d", "conv2d", "conv3d",
    "square", "pow", "mse_loss", "sum", "mean", "relu", "binary_cross_entropy_with_logits",
    "cross_entropy", "baddbmm", "addmm", "einsum",
))  # fmt: skip
"""What overflows when weights have grown, and hardly else."""


@dataclass(frozen=True)
class Broken:
    """A training whose loss was not finite.

    Attributes:
        model: As it is now, maybe spoilt by an update.
        optimizer: Of torch, or anything.
        loss_fn: None where unknown.
        batches: The last ones, newest first.
        state: To roll back to; None where none was kept.
        step: Whose loss was not finite, from 0.
        loss: Of that step, a tensor or a number.
        losses: `(step, loss)` in order.
        rates: `(step, learning rate)`, likewise.
        first_sizes: Root mean square of each weight at the start.
    """

    model: nn.Module
    optimizer: Any
    loss_fn: Callable[..., Any] | None
    batches: Sequence[SeenBatch]
    state: State | None
    step: int
    loss: Any
    losses: Sequence[tuple[int, float]]
    rates: Sequence[tuple[int, float]]
    first_sizes: Mapping[str, float]


def find_nan_origin(broken: Broken) -> NanOrigin:
    """Names the rows, the operation, the parameter or the rate that was the first.

    First the batch whose loss was not finite is run again on the newest good weights, then the
    one before it, whose update may have spoilt them; where both are finite, training is repeated
    from the snapshot until it breaks.
    """
    if any(step <= broken.step and not math.isfinite(rate) for step, rate in broken.rates[-64:]):
        return NanOrigin(broken.step, Origin("rate"))
    with untouched_randomness():
        found = _run_again(broken)
    if found is None:
        found = _look_at_batch(broken)
    if found is None:
        spoilt = [name for name, p in broken.model.named_parameters() if not is_finite(p)]
        found = NanOrigin(broken.step, Origin("weights", place=spoilt[0]) if spoilt else None)
    if found.growth is None and (found.origin is None or found.origin.kind == "weights"):
        found = replace(found, growth=measure_growth(broken.losses))
    return found


def _look_at_batch(broken: Broken) -> NanOrigin | None:
    """What is not finite in the batch itself, of a model that cannot be run again."""
    for batch in broken.batches[:1]:
        made = batch.as_pass(None)
        named = name_batch(made.inputs, made.targets, count_rows(made.inputs))
        for origin in named.values():
            return NanOrigin(broken.step, origin)
    return None


def _run_again(broken: Broken) -> NanOrigin | None:
    replica = replicate(broken.model)
    if replica is None or not broken.batches:
        return None
    if broken.state is not None:
        replica.load_state_dict(dict(broken.state))
    elif not all(map(is_finite, replica.parameters())):
        return None
    start = {name: v.detach().clone() for name, v in replica.state_dict().items()}
    passes = [batch.as_pass(broken.loss_fn) for batch in broken.batches]
    with run_eagerly(broken.model):
        origin = Trace(replica, passes[0]).forward
        if origin is not None:
            return _judge(broken, origin, replica)
        for batch, made in zip(broken.batches[1:], passes[1:], strict=True):
            replica.load_state_dict(start)
            origin = trace(replica, made)
            if origin is not None:
                return _judge(broken, origin, replica, spoilt_at=batch.step)
        if broken.state is not None and broken.loss_fn is not None:
            relived = relive(broken.model, broken.optimizer, start, passes[::-1])
            if relived is not None:
                return _judge(broken, *relived)
        replica.load_state_dict(start)
        return _name_loss(broken, replica, passes[0])


def _judge(
    broken: Broken, origin: Origin, model: nn.Module, spoilt_at: int | None = None
) -> NanOrigin:
    """A plain operation that overflows after the loss has grown is no fault of its own."""
    growth = measure_growth(broken.losses) if _is_everyday(origin) else None
    if growth is not None:
        name, factor = find_grown_parameter(model, broken.first_sizes)
        growth = replace(growth, parameter=name, factor=factor)
        origin = replace(origin, rows=())
    spoilt = _name_spoilt(model) if origin.kind == "gradient" else ()
    return NanOrigin(broken.step, origin, spoilt_at, spoilt, growth)


def _name_spoilt(model: nn.Module) -> tuple[str, ...]:
    found = [(name, p.grad) for name, p in model.named_parameters()]
    return tuple(name for name, grad in found if grad is not None and not is_finite(grad))


def _is_everyday(origin: Origin) -> bool:
    if origin.half or origin.kind not in ("operation", "gradient"):
        return False
    return origin.overflows and (origin.operation in _EVERY_DAY or origin.repeats > 3)


def _name_loss(broken: Broken, replica: nn.Module, made: Pass) -> NanOrigin | None:
    """Of a loss that cannot be computed again, the operations that its graph remembers."""
    if broken.loss_fn is not None and made.targets is not None:
        return None
    if measure_growth(broken.losses) is not None:
        return None
    with made.context(), torch.enable_grad():
        outputs = first_tensor(made.run(replica))
    names = name_poles(broken.loss, outputs)
    if not names:
        return None
    return NanOrigin(broken.step, Origin("loss", operation=" or ".join(names), place="the loss"))
