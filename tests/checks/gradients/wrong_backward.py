"""Parts of networks whose backward pass can be made wrong on purpose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


def make_function(
    forward: Callable[[Tensor], Tensor], backward: Callable[[Tensor, Tensor], Tensor]
) -> type[torch.autograd.Function]:
    """A custom function of one tensor; `backward` gets the input and the output's gradient."""

    class Elementwise(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, values: Tensor) -> Tensor:
            ctx.save_for_backward(values)
            return forward(values)

        @staticmethod
        def backward(ctx: Any, gradient: Tensor) -> Tensor:
            return backward(ctx.saved_tensors[0], gradient)

    return Elementwise


class OwnActivation(nn.Module):
    """An activation by a custom function."""

    def __init__(
        self,
        forward: Callable[[Tensor], Tensor],
        backward: Callable[[Tensor, Tensor], Tensor],
    ) -> None:
        super().__init__()
        self.function = make_function(forward, backward)

    def forward(self, values: Tensor) -> Tensor:
        return self.function.apply(values)


class ScaledLinearFunction(torch.autograd.Function):
    """A linear layer of which each gradient can be made wrong by a factor."""

    @staticmethod
    def forward(
        ctx: Any,
        values: Tensor,
        weight: Tensor,
        bias: Tensor,
        of_input: float,
        of_weight: float,
        of_bias: float,
    ) -> Tensor:
        ctx.save_for_backward(values, weight)
        ctx.factors = (of_input, of_weight, of_bias)
        return values @ weight.t() + bias

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        values, weight = ctx.saved_tensors
        of_input, of_weight, of_bias = ctx.factors
        return (
            of_input * gradient @ weight,
            of_weight * gradient.t() @ values,
            of_bias * gradient.sum(0),
            None,
            None,
            None,
        )


class ScaledLinear(nn.Linear):
    """A linear layer by `ScaledLinearFunction`."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        of_input: float = 1.0,
        of_weight: float = 1.0,
        of_bias: float = 1.0,
    ) -> None:
        super().__init__(inputs, outputs)
        self.factors = (of_input, of_weight, of_bias)

    def forward(self, input: Tensor) -> Tensor:
        return ScaledLinearFunction.apply(input, self.weight, self.bias, *self.factors)


class OneWrongNumber(torch.autograd.Function):
    """The same values, and a gradient of which only the first number is wrong, by 1 %."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return values.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        wrong = gradient.clone()
        wrong.view(-1)[0] *= 1.01
        return wrong
