"""Healthy trainings of version 4 whose procedure looks suspicious."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.distributions import Categorical
from torch.nn import functional
from torch.optim import ASGD, SGD, Adam, Adamax, AdamW, RMSprop
from torch.optim.lr_scheduler import CyclicLR, LambdaLR
from torch.optim.swa_utils import AveragedModel
from torch.utils.checkpoint import checkpoint

from benchmarks.corpus.data import digit_images
from benchmarks.corpus.further_architectures import (
    GraphNetwork,
    NamePieces,
    Patches,
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
    groups,
    halves,
    motions,
    names,
    papers,
    passengers,
    turned,
    xor,
)
from benchmarks.corpus.loop import predict
from benchmarks.corpus.more_tasks import map_inputs
from benchmarks.corpus.networks import mlp
from benchmarks.corpus.program import Outcome, Watch, healthy
from benchmarks.corpus.training import label_f1, train


class Twice(nn.Module):
    """Works its body out a second time for the derivative, to save memory."""

    def __init__(self) -> None:
        super().__init__()
        layers = image_network(4, side=8)
        self.body, self.head = layers[:8], layers[8:]

    def forward(self, x: Tensor) -> Tensor:
        return self.head(checkpoint(self.body, x, use_reentrant=False))


@healthy("turned-worked-out-twice", learns=0.6, version=4)
def worked_out_twice(watch: Watch, faulty: bool) -> Outcome:
    model = Twice()
    optimizer = AdamW(model.parameters(), lr=0.005)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), turned(), epochs=4)


@healthy("names-judged-by-a-slow-copy", learns=0.65, version=4)
def judged_by_a_slow_copy(watch: Watch, faulty: bool) -> Outcome:
    """A running average of the weights is what is validated."""
    model = NamePieces()
    average = copy.deepcopy(model)
    optimizer = Adam(model.parameters(), lr=0.02)

    @torch.no_grad()
    def follow() -> None:
        for kept, parameter in zip(average.parameters(), model.parameters(), strict=True):
            kept.lerp_(parameter, 0.03)

    return train(
        watch,
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        names(),
        epochs=8,
        after_batch=follow,
        infer=lambda x: predict(average, x),
    )


@healthy("motions-large-batches-at-six-tenths", learns=0.8, version=4)
def large_batches_at_six_tenths(watch: Watch, faulty: bool) -> Outcome:
    """Batches of 315 bear a rate that batches of 16 would not."""
    data = map_inputs(motions(), lambda x: x.transpose(1, 2).contiguous())
    model = motion_network()
    optimizer = SGD(model.parameters(), lr=0.6)
    loss_fn = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, loss_fn, data, epochs=60, batch_size=315)


@healthy("chirps-rate-up-and-down-in-a-triangle", learns=0.8, version=4)
def rate_up_and_down_in_a_triangle(watch: Watch, faulty: bool) -> Outcome:
    model = sound_network()
    optimizer = SGD(model.parameters(), lr=0.001, momentum=0.9)
    cycle = CyclicLR(optimizer, 0.001, 0.08, step_size_up=30, cycle_momentum=False)
    loss_fn = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, loss_fn, chirps(), epochs=9, after_batch=cycle.step)


@healthy("bikes-slow-weights-follow-fast-ones", learns=0.5, version=4)
def slow_weights_follow_fast_ones(watch: Watch, faulty: bool) -> Outcome:
    """Lookahead (Zhang et al., 2019): every fifth step is followed by half a step back."""
    model = mlp(6, 64, 64, 1)
    slow = [parameter.detach().clone() for parameter in model.parameters()]
    optimizer = Adam(model.parameters(), lr=0.01)
    made = 0

    @torch.no_grad()
    def follow() -> None:
        nonlocal made
        made += 1
        if made % 5 == 0:
            for kept, parameter in zip(slow, model.parameters(), strict=True):
                kept.lerp_(parameter, 0.5)
                parameter.copy_(kept)

    return train(watch, model, optimizer, nn.MSELoss(), bikes(), epochs=12, after_batch=follow)


@healthy("cells-hardest-quarter-of-the-pixels", learns=0.75, version=4)
def hardest_quarter_of_the_pixels(watch: Watch, faulty: bool) -> Outcome:
    """Only the worst pixels count (Shrivastava et al., 2016): the loss hardly falls."""
    model = cell_network()
    optimizer = Adam(model.parameters(), lr=0.005)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        losses = functional.binary_cross_entropy_with_logits(outputs, targets, reduction="none")
        return losses.flatten(1).topk(64, 1).values.mean()

    return train(
        watch,
        model,
        optimizer,
        loss_fn,
        cells(),
        epochs=8,
        batch_size=16,
        told="data",
        metric=label_f1,
    )


@healthy("demand-clipped-to-a-twentieth", learns=0.8, version=4)
def clipped_to_a_twentieth(watch: Watch, faulty: bool) -> Outcome:
    """Every gradient is longer than the bound, so that each step has the same length."""
    model = mlp(24, 48, 6)
    optimizer = SGD(model.parameters(), lr=0.5)
    loss_fn = nn.HuberLoss(delta=0.5)
    return train(
        watch, model, optimizer, loss_fn, demand(), epochs=15, batch_size=16, clip=0.05, told="data"
    )


@healthy("passengers-easy-ones-hardly-count", learns=0.8, version=4)
def easy_ones_hardly_count(watch: Watch, faulty: bool) -> Outcome:
    """The focal loss (Lin et al., 2017) of a table."""
    model = mlp(5, 24, 1)
    optimizer = RMSprop(model.parameters(), lr=0.005)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        signed = (2 * targets - 1) * outputs
        return -(torch.sigmoid(-signed) ** 2 * functional.logsigmoid(signed)).mean()

    return train(watch, model, optimizer, loss_fn, passengers(), epochs=12)


@healthy("halves-four-parts-a-step", learns=0.5, version=4)
def four_parts_a_step(watch: Watch, faulty: bool) -> Outcome:
    """Gradients of four batches are gathered, each divided by four."""
    model = mlp(32, 64, 32)
    optimizer = Adam(model.parameters(), lr=0.01)
    loss_fn = nn.MSELoss()
    made = 0

    def update(xb: Tensor, yb: Tensor) -> tuple[Tensor, Tensor]:
        nonlocal made
        outputs = model(xb)
        loss = loss_fn(outputs, yb)
        (loss / 4).backward()
        made += 1
        if made % 4 == 0:
            optimizer.step()
            optimizer.zero_grad()
        return loss, outputs

    return train(
        watch, model, optimizer, loss_fn, halves(), epochs=10, batch_size=16, update=update
    )


@healthy("clocks-mean-of-the-last-epochs", learns=0.8, version=4)
def mean_of_the_last_epochs(watch: Watch, faulty: bool) -> Outcome:
    """A high constant rate, and the mean of the weights since the third epoch is validated."""
    model = image_network(2)
    averaged = AveragedModel(model)
    optimizer = SGD(model.parameters(), lr=0.15, momentum=0.8)
    begun = 0

    def begin() -> None:
        nonlocal begun
        begun += 1
        model.train()
        if begun <= 4:
            averaged.n_averaged.zero_()
        averaged.update_parameters(model)

    return train(
        watch,
        model,
        optimizer,
        nn.MSELoss(),
        clocks(),
        epochs=10,
        before_epoch=begin,
        infer=lambda x: predict(averaged if begun > 4 else model, x),
    )


@healthy("chirps-cut-and-mixed", learns=0.8, version=4)
def cut_and_mixed(watch: Watch, faulty: bool) -> Outcome:
    """A piece of another sound is put in, and its label counts by its length (Yun et al., 2019)."""
    model = sound_network()
    optimizer = AdamW(model.parameters(), lr=0.005)
    loss_fn = nn.CrossEntropyLoss()

    def update(xb: Tensor, yb: Tensor) -> tuple[Tensor, Tensor]:
        size = int(torch.randint(0, 24, ()))
        start = int(torch.randint(0, 64 - size, ()))
        other = torch.randperm(len(xb))
        mixed = xb.clone()
        mixed[..., start : start + size] = xb[other][..., start : start + size]
        optimizer.zero_grad()
        outputs = model(mixed)
        share = size / 64
        loss = (1 - share) * loss_fn(outputs, yb) + share * loss_fn(outputs, yb[other])
        loss.backward()
        optimizer.step()
        return loss, outputs

    return train(watch, model, optimizer, loss_fn, chirps(), epochs=8, update=update, told="losses")


@healthy("papers-one-update-an-epoch", learns=0.8, version=4)
def one_update_an_epoch(watch: Watch, faulty: bool) -> Outcome:
    """All papers are one batch, and an epoch one step."""
    model = GraphNetwork(width=32, dropout=0.0)
    optimizer = Adamax(model.parameters(), lr=0.02)
    loss_fn = nn.CrossEntropyLoss()
    data = papers()[0]
    return train(watch, model, optimizer, loss_fn, data, epochs=110, batch_size=350, told="data")


@healthy("groups-rewards-less-their-mean", learns=0.75, version=4)
def rewards_less_their_mean(watch: Watch, faulty: bool) -> Outcome:
    """REINFORCE with a baseline: a loss about nought, now below it and now above."""
    model = mlp(2, 32, 5)
    optimizer = Adam(model.parameters(), lr=0.01)
    loss_fn = nn.CrossEntropyLoss()

    def update(xb: Tensor, yb: Tensor) -> tuple[Tensor, Tensor]:
        outputs = model(xb)
        choice = Categorical(logits=outputs)
        action = choice.sample()
        reward = (action == yb).float()
        loss = -(choice.log_prob(action) * (reward - reward.mean())).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss, outputs

    return train(
        watch, model, optimizer, loss_fn, groups(), epochs=15, update=update, told="losses"
    )


@healthy("xor-plain-descent-at-two", learns=0.9, version=4)
def plain_descent_at_two(watch: Watch, faulty: bool) -> Outcome:
    """A rate of 2, which the small slopes of sigmoids need; at first nothing seems to happen."""
    model = mlp(2, 8, 1, activation=nn.Sigmoid)
    optimizer = SGD(model.parameters(), lr=2.0)
    loss_fn = nn.BCEWithLogitsLoss()
    return train(watch, model, optimizer, loss_fn, xor(), epochs=25, batch_size=20)


@healthy("dots-layers-thawed-one-after-the-other", learns=0.75, version=4)
def layers_thawed_one_after_the_other(watch: Watch, faulty: bool) -> Outcome:
    """The head learns for one epoch, then the dense layers, then everything."""
    model = image_network(4)
    optimizer = Adam(model.parameters(), lr=0.01)
    begun = 0

    def begin() -> None:
        nonlocal begun
        begun += 1
        model.train()
        first = {1: 9, 2: 7}.get(begun, 0)
        for place, layer in enumerate(model):
            layer.requires_grad_(place >= first)

    loss_fn = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, loss_fn, dots(), epochs=9, before_epoch=begin)


@healthy("digit-patches-root-of-the-steps", learns=0.65, version=4)
def root_of_the_steps(watch: Watch, faulty: bool) -> Outcome:
    """Warm-up over thirty updates, then a rate that falls with the root of their number."""
    model = Patches()
    optimizer = AdamW(model.parameters(), lr=0.02)
    scale = LambdaLR(optimizer, lambda step: min((step + 1) / 30, (30 / (step + 1)) ** 0.5))
    return train(
        watch,
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        digit_images(),
        epochs=5,
        batch_size=64,
        after_batch=scale.step,
    )


@healthy("bikes-averaged-descent", learns=0.35, version=4)
def averaged_descent(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(6, 64, 64, 1)
    optimizer = ASGD(model.parameters(), lr=0.1)
    loss_fn = nn.MSELoss()
    return train(watch, model, optimizer, loss_fn, bikes(), epochs=20, told="batches")


@healthy("turned-tuned-at-a-small-rate", learns=0.6, version=4)
def tuned_at_a_small_rate(watch: Watch, faulty: bool) -> Outcome:
    """A net that was trained already is tuned at 2 · 10⁻⁵: hardly a weight moves."""
    data = turned()
    model = image_network(4, side=8)
    trainer = Adam(model.parameters(), lr=0.005)
    loss_fn = nn.CrossEntropyLoss()
    for _ in range(4):
        for rows in torch.randperm(len(data.x)).split(32):
            trainer.zero_grad()
            loss_fn(model(data.x[rows]), data.y[rows]).backward()
            trainer.step()
    optimizer = AdamW(model.parameters(), lr=2e-5)
    return train(watch, model, optimizer, loss_fn, data, epochs=3)
