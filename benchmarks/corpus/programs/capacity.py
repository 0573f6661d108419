"""Models that learn the noise, cannot learn the task, or may not."""

from __future__ import annotations

from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW

from benchmarks.corpus.data import (
    arrows,
    as_reconstruction,
    circles,
    clusters,
    curve,
    diabetes,
    digits,
    friedman,
    moons,
    noisy_linear,
)
from benchmarks.corpus.loop import fit
from benchmarks.corpus.networks import cnn, mlp
from benchmarks.corpus.program import Outcome, Watch, faulty


@faulty("linear-large-net-few-examples", "overfitting", learns=0.3, margin=0.15)
def large_net_few_examples(watch: Watch, faulty: bool) -> Outcome:
    data = noisy_linear(noise=1.0, count=1200)
    if faulty:
        data = data.head(60)
    model = mlp(8, 128, 128, 1) if faulty else mlp(8, 16, 1)
    optimizer = Adam(model.parameters(), lr=0.003)
    epochs, size = (80, 10) if faulty else (12, 32)
    return fit(watch, model, optimizer, nn.MSELoss(), data, epochs=epochs, batch_size=size)


@faulty("clusters-learns-the-noise", "overfitting", subtle=True, learns=0.6)
def learns_the_noise(watch: Watch, faulty: bool) -> Outcome:
    data = clusters(flipped=0.3, count=2000).head(500)
    model = mlp(20, 256, 256, 4) if faulty else mlp(20, 8, 4)
    optimizer = AdamW(model.parameters(), lr=0.003, weight_decay=0.0 if faulty else 0.2)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=30)


@faulty("arrows-hundred-images", "overfitting", learns=0.65, margin=0.1)
def hundred_images(watch: Watch, faulty: bool) -> Outcome:
    data = arrows(noise=0.5)
    if faulty:
        data = data.head(100)
    model = cnn(12, 4)
    optimizer = Adam(model.parameters(), lr=0.005)
    epochs = 50 if faulty else 10
    loss_fn = nn.CrossEntropyLoss()
    return fit(watch, model, optimizer, loss_fn, data, epochs=epochs, batch_size=20)


@faulty("diabetes-trained-too-long", "overfitting", learns=0.3, margin=0.1, subtle=True)
def trained_too_long(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(10, 64, 64, 1)
    optimizer = Adam(model.parameters(), lr=0.002)
    epochs = 40 if faulty else 6
    return fit(watch, model, optimizer, nn.MSELoss(), diabetes(), epochs=epochs, batch_size=20)


@faulty("circles-linear-model", "underfitting", learns=0.93, margin=0.2)
def linear_model(watch: Watch, faulty: bool) -> Outcome:
    model = nn.Sequential(nn.Linear(2, 2)) if faulty else mlp(2, 16, 2)
    optimizer = Adam(model.parameters(), lr=0.02)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), circles(), epochs=15)


@faulty("curve-straight-line", "underfitting", learns=0.8, margin=0.3)
def straight_line(watch: Watch, faulty: bool) -> Outcome:
    activation = nn.Identity if faulty else nn.Tanh
    model = mlp(1, 24, 24, 1, activation=activation)
    optimizer = Adam(model.parameters(), lr=0.01)
    return fit(watch, model, optimizer, nn.MSELoss(), curve(), epochs=30)


@faulty("digits-two-hidden-units", "underfitting", learns=0.9, margin=0.1)
def two_hidden_units(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(64, 2 if faulty else 32, 10)
    optimizer = Adam(model.parameters(), lr=0.01)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), digits(), epochs=12)


@faulty("moons-logistic-regression", "underfitting", subtle=True, learns=0.95)
def logistic_regression(watch: Watch, faulty: bool) -> Outcome:
    model = nn.Sequential(nn.Linear(2, 1)) if faulty else mlp(2, 24, 1)
    optimizer = SGD(model.parameters(), lr=0.3, momentum=0.9)
    return fit(watch, model, optimizer, nn.BCEWithLogitsLoss(), moons(), epochs=20)


@faulty("digits-autoencoder-of-one-number", "underfitting", learns=0.5, margin=0.2)
def autoencoder_of_one_number(watch: Watch, faulty: bool) -> Outcome:
    data = as_reconstruction(digits())
    model = mlp(64, 48, 1 if faulty else 16, 48, 64)
    optimizer = Adam(model.parameters(), lr=0.005)
    return fit(watch, model, optimizer, nn.MSELoss(), data, epochs=12, told="batches")


@faulty("digits-weight-decay-of-one", "over_regularised", learns=0.9, margin=0.1)
def weight_decay_of_one(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(64, 32, 10)
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.5, weight_decay=1.0 if faulty else 1e-4)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), digits(), epochs=8)


@faulty("arrows-dropout-of-nearly-all", "over_regularised", learns=0.65, margin=0.1)
def dropout_of_nearly_all(watch: Watch, faulty: bool) -> Outcome:
    share = 0.97 if faulty else 0.1
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(share),
        nn.Linear(288, 32),
        nn.ReLU(),
        nn.Dropout(share),
        nn.Linear(32, 4),
    )
    optimizer = Adam(model.parameters(), lr=0.004)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), arrows(), epochs=12)


@faulty("friedman-heavy-absolute-penalty", "over_regularised", learns=0.7, margin=0.1)
def heavy_absolute_penalty(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(10, 32, 1)
    optimizer = Adam(model.parameters(), lr=0.005)
    strength = 0.1 if faulty else 1e-5

    def penalty() -> Tensor:
        return strength * sum(p.abs().sum() for p in model.parameters())  # pyright: ignore[reportReturnType]

    return fit(watch, model, optimizer, nn.MSELoss(), friedman(), epochs=20, penalty=penalty)


@faulty("clusters-adamw-decay-holds-back", "over_regularised", subtle=True, learns=0.8)
def adamw_decay_holds_back(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(20, 32, 4)
    optimizer = AdamW(model.parameters(), lr=0.005, weight_decay=12.0 if faulty else 0.01)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), clusters(), epochs=12)


@faulty("moons-dropout-in-a-small-net", "over_regularised", subtle=True, learns=0.93)
def dropout_in_a_small_net(watch: Watch, faulty: bool) -> Outcome:
    share = 0.8 if faulty else 0.0
    model = nn.Sequential(
        nn.Linear(2, 16),
        nn.ReLU(),
        nn.Dropout(share),
        nn.Linear(16, 16),
        nn.ReLU(),
        nn.Dropout(share),
        nn.Linear(16, 1),
    )
    optimizer = Adam(model.parameters(), lr=0.01)
    return fit(watch, model, optimizer, nn.BCEWithLogitsLoss(), moons(), epochs=20)
