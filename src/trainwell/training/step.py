"""One update of the weights, built once for a run, in a plain and an instrumented variant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

from trainwell.data.batches import Batch
from trainwell.nn.losses import Loss
from trainwell.nn.objective import Objective
from trainwell.optim.averaging import WeightAverage
from trainwell.optim.penalties import Penalty, limit_norms, multiplying
from trainwell.optim.schedules import Schedule, rate_at
from trainwell.training.guard import UpdateGuard, total_norm
from trainwell.training.metrics import Totals
from trainwell.training.precision import Resolved

PATIENCE_OF_SCALER = 25
"""Updates in a row that float16 may skip while it looks for its scale, before that is an error."""


@dataclass(frozen=True)
class LayerReading:
    """Norms of every parameter around one update, on the device.

    Attributes:
        update: Norm of the change, `(P,)`.
        weight: Norm before the change, `(P,)`.
        gradient: Norm of the gradient before clipping, `(P,)`.
    """

    update: Tensor
    weight: Tensor
    gradient: Tensor


class Forward(NamedTuple):
    """The newest forward pass: of a batch that is accumulated, its last part.

    Attributes:
        inputs: `(N, ...)`.
        outputs: `(N, ...)`, without their graph.
        targets: `(N, ...)`.
    """

    inputs: Tensor
    outputs: Tensor
    targets: Tensor


@dataclass(frozen=True)
class RatePlan:
    """The learning rate of every update.

    Attributes:
        highest: The recipe's rate.
        schedule: Shares of it, by progress.
        warmup: Share of the training in which it rises.
        total_steps: Updates of the whole training.
        layer_decay: The share that a layer gets of the rate of the one behind it.
        unfreeze_steps: Updates after which one more layer is trained; None: all are.
        hold_steps: Updates for which a rate holds: those of an epoch, where the rate changes by
            the epoch.
    """

    highest: float
    schedule: Schedule
    warmup: float
    total_steps: int
    layer_decay: float = 1.0
    unfreeze_steps: int | None = None
    hold_steps: int = 1

    def share(self, step: int, depth: int) -> float:
        """What a layer gets of the rate: none before it is unfrozen.

        Args:
            step: Number of the update, from 0.
            depth: Layers behind it.
        """
        if self.unfreeze_steps is not None and depth > step // self.unfreeze_steps:
            return 0.0
        return self.layer_decay**depth

    def at(self, step: int) -> float:
        """The rate of update number `step`, from 0."""
        held = step - step % self.hold_steps
        return self.highest * rate_at(held, self.total_steps, self.schedule, self.warmup)


class TrainingStep:
    """Forward, loss, backward, clip, update, average. Nothing in it waits for the device.

    Args:
        model: Trained in place.
        objective: Outputs and mean loss of a batch.
        loss: Of outputs and the partners' targets, where examples are mixed.
        optimizer: Over the model's parameters.
        rates: The learning rate of every update.
        totals: Where loss and score are added up.
        micro_batch: Examples of one forward pass; a larger batch is accumulated.
        resolved: Precision of forward passes.
        clip_norm: Gradients are scaled down to this norm; None: not.
        average: Told of each update; None: none.
        penalty: Whose gradients are added to those of the loss; None: none.
        max_norm: To which the incoming weights of each unit are limited; None: not.
    """

    def __init__(
        self,
        model: nn.Module,
        objective: Objective,
        loss: Loss,
        optimizer: Optimizer,
        rates: RatePlan,
        totals: Totals,
        *,
        micro_batch: int,
        resolved: Resolved,
        clip_norm: float | None,
        average: WeightAverage | None = None,
        penalty: Penalty | None = None,
        max_norm: float | None = None,
    ) -> None:
        self.model, self.objective, self.loss = model, objective, loss
        self.optimizer, self.rates, self.totals = optimizer, rates, totals
        self.micro_batch, self.clip_norm, self.average = micro_batch, clip_norm, average
        self.resolved, self.penalty, self.max_norm = resolved, penalty, max_norm
        self.names = [name for name, p in model.named_parameters() if p.requires_grad]
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.device = self.parameters[0].device
        self.gradient_norm = torch.zeros((), device=self.device)
        self.newest: Forward | None = None
        self.guard = UpdateGuard(optimizer, self.device)
        self.scaler = LossScaler(self.device) if resolved.precision == "float16" else None

    def plain(self, batch: Batch, step: int) -> None:
        """Makes update number `step` (from 0) from a batch."""
        self._set_rate(step)
        self._compute_gradients(batch)
        self.gradient_norm = total_norm(self.parameters)
        self._update(batch)

    def instrumented(self, batch: Batch, step: int) -> LayerReading:
        """Makes the same update as `plain`, and reads every parameter before and after it."""
        self._set_rate(step)
        self._compute_gradients(batch)
        gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in self.parameters]
        gradient = torch.stack(torch._foreach_norm(gradients))
        self.gradient_norm = total_norm(self.parameters)
        before = [p.detach().clone() for p in self.parameters]
        weight = torch.stack(torch._foreach_norm(before))
        self._update(batch)
        after = [p.detach() for p in self.parameters]
        update = torch.stack(torch._foreach_norm(torch._foreach_sub(after, before)))
        return LayerReading(update, weight, gradient)

    def _set_rate(self, step: int) -> None:
        rate = self.rates.at(step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * self.rates.share(step, group["depth"])

    def _compute_gradients(self, batch: Batch) -> None:
        for part, share in self._split(batch):
            outputs, loss = self._measure(part)
            self.newest = Forward(part.inputs, outputs.detach(), part.targets)
            self.totals.add(loss.detach(), self.newest.outputs, part.targets)
            weighted = loss if share == 1.0 else loss * share
            if self.scaler is not None:
                weighted = self.scaler.scale(weighted)
            weighted.backward()
        if self.penalty is not None and self.scaler is None:
            self.penalty.add_gradients()

    def _split(self, batch: Batch) -> list[tuple[Batch, float]]:
        """The parts of a batch that go through the model one by one, and their shares of it."""
        if len(batch) <= self.micro_batch:
            return [(batch, 1.0)]
        parts = batch.split(split_sizes(len(batch), self.micro_batch))
        return [(part, len(part) / len(batch)) for part in parts]

    def _measure(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Outputs and mean loss of a batch."""
        with self.resolved.context(self.device):
            outputs, loss = self.objective(batch.inputs, batch.targets)
            if batch.partner_targets is not None:
                partners_loss = self.loss(outputs, batch.partner_targets)
                loss = batch.share * loss + (1 - batch.share) * partners_loss
        return outputs, loss

    def _update(self, batch: Batch) -> None:
        if self.scaler is None:
            self._update_guarded(batch)
        else:
            self._update_scaled(self.scaler)
        self.optimizer.zero_grad(set_to_none=True)
        if self.max_norm is not None:
            # By parameter: torch has no kernel for the rows of many. Only who asks for it pays.
            limit_norms(multiplying(self.parameters), self.max_norm)
        if self.average is not None:
            self.average.after_step()

    def _update_guarded(self, batch: Batch) -> None:
        self.guard.inspect(self.totals.newest_loss, self.gradient_norm)
        self._clip()
        if self.guard.may_update():
            self._move(batch)

    def _move(self, batch: Batch) -> None:
        """Changes the weights; the batch is for optimisers that look at it again."""
        self.optimizer.step()

    def _update_scaled(self, scaler: LossScaler) -> None:
        scaler.unscale(self.optimizer)
        if self.penalty is not None:
            self.penalty.add_gradients()
        self.gradient_norm = total_norm(self.parameters)
        # A gradient that overflows float16 is the scaler's business; a loss that does is not.
        self.guard.inspect(self.totals.newest_loss, torch.zeros_like(self.gradient_norm))
        self._clip()
        scaler.update(self.optimizer, self.gradient_norm)

    def _clip(self) -> None:
        if self.clip_norm is not None:
            torch.nn.utils.clip_grads_with_norm_(
                self.parameters, self.clip_norm, self.gradient_norm
            )


def split_sizes(count: int, size: int) -> list[int]:
    """Sizes of the micro-batches of a batch: all of one size, but the last.

    A last one of a single example joins the one before it: batch normalisation cannot be trained
    on a single example.

    Args:
        count: Examples in the batch.
        size: Of a micro-batch.
    """
    sizes = [min(size, count - start) for start in range(0, count, size)]
    if len(sizes) > 1 and sizes[-1] == 1 < size:
        sizes[-2:] = [sizes[-2] + 1]
    return sizes


class LossScaler:
    """torch's scaler for float16 that also counts, on the device, the updates it skips.

    Args:
        device: Where the counts are kept.
    """

    def __init__(self, device: torch.device) -> None:
        self.torch_scaler = GradScaler(device.type)
        self.skipped = torch.zeros((), dtype=torch.int64, device=device)
        self.skipped_in_a_row = torch.zeros((), dtype=torch.int64, device=device)

    def scale(self, loss: Tensor) -> Tensor:
        """The loss times the present scale."""
        return self.torch_scaler.scale(loss)

    def unscale(self, optimizer: Optimizer) -> None:
        """Divides the gradients by the scale."""
        self.torch_scaler.unscale_(optimizer)

    def update(self, optimizer: Optimizer, gradient_norm: Tensor) -> None:
        """Updates the weights unless a gradient overflowed, and adapts the scale."""
        overflowed = torch.isfinite(gradient_norm).logical_not_().to(torch.int64)
        self.skipped.add_(overflowed)
        self.skipped_in_a_row.add_(1).mul_(overflowed)
        self.torch_scaler.step(optimizer)
        self.torch_scaler.update()
