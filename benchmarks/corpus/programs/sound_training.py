"""Healthy trainings whose procedure looks suspicious: rates, updates, losses, what is told."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import LBFGS, SGD, Adagrad, Adam, AdamW, RMSprop, Rprop, SparseAdam
from torch.optim.lr_scheduler import (
    CosineAnnealingWarmRestarts,
    CyclicLR,
    LambdaLR,
)

from benchmarks.corpus.architectures import (
    Factors,
    LetterModel,
    ResidualImage,
    Siamese,
    Transformer,
    mask_network,
    residual_mlp,
    segment_network,
    signal_network,
)
from benchmarks.corpus.loop import predict
from benchmarks.corpus.networks import LastState, cnn, mlp
from benchmarks.corpus.program import Outcome, Watch, healthy
from benchmarks.corpus.tasks import (
    adding,
    applicants,
    beats,
    bitmaps,
    circuit,
    counts,
    gaps,
    houses,
    letters,
    masks,
    pairs,
    ratings,
    scaled_stripes,
    scaled_topics,
    segments,
    sensors,
    series,
    shapes,
    shells,
    spirals,
    swiss_roll,
    tags,
)
from benchmarks.corpus.training import (
    in_order,
    label_f1,
    plain_update,
    position_accuracy,
    train,
)


@healthy("shells-rate-goes-up-and-down", learns=0.85, version=2)
def rate_goes_up_and_down(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(4, 32, 32, 3)
    optimizer = SGD(model.parameters(), lr=0.01, momentum=0.8)
    cycle = CyclicLR(optimizer, 0.01, 0.3, step_size_up=80, cycle_momentum=False)
    loss_fn = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, loss_fn, shells(), epochs=18, after_batch=cycle.step)


@healthy("swiss-roll-restarts-get-longer", learns=0.9, version=2)
def restarts_get_longer(watch: Watch, faulty: bool) -> Outcome:
    model = residual_mlp(3, 24, 1)
    optimizer = AdamW(model.parameters(), lr=0.01)
    restarts = CosineAnnealingWarmRestarts(optimizer, T_0=66, T_mult=2)
    loss_fn = nn.MSELoss()
    return train(
        watch, model, optimizer, loss_fn, swiss_roll(), epochs=20, after_batch=restarts.step
    )


@healthy("tags-transformer-with-a-long-warm-up", learns=0.6, version=2)
def transformer_with_a_long_warm_up(watch: Watch, faulty: bool) -> Outcome:
    model = Transformer(24, 4, 10, width=32, each=True)
    optimizer = Adam(model.parameters(), lr=0.01)
    warm_up = LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 200))
    return train(
        watch,
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        tags(),
        epochs=24,
        told="data",
        metric=position_accuracy,
        after_batch=warm_up.step,
    )


@healthy("letters-clipped-to-a-quarter", learns=0.4, version=2)
def clipped_to_a_quarter(watch: Watch, faulty: bool) -> Outcome:
    model = LetterModel(12)
    optimizer = SGD(model.parameters(), lr=4.0, momentum=0.5)
    return train(
        watch,
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        letters(),
        epochs=20,
        batch_size=16,
        told="data",
        metric=position_accuracy,
        clip=0.25,
    )


@healthy("gaps-lbfgs-on-all-rows", learns=0.8, version=2)
def lbfgs_on_all_rows(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(12, 12, 1, activation=nn.Tanh)
    optimizer = LBFGS(model.parameters(), lr=0.3, max_iter=1, history_size=10)
    criterion = nn.BCEWithLogitsLoss()

    def update(xb: Tensor, yb: Tensor) -> tuple[Tensor, Tensor]:
        seen: list[tuple[Tensor, Tensor]] = []

        def closure() -> Tensor:
            optimizer.zero_grad()
            outputs = model(xb)
            size = sum((parameter**2).sum() for parameter in model.parameters())
            loss = criterion(outputs, yb) + 1e-3 * size
            loss.backward()
            seen.append((loss, outputs))
            return loss

        optimizer.step(closure)
        return seen[0]

    return train(
        watch, model, optimizer, criterion, gaps(), epochs=150, batch_size=700, update=update
    )


@healthy("spirals-sharpness-aware", learns=0.85, version=2)
def sharpness_aware(watch: Watch, faulty: bool) -> Outcome:
    """Two passes an update: up to the worst place nearby, then down (Foret et al., 2021)."""
    model = mlp(2, 48, 48, 3)
    optimizer = Adam(model.parameters(), lr=0.01)
    loss_fn = nn.CrossEntropyLoss()

    def update(xb: Tensor, yb: Tensor) -> tuple[Tensor, Tensor]:
        optimizer.zero_grad()
        outputs = model(xb)
        loss = loss_fn(outputs, yb)
        loss.backward()
        ascents = [0.02 * p.grad / (p.grad.norm() + 1e-9) for p in model.parameters()]
        with torch.no_grad():
            for parameter, ascent in zip(model.parameters(), ascents, strict=True):
                parameter += ascent
        optimizer.zero_grad()
        loss_fn(model(xb), yb).backward()
        with torch.no_grad():
            for parameter, ascent in zip(model.parameters(), ascents, strict=True):
                parameter -= ascent
        optimizer.step()
        return loss, outputs

    return train(watch, model, optimizer, loss_fn, spirals(), epochs=20, update=update)


@healthy("shapes-evaluated-with-averaged-weights", learns=0.85, version=2)
def evaluated_with_averaged_weights(watch: Watch, faulty: bool) -> Outcome:
    model = cnn(12, 4)
    average = copy.deepcopy(model)
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)

    @torch.no_grad()
    def follow() -> None:
        for kept, parameter in zip(average.parameters(), model.parameters(), strict=True):
            kept.lerp_(parameter, 0.05)

    return train(
        watch,
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        shapes(),
        epochs=10,
        after_batch=follow,
        infer=lambda x: predict(average, x),
    )


@healthy("ratings-sparse-gradients", learns=0.6, version=2)
def sparse_gradients(watch: Watch, faulty: bool) -> Outcome:
    model = Factors(50, 40, sparse=True)
    optimizer = SparseAdam(list(model.parameters()), lr=0.02)
    return train(watch, model, optimizer, nn.MSELoss(), ratings(), epochs=8)


@healthy("houses-accumulates-over-four-parts", learns=0.8, version=2)
def accumulates_over_four_parts(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(5, 32, 32, 1)
    optimizer = RMSprop(model.parameters(), lr=0.002)
    loss_fn = nn.MSELoss()

    def update(xb: Tensor, yb: Tensor) -> tuple[Tensor, Tensor]:
        optimizer.zero_grad()
        parts = [(model(x), y) for x, y in zip(xb.split(8), yb.split(8), strict=True)]
        losses = [loss_fn(outputs, y) * len(y) / len(yb) for outputs, y in parts]
        for loss in losses:
            loss.backward()
        optimizer.step()
        return torch.stack(losses).sum(), torch.cat([outputs for outputs, _ in parts])

    return train(watch, model, optimizer, loss_fn, houses(), epochs=15, update=update)


@healthy("segments-two-signals-a-batch", learns=0.8, version=2)
def two_signals_a_batch(watch: Watch, faulty: bool) -> Outcome:
    model = segment_network()
    optimizer = SGD(model.parameters(), lr=0.03)
    return train(
        watch,
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        segments(),
        epochs=3,
        batch_size=2,
        told="data",
        metric=position_accuracy,
    )


@healthy("pairs-margin-loss-falls-to-nought", learns=0.8, version=2)
def margin_loss_falls_to_nought(watch: Watch, faulty: bool) -> Outcome:
    """A hinge on the score: most batches end with no loss and so no gradient at all."""
    model = Siamese(mlp(16, 32, 8))
    optimizer = Adam(model.parameters(), lr=0.005)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        return functional.relu(1 - (2 * targets - 1) * outputs).mean()

    return train(watch, model, optimizer, loss_fn, pairs(), epochs=15)


@healthy("applicants-gradient-penalty-on-inputs", learns=0.75, version=2)
def gradient_penalty_on_inputs(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(5, 32, 1, activation=nn.Softplus)
    optimizer = Adam(model.parameters(), lr=0.005)
    loss_fn = nn.BCEWithLogitsLoss()

    def update(xb: Tensor, yb: Tensor) -> tuple[Tensor, Tensor]:
        optimizer.zero_grad()
        xb = xb.clone().requires_grad_()
        outputs = model(xb)
        (slopes,) = torch.autograd.grad(outputs.sum(), xb, create_graph=True)
        loss = loss_fn(outputs, yb) + 0.01 * slopes.square().sum(1).mean()
        loss.backward()
        optimizer.step()
        return loss, outputs

    return train(watch, model, optimizer, loss_fn, applicants(), epochs=12, update=update)


@healthy("beats-trained-against-worst-noise", learns=0.85, version=2)
def trained_against_worst_noise(watch: Watch, faulty: bool) -> Outcome:
    """The sign of the inputs' gradient is added to them (Goodfellow et al., 2015)."""
    model = signal_network(3)
    optimizer = AdamW(model.parameters(), lr=0.005)
    loss_fn = nn.CrossEntropyLoss()

    def update(xb: Tensor, yb: Tensor) -> tuple[Tensor, Tensor]:
        probe = xb.clone().requires_grad_()
        (slopes,) = torch.autograd.grad(loss_fn(model(probe), yb), probe)
        optimizer.zero_grad()
        outputs = model(xb + 0.1 * slopes.sign())
        loss = loss_fn(outputs, yb)
        loss.backward()
        optimizer.step()
        return loss, outputs

    return train(watch, model, optimizer, loss_fn, beats(), epochs=12, update=update)


@healthy("stripes-summed-loss-and-its-rate", learns=0.85, version=2)
def summed_loss_and_its_rate(watch: Watch, faulty: bool) -> Outcome:
    model = ResidualImage(3, 3)
    optimizer = SGD(model.parameters(), lr=0.03 / 16, momentum=0.8)
    loss_fn = nn.CrossEntropyLoss(reduction="sum")
    return train(watch, model, optimizer, loss_fn, scaled_stripes(), epochs=8, batch_size=20)


@healthy("bitmaps-loss-summed-over-pixels", learns=0.8, version=2)
def loss_summed_over_pixels(watch: Watch, faulty: bool) -> Outcome:
    """As for a variational autoencoder: about 100 at first, for 144 pixels."""
    model = mlp(144, 64, 24, 64, 144)
    optimizer = Adam(model.parameters(), lr=0.003)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        each = functional.binary_cross_entropy_with_logits(outputs, targets, reduction="none")
        return each.sum(1).mean()

    return train(watch, model, optimizer, loss_fn, bitmaps(), epochs=20, metric=label_f1)


@healthy("sensors-noise-to-be-taken-off", learns=0.8, version=2)
def noise_to_be_taken_off(watch: Watch, faulty: bool) -> Outcome:
    """A denoising autoencoder: the validation has no noise and is far better."""
    model = mlp(24, 48, 24)
    optimizer = Adam(model.parameters(), lr=0.01)

    def augment(x: Tensor) -> Tensor:
        return x + 0.5 * torch.randn_like(x)

    return train(watch, model, optimizer, nn.MSELoss(), sensors(), epochs=15, augment=augment)


@healthy("topics-adagrad-at-a-fifth", learns=0.6, version=2)
def adagrad_at_a_fifth(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(20, 24, 5)
    optimizer = Adagrad(model.parameters(), lr=0.2)
    return train(
        watch,
        model,
        optimizer,
        nn.BCEWithLogitsLoss(),
        scaled_topics(),
        epochs=8,
        told="data",
        metric=label_f1,
    )


@healthy("masks-two-losses-in-one", learns=0.8, version=2)
def two_losses_in_one(watch: Watch, faulty: bool) -> Outcome:
    model = mask_network()
    optimizer = Adam(model.parameters(), lr=0.01)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        shares = outputs.sigmoid()
        dice = (2 * (shares * targets).sum() + 1) / (shares.sum() + targets.sum() + 1)
        return functional.binary_cross_entropy_with_logits(outputs, targets) + 1 - dice

    data = masks()
    return train(watch, model, optimizer, loss_fn, data, epochs=12, told="data", metric=label_f1)


@healthy("counts-poisson-loss-below-nought", learns=0.4, version=2)
def poisson_loss_below_nought(watch: Watch, faulty: bool) -> Outcome:
    """Without the factorial's logarithm the loss is negative."""
    model = mlp(6, 24, 1)
    optimizer = Adam(model.parameters(), lr=0.005)

    def metric(outputs: Tensor, targets: Tensor) -> float:
        return 1 - (((outputs.exp() - targets) ** 2).mean() / targets.var()).item()

    loss_fn = nn.PoissonNLLLoss()
    return train(watch, model, optimizer, loss_fn, counts(), epochs=12, metric=metric)


@healthy("circuit-signs-of-gradients-only", learns=0.9, version=2)
def signs_of_gradients_only(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(4, 24, 1, activation=nn.Tanh)
    optimizer = Rprop(model.parameters(), lr=0.01)
    return train(watch, model, optimizer, nn.MSELoss(), circuit(), epochs=150, batch_size=700)


@healthy("shells-evaluated-after-every-batch", learns=0.85, version=2)
def evaluated_after_every_batch(watch: Watch, faulty: bool) -> Outcome:
    data = shells()
    model = nn.Sequential(
        nn.Linear(4, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 3)
    )
    optimizer = AdamW(model.parameters(), lr=0.01)
    plain = plain_update(model, optimizer, nn.CrossEntropyLoss())

    def update(xb: Tensor, yb: Tensor) -> tuple[Tensor, Tensor]:
        predict(model, data.x_valid[:50])
        model.train()
        return plain(xb, yb)

    return train(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=12, update=update)


@healthy("adding-noise-added-to-gradients", learns=0.8, version=2)
def noise_added_to_gradients(watch: Watch, faulty: bool) -> Outcome:
    """Neelakantan et al. (2015): noise that falls with the steps."""
    model = LastState(nn.GRU(2, 24, batch_first=True), 1)
    optimizer = Adam(model.parameters(), lr=0.02)
    loss_fn = nn.MSELoss()
    made = 0

    def update(xb: Tensor, yb: Tensor) -> tuple[Tensor, Tensor]:
        nonlocal made
        made += 1
        optimizer.zero_grad()
        outputs = model(xb)
        loss = loss_fn(outputs, yb)
        loss.backward()
        for parameter in model.parameters():
            parameter.grad += 0.02 / (1 + made) ** 0.55 * torch.randn_like(parameter)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss, outputs

    return train(watch, model, optimizer, loss_fn, adding(8), epochs=14, update=update)


@healthy("series-windows-in-time-order", learns=0.7, version=2)
def windows_in_time_order(watch: Watch, faulty: bool) -> Outcome:
    """Never shuffled, but drawn from a series that is alike at all times."""
    model = mlp(20, 32, 1)
    optimizer = Adam(model.parameters(), lr=0.003)
    loss_fn = nn.MSELoss()
    return train(watch, model, optimizer, loss_fn, series(), epochs=12, order=in_order)


@healthy("letters-at-the-entropy-of-the-language", learns=0.4, version=2)
def at_the_entropy_of_the_language(watch: Watch, faulty: bool) -> Outcome:
    """The loss stops at what the language leaves open."""
    model = LetterModel(12, width=48)
    optimizer = AdamW(model.parameters(), lr=0.01, weight_decay=0.1)
    return train(
        watch,
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        letters(),
        epochs=12,
        batch_size=16,
        told="batches",
        metric=position_accuracy,
    )


@healthy("series-large-decay-that-is-right", learns=0.4, version=2)
def large_decay_that_is_right(watch: Watch, faulty: bool) -> Outcome:
    """Few windows and much noise; decay 2 is what keeps the large net in check."""
    model = mlp(20, 128, 1)
    optimizer = AdamW(model.parameters(), lr=0.003, weight_decay=2.0)
    data = series(noise=0.8).head(400)
    return train(watch, model, optimizer, nn.MSELoss(), data, epochs=15)


@healthy("gaps-long-plateau-then-learns", learns=0.8, version=2)
def long_plateau_then_learns(watch: Watch, faulty: bool) -> Outcome:
    """A product of two columns and small weights: flat for a third of the way, then all at once."""
    model = mlp(12, 32, 32, 1, activation=nn.Tanh)
    for parameter in model.parameters():
        parameter.data *= 0.4
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    return train(watch, model, optimizer, nn.BCEWithLogitsLoss(), gaps(4000), epochs=9)


@healthy("spirals-rate-falls-to-nought", learns=0.85, version=2)
def rate_falls_to_nought(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(2, 48, 48, 3)
    optimizer = Adam(model.parameters(), lr=0.02)
    scheduler = LambdaLR(optimizer, lambda step: max(0.0, 1 - step / 500) ** 2)
    return train(
        watch,
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        spirals(),
        epochs=19,
        told="losses",
        after_batch=scheduler.step,
    )


@healthy("shapes-head-of-trained-features", learns=0.8, version=2)
def head_of_trained_features(watch: Watch, faulty: bool) -> Outcome:
    """All but the last layer were trained before and stay as they are."""
    data = shapes()
    model = cnn(12, 4)
    before = Adam(model.parameters(), lr=0.005)
    update = plain_update(model, before, nn.CrossEntropyLoss())
    for rows in torch.randperm(len(data.x)).split(20):
        update(data.x[rows], data.y[rows])
    for _ in range(4):
        for rows in torch.randperm(len(data.x)).split(32):
            update(data.x[rows], data.y[rows])
    for parameter in model[:-1].parameters():
        parameter.requires_grad = False
    model[-1] = nn.Linear(144, 4)
    optimizer = AdamW(model[-1].parameters(), lr=0.01)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=6)


@healthy("beats-body-slow-head-fast", learns=0.85, version=2)
def body_slow_head_fast(watch: Watch, faulty: bool) -> Outcome:
    """A trained body with a hundredth of the head's rate."""
    data = beats()
    model = signal_network(3)
    update = plain_update(model, Adam(model.parameters(), lr=0.005), nn.CrossEntropyLoss())
    for _ in range(6):
        for rows in torch.randperm(len(data.x)).split(32):
            update(data.x[rows], data.y[rows])
    model[-1] = nn.Linear(64, 3)
    groups = [
        {"params": model[:-1].parameters(), "lr": 1e-4},
        {"params": model[-1].parameters(), "lr": 1e-2},
    ]
    optimizer = Adam(groups)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=6)
