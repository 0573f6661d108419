"""Faults of the initial weights, and units that they leave without a signal."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tests.checks.planted.datasets import (
    WORDS,
    customers,
    diabetes,
    digit_pictures,
    digit_rows,
    forecasts,
    moons,
    reviews,
    segments,
    standard_houses,
    standard_stripes,
    standardise,
    standardise_targets,
    tumours,
    waves,
    wine,
)
from tests.checks.planted.fault import Arguments, Family
from tests.checks.planted.models import (
    Recurrent,
    Transformer,
    adam,
    cnn,
    he_initialise,
    mlp,
    sgd,
    xavier_initialise,
)

INITIALISATION = Family("initialisation")


def linear_layers(model: nn.Module) -> list[nn.Linear]:
    return [module for module in model.modules() if isinstance(module, nn.Linear)]


@INITIALISATION.plant("bad_init")
def all_weights_zero(faulty: bool) -> Arguments:
    """All weights and biases of an MLP start at 0."""
    data = digit_rows()
    model = mlp(64, 64, 10)
    if faulty:
        for parameter in model.parameters():
            nn.init.zeros_(parameter)
    optimizer = sgd(model, 0.02)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), optimizer, 32)


@INITIALISATION.plant("bad_init")
def all_weights_equal(faulty: bool) -> Arguments:
    """All weights start at 0.05: all units of a layer stay alike."""
    data = standardise(wine())
    model = mlp(13, 32, 16, 3, activation=nn.Tanh)
    if faulty:
        for layer in linear_layers(model):
            nn.init.constant_(layer.weight, 0.05)
            nn.init.zeros_(layer.bias)
    optimizer = sgd(model, 0.02)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), optimizer, 16)


@INITIALISATION.plant("bad_init")
def units_of_a_layer_alike(faulty: bool) -> Arguments:
    """One row of random weights was copied to all hidden units."""
    data = standard_houses()
    model = mlp(6, 64, 1)
    if faulty:
        first, last = linear_layers(model)
        with torch.no_grad():
            first.weight.copy_(first.weight[:1].expand_as(first.weight))
            first.bias.fill_(0.1)
            last.weight.fill_(float(last.weight[0, 0]))
    return Arguments(model, data.train, data.valid, nn.MSELoss(), adam(model, 3e-3), 32)


@INITIALISATION.plant("bad_init")
def filters_zero(faulty: bool) -> Arguments:
    """The filters of a CNN's second convolution start at 0, as do its biases."""
    data = digit_pictures()
    model = cnn(1, 8, 10)
    if faulty:
        nn.init.zeros_(model[3].weight)
        nn.init.zeros_(model[3].bias)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model), 32)


@INITIALISATION.plant("bad_init", "vanishing_gradient")
def a_hundredth_in_ten_layers(faulty: bool) -> Arguments:
    """Ten layers of tanh units have weights of deviation 0.01; the twin has Xavier's."""
    data = digit_rows()
    model = mlp(64, *([64] * 9), 10, activation=nn.Tanh)
    if faulty:
        for layer in linear_layers(model):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)
    else:
        xavier_initialise(model)
    optimizer = sgd(model, 0.01)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), optimizer, 32)


@INITIALISATION.plant("bad_init")
def weights_of_a_millionth(faulty: bool) -> Arguments:
    """A CNN's weights are N(0, 1) times 0.000001."""
    data = standard_stripes()
    model = cnn(3, 16, 4)
    if faulty:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.normal_().mul_(1e-6)
    optimizer = sgd(model, 0.02)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), optimizer, 32)


@INITIALISATION.plant("bad_init", "saturated_units")
def standard_normal_tanh(faulty: bool) -> Arguments:
    """Weights of N(0, 1) into 256 tanh units a layer: all saturated."""
    data = digit_rows()
    model = mlp(64, 256, 256, 256, 10, activation=nn.Tanh)
    if faulty:
        for layer in linear_layers(model):
            nn.init.normal_(layer.weight)
    optimizer = sgd(model, 0.01)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), optimizer, 32)


@INITIALISATION.plant("bad_init", "exploding_or_nan")
def standard_normal_relu(faulty: bool) -> Arguments:
    """Weights of N(0, 1) in an MLP of ReLUs: an initial loss of thousands."""
    data = segments()
    model = mlp(16, 128, 128, 128, 5)
    if faulty:
        for layer in linear_layers(model):
            nn.init.normal_(layer.weight)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model), 64)


@INITIALISATION.plant("bad_init", "exploding_or_nan")
def standard_normal_filters(faulty: bool) -> Arguments:
    """Filters and head of a CNN are drawn from N(0, 1)."""
    data = digit_pictures()
    model = cnn(1, 8, 10)
    if faulty:
        for parameter in model.parameters():
            nn.init.normal_(parameter)
    optimizer = sgd(model, 0.02)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), optimizer, 32)


@INITIALISATION.plant("bad_init")
def head_fifty_times_too_large(faulty: bool) -> Arguments:
    """The last layer's weights are 50 times those of a usual start: sure of wrong answers."""
    data = digit_rows()
    model = mlp(64, 64, 10)
    if faulty:
        with torch.no_grad():
            linear_layers(model)[-1].weight.mul_(50)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model), 32)


@INITIALISATION.plant("bad_init")
def head_biased_to_one_class(faulty: bool) -> Arguments:
    """The last bias starts at 12 for the first class."""
    data = standard_stripes()
    model = cnn(3, 16, 4, norm=True)
    if faulty:
        with torch.no_grad():
            model[-1].bias[0] = 12.0
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model), 32)


@INITIALISATION.plant("bad_init", "saturated_units")
def embedding_and_layers_too_large(faulty: bool) -> Arguments:
    """All matrices of a transformer are drawn from N(0, 1)."""
    data = reviews()
    model = Transformer(WORDS, 20, 4)
    if faulty:
        for parameter in model.parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model), 32)


@INITIALISATION.plant("bad_init")
def recurrent_weights_zero(faulty: bool) -> Arguments:
    """An LSTM's matrices all start at 0."""
    data = waves()
    model = Recurrent(nn.LSTM, 1, 32, 3)
    if faulty:
        for parameter in model.parameters():
            nn.init.zeros_(parameter)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model, 3e-3), 32)


@INITIALISATION.plant("bad_init", "vanishing_gradient")
def divided_by_fan_in(faulty: bool) -> Arguments:
    """Deviations of 1 / fan_in instead of its root, in eight layers of ReLUs."""
    data = segments()
    model = he_initialise(mlp(16, *([64] * 7), 5))
    if faulty:
        for layer in linear_layers(model):
            nn.init.normal_(layer.weight, std=1 / layer.in_features)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), sgd(model, 0.01), 32)


class Residual(nn.Module):
    """x + normalised branch of x."""

    def __init__(self, width: int, scale: float) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )
        nn.init.constant_(self.branch[-1].weight, scale)

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.relu(inputs + self.branch(inputs))


@INITIALISATION.plant("bad_init", "batchnorm_misuse", "dying_relu", "vanishing_gradient")
def all_scales_zero(faulty: bool) -> Arguments:
    """The scales of all batch normalisations start at 0, the stem's too, so that nothing gets
    through; in the twin only those that end a residual branch do, as is usual."""
    data = standard_stripes()
    stem = nn.BatchNorm2d(16)
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2, padding=1, bias=False),
        stem,
        nn.ReLU(),
        Residual(16, 0.0),
        Residual(16, 0.0),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 4),
    )
    if faulty:
        nn.init.zeros_(stem.weight)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model, 3e-3), 32)


@INITIALISATION.plant("saturated_units", "bad_init")
def sigmoids_saturated(faulty: bool) -> Arguments:
    """Hidden sigmoids get weights of deviation 8."""
    data = customers()
    model = mlp(12, 32, 1, activation=nn.Sigmoid)
    if faulty:
        nn.init.normal_(model[0].weight, std=8)
    loss = nn.BCEWithLogitsLoss()
    return Arguments(model, data.train, data.valid, loss, adam(model, 1e-2), 32)


@INITIALISATION.plant("saturated_units", "bad_init")
def tanh_biases_of_ten(faulty: bool) -> Arguments:
    """The biases of all tanh units start at ±10."""
    data = moons()
    model = mlp(2, 32, 32, 2, activation=nn.Tanh)
    if faulty:
        for layer in linear_layers(model)[:-1]:
            with torch.no_grad():
                layer.bias.copy_(10 * layer.bias.sign())
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model, 3e-3), 32)


@INITIALISATION.plant("saturated_units", "bad_init")
def gates_shut(faulty: bool) -> Arguments:
    """Biases of −15 shut an LSTM's gates: nothing gets into its cells."""
    data = forecasts()
    model = Recurrent(nn.LSTM, 1, 32, 1)
    if faulty:
        with torch.no_grad():
            model.cell.bias_ih_l0[:32] = -15
            model.cell.bias_ih_l0[96:] = -15
    return Arguments(model, data.train, data.valid, nn.MSELoss(), adam(model, 3e-3), 32)


@INITIALISATION.plant("saturated_units", "bad_init")
def filters_into_saturated_tanh(faulty: bool) -> Arguments:
    """A CNN of tanh units has filters 40 times too large."""
    data = digit_pictures()
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(16 * 64, 10)
    )
    if faulty:
        with torch.no_grad():
            model[0].weight.mul_(40)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model), 32)


@INITIALISATION.plant("dying_relu", "bad_init")
def biases_of_minus_ten(faulty: bool) -> Arguments:
    """The biases of the hidden ReLUs start at −10: none of them ever fires."""
    data = segments()
    model = mlp(16, 64, 5)
    if faulty:
        nn.init.constant_(model[0].bias, -10)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), sgd(model, 0.02), 64)


@INITIALISATION.plant("dying_relu", "bad_init")
def second_convolution_dead(faulty: bool) -> Arguments:
    """The biases of a CNN's second convolution start at −20."""
    data = standard_stripes()
    model = cnn(3, 16, 4)
    if faulty:
        nn.init.constant_(model[3].bias, -20)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model), 32)


@INITIALISATION.plant("dying_relu", "bad_init")
def negative_weights_on_positive_inputs(faulty: bool) -> Arguments:
    """The first layer's weights are all negative, the inputs all between 0 and 1."""
    data = standardise(tumours())
    low, high = data.train[0].amin(0), data.train[0].amax(0)
    data = data.map_inputs(lambda x: ((x - low) / (high - low)).clamp(0, 1))
    model = mlp(30, 32, 1)
    if faulty:
        with torch.no_grad():
            model[0].weight.copy_(-model[0].weight.abs())
            model[0].bias.copy_(-model[0].bias.abs())
    loss = nn.BCEWithLogitsLoss()
    return Arguments(model, data.train, data.valid, loss, adam(model, 1e-2), 32)


@INITIALISATION.plant("dying_relu")
def relu_of_a_negated_relu(faulty: bool) -> Arguments:
    """A forward negates between two ReLUs, so that the second gives 0 for everything."""

    class Negated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(10, 32), nn.Linear(32, 1)
            self.relu = nn.ReLU()

        def forward(self, rows: Tensor) -> Tensor:
            hidden = self.relu(self.first(rows))
            return self.last(self.relu(-hidden if faulty else hidden))

    data = standardise_targets(standardise(diabetes()))
    model = Negated()
    return Arguments(model, data.train, data.valid, nn.MSELoss(), adam(model, 3e-3), 32)


@INITIALISATION.plant("vanishing_gradient", "bad_init")
def ten_layers_of_sigmoids(faulty: bool) -> Arguments:
    """Ten layers of sigmoids with the usual start; the twin has ReLUs with He's."""
    data = digit_rows()
    sizes = (64, *([48] * 9), 10)
    model = mlp(*sizes, activation=nn.Sigmoid) if faulty else he_initialise(mlp(*sizes))
    optimizer = sgd(model, 0.01)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), optimizer, 32)


@INITIALISATION.plant("vanishing_gradient", "bad_init")
def twenty_layers_of_relus(faulty: bool) -> Arguments:
    """Twenty layers of ReLUs start as `nn.Linear` leaves them; the twin starts as He advises."""
    data = standardise(wine())
    model = mlp(13, *([64] * 19), 3)
    if not faulty:
        he_initialise(model)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model), 16)


@INITIALISATION.plant("vanishing_gradient", "bad_init")
def thirty_plain_layers_without_skips(faulty: bool) -> Arguments:
    """Thirty layers of tanh units start as `nn.Linear` leaves them; the twin's have skips,
    and branches scaled by the root of their number."""

    class Deep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(16, 32)
            self.layers = nn.ModuleList(nn.Linear(32, 32) for _ in range(30))
            self.last = nn.Linear(32, 5)

        def forward(self, rows: Tensor) -> Tensor:
            hidden = self.first(rows)
            for layer in self.layers:
                new = torch.tanh(layer(hidden))
                hidden = new if faulty else hidden + new / 30**0.5
            return self.last(hidden)

    data = segments()
    model = Deep()
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model), 64)


@INITIALISATION.plant("exploding_or_nan", "bad_init")
def gain_of_three_in_fifteen_layers(faulty: bool) -> Arguments:
    """Fifteen layers of ReLUs start three times as large as He advises: outputs of millions."""
    data = standard_houses()
    model = he_initialise(mlp(6, *([48] * 14), 1))
    if faulty:
        with torch.no_grad():
            for layer in linear_layers(model):
                layer.weight.mul_(3)
    return Arguments(model, data.train, data.valid, nn.MSELoss(), adam(model), 32)
