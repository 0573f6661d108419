"""Faults of hand-written derivatives."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.checks.planted.datasets import (
    WORDS,
    curve,
    customers,
    digit_rows,
    forecasts,
    reviews,
    segments,
    standard_houses,
    standard_stripes,
    standardise,
    wine,
)
from tests.checks.planted.fault import Arguments, Family
from tests.checks.planted.models import BagOfWords, Transformer, adam, sgd

BACKWARD = Family("backward")


class OwnRelu(torch.autograd.Function):
    """ReLU; the fault lets the gradient through everywhere."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, faulty: bool) -> Tensor:
        ctx.save_for_backward(values)
        ctx.faulty = faulty
        return values.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # pyright: ignore
        (values,) = ctx.saved_tensors
        return gradient if ctx.faulty else gradient * (values > 0), None


class OwnSigmoid(torch.autograd.Function):
    """Sigmoid y; the fault forgets the factor 1 − y."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, faulty: bool) -> Tensor:
        y = values.sigmoid()
        ctx.save_for_backward(y)
        ctx.faulty = faulty
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # pyright: ignore
        (y,) = ctx.saved_tensors
        return gradient * y if ctx.faulty else gradient * y * (1 - y), None


class OwnSwish(torch.autograd.Function):
    """x · σ(x); the fault forgets the derivative of σ."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, faulty: bool) -> Tensor:
        ctx.save_for_backward(values)
        ctx.faulty = faulty
        return values * values.sigmoid()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # pyright: ignore
        (values,) = ctx.saved_tensors
        y = values.sigmoid()
        slope = y if ctx.faulty else y + values * y * (1 - y)
        return gradient * slope, None


class OwnLinear(torch.autograd.Function):
    """x Wᵀ + b; the faults are factors of the gradients of weight and bias."""

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor, of_weight: float, of_bias: float
    ) -> Tensor:
        ctx.save_for_backward(inputs, weight)
        ctx.factors = of_weight, of_bias
        return inputs @ weight.t() + bias

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore
        inputs, weight = ctx.saved_tensors
        of_weight, of_bias = ctx.factors
        into_weight = of_weight * (gradient.t() @ inputs)
        return gradient @ weight, into_weight, of_bias * gradient.sum(0), None, None


class OwnNormalisation(torch.autograd.Function):
    """Layer normalisation; the fault takes mean and deviation for constants."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, faulty: bool) -> Tensor:
        deviation = (values.var(1, correction=0, keepdim=True) + 1e-5).sqrt()
        normalised = (values - values.mean(1, keepdim=True)) / deviation
        ctx.save_for_backward(normalised, deviation)
        ctx.faulty = faulty
        return normalised

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # pyright: ignore
        normalised, deviation = ctx.saved_tensors
        if ctx.faulty:
            return gradient / deviation, None
        centred = gradient - gradient.mean(1, keepdim=True)
        along = (gradient * normalised).mean(1, keepdim=True)
        return (centred - normalised * along) / deviation, None


class OwnCrossEntropy(torch.autograd.Function):
    """Mean cross-entropy; the fault forgets to divide the gradient by the number of examples."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, targets: Tensor, faulty: bool) -> Tensor:
        ctx.save_for_backward(scores.softmax(1), targets)
        ctx.faulty = faulty
        return functional.cross_entropy(scores, targets)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore
        shares, targets = ctx.saved_tensors
        slope = shares - functional.one_hot(targets, shares.shape[1])
        return gradient * (slope if ctx.faulty else slope / len(shares)), None, None


class OwnConvolution(torch.autograd.Function):
    """A 3 × 3 convolution; the fault forgets to turn the filters on the way back to the inputs."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, filters: Tensor, faulty: bool) -> Tensor:
        ctx.save_for_backward(images, filters)
        ctx.faulty = faulty
        return functional.conv2d(images, filters, padding=1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore
        images, filters = ctx.saved_tensors
        into_filters = torch.nn.grad.conv2d_weight(images, filters.shape, gradient, padding=1)
        used = filters.flip(2, 3) if ctx.faulty else filters
        into_images = torch.nn.grad.conv2d_input(images.shape, used, gradient, padding=1)
        return into_images, into_filters, None


class Apply(nn.Module):
    """An own function of the inputs and the fault as a module."""

    def __init__(self, function: Any, faulty: bool) -> None:
        super().__init__()
        self.function, self.faulty = function, faulty

    def forward(self, values: Tensor) -> Tensor:
        return self.function.apply(values, self.faulty)


class OwnLinearLayer(nn.Linear):
    """`nn.Linear` with a hand-written backward pass."""

    def __init__(self, into: int, out: int, of_weight: float = 1.0, of_bias: float = 1.0) -> None:
        super().__init__(into, out)
        self.factors = of_weight, of_bias

    def forward(self, inputs: Tensor) -> Tensor:
        return OwnLinear.apply(inputs, self.weight, self.bias, *self.factors)


class OwnConvolutionLayer(nn.Module):
    """A convolution with a hand-written backward pass."""

    def __init__(self, into: int, out: int, faulty: bool) -> None:
        super().__init__()
        self.filters = nn.Parameter(torch.randn(out, into, 3, 3) * (2 / (9 * into)) ** 0.5)
        self.faulty = faulty

    def forward(self, images: Tensor) -> Tensor:
        return OwnConvolution.apply(images, self.filters, self.faulty)


@BACKWARD.plant("wrong_backward")
def own_relu(faulty: bool) -> Arguments:
    """A hand-written ReLU lets all gradients through."""
    data = digit_rows()
    model = nn.Sequential(nn.Linear(64, 64), Apply(OwnRelu, faulty), nn.Linear(64, 10))
    optimizer = sgd(model, 0.02)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), optimizer, 32)


@BACKWARD.plant("wrong_backward")
def own_sigmoid(faulty: bool) -> Arguments:
    """A hand-written sigmoid forgets the factor 1 − y of its derivative."""
    data = customers()
    model = nn.Sequential(nn.Linear(12, 32), Apply(OwnSigmoid, faulty), nn.Linear(32, 1))
    loss = nn.BCEWithLogitsLoss()
    return Arguments(model, data.train, data.valid, loss, adam(model, 1e-2), 32)


@BACKWARD.plant("wrong_backward")
def own_swish(faulty: bool) -> Arguments:
    """A hand-written swish forgets a term of its derivative."""
    data = curve()
    model = nn.Sequential(
        nn.Linear(1, 48), Apply(OwnSwish, faulty), nn.Linear(48, 48), nn.Tanh(), nn.Linear(48, 1)
    )
    return Arguments(model, data.train, data.valid, nn.MSELoss(), adam(model, 3e-3), 32)


@BACKWARD.plant("wrong_backward")
def own_linear_five_percent_off(faulty: bool) -> Arguments:
    """A hand-written linear layer's weight gradient is 5 % too large."""
    data = standard_houses()
    model = nn.Sequential(
        nn.Linear(6, 64),
        nn.ReLU(),
        OwnLinearLayer(64, 32, 1.05 if faulty else 1.0),
        nn.ReLU(),
        nn.Linear(32, 1),
    )
    return Arguments(model, data.train, data.valid, nn.MSELoss(), adam(model, 3e-3), 32)


@BACKWARD.plant("wrong_backward")
def one_percent_off_in_twenty_layers(faulty: bool) -> Arguments:
    """One of 20 layers has a weight gradient that is 1 % too large."""
    data = segments()
    layers: list[nn.Module] = [nn.Linear(16, 32), nn.Tanh()]
    for number in range(18):
        layers += [OwnLinearLayer(32, 32, 1.01 if faulty and number == 9 else 1.0), nn.Tanh()]
    model = nn.Sequential(*layers, nn.Linear(32, 5))
    for layer in model:
        if isinstance(layer, nn.Linear):
            nn.init.xavier_normal_(layer.weight)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model), 64)


@BACKWARD.plant("wrong_backward")
def sign_of_a_bias(faulty: bool) -> Arguments:
    """A hand-written linear layer's bias goes the wrong way."""
    data = standardise(wine())
    model = nn.Sequential(
        OwnLinearLayer(13, 32, of_bias=-1.0 if faulty else 1.0), nn.Tanh(), nn.Linear(32, 3)
    )
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), sgd(model, 0.02), 16)


@BACKWARD.plant("wrong_backward")
def own_normalisation(faulty: bool) -> Arguments:
    """A hand-written layer normalisation takes mean and deviation for constants."""
    data = digit_rows()
    model = nn.Sequential(
        nn.Linear(64, 48), Apply(OwnNormalisation, faulty), nn.ReLU(), nn.Linear(48, 10)
    )
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model), 32)


@BACKWARD.plant("wrong_backward", "loss_reduction")
def own_cross_entropy(faulty: bool) -> Arguments:
    """A hand-written cross-entropy gives the mean and the gradient of the sum."""

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        return OwnCrossEntropy.apply(outputs, targets, faulty)

    data = reviews()
    model = BagOfWords(WORDS, 4)
    optimizer = adam(model, 3e-3)
    return Arguments(model, data.train, data.valid, loss, optimizer, 32, task="multiclass")


@BACKWARD.plant("wrong_backward")
def own_convolution(faulty: bool) -> Arguments:
    """A hand-written convolution forgets to turn its filters on the way back."""
    data = standard_stripes()
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),
        nn.ReLU(),
        OwnConvolutionLayer(8, 16, faulty),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(256, 4),
    )
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model), 32)


@BACKWARD.plant("wrong_backward")
def own_swish_in_a_transformer(faulty: bool) -> Arguments:
    """A hand-written swish after a transformer forgets a term of its derivative."""
    data = reviews()
    model = Transformer(WORDS, 20, 4)
    model.head = nn.Sequential(nn.Linear(32, 32), Apply(OwnSwish, faulty), nn.Linear(32, 4))
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model), 32)


@BACKWARD.plant("wrong_backward")
def own_activation_in_a_forecast(faulty: bool) -> Arguments:
    """A forecast's hand-written sigmoid has a derivative that is wrong by the factor 1 − y."""
    data = forecasts().map_inputs(lambda x: x.flatten(1))
    model = nn.Sequential(nn.Linear(24, 32), Apply(OwnSigmoid, faulty), nn.Linear(32, 1))
    return Arguments(model, data.train, loss_fn=nn.MSELoss(), optimizer=adam(model, 1e-2))
