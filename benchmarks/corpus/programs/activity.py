"""Activations and gradients that are dead, at their ends, too small or too large."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, Adam, AdamW, RMSprop

from benchmarks.corpus.architectures import Factors, Transformer
from benchmarks.corpus.data import sentences
from benchmarks.corpus.networks import LastState, cnn, mlp
from benchmarks.corpus.program import Outcome, Watch, faulty
from benchmarks.corpus.tasks import (
    adding,
    counts,
    gaps,
    houses,
    pairs,
    ratings,
    scaled_stripes,
    scaled_topics,
    shapes,
    shells,
    spirals,
    swiss_roll,
)
from benchmarks.corpus.training import label_f1, train


@faulty("sentences-every-parameter-drawn-normal", "bad_init", learns=0.7, version=2)
def every_parameter_drawn_normal(watch: Watch, faulty: bool) -> Outcome:
    """A loop over `parameters()` that takes all of them for weights of deviation 1."""
    model = Transformer(60, 3, 12)
    if faulty:
        for parameter in model.parameters():
            nn.init.normal_(parameter)
    optimizer = Adam(model.parameters(), lr=0.003)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), sentences(), epochs=6)


@faulty("shapes-weights-from-nought-to-one", "bad_init", learns=0.8, margin=0.1, version=2)
def weights_from_nought_to_one(watch: Watch, faulty: bool) -> Outcome:
    """`torch.rand` where `torch.randn` was meant: no weight is negative."""
    model = cnn(12, 4)
    if faulty:
        for parameter in model.parameters():
            nn.init.uniform_(parameter, 0.0, 0.5)
    optimizer = SGD(model.parameters(), lr=0.02, momentum=0.9)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), shapes(), epochs=8)


@faulty("ratings-embeddings-start-at-nought", "bad_init", learns=0.4, margin=0.2, version=2)
def embeddings_start_at_nought(watch: Watch, faulty: bool) -> Outcome:
    """A product of two zeros has no derivative by either."""
    model = Factors(50, 40, deviation=0.0 if faulty else 0.3)
    optimizer = SGD(model.parameters(), lr=1.0)
    return train(watch, model, optimizer, nn.MSELoss(), ratings(), epochs=12)


@faulty("gaps-rows-all-alike", "bad_init", subtle=True, learns=0.8, version=2)
def rows_all_alike(watch: Watch, faulty: bool) -> Outcome:
    """One random row is copied to all units, and so is one to all of the outputs' weights."""
    model = mlp(12, 32, 1)
    if faulty:
        model[0].weight.data[:] = model[0].weight.data[:1].clone()
        model[2].weight.data[:] = model[2].weight.data[0, 0].item()
        nn.init.constant_(model[0].bias, 0.1)
    optimizer = Adam(model.parameters(), lr=0.01)
    loss_fn = nn.BCEWithLogitsLoss()
    return train(watch, model, optimizer, loss_fn, gaps(), epochs=25, told="batches")


@faulty("topics-biases-start-too-low", "dying_relu", "bad_init", learns=0.6, version=2)
def biases_start_too_low(watch: Watch, faulty: bool) -> Outcome:
    """Two hidden layers start where hardly any input reaches them."""
    model = mlp(20, 32, 32, 5)
    for layer in (model[0], model[2]):
        nn.init.constant_(layer.bias, -2.5 if faulty else 0.01)
    optimizer = SGD(model.parameters(), lr=0.3)
    return train(
        watch,
        model,
        optimizer,
        nn.BCEWithLogitsLoss(),
        scaled_topics(),
        epochs=12,
        told="data",
        metric=label_f1,
    )


@faulty("swiss-roll-first-rate-kills-units", "dying_relu", "lr_too_high", learns=0.8, version=2)
def first_rate_kills_units(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(3, 32, 32, 1)
    optimizer = SGD(model.parameters(), lr=0.9 if faulty else 0.05, momentum=0.5)
    return train(watch, model, optimizer, nn.MSELoss(), swiss_roll(), epochs=20)


class OnlyPositive(nn.Module):
    """Features of a network whose last ReLU comes after a large offset."""

    def __init__(self, offset: float) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 32), nn.Linear(32, 32)
        self.head, self.offset = nn.Linear(32, 3), offset

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.relu(self.first(x))
        return self.head(functional.relu(self.second(hidden) - self.offset))


@faulty("shells-threshold-too-high", "dying_relu", subtle=True, learns=0.8, margin=0.03, version=2)
def threshold_too_high(watch: Watch, faulty: bool) -> Outcome:
    model = OnlyPositive(offset=0.9 if faulty else 0.0)
    optimizer = SGD(model.parameters(), lr=0.1)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), shells(), epochs=15)


@faulty("stripes-negative-images-positive-weights", "dying_relu", "bad_init", learns=0.8, version=2)
def negative_images_positive_weights(watch: Watch, faulty: bool) -> Outcome:
    """Absolute weights and dark images: each sum is below zero."""
    data = scaled_stripes()
    data = replace(data, x=data.x - 2, x_valid=data.x_valid - 2)
    model = cnn_of_colours()
    if faulty:
        model[0].weight.data.abs_()
    optimizer = Adam(model.parameters(), lr=0.003)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=8)


def cnn_of_colours() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64, 3),
    )


class SharpAttention(nn.Module):
    """Attention over a sequence whose scores were multiplied, not divided."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.score, self.value = mlp(2, 12, 1, activation=nn.Tanh), nn.Linear(2, 8)
        self.head, self.factor = nn.Linear(8, 1), factor

    def forward(self, x: Tensor) -> Tensor:
        weights = (self.factor * self.score(x)).softmax(1)
        return self.head((weights * self.value(x)).sum(1))


@faulty("adding-attention-scores-multiplied", "saturated_units", learns=0.7, margin=0.1, version=2)
def attention_scores_multiplied(watch: Watch, faulty: bool) -> Outcome:
    model = SharpAttention(300.0 if faulty else 1.0)
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    return train(watch, model, optimizer, nn.MSELoss(), adding(), epochs=15)


@faulty(
    "shapes-tanh-weights-of-deviation-two", "saturated_units", "bad_init", learns=0.6, version=2
)
def tanh_weights_of_deviation_two(watch: Watch, faulty: bool) -> Outcome:
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(144, 64), nn.Tanh(), nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 4)
    )
    if faulty:
        for layer in (model[1], model[3]):
            nn.init.normal_(layer.weight, std=2.0)
    optimizer = RMSprop(model.parameters(), lr=0.001)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), shapes(), epochs=12)


class Summing(nn.Module):
    """A layer of sigmoids whose sums were not scaled down, as its author meant to."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.first, self.sigmoid = nn.Linear(3, 8), nn.Sigmoid()
        self.second, self.scale = nn.Linear(8, 1), scale
        nn.init.normal_(self.first.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.sigmoid(self.scale * self.first(x)))


@faulty(
    "swiss-roll-sigmoids-behind-large-sums", "saturated_units", subtle=True, learns=0.7, version=2
)
def sigmoids_behind_large_sums(watch: Watch, faulty: bool) -> Outcome:
    model = Summing(60.0 if faulty else 1.5)
    optimizer = Adam(model.parameters(), lr=0.03)
    loss_fn = nn.MSELoss()
    return train(watch, model, optimizer, loss_fn, swiss_roll(), epochs=25, told="batches")


@faulty("adding-gates-held-shut", "saturated_units", "bad_init", learns=0.7, margin=0.2, version=2)
def gates_held_shut(watch: Watch, faulty: bool) -> Outcome:
    """A large bias at a GRU's update gate, where it means to keep the state for ever."""
    model = LastState(nn.GRU(2, 24, batch_first=True), 1)
    if faulty:
        model.recurrent.bias_hh_l0.data[24:48] = 20.0
    optimizer = Adam(model.parameters(), lr=0.02)
    return train(watch, model, optimizer, nn.MSELoss(), adding(8), epochs=12, clip=1.0)


@faulty("spirals-ten-sigmoid-layers", "vanishing_gradient", learns=0.7, margin=0.2, version=2)
def ten_sigmoid_layers(watch: Watch, faulty: bool) -> Outcome:
    activation = nn.Sigmoid if faulty else nn.ReLU
    model = mlp(2, *[32] * 10, 3, activation=activation)
    he_initialise(model)
    optimizer = SGD(model.parameters(), lr=0.02, momentum=0.9)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), spirals(), epochs=25)


def he_initialise(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.zeros_(module.bias)


@faulty("stripes-ten-plain-convolutions", "vanishing_gradient", "bad_init", learns=0.7, version=2)
def ten_plain_convolutions(watch: Watch, faulty: bool) -> Outcome:
    layers: list[nn.Module] = [nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU()]
    for _ in range(9):
        layers += [nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(200, 3))
    if not faulty:
        he_initialise(model)
    optimizer = SGD(model.parameters(), lr=0.01, momentum=0.9)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), scaled_stripes(), epochs=8)


@faulty(
    "adding-recurrence-of-small-weights", "vanishing_gradient", "bad_init", learns=0.6, version=2
)
def recurrence_of_small_weights(watch: Watch, faulty: bool) -> Outcome:
    """A state that shrinks: after a few steps nothing is left of a number."""
    model = LastState(nn.RNN(2, 32, batch_first=True), 1)
    if faulty:
        nn.init.normal_(model.recurrent.weight_hh_l0, std=0.03)
    else:
        nn.init.orthogonal_(model.recurrent.weight_hh_l0)
    optimizer = Adam(model.parameters(), lr=0.003)
    return train(watch, model, optimizer, nn.MSELoss(), adding(10), epochs=20, clip=1.0)


@faulty("gaps-residual-branch-left-out", "vanishing_gradient", subtle=True, learns=0.75, version=2)
def residual_branch_left_out(watch: Watch, faulty: bool) -> Outcome:
    """Twelve blocks `x + f(x)`, in which `x +` was forgotten."""

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(24, 24)

        def forward(self, x: Tensor) -> Tensor:
            inner = 0.5 * torch.tanh(self.linear(x))
            return inner if faulty else x + inner

    model = nn.Sequential(nn.Linear(12, 24), *[Block() for _ in range(8)], nn.Linear(24, 1))
    optimizer = AdamW(model.parameters(), lr=0.002)
    return train(watch, model, optimizer, nn.BCEWithLogitsLoss(), gaps(), epochs=15)


@faulty("pairs-root-of-nought", "exploding_or_nan", learns=0.75, margin=0.2, version=2)
def root_of_nought(watch: Watch, faulty: bool) -> Outcome:
    """The distance of a thing to itself is √0, whose derivative is infinite."""
    data = pairs()
    x = data.x.clone()
    x[200:204, 1] = x[200:204, 0]
    y = data.y.clone()
    y[200:204] = 1
    data = replace(data, x=x, y=y)

    class Distance(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tower = mlp(16, 24, 8)

        def forward(self, x: Tensor) -> Tensor:
            squares = (self.tower(x[:, 0]) - self.tower(x[:, 1])).square().sum(1, keepdim=True)
            return torch.sqrt(squares if faulty else squares + 1e-6)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        pushed = functional.relu(2.0 - outputs) ** 2
        return (targets * outputs**2 + (1 - targets) * pushed).mean()

    def metric(outputs: Tensor, targets: Tensor) -> float:
        return ((outputs < 1) == (targets > 0.5)).float().mean().item()

    model = Distance()
    optimizer = Adam(model.parameters(), lr=0.005)
    return train(watch, model, optimizer, loss_fn, data, epochs=12, told="batches", metric=metric)


@faulty("houses-variance-of-nought", "exploding_or_nan", learns=0.7, margin=0.3, version=2)
def variance_of_nought(watch: Watch, faulty: bool) -> Outcome:
    """Two heads, a mean and a variance, which ReLU lets be 0: its logarithm is −∞."""
    data = houses()

    class MeanAndVariance(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = mlp(5, 24, 2)

        def forward(self, x: Tensor) -> Tensor:
            mean, spread = self.body(x).chunk(2, 1)
            variance = torch.relu(spread) if faulty else functional.softplus(spread) + 1e-2
            return torch.cat([mean, variance], 1)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        mean, variance = outputs.chunk(2, 1)
        return 0.5 * (torch.log(variance) + (targets - mean) ** 2 / variance).mean()

    def metric(outputs: Tensor, targets: Tensor) -> float:
        missed = ((outputs[:, :1] - targets) ** 2).mean() / targets.var()
        return max(-1.0, 1 - missed.item()) if missed.isfinite() else -1.0

    model = MeanAndVariance()
    optimizer = Adam(model.parameters(), lr=0.003)
    return train(watch, model, optimizer, loss_fn, data, epochs=15, told="batches", metric=metric)


@faulty(
    "counts-rate-overflows",
    "exploding_or_nan",
    "unnormalised_inputs",
    learns=0.3,
    margin=0.3,
    version=2,
)
def rate_overflows(watch: Watch, faulty: bool) -> Outcome:
    """A Poisson rate is the exponential of a score, which inputs in small units make large."""
    data = counts()
    factor = 400.0 if faulty else 1.0
    data = replace(data, x=factor * data.x, x_valid=factor * data.x_valid)
    model = mlp(6, 24, 1)
    optimizer = Adam(model.parameters(), lr=0.005)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        return (torch.exp(outputs) - targets * outputs).mean()

    def metric(outputs: Tensor, targets: Tensor) -> float:
        missed = ((outputs.exp() - targets) ** 2).mean() / targets.var()
        return max(-1.0, 1 - missed.item()) if missed.isfinite() else -1.0

    return train(watch, model, optimizer, loss_fn, data, epochs=12, metric=metric)


@faulty("shells-blocks-add-up", "exploding_or_nan", "bad_init", learns=0.7, version=2)
def blocks_add_up(watch: Watch, faulty: bool) -> Outcome:
    """Sixteen blocks that add to their input, without a norm: each doubles the variance."""

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(24, 24)
            nn.init.kaiming_normal_(self.linear.weight)
            self.norm = nn.Identity() if faulty else nn.LayerNorm(24)
            self.share = 1.0 if faulty else 0.25

        def forward(self, x: Tensor) -> Tensor:
            return x + self.share * torch.relu(self.linear(self.norm(x)))

    model = nn.Sequential(nn.Linear(4, 24), *[Block() for _ in range(16)], nn.Linear(24, 3))
    optimizer = AdamW(model.parameters(), lr=0.002)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), shells(), epochs=12)
