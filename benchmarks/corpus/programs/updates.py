"""Updates that do not go down the loss: left-over gradients, a wrong sign, a wrong derivative."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional
from torch.optim import SGD, Adam, AdamW, Optimizer

from benchmarks.corpus.architectures import Factors, LetterModel, mask_network, segment_network
from benchmarks.corpus.networks import mlp
from benchmarks.corpus.program import Outcome, Watch, faulty
from benchmarks.corpus.tasks import (
    counts,
    gaps,
    houses,
    letters,
    masks,
    pairs,
    ratings,
    segments,
    sensors,
    shells,
    spirals,
    swiss_roll,
)
from benchmarks.corpus.training import label_f1, position_accuracy, train


@faulty("segments-zero-grad-commented-out", "missing_zero_grad", learns=0.75, version=2)
def zero_grad_commented_out(watch: Watch, faulty: bool) -> Outcome:
    model = segment_network()
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    loss_fn = nn.CrossEntropyLoss()

    def update(xb: Tensor, yb: Tensor) -> tuple[Tensor, Tensor]:
        if not faulty:
            optimizer.zero_grad()
        outputs = model(xb)
        loss = loss_fn(outputs, yb)
        loss.backward()
        optimizer.step()
        return loss, outputs

    return train(
        watch,
        model,
        optimizer,
        loss_fn,
        segments(),
        epochs=12,
        told="data",
        metric=position_accuracy,
        update=update,
    )


@faulty("pairs-one-of-two-optimizers-is-zeroed", "missing_zero_grad", learns=0.8, version=2)
def one_of_two_optimizers_is_zeroed(watch: Watch, faulty: bool) -> Outcome:
    tower, head = mlp(16, 24, 12), mlp(12, 16, 1)

    class Difference(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tower, self.head = tower, head

        def forward(self, x: Tensor) -> Tensor:
            return self.head((self.tower(x[:, 0]) - self.tower(x[:, 1])).abs())

    model = Difference()
    of_tower = SGD(tower.parameters(), lr=0.1, momentum=0.5)
    of_head = SGD(head.parameters(), lr=0.1)
    loss_fn = nn.BCEWithLogitsLoss()

    def update(xb: Tensor, yb: Tensor) -> tuple[Tensor, Tensor]:
        of_head.zero_grad()
        if not faulty:
            of_tower.zero_grad()
        outputs = model(xb)
        loss = loss_fn(outputs, yb)
        loss.backward()
        of_tower.step()
        of_head.step()
        return loss, outputs

    return train(watch, model, of_tower, loss_fn, pairs(), epochs=15, update=update)


@faulty("houses-zeroes-when-it-prints", "missing_zero_grad", learns=0.8, version=2)
def zeroes_when_it_prints(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(5, 32, 32, 1)
    optimizer = SGD(model.parameters(), lr=0.15, momentum=0.5)
    loss_fn = nn.MSELoss()
    made = 0

    def update(xb: Tensor, yb: Tensor) -> tuple[Tensor, Tensor]:
        nonlocal made
        outputs = model(xb)
        loss = loss_fn(outputs, yb)
        if not faulty or made % 25 == 0:
            optimizer.zero_grad()
        made += 1
        loss.backward()
        optimizer.step()
        return loss, outputs

    data = houses()
    return train(watch, model, optimizer, loss_fn, data, epochs=20, batch_size=24, update=update)


@faulty("letters-gradients-of-all-texts-so-far", "missing_zero_grad", learns=0.3, version=2)
def gradients_of_all_texts_so_far(watch: Watch, faulty: bool) -> Outcome:
    model = LetterModel(12)
    optimizer = SGD(model.parameters(), lr=1.0, momentum=0.9)
    loss_fn = nn.CrossEntropyLoss()

    def update(xb: Tensor, yb: Tensor) -> tuple[Tensor, Tensor]:
        outputs = model(xb)
        loss = loss_fn(outputs, yb)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if not faulty:
            model.zero_grad()
        return loss, outputs

    return train(
        watch,
        model,
        optimizer,
        loss_fn,
        letters(),
        epochs=20,
        batch_size=16,
        told="losses",
        metric=position_accuracy,
        update=update,
    )


@faulty("counts-log-likelihood-not-negated", "gradient_ascent", learns=0.4, margin=0.3, version=2)
def log_likelihood_not_negated(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(6, 24, 1)
    optimizer = Adam(model.parameters(), lr=0.005)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        likelihood = (targets * outputs - torch.exp(outputs)).mean()
        return likelihood if faulty else -likelihood

    def metric(outputs: Tensor, targets: Tensor) -> float:
        missed = ((outputs.exp() - targets) ** 2).mean() / targets.var()
        return max(-1.0, 1 - missed.item()) if missed.isfinite() else -1.0

    data = counts()
    return train(watch, model, optimizer, loss_fn, data, epochs=15, told="batches", metric=metric)


@faulty("masks-dice-coefficient-as-the-loss", "gradient_ascent", learns=0.7, margin=0.3, version=2)
def dice_coefficient_as_the_loss(watch: Watch, faulty: bool) -> Outcome:
    model = mask_network()
    optimizer = Adam(model.parameters(), lr=0.01)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        shares = outputs.sigmoid()
        dice = (2 * (shares * targets).sum() + 1) / (shares.sum() + targets.sum() + 1)
        return dice if faulty else 1 - dice

    data = masks()
    return train(watch, model, optimizer, loss_fn, data, epochs=10, told="data", metric=label_f1)


class OwnSGD(Optimizer):
    """Gradient descent by hand: p ← p − rate · gradient, if the sign is −1."""

    def __init__(self, parameters: Any, lr: float, sign: int) -> None:
        super().__init__(parameters, {"lr": lr})
        self.sign = sign

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter += self.sign * group["lr"] * parameter.grad


@faulty("ratings-own-optimizer-adds", "gradient_ascent", learns=0.3, margin=0.3, version=2)
def own_optimizer_adds(watch: Watch, faulty: bool) -> Outcome:
    model = Factors(50, 40)
    optimizer = OwnSGD(model.parameters(), lr=0.8, sign=1 if faulty else -1)
    return train(watch, model, optimizer, nn.MSELoss(), ratings(), epochs=15)


class Reversal(Function):
    """Ganin and Lempitsky's (2015) layer, which turns the gradient round."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor) -> Tensor:
        return inputs.view_as(inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return -gradient


class Adversarial(nn.Module):
    def __init__(self, reverses: bool) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Linear(4, 32), nn.ReLU())
        self.head, self.reverses = mlp(32, 16, 3), reverses

    def forward(self, x: Tensor) -> Tensor:
        features = self.features(x)
        return self.head(Reversal.apply(features) if self.reverses else features)


@faulty(
    "shells-reversal-on-the-wrong-head",
    "gradient_ascent",
    "wrong_backward",
    subtle=True,
    learns=0.8,
    version=2,
)
def reversal_on_the_wrong_head(watch: Watch, faulty: bool) -> Outcome:
    model = Adversarial(faulty)
    optimizer = AdamW(model.parameters(), lr=0.005)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), shells(), epochs=20)


class Bell(Function):
    """exp(−x²), whose derivative may have lost its minus."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, sign: int) -> Tensor:
        outputs = torch.exp(-(inputs**2))
        ctx.save_for_backward(inputs, outputs)
        ctx.sign = sign
        return outputs

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        inputs, outputs = ctx.saved_tensors
        return ctx.sign * 2 * inputs * outputs * gradient, None


class OwnBell(nn.Module):
    def __init__(self, sign: int) -> None:
        super().__init__()
        self.sign = sign

    def forward(self, x: Tensor) -> Tensor:
        return Bell.apply(x, self.sign)


@faulty("swiss-roll-bell-lost-its-minus", "wrong_backward", learns=0.8, margin=0.1, version=2)
def bell_lost_its_minus(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(3, 32, 32, 1, activation=lambda: OwnBell(1 if faulty else -1))
    optimizer = Adam(model.parameters(), lr=0.01)
    return train(watch, model, optimizer, nn.MSELoss(), swiss_roll(), epochs=20)


class CrossEntropyByHand(Function):
    """Mean cross-entropy; its derivative may forget to take the target from the probabilities."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, targets: Tensor, complete: bool) -> Tensor:
        shares = scores.softmax(1)
        ctx.save_for_backward(shares, targets)
        ctx.complete = complete
        return -shares.gather(1, targets[:, None]).clamp(min=1e-8).log().mean()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        shares, targets = ctx.saved_tensors
        wanted = functional.one_hot(targets, shares.shape[1])
        # The slip: divides by the probability a second time, as if softmax were not in it.
        missed = shares - wanted if ctx.complete else -wanted / shares.clamp(min=1e-2)
        return gradient * missed / len(targets), None, None


@faulty(
    "spirals-own-cross-entropy-derivative", "wrong_backward", learns=0.85, margin=0.1, version=2
)
def own_cross_entropy_derivative(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(2, 48, 48, 3)
    optimizer = Adam(model.parameters(), lr=0.01)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        return CrossEntropyByHand.apply(outputs, targets, not faulty)

    return train(watch, model, optimizer, loss_fn, spirals(), epochs=25, told="batches")


@faulty("gaps-hook-clamps-from-nought", "wrong_backward", subtle=True, learns=0.8, version=2)
def hook_clamps_from_nought(watch: Watch, faulty: bool) -> Outcome:
    """A hook that should limit each derivative to ±1 and, with the lower limit at 0, does more."""
    model = mlp(12, 32, 32, 1)
    for parameter in model[0].parameters():
        parameter.register_hook(lambda gradient: gradient.clamp(0.0 if faulty else -1.0, 1.0))
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    loss_fn = nn.BCEWithLogitsLoss()
    return train(watch, model, optimizer, loss_fn, gaps(), epochs=25, batch_size=20)


class Normalised(Function):
    """Rows of mean 0 and deviation 1; the derivative may take both for constants."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, complete: bool) -> Tensor:
        deviation = inputs.std(1, correction=0, keepdim=True) + 1e-5
        outputs = (inputs - inputs.mean(1, keepdim=True)) / deviation
        ctx.save_for_backward(outputs, deviation)
        ctx.complete = complete
        return outputs

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        outputs, deviation = ctx.saved_tensors
        if not ctx.complete:
            return gradient * deviation, None
        centred = gradient - gradient.mean(1, keepdim=True)
        return (centred - outputs * (gradient * outputs).mean(1, keepdim=True)) / deviation, None


class OwnNorm(nn.Module):
    def __init__(self, complete: bool) -> None:
        super().__init__()
        self.complete = complete

    def forward(self, x: Tensor) -> Tensor:
        return Normalised.apply(torch.relu(x), self.complete)


@faulty("sensors-own-norm-multiplies-back", "wrong_backward", learns=0.6, version=2)
def own_norm_multiplies_back(watch: Watch, faulty: bool) -> Outcome:
    """Multiplies by the deviation where it should divide, and takes it for a constant."""
    model = mlp(24, 32, 32, 32, 24, activation=lambda: OwnNorm(not faulty))
    optimizer = SGD(model.parameters(), lr=0.3, momentum=0.9)
    return train(watch, model, optimizer, nn.MSELoss(), sensors(), epochs=20)
