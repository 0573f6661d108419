"""Signals and gradients that die, saturate, vanish or explode on their way."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, Adam

from benchmarks.corpus.data import (
    arrows,
    clusters,
    curve,
    digits,
    friedman,
    moons,
    random,
    raw_wine,
    recall,
    split,
    waves,
    wine,
)
from benchmarks.corpus.loop import fit
from benchmarks.corpus.networks import LastState, cnn, initialise, mlp
from benchmarks.corpus.program import Outcome, Watch, faulty


@faulty("digits-all-weights-zero", "bad_init", learns=0.9, margin=0.3)
def all_weights_zero(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(64, 32, 10)
    if faulty:
        initialise(model, 0.0)
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), digits(), epochs=6)


@faulty("moons-all-units-alike", "bad_init", subtle=True, learns=0.93)
def all_units_alike(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(2, 24, 24, 1, activation=nn.Tanh)
    if faulty:
        for parameter in model.parameters():
            nn.init.constant_(parameter, 0.1)
    optimizer = Adam(model.parameters(), lr=0.01)
    return fit(watch, model, optimizer, nn.BCEWithLogitsLoss(), moons(), epochs=20)


@faulty("digits-weights-of-deviation-one", "bad_init", learns=0.8)
def weights_of_deviation_one(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(64, 64, 64, 64, 10)
    if faulty:
        initialise(model, 1.0)
    optimizer = SGD(model.parameters(), lr=0.02, momentum=0.9)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), digits(), epochs=8)


@faulty("clusters-tiny-weights", "bad_init", "vanishing_gradient", learns=0.8, margin=0.1)
def tiny_weights(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(20, 32, 32, 32, 32, 4)
    if faulty:
        initialise(model, 0.003)
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.5)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), clusters(), epochs=10)


@faulty("friedman-output-layer-starts-large", "bad_init", subtle=True, learns=0.75)
def output_layer_starts_large(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(10, 32, 32, 1, activation=nn.Tanh)
    if faulty:
        nn.init.normal_(model[-1].weight, std=15)
    optimizer = Adam(model.parameters(), lr=0.003)
    return fit(watch, model, optimizer, nn.MSELoss(), friedman(), epochs=15)


@faulty("digits-biases-far-below-zero", "dying_relu", "bad_init", learns=0.9, margin=0.3)
def biases_far_below_zero(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(64, 32, 32, 10)
    if faulty:
        nn.init.constant_(model[0].bias, -3.0)
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), digits(), epochs=6)


@faulty("arrows-first-steps-kill-the-units", "dying_relu", "lr_too_high", learns=0.8, margin=0.1)
def first_steps_kill_the_units(watch: Watch, faulty: bool) -> Outcome:
    model = cnn(12, 4)
    optimizer = Adam(model.parameters(), lr=0.3 if faulty else 0.003)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), arrows(), epochs=10)


@faulty("moons-most-units-dead", "dying_relu", "bad_init", subtle=True, learns=0.93)
def most_units_dead(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(2, 20, 20, 1)
    if faulty:
        nn.init.constant_(model[0].bias[2:], -6.0)
        model[2].bias.data[3:] -= 4.0
    optimizer = SGD(model.parameters(), lr=0.1)
    return fit(watch, model, optimizer, nn.BCEWithLogitsLoss(), moons(), epochs=25)


@faulty("digits-tanh-driven-to-its-ends", "saturated_units", "bad_init", learns=0.85)
def tanh_driven_to_its_ends(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(64, 48, 48, 10, activation=nn.Tanh)
    if faulty:
        initialise(model, 3.0)
    optimizer = SGD(model.parameters(), lr=0.05)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), digits(), epochs=10)


@faulty("wine-sigmoid-fed-with-raw-columns", "saturated_units", "unnormalised_inputs", learns=0.85)
def sigmoid_fed_with_raw_columns(watch: Watch, faulty: bool) -> Outcome:
    data = raw_wine() if faulty else wine()
    model = mlp(13, 24, 3, activation=nn.Sigmoid)
    optimizer = Adam(model.parameters(), lr=0.01)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=40, batch_size=16)


class Sharpened(nn.Module):
    """tanh of a multiple, as a forgotten temperature makes it."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor, self.tanh = factor, nn.Tanh()

    def forward(self, x: Tensor) -> Tensor:
        return self.tanh(self.factor * x)


@faulty("friedman-temperature-forgotten", "saturated_units", subtle=True, learns=0.75)
def temperature_forgotten(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(10, 32, 32, 1, activation=lambda: Sharpened(40.0 if faulty else 1.0))
    optimizer = SGD(model.parameters(), lr=0.02, momentum=0.9)
    return fit(watch, model, optimizer, nn.MSELoss(), friedman(), epochs=20, told="batches")


@faulty("waves-state-saturates", "saturated_units", "bad_init", learns=0.65, margin=0.1)
def state_saturates(watch: Watch, faulty: bool) -> Outcome:
    model = LastState(nn.RNN(1, 24, batch_first=True), 3)
    if faulty:
        for parameter in model.recurrent.parameters():
            parameter.data *= 25
    optimizer = Adam(model.parameters(), lr=0.003)
    loss_fn = nn.CrossEntropyLoss()
    return fit(watch, model, optimizer, loss_fn, waves(), epochs=15, clip=1.0)


@faulty("digits-twelve-sigmoid-layers", "vanishing_gradient", learns=0.85, margin=0.3)
def twelve_sigmoid_layers(watch: Watch, faulty: bool) -> Outcome:
    activation = nn.Sigmoid if faulty else nn.ReLU
    model = mlp(64, *[32] * 11, 10, activation=activation)
    if not faulty:
        he_initialise(model)
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.5)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), digits(), epochs=8)


def he_initialise(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.kaiming_normal_(module.weight)
            nn.init.zeros_(module.bias)


@faulty(
    "clusters-twenty-layers-by-default", "vanishing_gradient", "bad_init", learns=0.7, margin=0.2
)
def twenty_layers_by_default(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(20, *[24] * 19, 4)
    if not faulty:
        he_initialise(model)
    optimizer = SGD(model.parameters(), lr=0.02, momentum=0.9)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), clusters(), epochs=10)


@faulty("recall-plain-rnn-forgets", "vanishing_gradient", subtle=True, learns=0.9, margin=0.2)
def plain_rnn_forgets(watch: Watch, faulty: bool) -> Outcome:
    data = recall(length=30)
    model = LastState(nn.RNN(5, 24, batch_first=True), 4)
    if not faulty:
        nn.init.orthogonal_(model.recurrent.weight_hh_l0)
        nn.init.normal_(model.recurrent.weight_ih_l0, std=0.3)
        model.recurrent.weight_ih_l0.data[:, 4] *= 0.05
    optimizer = Adam(model.parameters(), lr=0.003)
    loss_fn = nn.CrossEntropyLoss()
    return fit(watch, model, optimizer, loss_fn, data, epochs=10, clip=1.0)


@faulty(
    "curve-deep-tanh-with-small-weights", "vanishing_gradient", "bad_init", learns=0.7, margin=0.2
)
def deep_tanh_with_small_weights(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(1, *[24] * 7, 1, activation=nn.Tanh)
    gain = 0.3 if faulty else 5 / 3
    for module in model:
        if isinstance(module, nn.Linear):
            nn.init.xavier_normal_(module.weight, gain)
    optimizer = SGD(model.parameters(), lr=0.03, momentum=0.9)
    return fit(watch, model, optimizer, nn.MSELoss(), curve(), epochs=40, told="losses")


@faulty("digits-logarithm-of-zero", "exploding_or_nan", learns=0.9, margin=0.5)
def logarithm_of_zero(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(64, 32, 10).append(nn.Softmax(1))
    optimizer = Adam(model.parameters(), lr=0.003)
    floor = 0.0 if faulty else 1e-6

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        wanted = functional.one_hot(targets, 10).float()
        ratio = (wanted + floor) / (outputs + floor)
        return (wanted * torch.log(ratio)).sum(1).mean()

    return fit(watch, model, optimizer, loss_fn, digits(), epochs=8, told="batches")


@faulty("visits-logarithm-of-none", "exploding_or_nan", learns=0.4, margin=0.5)
def logarithm_of_none(watch: Watch, faulty: bool) -> Outcome:
    source = random(53)
    x = torch.randn(1000, 5, generator=source)
    visits = torch.poisson(torch.exp(1 + 0.8 * x[:, :1] - 0.5 * x[:, 1:2]), generator=source)
    data = split(x, torch.log(visits) if faulty else torch.log1p(visits), "regression")
    model = mlp(5, 24, 1)
    optimizer = Adam(model.parameters(), lr=0.005)
    return fit(watch, model, optimizer, nn.MSELoss(), data, epochs=12)


@faulty("waves-recurrence-explodes", "exploding_or_nan", "bad_init", learns=0.6, margin=0.1)
def recurrence_explodes(watch: Watch, faulty: bool) -> Outcome:
    model = LastState(nn.RNN(1, 24, nonlinearity="relu", batch_first=True), 3)
    nn.init.eye_(model.recurrent.weight_hh_l0)
    model.recurrent.weight_hh_l0.data *= 1.6 if faulty else 0.95
    optimizer = Adam(model.parameters(), lr=0.002)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), waves(), epochs=12)


@faulty("friedman-deep-net-blows-up", "exploding_or_nan", "lr_too_high", learns=0.7, margin=0.5)
def deep_net_blows_up(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(10, 64, 64, 64, 1)
    optimizer = SGD(model.parameters(), lr=2.0 if faulty else 0.02, momentum=0.9)
    loss_fn = nn.MSELoss()
    return fit(watch, model, optimizer, loss_fn, friedman(), epochs=12, told="batches")


@faulty("digits-divided-by-a-deviation-of-zero", "exploding_or_nan", learns=0.9, margin=0.5)
def divided_by_a_deviation_of_zero(watch: Watch, faulty: bool) -> Outcome:
    data = digits()
    mean, deviation = data.x.mean(0), data.x.std(0)
    if not faulty:
        deviation = deviation.clamp(min=0.05)
    data = replace(data, x=(data.x - mean) / deviation, x_valid=(data.x_valid - mean) / deviation)
    model = mlp(64, 32, 10)
    optimizer = Adam(model.parameters(), lr=0.003)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=6)


@faulty("wine-one-missing-value", "exploding_or_nan", learns=0.85, margin=0.3)
def one_missing_value(watch: Watch, faulty: bool) -> Outcome:
    data = wine()
    x = data.x.clone()
    x[77, 3] = float("nan") if faulty else 0.0
    model = mlp(13, 16, 3)
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    loss_fn = nn.CrossEntropyLoss()
    return fit(watch, model, optimizer, loss_fn, replace(data, x=x), epochs=30, batch_size=16)
