"""What is known of an optimiser by name, and what its options make of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from torch.optim import Optimizer


@dataclass(frozen=True)
class Construction:
    """An optimiser with its options, which lacks only the parameters and the recipe's fields.

    Attributes:
        build: Torch's class, or ours.
        settings: Its arguments.
        kernel: `"fused"` where torch updates all parameters in one kernel, which also can skip an
            update on the device when a gradient is not finite; else `"foreach"` where it updates
            them in one call for each operation; None: neither.
    """

    build: Callable[..., Optimizer]
    settings: Mapping[str, Any] = field(default_factory=dict)
    kernel: Literal["fused", "foreach"] | None = None


@dataclass(frozen=True)
class OptimizerKind:
    """An optimiser by name, and what suits it where the recipe leaves a field open.

    Attributes:
        configure: Options in, construction out.
        summary: What it does, in a few words.
        source: Author and year.
        learning_rate: Its usual rate.
        weight_decay: Its usual weight decay; None where it knows none.
        momentum: Its usual momentum; None where it has no such setting.
        follows_rate: Whether each step is as long as the rate of its time says. Otherwise the rate
            is only what it begins with, and a schedule means nothing.
        searches: Whether it evaluates the loss again within a step, so that clipped gradients and
            low precision do not suit it.
        whole_split: Whether it suits only a loss that is the same in every step, so that a batch
            is the whole training split unless the recipe says otherwise.
    """

    configure: Callable[..., Construction]
    summary: str
    source: str
    learning_rate: float
    weight_decay: float | None = 0.0
    momentum: float | None = None
    follows_rate: bool = True
    searches: bool = False
    whole_split: bool = False
