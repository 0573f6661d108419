"""Which loss a function of outputs and targets is: by its name, or by what it gives."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainwell.nn import losses
from trainwell.nn.losses import Loss

LossName = Literal[
    "cross_entropy",
    "negative_log_likelihood",
    "binary_cross_entropy",
    "binary_cross_entropy_of_logits",
    "squared_error",
    "absolute_error",
    "huber",
    "hinge",
    "perceptron",
    "kullback_leibler",
]
BY_CLASS: dict[type[nn.Module], LossName] = {
    nn.CrossEntropyLoss: "cross_entropy",
    nn.NLLLoss: "negative_log_likelihood",
    nn.BCELoss: "binary_cross_entropy",
    nn.BCEWithLogitsLoss: "binary_cross_entropy_of_logits",
    nn.MSELoss: "squared_error",
    nn.L1Loss: "absolute_error",
    nn.SmoothL1Loss: "huber",
    nn.HuberLoss: "huber",
    nn.MultiMarginLoss: "hinge",
    nn.KLDivLoss: "kullback_leibler",
}
BY_FUNCTION: dict[Callable[..., Any], LossName] = {
    functional.cross_entropy: "cross_entropy",
    functional.nll_loss: "negative_log_likelihood",
    functional.binary_cross_entropy: "binary_cross_entropy",
    functional.binary_cross_entropy_with_logits: "binary_cross_entropy_of_logits",
    functional.mse_loss: "squared_error",
    functional.l1_loss: "absolute_error",
    functional.smooth_l1_loss: "huber",
    functional.huber_loss: "huber",
    functional.multi_margin_loss: "hinge",
    functional.kl_div: "kullback_leibler",
    losses.squared_error: "squared_error",
    losses.binary_cross_entropy: "binary_cross_entropy_of_logits",
    losses.multiclass_hinge: "hinge",
    losses.perceptron_criterion: "perceptron",
}
CANDIDATES: tuple[tuple[LossName, Callable[..., Tensor]], ...] = (
    ("cross_entropy", functional.cross_entropy),
    ("binary_cross_entropy_of_logits", functional.binary_cross_entropy_with_logits),
    ("squared_error", functional.mse_loss),
    ("negative_log_likelihood", functional.nll_loss),
    ("binary_cross_entropy", functional.binary_cross_entropy),
    ("absolute_error", functional.l1_loss),
    ("huber", functional.smooth_l1_loss),
)
SAME = 1e-4
CLASS_LOSSES: tuple[LossName, ...] = ("cross_entropy", "negative_log_likelihood", "hinge")
DISTANCES: tuple[LossName, ...] = ("squared_error", "absolute_error", "huber")


@dataclass(frozen=True)
class KnownLoss:
    """What is known of a loss.

    Attributes:
        name: None: it is none of those that are known.
        sign: −1 where it is the negative of the loss of that name.
    """

    name: LossName | None
    sign: int = 1


def know_loss(loss: Loss, outputs: Tensor, targets: Tensor) -> KnownLoss:
    """Which loss it is.

    Args:
        loss: A module, a function of torch, or the user's own, which is tried.
        outputs: Of the model.
        targets: As the loss sees them.
    """
    plain = loss.func if isinstance(loss, partial) else loss
    for kind, name in BY_CLASS.items():
        if isinstance(plain, kind):
            return KnownLoss(name)
    if plain in BY_FUNCTION:
        return KnownLoss(BY_FUNCTION[plain])
    return _know_by_values(loss, outputs.detach(), targets)


def _know_by_values(loss: Loss, outputs: Tensor, targets: Tensor) -> KnownLoss:
    """By its value for random outputs: for all tasks alike, sums being multiples of the mean."""
    drawn = draw_like(outputs, 2)
    values = [try_loss(loss, outputs, targets) for outputs in drawn]
    for name, candidate in CANDIDATES:
        for form in _forms(outputs, targets):
            known = [try_loss(candidate, *form(outputs)) for outputs in drawn]
            sign = _same_up_to_a_factor(values, known)
            if sign:
                return KnownLoss(name, sign)
    return KnownLoss(None)


def draw_like(outputs: Tensor, count: int) -> Tensor:
    """Numbers in (0, 1), `(count, *outputs.shape)`, alike each time: all losses take them."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, *outputs.shape, generator=generator).to(outputs)


def _same_up_to_a_factor(values: Sequence[float | None], known: Sequence[float | None]) -> int:
    """1 or −1, the sign of the factor, where there is one; else 0."""
    ratios = [value / other for value, other in zip(values, known, strict=True) if value and other]
    if len(ratios) < len(values) or abs(ratios[0] / ratios[1] - 1) >= SAME:
        return 0
    return 1 if ratios[0] > 0 else -1


Form = Callable[[Tensor], tuple[Tensor, Tensor]]


def _forms(outputs: Tensor, targets: Tensor) -> list[Form]:
    """Outputs and targets as they are, and with shapes and types that a user's function makes."""
    forms: list[Form] = []
    if outputs.shape == targets.shape or targets.ndim < outputs.ndim:
        forms.append(lambda drawn: (drawn, targets))
    if outputs.numel() == targets.numel():
        forms.append(lambda drawn: (drawn.flatten(), targets.flatten().to(drawn.dtype)))
    if targets.numel() == len(targets):
        forms.append(lambda drawn: (drawn, targets.flatten().long()))
    return forms


@torch.no_grad()
def try_loss(loss: Loss, outputs: Tensor, targets: Tensor) -> float | None:
    """The value of a loss, or None where it cannot be computed or is no finite number."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = loss(outputs, targets)
        number = float(value)
    except Exception:
        return None
    return number if abs(number) < float("inf") else None
