"""Everything that a resumed run needs, in one registry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from trainwell.errors import CheckpointError, first_line
from trainwell.training.checkpoint import Checkpoint
from trainwell.training.metrics import Totals
from trainwell.training.step import LossScaler

Captured = tuple[dict[str, Tensor], dict[str, Any]]


class Stateful(Protocol):
    """A part of the training that changes while it runs."""

    def capture(self) -> Captured:
        """Its state as named tensors and JSON fields."""
        ...

    def restore(self, tensors: dict[str, Tensor], fields: dict[str, Any]) -> None:
        """Goes on from a captured state."""
        ...


@dataclass
class Position:
    """How far the training is.

    Attributes:
        epoch: Epochs that are complete, validation included.
        batch: Updates made in the present epoch.
        step: Updates made in all.
        metrics_rows: Rows of the metrics log that belong to this position.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    metrics_rows: int = 0

    def capture(self) -> Captured:
        return {}, dict(vars(self))

    def restore(self, tensors: dict[str, Tensor], fields: dict[str, Any]) -> None:
        vars(self).update(fields)


@dataclass
class ModuleState:
    """Parameters and buffers of a model."""

    module: nn.Module

    def capture(self) -> Captured:
        return dict(self.module.state_dict()), {}

    def restore(self, tensors: dict[str, Tensor], fields: dict[str, Any]) -> None:
        self.module.load_state_dict(tensors)


@dataclass
class OptimizerState:
    """Moments, step counts and groups of an optimiser.

    What it keeps for a parameter is a tensor, a number, or a list of both, such as the history of
    L-BFGS. A list is captured entry by entry, and its length beside the numbers.
    """

    optimizer: Optimizer

    def capture(self) -> Captured:
        state = self.optimizer.state_dict()
        tensors, numbers, lengths = {}, {}, {}
        for index, entries in state["state"].items():
            for name, value in entries.items():
                is_list = isinstance(value, list)
                if is_list:
                    lengths[f"{index}.{name}"] = len(value)
                for suffix, entry in _number(value) if is_list else [("", value)]:
                    kept = tensors if isinstance(entry, Tensor) else numbers
                    kept[f"{index}.{name}{suffix}"] = entry
        groups = [{k: v for k, v in g.items() if k != "params"} for g in state["param_groups"]]
        return tensors, {"numbers": numbers, "lengths": lengths, "groups": groups}

    def restore(self, tensors: dict[str, Tensor], fields: dict[str, Any]) -> None:
        entries = {**tensors, **fields["numbers"]}
        for key, length in fields["lengths"].items():
            entries[key] = [entries.pop(f"{key}.{i}") for i in range(length)]
        state: dict[int, dict[str, Any]] = {}
        for key, value in entries.items():
            index, name = key.split(".", 1)
            state.setdefault(int(index), {})[name] = value
        groups = self.optimizer.state_dict()["param_groups"]
        # The recipe says how the optimiser is set, not the checkpoint: it may have been changed.
        saved = [{**s, **g} for g, s in zip(groups, fields["groups"], strict=True)]
        self.optimizer.load_state_dict({"state": state, "param_groups": saved})


def _number(values: list[Any]) -> list[tuple[str, Any]]:
    return [(f".{index}", value) for index, value in enumerate(values)]


@dataclass
class TotalsState:
    """Sums of loss and score that were not read yet."""

    totals: Totals

    def capture(self) -> Captured:
        self.totals.fold()
        sums = {"loss": self.totals.loss, "right": self.totals.right}
        return sums, {"examples": self.totals.examples}

    def restore(self, tensors: dict[str, Tensor], fields: dict[str, Any]) -> None:
        self.totals.loss.copy_(tensors["loss"])
        self.totals.right.copy_(tensors["right"])
        self.totals.examples = fields["examples"]


@dataclass
class ScalerState:
    """The scale of float16 and the counts of skipped updates."""

    scaler: LossScaler

    def capture(self) -> Captured:
        counts = {"skipped": self.scaler.skipped, "in_a_row": self.scaler.skipped_in_a_row}
        return counts, self.scaler.torch_scaler.state_dict()

    def restore(self, tensors: dict[str, Tensor], fields: dict[str, Any]) -> None:
        self.scaler.skipped.copy_(tensors["skipped"])
        self.scaler.skipped_in_a_row.copy_(tensors["in_a_row"])
        self.scaler.torch_scaler.load_state_dict(fields)


class TrainingState:
    """All stateful parts of one training, by name.

    Args:
        parts: Each part under the name that its file in a checkpoint has.
    """

    def __init__(self, parts: Mapping[str, Stateful]) -> None:
        self.parts = dict(parts)

    def capture(self, step: int, fingerprints: Mapping[str, str]) -> Checkpoint:
        """A checkpoint of every part, with tensors copied to host memory."""
        tensors: dict[str, dict[str, Tensor]] = {}
        fields: dict[str, Any] = {}
        for name, part in self.parts.items():
            found, fields[name] = part.capture()
            # Each tensor on its own: safetensors refuses memory shared by tied weights.
            held = {k: v.detach().to("cpu", copy=True).contiguous() for k, v in found.items()}
            if held:
                tensors[name] = held
        return Checkpoint(step, tensors, fields, fingerprints)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Sets every part to a checkpoint's state.

        Raises:
            CheckpointError: The checkpoint is of a training with other parts.
        """
        if set(checkpoint.state) != set(self.parts):
            odd = sorted(set(checkpoint.state) ^ set(self.parts))
            raise CheckpointError(
                f"the checkpoint and the training differ in {', '.join(odd)}",
                remedy="Resume with the recipe the run was started with",
            )
        for name, part in self.parts.items():
            try:
                with torch.no_grad():
                    part.restore(dict(checkpoint.tensors.get(name, {})), checkpoint.state[name])
            except (RuntimeError, ValueError, KeyError, TypeError) as error:
                raise CheckpointError(
                    f"{name} of the checkpoint does not fit the training: {first_line(error)}",
                    remedy="Resume with the model and recipe the run was started with",
                ) from error
