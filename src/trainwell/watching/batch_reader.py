"""Reads the batch of a step: its inputs, outputs and targets, and what its loss is made of."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from trainwell.tracing.tensors import first_tensor
from trainwell.watching.batch_readings import find_targets, read_inputs, read_outputs
from trainwell.watching.examples import Examples
from trainwell.watching.guard import Guard
from trainwell.watching.ledger import Ledger
from trainwell.watching.loss_graph import LossGraph, read_loss_graph
from trainwell.watching.passes import Call

ALWAYS = 12
"""Readings whose inputs are looked at; later those of each fourth."""

ENOUGH_GRADIENTS = 10
"""Readings that tell how a loss is averaged, which does not change over a training."""


class BatchReader:
    """Puts readings of batches into the ledger, and keeps some of their examples.

    Args:
        ledger: Takes the numbers.
        guard: Calls what may fail.
        examples: Keeps some rows.
        are_sequences: Whether inputs of three axes are sequences.

    Attributes:
        graph: What the loss is made of; None where its graph was not seen.
        count: Batches read.
    """

    def __init__(
        self, ledger: Ledger, guard: Guard, examples: Examples, are_sequences: bool
    ) -> None:
        self._ledger, self._guard, self._examples = ledger, guard, examples
        self._are_sequences = are_sequences
        self.graph: LossGraph | None = None
        self.count = 0

    def read(
        self, step: int, call: Call, loss: Any, inputs: Any, outputs: Any, targets: Any
    ) -> None:
        """Reads one; what the caller does not give is taken from the model's call."""
        seen = _choose_inputs(first_tensor(inputs), first_tensor((call.args, call.kwargs)))
        out = call.outputs if call.outputs is not None else first_tensor(outputs)
        if self.graph is None or step < 3:
            shown = call.loss if call.loss is not None else loss
            self.graph = read_loss_graph(shown, out) or self.graph
        if seen is not None and (self.count < ALWAYS or self.count % 4 == 0):
            self._guard("inputs", read_inputs, self._ledger, step, seen, self._are_sequences)
        if out is not None:
            self._read_outputs(step, call, seen, out, first_tensor(targets))
        self.count += 1

    def _read_outputs(
        self, step: int, call: Call, seen: Tensor | None, out: Tensor, y: Tensor | None
    ) -> None:
        y = y if y is not None else find_targets(out, call.gradient, self.graph)
        gradient = call.gradient if self.count < ENOUGH_GRADIENTS else None
        reading = (self._ledger, step, out, y, gradient, self.graph)
        self._guard("outputs", read_outputs, *reading)
        if seen is not None and seen.ndim:
            whole = torch.isfinite(out.detach()).all()
            self._guard("examples", self._examples.keep, seen, y, whole)


def _choose_inputs(told: Tensor | None, own: Tensor | None) -> Tensor | None:
    """What the model got, unless that is a part or something else than the batch that is told.

    A loop may tell of the examples as they were before they were augmented.
    """
    if told is None or (own is not None and own.shape == told.shape):
        return own
    return told
