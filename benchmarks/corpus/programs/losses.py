"""Losses and last layers that do not belong to the task, or to each other."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, Adam

from benchmarks.corpus.data import (
    Data,
    arrows,
    as_reconstruction,
    cancer,
    clusters,
    curve,
    diabetes,
    digits,
    friedman,
    moons,
    noisy_linear,
    random,
    split,
    wine,
)
from benchmarks.corpus.loop import (
    batches,
    fit,
    probability_accuracy,
    score,
    start_watcher,
    validate,
)
from benchmarks.corpus.networks import cnn, mlp
from benchmarks.corpus.program import Outcome, Watch, faulty


@faulty("digits-softmax-before-cross-entropy", "output_activation", learns=0.9)
def softmax_before_cross_entropy(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(64, 32, 10)
    if faulty:
        model.append(nn.Softmax(1))
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.5)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), digits(), epochs=8)


@faulty("arrows-relu-on-scores", "output_activation", "dying_relu", learns=0.8)
def relu_on_scores(watch: Watch, faulty: bool) -> Outcome:
    model = cnn(12, 4)
    model[-1].bias.data -= 0.5
    if faulty:
        model.append(nn.ReLU())
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), arrows(), epochs=10)


@faulty("friedman-tanh-on-large-targets", "output_activation", learns=0.8)
def tanh_on_large_targets(watch: Watch, faulty: bool) -> Outcome:
    data = friedman()
    data = Data(data.x, 5 * data.y + 14, data.x_valid, 5 * data.y_valid + 14, data.task)
    model = mlp(10, 32, 1)
    if faulty:
        model.append(nn.Tanh())
    optimizer = Adam(model.parameters(), lr=0.03)
    return fit(watch, model, optimizer, nn.MSELoss(), data, epochs=20)


@faulty("cancer-sigmoid-twice", "output_activation", subtle=True, learns=0.93, margin=0.03)
def sigmoid_twice(watch: Watch, faulty: bool) -> Outcome:
    data = cancer()
    model = mlp(30, 8, 1)
    if faulty:
        model.append(nn.Sigmoid())
    optimizer = SGD(model.parameters(), lr=0.03)
    metric = probability_accuracy if faulty else None
    loss_fn = nn.BCEWithLogitsLoss()
    return fit(watch, model, optimizer, loss_fn, data, epochs=15, batch_size=16, metric=metric)


@faulty("curve-relu-cuts-half-the-targets", "output_activation", learns=0.8, margin=0.2)
def relu_cuts_half_the_targets(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(1, 32, 32, 1, activation=nn.Tanh)
    if faulty:
        model.append(nn.ReLU())
    optimizer = Adam(model.parameters(), lr=0.01)
    return fit(watch, model, optimizer, nn.MSELoss(), curve(), epochs=25, told="batches")


@faulty("diabetes-sigmoid-on-standardised-targets", "output_activation", subtle=True, learns=0.35)
def sigmoid_on_standardised_targets(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(10, 16, 1)
    if faulty:
        model.append(nn.Sigmoid())
    optimizer = Adam(model.parameters(), lr=0.005)
    return fit(watch, model, optimizer, nn.MSELoss(), diabetes(), epochs=20, batch_size=16)


@faulty("digits-squared-error-of-class-numbers", "wrong_loss", learns=0.9, margin=0.1)
def squared_error_of_class_numbers(watch: Watch, faulty: bool) -> Outcome:
    data = digits()
    model = mlp(64, 32, 1 if faulty else 10)
    optimizer = Adam(model.parameters(), lr=0.005)
    if not faulty:
        return fit(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=10)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        return functional.mse_loss(outputs.squeeze(1), targets.float())

    def rounded(outputs: Tensor, targets: Tensor) -> float:
        return (outputs.squeeze(1).round() == targets).float().mean().item()

    return fit(watch, model, optimizer, loss_fn, data, epochs=10, metric=rounded)


@faulty("linear-targets-broadcast", "wrong_loss", subtle=True, learns=0.7, margin=0.2)
def targets_broadcast(watch: Watch, faulty: bool) -> Outcome:
    data = noisy_linear(noise=0.3)
    flat = Data(data.x, data.y[:, 0], data.x_valid, data.y_valid[:, 0], data.task)
    model = mlp(8, 16, 1)
    optimizer = Adam(model.parameters(), lr=0.005)
    fit(watch, model, optimizer, nn.MSELoss(), flat if faulty else data, epochs=20, batch_size=20)
    truth = score(model, data)
    return Outcome(truth, truth)


@faulty("wine-binary-loss-for-three-classes", "wrong_loss", learns=0.85, margin=0.1)
def binary_loss_for_three_classes(watch: Watch, faulty: bool) -> Outcome:
    data = wine()
    model = mlp(13, 16, 1 if faulty else 3)
    optimizer = Adam(model.parameters(), lr=0.01)
    if not faulty:
        return fit(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=40)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(outputs.squeeze(1), targets.float())

    def rounded(outputs: Tensor, targets: Tensor) -> float:
        return (outputs.squeeze(1).sigmoid().round() == targets).float().mean().item()

    return fit(watch, model, optimizer, loss_fn, data, epochs=40, metric=rounded)


@faulty("sales-absolute-error-of-many-zeros", "wrong_loss", subtle=True, learns=0.3)
def absolute_error_of_many_zeros(watch: Watch, faulty: bool) -> Outcome:
    source = random(37)
    x = torch.randn(1200, 6, generator=source)
    sold = torch.rand(1200, generator=source) < torch.sigmoid(2 * x[:, 0] - 1.5)
    y = (sold * (3 + x[:, 1]).clamp(min=0.5))[:, None]
    data = split(x, y, "regression")
    model = mlp(6, 12, 1)
    optimizer = Adam(model.parameters(), lr=0.005)
    loss_fn = nn.L1Loss() if faulty else nn.MSELoss()
    return fit(watch, model, optimizer, loss_fn, data, epochs=10)


@faulty("digits-nll-of-raw-scores", "wrong_loss", "output_activation", learns=0.9)
def nll_of_raw_scores(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(64, 32, 10)
    if not faulty:
        model.append(nn.LogSoftmax(1))
    optimizer = Adam(model.parameters(), lr=0.003)
    return fit(watch, model, optimizer, nn.NLLLoss(), digits(), epochs=8)


@faulty("moons-cross-entropy-of-one-score", "wrong_loss", learns=0.95, margin=0.2)
def cross_entropy_of_one_score(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(2, 16, 16, 1)
    optimizer = Adam(model.parameters(), lr=0.01)
    loss_fn = nn.CrossEntropyLoss() if faulty else nn.BCEWithLogitsLoss()
    return fit(watch, model, optimizer, loss_fn, moons(), epochs=15)


@faulty("digits-sum-with-a-rate-for-the-mean", "loss_reduction", learns=0.9)
def sum_with_a_rate_for_the_mean(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(64, 32, 10)
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    loss_fn = nn.CrossEntropyLoss(reduction="sum" if faulty else "mean")
    return fit(watch, model, optimizer, loss_fn, digits(), epochs=8, batch_size=64)


@faulty("arrows-divided-by-the-batch-twice", "loss_reduction", learns=0.8, margin=0.1)
def divided_by_the_batch_twice(watch: Watch, faulty: bool) -> Outcome:
    data = arrows()
    model = cnn(12, 4)
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        loss = functional.cross_entropy(outputs, targets)
        return loss / len(targets) if faulty else loss

    return fit(watch, model, optimizer, loss_fn, data, epochs=10)


@faulty("digits-autoencoder-sums-everything", "loss_reduction", learns=0.5, margin=0.1)
def autoencoder_sums_everything(watch: Watch, faulty: bool) -> Outcome:
    data = as_reconstruction(digits())
    model = mlp(64, 24, 64)
    optimizer = SGD(model.parameters(), lr=0.5, momentum=0.9)
    loss_fn = nn.MSELoss(reduction="sum" if faulty else "mean")
    return fit(watch, model, optimizer, loss_fn, data, epochs=10, told="batches")


@faulty(
    "curve-accumulates-without-dividing", "loss_reduction", "lr_too_high", subtle=True, learns=0.8
)
def accumulates_without_dividing(watch: Watch, faulty: bool) -> Outcome:
    data = curve()
    model = mlp(1, 32, 32, 1, activation=nn.Tanh)
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    loss_fn = nn.MSELoss()
    watcher = start_watcher(watch, model, optimizer, loss_fn, data)
    parts = 8
    for _ in range(60):
        model.train()
        losses = []
        optimizer.zero_grad()
        for number, (xb, yb) in enumerate(batches(data.x, data.y, 8), start=1):
            outputs = model(xb)
            loss = loss_fn(outputs, yb)
            (loss if faulty else loss / parts).backward()
            if number % parts == 0:
                optimizer.step()
                watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
                optimizer.zero_grad()
            losses.append(loss.detach())
        reported = validate(watcher, model, loss_fn, data, losses)
    return Outcome(reported, reported)


@faulty("clusters-divided-by-all-examples", "loss_reduction", subtle=True, learns=0.8)
def divided_by_all_examples(watch: Watch, faulty: bool) -> Outcome:
    data = clusters()
    model = mlp(20, 24, 4)
    optimizer = SGD(model.parameters(), lr=0.1)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        total = functional.cross_entropy(outputs, targets, reduction="sum")
        return total / (len(data.x) if faulty else len(targets))

    return fit(watch, model, optimizer, loss_fn, data, epochs=8)
