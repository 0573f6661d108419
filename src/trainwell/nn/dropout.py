"""Dropping units, weights and layers at random while training.

Inverted dropout, which scales at training time and leaves test time alone, is `torch.nn.Dropout`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainwell.errors import ModelError


def _require_share(name: str, value: float) -> None:
    if not 0 <= value < 1:
        raise ModelError(f"{name} must be at least 0 and below 1, not {value:g}")


class VanillaDropout(nn.Module):
    """Drops units while training, and scales all of them when testing (Srivastava et al. 2014).

    Args:
        probability: With which each unit is dropped, in [0, 1).
    """

    def __init__(self, probability: float = 0.5) -> None:
        super().__init__()
        _require_share("probability", probability)
        self.probability = probability

    def forward(self, values: Tensor) -> Tensor:
        if not self.training:
            return values * (1 - self.probability)
        return values * (torch.rand_like(values) >= self.probability)


class DropConnectLinear(nn.Linear):
    """A linear layer that drops weights instead of units while training (Wan et al. 2013).

    One mask for the whole batch. When testing, the mean of the masks, as the usual approximation.

    Args:
        in_features: `(N, in_features)` goes in.
        out_features: `(N, out_features)` comes out.
        probability: With which each weight is dropped, in [0, 1).
    """

    def __init__(self, in_features: int, out_features: int, probability: float = 0.5) -> None:
        super().__init__(in_features, out_features)
        _require_share("probability", probability)
        self.probability = probability

    def forward(self, input: Tensor) -> Tensor:
        # Inverted, so that test time uses the weights as they are.
        weight = functional.dropout(self.weight, self.probability, self.training)
        return functional.linear(input, weight, self.bias)


class StochasticDepth(nn.Module):
    """Drops a whole residual branch while training (Huang et al. 2016).

    While testing the branch is scaled by its probability to survive.

    Args:
        survival: Probability that the branch is used, in (0, 1].
        per_example: Each example is dropped by itself (drop-path, Larsson et al. 2016) instead of
            the whole batch.
    """

    def __init__(self, survival: float, per_example: bool = False) -> None:
        super().__init__()
        _require_share("1 - survival", 1 - survival)
        self.survival, self.per_example = survival, per_example

    def forward(self, branch: Tensor) -> Tensor:
        if not self.training:
            return branch * self.survival
        count = len(branch) if self.per_example else 1
        shape = (count, *[1] * (branch.ndim - 1))
        # A mask instead of a branch in Python: nothing waits for the device, and it compiles.
        return branch * (torch.rand(shape, device=branch.device) < self.survival).to(branch.dtype)


@dataclass(frozen=True)
class Sampled:
    """Predictions drawn with dropout on.

    Attributes:
        mean: `(N, ...)`.
        deviation: `(N, ...)`, how much the draws differ: the model's own doubt.
    """

    mean: Tensor
    deviation: Tensor


DROPPING = (
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.AlphaDropout,
    VanillaDropout,
    DropConnectLinear,
    StochasticDepth,
)


@torch.no_grad()
def sample_predictions(model: nn.Module, inputs: Tensor, draws: int = 30) -> Sampled:
    """Monte-Carlo dropout: the mean and spread of predictions with dropout on at test time.

    Gal & Ghahramani (2016). Batch normalisation stays in evaluation mode.

    Args:
        model: Has layers of `DROPPING`; its modes are restored.
        inputs: `(N, ...)` as the model sees them.
        draws: How many times every prediction is drawn, at least 2.

    Raises:
        ModelError: The model drops nothing.
    """
    dropping = [m for m in model.modules() if isinstance(m, DROPPING)]
    if not dropping:
        raise ModelError("the model drops nothing", remedy="Give it dropout layers")
    modes = [(m, m.training) for m in model.modules()]
    model.eval()
    for layer in dropping:
        layer.train()
    try:
        drawn = torch.stack([model(inputs) for _ in range(max(2, draws))])
    finally:
        for module, mode in modes:
            module.training = mode
    return Sampled(drawn.mean(0), drawn.std(0))
