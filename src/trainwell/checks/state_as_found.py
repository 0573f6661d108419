"""A model, its optimiser and all global random numbers, left exactly as they were found."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from trainwell.training.randomness import RunRandomness


@contextlib.contextmanager
def state_as_found(
    model: nn.Module, optimizer: Optimizer | None, seed: int, device: torch.device
) -> Iterator[None]:
    """Within, anything may be done; afterwards all is as it was, to the bit.

    Parameters and buffers keep their identity; gradients, modes, `requires_grad` and the
    optimiser's state come back too.

    Args:
        model: Looked at and perhaps run.
        optimizer: None: there is none.
        seed: Of the random numbers within.
        device: Where the model is.
    """
    tensors = [*model.named_parameters(), *model.named_buffers()]
    values = [(tensor, tensor.detach().clone()) for _, tensor in tensors]
    gradients = [(p, p.requires_grad, _clone(p.grad), p.grad) for p in model.parameters()]
    modes = [(module, module.training) for module in model.modules()]
    kept = copy.deepcopy(optimizer.state_dict()) if optimizer is not None else None
    try:
        with RunRandomness(seed, device):
            yield
    finally:
        with torch.no_grad():
            for tensor, value in values:
                if not torch.equal(tensor, value):
                    tensor.copy_(value)
        for parameter, required, gradient, held in gradients:
            parameter.requires_grad_(required)
            if held is not None and gradient is not None:
                held.detach().copy_(gradient)
            parameter.grad = held
        for module, mode in modes:
            module.training = mode
        if optimizer is not None and kept is not None:
            optimizer.load_state_dict(kept)


def _clone(gradient: Tensor | None) -> Tensor | None:
    return None if gradient is None else gradient.detach().clone()
