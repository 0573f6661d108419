"""Rates, momenta and schedules of version 4 that are far from what the task bears."""

from __future__ import annotations

from torch import nn
from torch.optim import SGD, Adam, AdamW, RMSprop
from torch.optim.lr_scheduler import (
    ExponentialLR,
    LambdaLR,
    ReduceLROnPlateau,
    StepLR,
)

from benchmarks.corpus.further_architectures import (
    GraphNetwork,
    NamePieces,
    NameReader,
    cell_network,
    image_network,
    motion_network,
    sound_network,
)
from benchmarks.corpus.further_tasks import (
    bikes,
    cells,
    chirps,
    clocks,
    demand,
    dots,
    halves,
    motions,
    names,
    papers,
    turned,
    xor,
)
from benchmarks.corpus.more_tasks import map_inputs
from benchmarks.corpus.networks import mlp
from benchmarks.corpus.program import Outcome, Watch, faulty
from benchmarks.corpus.training import label_f1, train


@faulty("turned-sgd-at-a-hundred-thousandth", "lr_too_low", learns=0.55, margin=0.2, version=4)
def sgd_at_a_hundred_thousandth(watch: Watch, faulty: bool) -> Outcome:
    """Plain SGD at 10⁻⁵."""
    model = image_network(4, side=8)
    optimizer = SGD(model.parameters(), lr=1e-5 if faulty else 0.1, momentum=0.5)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), turned(), epochs=5)


@faulty("bikes-rmsprop-in-tiny-steps", "lr_too_low", subtle=True, learns=0.4, version=4)
def rmsprop_in_tiny_steps(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(6, 64, 64, 1)
    optimizer = RMSprop(model.parameters(), lr=3e-5 if faulty else 0.003)
    return train(watch, model, optimizer, nn.MSELoss(), bikes(), epochs=12)


@faulty("papers-rate-written-as-a-decay", "lr_too_low", learns=0.8, version=4)
def rate_written_as_a_decay(watch: Watch, faulty: bool) -> Outcome:
    """Rate 0.0005 and decay 0.01 stand in each other's place."""
    model = GraphNetwork()
    rate, decay = (5e-4, 1e-2) if faulty else (1e-2, 5e-4)
    optimizer = SGD(model.parameters(), lr=rate, momentum=0.9, weight_decay=decay)
    loss_fn = nn.CrossEntropyLoss()
    data = papers()[0]
    return train(watch, model, optimizer, loss_fn, data, epochs=30, batch_size=50, told="data")


@faulty("xor-sgd-at-a-thousandth", "lr_too_low", learns=0.9, margin=0.1, version=4)
def sgd_at_a_thousandth(watch: Watch, faulty: bool) -> Outcome:
    """0.001 is Adam's default, and a thousandth of what plain SGD needs here."""
    model = mlp(2, 16, 1, activation=nn.Tanh)
    optimizer = SGD(model.parameters(), lr=0.001 if faulty else 0.5)
    loss_fn = nn.BCEWithLogitsLoss()
    return train(watch, model, optimizer, loss_fn, xor(), epochs=15, batch_size=20)


@faulty("names-adam-at-seven-tenths", "lr_too_high", learns=0.65, margin=0.1, version=4)
def adam_at_seven_tenths(watch: Watch, faulty: bool) -> Outcome:
    model = NameReader()
    optimizer = Adam(model.parameters(), lr=0.7 if faulty else 0.02)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), names(), epochs=5)


@faulty("cells-sgd-at-ten", "lr_too_high", learns=0.8, margin=0.1, version=4)
def sgd_at_ten(watch: Watch, faulty: bool) -> Outcome:
    model = cell_network()
    optimizer = SGD(model.parameters(), lr=10.0 if faulty else 0.3, momentum=0.9)
    return train(
        watch,
        model,
        optimizer,
        nn.BCEWithLogitsLoss(),
        cells(),
        epochs=7,
        batch_size=16,
        told="data",
        metric=label_f1,
    )


@faulty("demand-adamw-bounces", "lr_too_high", subtle=True, learns=0.8, version=4)
def adamw_bounces(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(24, 48, 6)
    optimizer = AdamW(model.parameters(), lr=1.0 if faulty else 0.005)
    return train(watch, model, optimizer, nn.MSELoss(), demand(), epochs=8, batch_size=16)


@faulty("motions-rmsprop-at-sgds-rate", "lr_too_high", learns=0.8, margin=0.1, version=4)
def rmsprop_at_sgds_rate(watch: Watch, faulty: bool) -> Outcome:
    """SGD was exchanged for RMSprop, and its 0.4 kept."""
    data = map_inputs(motions(), lambda x: x.transpose(1, 2).contiguous())
    model = motion_network()
    optimizer = RMSprop(model.parameters(), lr=0.4 if faulty else 0.003)
    loss_fn = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, loss_fn, data, epochs=8, told="batches")


@faulty("motions-momentum-of-three-nines", "momentum_too_high", learns=0.8, version=4)
def momentum_of_three_nines(watch: Watch, faulty: bool) -> Outcome:
    data = map_inputs(motions(), lambda x: x.transpose(1, 2).contiguous())
    model = motion_network()
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.999 if faulty else 0.8)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=8)


@faulty(
    "halves-nesterov-of-995", "momentum_too_high", subtle=True, learns=0.5, margin=0.03, version=4
)
def nesterov_of_995(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(32, 64, 32)
    momentum = 0.995 if faulty else 0.9
    optimizer = SGD(model.parameters(), lr=0.5, momentum=momentum, nesterov=True)
    return train(watch, model, optimizer, nn.MSELoss(), halves(), epochs=8)


@faulty("bikes-first-beta-of-999", "momentum_too_high", learns=0.4, version=4)
def first_beta_of_999(watch: Watch, faulty: bool) -> Outcome:
    """β₁ of Adam is given the value that β₂ has by default."""
    model = mlp(6, 64, 64, 1)
    optimizer = Adam(model.parameters(), lr=0.01, betas=(0.999 if faulty else 0.9, 0.999))
    return train(watch, model, optimizer, nn.MSELoss(), bikes(), epochs=12)


@faulty("turned-rmsprop-with-a-long-memory", "momentum_too_high", learns=0.6, version=4)
def rmsprop_with_a_long_memory(watch: Watch, faulty: bool) -> Outcome:
    """A momentum of 0.99 on top of steps that are scaled already."""
    model = image_network(4, side=8)
    optimizer = RMSprop(model.parameters(), lr=0.002, momentum=0.99 if faulty else 0.0)
    loss_fn = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, loss_fn, turned(), epochs=5, told="batches")


@faulty("dots-a-tenth-every-epoch", "lr_schedule", subtle=True, learns=0.8, version=4)
def a_tenth_every_epoch(watch: Watch, faulty: bool) -> Outcome:
    """`StepLR(step_size=1)` divides by ten after each epoch, where it meant each sixth."""
    model = image_network(4)
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    scheduler = StepLR(optimizer, step_size=1 if faulty else 6, gamma=0.1)
    return train(
        watch,
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        dots(),
        epochs=8,
        after_epoch=lambda _: scheduler.step(),
    )


@faulty("names-warm-up-of-four-thousand-steps", "lr_schedule", learns=0.65, version=4)
def warm_up_of_four_thousand_steps(watch: Watch, faulty: bool) -> Outcome:
    """The schedule of Vaswani et al. (2017) for a training of two hundred updates."""
    model = NamePieces()
    optimizer = Adam(model.parameters(), lr=0.02)
    steps = 4000 if faulty else 40
    warm_up = LambdaLR(optimizer, lambda step: min((step + 1) / steps, (steps / (step + 1)) ** 0.5))
    loss_fn = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, loss_fn, names(), epochs=8, after_batch=warm_up.step)


@faulty("chirps-exponential-by-batch", "lr_schedule", learns=0.75, version=4)
def exponential_by_batch(watch: Watch, faulty: bool) -> Outcome:
    """A factor of 0.8 for an epoch is applied after every batch."""
    model = sound_network()
    optimizer = AdamW(model.parameters(), lr=0.005)
    scheduler = ExponentialLR(optimizer, 0.8)
    return train(
        watch,
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        chirps(),
        epochs=6,
        after_batch=scheduler.step if faulty else None,
        after_epoch=None if faulty else lambda _: scheduler.step(),
    )


@faulty("clocks-plateau-in-the-mode-of-scores", "lr_schedule", subtle=True, learns=0.8, version=4)
def plateau_in_the_mode_of_scores(watch: Watch, faulty: bool) -> Outcome:
    """`mode="max"` and a loss: each epoch that gets better counts as a bad one."""
    model = image_network(2)
    optimizer = SGD(model.parameters(), lr=0.07, momentum=0.5)
    mode = "max" if faulty else "min"
    scheduler = ReduceLROnPlateau(optimizer, mode, factor=0.1, patience=0)
    return train(
        watch, model, optimizer, nn.MSELoss(), clocks(), epochs=10, after_epoch=scheduler.step
    )
