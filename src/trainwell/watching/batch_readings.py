"""Readings of what goes into a model, what comes out, and how that compares with the targets."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from trainwell.watching.arrays import spread
from trainwell.watching.ledger import Ledger
from trainwell.watching.loss_graph import LossGraph

MAX_VALUES = 1 << 15
MAX_ROWS = 1024
MAX_CLASSES = 256
PAIRED_ROWS = 128


@torch.no_grad()
def read_inputs(ledger: Ledger, step: int, inputs: Tensor, are_sequences: bool = False) -> None:
    """Scale of the inputs: mean, deviation, range, whole numbers, and features among each other.

    Args:
        ledger: Takes the numbers.
        step: Of the training.
        inputs: `(N, ...)`; features are looked at of `(N, F)`, and of sequences `(N, T, F)`.
        are_sequences: Whether three axes are those of sequences.
    """
    if not inputs.numel() or inputs.ndim < 1 or inputs.is_complex():
        return
    stride = -(-inputs.numel() // MAX_VALUES)
    values = (inputs[::stride] if stride > 1 else inputs).detach().float()
    std, mean = torch.std_mean(values, correction=0)
    low, high = torch.aminmax(values)
    whole = (values == values.round()).float().mean()
    parts = [mean, std, low, high, whole]
    if are_sequences and values.ndim == 3:
        values = values.flatten(0, 1)  # each time step is a row
    if values.ndim == 2 and len(values) >= 8 and values.shape[1] > 1:
        column_std, column_mean = torch.std_mean(values, dim=0, correction=0)
        moving = column_std > 1e-6
        infinite = column_std.new_full((), float("inf"))
        parts += [
            column_std.max(),
            torch.where(moving, column_std, infinite).min(),
            torch.where(moving, column_mean.abs() / (column_std + 1e-12), 0 * column_std).max(),
        ]
    ledger.put(step, f"inputs|{len(inputs)}", parts)


@torch.no_grad()
def find_targets(
    outputs: Tensor, gradient: Tensor | None, graph: LossGraph | None
) -> Tensor | None:
    """The targets that a loss was given, from its gradient by the outputs.

    The gradient of a cross-entropy is softmax(z) − y, negative where the class is; that of a
    squared error is 2 (z − y) / n. None where the loss is another or does not get the outputs.
    """
    if gradient is None or graph is None or not graph.direct or gradient.shape != outputs.shape:
        return None
    if graph.kind == "cross_entropy" and outputs.ndim == 2 and outputs.shape[1] > 1:
        low, place = gradient.min(1)
        # Where the right class has all the probability, the gradient is zero everywhere.
        return torch.where(low < 0, place, outputs.argmax(1))
    if graph.kind in ("bce", "bce_logits") and outputs.numel() == len(outputs):
        return (gradient < 0).to(outputs.dtype).reshape(outputs.shape)
    # What is added without the outputs, such as a penalty, leaves the gradient by them as it is.
    adds = set(graph.around) == {"add"} and graph.alone and not graph.parted
    if graph.kind == "mse" and graph.reduction == "mean" and (not graph.around or adds):
        return outputs.detach() - gradient * outputs.numel() / 2
    return None


@torch.no_grad()
def read_outputs(
    ledger: Ledger,
    step: int,
    outputs: Tensor,
    targets: Tensor | None,
    gradient: Tensor | None,
    graph: LossGraph | None,
) -> None:
    """Distribution of the outputs, and results against the targets where they are known."""
    values = outputs.detach().float()
    if values.ndim == 0 or not values.numel() or outputs.is_complex():
        return
    if values.ndim == 1:
        values = values.unsqueeze(1)
    columns = values.shape[1]
    flat = values.flatten(1)
    flat = flat[:: max(1, -(-flat.numel() // MAX_VALUES))]
    low, high = torch.aminmax(flat)
    parts = [low, high, flat.std(correction=0), flat.std(0, correction=0).mean()]
    sums = flat.sum(1) if values.ndim == 2 else values.sum(1)
    parts.append((sums - 1).abs().max())
    ledger.put(step, f"outputs|{len(values)}|{columns}", parts)
    slope = _read_slope(values, gradient, len(values))
    if slope is not None:
        ledger.put(step, "slope", (slope,))
    is_table = outputs.ndim == 2 and 1 < columns <= MAX_CLASSES
    if is_table and gradient is not None and gradient.shape == outputs.shape:
        # What is always the same may have no error left.
        varies = values.amax(0) > values.amin(0)
        ledger.put(step, "idle", (((gradient == 0).all(0) & varies).float(),))
    if targets is None or not isinstance(targets, Tensor):
        return
    kind = graph.kind if graph is not None else ""
    if gradient is not None and gradient.shape == outputs.shape and gradient.ndim > 1:
        _read_moved(ledger, step, gradient, targets, columns)
    if not targets.is_floating_point():
        ledger.put(step, "whole targets", (values.new_ones(1),))
    rows = align_classes(values, targets)
    if rows is not None:
        aligned = align_gradient(gradient, outputs)
        is_single = outputs.ndim == 2
        _read_classes(ledger, step, *rows, aligned, is_single)
        if gradient is not None and gradient.shape == outputs.shape:
            _read_pairing(ledger, step, *rows, gradient, targets)
    elif targets.numel() == outputs.numel():
        _read_numbers(ledger, step, outputs, targets, gradient, kind)


def align_classes(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor] | None:
    """Scores `(M, C)` and class numbers `(M,)` of a classification; None for anything else."""
    if outputs.ndim < 2 or outputs.shape[1] < 2:
        return None
    if targets.is_floating_point():
        if targets.shape != outputs.shape or outputs.ndim != 2:
            return None
        # Class probabilities sum to one; this is looked at only where the shape allows it.
        if not bool(((targets.sum(1) - 1).abs() < 1e-3).all()) or bool((targets < 0).any()):
            return None
        return outputs[:MAX_ROWS], targets.argmax(1)[:MAX_ROWS]
    if targets.ndim == 2 and targets.shape[1] == 1 and outputs.ndim == 2:
        targets = targets.squeeze(1)
    if outputs.ndim == 2 and targets.ndim == 1 and len(targets) == len(outputs):
        return outputs[:MAX_ROWS], targets[:MAX_ROWS].long()
    if outputs.ndim >= 3 and targets.shape == (outputs.shape[0], *outputs.shape[2:]):
        scores = outputs.movedim(1, -1).reshape(-1, outputs.shape[1])
    elif outputs.ndim >= 3 and targets.shape == outputs.shape[:-1]:
        scores = outputs.reshape(-1, outputs.shape[-1])
    else:
        return None
    if len(scores) <= MAX_ROWS:
        return scores, targets.reshape(-1).long()
    # A fixed stride would meet the same positions of each example again and again.
    rows = spread(len(scores), MAX_ROWS).to(scores.device)
    return scores[rows], targets.reshape(-1)[rows].long()


def align_gradient(gradient: Tensor | None, outputs: Tensor) -> Tensor | None:
    """The gradient by the scores, where they are one row an example."""
    if gradient is None or gradient.shape != outputs.shape or outputs.ndim != 2:
        return None
    return gradient[:MAX_ROWS].float()


def _read_classes(
    ledger: Ledger,
    step: int,
    scores: Tensor,
    classes: Tensor,
    gradient: Tensor | None,
    is_single: bool,
) -> None:
    count = scores.shape[1]
    # Others, such as −100, are to be ignored.
    counts = (classes >= 0) & (classes < count)
    known = counts.float()
    total = known.sum().clamp(min=1)
    safe = classes.clamp(0, count - 1)
    log_p = functional.log_softmax(scores.float(), 1)
    top, predicted = log_p.max(1)
    right = (predicted == classes) & counts
    own = log_p.gather(1, safe.unsqueeze(1)).squeeze(1) * known
    misfit = (((top > -0.105) & ~right).float() * known).sum() / total
    runs = (classes[1:] == classes[:-1]).float().mean()
    # Neighbouring positions of one example are alike in any order of the examples.
    runs = runs if is_single else torch.full_like(runs, float("nan"))
    parts = [right.float().sum() / total, -own.sum() / total, misfit, runs]
    if gradient is not None and gradient.shape == scores.shape:
        expected = log_p.exp()
        expected[torch.arange(len(safe)), safe] -= 1
        parts += _fit_scale(expected * known.unsqueeze(1) / total, gradient)
    ledger.put(step, "classes", parts)
    if count <= 16:
        # What is ignored is counted beyond the end, and left out.
        pairs = torch.where(counts, safe * count + predicted, count * count)
        ledger.put(step, "confusion", (torch.bincount(pairs, minlength=count**2 + 1)[:-1],))
    elif count <= MAX_CLASSES:
        kinds = [
            torch.where(which, c, count)
            for which, c in ((counts, safe), (right, safe), (counts, predicted))
        ]
        ledger.put(step, "counts", [torch.bincount(c, minlength=count + 1)[:-1] for c in kinds])


def _read_numbers(
    ledger: Ledger,
    step: int,
    outputs: Tensor,
    targets: Tensor,
    gradient: Tensor | None,
    kind: str,
) -> None:
    """A regression, or two classes with one output."""
    z = outputs.detach().reshape(-1)[: 16 * MAX_ROWS].float()
    y = targets.detach().reshape(-1)[: 16 * MAX_ROWS].float()
    binary = ((y == 0) | (y == 1)).float().mean()
    std, mean = torch.std_mean(y, correction=0)
    threshold = 0.0 if kind == "bce_logits" else 0.5
    right = (z > threshold) == (y > 0.5)
    ones, zeros = y > 0.5, y <= 0.5
    one_column = outputs.numel() == len(outputs)
    runs = (y[1:] == y[:-1]).float().mean()
    # Neighbouring positions of one example are alike in any order of the examples.
    unknown = torch.full_like(mean, float("nan"))
    near = ((y[1:] - mean) * (y[:-1] - mean)).mean() / (std**2 + 1e-12)
    near = near if one_column else unknown
    if kind == "bce_logits":
        standard = functional.binary_cross_entropy_with_logits(z, y)
        expected = (torch.sigmoid(z) - y) / len(y)
        sure = torch.sigmoid(z.abs()) > 0.9
    elif kind == "bce":
        standard = (z - y).abs().mean()
        expected = torch.full_like(z, float("nan"))
        sure = (z - 0.5).abs() > 0.4
    else:
        standard = functional.mse_loss(z, y)
        expected = 2 * (z - y) / len(y)
        sure = (z - 0.5).abs() > 0.4
    parts = [standard, std, mean, binary, right.float().mean(), runs, near]
    parts.append((sure & ~right).float().mean())
    parts += [ones.sum(), zeros.sum(), (ones & right).sum(), (zeros & right).sum()]
    parts += [(z > threshold).sum(), (z <= threshold).sum(), *torch.aminmax(y)]
    parts.append(_spread_of_examples(targets))
    if gradient is not None and gradient.shape == outputs.shape and len(z) == outputs.numel():
        parts += _fit_scale(expected.unsqueeze(1), gradient.reshape(-1, 1).float())
    label = f"numbers|{int(one_column)}"
    ledger.put(step, label, parts)


def _read_pairing(
    ledger: Ledger, step: int, scores: Tensor, classes: Tensor, gradient: Tensor, targets: Tensor
) -> None:
    """How gradients by scores `(M, C)` lie to those that their own classes ask for.

    Where a loss weighs each example, as by an advantage, the line is the same, whatever the sign.
    """
    rows = align_classes(gradient, targets)
    if rows is None or targets.is_floating_point():
        return
    few = spread(len(scores), PAIRED_ROWS).to(scores.device)
    scores, classes, found = scores[few].float(), classes[few], rows[0][few].float()
    known = ((classes >= 0) & (classes < scores.shape[1])).float()
    wanted = scores.softmax(1)
    wanted.scatter_add_(1, classes.clamp(0, scores.shape[1] - 1)[:, None], -known[:, None])
    lengths = wanted.norm(dim=1) * found.norm(dim=1)
    counts = known * (lengths > 0).float()
    cosines = (wanted * found).sum(1) / lengths.clamp(min=1e-30)
    in_line = (cosines.abs() > 0.9).float()
    sums = [(values * counts).sum() / counts.sum() for values in (cosines, in_line)]
    ledger.put(step, "pairing", sums)


def _read_moved(ledger: Ledger, step: int, gradient: Tensor, targets: Tensor, columns: int) -> None:
    """Examples whose outputs have a gradient, and those that have a target."""
    moved = (gradient != 0).flatten(1).any(1).sum()
    told = torch.full_like(moved, len(gradient))
    if not targets.is_floating_point() and len(targets) == len(gradient):
        told = ((targets >= 0) & (targets < columns)).reshape(len(targets), -1).any(1).sum()
    ledger.put(step, "moved", (moved, told))


def _spread_of_examples(targets: Tensor) -> Tensor:
    """Standard deviation over the examples of each one's mean target."""
    rows = targets.detach().reshape(len(targets) if targets.ndim else 1, -1)[:MAX_ROWS]
    return rows[:, :MAX_ROWS].float().mean(1).std(correction=0)


def _fit_scale(expected: Tensor, gradient: Tensor) -> list[Tensor]:
    """Least squares factor of a gradient on the expected one, and the correlation of both."""
    product = (expected * gradient).sum()
    own, other = (expected**2).sum(), (gradient**2).sum()
    return [product / (own + 1e-30), product / ((own * other).sqrt() + 1e-30)]


def _read_slope(values: Tensor, gradient: Tensor | None, rows: int) -> Tensor | None:
    """Correlation of the gradient with a single output column."""
    if gradient is None or gradient.numel() != rows or values.numel() != rows or rows < 8:
        return None
    z = values.reshape(-1) - values.mean()
    g = gradient.detach().float().reshape(-1)
    g = g - g.mean()
    return (z * g).sum() / ((z**2).sum().sqrt() * (g**2).sum().sqrt() + 1e-30)
