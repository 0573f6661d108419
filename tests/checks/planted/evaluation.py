"""Faults that show between training and evaluation, or between the examples of a batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from tests.checks.planted.datasets import (
    WORDS,
    customers,
    digit_pictures,
    digit_rows,
    forecasts,
    reviews,
    segments,
    standard_houses,
    standard_stripes,
    standardise,
    tumours,
    waves,
)
from tests.checks.planted.fault import Arguments, Family
from tests.checks.planted.models import Transformer, adam, cnn, mlp, sgd

EVALUATION = Family("evaluation")


@EVALUATION.plant("eval_mode_bug")
def dropout_that_never_rests(faulty: bool) -> Arguments:
    """`functional.dropout` is called without the module's mode, and drops in evaluation too."""

    class Dropping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.head = nn.Linear(64, 128), nn.Linear(128, 10)

        def forward(self, rows: Tensor) -> Tensor:
            hidden = torch.relu(self.first(rows))
            training = True if faulty else self.training
            return self.head(functional.dropout(hidden, 0.5, training=training))

    data = digit_rows()
    model = Dropping()
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model), 32)


@EVALUATION.plant("eval_mode_bug", "batchnorm_misuse")
def mode_that_cannot_be_changed(faulty: bool) -> Arguments:
    """The model overrides `train` so that it always trains, batch normalisation included."""

    class Stuck(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = cnn(3, 16, 4, norm=True)

        def train(self, mode: bool = True) -> Stuck:
            return super().train(True if faulty else mode)

        def forward(self, images: Tensor) -> Tensor:
            return self.body(images)

    data = standard_stripes()
    model = Stuck()
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model), 32)


@EVALUATION.plant("batchnorm_misuse", "eval_mode_bug")
def batch_statistics_in_evaluation(faulty: bool) -> Arguments:
    """Batch normalisation keeps no running statistics: predictions depend on the batch."""
    data = digit_pictures()
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.BatchNorm2d(16, track_running_stats=not faulty),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(256, 10),
    )
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model), 32)


@EVALUATION.plant("batchnorm_misuse", "eval_mode_bug")
def statistics_that_never_move(faulty: bool) -> Arguments:
    """A momentum of 0, taken for "none", keeps the running statistics at mean 0 and variance 1."""
    data = segments()
    model = nn.Sequential(
        nn.Linear(16, 64),
        nn.BatchNorm1d(64, momentum=0.0 if faulty else 0.1),
        nn.ReLU(),
        nn.Linear(64, 5),
    )
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model), 64)


@EVALUATION.plant("eval_mode_bug", "batchnorm_misuse")
def standardised_over_the_batch(faulty: bool) -> Arguments:
    """The forward standardises with the mean and deviation of the batch at hand; the twin with
    those of the training rows."""
    data = standard_houses()
    mean, deviation = data.train[0].mean(0), data.train[0].std(0)

    class Standardising(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = mlp(6, 64, 1)

        def forward(self, rows: Tensor) -> Tensor:
            if faulty:
                return self.body((rows - rows.mean(0)) / (rows.std(0) + 1e-5))
            return self.body((rows - mean) / deviation)

    model = Standardising()
    return Arguments(model, data.train, data.valid, nn.MSELoss(), adam(model, 3e-3), 32)


@EVALUATION.plant("eval_mode_bug")
def batch_taken_for_time(faulty: bool) -> Arguments:
    """An LSTM is made without `batch_first` and gets `(N, T, F)`: it runs over the examples."""

    class Sequences(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.LSTM(1, 32, batch_first=not faulty)
            self.head = nn.Linear(32, 3)

        def forward(self, sequences: Tensor) -> Tensor:
            states, _ = self.cell(sequences)
            return self.head(states[:, -1])

    data = waves()
    model = Sequences()
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model, 3e-3), 32)


@EVALUATION.plant("eval_mode_bug")
def attention_between_texts(faulty: bool) -> Arguments:
    """An encoder without `batch_first` attends over the texts of the batch."""
    data = reviews()
    model = Transformer(WORDS, 20, 4, batch_first=not faulty)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model), 32)


@EVALUATION.plant("eval_mode_bug")
def viewed_instead_of_permuted(faulty: bool) -> Arguments:
    """`(N, T, F)` is made `(T, N, F)` with `view`, which mixes the sequences."""

    class Sequences(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.GRU(1, 32)
            self.head = nn.Linear(32, 1)

        def forward(self, sequences: Tensor) -> Tensor:
            count, length, width = sequences.shape
            if faulty:
                swapped = sequences.reshape(length, count, width)
            else:
                swapped = sequences.transpose(0, 1)
            states, _ = self.cell(swapped)
            return self.head(states[-1])

    data = forecasts()
    model = Sequences()
    return Arguments(model, data.train, data.valid, nn.MSELoss(), adam(model, 3e-3), 32)


@EVALUATION.plant("eval_mode_bug", "output_activation")
def shares_over_the_batch(faulty: bool) -> Arguments:
    """Gates of a hidden layer are a softmax over dimension 0."""

    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gate, self.body, self.head = nn.Linear(12, 32), nn.Linear(12, 32), nn.Linear(32, 1)

        def forward(self, rows: Tensor) -> Tensor:
            gate = self.gate(rows).softmax(0 if faulty else 1)
            return self.head(32 * gate * torch.tanh(self.body(rows)))

    data = customers()
    model = Gated()
    return Arguments(model, data.train, data.valid, nn.BCEWithLogitsLoss(), adam(model, 3e-3), 32)


@EVALUATION.plant("eval_mode_bug")
def mean_of_the_batch_taken_off(faulty: bool) -> Arguments:
    """Features are centred with the mean over the batch instead of over the units."""

    class Centred(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.head = nn.Conv2d(1, 16, 3, padding=1), nn.Linear(256, 10)

        def forward(self, images: Tensor) -> Tensor:
            features = functional.max_pool2d(torch.relu(self.first(images)), 2).flatten(1)
            return self.head(features - features.mean(0 if faulty else 1, keepdim=True))

    data = digit_pictures()
    model = Centred()
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model), 32)


@EVALUATION.plant("eval_mode_bug")
def dropout_switched_on_in_forward(faulty: bool) -> Arguments:
    """The forward puts its dropout into training mode, left from an experiment."""

    class Dropping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.drop, self.head = nn.Linear(30, 64), nn.Dropout(0.4), nn.Linear(64, 1)

        def forward(self, rows: Tensor) -> Tensor:
            if faulty:
                self.drop.train()
            return self.head(self.drop(torch.relu(self.first(rows))))

    data = standardise(tumours())
    model = Dropping()
    return Arguments(model, data.train, data.valid, nn.BCEWithLogitsLoss(), adam(model, 3e-3), 32)


@EVALUATION.plant("eval_mode_bug")
def noise_in_evaluation(faulty: bool) -> Arguments:
    """A denoising autoencoder adds its noise in evaluation too."""

    class Denoising(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = mlp(64, 32, 8, 32, 64)

        def forward(self, rows: Tensor) -> Tensor:
            if faulty or self.training:
                rows = rows + 0.3 * torch.randn_like(rows)
            return self.body(rows)

    (x, _), (xv, _) = digit_rows().train, digit_rows().valid
    model = Denoising()
    loss = nn.MSELoss()
    return Arguments(model, (x, x), (xv, xv), loss, adam(model, 3e-3), 32, "reconstruction")


@EVALUATION.plant("batchnorm_misuse")
def batches_of_two(faulty: bool) -> Arguments:
    """Batch normalisation is trained with batches of 2; the twin's have 32."""
    data = segments()
    model = mlp(16, 64, 64, 5, norm=True)
    batch = 2 if faulty else 32
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model), batch)


@EVALUATION.plant("batchnorm_misuse")
def batches_of_one(faulty: bool) -> Arguments:
    """Batch normalisation of rows gets batches of 1, which have no variance."""
    data = standardise(tumours())
    model = mlp(30, 32, 1, norm=True)
    batch = 1 if faulty else 32
    loss = nn.BCEWithLogitsLoss()
    return Arguments(model, data.train, data.valid, loss, adam(model, 3e-3), batch)


@EVALUATION.plant("batchnorm_misuse")
def last_batch_of_one(faulty: bool) -> Arguments:
    """Of 1,409 pictures in batches of 32 one is left over, and the network normalises rows."""
    data = digit_rows()
    x, y = data.train
    count = 1409 if faulty else 1408
    train = TensorDataset(x[:count], y[:count])
    model = mlp(64, 64, 10, norm=True)
    loader = DataLoader(train, batch_size=32, shuffle=True)
    return Arguments(model, loader, data.valid, nn.CrossEntropyLoss(), adam(model))


@EVALUATION.plant("batchnorm_misuse", "eval_mode_bug")
def running_statistics_of_other_data(faulty: bool) -> Arguments:
    """Running statistics come from another network: evaluation is nothing like training."""
    data = standard_stripes()
    model = cnn(3, 16, 4, norm=True)
    x = data.train[0]
    model.train()
    with torch.no_grad():
        for start in range(0, 960, 32):
            model(x[start : start + 32])
        if faulty:
            for layer in model:
                if isinstance(layer, nn.BatchNorm2d):
                    layer.running_mean.add_(5.0)
                    layer.running_var.mul_(1e-3)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model), 32)


@EVALUATION.plant("eval_mode_bug")
def scaled_by_the_largest_of_the_batch(faulty: bool) -> Arguments:
    """Hidden units are divided by the largest of the whole batch instead of the example's own."""

    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.head = nn.Linear(16, 64), nn.Linear(64, 5)

        def forward(self, rows: Tensor) -> Tensor:
            hidden = torch.relu(self.first(rows))
            if faulty:
                return self.head(hidden / (hidden.max() + 1e-6))
            return self.head(hidden / (hidden.amax(1, keepdim=True) + 1e-6))

    data = segments()
    model = Scaled()
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), sgd(model, 0.1), 64)
