"""Small training programs, healthy and faulty, that the tests watch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

import trainwell as tw
from trainwell.watching.watcher import Watcher

Data = tuple[Tensor, Tensor]


def blobs(rows: int = 600, features: int = 20, classes: int = 5, seed: int = 0) -> Data:
    """Classes as Gaussians around centres of their own."""
    g = torch.Generator().manual_seed(seed)
    centres = torch.randn(classes, features, generator=g) * 1.2
    y = torch.randint(classes, (rows,), generator=g)
    return centres[y] + torch.randn(rows, features, generator=g), y


def rings(rows: int = 600, seed: int = 0) -> Data:
    """Two classes that no line separates."""
    g = torch.Generator().manual_seed(seed)
    y = torch.randint(2, (rows,), generator=g)
    angle = torch.rand(rows, generator=g) * 2 * math.pi
    radius = 0.6 + 1.2 * y + 0.15 * torch.randn(rows, generator=g)
    x = torch.stack([radius * angle.cos(), radius * angle.sin()], 1)
    return (x - x.mean(0)) / x.std(0), y


def waves(rows: int = 600, seed: int = 0, noise: float = 0.1) -> Data:
    """A regression with one output column."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, 4, generator=g)
    y = torch.sin(2 * x[:, :1]) + 0.5 * x[:, 1:2] * x[:, 2:3]
    y = y + noise * torch.randn(rows, 1, generator=g)
    return x, (y - y.mean()) / y.std()


def stripes(rows: int = 400, seed: int = 0) -> Data:
    """Pictures (1, 12, 12) of four kinds of stripes, noisy."""
    g = torch.Generator().manual_seed(seed)
    y = torch.randint(4, (rows,), generator=g)
    line = torch.arange(12) % 4 < 2
    kinds = torch.stack(
        [
            line.repeat(12, 1).float(),
            line.repeat(12, 1).T.float(),
            torch.zeros(12, 12),
            (line.repeat(12, 1) ^ line.repeat(12, 1).T).float(),
        ]
    )
    x = kinds[y].unsqueeze(1) + 0.5 * torch.randn(rows, 1, 12, 12, generator=g)
    return (x - x.mean()) / x.std(), y


def echoes(rows: int = 400, steps: int = 12, seed: int = 0) -> Data:
    """Sequences (T, 3) whose class is the sign of the sum of one feature."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, steps, 3, generator=g)
    return x, (x[:, :, 0].sum(1) > 0).long()


def mlp(
    inputs: int,
    outputs: int,
    hidden: int = 32,
    depth: int = 2,
    activation: Callable[[], nn.Module] = nn.ReLU,
    last: nn.Module | None = None,
    between: Callable[[], nn.Module] | None = None,
) -> nn.Sequential:
    """Linear layers with an activation between them."""
    layers: list[nn.Module] = []
    width = inputs
    for _ in range(depth):
        layers += [nn.Linear(width, hidden), activation()]
        if between is not None:
            layers.append(between())
        width = hidden
    layers.append(nn.Linear(width, outputs))
    if last is not None:
        layers.append(last)
    return nn.Sequential(*layers)


class Recurrent(nn.Module):
    """A recurrent layer and a linear one on its last state."""

    def __init__(self, kind: type[nn.RNNBase] = nn.LSTM, hidden: int = 24) -> None:
        super().__init__()
        self.cells = kind(3, hidden, batch_first=True)
        self.head = nn.Linear(hidden, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.cells(x)[0][:, -1])


def convnet(channels: int = 8, norm: bool = False, momentum: float = 0.1) -> nn.Sequential:
    norms = [nn.BatchNorm2d(channels, momentum=momentum)] if norm else []
    return nn.Sequential(
        nn.Conv2d(1, channels, 3, padding=1), *norms, nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2),
        nn.Flatten(), nn.Linear(4 * channels, 4),
    )  # fmt: skip


@dataclass
class Program:
    """One training, as a user writes it.

    Attributes:
        make: Builds the model.
        data: Training examples.
        loss: Called with outputs and targets.
        optimizer: Builds the optimiser from the model.
        valid: Validation examples.
        epochs: Over the data.
        batch: Examples a step.
        tell: How much the watcher is told: `"loss"`, `"number"` or `"all"`.
        shuffle: Whether the order is drawn anew in each epoch.
        zero: Whether gradients are set to zero.
        accumulate: Backward passes an update.
        schedule: Builds a scheduler, stepped at each step.
        prepare: Called with each batch of inputs.
        train_mode, eval_mode: Whether `model.train()` and `model.eval()` are called.
        give: Whether the data is given to the watcher.
        clip: Norm that gradients are clipped to.
        options: Further arguments of `watch`.
    """

    make: Callable[[], nn.Module]
    data: Data
    loss: Callable[[Tensor, Tensor], Tensor] = functional.cross_entropy
    optimizer: Callable[[nn.Module], torch.optim.Optimizer] = field(
        default=lambda m: torch.optim.SGD(m.parameters(), lr=0.1)
    )
    valid: Data | None = None
    epochs: int = 12
    batch: int = 32
    tell: str = "loss"
    shuffle: bool = True
    zero: bool = True
    accumulate: int = 1
    schedule: Callable[[torch.optim.Optimizer], Any] | None = None
    prepare: Callable[[Tensor], Tensor] = lambda x: x
    train_mode: bool = True
    eval_mode: bool = True
    give: bool = False
    clip: float | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def run(self, seed: int = 0, watched: bool = True) -> tuple[nn.Module, Watcher | None]:
        """Trains; gives the model and the watcher, detached."""
        torch.manual_seed(seed)
        model = self.make()
        optimizer = self.optimizer(model)
        scheduler = self.schedule(optimizer) if self.schedule else None
        given = {"train": self.data, "valid": self.valid} if self.give else {}
        watcher = None
        if watched:
            told = {**given, **self.options}
            watcher = tw.watch(model, optimizer, on_finding=lambda finding: None, **told)
        x, y = self.data
        step = 0
        for _ in range(self.epochs):
            if self.train_mode:
                model.train()
            order = torch.randperm(len(x)) if self.shuffle else torch.arange(len(x))
            total = right = 0.0
            for rows in order.split(self.batch):
                xb, yb = self.prepare(x[rows]), y[rows]
                if self.zero and step % self.accumulate == 0:
                    optimizer.zero_grad()
                out = model(xb)
                loss = self.loss(out, yb)
                (loss / self.accumulate).backward()
                if self.clip is not None:
                    nn.utils.clip_grad_norm_(model.parameters(), self.clip)
                step += 1
                if step % self.accumulate == 0:
                    optimizer.step()
                    if scheduler is not None:
                        scheduler.step()
                total += loss.item() * len(rows)
                if out.ndim == 2 and out.shape[1] > 1 and yb.ndim == 1:
                    right += float((out.argmax(1) == yb).sum())
                if watcher is not None:
                    if self.tell == "all":
                        watcher.step(loss, inputs=xb, outputs=out, targets=yb)
                    else:
                        watcher.step(loss.item() if self.tell == "number" else loss)
            if self.valid is not None:
                self._validate(model, watcher, total / len(x), right / len(x))
        if watcher is not None:
            watcher.findings()
            watcher.detach()
        return model, watcher

    def _validate(
        self, model: nn.Module, watcher: Watcher | None, loss: float, accuracy: float
    ) -> None:
        assert self.valid is not None
        if self.eval_mode:
            model.eval()
        with torch.no_grad():
            out = model(self.valid[0])
            valid_loss = self.loss(out, self.valid[1]).item()
        if watcher is None:
            return
        if out.ndim == 2 and out.shape[1] > 1 and self.valid[1].ndim == 1:
            metric = float((out.argmax(1) == self.valid[1]).float().mean())
            watcher.epoch(loss, accuracy, valid_loss, metric)
        else:
            watcher.epoch(train_loss=loss, valid_loss=valid_loss)


def sgd(rate: float, **options: Any) -> Callable[[nn.Module], torch.optim.Optimizer]:
    return lambda model: torch.optim.SGD(model.parameters(), lr=rate, **options)


def adam(rate: float, **options: Any) -> Callable[[nn.Module], torch.optim.Optimizer]:
    return lambda model: torch.optim.Adam(model.parameters(), lr=rate, **options)
