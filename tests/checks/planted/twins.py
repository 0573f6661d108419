"""Whether the healthy twins are healthy: a plain training loop makes their loss fall."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from tests.checks.planted.fault import Arguments, PlantedFault
from trainwell.data.draw import Draw
from trainwell.data.seeding import derive_seed
from trainwell.nn.losses import choose_loss

STEPS = 200


@dataclass(frozen=True)
class Training:
    """Mean training loss in the first and the last tenth of a few steps.

    Attributes:
        before, after: The losses; NaN where the program fails.
        failure: What it fails with, in one line; empty where it does not.
    """

    before: float
    after: float
    failure: str = ""

    @property
    def learned(self) -> bool:
        """Whether the loss fell by a tenth."""
        return self.after < 0.9 * self.before


def train_twin(fault: PlantedFault, faulty: bool = False, steps: int = STEPS) -> Training:
    """What a plain loop makes of a program, as its user would train it."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_seed(1, fault.name))
        try:
            losses = _train(fault.build(faulty), steps)
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            return Training(math.nan, math.nan, str(error).splitlines()[0])
    tenth = max(1, steps // 10)
    return Training(sum(losses[:tenth]) / tenth, sum(losses[-tenth:]) / tenth)


def _train(arguments: Arguments, steps: int) -> list[float]:
    model = arguments.model.train()
    inputs, targets, size = _examples(arguments)
    loss_fn = arguments.loss_fn or choose_loss(arguments.task or "multiclass", 2)
    optimizer = arguments.optimizer or torch.optim.Adam(model.parameters(), 1e-3)
    generator = torch.Generator().manual_seed(0)
    losses: list[float] = []
    rows = torch.empty(0, dtype=torch.long)
    for _ in range(steps):
        if len(rows) < size:
            rows = _order(len(inputs), arguments.shuffle is not False, generator)
        chosen, rows = rows[:size], rows[size:]
        batch = inputs[chosen]
        if arguments.augment is not None:
            batch = arguments.augment(batch, Draw(generator, 0, chosen))
        optimizer.zero_grad()
        loss = loss_fn(model(batch), targets[chosen])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def _order(count: int, shuffle: bool, generator: torch.Generator) -> Tensor:
    return torch.randperm(count, generator=generator) if shuffle else torch.arange(count)


def _examples(arguments: Arguments) -> tuple[Tensor, Tensor, int]:
    if isinstance(arguments.data, DataLoader):
        inputs, targets = arguments.data.dataset.tensors
        return inputs, targets, arguments.data.batch_size
    inputs, targets = (torch.as_tensor(values) for values in arguments.data)
    return inputs, targets, arguments.batch_size or 32
