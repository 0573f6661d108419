"""Preprocessing, fitted on the training split only and saved with the run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trainwell.errors import DataError

EMPTY = torch.zeros(0)


@dataclass(frozen=True)
class Preprocess:
    """Turns inputs as held into what a model sees, batch by batch and on their device.

    A table's columns are filled (missing values) and its categories spread first; then every
    input is shifted and scaled, and last projected.

    Attributes:
        output_shape: Of one example as the model sees it.
        shift, scale: `(x − shift) · scale`, broadcast against one example.
        fill: For each column of a table, what stands for a missing value; empty: none.
        category_columns: Columns that hold category codes; each becomes one column a category.
        category_counts: How many categories each has.
        rotation: PCA or whitening, `(F, K)`, of the flattened input; empty: none.
        target_shift, target_scale: Of a regression; a classification has 0 and 1.
        steps: Names of what was fitted.
    """

    output_shape: tuple[int, ...]
    shift: Tensor = EMPTY
    scale: Tensor = EMPTY
    fill: Tensor = EMPTY
    category_columns: tuple[int, ...] = ()
    category_counts: tuple[int, ...] = ()
    rotation: Tensor = EMPTY
    target_shift: Tensor = EMPTY
    target_scale: Tensor = EMPTY
    steps: tuple[str, ...] = ()

    def __call__(self, inputs: Tensor) -> Tensor:
        """Inputs `(N, ...)` as held become float32 `(N, *output_shape)`."""
        values = inputs
        if self.fill.numel():
            values = torch.where(torch.isnan(values), self.fill, values)
        if self.category_columns:
            values = self._spread(values)
        if not values.is_floating_point():
            values = values.float()
        if self.shift.numel():
            values = (values - self.shift).mul_(self.scale)
        if self.rotation.numel():
            values = values.flatten(1) @ self.rotation
        return values.to(torch.float32)

    def restore_images(self, images: Tensor) -> Tensor:
        """Images as held, not rounded, of images `(N, C, H, W)` as the model sees them."""
        if not self.shift.numel():
            return images
        return images / self.scale + self.shift

    def to(self, device: torch.device) -> Preprocess:
        """This preprocessing with its numbers on a device."""
        moved = {
            field.name: value.to(device)
            for field in dataclasses.fields(self)
            if isinstance(value := getattr(self, field.name), Tensor)
        }
        return dataclasses.replace(self, **moved)

    def encode_targets(self, targets: Tensor) -> Tensor:
        """Targets of a regression standardised; class numbers as they are."""
        if not self.target_scale.numel():
            return targets
        shift, scale = self.target_shift.to(targets.device), self.target_scale.to(targets.device)
        return (targets - shift) / scale

    def decode_outputs(self, outputs: Tensor) -> Tensor:
        """Outputs of a regression in the targets' own unit; logits as they are."""
        if not self.target_scale.numel():
            return outputs
        shift, scale = self.target_shift.to(outputs.device), self.target_scale.to(outputs.device)
        return outputs * scale + shift

    def to_state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Named tensors, and everything else as JSON types."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        tensors = {k: v.cpu().contiguous() for k, v in values.items() if isinstance(v, Tensor)}
        fields = {k: list(v) for k, v in values.items() if isinstance(v, tuple)}
        return tensors, fields

    @classmethod
    def from_state(cls, tensors: Mapping[str, Tensor], fields: Mapping[str, Any]) -> Preprocess:
        """The preprocessing that `to_state` gave."""
        values: dict[str, Any] = {**tensors, **{k: tuple(v) for k, v in fields.items()}}
        return cls(**values)

    def _spread(self, values: Tensor) -> Tensor:
        """Category codes as one column a category; a missing code has zero in all of them."""
        kept = [i for i in range(values.shape[1]) if i not in self.category_columns]
        parts = [values[:, kept]]
        for column, count in zip(self.category_columns, self.category_counts, strict=True):
            codes = torch.arange(count, device=values.device, dtype=values.dtype)
            parts.append((values[:, column, None] == codes).to(values.dtype))
        return torch.cat(parts, dim=1)


DEFAULT_STEPS: dict[str, tuple[str, ...]] = {
    "image": ("channel_mean", "channel_scale"),
    "vector": ("centre", "scale"),
    "sequence": ("channel_mean", "channel_scale"),
}

STEPS = (
    "centre",
    "scale",
    "channel_mean",
    "channel_scale",
    "mean_image",
    "unit_range",
    "pca",
    "whiten",
)


def fit_preprocess(
    inputs: Tensor,
    targets: Tensor,
    *,
    kind: str,
    task: str,
    steps: Sequence[str] | None = None,
    category_counts: Mapping[int, int] | None = None,
    components: int | None = None,
    is_table: bool = False,
) -> Preprocess:
    """Preprocessing fitted on a training split.

    Args:
        inputs: `(N, ...)` as held; NaN stands for a missing value of a table.
        targets: `(N,)` or `(N, K)`.
        kind: `"image"`, `"vector"` or `"sequence"`; decides the steps where none are named.
        task: The targets of a regression are standardised.
        steps: Of `STEPS`: `"centre"` and `"scale"` each input; `"channel_mean"` and
            `"channel_scale"` by channel (the last dimension of a sequence); `"mean_image"`
            subtracts it; `"unit_range"` maps the training split's values to [0, 1]; `"pca"`
            decorrelates; `"whiten"` also makes every variance one.
        category_counts: Categories of each column of a table that holds category codes.
        components: Directions kept by `"pca"` and `"whiten"`; None keeps all.
        is_table: A table can lack values later on that it has in the training split.

    Raises:
        DataError: An unknown step.
    """
    chosen = tuple(steps if steps is not None else DEFAULT_STEPS[kind])
    for step in chosen:
        if step not in STEPS:
            raise DataError(
                f"there is no preprocessing step {step!r}", remedy=f"Known: {', '.join(STEPS)}"
            )
    counts = dict(category_counts or {})
    prepared = Preprocess(
        output_shape=tuple(inputs.shape[1:]),
        fill=_fit_fill(inputs, tuple(counts), is_table=is_table),
        category_columns=tuple(counts),
        category_counts=tuple(counts.values()),
        steps=chosen,
    )
    spread = _apply_exactly(prepared, inputs)
    shift, scale = _fit_shift_and_scale(spread, kind, chosen)
    if counts and shift.numel():
        numbers = inputs.shape[1] - len(counts)
        # Zero and one of a category are left as they are.
        shift[numbers:], scale[numbers:] = 0.0, 1.0
    rotation = _fit_rotation((spread - shift) * scale, chosen, components)
    shape = tuple(spread.shape[1:]) if not rotation.numel() else (rotation.shape[1],)
    exact = inputs.dtype if inputs.dtype == torch.float64 else torch.float32
    target_shift, target_scale = _fit_targets(targets, task)
    return dataclasses.replace(
        prepared,
        output_shape=shape,
        shift=shift.to(exact),
        scale=scale.to(exact),
        rotation=rotation.to(exact),
        target_shift=target_shift,
        target_scale=target_scale,
    )


def _apply_exactly(prepared: Preprocess, inputs: Tensor) -> Tensor:
    values = inputs
    if prepared.fill.numel():
        values = torch.where(torch.isnan(values), prepared.fill, values)
    if prepared.category_columns:
        values = prepared._spread(values)
    return values


def _fit_fill(inputs: Tensor, category_columns: tuple[int, ...], *, is_table: bool) -> Tensor:
    """Medians of a table's columns; a missing category stays missing."""
    if inputs.ndim != 2 or not inputs.is_floating_point():
        return EMPTY
    if not is_table and not bool(torch.isnan(inputs).any()):
        return EMPTY
    fill = inputs.nanmedian(0).values.nan_to_num(0.0)
    for column in category_columns:
        fill[column] = -1.0
    return fill


def _fit_shift_and_scale(
    inputs: Tensor, kind: str, steps: tuple[str, ...]
) -> tuple[Tensor, Tensor]:
    if "unit_range" in steps:
        return _fit_unit_range(inputs, kind)
    by_channel = bool({"channel_mean", "channel_scale"} & set(steps))
    shape = inputs.shape[1:]
    if by_channel:
        axes = (0, 1) if kind == "sequence" else (0, *range(2, inputs.ndim))
        shape = tuple(1 if a in axes else inputs.shape[a] for a in range(1, inputs.ndim))
    else:
        axes = (0,)
    mean, deviation = _moments(inputs, axes)
    centred = {"centre", "mean_image", "channel_mean", "pca", "whiten"} & set(steps)
    scaled = {"scale", "channel_scale"} & set(steps)
    shift = mean if centred else torch.zeros_like(mean)
    # A constant input has no scale; dividing by one leaves it at zero.
    scale = 1 / torch.where(deviation > 0, deviation, 1.0) if scaled else torch.ones_like(mean)
    return shift.reshape(shape), scale.reshape(shape)


def _fit_unit_range(inputs: Tensor, kind: str) -> tuple[Tensor, Tensor]:
    """The least value and one over the range: of each column of a table, else of all values."""
    if kind == "vector":
        low, high = inputs.amin(0).double(), inputs.amax(0).double()
    else:
        low, high = inputs.amin().double(), inputs.amax().double()
        low, high = (v.reshape([1] * (inputs.ndim - 1)) for v in (low, high))
    return low, 1 / torch.where(high > low, high - low, 1.0)


def _moments(inputs: Tensor, axes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation in float64, a slice at a time: uint8 images grow eightfold."""
    total, squares, count = 0.0, 0.0, 0
    for part in inputs.split(4096):
        values = part.double()
        total = total + values.sum(axes)
        squares = squares + values.square().sum(axes)
        count += values.numel()
    per = count // max(1, torch.as_tensor(total).numel())
    mean = torch.as_tensor(total) / per
    variance = torch.as_tensor(squares) / per - mean.square()
    # What is left of a constant input by rounding is not a variance.
    variance = torch.where(variance > 1e-12 * (mean.square() + 1e-300), variance, 0.0)
    return mean, variance.sqrt()


def _fit_rotation(centred: Tensor, steps: tuple[str, ...], components: int | None) -> Tensor:
    if not {"pca", "whiten"} & set(steps):
        return EMPTY
    flat = centred.flatten(1).double()
    covariance = flat.T @ flat / len(flat)
    variances, directions = torch.linalg.eigh(covariance)
    variances, directions = variances.flip(0), directions.flip(1)
    # Directions without variance have no scale and carry nothing.
    kept = int((variances > 1e-10 * variances[0]).sum())
    kept = min(kept, components or kept)
    directions = directions[:, :kept]
    return directions / variances[:kept].sqrt() if "whiten" in steps else directions


def _fit_targets(targets: Tensor, task: str) -> tuple[Tensor, Tensor]:
    if task != "regression":
        return EMPTY, EMPTY
    values = targets.double()
    deviation = values.std(0, correction=0)
    scale = torch.where(deviation > 0, deviation, 1.0)
    return values.mean(0).float(), scale.float()
