"""Rates, momentum and their schedules that do not fit the network or the length of training."""

from __future__ import annotations

from torch import nn
from torch.optim import SGD, Adagrad, Adam, AdamW, RMSprop
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    ExponentialLR,
    MultiStepLR,
    StepLR,
)

from benchmarks.corpus.architectures import (
    Factors,
    LetterModel,
    Tagger,
    Transformer,
    residual_mlp,
    segment_network,
)
from benchmarks.corpus.data import sentences
from benchmarks.corpus.networks import cnn, mlp
from benchmarks.corpus.program import Outcome, Watch, faulty
from benchmarks.corpus.tasks import (
    bitmaps,
    circuit,
    houses,
    letters,
    ratings,
    segments,
    sensors,
    shapes,
    shells,
    spirals,
    swiss_roll,
    tags,
)
from benchmarks.corpus.training import label_f1, position_accuracy, train


@faulty("tags-rate-of-a-large-language-model", "lr_too_low", learns=0.8, margin=0.2, version=2)
def rate_of_a_large_language_model(watch: Watch, faulty: bool) -> Outcome:
    """The rate at which a trained transformer is tuned, for a network that knows nothing."""
    model = Tagger(24, 4)
    optimizer = AdamW(model.parameters(), lr=2e-5 if faulty else 1e-2)
    return train(
        watch,
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        tags(),
        epochs=8,
        told="data",
        metric=position_accuracy,
    )


@faulty("ratings-adagrad-at-its-thousandth", "lr_too_low", learns=0.4, margin=0.2, version=2)
def adagrad_at_its_thousandth(watch: Watch, faulty: bool) -> Outcome:
    """Adam's usual rate, given to Adagrad, which divides by a growing sum."""
    model = Factors(50, 40)
    optimizer = Adagrad(model.parameters(), lr=1e-3 if faulty else 0.3)
    return train(watch, model, optimizer, nn.MSELoss(), ratings(), epochs=12)


@faulty("bitmaps-sgd-at-adams-rate", "lr_too_low", subtle=True, learns=0.5, margin=0.2, version=2)
def sgd_at_adams_rate(watch: Watch, faulty: bool) -> Outcome:
    """Adam was exchanged for SGD and the rate kept."""
    model = mlp(144, 48, 144)
    optimizer = SGD(model.parameters(), lr=1e-3 if faulty else 3.0, momentum=0.9)
    loss_fn = nn.BCEWithLogitsLoss()
    return train(watch, model, optimizer, loss_fn, bitmaps(), epochs=15, metric=label_f1)


@faulty("shells-rmsprop-creeps", "lr_too_low", learns=0.8, margin=0.1, version=2)
def rmsprop_creeps(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(4, 32, 3)
    optimizer = RMSprop(model.parameters(), lr=2e-5 if faulty else 4e-3)
    return train(
        watch, model, optimizer, nn.CrossEntropyLoss(), shells(), epochs=15, told="batches"
    )


@faulty("sentences-transformer-at-three-tenths", "lr_too_high", learns=0.7, margin=0.1, version=2)
def transformer_at_three_tenths(watch: Watch, faulty: bool) -> Outcome:
    model = Transformer(60, 3, 12)
    optimizer = Adam(model.parameters(), lr=0.3 if faulty else 3e-3)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), sentences(), epochs=6)


@faulty("segments-rate-kept-from-another-net", "lr_too_high", learns=0.8, margin=0.1, version=2)
def rate_kept_from_another_net(watch: Watch, faulty: bool) -> Outcome:
    model = segment_network()
    optimizer = SGD(model.parameters(), lr=1.5 if faulty else 0.05, momentum=0.9)
    return train(
        watch,
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        segments(),
        epochs=10,
        told="data",
        metric=position_accuracy,
    )


@faulty("houses-adamw-bounces", "lr_too_high", subtle=True, learns=0.8, margin=0.03, version=2)
def adamw_bounces(watch: Watch, faulty: bool) -> Outcome:
    model = residual_mlp(5, 32, 1)
    optimizer = AdamW(model.parameters(), lr=0.15 if faulty else 3e-3)
    return train(watch, model, optimizer, nn.MSELoss(), houses(), epochs=12)


@faulty("shapes-rmsprop-at-a-twentieth", "lr_too_high", learns=0.8, version=2)
def rmsprop_at_a_twentieth(watch: Watch, faulty: bool) -> Outcome:
    model = cnn(12, 4)
    optimizer = RMSprop(model.parameters(), lr=0.05 if faulty else 1e-3)
    loss_fn = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, loss_fn, shapes(), epochs=8, told="losses")


@faulty("shapes-momentum-with-a-nine-too-many", "momentum_too_high", learns=0.8, version=2)
def momentum_with_a_nine_too_many(watch: Watch, faulty: bool) -> Outcome:
    model = cnn(12, 4)
    optimizer = SGD(model.parameters(), lr=0.02, momentum=0.998 if faulty else 0.9)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), shapes(), epochs=10)


@faulty("swiss-roll-rmsprop-with-momentum", "momentum_too_high", learns=0.8, version=2)
def rmsprop_with_momentum(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(3, 32, 32, 1)
    optimizer = RMSprop(model.parameters(), lr=2e-3, momentum=0.99 if faulty else 0.5)
    return train(watch, model, optimizer, nn.MSELoss(), swiss_roll(), epochs=15)


@faulty("spirals-betas-the-wrong-way-round", "momentum_too_high", learns=0.8, version=2)
def betas_the_wrong_way_round(watch: Watch, faulty: bool) -> Outcome:
    """β₁ and β₂ of Adam are swapped: a long memory of directions, a short one of sizes."""
    model = mlp(2, 48, 48, 3)
    betas = (0.999, 0.9) if faulty else (0.9, 0.999)
    optimizer = Adam(model.parameters(), lr=0.02, betas=betas)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), spirals(), epochs=12)


@faulty("sensors-nesterov-swings", "momentum_too_high", subtle=True, learns=0.7, version=2)
def nesterov_swings(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(24, 32, 6, 32, 24, activation=nn.Tanh)
    momentum = 0.9985 if faulty else 0.9
    optimizer = SGD(model.parameters(), lr=0.2, momentum=momentum, nesterov=True)
    loss_fn = nn.MSELoss()
    return train(watch, model, optimizer, loss_fn, sensors(), epochs=20, told="batches")


@faulty("shapes-milestones-counted-in-batches", "lr_schedule", learns=0.8, margin=0.1, version=2)
def milestones_counted_in_batches(watch: Watch, faulty: bool) -> Outcome:
    """Milestones are epochs, but the scheduler is stepped after every batch."""
    model = cnn(12, 4)
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    scheduler = MultiStepLR(optimizer, milestones=[6, 9], gamma=0.1)

    def every_epoch(_: float) -> None:
        scheduler.step()

    return train(
        watch,
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        shapes(),
        epochs=10,
        after_batch=scheduler.step if faulty else None,
        after_epoch=None if faulty else every_epoch,
    )


@faulty("sensors-decays-every-batch", "lr_schedule", subtle=True, learns=0.7, version=2)
def decays_every_batch(watch: Watch, faulty: bool) -> Outcome:
    """A factor meant for each of 20 epochs, applied to each of 540 batches."""
    model = mlp(24, 32, 6, 32, 24)
    optimizer = Adam(model.parameters(), lr=0.005)
    scheduler = ExponentialLR(optimizer, gamma=0.95)

    def every_epoch(_: float) -> None:
        scheduler.step()

    return train(
        watch,
        model,
        optimizer,
        nn.MSELoss(),
        sensors(),
        epochs=20,
        after_batch=scheduler.step if faulty else None,
        after_epoch=None if faulty else every_epoch,
    )


@faulty("circuit-gamma-above-one", "lr_schedule", "lr_too_high", learns=0.8, version=2)
def gamma_above_one(watch: Watch, faulty: bool) -> Outcome:
    """`gamma=10`, as one divides by in other libraries."""
    model = mlp(4, 32, 32, 1)
    optimizer = AdamW(model.parameters(), lr=3e-3)
    scheduler = StepLR(optimizer, step_size=5, gamma=10.0 if faulty else 0.5)

    def every_epoch(_: float) -> None:
        scheduler.step()

    return train(
        watch, model, optimizer, nn.MSELoss(), circuit(), epochs=15, after_epoch=every_epoch
    )


@faulty(
    "letters-warm-up-made-anew-each-epoch",
    "lr_schedule",
    "lr_too_low",
    learns=0.35,
    margin=0.1,
    version=2,
)
def warm_up_made_anew_each_epoch(watch: Watch, faulty: bool) -> Outcome:
    """The scheduler is made inside the loop of epochs, so that its warm-up never gets far."""
    model = LetterModel(12)
    optimizer = Adam(model.parameters(), lr=0.01)
    made = 0

    def warm_up() -> None:
        nonlocal made
        made += 1
        for group in optimizer.param_groups:
            group["lr"] = 0.01 * min(1.0, made / 100)

    def before_epoch() -> None:
        nonlocal made
        model.train()
        if faulty:
            made = 0

    for group in optimizer.param_groups:
        group["lr"] = 1e-4
    return train(
        watch,
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        letters(),
        epochs=15,
        batch_size=32,
        told="data",
        metric=position_accuracy,
        after_batch=warm_up,
        before_epoch=before_epoch,
    )


@faulty(
    "swiss-roll-cosine-ends-at-its-top",
    "lr_schedule",
    "lr_too_high",
    subtle=True,
    learns=0.8,
    version=2,
)
def cosine_ends_at_its_top(watch: Watch, faulty: bool) -> Outcome:
    """`T_max` is half the length: the cosine goes down, and then up again until the end."""
    model = mlp(3, 32, 32, 1)
    optimizer = RMSprop(model.parameters(), lr=0.04)
    steps = 14 * 22
    scheduler = CosineAnnealingLR(optimizer, T_max=steps // 2 if faulty else steps)
    return train(
        watch, model, optimizer, nn.MSELoss(), swiss_roll(), epochs=14, after_batch=scheduler.step
    )
