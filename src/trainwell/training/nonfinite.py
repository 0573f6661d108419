"""Where a loss or gradient that is not finite came from: the batch is run again and looked at."""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.data.batches import Batch
from trainwell.errors import NonFiniteError
from trainwell.findings import Finding
from trainwell.nn.losses import Loss
from trainwell.nn.objective import make_objective
from trainwell.training.calling_line import find_calling_line
from trainwell.training.checkpoint import NonFiniteWeightsError


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
    """The error that names step, batch, examples and the first layer that is not finite.

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
    with precision:
        layer, source, outputs = find_first_layer(replica, batch.inputs)
        _, value = make_objective(replica, loss)(batch.inputs, batch.targets)
    rows = ids[_bad_rows(batch, outputs)].tolist()
    value.backward()
    seen = _describe_seen(replica, value.detach())
    called = f", called in {source}" if source else ""
    origin = f"; the first values that are not finite come out of {layer}{called}" if layer else ""
    named = f"; rows {', '.join(map(str, rows[:10]))}" if rows else ""
    return NonFiniteError(
        f"{seen} at step {step}, batch {batch_number} of its epoch{origin}{named}. "
        "The update was not made",
        step=step,
        layer=layer,
        source=source,
        remedy="Lower the learning rate, clip the gradients (clip_norm), or look at these rows",
    )


def _describe_seen(replica: nn.Module, loss: Tensor) -> str:
    if not torch.isfinite(loss):
        return f"the loss is {float(loss):g}"
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


def find_first_layer(model: nn.Module, inputs: Tensor) -> tuple[str, str, Tensor]:
    """The first leaf module whose output is not finite, the line of the user's code that calls it
    (both empty if there is none), and the model's outputs.
    """
    if not bool(torch.isfinite(inputs).all()):
        return "the inputs", "", model(inputs)
    found: list[tuple[str, str]] = []

    def look(name: str) -> Any:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            if not found and _is_bad(output):
                found.append((f"layer {name!r}", find_calling_line(model)))

        return hook

    handles = [
        module.register_forward_hook(look(name))
        for name, module in model.named_modules()
        if not list(module.children())
    ]
    outputs = model(inputs)
    for handle in handles:
        handle.remove()
    layer, source = found[0] if found else ("", "")
    return layer, source, outputs


def _bad_rows(batch: Batch, outputs: Tensor) -> Tensor:
    bad = [
        ~torch.isfinite(t.detach().float().reshape(len(batch), -1)).all(1)
        for t in (batch.inputs, outputs, batch.targets)
        if t.numel()
    ]
    return torch.stack(bad).any(0).cpu()


def _is_bad(value: Any) -> bool:
    return isinstance(value, Tensor) and not bool(torch.isfinite(value).all())
