"""Healthy trainings whose data look suspicious."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, Adam, AdamW

from benchmarks.corpus.data import (
    arrows,
    clusters,
    curve,
    diabetes,
    digit_images,
    digits,
    friedman,
    moons,
    noisy_linear,
    random,
    rare,
    sentences,
    standardise_targets,
)
from benchmarks.corpus.loop import (
    accuracy,
    balanced_accuracy,
    batches,
    fit,
    score,
    start_watcher,
    validate,
)
from benchmarks.corpus.networks import cnn, mlp
from benchmarks.corpus.program import Outcome, Watch, healthy


@healthy("fraud-imbalance-that-is-learned", learns=0.9)
def imbalance_that_is_learned(watch: Watch, faulty: bool) -> Outcome:
    data = rare(share=0.05, distance=2.5)
    model = mlp(10, 16, 1)
    optimizer = Adam(model.parameters(), lr=0.003)
    outcome = fit(watch, model, optimizer, nn.BCEWithLogitsLoss(), data, epochs=8, metric=accuracy)
    return Outcome(score(model, data, balanced_accuracy), outcome.reported)


@healthy("clusters-classes-of-unequal-size", learns=0.8)
def classes_of_unequal_size(watch: Watch, faulty: bool) -> Outcome:
    data = clusters()
    keep = (
        torch.rand(len(data.y), generator=random(61)) < torch.tensor([1.0, 0.6, 0.3, 0.15])[data.y]
    )
    data = replace(data, x=data.x[keep], y=data.y[keep])
    model = mlp(20, 32, 4)
    optimizer = Adam(model.parameters(), lr=0.005)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=15)


@healthy("friedman-large-targets-output-bias-set", learns=0.75)
def large_targets_output_bias_set(watch: Watch, faulty: bool) -> Outcome:
    data = friedman()
    data = replace(data, y=2000 + 300 * data.y, y_valid=2000 + 300 * data.y_valid)
    mean, deviation = data.y.mean(), data.y.std()

    class Unscaled(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return mean + deviation * x

    model = mlp(10, 48, 1).append(Unscaled())
    optimizer = Adam(model.parameters(), lr=0.005)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        return functional.mse_loss(outputs / deviation, targets / deviation)

    return fit(watch, model, optimizer, loss_fn, data, epochs=20)


@healthy("diabetes-targets-standardised", learns=0.35)
def targets_standardised(watch: Watch, faulty: bool) -> Outcome:
    data = diabetes()
    raw = replace(data, y=152 + 77 * data.y, y_valid=152 + 77 * data.y_valid)
    model = mlp(10, 8, 1)
    optimizer = SGD(model.parameters(), lr=0.02)
    return fit(watch, model, optimizer, nn.MSELoss(), standardise_targets(raw), epochs=20)


@healthy("digits-easy-ones-first", learns=0.9)
def easy_ones_first(watch: Watch, faulty: bool) -> Outcome:
    """A curriculum: the first epochs see the examples next to their class's mean."""
    data = digits()
    means = torch.stack([data.x[data.y == value].mean(0) for value in range(10)])
    order = (data.x - means[data.y]).norm(dim=1).argsort()
    model = mlp(64, 48, 10)
    optimizer = Adam(model.parameters(), lr=0.003)
    loss_fn = nn.CrossEntropyLoss()
    watcher = start_watcher(watch, model, optimizer, loss_fn, data)
    reported = 0.0
    for epoch in range(10):
        model.train()
        losses = []
        seen = order[: int(len(order) * min(1.0, 0.4 + 0.1 * epoch))]
        for xb, yb in batches(data.x[seen], data.y[seen], 32):
            optimizer.zero_grad()
            outputs = model(xb)
            loss = loss_fn(outputs, yb)
            loss.backward()
            optimizer.step()
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            losses.append(loss.detach())
        reported = validate(watcher, model, loss_fn, data, losses)
    return Outcome(reported, reported)


@healthy("clusters-same-shuffled-order-each-epoch", learns=0.85)
def same_shuffled_order_each_epoch(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(20, 32, 4)
    optimizer = AdamW(model.parameters(), lr=0.005)
    loss_fn = nn.CrossEntropyLoss()
    return fit(watch, model, optimizer, loss_fn, clusters(), epochs=12, shuffle=False)


@healthy("clusters-a-tenth-of-labels-wrong", learns=0.7)
def a_tenth_of_labels_wrong(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(20, 12, 4)
    optimizer = AdamW(model.parameters(), lr=0.005, weight_decay=0.1)
    loss_fn = nn.CrossEntropyLoss()
    return fit(watch, model, optimizer, loss_fn, clusters(flipped=0.1), epochs=10)


@healthy("linear-hardly-any-signal", learns=0.1)
def hardly_any_signal(watch: Watch, faulty: bool) -> Outcome:
    model = nn.Sequential(nn.Linear(8, 1))
    optimizer = Adam(model.parameters(), lr=0.005)
    data = noisy_linear(noise=2.0, count=2000)
    return fit(watch, model, optimizer, nn.MSELoss(), data, epochs=10, batch_size=64)


@healthy("digit-images-shifted-a-little", learns=0.9)
def shifted_a_little(watch: Watch, faulty: bool) -> Outcome:
    model = cnn(8, 10)
    optimizer = Adam(model.parameters(), lr=0.005)

    def shift(x: Tensor) -> Tensor:
        row, column = torch.randint(-1, 2, (2,)).tolist()
        x = functional.pad(x, (1, 1, 1, 1), value=-1)
        return x[:, :, 1 + row : 9 + row, 1 + column : 9 + column]

    loss_fn = nn.CrossEntropyLoss()
    return fit(watch, model, optimizer, loss_fn, digit_images(), epochs=10, augment=shift)


@healthy("arrows-noise-added-in-training", learns=0.8)
def noise_added_in_training(watch: Watch, faulty: bool) -> Outcome:
    model = cnn(12, 4)
    optimizer = Adam(model.parameters(), lr=0.005)

    def jitter(x: Tensor) -> Tensor:
        return x + 0.3 * torch.randn_like(x)

    loss_fn = nn.CrossEntropyLoss()
    return fit(watch, model, optimizer, loss_fn, arrows(), epochs=12, augment=jitter)


@healthy("digits-mixed-with-their-labels", learns=0.9)
def mixed_with_their_labels(watch: Watch, faulty: bool) -> Outcome:
    data = digits()
    model = mlp(64, 64, 10)
    optimizer = Adam(model.parameters(), lr=0.003)
    loss_fn = nn.CrossEntropyLoss()
    watcher = start_watcher(watch, model, optimizer, loss_fn, data, told="batches")
    reported = 0.0
    for _ in range(10):
        model.train()
        losses = []
        for xb, yb in batches(data.x, data.y, 32):
            share = torch.distributions.Beta(0.4, 0.4).sample((len(xb), 1))
            other = torch.randperm(len(xb))
            mixed = share * xb + (1 - share) * xb[other]
            truth = functional.one_hot(yb, 10).float()
            mixed_truth = share * truth + (1 - share) * truth[other]
            optimizer.zero_grad()
            outputs = model(mixed)
            loss = loss_fn(outputs, mixed_truth)
            loss.backward()
            optimizer.step()
            watcher.step(loss, inputs=mixed, outputs=outputs, targets=mixed_truth)
            losses.append(loss.detach())
        reported = validate(watcher, model, loss_fn, data, losses, told="batches")
    return Outcome(reported, reported)


@healthy("digits-almost-constant-columns", learns=0.92)
def almost_constant_columns(watch: Watch, faulty: bool) -> Outcome:
    data = digits()
    x, x_valid = data.x.clone(), data.x_valid.clone()
    x[:, ::9] *= 0.01
    x_valid[:, ::9] *= 0.01
    model = mlp(64, 64, 10)
    optimizer = Adam(model.parameters(), lr=0.003)
    loss_fn = nn.CrossEntropyLoss()
    return fit(watch, model, optimizer, loss_fn, replace(data, x=x, x_valid=x_valid), epochs=8)


@healthy("curve-outliers-and-huber", learns=0.8)
def outliers_and_huber(watch: Watch, faulty: bool) -> Outcome:
    data = curve()
    far = torch.rand(len(data.y), 1, generator=random(62)) < 0.03
    told = replace(data, y=torch.where(far, data.y + 6, data.y))
    model = mlp(1, 32, 32, 1, activation=nn.Tanh)
    optimizer = Adam(model.parameters(), lr=0.005)
    return fit(watch, model, optimizer, nn.HuberLoss(delta=0.5), told, epochs=30)


@healthy("moons-few-examples-strong-decay", learns=0.85)
def few_examples_strong_decay(watch: Watch, faulty: bool) -> Outcome:
    data = moons().head(120)
    model = mlp(2, 16, 1)
    optimizer = AdamW(model.parameters(), lr=0.02, weight_decay=0.1)
    loss_fn = nn.BCEWithLogitsLoss()
    return fit(watch, model, optimizer, loss_fn, data, epochs=40, batch_size=12)


@healthy("sentences-embedded-and-averaged", learns=0.75)
def embedded_and_averaged(watch: Watch, faulty: bool) -> Outcome:
    class Averaged(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.EmbeddingBag(60, 16)
            self.head = nn.Linear(16, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.embedding(x))

    model = Averaged()
    optimizer = Adam(model.parameters(), lr=0.01)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), sentences(), epochs=8)


@healthy("friedman-inputs-from-nought-to-one", learns=0.75)
def inputs_from_nought_to_one(watch: Watch, faulty: bool) -> Outcome:
    data = friedman()
    low, high = data.x.min(), data.x.max()
    data = replace(
        data, x=(data.x - low) / (high - low), x_valid=(data.x_valid - low) / (high - low)
    )
    model = mlp(10, 64, 1)
    optimizer = Adam(model.parameters(), lr=0.01)
    return fit(watch, model, optimizer, nn.MSELoss(), data, epochs=20)
