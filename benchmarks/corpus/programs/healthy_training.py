"""Healthy trainings whose rates, losses or curves look suspicious."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, Adagrad, Adam, AdamW, NAdam, RMSprop
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    LambdaLR,
    MultiStepLR,
    OneCycleLR,
)
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from benchmarks.corpus.data import (
    arrows,
    cancer,
    clusters,
    curve,
    digit_images,
    digits,
    friedman,
    moons,
    noisy_linear,
    waves,
    wine,
)
from benchmarks.corpus.loop import batches, fit, score, start_watcher, validate
from benchmarks.corpus.networks import LastState, cnn, mlp
from benchmarks.corpus.program import Outcome, Watch, healthy


@healthy("digits-warm-up-then-cosine", learns=0.92)
def warm_up_then_cosine(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(64, 48, 10)
    optimizer = AdamW(model.parameters(), lr=0.01)
    epochs, steps = 8, 40
    warm = 60
    cosine = CosineAnnealingLR(optimizer, epochs * steps - warm)
    warm_up = LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / warm))
    done = [0]

    def step() -> None:
        done[0] += 1
        (warm_up if done[0] < warm else cosine).step()

    loss_fn = nn.CrossEntropyLoss()
    return fit(watch, model, optimizer, loss_fn, digits(), epochs=epochs, after_batch=step)


@healthy("arrows-one-cycle", learns=0.85)
def one_cycle(watch: Watch, faulty: bool) -> Outcome:
    model = cnn(12, 4)
    optimizer = SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True)
    scheduler = OneCycleLR(optimizer, max_lr=0.1, total_steps=10 * 27)
    return fit(
        watch,
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        arrows(),
        epochs=10,
        after_batch=scheduler.step,
    )


@healthy("clusters-warm-restarts", learns=0.85)
def warm_restarts(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(20, 32, 4)
    optimizer = SGD(model.parameters(), lr=0.2, momentum=0.9)
    scheduler = CosineAnnealingWarmRestarts(optimizer, T_0=3 * 33)
    return fit(
        watch,
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        clusters(),
        epochs=12,
        after_batch=scheduler.step,
    )


@healthy("digit-images-rate-cut-twice", learns=0.92)
def rate_cut_twice(watch: Watch, faulty: bool) -> Outcome:
    model = cnn(8, 10)
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    scheduler = MultiStepLR(optimizer, milestones=[7, 10], gamma=0.1)

    def every_epoch(_: float) -> None:
        scheduler.step()

    loss_fn = nn.CrossEntropyLoss()
    return fit(watch, model, optimizer, loss_fn, digit_images(), epochs=12, after_epoch=every_epoch)


@healthy("waves-clipped-at-every-step", learns=0.85)
def clipped_at_every_step(watch: Watch, faulty: bool) -> Outcome:
    model = LastState(nn.GRU(1, 16, batch_first=True), 3)
    optimizer = Adam(model.parameters(), lr=0.01)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), waves(), epochs=8, clip=0.1)


@healthy("linear-at-the-noise-floor", learns=0.4)
def at_the_noise_floor(watch: Watch, faulty: bool) -> Outcome:
    model = nn.Sequential(nn.Linear(8, 1))
    optimizer = SGD(model.parameters(), lr=0.05)
    return fit(watch, model, optimizer, nn.MSELoss(), noisy_linear(noise=1.0), epochs=20)


@healthy("curve-interpolates-without-noise", learns=0.95)
def interpolates_without_noise(watch: Watch, faulty: bool) -> Outcome:
    data = copy.copy(curve())
    object.__setattr__(data, "y", torch.sin(2 * data.x))
    object.__setattr__(data, "y_valid", torch.sin(2 * data.x_valid))
    model = mlp(1, 64, 64, 1, activation=nn.Tanh)
    optimizer = Adam(model.parameters(), lr=0.005)
    return fit(watch, model, optimizer, nn.MSELoss(), data, epochs=30)


@healthy("digits-trained-to-zero-loss", learns=0.95)
def trained_to_zero_loss(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(64, 256, 10)
    optimizer = Adam(model.parameters(), lr=0.003)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), digits(), epochs=15)


@healthy("cancer-separable-in-a-few-steps", learns=0.94)
def separable_in_a_few_steps(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(30, 32, 1)
    optimizer = Adam(model.parameters(), lr=0.003, weight_decay=1e-2)
    loss_fn = nn.BCEWithLogitsLoss()
    return fit(watch, model, optimizer, loss_fn, cancer(), epochs=8, batch_size=8)


@healthy("friedman-starts-with-a-high-loss", learns=0.8)
def starts_with_a_high_loss(watch: Watch, faulty: bool) -> Outcome:
    data = friedman()
    model = mlp(10, 64, 64, 1)
    optimizer = Adam(model.parameters(), lr=0.003)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        return functional.mse_loss(10 * outputs, 10 * targets)

    return fit(watch, model, optimizer, loss_fn, data, epochs=15)


@healthy("digits-batches-of-four", learns=0.9)
def batches_of_four(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(64, 32, 10)
    optimizer = SGD(model.parameters(), lr=0.05)
    loss_fn = nn.CrossEntropyLoss()
    return fit(watch, model, optimizer, loss_fn, digits(), epochs=3, batch_size=4)


@healthy("linear-one-example-at-a-time", learns=0.4)
def one_example_at_a_time(watch: Watch, faulty: bool) -> Outcome:
    data = noisy_linear(noise=0.7, count=400)
    model = mlp(8, 8, 1, activation=nn.Tanh)
    optimizer = SGD(model.parameters(), lr=0.02)
    return fit(watch, model, optimizer, nn.MSELoss(), data, epochs=3, batch_size=1)


@healthy("wine-whole-set-as-one-batch", learns=0.9)
def whole_set_as_one_batch(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(13, 16, 3)
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    loss_fn = nn.CrossEntropyLoss()
    return fit(watch, model, optimizer, loss_fn, wine(), epochs=150, batch_size=200)


@healthy("arrows-gradients-accumulated", learns=0.8)
def gradients_accumulated(watch: Watch, faulty: bool) -> Outcome:
    data = arrows()
    model = cnn(12, 4)
    optimizer = Adam(model.parameters(), lr=0.005)
    loss_fn = nn.CrossEntropyLoss()
    watcher = start_watcher(watch, model, optimizer, loss_fn, data)
    reported = 0.0
    for _ in range(12):
        model.train()
        losses = []
        optimizer.zero_grad()
        for number, (xb, yb) in enumerate(batches(data.x, data.y, 10), start=1):
            outputs = model(xb)
            loss = loss_fn(outputs, yb)
            (loss / 4).backward()
            if number % 4 == 0:
                optimizer.step()
                watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
                optimizer.zero_grad()
            losses.append(loss.detach())
        reported = validate(watcher, model, loss_fn, data, losses)
    return Outcome(reported, reported)


@healthy("digits-label-smoothing-floor", learns=0.92)
def label_smoothing_floor(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(64, 64, 10)
    optimizer = Adam(model.parameters(), lr=0.003)
    loss_fn = nn.CrossEntropyLoss(label_smoothing=0.2)
    return fit(watch, model, optimizer, loss_fn, digits(), epochs=10)


@healthy("moons-rmsprop", learns=0.95)
def moons_rmsprop(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(2, 32, 1)
    optimizer = RMSprop(model.parameters(), lr=0.01)
    return fit(watch, model, optimizer, nn.BCEWithLogitsLoss(), moons(), epochs=20)


@healthy("clusters-adagrad-slows-down", learns=0.8)
def adagrad_slows_down(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(20, 32, 4)
    optimizer = Adagrad(model.parameters(), lr=0.05)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), clusters(), epochs=12)


@healthy("friedman-nadam-in-two-rates", learns=0.8)
def nadam_in_two_rates(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(10, 32, 32, 1)
    groups = [
        {"params": model[:-1].parameters(), "lr": 0.002},
        {"params": model[-1].parameters(), "lr": 0.01},
    ]
    optimizer = NAdam(groups)
    loss_fn = nn.MSELoss()
    return fit(watch, model, optimizer, loss_fn, friedman(), epochs=15, told="batches")


@healthy("digits-heavy-momentum-small-rate", learns=0.9)
def heavy_momentum_small_rate(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(64, 32, 10)
    optimizer = SGD(model.parameters(), lr=0.01, momentum=0.97)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), digits(), epochs=10)


@healthy("digits-fine-tuned-with-a-small-rate", learns=0.92)
def fine_tuned_with_a_small_rate(watch: Watch, faulty: bool) -> Outcome:
    data = digits()
    model = mlp(64, 48, 10)
    pretrain(model, data.head(600).x, data.head(600).y)
    optimizer = SGD(model.parameters(), lr=0.002, momentum=0.9)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=6)


def pretrain(model: nn.Module, x: Tensor, y: Tensor, epochs: int = 8) -> None:
    """An earlier training, which nobody watched."""
    optimizer = Adam(model.parameters(), lr=0.005)
    for _ in range(epochs):
        for xb, yb in batches(x, y, 32):
            optimizer.zero_grad()
            functional.cross_entropy(model(xb), yb).backward()
            optimizer.step()


@healthy("arrows-frozen-on-purpose", learns=0.75)
def frozen_on_purpose(watch: Watch, faulty: bool) -> Outcome:
    data = arrows()
    model = cnn(12, 4)
    pretrain(model, data.x, data.y)
    model[-1] = nn.Linear(144, 4)
    for parameter in model[:-1].parameters():
        parameter.requires_grad = False
    optimizer = Adam(model[-1].parameters(), lr=0.005)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=8)


@healthy("clusters-weights-averaged-aside", learns=0.85)
def weights_averaged_aside(watch: Watch, faulty: bool) -> Outcome:
    data = clusters()
    model = mlp(20, 32, 4)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.98))
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)

    def step() -> None:
        average.update_parameters(model)

    loss_fn = nn.CrossEntropyLoss()
    outcome = fit(watch, model, optimizer, loss_fn, data, epochs=6, after_batch=step)
    return Outcome(score(average, data), outcome.reported)


@healthy("digits-only-losses-are-told", learns=0.92)
def only_losses_are_told(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(64, 48, 10)
    optimizer = Adam(model.parameters(), lr=0.002)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), digits(), epochs=8, told="losses")


@healthy("curve-slow-start-then-sudden", learns=0.9)
def slow_start_then_sudden(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(1, 32, 32, 32, 1, activation=nn.Tanh)
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    return fit(watch, model, optimizer, nn.MSELoss(), curve(), epochs=50, batch_size=64)
