"""Rates, momenta and schedules of version 3 that go too slowly, too fast or the wrong way."""

from __future__ import annotations

from torch import Tensor, nn
from torch.optim import SGD, Adadelta, Adagrad, Adam, AdamW, NAdam, RAdam, RMSprop
from torch.optim.lr_scheduler import (
    CyclicLR,
    LambdaLR,
    OneCycleLR,
    PolynomialLR,
    ReduceLROnPlateau,
)

from benchmarks.corpus.architectures import Factors
from benchmarks.corpus.more_architectures import (
    CausalTransformer,
    Reader,
    Table,
    UNet,
    colour_network,
    frame_network,
    spot_network,
)
from benchmarks.corpus.more_tasks import (
    claims,
    fields,
    frames,
    hastie,
    leaves,
    machines,
    map_inputs,
    orders,
    phases,
    reviews,
    ribbon,
    scenes,
    spots,
    watched,
)
from benchmarks.corpus.networks import LastState, mlp
from benchmarks.corpus.program import Outcome, Watch, faulty
from benchmarks.corpus.tasks import letters, spirals
from benchmarks.corpus.training import position_accuracy, train


@faulty("scenes-adadelta-at-adams-rate", "lr_too_low", learns=0.8, margin=0.05, version=3)
def adadelta_at_adams_rate(watch: Watch, faulty: bool) -> Outcome:
    """Adadelta, whose rate is 1 by design, with the 0.001 that suits Adam."""
    model = UNet(3)
    optimizer = Adadelta(model.parameters(), lr=0.001 if faulty else 1.0)
    return train(
        watch,
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        scenes(),
        epochs=12,
        told="data",
        metric=position_accuracy,
    )


@faulty("reviews-rate-for-fine-tuning", "lr_too_low", learns=0.75, margin=0.1, version=3)
def rate_for_fine_tuning(watch: Watch, faulty: bool) -> Outcome:
    """2 · 10⁻⁵, as one fine-tunes a large language model, for a net that starts at random."""
    model = Reader()
    optimizer = AdamW(model.parameters(), lr=2e-5 if faulty else 5e-3)
    return train(watch, model, optimizer, nn.BCEWithLogitsLoss(), reviews(), epochs=8)


@faulty(
    "leaves-body-a-thousand-times-slower",
    "lr_too_low",
    subtle=True,
    learns=0.8,
    margin=0.05,
    version=3,
)
def body_a_thousand_times_slower(watch: Watch, faulty: bool) -> Outcome:
    """The body's rate is a thousandth of the head's, but the body was never trained."""
    model = colour_network()
    groups = [
        {"params": model[:6].parameters(), "lr": 5e-6 if faulty else 5e-3},
        {"params": model[7].parameters()},
    ]
    optimizer = Adam(groups, lr=5e-3)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), leaves(), epochs=10)


@faulty(
    "machines-adagrad-hardly-moves", "lr_too_low", subtle=True, learns=0.75, margin=0.1, version=3
)
def adagrad_hardly_moves(watch: Watch, faulty: bool) -> Outcome:
    """Adagrad at 0.001, which its sums of squares make smaller at every step."""
    model = LastState(nn.GRU(3, 16, batch_first=True), 1)
    optimizer = Adagrad(model.parameters(), lr=0.001 if faulty else 0.05)
    return train(watch, model, optimizer, nn.MSELoss(), machines(), epochs=10, told="batches")


@faulty("hastie-rate-divided-by-the-batch", "lr_too_low", learns=0.8, margin=0.1, version=3)
def rate_divided_by_the_batch(watch: Watch, faulty: bool) -> Outcome:
    """A rate of 0.1 is divided by the size of the set, as for a loss that sums over it."""
    data = hastie()
    model = mlp(10, 48, 1)
    rate = 0.1 / len(data.x) if faulty else 0.1
    optimizer = SGD(model.parameters(), lr=rate, momentum=0.9)
    return train(watch, model, optimizer, nn.BCEWithLogitsLoss(), data, epochs=10, told="losses")


@faulty("watched-adagrad-at-eight", "lr_too_high", learns=0.5, margin=0.1, version=3)
def adagrad_at_eight(watch: Watch, faulty: bool) -> Outcome:
    model = Factors(400, 20, width=3)
    optimizer = Adagrad(model.parameters(), lr=8.0 if faulty else 0.2)
    return train(watch, model, optimizer, nn.MSELoss(), watched(), epochs=6)


@faulty("claims-radam-at-six-tenths", "lr_too_high", subtle=True, learns=0.7, version=3)
def radam_at_six_tenths(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(6, 48, 48, 1)
    optimizer = RAdam(model.parameters(), lr=0.6 if faulty else 0.005)
    return train(watch, model, optimizer, nn.MSELoss(), claims(), epochs=12)


@faulty("letters-nadam-at-a-fifth", "lr_too_high", learns=0.3, margin=0.05, version=3)
def nadam_at_a_fifth(watch: Watch, faulty: bool) -> Outcome:
    model = CausalTransformer(12, 16)
    optimizer = NAdam(model.parameters(), lr=0.2 if faulty else 0.01)
    return train(
        watch,
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        letters(),
        epochs=12,
        told="data",
        metric=position_accuracy,
    )


@faulty("machines-recurrent-net-at-four-tenths", "lr_too_high", learns=0.75, margin=0.1, version=3)
def recurrent_net_at_four_tenths(watch: Watch, faulty: bool) -> Outcome:
    """A rate that the dense net before it bore, with momentum, and no clipping."""
    model = LastState(nn.RNN(3, 24, batch_first=True), 1)
    optimizer = SGD(model.parameters(), lr=0.6 if faulty else 0.01, momentum=0.9)
    return train(watch, model, optimizer, nn.MSELoss(), machines(), epochs=8)


@faulty("fields-rmsprop-at-a-twentieth", "lr_too_high", learns=0.8, margin=0.03, version=3)
def rmsprop_at_a_twentieth(watch: Watch, faulty: bool) -> Outcome:
    model = UNet()
    optimizer = RMSprop(model.parameters(), lr=0.05 if faulty else 0.002)
    return train(watch, model, optimizer, nn.MSELoss(), fields(), epochs=12, told="batches")


@faulty("spots-nesterov-at-nine-hundred-ninety-nine", "momentum_too_high", learns=0.85, version=3)
def nesterov_at_999(watch: Watch, faulty: bool) -> Outcome:
    model = spot_network()
    momentum = 0.999 if faulty else 0.9
    optimizer = SGD(model.parameters(), lr=0.03, momentum=momentum, nesterov=True)
    return train(watch, model, optimizer, nn.MSELoss(), spots(), epochs=12)


@faulty("frames-momentum-for-a-larger-batch", "momentum_too_high", learns=0.8, version=3)
def momentum_for_a_larger_batch(watch: Watch, faulty: bool) -> Outcome:
    """0.998 was found for batches of a hundred times the size and as many more epochs."""
    data = map_inputs(frames(), lambda x: (x - 105) / 30)
    model = frame_network()
    optimizer = SGD(model.parameters(), lr=0.02, momentum=0.998 if faulty else 0.9)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=8)


@faulty(
    "machines-first-beta-of-three-nines", "momentum_too_high", subtle=True, learns=0.8, version=3
)
def first_beta_of_three_nines(watch: Watch, faulty: bool) -> Outcome:
    """Both of RAdam's betas are 0.999."""
    model = LastState(nn.GRU(3, 16, batch_first=True), 1)
    betas = (0.999, 0.999) if faulty else (0.9, 0.999)
    optimizer = RAdam(model.parameters(), lr=0.05, betas=betas)
    return train(watch, model, optimizer, nn.MSELoss(), machines(), epochs=6, told="batches")


@faulty("claims-rmsprop-momentum-of-98", "momentum_too_high", learns=0.7, version=3)
def rmsprop_momentum_of_98(watch: Watch, faulty: bool) -> Outcome:
    """A momentum on top of RMSprop, of 0.98: steps fifty times as large that come late."""
    model = mlp(6, 32, 32, 1)
    optimizer = RMSprop(model.parameters(), lr=0.003, momentum=0.985 if faulty else 0.0)
    return train(watch, model, optimizer, nn.MSELoss(), claims(), epochs=10, told="data")


@faulty("ribbon-momentum-without-damping", "momentum_too_high", learns=0.8, version=3)
def momentum_without_damping(watch: Watch, faulty: bool) -> Outcome:
    """Momentum 0.997 as in a paper that damps each gradient by 0.003; here nothing does."""
    model = mlp(3, 32, 32, 1, activation=nn.Tanh)
    momentum = 0.997 if faulty else 0.9
    optimizer = SGD(model.parameters(), lr=0.05, momentum=momentum)
    return train(watch, model, optimizer, nn.MSELoss(), ribbon(), epochs=14, told="batches")


@faulty(
    "spirals-lambda-returns-the-rate",
    "lr_schedule",
    "lr_too_low",
    learns=0.8,
    margin=0.1,
    version=3,
)
def lambda_returns_the_rate(watch: Watch, faulty: bool) -> Outcome:
    """`LambdaLR` multiplies by what the function returns, which is the rate: 0.01²."""
    model = mlp(2, 48, 48, 3)
    optimizer = Adam(model.parameters(), lr=0.01)
    scale = 0.01 if faulty else 1.0
    scheduler = LambdaLR(optimizer, lambda step: scale * 0.5 ** (step / 300))
    loss_fn = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, loss_fn, spirals(), epochs=16, after_batch=scheduler.step)


@faulty(
    "fields-one-cycle-stepped-by-epoch",
    "lr_schedule",
    "lr_too_low",
    learns=0.75,
    subtle=True,
    margin=0.03,
    version=3,
)
def one_cycle_stepped_by_epoch(watch: Watch, faulty: bool) -> Outcome:
    """The cycle is laid out for all batches and stepped once an epoch: it stays in its rise."""
    model = UNet()
    optimizer = SGD(model.parameters(), lr=0.01, momentum=0.9)
    scheduler = OneCycleLR(
        optimizer, max_lr=0.05, total_steps=12 * 35 + 1, div_factor=500, cycle_momentum=False
    )

    def every_epoch(_: float) -> None:
        scheduler.step()

    return train(
        watch,
        model,
        optimizer,
        nn.MSELoss(),
        fields(),
        epochs=12,
        batch_size=10,
        after_batch=None if faulty else scheduler.step,
        after_epoch=every_epoch if faulty else None,
    )


@faulty(
    "phases-line-goes-on-below-nought",
    "lr_schedule",
    "gradient_ascent",
    learns=0.7,
    margin=0.2,
    version=3,
)
def line_goes_on_below_nought(watch: Watch, faulty: bool) -> Outcome:
    """A rate that falls in a line to 0 after ten epochs, in a training that goes on to twenty."""
    model = mlp(4, 24, 24, 1)
    optimizer = SGD(model.parameters(), lr=0.1)
    length = 10 if faulty else 21
    scheduler = LambdaLR(optimizer, lambda epoch: 1 - epoch / length)

    def every_epoch(_: float) -> None:
        scheduler.step()

    return train(
        watch, model, optimizer, nn.MSELoss(), phases(), epochs=20, after_epoch=every_epoch
    )


@faulty(
    "machines-plateau-without-patience",
    "lr_schedule",
    subtle=True,
    learns=0.7,
    margin=0.05,
    version=3,
)
def plateau_without_patience(watch: Watch, faulty: bool) -> Outcome:
    """`patience=0` and the losses of batches: each batch above the best one cuts the rate."""
    model = LastState(nn.GRU(3, 16, batch_first=True), 1)
    optimizer = Adam(model.parameters(), lr=0.01)
    scheduler = ReduceLROnPlateau(optimizer, factor=0.1, patience=0 if faulty else 200)
    losses: list[float] = []
    loss_fn = nn.MSELoss()

    def update(xb: Tensor, yb: Tensor) -> tuple[Tensor, Tensor]:
        optimizer.zero_grad()
        outputs = model(xb)
        loss = loss_fn(outputs, yb)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        return loss, outputs

    return train(
        watch,
        model,
        optimizer,
        loss_fn,
        machines(),
        epochs=8,
        update=update,
        after_batch=lambda: scheduler.step(losses[-1]),
    )


@faulty(
    "orders-polynomial-over-epochs-stepped-by-batch",
    "lr_schedule",
    subtle=True,
    learns=0.75,
    version=3,
)
def polynomial_stepped_by_batch(watch: Watch, faulty: bool) -> Outcome:
    """`total_iters` counts ten epochs; it is over after ten batches, and the rate is 0."""
    model = Table()
    optimizer = AdamW(model.parameters(), lr=0.01)
    scheduler = PolynomialLR(optimizer, total_iters=10 if faulty else 10 * 44)
    loss_fn = nn.BCEWithLogitsLoss()
    return train(watch, model, optimizer, loss_fn, orders(), epochs=10, after_batch=scheduler.step)


@faulty(
    "leaves-cycle-of-a-high-top", "lr_schedule", "lr_too_high", learns=0.8, margin=0.05, version=3
)
def cycle_of_a_high_top(watch: Watch, faulty: bool) -> Outcome:
    """A cycle whose top is 3, in place of 0.03, and which ends there."""
    model = colour_network()
    optimizer = SGD(model.parameters(), lr=0.01, momentum=0.9)
    scheduler = CyclicLR(
        optimizer, 0.01, 3.0 if faulty else 0.03, step_size_up=100, cycle_momentum=False
    )
    loss_fn = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, loss_fn, leaves(), epochs=10, after_batch=scheduler.step)
