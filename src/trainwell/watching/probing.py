"""What a few extra passes on a copy of the model say; never made inside of a training step."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainwell.tracing.tensors import first_tensor
from trainwell.watching.batch_readings import align_classes
from trainwell.watching.bounds import share_at_bound
from trainwell.watching.evaluation_calls import NOTHING_HEARD, EvaluationCalls, listen_in_evaluation
from trainwell.watching.twins import count_twins
from trainwell.watching.undisturbed import replicate, untouched_randomness

ROWS = 2000
ROWS_HEARD = 16
"""Enough to hear which functions are called."""


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


@dataclass(frozen=True)
class Probe:
    """What was found.

    Attributes:
        train: On examples seen in training, in evaluation mode.
        as_trained: On some of them, in training mode.
        on_train: On the training data given, in evaluation mode.
        valid: On validation examples, in evaluation mode.
        derivative_error: Relative error of a directional derivative from the backward pass,
            against a centred difference; not-a-number where it was not looked at.
        numeric_derivative: That difference.
        time_ratio: Of a model of sequences, the gradient at the first time step over that at the
            last; not-a-number where it does not apply.
        twins: Share of hidden units that have the very weights of another unit of their layer.
        bound: Share of its numbers that have exactly the largest size, or of its units whose
            weights have exactly the largest norm.
        evaluation: What the model calls in evaluation mode.
    """

    train: Score = Score()
    as_trained: Score = Score()
    valid: Score = Score()
    on_train: Score = Score()
    derivative_error: float = math.nan
    numeric_derivative: float = math.nan
    time_ratio: float = math.nan
    twins: float = math.nan
    bound: float = math.nan
    evaluation: EvaluationCalls = NOTHING_HEARD


def probe(
    model: nn.Module,
    kind: str,
    train: tuple[Tensor, Tensor] | None,
    given: tuple[Any, Any],
    loss_fn: Callable[..., Any] | None,
    check_gradient: bool,
    recurrent: bool,
) -> Probe:
    """Makes the passes.

    Args:
        model: Is copied.
        kind: Of the loss, as `LossGraph.kind` says it.
        train: Examples as the model saw them, with targets.
        given: Training and validation data of the user as `(X, y)`, where that is what the model
            sees; each None without.
        loss_fn: The loss of the training, if known.
        check_gradient: Whether the backward pass is to be compared with differences.
        recurrent: Whether the inputs are sequences `(N, T, F)` for a recurrent layer.
    """
    found = Probe(twins=count_twins(model))
    replica = replicate(model)
    if replica is None or train is None:
        return found
    with untouched_randomness():
        x, y = train
        x, y = x[:ROWS], y[:ROWS]
        replica.train()
        as_trained = _score(replica, x, y, kind)
        # Batch statistics were moved by that pass.
        replica.load_state_dict(model.state_dict())
        replica.eval()
        found = replace(found, train=_score(replica, x, y, kind), as_trained=as_trained)
        heard = listen_in_evaluation(replica, x[:ROWS_HEARD])
        # A model may put its weights into bounds when it is called.
        found = replace(found, evaluation=heard, bound=share_at_bound(replica))
        scores = [
            Score() if data is None or data[1] is None else _score(replica, data[0], data[1], kind)
            for data in given
        ]
        found = replace(found, on_train=scores[0], valid=scores[1])
        if recurrent:
            found = replace(found, time_ratio=_compare_times(replica, x))
        if check_gradient:
            error, numeric = _check_derivative(replica, x, y, loss_fn)
            if not 1e-10 < abs(numeric) < 1e6:
                _reset(replica)
                error, numeric = _check_derivative(replica, x, y, loss_fn)
            found = replace(found, derivative_error=error, numeric_derivative=numeric)
    return found


@torch.no_grad()
def _score(model: nn.Module, x: Tensor, y: Tensor, kind: str) -> Score:
    try:
        outputs = first_tensor(model(x[:ROWS]))
    except Exception:  # examples given by the user need not be what the model takes
        return Score()
    if outputs is None:
        return Score()
    targets = y[: len(outputs)].to(outputs.device)
    aligned = align_classes(outputs.unsqueeze(1) if outputs.ndim == 1 else outputs, targets)
    if aligned is not None:
        scores, classes = aligned
        counts = (classes >= 0) & (classes < scores.shape[1])  # others are to be ignored
        if not bool(counts.any()):
            return Score()
        scores, safe = scores[counts], classes[counts]
        loss = functional.cross_entropy(scores.float(), safe)
        return _count(float(loss), safe, scores.argmax(1), scores.shape[1])
    if targets.numel() != outputs.numel():
        return Score()
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


def _compare_times(model: nn.Module, x: Tensor) -> float:
    """Gradient of the outputs by what a recurrent layer gets first over that by what it gets last.

    Not-a-number for sequences of fewer than eight steps, and without a layer that takes sequences.
    """
    layer = next((m for m in model.modules() if isinstance(m, nn.RNNBase)), None)
    if layer is None:
        return math.nan
    seen: list[Tensor] = []

    def listen(module: nn.Module, args: tuple[Any, ...]) -> Any:
        if seen or not isinstance(args[0], Tensor) or args[0].ndim != 3:
            return None
        seen.append(args[0].detach().requires_grad_())
        return (seen[0], *args[1:])

    handle = layer.register_forward_pre_hook(listen)
    try:
        with torch.backends.cudnn.flags(enabled=False):
            outputs = first_tensor(model(x[:32]))
            assert outputs is not None
            (gradient,) = torch.autograd.grad(outputs.square().sum(), [seen[0]])
    except Exception:
        return math.nan
    finally:
        handle.remove()
    time = 1 if layer.batch_first else 0
    if gradient.shape[time] < 8 or outputs.ndim > 2:  # each step has outputs of its own
        return math.nan
    sizes = gradient.square().mean((1 - time, 2)).sqrt()
    tenth = max(1, len(sizes) // 10)
    return float(sizes[:tenth].mean() / (sizes[-tenth:].mean() + 1e-30))


def _reset(model: nn.Module) -> None:
    """Draws the weights anew: where they are lost, no derivative says anything."""
    for module in model.modules():
        draw = getattr(module, "reset_parameters", None)
        if callable(draw):
            draw()


def _check_derivative(
    model: nn.Module, x: Tensor, y: Tensor, loss_fn: Callable[..., Any] | None
) -> tuple[float, float]:
    """Relative error of the derivative along a random direction of all weights, in float64."""
    model = model.double()
    few = x[:16].double() if x.is_floating_point() else x[:16]
    generator = torch.Generator().manual_seed(0)
    weights = [p for p in model.parameters() if p.requires_grad]
    directions = [torch.randn(p.shape, generator=generator, dtype=torch.float64) for p in weights]
    directions = [
        d.to(p.device) * (p.detach().norm() / (d.norm() + 1e-30) + 1e-3)
        for d, p in zip(directions, weights, strict=True)
    ]
    objective = _make_objective(model, few, y[:16], loss_fn, generator)
    try:
        value = objective()
        gradients = torch.autograd.grad(value, weights, allow_unused=True)
    except Exception:
        return math.nan, math.nan
    analytic = sum(
        float((g * d).sum()) for g, d in zip(gradients, directions, strict=True) if g is not None
    )
    errors: list[tuple[float, float]] = []
    for h in (1e-4, 1e-6):
        numeric = (
            _shifted(objective, weights, directions, h)
            - _shifted(objective, weights, directions, -h)
        ) / (2 * h)
        size = max(abs(numeric), abs(analytic))
        errors.append((abs(numeric - analytic) / size if size > 1e-10 else 0.0, numeric))
    return min(errors)


def _make_objective(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    loss_fn: Callable[..., Any] | None,
    generator: torch.Generator,
) -> Callable[[], Tensor]:
    """The loss if it is known and takes these targets, else a random combination of outputs."""
    if loss_fn is not None:
        targets = y.double() if y.is_floating_point() else y

        def loss() -> Tensor:
            return loss_fn(model(x), targets).mean()

        try:
            loss()
            return loss
        except Exception:
            pass
    outputs = first_tensor(model(x))
    assert outputs is not None
    weights = torch.randn(outputs.shape, generator=generator, dtype=torch.float64)
    weights = weights.to(outputs.device)

    def combine() -> Tensor:
        out = first_tensor(model(x))
        assert out is not None
        return (out * weights).sum()

    return combine


@torch.no_grad()
def _shifted(
    objective: Callable[[], Tensor], weights: list[Any], directions: list[Tensor], h: float
) -> float:
    kept = [p.detach().clone() for p in weights]
    for p, d in zip(weights, directions, strict=True):
        p.add_(d, alpha=h)
    value = float(objective())
    for p, old in zip(weights, kept, strict=True):
        p.copy_(old)
    return value
