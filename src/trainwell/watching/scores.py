"""How well the outputs of a model fit targets, by the standard loss of their kind."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainwell.tracing.tensors import first_tensor
from trainwell.watching.batch_readings import align_classes

ROWS = 2000
"""Examples that are looked at."""


@dataclass(frozen=True)
class Score:
    """How well outputs fit targets.

    Attributes:
        loss: Mean standard loss: cross-entropy for classes, else squared error.
        accuracy: Share of right classes; not-a-number for a regression.
        seen: Examples of each class; empty for a regression.
        right: Those of them that are classified rightly.
        said: Examples that are given each class.
        agreement: Correlation of outputs with targets of the same shape; not-a-number for others.
    """

    loss: float = math.nan
    accuracy: float = math.nan
    seen: tuple[int, ...] = ()
    right: tuple[int, ...] = ()
    said: tuple[int, ...] = ()
    agreement: float = math.nan


UNKNOWN = Score()


@torch.no_grad()
def score(model: nn.Module, x: Tensor, y: Tensor, kind: str) -> Score:
    """Of the first examples; unknown where the model does not take them or targets do not fit.

    Args:
        model: In the mode that is meant.
        x: `(N, ...)`.
        y: Class numbers, or targets as numerous as the outputs.
        kind: Of the loss, as `LossGraph.kind` says it.
    """
    try:
        outputs = first_tensor(model(x[:ROWS]))
    except Exception:  # examples given by the user need not be what the model takes
        return UNKNOWN
    if outputs is None or outputs.ndim == 0:
        return UNKNOWN
    targets = y[: len(outputs)].to(outputs.device)
    aligned = align_classes(outputs.unsqueeze(1) if outputs.ndim == 1 else outputs, targets)
    if aligned is not None:
        scores, classes = aligned
        counts = (classes >= 0) & (classes < scores.shape[1])  # others are to be ignored
        if not bool(counts.any()):
            return UNKNOWN
        scores, safe = scores[counts], classes[counts]
        loss = functional.cross_entropy(scores.float(), safe)
        return _count(float(loss), safe, scores.argmax(1), scores.shape[1])
    if targets.numel() != outputs.numel():
        return UNKNOWN
    z, t = outputs.reshape(-1).float(), targets.reshape(-1).float()
    together = _correlate(z, t)
    if kind == "bce_logits":
        loss = functional.binary_cross_entropy_with_logits(z, t)
        return _count(float(loss), (t > 0.5).long(), (z > 0).long(), 2, together)
    if kind == "bce":
        loss = functional.binary_cross_entropy(z.clamp(1e-7, 1 - 1e-7), t.clamp(0, 1))
        return _count(float(loss), (t > 0.5).long(), (z > 0.5).long(), 2, together)
    return Score(float(functional.mse_loss(z, t)), agreement=together)


def _correlate(a: Tensor, b: Tensor) -> float:
    """Not-a-number where one of them is constant."""
    a, b = a - a.mean(), b - b.mean()
    size = a.norm() * b.norm()
    return float(torch.dot(a, b) / size) if size > 0 else math.nan


def _count(
    loss: float, classes: Tensor, said: Tensor, count: int, agreement: float = math.nan
) -> Score:
    right = said == classes
    seen, known, given = (
        tuple(torch.bincount(c, minlength=count).tolist()) for c in (classes, classes[right], said)
    )
    return Score(loss, float(right.float().mean()), seen, known, given, agreement)
