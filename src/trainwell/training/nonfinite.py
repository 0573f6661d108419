"""Where a loss or gradient that is not finite came from: the batch is run again and looked at."""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.data.batches import Batch
from trainwell.errors import NonFiniteError
from trainwell.findings import Finding
from trainwell.nn.losses import Loss
from trainwell.nn.objective import Objective, OwnObjective, make_objective
from trainwell.tracing.tracing import Pass, Trace
from trainwell.tracing.wording import describe_origin, propose_remedy
from trainwell.training.checkpoint import NonFiniteWeightsError

_REMEDY = "Lower the learning rate, clip the gradients (clip_norm), or look at these rows"


def explain_non_finite(
    model: nn.Module,
    loss: Loss,
    batch: Batch,
    ids: Tensor,
    precision: contextlib.AbstractContextManager[object],
    *,
    step: int,
    batch_number: int,
) -> NonFiniteError:
    """The error that names step, batch, examples and the first operation that is not finite.

    Args:
        model: With the weights from before the update; a copy of it is run.
        loss: Mean over a batch.
        batch: The one that was refused.
        ids: Rows in the source of its examples, `(N,)`.
        precision: Context in which the run's forward passes run: what overflows in float16 need
            not overflow in float32.
        step: Number of the update that was not made, from 1.
        batch_number: Of the batch in its epoch, from 1.
    """
    replica = copy.deepcopy(model)
    found = Trace(replica, _repeat(replica, loss, batch, lambda: precision))
    origin = found.forward or found.trace_backward()
    if origin is not None:
        origin = replace(origin, rows=tuple(ids[list(origin.rows)].tolist()))
    seen = _describe_seen(replica, found.loss)
    why = f": {describe_origin(origin)}" if origin is not None else ""
    return NonFiniteError(
        f"{seen} at step {step}, batch {batch_number} of its epoch{why}. The update was not made",
        step=step,
        layer=origin.where if origin is not None else "",
        source=origin.line if origin is not None else "",
        remedy=(propose_remedy(origin) if origin is not None else _REMEDY).removesuffix("."),
    )


def _repeat(
    replica: nn.Module,
    loss: Loss,
    batch: Batch,
    precision: Callable[[], contextlib.AbstractContextManager[object]],
) -> Pass:
    if isinstance(replica, OwnObjective):
        objective = make_objective(replica, loss)
        return _OwnPass((batch.inputs,), {}, batch.targets, loss, precision, objective)
    return Pass((batch.inputs,), {}, batch.targets, loss, precision)


@dataclass(frozen=True)
class _OwnPass(Pass):
    """A pass of a model that has an objective of its own, which gives outputs and loss."""

    objective: Objective | None = None

    def run(self, model: nn.Module) -> Any:
        assert self.objective is not None
        return self.objective(self.args[0], self.targets)

    def measure(self, outputs: Any) -> Tensor:
        return outputs[1]


def _describe_seen(replica: nn.Module, loss: Tensor | None) -> str:
    if loss is not None and not torch.isfinite(loss):
        return f"the loss is {float(loss.detach()):g}"
    parameters = [name for name, p in replica.named_parameters() if _is_bad(p.grad)]
    if parameters:
        return f"the gradient of {parameters[0]} is not finite"
    # Dropout draws other numbers the second time.
    return "the loss or a gradient was not finite, but is when the batch is run again,"


def describe_non_finite(error: NonFiniteError) -> Finding:
    """The finding that a run keeps of the error."""
    return Finding(
        code="exploding_or_nan",
        severity="error",
        where=error.layer,
        step=error.step,
        evidence={"step": error.step},
        cause=f"{error.found}.",
        remedy=f"{error.remedy}.",
        source=error.source,
    )


def describe_non_finite_weights(error: NonFiniteWeightsError) -> Finding:
    """The finding that a run keeps of weights that were not saved."""
    return Finding(
        code="exploding_or_nan",
        severity="error",
        where=error.name,
        step=error.step,
        evidence={"step": error.step},
        cause=f"{error.name} is not finite after step {error.step}: the updates, or what flows "
        "through the layers, had grown too large.",
        remedy="Lower the learning rate, or clip the gradients (clip_norm).",
    )


def describe_unmeasured(epochs: Sequence[Mapping[str, Any]]) -> Finding | None:
    """The finding that the validation loss was not finite in some epochs (B4); None if it was.

    Args:
        epochs: Rows of the metrics that belong to epochs.
    """
    bad = [row for row in epochs if not _is_number(row.get("valid_loss"))]
    if not bad:
        return None
    return Finding(
        code="exploding_or_nan",
        severity="warning",
        where="validation",
        step=bad[0]["step"],
        evidence={"epochs": len(epochs), "not_finite": len(bad)},
        cause=f"The validation loss was not finite after {len(bad)} of {len(epochs)} epochs, but "
        "the training loss was: the model does something else in evaluation mode, or validation "
        "examples lie far outside of the training's.",
        remedy="Look at what the model does in evaluation mode, and at the validation examples.",
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _is_bad(value: Any) -> bool:
    return isinstance(value, Tensor) and not bool(torch.isfinite(value).all())
