"""Learning rates, momentum and schedules that are out of proportion."""

from __future__ import annotations

from torch import nn
from torch.optim import SGD, Adam, AdamW, RMSprop
from torch.optim.lr_scheduler import (
    ExponentialLR,
    LambdaLR,
    ReduceLROnPlateau,
    StepLR,
)

from benchmarks.corpus.data import (
    arrows,
    clusters,
    curve,
    digit_images,
    digits,
    friedman,
    noisy_linear,
    waves,
    wine,
)
from benchmarks.corpus.loop import fit
from benchmarks.corpus.networks import LastState, cnn, mlp
from benchmarks.corpus.program import Outcome, Watch, faulty


@faulty("digits-sgd-at-a-hundred-thousandth", "lr_too_low", learns=0.9, margin=0.3)
def sgd_at_a_hundred_thousandth(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(64, 32, 10)
    optimizer = SGD(model.parameters(), lr=1e-5 if faulty else 0.1, momentum=0.9)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), digits(), epochs=8)


@faulty("arrows-adam-at-a-millionth", "lr_too_low", learns=0.8, margin=0.3)
def adam_at_a_millionth(watch: Watch, faulty: bool) -> Outcome:
    model = cnn(12, 4)
    optimizer = Adam(model.parameters(), lr=1e-6 if faulty else 3e-3)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), arrows(), epochs=10)


@faulty("clusters-sgd-creeps", "lr_too_low", subtle=True, learns=0.75, margin=0.1)
def sgd_creeps(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(20, 32, 4)
    optimizer = SGD(model.parameters(), lr=1e-3 if faulty else 0.1)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), clusters(), epochs=15)


@faulty("friedman-adamw-creeps", "lr_too_low", subtle=True, learns=0.8, margin=0.1)
def adamw_creeps(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(10, 32, 32, 1)
    optimizer = AdamW(model.parameters(), lr=3e-5 if faulty else 3e-3)
    return fit(watch, model, optimizer, nn.MSELoss(), friedman(), epochs=20, told="batches")


@faulty("digits-sgd-at-three", "lr_too_high", learns=0.9, margin=0.1)
def sgd_at_three(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(64, 32, 10)
    optimizer = SGD(model.parameters(), lr=3.0 if faulty else 0.2)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), digits(), epochs=8)


@faulty("waves-adam-at-a-half", "lr_too_high", learns=0.8, margin=0.1)
def adam_at_a_half(watch: Watch, faulty: bool) -> Outcome:
    model = LastState(nn.GRU(1, 16, batch_first=True), 3)
    optimizer = Adam(model.parameters(), lr=0.5 if faulty else 0.01)
    loss_fn = nn.CrossEntropyLoss()
    return fit(watch, model, optimizer, loss_fn, waves(), epochs=12, clip=1.0, told="batches")


@faulty("friedman-rmsprop-bounces", "lr_too_high", subtle=True, learns=0.8)
def rmsprop_bounces(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(10, 32, 1)
    optimizer = RMSprop(model.parameters(), lr=0.1 if faulty else 0.003)
    return fit(watch, model, optimizer, nn.MSELoss(), friedman(), epochs=15)


@faulty("linear-sgd-beyond-stability", "lr_too_high", "exploding_or_nan", learns=0.4, margin=0.3)
def sgd_beyond_stability(watch: Watch, faulty: bool) -> Outcome:
    model = nn.Sequential(nn.Linear(8, 1))
    optimizer = SGD(model.parameters(), lr=1.2 if faulty else 0.05)
    loss_fn = nn.MSELoss()
    return fit(watch, model, optimizer, loss_fn, noisy_linear(noise=0.5), epochs=15, told="losses")


@faulty("digit-images-adam-a-little-high", "lr_too_high", subtle=True, learns=0.93)
def adam_a_little_high(watch: Watch, faulty: bool) -> Outcome:
    model = cnn(8, 10)
    optimizer = Adam(model.parameters(), lr=0.08 if faulty else 0.005)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), digit_images(), epochs=8)


@faulty("digits-momentum-of-nearly-one", "momentum_too_high", learns=0.9)
def momentum_of_nearly_one(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(64, 32, 10)
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.999 if faulty else 0.9)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), digits(), epochs=8)


@faulty("curve-nesterov-swings", "momentum_too_high", subtle=True, learns=0.75, margin=0.1)
def nesterov_swings(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(1, 32, 32, 1, activation=nn.Tanh)
    momentum = 0.999 if faulty else 0.9
    optimizer = SGD(model.parameters(), lr=0.045, momentum=momentum, nesterov=True)
    return fit(watch, model, optimizer, nn.MSELoss(), curve(), epochs=30)


@faulty("friedman-adam-remembers-too-long", "momentum_too_high", subtle=True, learns=0.8)
def adam_remembers_too_long(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(10, 32, 32, 1)
    optimizer = Adam(model.parameters(), lr=0.005, betas=(0.999 if faulty else 0.9, 0.999))
    return fit(watch, model, optimizer, nn.MSELoss(), friedman(), epochs=15)


@faulty("digits-steps-down-every-batch", "lr_schedule", learns=0.9, margin=0.1)
def steps_down_every_batch(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(64, 32, 10)
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.5)
    scheduler = StepLR(optimizer, step_size=3, gamma=0.3)

    def every_epoch(_: float) -> None:
        scheduler.step()

    return fit(
        watch,
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        digits(),
        epochs=8,
        after_batch=scheduler.step if faulty else None,
        after_epoch=None if faulty else every_epoch,
    )


@faulty("wine-warm-up-never-ends", "lr_schedule", "lr_too_low", learns=0.85, margin=0.1)
def warm_up_never_ends(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(13, 16, 3)
    optimizer = AdamW(model.parameters(), lr=0.01)
    length = 200_000 if faulty else 50
    scheduler = LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / length))
    return fit(
        watch,
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        wine(),
        epochs=40,
        batch_size=16,
        after_batch=scheduler.step,
    )


@faulty("friedman-rate-grows", "lr_schedule", "lr_too_high", learns=0.8, margin=0.1)
def rate_grows(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(10, 32, 1)
    optimizer = Adam(model.parameters(), lr=0.008)
    scheduler = ExponentialLR(optimizer, gamma=1.012 if faulty else 0.996)
    return fit(
        watch,
        model,
        optimizer,
        nn.MSELoss(),
        friedman(),
        epochs=20,
        after_batch=scheduler.step,
        told="batches",
    )


@faulty("clusters-plateau-of-a-rising-score", "lr_schedule", subtle=True, learns=0.8)
def plateau_of_a_rising_score(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(20, 32, 4)
    optimizer = SGD(model.parameters(), lr=0.02)
    mode = "min" if faulty else "max"
    scheduler = ReduceLROnPlateau(optimizer, mode=mode, factor=0.1, patience=0 if faulty else 3)
    return fit(
        watch,
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        clusters(),
        epochs=15,
        after_epoch=scheduler.step,
    )


@faulty("arrows-decays-within-the-first-epoch", "lr_schedule", subtle=True, learns=0.8, margin=0.1)
def decays_within_the_first_epoch(watch: Watch, faulty: bool) -> Outcome:
    model = cnn(12, 4)
    optimizer = Adam(model.parameters(), lr=0.01)
    epochs, steps = 10, 27
    scheduler = LambdaLR(
        optimizer, lambda step: max(0.0, 1 - step / (epochs * (2 if faulty else steps)))
    )
    return fit(
        watch,
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        arrows(),
        epochs=epochs,
        after_batch=scheduler.step,
    )
