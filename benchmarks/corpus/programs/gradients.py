"""Gradients that are not those of the loss: left over, of the wrong sign, or wrongly derived."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional
from torch.optim import SGD, Adam, AdamW

from benchmarks.corpus.data import (
    arrows,
    as_reconstruction,
    cancer,
    clusters,
    digits,
    friedman,
    wine,
)
from benchmarks.corpus.loop import batches, fit, start_watcher, validate
from benchmarks.corpus.networks import cnn, mlp
from benchmarks.corpus.program import Outcome, Watch, faulty


@faulty("digits-sgd-never-zeroes-gradients", "missing_zero_grad", learns=0.93)
def never_zeroes(watch: Watch, faulty: bool) -> Outcome:
    data = digits()
    model = mlp(64, 48, 10)
    optimizer = SGD(model.parameters(), lr=0.2)
    loss_fn = nn.CrossEntropyLoss()
    watcher = start_watcher(watch, model, optimizer, loss_fn, data)
    for _ in range(10):
        model.train()
        losses = []
        for xb, yb in batches(data.x, data.y, 32):
            outputs = model(xb)
            loss = loss_fn(outputs, yb)
            if not faulty:
                optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            losses.append(loss.detach())
        score = validate(watcher, model, loss_fn, data, losses)
    return Outcome(score, score)


@faulty("friedman-adam-zeroes-once-an-epoch", "missing_zero_grad", subtle=True, learns=0.8)
def zeroes_once_an_epoch(watch: Watch, faulty: bool) -> Outcome:
    data = friedman()
    model = mlp(10, 32, 32, 1, activation=nn.Tanh)
    optimizer = Adam(model.parameters(), lr=0.01)
    loss_fn = nn.MSELoss()
    watcher = start_watcher(watch, model, optimizer, loss_fn, data, told="batches")
    for _ in range(15):
        model.train()
        losses = []
        optimizer.zero_grad()
        for xb, yb in batches(data.x, data.y, 32):
            if not faulty:
                optimizer.zero_grad()
            outputs = model(xb)
            loss = loss_fn(outputs, yb)
            loss.backward()
            optimizer.step()
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            losses.append(loss.detach())
        score = validate(watcher, model, loss_fn, data, losses, told="batches")
    return Outcome(score, score)


@faulty("arrows-zeroes-the-head-only", "missing_zero_grad", learns=0.85)
def zeroes_the_head_only(watch: Watch, faulty: bool) -> Outcome:
    data = arrows()
    model = cnn(12, 4)
    head = model[-1]
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    loss_fn = nn.CrossEntropyLoss()
    watcher = start_watcher(watch, model, optimizer, loss_fn, data)
    for _ in range(10):
        model.train()
        losses = []
        for xb, yb in batches(data.x, data.y, 32):
            (head if faulty else model).zero_grad()
            outputs = model(xb)
            loss = loss_fn(outputs, yb)
            loss.backward()
            optimizer.step()
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            losses.append(loss.detach())
        score = validate(watcher, model, loss_fn, data, losses)
    return Outcome(score, score)


@faulty("clusters-accumulates-but-never-zeroes", "missing_zero_grad", subtle=True, learns=0.8)
def accumulates_but_never_zeroes(watch: Watch, faulty: bool) -> Outcome:
    data = clusters()
    model = mlp(20, 16, 4)
    optimizer = AdamW(model.parameters(), lr=0.01)
    loss_fn = nn.CrossEntropyLoss()
    watcher = start_watcher(watch, model, optimizer, loss_fn, data)
    for _ in range(15):
        model.train()
        losses = []
        for number, (xb, yb) in enumerate(batches(data.x, data.y, 16), start=1):
            outputs = model(xb)
            loss = loss_fn(outputs, yb)
            (loss / 4).backward()
            if number % 4 == 0:
                optimizer.step()
                watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
                if not faulty:
                    optimizer.zero_grad()
            losses.append(loss.detach())
        score = validate(watcher, model, loss_fn, data, losses)
    return Outcome(score, score)


@faulty("wine-negates-the-loss", "gradient_ascent", learns=0.85, margin=0.2)
def negates_the_loss(watch: Watch, faulty: bool) -> Outcome:
    data = wine()
    model = mlp(13, 16, 3)
    optimizer = SGD(model.parameters(), lr=0.05)
    criterion = nn.CrossEntropyLoss()

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        return -criterion(outputs, targets) if faulty else criterion(outputs, targets)

    return fit(watch, model, optimizer, loss_fn, data, epochs=40, batch_size=16)


@faulty("cancer-maximises", "gradient_ascent", learns=0.92, margin=0.2)
def maximises(watch: Watch, faulty: bool) -> Outcome:
    data = cancer()
    model = mlp(30, 16, 1)
    optimizer = Adam(model.parameters(), lr=0.002, maximize=faulty)
    return fit(watch, model, optimizer, nn.BCEWithLogitsLoss(), data, epochs=15, batch_size=16)


@faulty("digits-likelihood-is-minimised", "gradient_ascent", learns=0.9, margin=0.2)
def likelihood_is_minimised(watch: Watch, faulty: bool) -> Outcome:
    data = digits()
    model = mlp(64, 32, 10).append(nn.LogSoftmax(1))
    optimizer = Adam(model.parameters(), lr=0.003)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        chosen = outputs.gather(1, targets[:, None]).mean()
        return chosen if faulty else -chosen

    return fit(watch, model, optimizer, loss_fn, data, epochs=8, told="batches")


@faulty("digits-autoencoder-minimises-similarity", "gradient_ascent", learns=0.4, margin=0.2)
def minimises_similarity(watch: Watch, faulty: bool) -> Outcome:
    data = as_reconstruction(digits())
    model = mlp(64, 32, 64)
    optimizer = Adam(model.parameters(), lr=0.003)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        similarity = functional.cosine_similarity(outputs, targets).mean()
        size = ((outputs.norm(dim=1) - targets.norm(dim=1)) ** 2).mean()
        return (similarity if faulty else 1 - similarity) + 0.1 * size

    return fit(watch, model, optimizer, loss_fn, data, epochs=10)


class SignedReLU(Function):
    """A ReLU whose derivative has the sign that it is told to have."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, sign: int) -> Tensor:
        ctx.save_for_backward(inputs)
        ctx.sign = sign
        return inputs.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (inputs,) = ctx.saved_tensors
        return ctx.sign * gradient * (inputs > 0), None


class OwnReLU(nn.Module):
    def __init__(self, sign: int) -> None:
        super().__init__()
        self.sign = sign

    def forward(self, inputs: Tensor) -> Tensor:
        return SignedReLU.apply(inputs, self.sign)


@faulty("digits-own-relu-with-wrong-sign", "wrong_backward", learns=0.93)
def own_relu_with_wrong_sign(watch: Watch, faulty: bool) -> Outcome:
    data = digits()
    model = nn.Sequential(nn.Linear(64, 32), OwnReLU(-1 if faulty else 1), nn.Linear(32, 10))
    optimizer = SGD(model.parameters(), lr=0.2, momentum=0.5)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=10)


class Swish(Function):
    """x · σ(x), of which one part of the derivative may be forgotten."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, complete: bool) -> Tensor:
        ctx.save_for_backward(inputs)
        ctx.complete = complete
        return inputs * torch.sigmoid(inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (inputs,) = ctx.saved_tensors
        gate = torch.sigmoid(inputs)
        if ctx.complete:
            return gradient * (gate + inputs * gate * (1 - gate)), None
        return gradient * inputs * (gate - 1), None


class OwnSwish(nn.Module):
    def __init__(self, complete: bool) -> None:
        super().__init__()
        self.complete = complete

    def forward(self, inputs: Tensor) -> Tensor:
        return Swish.apply(inputs, self.complete)


@faulty("friedman-own-swish-half-derived", "wrong_backward", subtle=True, learns=0.85)
def own_swish_half_derived(watch: Watch, faulty: bool) -> Outcome:
    data = friedman()
    model = mlp(10, 32, 32, 1, activation=lambda: OwnSwish(not faulty))
    optimizer = Adam(model.parameters(), lr=0.005)
    return fit(watch, model, optimizer, nn.MSELoss(), data, epochs=15)


class LinearWithWrongInputs(Function):
    """x · Wᵀ; its derivative by the inputs may be that of x · W."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, transposed: bool) -> Tensor:
        ctx.save_for_backward(inputs, weight)
        ctx.transposed = transposed
        return inputs @ weight.T

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        inputs, weight = ctx.saved_tensors
        by_inputs = gradient @ (weight.T if ctx.transposed else weight)
        return by_inputs, gradient.T @ inputs, None


class OwnLinear(nn.Module):
    def __init__(self, width: int, transposed: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(width, width) * (2 / width) ** 0.5)
        self.transposed = transposed

    def forward(self, inputs: Tensor) -> Tensor:
        return LinearWithWrongInputs.apply(inputs, self.weight, self.transposed)


@faulty("clusters-own-linear-transposed", "wrong_backward", subtle=True, learns=0.85)
def own_linear_transposed(watch: Watch, faulty: bool) -> Outcome:
    data = clusters(classes=6)
    model = nn.Sequential(nn.Linear(20, 24), nn.ReLU())
    for _ in range(4):
        model.extend([OwnLinear(24, faulty), nn.ReLU()])
    model.append(nn.Linear(24, 6))
    optimizer = Adam(model.parameters(), lr=0.005)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=12)
