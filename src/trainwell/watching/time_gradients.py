"""How far back in time the gradient of a recurrent model reaches."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.tracing.tensors import first_tensor


def compare_times(model: nn.Module, x: Tensor) -> float:
    """Gradient of the outputs by what a recurrent layer gets first over that by what it gets last.

    Not-a-number for sequences of fewer than eight steps, and without a layer that takes sequences.
    """
    layer = next((m for m in model.modules() if isinstance(m, nn.RNNBase)), None)
    if layer is None:
        return math.nan
    seen: list[Tensor] = []

    def listen(module: nn.Module, args: tuple[Any, ...]) -> Any:
        if seen or not isinstance(args[0], Tensor) or args[0].ndim != 3:
            return None
        seen.append(args[0].detach().requires_grad_())
        return (seen[0], *args[1:])

    handle = layer.register_forward_pre_hook(listen)
    try:
        with torch.backends.cudnn.flags(enabled=False):
            outputs = first_tensor(model(x[:32]))
            assert outputs is not None
            (gradient,) = torch.autograd.grad(outputs.square().sum(), [seen[0]])
    except Exception:
        return math.nan
    finally:
        handle.remove()
    time = 1 if layer.batch_first else 0
    if gradient.shape[time] < 8 or outputs.ndim > 2:  # each step has outputs of its own
        return math.nan
    sizes = gradient.square().mean((1 - time, 2)).sqrt()
    tenth = max(1, len(sizes) // 10)
    return float(sizes[:tenth].mean() / (sizes[-tenth:].mean() + 1e-30))
