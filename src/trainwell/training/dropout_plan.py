"""How much is dropped as the training goes on."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.dropout import _DropoutNd

from trainwell.nn.dropout import DropConnectLinear, VanillaDropout
from trainwell.optim.schedules import Schedule

LEVELS = 4


class DropoutPlan:
    """Sets the probabilities of a model's dropout layers to a share of what they were built with.

    Rising shares are curriculum dropout (Morerio et al. 2017), `"linear(start=0, end=1)"`; falling
    to none after the beginning is early dropout (Liu et al. 2023). The share changes once an epoch
    and in quarters, so that a compiled model has few variants.

    Args:
        model: Its layers are changed.
        schedule: Shares from 0 to 1, by progress.
        epochs: Of the training.
    """

    def __init__(self, model: nn.Module, schedule: Schedule, epochs: int) -> None:
        self.schedule, self.epochs = schedule, epochs
        self.dropping = [(layer, _probability(layer)) for layer in _dropping(model)]

    def arrange(self, epoch: int) -> None:
        """Sets the probabilities for an epoch, from 0."""
        progress = epoch / max(1, self.epochs - 1)
        share = min(1.0, max(0.0, round(LEVELS * self.schedule(progress)) / LEVELS))
        for layer, full in self.dropping:
            _set_probability(layer, share * full)

    def restore(self) -> None:
        """Gives every layer its own probability back."""
        for layer, full in self.dropping:
            _set_probability(layer, full)


Dropping = _DropoutNd | VanillaDropout | DropConnectLinear


def _dropping(model: nn.Module) -> list[Dropping]:
    return [
        m for m in model.modules() if isinstance(m, _DropoutNd | VanillaDropout | DropConnectLinear)
    ]


def _probability(layer: Dropping) -> float:
    return layer.p if isinstance(layer, _DropoutNd) else layer.probability


def _set_probability(layer: Dropping, value: float) -> None:
    if isinstance(layer, _DropoutNd):
        layer.p = value
    else:
        layer.probability = value
