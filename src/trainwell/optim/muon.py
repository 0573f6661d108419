"""Muon for matrices and AdamW for the rest, behind one optimiser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.optim import Muon as TorchMuon

SCHEDULED = ("lr", "weight_decay", "momentum")
"""Settings that may change from step to step."""


class Muon(Optimizer):
    """Momentum whose matrices are made orthogonal before they are applied (Jordan et al. 2024).

    B ← mu · B + (1−mu) · G;  O = orthogonal((1−mu) · G + mu · B);
    W ← W − rate · (decay · W + 0.2 · √max(rows, columns) · O), for weights W of two or more
    dimensions. The factor gives updates the size of AdamW's (Liu et al. 2025), so one learning
    rate and decay suit both: biases and scales, which are no matrices, are given to AdamW. A
    convolution's weights are the matrix (outputs, inputs · height · width) that multiplies
    patches, as in Jordan's own CIFAR-10 training.

    Torch's Muon and AdamW do the work; their states are this optimiser's.

    Args:
        params: Parameters or groups.
        lr: Learning rate.
        momentum: mu.
        weight_decay: Decoupled.
        betas: Of AdamW.
        eps: Of AdamW.

    Raises:
        ValueError: A setting outside its range.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        momentum: float = 0.95,
        weight_decay: float = 1e-2,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum must be at least 0 and below 1, not {momentum}")
        settings = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        super().__init__(params, {**settings, "betas": betas, "eps": eps})
        self.inner = [_InnerGroup(group) for group in self.param_groups]
        self._share_states()

    def load_state_dict(self, state_dict: Any) -> None:
        """Goes on from what `state_dict` gave."""
        super().load_state_dict(state_dict)
        self._share_states()

    def _share_states(self) -> None:
        for group, inner in zip(self.param_groups, self.inner, strict=True):
            for parameter in group["params"]:
                inner.share_state(parameter, self.state[parameter])

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Makes one update.

        Args:
            closure: Computes loss and gradients first, where given.

        Returns:
            What the closure returned.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group, inner in zip(self.param_groups, self.inner, strict=True):
            inner.step(group)
        return loss


class _InnerGroup:
    """The optimisers of one group: Muon over matrices that share its weights' memory, and AdamW."""

    def __init__(self, group: dict[str, Any]) -> None:
        parameters: list[Tensor] = group["params"]
        self.matrices = {p: nn.Parameter(_as_matrix(p.detach())) for p in parameters if p.ndim >= 2}
        others = [p for p in parameters if p.ndim < 2]
        shared = {name: group[name] for name in ("lr", "weight_decay")}
        self.optimizers: list[Optimizer] = []
        if self.matrices:
            matrices, momentum = list(self.matrices.values()), group["momentum"]
            scale = "match_rms_adamw"
            self.optimizers.append(
                TorchMuon(matrices, momentum=momentum, adjust_lr_fn=scale, **shared)
            )
        if others:
            adam = {"betas": group["betas"], "eps": group["eps"], "foreach": True}
            self.optimizers.append(AdamW(others, **shared, **adam))

    def share_state(self, parameter: Tensor, state: dict[str, Any]) -> None:
        """Makes a parameter's state, filled or empty, that of the inner optimiser too."""
        inner = self.optimizers[0 if parameter in self.matrices else -1]
        inner.state[self.matrices.get(parameter, parameter)] = state

    def step(self, group: dict[str, Any]) -> None:
        for parameter, matrix in self.matrices.items():
            # Again in every step: somebody may have given the parameter other memory.
            matrix.data = _as_matrix(parameter.detach())
            matrix.grad = None if parameter.grad is None else _as_matrix(parameter.grad)
        for optimizer in self.optimizers:
            inner = optimizer.param_groups[0]
            inner.update({name: group[name] for name in SCHEDULED if name in inner})
            optimizer.step()


def _as_matrix(weights: Tensor) -> Tensor:
    """`(outputs, ...)` as `(outputs, everything else)`, a view of the same memory.

    The columns' order may be that of memory (channels last): making a matrix orthogonal commutes
    with a permutation of its columns.
    """
    if weights.ndim == 4 and weights.is_contiguous(memory_format=torch.channels_last):
        weights = weights.permute(0, 2, 3, 1)
    return weights.flatten(1)
