"""Who looks at every update of a training without changing it."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor

from trainwell.findings import Finding


class StepWatch(Protocol):
    """Sees updates and epochs; says what is wrong. It cannot change a result."""

    def step(
        self,
        loss: Tensor,
        inputs: Tensor | None = None,
        outputs: Tensor | None = None,
        targets: Tensor | None = None,
    ) -> None:
        """An update was made; all tensors are on the device.

        Args:
            loss: Of the newest batch, a scalar.
            inputs: `(N, ...)` of it.
            outputs: `(N, ...)` that the model gave.
            targets: `(N, ...)`.
        """
        ...

    def epoch(
        self,
        train_loss: Any = None,
        train_metric: Any = None,
        valid_loss: Any = None,
        valid_metric: Any = None,
    ) -> None:
        """An epoch was validated; a metric is an accuracy."""
        ...

    def findings(self) -> list[Finding]:
        """What is wrong so far, most likely root cause first."""
        ...

    def detach(self) -> None:
        """Nothing is to be seen any more."""
        ...
