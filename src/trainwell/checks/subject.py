"""What is checked: a model, the examples it will see, its loss and its optimiser."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import torch
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from trainwell.data.dataset import Task
from trainwell.data.draw import Augmentation, Draw
from trainwell.data.seeding import derive_seed
from trainwell.nn.losses import Loss
from trainwell.nn.objective import make_objective

Seen = TypeVar("Seen")


def as_they_are(values: Tensor) -> Tensor:
    """The same values: of inputs or targets that are not changed on their way to the model."""
    return values


@dataclass(frozen=True)
class Part:
    """Examples of one split.

    Attributes:
        inputs: `(N, ...)` as held.
        targets: `(N, ...)` as held.
        ids: `(N,)` where each example stands in its source; None: its place here.
    """

    inputs: Tensor
    targets: Tensor
    ids: Tensor | None = None

    def __len__(self) -> int:
        return len(self.inputs)

    def take(self, rows: Tensor) -> Part:
        """Some of the examples."""
        ids = rows if self.ids is None else self.ids[rows]
        return Part(self.inputs[rows], self.targets[rows], ids)

    def sample(self, count: int, generator: Generator) -> Part:
        """So many examples drawn without repetition, in their order; all where there are fewer."""
        if len(self) <= count:
            return self
        rows = torch.randperm(len(self), generator=generator)[:count]
        return self.take(rows.sort().values)


@dataclass(frozen=True)
class Subject:
    """What is checked. Checks read it; what they train or change is a `replica`.

    Attributes:
        model: The user's, on its device.
        train, valid: Examples as held; `valid` is None where none is given.
        task: What is predicted.
        loss: Of outputs and targets; meant to be the mean over a batch.
        batch_size: Examples of a training batch.
        classes: Class names in the order of their numbers; empty when not a classification.
        columns: Names of the columns of a table; else empty.
        optimizer: The user's; None: not given.
        learning_rate: The highest of the training; None: not known.
        build_optimizer: Makes one like that of the training for a copy of the model; None: not
            known, or a copy of `optimizer` does.
        clip_norm: To which gradients are scaled down in training; None: not, or not known.
        prepare: Makes of inputs as held what the model sees.
        encode: Makes of targets as held what the loss sees.
        penalty: Of a model's parameters, added to the loss while training; None: there is none.
        augment: Of a training batch as the model sees it; None: there is none.
        shuffles: Whether the training draws its examples in random order.
        is_prepared: Whether trainwell preprocesses the inputs; a hand-written program hands them to
            the model as they are.
        title: For people, such as `"mlp on digits"`.
        seed: From which checks derive their random numbers.
        seconds: That all checks together may take.
    """

    model: nn.Module
    train: Part
    valid: Part | None
    task: Task
    loss: Loss
    batch_size: int
    classes: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    optimizer: Optimizer | None = None
    learning_rate: float | None = None
    build_optimizer: Callable[[nn.Module], Optimizer] | None = None
    clip_norm: float | None = None
    prepare: Callable[[Tensor], Tensor] = as_they_are
    encode: Callable[[Tensor], Tensor] = as_they_are
    penalty: Callable[[nn.Module], Tensor] | None = None
    augment: Augmentation | None = None
    shuffles: bool = True
    is_prepared: bool = False
    title: str = ""
    seed: int = 0
    seconds: float = math.inf
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    _seen: dict[Any, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def once(self, look: Callable[[Subject], Seen]) -> Seen:
        """What a function of this subject gives, computed once for all checks that ask for it."""
        if look not in self._seen:
            self._seen[look] = look(self)
        return self._seen[look]

    def already(self, look: Callable[[Subject], Seen]) -> Seen | None:
        """What `once` has computed; None where nobody has asked for it."""
        return self._seen.get(look)

    def generator(self, purpose: str) -> Generator:
        """Random numbers of one check, alike each time."""
        return Generator().manual_seed(derive_seed(self.seed, purpose))

    def replica(self) -> nn.Module:
        """A copy of the model in training mode, to be trained or changed."""
        return copy.deepcopy(self.model).train()

    def examples(self, part: Part) -> tuple[Tensor, Tensor]:
        """Inputs as the model sees them and targets as the loss sees them, not augmented."""
        inputs = self.prepare(part.inputs).to(self.device)
        if self.task == "reconstruction" and self.is_prepared:
            return inputs, inputs.flatten(1)
        return inputs, self.encode(part.targets).to(self.device)

    def batch(self, size: int, purpose: str) -> tuple[Tensor, Tensor]:
        """`examples` of some training examples, drawn at random, alike each time."""
        return self.examples(self.train.sample(size, self.generator(purpose)))

    def augmented(self, inputs: Tensor, purpose: str) -> Tensor:
        """Inputs as the model sees them in training."""
        if self.augment is None:
            return inputs
        generator = Generator(self.device).manual_seed(derive_seed(self.seed, purpose))
        return self.augment(inputs, Draw(generator, 0, torch.arange(len(inputs)), self.seed))

    def measure(self, model: nn.Module, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs and loss of a batch, without penalties.

        Args:
            model: The subject's, or a replica.
            inputs, targets: As `examples` gives them.
        """
        return make_objective(model, self.loss)(inputs, targets)

    def with_model(self, model: nn.Module) -> Subject:
        """The same with another model."""
        return replace(self, model=model)
