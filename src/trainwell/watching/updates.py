"""Readings of gradients and updates, taken around one call of the optimiser."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.watching.guard import Guard
from trainwell.watching.ledger import Ledger

MAX_PARAMETERS = 48
SLICE = 1 << 13
"""Numbers of one parameter that updates are measured on."""


@dataclass(frozen=True)
class Tracked:
    """A parameter that is read."""

    name: str
    parameter: nn.Parameter


@dataclass
class _Witness:
    """A parameter whose gradient is looked at before each backward pass adds to it.

    Attributes:
        parameter: That has a hook.
        passes: Backward passes seen.
        kept: The largest number of the gradient that was there, where there was one.
    """

    parameter: nn.Parameter
    passes: int = 0
    kept: list[Tensor] = field(default_factory=list[Tensor])

    def look(self, gradient: Tensor) -> None:
        """A hook."""
        known = self.parameter.grad
        if known is not None and known.is_sparse:
            return
        self.passes += 1
        if known is not None:
            self.kept.append(known.detach().reshape(-1)[:SLICE].abs().max())


class UpdateProbe:
    """Reads gradients, weights and updates of a model while it is armed.

    Args:
        model: Is looked at, never changed.
        optimizer: May be none of torch's; then only gradients are read.
        ledger: Takes the numbers.
        guard: Calls what may fail within a step of the training.
    """

    def __init__(self, model: nn.Module, optimizer: Any, ledger: Ledger, guard: Guard) -> None:
        self._guard = guard
        self.tracked = choose_parameters(model)
        self._owned = {
            id(p) for group in getattr(optimizer, "param_groups", []) for p in group["params"]
        }
        self._ledger = ledger
        self._optimizer = optimizer
        self._handles: list[Any] = []
        self._before: Tensor | None = None
        self._sizes: list[int] = [min(t.parameter.numel(), SLICE) for t in self.tracked]
        self._gradient: Tensor | None = None
        self._previous: Tensor | None = None
        self._previous_step = -2
        self._has_closure = False
        self.step = 0
        self.spent = 0.0
        self.updates = 0
        self.without_gradient: dict[int, tuple[int, ...]] = {}
        self._witnesses: list[_Witness] = []
        self._versions: list[int] = []

    @property
    def can_wait(self) -> bool:
        """Whether the optimiser tells of its updates."""
        return hasattr(self._optimizer, "register_step_post_hook")

    def arm(self, step: int, fresh: bool) -> None:
        """Takes hold of the optimiser for one step.

        Args:
            step: Its number.
            fresh: Whether no forward pass was made since the last update.
        """
        self._fresh = fresh
        self.step, self.updates = step, 0
        self._before = None
        self._versions = self._count_writes()
        if self.can_wait:
            self._handles.append(
                self._optimizer.register_step_pre_hook(self._hear(self._before_step))
            )
            self._handles.append(
                self._optimizer.register_step_post_hook(self._hear(self._after_step))
            )
        self._witnesses = [_Witness(parameter) for parameter in self._choose_witnesses()]
        for witness in self._witnesses:
            self._handles.append(witness.parameter.register_hook(self._hear(witness.look)))

    def disarm(self) -> None:
        """Lets go of the optimiser."""
        while self._handles:
            self._handles.pop().remove()
        self._before = None

    def forget(self) -> None:
        """Drops what torch leaves behind on a parameter that had a hook."""
        for tracked in self.tracked:
            hooks = getattr(tracked.parameter, "_backward_hooks", None)
            if hooks is not None and not hooks:
                tracked.parameter._backward_hooks = None  # pyright: ignore

    def kept_gradient(self) -> Tensor | bool | None:
        """Whether the gradient of the last update was there at each backward pass since.

        That of any of the parameters that were looked at: some may have been cleared, others not.
        """
        seen = [witness for witness in self._witnesses if witness.passes]
        if not self._fresh or not seen:
            return None
        kept = [torch.stack(w.kept).min() for w in seen if len(w.kept) == w.passes]
        return torch.stack(kept).max() if kept else False

    def count_kept(self) -> int:
        """Backward passes since it was armed that found a gradient and added to it.

        None where something else moves the parameters, such as another optimiser.
        """
        kept = [torch.stack(w.kept) for w in self._witnesses if w.kept]
        if not kept or self._versions != self._count_writes():
            return 0
        return max(int((sizes > 0).sum()) for sizes in kept)

    def _count_writes(self) -> list[int]:
        """How often the values of each parameter were written to."""
        return [tracked.parameter._version for tracked in self.tracked]

    def _hear(self, function: Callable[..., None]) -> Callable[..., None]:
        """A hook that never fails."""

        def hook(*args: Any) -> None:
            self._guard("updates", function, *args)

        return hook

    def _choose_witnesses(self) -> list[nn.Parameter]:
        """The first one, the last weight, and the smallest one."""
        owned = [
            t.parameter
            for t in self.tracked
            if t.parameter.requires_grad and id(t.parameter) in self._owned
        ]
        owned = [p for p in owned if p.grad is not None] or owned
        if not owned:
            return []
        weights = [p for p in owned if p.ndim > 1] or owned
        chosen = (owned[0], weights[-1], min(owned, key=lambda p: p.numel()))
        return list({id(p): p for p in chosen}.values())

    @torch.no_grad()
    def _before_step(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        if not self.tracked:
            return
        start = time.thread_time()
        self._has_closure = len(args) > 1 or kwargs.get("closure") is not None
        self._before = _gather([t.parameter for t in self.tracked])
        if not self._has_closure:
            self._read_gradients()
        self.spent += time.thread_time() - start

    @torch.no_grad()
    def _after_step(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        self.updates += 1
        if not self.tracked:
            return
        start = time.thread_time()
        if self._has_closure:
            self._read_gradients()
        self._read_updates()
        self.spent += time.thread_time() - start

    def _read_gradients(self) -> None:
        found = [t.parameter.grad for t in self.tracked]
        # A sparse gradient is there, but its numbers are not laid out as the parameter's are.
        dense = [g is not None and not g.is_sparse for g in found]
        self.without_gradient[self.step] = tuple(k for k, g in enumerate(found) if g is None)
        parameters: list[Tensor] = [t.parameter for t in self.tracked]
        self._ledger.put(self.step, "weights", torch._foreach_norm(parameters))
        gradients = [g for g, there in zip(found, dense, strict=True) if g is not None and there]
        norms = iter(torch._foreach_norm(gradients) if gradients else ())
        unknown = torch.full((), float("nan"), device=parameters[0].device)
        self._ledger.put(
            self.step, "gradients", [next(norms) if there else unknown for there in dense]
        )
        self._gradient = _gather(gradients) if all(dense) else None
        if self._gradient is not None:
            self._ledger.put(self.step, "signs", _count_signs(self._gradient, self._sizes))
            new, old = self._gradient, self._previous
            if old is not None and self._previous_step == self.step - 1:
                self._ledger.put(self.step, "turn", _angle(new, old))
        self._previous, self._previous_step = self._gradient, self.step

    def _read_updates(self) -> None:
        if self._before is None:
            return
        update = _gather([t.parameter for t in self.tracked]) - self._before
        self._ledger.put(self.step, "changes", torch._foreach_norm(update.split(self._sizes)))
        self._ledger.put(self.step, "slices", torch._foreach_norm(self._before.split(self._sizes)))
        if self._gradient is not None:
            self._ledger.put(self.step, "cosine", _angle(update, self._gradient))


def choose_parameters(model: nn.Module) -> list[Tracked]:
    """Parameters to read: all of a small model, else weights spread evenly over it.

    Only those on one device, so that one operation reads all of them.
    """
    named = [
        Tracked(name, p)
        for name, p in model.named_parameters()
        if not isinstance(p, nn.parameter.UninitializedParameter)
        and p.numel()
        and p.is_floating_point()
    ]
    named = [t for t in named if t.parameter.device == named[0].parameter.device]
    if len(named) <= MAX_PARAMETERS:
        return named
    weights = [t for t in named if t.parameter.ndim > 1] or named
    last = len(weights) - 1
    chosen = {round(k * last / (MAX_PARAMETERS - 1)) for k in range(MAX_PARAMETERS)}
    return [weights[k] for k in sorted(chosen)]


def _gather(tensors: Sequence[Tensor]) -> Tensor:
    """The first numbers of each tensor, one after the other."""
    return torch.cat([t.reshape(-1)[:SLICE] if t.numel() > SLICE else t.reshape(-1)
                      for t in tensors])  # fmt: skip


def _count_signs(values: Tensor, sizes: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Of each part of a vector, how many numbers are above and below 0."""
    ends = torch.tensor(sizes, device=values.device).cumsum(0) - 1
    return (values > 0).cumsum(0)[ends].float(), (values < 0).cumsum(0)[ends].float()


def _angle(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What the cosine between two vectors is made of: product and both norms."""
    return torch.dot(a, b), a.norm(), b.norm()
