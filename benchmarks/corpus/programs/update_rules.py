"""Updates of version 5 that are made of old gradients, uphill, or of wrong derivatives."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional
from torch.nn.utils import clip_grad_norm_
from torch.optim import SGD, Adam

from benchmarks.corpus.loop import accuracy, r_squared
from benchmarks.corpus.networks import mlp
from benchmarks.corpus.program import Outcome, Watch, faulty
from benchmarks.corpus.realistic_architectures import (
    Coder,
    PointSet,
    Towers,
    evaluate,
    load,
    report,
    vowel_network,
)
from benchmarks.corpus.realistic_tasks import (
    calls,
    clinic,
    clouds,
    concordance,
    films,
    lifetimes,
    spectra,
    vowels,
)
from benchmarks.corpus.training import start


@faulty("vowels-closure-without-zero-grad", "missing_zero_grad", learns=0.9, version=5)
def closure_without_zero_grad(watch: Watch, faulty: bool) -> Outcome:
    """The closure that `step` calls was shortened to the loss and its derivative."""
    data = vowels()
    model = vowel_network()
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    criterion = nn.CrossEntropyLoss()
    watcher = start(watch, model, optimizer, criterion, data, "everything")
    score = 0.0
    for _ in range(6):
        model.train()
        losses: list[float] = []
        for xb, yb in load(data):
            told: dict[str, Tensor] = {}

            def closure(xb: Tensor = xb, yb: Tensor = yb, told: dict[str, Tensor] = told) -> Tensor:
                if not faulty:
                    optimizer.zero_grad()
                told["outputs"] = model(xb)
                loss = criterion(told["outputs"], yb)
                loss.backward()
                return loss

            loss = optimizer.step(closure)
            assert loss is not None
            watcher.step(loss, inputs=xb, outputs=told["outputs"], targets=yb)
            losses.append(loss.item())
        score = report(watcher, model, criterion, data, losses)
    return Outcome(score, score)


@faulty(
    "clouds-skips-bad-batches-not-their-gradients",
    "missing_zero_grad",
    subtle=True,
    learns=0.8,
    version=5,
)
def skips_bad_batches_not_their_gradients(watch: Watch, faulty: bool) -> Outcome:
    """`continue` on too long a gradient leaves it in place, where the next one is added to it."""
    data = clouds()
    model = PointSet()
    optimizer = SGD(model.parameters(), lr=0.03, momentum=0.9)
    criterion = nn.CrossEntropyLoss()
    watcher = watch(model, optimizer, loss_fn=criterion)
    score = 0.0
    for _ in range(16):
        model.train()
        losses: list[float] = []
        for xb, yb in load(data):
            if not faulty:
                optimizer.zero_grad()
            outputs = model(xb)
            loss = criterion(outputs, yb)
            loss.backward()
            losses.append(loss.item())
            length = clip_grad_norm_(model.parameters(), 1e9)
            if length < 1.0:
                optimizer.step()
                optimizer.zero_grad()
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
        valid_loss, score = evaluate(model, criterion, data.x_valid, data.y_valid, accuracy)
        watcher.epoch(train_loss=sum(losses) / len(losses), valid_loss=valid_loss)
    return Outcome(score, score)


def cox_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """The negative logarithm of the partial likelihood (Cox, 1972)."""
    order = targets[:, 0].argsort(descending=True)
    risk, broke = outputs[order, 0], targets[order, 1]
    return -((risk - risk.logcumsumexp(0)) * broke).sum() / broke.sum().clamp(min=1)


@faulty("lifetimes-gradients-made-but-never-cleared", "missing_zero_grad", learns=0.75, version=5)
def gradients_made_but_never_cleared(watch: Watch, faulty: bool) -> Outcome:
    """`if p.grad is None` for `if p.grad is not None`, before `p.grad.zero_()`."""
    data = lifetimes()
    model = mlp(6, 32, 1)
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.5)
    watcher = watch(model, optimizer)
    score = 0.0
    for _ in range(15):
        model.train()
        losses: list[float] = []
        for rows in torch.randperm(len(data.x)).split(64):
            for parameter in model.parameters():
                if (parameter.grad is None) == faulty:
                    parameter.grad = torch.zeros_like(parameter)
            loss = cox_loss(model(data.x[rows]), data.y[rows])
            loss.backward()
            optimizer.step()
            watcher.step(loss)
            losses.append(loss.item())
        valid_loss, score = evaluate(model, cox_loss, data.x_valid, data.y_valid, concordance)
        watcher.epoch(train_loss=sum(losses) / len(losses), valid_loss=valid_loss)
    return Outcome(score, score)


@faulty(
    "lifetimes-partial-likelihood-not-negated",
    "gradient_ascent",
    learns=0.75,
    margin=0.3,
    version=5,
)
def partial_likelihood_not_negated(watch: Watch, faulty: bool) -> Outcome:
    """The formula of the paper is what is to be maximised, and `backward` was called on it."""
    data = lifetimes()
    model = mlp(6, 32, 1)
    optimizer = Adam(model.parameters(), lr=0.003)

    def criterion(outputs: Tensor, targets: Tensor) -> Tensor:
        loss = cox_loss(outputs, targets)
        return -loss if faulty else loss

    watcher = watch(
        model,
        optimizer,
        loss_fn=criterion,
        train=(data.x, data.y),
        valid=(data.x_valid, data.y_valid),
    )
    score = 0.0
    for _ in range(10):
        model.train()
        losses: list[float] = []
        for xb, yb in load(data, 50):
            outputs = model(xb)
            loss = criterion(outputs, yb)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            losses.append(loss.item())
        valid_loss, score = evaluate(model, criterion, data.x_valid, data.y_valid, concordance)
        watcher.epoch(train_loss=sum(losses) / len(losses), valid_loss=valid_loss)
    return Outcome(score, score)


@faulty(
    "films-unwatched-less-watched",
    "gradient_ascent",
    "wrong_loss",
    learns=0.7,
    margin=0.3,
    version=5,
)
def unwatched_less_watched(watch: Watch, faulty: bool) -> Outcome:
    """The ranking loss (Rendle et al., 2009) is given the two scores the wrong way round."""
    data = films()
    seen = data.x[data.y[:, 0] > 0.5]
    model = Towers()
    optimizer = Adam(model.parameters(), lr=0.02)
    watcher = watch(model, optimizer)
    score = 0.0

    def rank(liked: Tensor, other: Tensor) -> Tensor:
        gap = model(other) - model(liked) if faulty else model(liked) - model(other)
        return -functional.logsigmoid(gap).mean()

    chosen, left = (data.x_valid[data.y_valid[:, 0].eq(value)] for value in (1, 0))
    count = min(len(chosen), len(left))
    for _ in range(20):
        losses: list[float] = []
        for (liked,) in zip(seen[torch.randperm(len(seen))].split(64), strict=True):
            other = torch.stack([liked[:, 0], torch.randint(50, (len(liked),))], 1)
            loss = rank(liked, other)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watcher.step(loss)
            losses.append(loss.item())
        with torch.no_grad():
            valid_loss = rank(chosen[:count], left[:count]).item()
            above = model(chosen) > model(left)[:, 0]
        score = above.float().mean().item()
        watcher.epoch(train_loss=sum(losses) / len(losses), valid_loss=valid_loss)
    return Outcome(score, score)


@faulty("spectra-likeness-is-minimised", "gradient_ascent", learns=0.7, margin=0.3, version=5)
def likeness_is_minimised(watch: Watch, faulty: bool) -> Outcome:
    """The cosine of output and target itself is the loss; it should be one less the cosine."""
    data = spectra()
    model = Coder()
    optimizer = Adam(model.parameters(), lr=0.005)

    def criterion(outputs: Tensor, targets: Tensor) -> Tensor:
        cosine = functional.cosine_similarity(outputs, targets).mean()
        size = (outputs.norm(dim=1) - targets.norm(dim=1)).abs().mean()
        return (cosine if faulty else 1 - cosine) + 0.1 * size

    watcher = start(watch, model, optimizer, criterion, data, "data")
    score = 0.0
    for _ in range(10):
        model.train()
        losses: list[float] = []
        for xb, _ in load(data):
            optimizer.zero_grad()
            outputs = model(xb)
            loss = criterion(outputs, xb)
            loss.backward()
            optimizer.step()
            watcher.step(loss, inputs=xb, outputs=outputs, targets=xb)
            losses.append(loss.item())
        score = report(watcher, model, criterion, data, losses)
    return Outcome(score, score)


class OwnProduct(Function):
    """The product of two vectors, whose derivatives may be returned in the wrong order."""

    @staticmethod
    def forward(ctx: Any, first: Tensor, second: Tensor, swapped: bool) -> Tensor:
        ctx.save_for_backward(first, second)
        ctx.swapped = swapped
        return (first * second).sum(1, keepdim=True)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        first, second = ctx.saved_tensors
        if ctx.swapped:
            return gradient * first, gradient * second, None
        return gradient * second, gradient * first, None


class OwnTowers(Towers):
    swapped = False

    def forward(self, x: Tensor) -> Tensor:
        user, item = self.users(x[:, 0]), self.items(x[:, 1])
        return OwnProduct.apply(user, item, self.swapped) + self.fame(x[:, 1]) + self.start


@faulty("films-own-product-derivatives-swapped", "wrong_backward", learns=0.75, version=5)
def own_product_derivatives_swapped(watch: Watch, faulty: bool) -> Outcome:
    """Both inputs have one shape, and `backward` returns their gradients in the other order."""
    data = films()
    model = OwnTowers()
    model.swapped = faulty
    optimizer = Adam(model.parameters(), lr=0.01)
    criterion = nn.BCEWithLogitsLoss()
    watcher = start(watch, model, optimizer, criterion, data, "everything")
    score = 0.0
    for _ in range(10):
        model.train()
        losses: list[float] = []
        for xb, yb in load(data, 64):
            outputs = model(xb)
            loss = criterion(outputs, yb)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            losses.append(loss.item())
        score = report(watcher, model, criterion, data, losses)
    return Outcome(score, score)


class OwnPoisson(Function):
    """The Poisson likelihood of log-rates; its derivative may have forgotten the counts."""

    @staticmethod
    def forward(ctx: Any, outputs: Tensor, counts: Tensor, forgets: bool) -> Tensor:
        rate = outputs.exp()
        ctx.save_for_backward(rate, counts)
        ctx.forgets = forgets
        return (rate - counts * outputs).mean()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        rate, counts = ctx.saved_tensors
        missed = rate - (counts.mean() if ctx.forgets else counts)
        return gradient * missed / rate.numel(), None, None


@faulty("calls-own-derivative-of-the-mean-count", "wrong_backward", learns=0.5, version=5)
def own_derivative_of_the_mean_count(watch: Watch, faulty: bool) -> Outcome:
    """λ − ȳ for λ − y in a derivative written by hand: right on the whole, wrong for each row."""
    data = calls()
    model = mlp(6, 32, 32, 1)
    optimizer = Adam(model.parameters(), lr=0.003)

    def criterion(outputs: Tensor, targets: Tensor) -> Tensor:
        return OwnPoisson.apply(outputs, targets, faulty)

    watcher = watch(model, optimizer, loss_fn=criterion)
    score = 0.0
    for _ in range(10):
        model.train()
        losses: list[float] = []
        for rows in torch.randperm(len(data.x)).split(32):
            outputs = model(data.x[rows])
            loss = criterion(outputs, data.y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watcher.step(loss, inputs=data.x[rows], outputs=outputs, targets=data.y[rows])
            losses.append(loss.item())
        valid_loss, score = evaluate(
            model, criterion, data.x_valid, data.y_valid, lambda o, t: r_squared(o.exp(), t)
        )
        watcher.epoch(train_loss=sum(losses) / len(losses), valid_loss=valid_loss)
    return Outcome(score, score)


class OwnSoftplus(Function):
    """log(1 + eˣ), whose slope may be that of its mirror image."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, mirrored: bool) -> Tensor:
        ctx.save_for_backward(inputs)
        ctx.mirrored = mirrored
        return functional.softplus(inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (inputs,) = ctx.saved_tensors
        return gradient * torch.sigmoid(-inputs if ctx.mirrored else inputs), None


class Soft(nn.Module):
    def __init__(self, mirrored: bool) -> None:
        super().__init__()
        self.mirrored = mirrored

    def forward(self, x: Tensor) -> Tensor:
        return OwnSoftplus.apply(x, self.mirrored)


@faulty("clinic-own-softplus-slope-mirrored", "wrong_backward", learns=0.75, version=5)
def own_softplus_slope_mirrored(watch: Watch, faulty: bool) -> Outcome:
    """The slope of log(1 + eˣ) is written σ(−x)."""
    data = clinic()
    model = mlp(10, 32, 32, 1, activation=lambda: Soft(mirrored=faulty))
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    criterion = nn.BCEWithLogitsLoss()
    watcher = start(watch, model, optimizer, criterion, data, "everything")
    score = 0.0
    for _ in range(12):
        model.train()
        losses: list[float] = []
        for xb, yb in load(data):
            optimizer.zero_grad()
            outputs = model(xb)
            loss = criterion(outputs, yb)
            loss.backward()
            optimizer.step()
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            losses.append(loss.item())
        score = report(watcher, model, criterion, data, losses)
    return Outcome(score, score)
