"""Validation examples that are all but the same as a training example."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from trainwell.checks.data.first_weights import looks_up_tokens
from trainwell.checks.data.sampling import affordable
from trainwell.checks.subject import Part, Subject
from trainwell.checks.verdict import Verdict
from trainwell.findings import Finding

TRAINING, ASKED, VALUES = 8000, 500, 16_000_000
DIRECTIONS = 32
"""Random directions in which distances are measured; they keep them within a seventh or so
(Johnson & Lindenstrauss 1984)."""
NEAR = 0.1
"""Of the usual distance between nearest neighbours."""
LEAK = 0.02
TIMES_NATURAL = 3.0
REFERENCE = "Barz & Denzler (2020), Do we train on test data?"


def check_near_duplicates(subject: Subject) -> list[Verdict]:
    """Whether validation examples lie closer to training examples than those to each other."""
    if subject.valid is None or looks_up_tokens(subject, subject.train.inputs[:1]):
        return []
    train = affordable(subject, subject.train, TRAINING, "near duplicates", VALUES)
    valid = affordable(subject, subject.valid, ASKED, "near duplicates of validation")
    if len(train) < 20:
        return []
    points, asked = _project(subject, train, valid)
    usual, among, between = near_shares(points, asked)
    seen = f"{between:.2%} of {len(valid):,} looked for among {len(train):,}"
    expected = f"as within training, {among:.2%}"
    finding = None
    if usual > 0 and between > max(LEAK, TIMES_NATURAL * among + 2 / len(valid)):
        finding = _told(between, among)
    return [Verdict("near duplicates", seen, expected, (finding,) if finding else ())]


def near_shares(points: Tensor, asked: Tensor) -> tuple[float, float, float]:
    """How often examples are nearer than a tenth of what is usual, but not the same.

    Args:
        points: Training examples `(N, F)`.
        asked: Validation examples `(M, F)`.

    Returns:
        The middle distance of a training example to its nearest neighbour, the share of training
        examples that are nearer to another, and that of validation examples.
    """
    chosen = torch.arange(0, len(points), max(1, len(points) // ASKED))
    distances = torch.cdist(points[chosen], points)
    distances[torch.arange(len(chosen)), chosen] = math.inf
    nearest = distances.amin(1)
    usual = float(nearest.median())
    # Rounding makes of equal examples distances of about this much.
    same = 1e-5 * float(points.std()) * math.sqrt(points.shape[1])

    def share(distance: Tensor) -> float:
        return float(((distance < NEAR * usual) & (distance > same)).double().mean())

    return usual, share(nearest), share(torch.cdist(asked, points).amin(1))


def _project(subject: Subject, train: Part, valid: Part) -> tuple[Tensor, Tensor]:
    """Examples of both splits as float64 `(N, F)` in few directions."""
    parts = [subject.examples(part)[0].reshape(len(part), -1).float() for part in (train, valid)]
    if train.inputs.ndim == 2:
        deviation = parts[0].std(0)
        # A column that hardly ever moves would only show noise.
        least = 0.5 * deviation[deviation > 0].median() if bool((deviation > 0).any()) else 1.0
        parts = [part / deviation.clamp(min=float(least)) for part in parts]
    width = parts[0].shape[1]
    if width > 2 * DIRECTIONS:
        generator = subject.generator("directions")
        directions = torch.randn(width, DIRECTIONS, generator=generator) / math.sqrt(DIRECTIONS)
        parts = [part @ directions.to(part.device) for part in parts]
    train_points, valid_points = (part.cpu().double() for part in parts)
    centre = train_points.mean(0)
    return train_points - centre, valid_points - centre


def _told(between: float, among: float) -> Finding:
    return Finding(
        "train_val_leak",
        "error" if between > 0.1 else "warning",
        where="valid",
        evidence={"between": between, "within": among},
        cause=f"{between:.1%} of the validation examples are all but the same as a training "
        f"example (nearer than a tenth of the usual distance; within training {among:.1%} are): "
        "copies with a little noise, or cut from the same source.",
        remedy="Split before augmenting, and keep what was cut from one source in one split.",
        reference=REFERENCE,
    )
