"""Small trainings that are healthy until a fault of the code or the data makes the loss NaN."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

import trainwell as tw
from trainwell.findings import Finding

ROWS, FEATURES, CLASSES = 16, 8, 3
BREAKS = 14
"""The step at which the data first meets the fault."""

Batch = tuple[Any, Tensor]
Spoil = Callable[[Any, Tensor], None]


@dataclass(frozen=True)
class Planted:
    """A training with a fault whose place is known.

    Attributes:
        make: Builds the model.
        operation: That gives the first value that is not finite; empty where it is none.
        place: In which layer, parameter or part of the step; empty: outside of named layers.
        rows: Of the batch that are the cause; empty where it is not rows.
        spoil: Changes the batch of step `BREAKS` in place, so that it meets the fault.
        loss: Of outputs and targets.
        backward: Whether the forward pass is finite and the gradient is not.
        remedy: A word that the right advice has.
        batches: Draws the data; None: regular inputs and classes.
        optimizer: Builds the optimiser.
        schedule: Builds a scheduler, stepped at each step.
        tells: `"all"`, or `"loss"`: the loss alone, as of a loop that tells nothing else.
        steps: Most that are made.
        grows: Whether it is growing weights that overflow, and not a fault of code or data.
        autocast: To which the forward pass is cast.
    """

    make: Callable[[], nn.Module]
    operation: str
    place: str = ""
    rows: tuple[int, ...] = ()
    spoil: Spoil | None = None
    loss: Callable[[Any, Tensor], Tensor] = functional.cross_entropy
    backward: bool = False
    remedy: str = ""
    batches: Callable[[torch.Generator], Iterator[Batch]] | None = None
    optimizer: Callable[[nn.Module], torch.optim.Optimizer] | None = None
    schedule: Callable[[torch.optim.Optimizer], Any] | None = None
    tells: str = "all"
    steps: int = 40
    grows: bool = False
    autocast: torch.dtype | None = None

    def run(self) -> tuple[list[Finding], int]:
        """Trains until the loss is not finite; gives the findings and the number of good steps."""
        torch.manual_seed(0)
        generator = torch.Generator().manual_seed(1)
        model = self.make()
        make = self.optimizer or (lambda m: torch.optim.SGD(m.parameters(), lr=0.05))
        optimizer = make(model)
        scheduler = self.schedule(optimizer) if self.schedule is not None else None
        known = self.loss if self.tells == "all" else None
        watcher = tw.watch(model, optimizer, known, on_finding=lambda finding: None)
        draw = self.batches or draw_classes
        good = 0
        for number, (x, y) in zip(range(self.steps), draw(generator), strict=False):
            if self.spoil is not None and number == BREAKS:
                self.spoil(x, y)
            optimizer.zero_grad()
            with torch.autocast("cpu", self.autocast, enabled=self.autocast is not None):
                outputs = model(*x) if isinstance(x, tuple) else model(x)
                loss = self.loss(outputs, y)
            loss.backward()
            optimizer.step()
            if scheduler is not None:
                scheduler.step()
            if self.tells == "all":
                watcher.step(loss, inputs=x, outputs=outputs, targets=y)
            else:
                watcher.step(loss)
            if not math.isfinite(loss.item()):
                break
            good += 1
        findings = watcher.findings()
        watcher.detach()
        return findings, good


# Data


def draw_classes(g: torch.Generator) -> Iterator[Batch]:
    """Inputs (16, 8) and 3 classes."""
    while True:
        x = torch.randn(ROWS, FEATURES, generator=g)
        yield x, x[:, :CLASSES].argmax(1)


def draw_numbers(g: torch.Generator) -> Iterator[Batch]:
    """Inputs (16, 8) and one number each."""
    while True:
        x = torch.randn(ROWS, FEATURES, generator=g)
        yield x, x[:, :1] - 0.5 * x[:, 1:2]


def draw_positive(g: torch.Generator) -> Iterator[Batch]:
    """Inputs from 0.5 to 1.5, one number each."""
    while True:
        x = torch.rand(ROWS, FEATURES, generator=g) + 0.5
        yield x, x[:, :1] - 0.5 * x[:, 1:2]


def draw_within(g: torch.Generator) -> Iterator[Batch]:
    """Inputs from −0.9 to 0.9, one number each."""
    while True:
        x = torch.rand(ROWS, FEATURES, generator=g) * 1.8 - 0.9
        yield x, x[:, :1] - 0.5 * x[:, 1:2]


def draw_binary(g: torch.Generator) -> Iterator[Batch]:
    """Inputs (16, 8), targets 0 or 1 as (16, 1)."""
    while True:
        x = torch.randn(ROWS, FEATURES, generator=g)
        yield x, (x[:, :1] > 0).float()


def draw_words(g: torch.Generator) -> Iterator[Batch]:
    """Words (16, 5) out of 20; the seventh is not among them."""
    while True:
        x = torch.randint(19, (ROWS, 5), generator=g)
        x[x >= 7] += 1
        yield x, x[:, 0] % CLASSES


def draw_sequences(steps: int, late: int) -> Callable[[torch.Generator], Iterator[Batch]]:
    """Sequences (16, T, 8), longer from step `BREAKS` on."""

    def draw(g: torch.Generator) -> Iterator[Batch]:
        number = 0
        while True:
            x = torch.randn(ROWS, late if number >= BREAKS else steps, FEATURES, generator=g)
            yield x, (x[:, -1, :CLASSES]).argmax(1)
            number += 1

    return draw


def draw_weighted(g: torch.Generator) -> Iterator[Batch]:
    """Inputs with a second argument (16, 8), and classes."""
    while True:
        x = torch.randn(ROWS, FEATURES, generator=g)
        yield (x, torch.rand(ROWS, FEATURES, generator=g)), x[:, :CLASSES].argmax(1)


def draw_last_alone(g: torch.Generator) -> Iterator[Batch]:
    """The batch of step `BREAKS` has one example, as the last of an epoch may."""
    for number, (x, y) in enumerate(draw_classes(g)):
        yield (x[:1], y[:1]) if number == BREAKS else (x, y)


# Models


class OnInputs(nn.Module):
    """An operation of one's own on the inputs as a layer `features`, then linear."""

    def __init__(self, features: nn.Module, outputs: int, width: int = FEATURES) -> None:
        super().__init__()
        self.features = features
        self.last = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.features(x))


class Own(nn.Module):
    """A function as a layer."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def linear(outputs: int = CLASSES) -> nn.Module:
    return nn.Sequential(nn.Linear(FEATURES, 16), nn.Tanh(), nn.Linear(16, outputs))


def classifier_on(function: Callable[[Tensor], Tensor]) -> Callable[[], nn.Module]:
    return lambda: OnInputs(Own(function), CLASSES)


def regression_on(
    function: Callable[[Tensor], Tensor], width: int = FEATURES
) -> Callable[[], nn.Module]:
    return lambda: OnInputs(Own(function), 1, width)


def after_linear(
    function: Callable[[Tensor], Tensor], width: int = FEATURES
) -> Callable[[], nn.Module]:
    """The function gets what a linear layer without bias gives: zeros of a row of zeros."""
    return lambda: nn.Sequential(
        nn.Linear(FEATURES, FEATURES, bias=False), OnInputs(Own(function), CLASSES, width)
    )


class OwnNorm(nn.Module):
    """A batch normalisation by hand."""

    def forward(self, x: Tensor) -> Tensor:
        return (x - x.mean(0)) / (x.var(0) + 1e-5).sqrt()


class Words(nn.Module):
    """A pretrained table of words, in which one row is damaged."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, FEATURES)
        self.head = nn.Linear(FEATURES, CLASSES)
        with torch.no_grad():
            self.embedding.weight[7] = math.nan

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.embedding(x).mean(1))


class Attention(nn.Module):
    """Attention with a causal mask and one for padding: an example of padding only is a fault."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(FEATURES, FEATURES), nn.Linear(FEATURES, FEATURES)

    def forward(self, x: Tensor) -> Tensor:
        scores = self.query(x) @ self.key(x).transpose(1, 2)
        padding = (x.abs().sum(2) == 0).unsqueeze(1)
        scores = scores.masked_fill(padding, -math.inf)
        return torch.softmax(scores, 2) @ x


class Attentive(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = Attention()
        self.head = nn.Linear(FEATURES, CLASSES)
        later = torch.full((6, 6), -math.inf).triu(1)
        self.register_buffer("later", later)

    def forward(self, x: Tensor) -> Tensor:
        # A mask of the usual kind, whose −inf are meant.
        mixed = torch.softmax(x @ x.transpose(1, 2) + self.later, 2) @ x
        return self.head((self.attention(x) + mixed).mean(1))


class MaskedMean(nn.Module):
    """Mean over the words that are no padding."""

    def forward(self, x: Tensor) -> Tensor:
        there = (x != 0).any(2, keepdim=True).float()
        return (x * there).sum(1) / there.sum(1)


class Recurrence(nn.Module):
    """A recurrence by hand whose matrix stretches its state."""

    def __init__(self, stretch: float) -> None:
        super().__init__()
        self.stretch = stretch
        self.recurrent = nn.Linear(FEATURES, FEATURES, bias=False)
        self.head = nn.Linear(FEATURES, CLASSES)
        with torch.no_grad():
            self.recurrent.weight.copy_(stretch * torch.eye(FEATURES))

    def forward(self, x: Tensor) -> Tensor:
        state = torch.zeros(len(x), FEATURES)
        for t in range(x.shape[1]):
            state = self.recurrent(state) + x[:, t]
        return self.head(state / self.stretch ** x.shape[1])


class Fused(nn.Module):
    """A recurrent layer of PyTorch without a bound on its state."""

    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.RNN(FEATURES, FEATURES, nonlinearity="relu", batch_first=True)
        self.head = nn.Linear(FEATURES, CLASSES)
        with torch.no_grad():
            self.cells.weight_hh_l0.copy_(1.4 * torch.eye(FEATURES))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(functional.normalize(self.cells(x)[0][:, -1], dim=1))


class Weighted(nn.Module):
    """Takes the importance of each feature as a second argument."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = linear()

    def forward(self, x: Tensor, importance: Tensor) -> Tensor:
        return self.inner(x * importance)


class Policy(nn.Module):
    """Mean and deviation of a normal distribution."""

    def __init__(self) -> None:
        super().__init__()
        self.mean, self.log_std = nn.Linear(FEATURES, 1), nn.Linear(FEATURES, 1)
        with torch.no_grad():
            self.log_std.weight.fill_(0.05)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.mean(x), torch.exp(self.log_std(x))


class Spread(nn.Module):
    """Mean and variance, the latter by a ReLU: zero is a fault."""

    def __init__(self) -> None:
        super().__init__()
        self.mean, self.variance = nn.Linear(FEATURES, 1), nn.Linear(FEATURES, 1)
        with torch.no_grad():
            self.variance.weight.zero_()
            self.variance.bias.fill_(1.0)
            self.variance.weight[0, 7] = 0.05

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.mean(x), torch.relu(self.variance(x))


class WithinOne(nn.Module):
    """Outputs that are taken for probabilities although nothing keeps them from 0 to 1."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(FEATURES, 1)
        with torch.no_grad():
            self.layer.weight.mul_(0.02)
            self.layer.bias.fill_(0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


class OwnSquareRoot(torch.autograd.Function):
    """A square root with a backward pass by hand."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        root = x.sqrt()
        ctx.save_for_backward(root)
        return root

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (root,) = ctx.saved_tensors
        return gradient / (2 * root)


class TwoHeads(nn.Module):
    """A second head that is used from step `BREAKS` on, with inputs of zero."""

    def __init__(self) -> None:
        super().__init__()
        self.main = linear()
        self.extra = nn.Linear(FEATURES, CLASSES, bias=False)
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        outputs = self.main(x)
        self.calls += 1
        return outputs if self.calls <= BREAKS else outputs + self.extra(torch.zeros_like(x))


# Losses


def own_cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    chosen = torch.softmax(outputs, 1).gather(1, targets.unsqueeze(1))
    return -torch.log(chosen).mean()


def own_softmax_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    powers = torch.exp(outputs)
    share = powers / powers.sum(1, keepdim=True)
    return functional.nll_loss((share + 1e-9).log(), targets)


def own_bce(outputs: Tensor, targets: Tensor) -> Tensor:
    return -(targets * outputs.log() + (1 - targets) * (1 - outputs).log()).mean()


def mean_of_known(outputs: Tensor, targets: Tensor) -> Tensor:
    """Squared error where a target is known; those unknown are −9."""
    known = (targets > -9).float()
    return ((outputs - targets).square() * known).sum() / known.sum()


def own_normal_loss(outputs: tuple[Tensor, Tensor], targets: Tensor) -> Tensor:
    mean, variance = outputs
    return ((targets - mean).square() / variance + torch.log(variance + 1e-3)).mean()


def normal_loss(outputs: tuple[Tensor, Tensor], targets: Tensor) -> Tensor:
    mean, std = outputs
    return (((targets - mean) / std).square() + 1e-3 * std).mean()


def own_divergence(outputs: Tensor, targets: Tensor) -> Tensor:
    """Kullback-Leibler divergence from the one-hot targets, smoothed by nobody."""
    wanted = functional.one_hot(targets, CLASSES).float() * 0.9 + 0.1 / CLASSES
    given = torch.softmax(outputs, 1)
    return (wanted * (wanted / given).clamp(min=0).add(1e-9).log()).sum(1).mean()


def distance_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """Root of the squared error of each example: the root has no slope at a perfect fit."""
    return (outputs - targets).square().sum(1).sqrt().mean()


# Faults in the data


def set_row(row: int, value: float, column: int | slice = slice(None)) -> Spoil:
    def spoil(x: Any, y: Tensor) -> None:
        x[row, ..., column] = value

    return spoil


def scale_rows(rows: tuple[int, ...], factor: float) -> Spoil:
    def spoil(x: Any, y: Tensor) -> None:
        for row in rows:
            x[row] *= factor

    return spoil


def spoil_targets(value: float, rows: tuple[int, ...] | None = None) -> Spoil:
    def spoil(x: Any, y: Tensor) -> None:
        y[list(rows) if rows is not None else slice(None)] = value  # pyright: ignore

    return spoil


def confuse(row: int, factor: float) -> Spoil:
    """An outlier with the wrong class: its probability is exactly zero."""

    def spoil(x: Any, y: Tensor) -> None:
        x[row] *= factor
        y[row] = (y[row] + 1) % CLASSES

    return spoil


def spoil_importance(x: Any, y: Tensor) -> None:
    x[1][9, 2] = math.nan


def use_word(x: Any, y: Tensor) -> None:
    x[2, 3] = x[11, 0] = 7


def perfect_fit(x: Any, y: Tensor) -> None:
    x[4], y[4] = 0.0, 0.0


class NoBias(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(FEATURES, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


def gone_polynomial(optimizer: torch.optim.Optimizer) -> Any:
    """A polynomial decay that goes on past its end, where its base is negative."""

    def factor(step: int) -> float:
        with np.errstate(invalid="ignore"):
            return float(np.power(np.float64(1 - step / BREAKS), 0.9))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def grow_without_end(optimizer: torch.optim.Optimizer) -> Any:
    """The rate grows by a third at each step."""
    return torch.optim.lr_scheduler.ExponentialLR(optimizer, 1.3)


def plain(rate: float, **options: Any) -> Callable[[nn.Module], torch.optim.Optimizer]:
    return lambda model: torch.optim.SGD(model.parameters(), lr=rate, **options)


mse = functional.mse_loss

CASES: dict[str, Planted] = {
    # Logarithms
    "log of zero in a cross-entropy by hand": Planted(
        lambda: nn.Linear(FEATURES, CLASSES), "log", "the loss", (5,), confuse(5, 4000.0),
        own_cross_entropy, remedy="log_softmax",
    ),
    "log of zero in a loss that nobody was told of": Planted(
        lambda: nn.Linear(FEATURES, CLASSES), "log", "the loss", (), confuse(5, 4000.0),
        own_cross_entropy, tells="loss", remedy="log_softmax",
    ),
    "log of a negative feature": Planted(
        regression_on(torch.log), "log", "features", (3,), set_row(3, -0.5, 2), mse,
        batches=draw_positive, remedy="clamp",
    ),
    "log1p of minus one": Planted(
        regression_on(torch.log1p), "log1p", "features", (8,), set_row(8, -1.0, 0), mse,
        batches=draw_within, remedy="clamp",
    ),
    "binary cross-entropy by hand of outputs beyond 1": Planted(
        WithinOne, "log", "the loss", (6,), scale_rows((6,), 1000.0), own_bce,
        batches=draw_binary, optimizer=plain(0.002), remedy="with_logits",
    ),
    "divergence from a probability of zero": Planted(
        lambda: nn.Linear(FEATURES, CLASSES), "div", "the loss", (12,), confuse(12, 4000.0),
        own_divergence, remedy="eps",
    ),
    # Roots and norms
    "slope of a norm by hand at zero": Planted(
        after_linear(lambda h: h / (h.square().sum(1, keepdim=True).sqrt() + 1e-3)), "sqrt",
        "1.features", (10,), set_row(10, 0.0), backward=True, remedy="inside the root",
    ),
    "slope of a distance at a perfect fit": Planted(
        NoBias, "sqrt", "the loss", (4,), perfect_fit, distance_loss, backward=True,
        batches=draw_numbers, remedy="inside the root",
    ),
    "slope of the root of a variance of zero": Planted(
        after_linear(
            lambda h: (h - h.mean(1, keepdim=True)) / (h.var(1, keepdim=True).sqrt() + 1e-3)
        ),
        "sqrt", "1.features", (7,), set_row(7, 0.0), backward=True, remedy="inside the root",
    ),
    "root in the branch that where() does not choose": Planted(
        after_linear(lambda h: torch.where(h == 0, torch.zeros(()), h.abs().sqrt())),
        "sqrt", "1.features", (2,), set_row(2, 0.0), backward=True, remedy="inside the root",
    ),
    "division by the norm of a row of zeros": Planted(
        classifier_on(lambda x: x / x.norm(dim=1, keepdim=True)), "div", "features", (9,),
        set_row(9, 0.0), remedy="eps",
    ),
    "arc cosine at one, whose slope is infinite": Planted(
        after_linear(lambda h: torch.acos(1 - 0.1 * h.abs())),
        "acos", "1.features", (13,), set_row(13, 0.0), backward=True, remedy="clamp",
    ),
    "slope of a hypotenuse of zero": Planted(
        after_linear(lambda h: torch.hypot(h[:, :4], h[:, 4:]), 4),
        "hypot", "1.features", (1,), set_row(1, 0.0), backward=True, remedy="eps",
    ),
    "own backward pass that divides by zero": Planted(
        after_linear(lambda h: OwnSquareRoot.apply(h.square())),
        "OwnSquareRoot", "1.features", (6,), set_row(6, 0.0), backward=True,
    ),
    # Divisions
    "standardising a constant row": Planted(
        classifier_on(lambda x: (x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True)),
        "div", "features", (4,), set_row(4, 1.0), remedy="eps",
    ),
    "mean over the known targets, of which there are none": Planted(
        lambda: linear(1), "div", "the loss", (), spoil_targets(-9.0), mean_of_known,
        batches=draw_numbers, remedy="eps",
    ),
    "mean over the words of an example of padding": Planted(
        lambda: OnInputs(MaskedMean(), CLASSES), "div", "features", (0,), set_row(0, 0.0),
        batches=draw_sequences(5, 5), remedy="eps",
    ),
    "reciprocal of a feature of zero": Planted(
        regression_on(lambda x: 1 / x), "div", "features", (15,), set_row(15, 0.0, 3), mse,
        batches=draw_positive, optimizer=plain(0.01), remedy="eps",
    ),
    "variance of zero in a normal likelihood": Planted(
        Spread, "div", "the loss", (3,), set_row(3, -1000.0, 7), own_normal_loss,
        batches=draw_numbers, optimizer=plain(0.001), remedy="eps",
    ),
    "own batch norm of one example": Planted(
        lambda: nn.Sequential(nn.Linear(FEATURES, FEATURES), OwnNorm(), nn.Linear(8, CLASSES)),
        "var", "1", (), batches=draw_last_alone, remedy="more than one",
    ),
    "cross-entropy over targets that are all ignored": Planted(
        linear, "cross_entropy", "the loss", (), spoil_targets(-100), remedy="ignore",
    ),
    # Overflows
    "exp overflow in a softmax by hand": Planted(
        lambda: nn.Linear(FEATURES, CLASSES), "exp", "the loss", (11,), scale_rows((11,), -2000.0),
        own_softmax_loss, remedy="softmax",
    ),
    "exp overflow of a log-deviation": Planted(
        Policy, "exp", "", (5,), set_row(5, 1000.0), normal_loss, batches=draw_numbers,
        optimizer=plain(0.01), remedy="clamp",
    ),
    "float16 overflow in a layer": Planted(
        lambda: OnInputs(Own(lambda x: (x.half() * x.half()).float()), CLASSES), "mul",
        "features", (2, 8), scale_rows((2, 8), 1000.0), remedy="float16",
    ),
    "float16 overflow under autocast": Planted(
        lambda: nn.Sequential(nn.Linear(FEATURES, FEATURES), nn.Linear(FEATURES, CLASSES)),
        "linear", "0", (7,), scale_rows((7,), 60000.0), autocast=torch.float16, remedy="float16",
    ),
    "power that overflows": Planted(
        classifier_on(lambda x: x**10 * 1e-4), "pow", "features", (6,), scale_rows((6,), 3e4),
        optimizer=plain(1e-4), remedy="scale",
    ),
    "product over features that overflows": Planted(
        regression_on(lambda x: x.repeat(1, 4).cumprod(1)[:, -1:], 1), "cumprod", "features",
        (4,), scale_rows((4,), 100.0), mse, batches=draw_positive, optimizer=plain(1e-4),
        remedy="log",
    ),
    "a target so large that its square overflows": Planted(
        lambda: linear(1), "mse_loss", "the loss", (6,), spoil_targets(1e30, (6,)), mse,
        batches=draw_numbers, remedy="scale",
    ),
    # Domains
    "fractional power of a negative number": Planted(
        regression_on(lambda x: x.pow(0.7)), "pow", "features", (1,), set_row(1, -1.0, 0), mse,
        batches=draw_positive, remedy="clamp",
    ),
    "arc cosine beyond one": Planted(
        regression_on(torch.acos), "acos", "features", (10,), set_row(10, 1.0001, 5), mse,
        batches=draw_within, remedy="clamp",
    ),
    "attention of which every place is masked": Planted(
        Attentive, "softmax", "attention", (5,), set_row(5, 0.0), batches=draw_sequences(6, 6),
        remedy="mask",
    ),
    # Data
    "NaN in a row of the inputs": Planted(
        linear, "", "the inputs", (3,), set_row(3, math.nan, 2), remedy="row",
    ),
    "Inf in a row of the inputs": Planted(
        lambda: nn.Linear(FEATURES, CLASSES), "", "the inputs", (3,), set_row(3, math.inf, 2),
        remedy="row",
    ),
    "NaN in the second argument": Planted(
        Weighted, "", "the inputs", (9,), spoil_importance, batches=draw_weighted, remedy="row",
    ),
    "NaN in the targets": Planted(
        lambda: linear(1), "", "the targets", (7,), spoil_targets(math.nan, (7,)), mse,
        batches=draw_numbers, remedy="row",
    ),
    "NaN in a row of a pretrained table": Planted(
        Words, "", "embedding.weight", (2, 11), use_word, batches=draw_words, remedy="row",
    ),
    # Growth
    "recurrence by hand over longer sequences": Planted(
        lambda: Recurrence(1.5), "linear", "recurrent", (), batches=draw_sequences(10, 300),
        optimizer=plain(1e-3), remedy="clip",
    ),
    "recurrent layer without a bound over longer sequences": Planted(
        Fused, "rnn_relu", "cells", (), batches=draw_sequences(10, 400), optimizer=plain(1e-3),
        remedy="clip",
    ),
    "learning rate that makes the weights overflow": Planted(
        lambda: nn.Sequential(nn.Linear(FEATURES, 16), nn.ReLU(), nn.Linear(16, 1)), "", "",
        (), None, mse, batches=draw_numbers, optimizer=plain(0.5), grows=True, steps=100,
        remedy="learning rate",
    ),
    "weights of a recurrence that grow": Planted(
        lambda: Recurrence(1.0), "", "", (), batches=draw_sequences(30, 30),
        optimizer=plain(1e-4), schedule=grow_without_end, grows=True, remedy="clip", steps=100,
    ),
    # The optimiser
    "Adam without an eps": Planted(
        TwoHeads, "", "extra.weight", (),
        optimizer=lambda m: torch.optim.Adam(m.parameters(), 1e-3, eps=0.0), remedy="eps",
    ),
    "schedule that goes past its end": Planted(
        linear, "", "the learning rate", (), schedule=gone_polynomial, remedy="schedule",
    ),
}  # fmt: skip
