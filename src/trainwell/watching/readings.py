"""What is read on an instrumented step, as plain numbers; not-a-number where it is unknown."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

UNKNOWN = math.nan


@dataclass(frozen=True)
class LayerReading:
    """What one layer put out on one step, over the examples that were looked at.

    Attributes:
        name: Of the module; an activation that is called as a function bears its layer's name.
        kind: `"weights"`, `"relu"`, `"sigmoid"`, `"tanh"` or `"softmax"`.
        mean: Of all values.
        std: Of all values.
        share: Of values that are zero (`relu`) or near an end of the range (`sigmoid`, `tanh`), or
            of choices that are made for sure (`softmax`).
        spread: Standard deviation over the examples, mean over the units.
    """

    name: str
    kind: str
    mean: float
    std: float
    share: float = UNKNOWN
    spread: float = UNKNOWN


@dataclass(frozen=True)
class UnitReading:
    """Units of one activation over all examples seen in a window.

    Attributes:
        name: Of the layer.
        kind: `"relu"`, `"sigmoid"` or `"tanh"`.
        units: How many there are.
        stuck: Share of units that were zero (`relu`) or at one end (the others) for every example.
        examples: How many were seen.
    """

    name: str
    kind: str
    units: int
    stuck: float
    examples: int


@dataclass(frozen=True)
class ParameterReading:
    """One parameter around one update.

    Attributes:
        name: Of the parameter.
        size: Numbers in it.
        is_weight: Whether it has two or more dimensions, so is no bias or scale.
        fan_in: Numbers that one output of it sums over; 0 for biases.
        gradient: Root mean square of its gradient; not-a-number where it had none.
        has_gradient: Whether it had one.
        weight: Root mean square of its values before the update.
        update_ratio: Norm of the update over the norm of the values before it.
        above: How many numbers of its gradient are above 0, of the first few thousand.
        below: How many are below 0.
    """

    name: str
    size: int
    is_weight: bool
    fan_in: int
    gradient: float
    weight: float
    has_gradient: bool = True
    update_ratio: float = UNKNOWN
    above: float = UNKNOWN
    below: float = UNKNOWN


@dataclass(frozen=True)
class InputReading:
    """What the model saw on one step.

    Attributes:
        rows: Examples in the batch.
        mean: Of all values.
        std: Of all values.
        minimum: Of all values.
        maximum: Of all values.
        whole: Share of values that are whole numbers.
        widest: Largest standard deviation of one feature; only for inputs `(N, F)`.
        narrowest: Smallest one above zero; only for inputs `(N, F)`.
        offset: Largest |mean| of one feature over its standard deviation; only for `(N, F)`.
    """

    rows: int
    mean: float
    std: float
    minimum: float
    maximum: float
    whole: float
    widest: float = UNKNOWN
    narrowest: float = UNKNOWN
    offset: float = UNKNOWN


@dataclass(frozen=True)
class OutputReading:
    """What the model put out on one step, and how it compares with the targets where known.

    Attributes:
        rows: Examples in the batch.
        columns: Numbers for one example.
        minimum: Of all outputs.
        maximum: Of all outputs.
        std: Of all outputs.
        spread: Standard deviation over the examples, mean over the columns.
        row_sum_error: Largest |sum of an example's outputs − 1|.
        accuracy: Share of right classes; not-a-number for regressions.
        standard_loss: Mean loss of maximum likelihood computed from outputs and targets.
        target_std: Standard deviation of the targets of a regression.
        target_mean: Their mean.
        target_low: Their minimum.
        target_high: Their maximum.
        target_counts: Examples of each class in the batch.
        right_counts: Those of them that are classified rightly.
        predicted_counts: Examples that are given each class.
        label_runs: Pairs of neighbours in the batch with the same class (for a regression: the
            correlation of neighbouring targets).
        misfits: Share of examples on which another class is given with probability over 0.9.
        scale: Gradient of the loss by the outputs over the one of the mean standard loss: 1 for a
            mean, the number of examples for a sum, negative where the loss is turned round.
        alignment: Correlation of that gradient with the one of the mean standard loss.
        row_std: Standard deviation over the examples of each one's mean target.
        binary: Whether all targets are 0 or 1.
        whole_targets: Whether the targets are whole numbers of an integer type.
        slope: Correlation of that gradient with the outputs; for one output column only.
        pairing: Mean over examples, or positions, of the cosine between that gradient and the one
            that their own classes ask for; 1 for most losses, near 0 for classes of others.
        in_line: Share of them whose gradient lies on the line of that one, whatever its sign.
        moved: Examples whose outputs have a gradient.
        told: Examples that have a target.
        idle: Numbers of the columns of outputs `(N, C)` by which the loss has no gradient for any
            example.
    """

    rows: int
    columns: int
    minimum: float = UNKNOWN
    maximum: float = UNKNOWN
    std: float = UNKNOWN
    spread: float = UNKNOWN
    row_sum_error: float = UNKNOWN
    accuracy: float = UNKNOWN
    standard_loss: float = UNKNOWN
    target_std: float = UNKNOWN
    target_mean: float = UNKNOWN
    target_low: float = UNKNOWN
    target_high: float = UNKNOWN
    target_counts: tuple[float, ...] = ()
    right_counts: tuple[float, ...] = ()
    predicted_counts: tuple[float, ...] = ()
    label_runs: float = UNKNOWN
    misfits: float = UNKNOWN
    scale: float = UNKNOWN
    alignment: float = UNKNOWN
    row_std: float = UNKNOWN
    binary: bool = False
    whole_targets: bool = False
    slope: float = UNKNOWN
    pairing: float = UNKNOWN
    in_line: float = UNKNOWN
    moved: float = UNKNOWN
    told: float = UNKNOWN
    idle: frozenset[int] = frozenset()


@dataclass(frozen=True)
class NormReading:
    """One batch normalisation on one training step, before it moved its running statistics.

    Attributes:
        name: Of the module.
        values: Numbers that each channel's statistics were made of.
        mean_gap: Median over channels of |batch mean − running mean| in batch standard deviations.
        variance_gap: Median over channels of |ln(batch variance ÷ running variance)|.
        training: Whether it used the statistics of the batch.
        momentum: Its share of the new statistics; not-a-number for a cumulative mean.
        call: Its number among the calls of one pass, from 1.
    """

    name: str
    values: int
    mean_gap: float
    variance_gap: float
    training: bool
    momentum: float
    call: int = 1


@dataclass(frozen=True)
class Reading:
    """All that was read on one step.

    Attributes:
        step: From 0.
        layers: In the order in which they ran.
        parameters: In the order of the model.
        norms: Batch normalisations.
        inputs: None where the inputs are not one tensor of numbers.
        outputs: None where the outputs are not one tensor of numbers.
        kept_gradient: Whether the gradient of the step before was still there when the backward
            pass began; None where that could not be seen.
        cosine: Between the update and the gradient; near −1 in plain descent.
        turn: Cosine between this gradient and that of the step before.
    """

    step: int
    layers: tuple[LayerReading, ...] = ()
    parameters: tuple[ParameterReading, ...] = ()
    norms: tuple[NormReading, ...] = ()
    inputs: InputReading | None = None
    outputs: OutputReading | None = None
    kept_gradient: bool | None = None
    cosine: float = UNKNOWN
    turn: float = UNKNOWN


@dataclass(frozen=True)
class EpochReading:
    """What the training said of itself at the end of an epoch.

    Attributes:
        step: Steps made by then.
        values: `train_loss`, `train_metric`, `valid_loss` and `valid_metric`, those that were told.
    """

    step: int
    values: Mapping[str, float] = field(default_factory=dict)
