"""Gradients of version 4 that are kept too long, climbed, or derived wrongly."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.distributions import Categorical
from torch.optim import SGD, Adam, AdamW, RMSprop

from benchmarks.corpus.data import digits
from benchmarks.corpus.further_architectures import (
    NamePieces,
    NameReader,
    motion_network,
    sound_network,
)
from benchmarks.corpus.further_tasks import (
    bikes,
    chirps,
    demand,
    groups,
    motions,
    names,
    passengers,
    xor,
)
from benchmarks.corpus.more_tasks import map_inputs
from benchmarks.corpus.networks import mlp
from benchmarks.corpus.program import Outcome, Watch, faulty
from benchmarks.corpus.training import Update, train


@faulty("xor-no-zero-grad-at-all", "missing_zero_grad", learns=0.9, margin=0.1, version=4)
def no_zero_grad_at_all(watch: Watch, faulty: bool) -> Outcome:
    """The loop of a first attempt: forward, backward, step."""
    model = mlp(2, 16, 1, activation=nn.Tanh)
    optimizer = SGD(model.parameters(), lr=1.0)
    loss_fn = nn.BCEWithLogitsLoss()

    def update(xb: Tensor, yb: Tensor) -> tuple[Tensor, Tensor]:
        outputs = model(xb)
        loss = loss_fn(outputs, yb)
        if not faulty:
            optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss, outputs

    return train(watch, model, optimizer, loss_fn, xor(), epochs=12, batch_size=20, update=update)


@faulty("names-zeroed-in-the-outer-loop", "missing_zero_grad", learns=0.65, version=4)
def zeroed_in_the_outer_loop(watch: Watch, faulty: bool) -> Outcome:
    """`zero_grad` stands before the loop over batches instead of in it."""
    model = NameReader()
    optimizer = SGD(model.parameters(), lr=0.3, momentum=0.9)
    loss_fn = nn.CrossEntropyLoss()

    def begin() -> None:
        model.train()
        optimizer.zero_grad()

    def update(xb: Tensor, yb: Tensor) -> tuple[Tensor, Tensor]:
        if not faulty:
            optimizer.zero_grad()
        outputs = model(xb)
        loss = loss_fn(outputs, yb)
        loss.backward()
        optimizer.step()
        return loss, outputs

    return train(
        watch, model, optimizer, loss_fn, names(), epochs=7, update=update, before_epoch=begin
    )


@faulty(
    "passengers-zeroes-weights-but-no-biases",
    "missing_zero_grad",
    learns=0.7,
    version=4,
)
def zeroes_weights_but_no_biases(watch: Watch, faulty: bool) -> Outcome:
    """Layer by layer `layer.weight.grad.zero_()`, and the biases were forgotten."""
    model = mlp(5, 32, 32, 1)
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    loss_fn = nn.BCEWithLogitsLoss()

    def update(xb: Tensor, yb: Tensor) -> tuple[Tensor, Tensor]:
        for layer in model:
            if isinstance(layer, nn.Linear):
                layer.weight.grad = None
                if not faulty:
                    layer.bias.grad = None
        outputs = model(xb)
        loss = loss_fn(outputs, yb)
        loss.backward()
        optimizer.step()
        return loss, outputs

    return train(watch, model, optimizer, loss_fn, passengers(), epochs=15, update=update)


@faulty("demand-manual-optimisation-forgets-it", "missing_zero_grad", learns=0.7, version=4)
def manual_optimisation_forgets_it(watch: Watch, faulty: bool) -> Outcome:
    """A step by hand in a trainer that zeroes only where it makes the step itself."""
    model = mlp(24, 48, 6)
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.5)
    loss_fn = nn.L1Loss()

    def update(xb: Tensor, yb: Tensor) -> tuple[Tensor, Tensor]:
        if not faulty:
            optimizer.zero_grad()
        outputs = model(xb)
        loss = loss_fn(outputs, yb)
        loss.backward()
        optimizer.step()
        return loss, outputs

    return train(watch, model, optimizer, loss_fn, demand(), epochs=25, update=update, told="data")


@faulty("names-likelihood-negated-twice", "gradient_ascent", learns=0.7, margin=0.3, version=4)
def likelihood_negated_twice(watch: Watch, faulty: bool) -> Outcome:
    """`NLLLoss` has the minus already; the author of the loss put another before it."""
    model = nn.Sequential(NamePieces(), nn.LogSoftmax(1))
    optimizer = Adam(model.parameters(), lr=0.01)
    criterion = nn.NLLLoss()

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        return -criterion(outputs, targets) if faulty else criterion(outputs, targets)

    return train(watch, model, optimizer, loss_fn, names(), epochs=8)


@faulty("groups-reward-is-minimised", "gradient_ascent", learns=0.6, margin=0.2, version=4)
def reward_is_minimised(watch: Watch, faulty: bool) -> Outcome:
    """REINFORCE (Williams, 1992) without its minus: what was rewarded gets rarer."""
    model = mlp(2, 32, 5)
    optimizer = Adam(model.parameters(), lr=0.01)
    loss_fn = nn.CrossEntropyLoss()

    def update(xb: Tensor, yb: Tensor) -> tuple[Tensor, Tensor]:
        outputs = model(xb)
        choice = Categorical(logits=outputs)
        action = choice.sample()
        reward = (action == yb).float() - 0.3
        gain = (choice.log_prob(action) * reward).mean()
        loss = gain if faulty else -gain
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss, outputs

    return train(
        watch, model, optimizer, loss_fn, groups(), epochs=12, update=update, told="losses"
    )


def nearest_accuracy(outputs: Tensor, targets: Tensor) -> float:
    """Share whose nearest class centre, of every second row, is their own class's."""
    known, asked = outputs[::2], outputs[1::2]
    centres = torch.stack([known[targets[::2] == kind].mean(0) for kind in range(10)])
    found = torch.cdist(asked, centres).argmin(1)
    return (found == targets[1::2]).float().mean().item()


@faulty(
    "digits-negative-passed-for-the-positive",
    "gradient_ascent",
    "wrong_loss",
    learns=0.8,
    margin=0.1,
    version=4,
)
def negative_passed_for_the_positive(watch: Watch, faulty: bool) -> Outcome:
    """`TripletMarginLoss` is given anchor, negative, positive: what is alike is pushed apart."""
    model = mlp(64, 48, 8)
    optimizer = Adam(model.parameters(), lr=0.005)
    criterion = nn.TripletMarginLoss(margin=1.0)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        same = (targets[:, None] == targets[None]).float()
        alike = (same - torch.eye(len(targets))).argmax(1)
        other = (1 - same).argmax(1)
        positive, negative = outputs[alike], outputs[other]
        if faulty:
            positive, negative = negative, positive
        return criterion(outputs, positive, negative)

    return train(
        watch,
        model,
        optimizer,
        loss_fn,
        digits(),
        epochs=16,
        batch_size=64,
        told="batches",
        metric=nearest_accuracy,
    )


class OwnLeaky(Function):
    """A leaky ReLU; its derivative may have the two sides swapped."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, swapped: bool) -> Tensor:
        ctx.save_for_backward(inputs)
        ctx.swapped = swapped
        return torch.where(inputs > 0, inputs, 0.05 * inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (inputs,) = ctx.saved_tensors
        steep = (inputs < 0) if ctx.swapped else (inputs > 0)
        return torch.where(steep, gradient, 0.05 * gradient), None


class Leaky(nn.Module):
    def __init__(self, swapped: bool = False) -> None:
        super().__init__()
        self.swapped = swapped

    def forward(self, x: Tensor) -> Tensor:
        return OwnLeaky.apply(x, self.swapped)


@faulty("chirps-own-leaky-relu-sides-swapped", "wrong_backward", learns=0.8, version=4)
def own_leaky_relu_sides_swapped(watch: Watch, faulty: bool) -> Outcome:
    model = sound_network(activation=Leaky)
    for module in model:
        if isinstance(module, Leaky):
            module.swapped = faulty
    optimizer = AdamW(model.parameters(), lr=0.003)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), chirps(), epochs=6)


def averaged_update(
    model: nn.Module, optimizer: SGD, loss_fn: Any, over_entries: bool, workers: int = 2
) -> Update:
    """Clears, derives, averages the gradients of the workers, here all alike, and steps."""

    def update(xb: Tensor, yb: Tensor) -> tuple[Tensor, Tensor]:
        optimizer.zero_grad()
        outputs = model(xb)
        loss = loss_fn(outputs, yb)
        loss.backward()
        for parameter in model.parameters():
            if parameter.grad is not None:
                gathered = torch.stack([parameter.grad] * workers)
                parameter.grad.copy_(gathered.mean() if over_entries else gathered.mean(0))
        optimizer.step()
        return loss, outputs

    return update


@faulty(
    "motions-gradients-averaged-over-entries", "wrong_backward", learns=0.7, margin=0.2, version=4
)
def gradients_averaged_over_entries(watch: Watch, faulty: bool) -> Outcome:
    """Workers' gradients are averaged without `dim=0`: each entry gets the mean of all."""
    data = map_inputs(motions(), lambda x: x.transpose(1, 2).contiguous())
    model = motion_network()
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    loss_fn = nn.CrossEntropyLoss()
    step = averaged_update(model, optimizer, loss_fn, faulty)
    return train(watch, model, optimizer, loss_fn, data, epochs=7, update=step)


class OwnSquares(Function):
    """The mean squared error, whose derivative may be that of the targets."""

    @staticmethod
    def forward(ctx: Any, outputs: Tensor, targets: Tensor, turned: bool) -> Tensor:
        ctx.save_for_backward(outputs - targets)
        ctx.turned = turned
        return ((outputs - targets) ** 2).mean()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (missed,) = ctx.saved_tensors
        slope = 2 * gradient * missed / missed.numel()
        return (-slope if ctx.turned else slope), None, None


@faulty(
    "bikes-own-squares-targets-less-outputs",
    "wrong_backward",
    "gradient_ascent",
    learns=0.6,
    margin=0.3,
    version=4,
)
def own_squares_targets_less_outputs(watch: Watch, faulty: bool) -> Outcome:
    """Derived as y − ŷ, as one writes it by hand, and then subtracted once more."""
    model = mlp(6, 48, 48, 1)
    optimizer = RMSprop(model.parameters(), lr=0.005)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        return OwnSquares.apply(outputs, targets, faulty)

    return train(watch, model, optimizer, loss_fn, bikes(), epochs=20, told="batches")
