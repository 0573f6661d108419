"""Averages of the weights that a training passes through.

torch's `AveragedModel` asks the device whether it has averaged before, and copies by parameter in
Python; these update all weights at once and never wait.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import update_bn

from trainwell.named_call import build_named


class WeightAverage:
    """A copy of a model whose weights are an average; part of the run's state.

    Statistics of batch normalisation are averaged too, but those of an average of weights are not
    the average of the statistics: refresh them before the copy is used (`refresh_batch_norm`).

    Args:
        model: Whose weights are averaged.

    Attributes:
        module: The copy.
        taken: How many sets of weights are in the average.
    """

    def __init__(self, model: nn.Module) -> None:
        self.module = copy.deepcopy(model)
        self.module.requires_grad_(False)
        self.taken = 0
        self._averaged, self._trained = _pair_floating(self.module, model)
        self._copied, self._counted = _pair_other(self.module, model)

    def after_step(self) -> None:
        """Called after every update."""

    def after_epoch(self, epoch: int) -> None:
        """Called after every epoch, with the number of those done."""

    @property
    def has_weights(self) -> bool:
        """Whether there is anything in the average yet."""
        return self.taken > 0

    def take(self, share: float) -> None:
        """Moves the average towards the present weights.

        Args:
            share: Of the way; 1 takes them as they are.
        """
        with torch.no_grad():
            if self.taken == 0:
                torch._foreach_copy_(self._averaged, self._trained)
            else:
                torch._foreach_lerp_(self._averaged, self._trained, share)
            if self._copied:
                torch._foreach_copy_(self._copied, self._counted)
        self.taken += 1

    def capture(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Weights and count; no weights while nothing was averaged."""
        tensors = dict(self.module.state_dict()) if self.has_weights else {}
        return tensors, {"taken": self.taken}

    def restore(self, tensors: dict[str, Tensor], fields: dict[str, Any]) -> None:
        """Goes on from a captured state."""
        self.taken = fields["taken"]
        if tensors:
            self.module.load_state_dict(tensors)


class ExponentialAverage(WeightAverage):
    """decay · average + (1 − decay) · weights, after every update (Polyak & Juditsky 1992).

    Args:
        model: Whose weights are averaged.
        decay: In [0, 1).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        super().__init__(model)
        self.decay = decay

    def after_step(self) -> None:
        """Moves the average a little."""
        self.take(1.0 - self.decay)


class EpochAverage(WeightAverage):
    """The mean of the weights at the ends of epochs, from one on (Izmailov et al. 2018).

    Args:
        model: Whose weights are averaged.
        first_epoch: From 1.
    """

    def __init__(self, model: nn.Module, first_epoch: int) -> None:
        super().__init__(model)
        self.first_epoch = first_epoch

    def after_epoch(self, epoch: int) -> None:
        """Adds the weights to the mean."""
        # An interrupted validation is done again, and must not count the epoch twice.
        if epoch == self.first_epoch + self.taken:
            self.take(1.0 / (self.taken + 1))


Averaging = Callable[[nn.Module, int], WeightAverage]
"""A model and the number of epochs in, its average out."""


def exponential(decay: float = 0.995) -> Averaging:
    """Of the weights after every update, newer ones weighing more."""
    if not 0 <= decay < 1:
        raise ValueError("decay must be at least 0 and below 1")
    return lambda model, epochs: ExponentialAverage(model, decay)


def stochastic(start: float = 0.75) -> Averaging:
    """Stochastic weight averaging: of the weights after every epoch of the last part.

    Args:
        start: Share of the epochs after which it begins, in [0, 1). Best with a rate that stays
            high there, such as the schedule `"cosine(end=0.2) until 0.75, constant(0.2)"`.
    """
    if not 0 <= start < 1:
        raise ValueError("start must be at least 0 and below 1")
    return lambda model, epochs: EpochAverage(model, int(start * epochs) + 1)


def checkpoints(last: int = 5) -> Averaging:
    """Of the weights at the ends of the last epochs, as translation models average checkpoints
    (Vaswani et al. 2017).

    Args:
        last: Epochs.
    """
    if last < 1:
        raise ValueError("last must be at least 1")
    return lambda model, epochs: EpochAverage(model, max(1, epochs - last + 1))


AVERAGES: dict[str, Callable[..., Averaging]] = {
    "exponential": exponential,
    "stochastic": stochastic,
    "checkpoints": checkpoints,
}


def build_averaging(described: float | str) -> Averaging:
    """The average that a recipe describes.

    Args:
        described: A name of `AVERAGES` with options; a number is the decay of an exponential one.

    Raises:
        RecipeError: Not an average.
    """
    text = described if isinstance(described, str) else f"exponential(decay={described!r})"
    return build_named(text, AVERAGES, "average")


def has_batch_norm(model: nn.Module) -> bool:
    """Whether any layer normalises over the batch."""
    return any(isinstance(module, _BatchNorm) for module in model.modules())


def refresh_batch_norm(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Sets the statistics of batch normalisation to those of the model's present weights.

    Args:
        model: Any; without batch normalisation nothing is done.
        batches: Of inputs as the training sees them.
    """
    if has_batch_norm(model):
        update_bn(batches, model)


def _pair_floating(averaged: nn.Module, trained: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    pairs = _pairs(averaged, trained)
    floating = [(a, t) for a, t in pairs if a.is_floating_point()]
    return [a for a, _ in floating], [t for _, t in floating]


def _pair_other(averaged: nn.Module, trained: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    """Counters and masks, which have no average."""
    pairs = _pairs(averaged, trained)
    others = [(a, t) for a, t in pairs if not a.is_floating_point()]
    return [a for a, _ in others], [t for _, t in others]


def _pairs(averaged: nn.Module, trained: nn.Module) -> list[tuple[Tensor, Tensor]]:
    def tensors(module: nn.Module) -> list[Tensor]:
        return [t.detach() for t in (*module.parameters(), *module.buffers())]

    return list(zip(tensors(averaged), tensors(trained), strict=True))
