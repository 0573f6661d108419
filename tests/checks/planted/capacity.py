"""Networks that cannot fit even a handful of examples, or do not look at their inputs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tests.checks.planted.datasets import (
    WORDS,
    curve,
    customers,
    digit_pictures,
    digit_rows,
    forecasts,
    reviews,
    segments,
    standard_houses,
    standard_stripes,
    waves,
)
from tests.checks.planted.fault import Arguments, Family
from tests.checks.planted.models import BagOfWords, Recurrent, Then, adam, mlp

CAPACITY = Family("capacity")


@CAPACITY.plant("underfitting", "not_learning")
def inputs_multiplied_by_zero(faulty: bool) -> Arguments:
    """A mask that was never filled blanks all inputs."""

    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mask", torch.zeros(16) if faulty else torch.ones(16))
            self.body = mlp(16, 64, 5)

        def forward(self, rows: Tensor) -> Tensor:
            return self.body(rows * self.mask)

    data = segments()
    model = Masked()
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model), 64)


@CAPACITY.plant("underfitting", "not_learning", "detach_inplace", "frozen_params")
def wrong_variable_goes_on(faulty: bool) -> Arguments:
    """A typing error: the head gets the first layer's bias instead of its output."""

    class Mistyped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.head = nn.Linear(64, 32), nn.Linear(32, 10)

        def forward(self, rows: Tensor) -> Tensor:
            hidden = torch.relu(self.first(rows))
            if faulty:
                hidden = torch.relu(self.first.bias).expand(len(rows), -1)
            return self.head(hidden)

    data = digit_rows()
    model = Mistyped()
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model), 32)


@CAPACITY.plant("underfitting", "not_learning")
def squeezed_through_one_unit(faulty: bool) -> Arguments:
    """A bottleneck of one ReLU between the features and ten classes; the twin's has 32 units."""
    data = digit_pictures()
    width = 1 if faulty else 32
    model = nn.Sequential(
        nn.Flatten(),
        nn.Linear(64, 64),
        nn.ReLU(),
        nn.Linear(64, width),
        nn.ReLU(),
        nn.Linear(width, 10),
    )
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model, 3e-3), 32)


@CAPACITY.plant("underfitting", "not_learning", "vanishing_gradient")
def pooled_right_after_normalising(faulty: bool) -> Arguments:
    """Instance normalisation comes right before pooling over the whole picture: the mean is 0 for
    every picture; in the twin a ReLU stands between."""
    data = standard_stripes()
    model = nn.Sequential(
        nn.Conv2d(3, 32, 5, padding=2),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3, padding=1),
        nn.InstanceNorm2d(32),
        nn.Identity() if faulty else nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 4),
    )
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model, 3e-3), 32)


@CAPACITY.plant("underfitting", "not_learning")
def line_through_a_wave(faulty: bool) -> Arguments:
    """An MLP without activations is a straight line; the targets are a sine."""
    data = curve()
    model = mlp(1, 64, 64, 1, activation=nn.Identity if faulty else nn.Tanh)
    return Arguments(model, data.train, data.valid, nn.MSELoss(), adam(model, 3e-3), 32)


@CAPACITY.plant("underfitting", "not_learning")
def state_before_the_sequence(faulty: bool) -> Arguments:
    """The head gets the initial state of zeros instead of the last one."""

    class First(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell, self.head = nn.GRU(1, 32, batch_first=True), nn.Linear(32, 3)

        def forward(self, sequences: Tensor) -> Tensor:
            initial = torch.zeros(1, len(sequences), 32)
            _, last = self.cell(sequences, initial)
            return self.head((initial if faulty else last)[0] + 0 * last[0])

    data = waves()
    model = First()
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model, 3e-3), 32)


@CAPACITY.plant("underfitting", "not_learning", "over_regularised")
def dropout_of_nearly_everything(faulty: bool) -> Arguments:
    """Dropout got the share to keep, 0.97, as the share to drop."""
    data = standard_houses()
    model = nn.Sequential(
        nn.Linear(6, 64), nn.ReLU(), nn.Dropout(0.97 if faulty else 0.03), nn.Linear(64, 1)
    )
    return Arguments(model, data.train, data.valid, nn.MSELoss(), adam(model, 3e-3), 32)


@CAPACITY.plant("underfitting", "not_learning")
def all_words_are_unknown(faulty: bool) -> Arguments:
    """All words are clamped to the number of the unknown one."""

    class Known(nn.Module):
        def forward(self, words: Tensor) -> Tensor:
            return words.clamp(max=0) if faulty else words

    data = reviews()
    model = nn.Sequential(Known(), BagOfWords(WORDS, 4))
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model, 3e-3), 32)


@CAPACITY.plant("underfitting", "not_learning", "vanishing_gradient")
def outputs_scaled_to_nothing(faulty: bool) -> Arguments:
    """The scores are multiplied by 0.0001, a temperature the wrong way round."""

    class Scale(nn.Module):
        def forward(self, scores: Tensor) -> Tensor:
            return scores * (1e-4 if faulty else 1.0)

    data = customers()
    model = Then(mlp(12, 32, 1), Scale())
    return Arguments(model, data.train, data.valid, nn.BCEWithLogitsLoss(), adam(model), 32)


@CAPACITY.plant("underfitting", "not_learning")
def mask_the_wrong_way_round(faulty: bool) -> Arguments:
    """The mask of padding is the wrong way round: all samples that exist are set to 0."""

    class MaskedForecast(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = Recurrent(nn.LSTM, 1, 32, 1)

        def forward(self, sequences: Tensor) -> Tensor:
            exists = torch.ones_like(sequences, dtype=torch.bool)
            return self.body(sequences.masked_fill(exists if faulty else ~exists, 0.0))

    data = forecasts()
    model = MaskedForecast()
    return Arguments(model, data.train, data.valid, nn.MSELoss(), adam(model, 3e-3), 32)
