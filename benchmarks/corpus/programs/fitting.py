"""Models of version 4 that learn by heart, are too simple, or are held back."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, RMSprop

from benchmarks.corpus.data import random
from benchmarks.corpus.further_architectures import (
    NamePieces,
    Steps,
    image_network,
    motion_network,
    sound_network,
)
from benchmarks.corpus.further_tasks import (
    additions,
    bikes,
    chirps,
    clocks,
    demand,
    dots,
    halves,
    motions,
    names,
    passengers,
    xor,
)
from benchmarks.corpus.more_tasks import map_inputs
from benchmarks.corpus.networks import mlp
from benchmarks.corpus.program import Outcome, Watch, faulty
from benchmarks.corpus.training import position_accuracy, train


@faulty("names-ninety-names-by-heart", "overfitting", learns=0.65, margin=0.1, version=4)
def ninety_names_by_heart(watch: Watch, faulty: bool) -> Outcome:
    data = names().head(90) if faulty else names()
    model = NamePieces(width=64)
    optimizer = Adam(model.parameters(), lr=0.01)
    epochs, size = (70, 15) if faulty else (7, 32)
    loss_fn = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, loss_fn, data, epochs=epochs, batch_size=size)


@faulty("bikes-three-wide-layers-for-few-hours", "overfitting", learns=0.5, version=4)
def three_wide_layers_for_few_hours(watch: Watch, faulty: bool) -> Outcome:
    """Three layers of 96 for a hundred rows, long after they are known by heart."""
    data = bikes().head(100) if faulty else bikes()
    model = mlp(6, 96, 96, 96, 1)
    optimizer = AdamW(model.parameters(), lr=0.003)
    epochs, size = (80, 20) if faulty else (12, 32)
    return train(watch, model, optimizer, nn.MSELoss(), data, epochs=epochs, batch_size=size)


@faulty("chirps-sixty-sounds-by-heart", "overfitting", learns=0.7, margin=0.1, version=4)
def sixty_sounds_by_heart(watch: Watch, faulty: bool) -> Outcome:
    data = chirps(noise=0.8)
    data = data.head(60) if faulty else data
    model = sound_network()
    optimizer = Adam(model.parameters(), lr=0.003)
    epochs, size = (40, 12) if faulty else (5, 32)
    return train(
        watch,
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        data,
        epochs=epochs,
        batch_size=size,
        told="data",
    )


@faulty(
    "passengers-a-number-for-each-ticket",
    "overfitting",
    subtle=True,
    learns=0.75,
    margin=0.03,
    version=4,
)
def a_number_for_each_ticket(watch: Watch, faulty: bool) -> Outcome:
    """The ticket, of which there are two hundred, as as many columns, for 150 rows."""
    data = passengers().head(150)
    if faulty:
        parts: list[Tensor] = []
        for x, seed in ((data.x, 451), (data.x_valid, 452)):
            ticket = torch.randint(200, (len(x),), generator=random(seed))
            parts.append(torch.cat([x, 4 * torch.eye(200)[ticket]], 1))
        data = replace(data, x=parts[0], x_valid=parts[1])
    model = mlp(205, 96, 1) if faulty else mlp(5, 8, 1)
    optimizer = Adam(model.parameters(), lr=0.005)
    loss_fn = nn.BCEWithLogitsLoss()
    return train(watch, model, optimizer, loss_fn, data, epochs=40, batch_size=20)


@faulty("xor-a-single-neuron", "underfitting", learns=0.9, margin=0.2, version=4)
def a_single_neuron(watch: Watch, faulty: bool) -> Outcome:
    """Minsky and Papert's (1969) perceptron."""
    model = mlp(2, 1) if faulty else mlp(2, 16, 1, activation=nn.Tanh)
    optimizer = Adam(model.parameters(), lr=0.03)
    loss_fn = nn.BCEWithLogitsLoss()
    return train(watch, model, optimizer, loss_fn, xor(), epochs=12, batch_size=20)


@faulty("clocks-two-units-see-four-places", "underfitting", learns=0.8, version=4)
def two_units_see_four_places(watch: Watch, faulty: bool) -> Outcome:
    """Images are averaged to four places before a layer of two units."""
    model = image_network(2)
    if faulty:
        model = nn.Sequential(nn.AvgPool2d(6), nn.Flatten(), nn.Linear(4, 2), nn.ReLU())
        model.append(nn.Linear(2, 2))
    optimizer = Adam(model.parameters(), lr=0.005)
    return train(watch, model, optimizer, nn.MSELoss(), clocks(), epochs=8, told="data")


@faulty("bikes-a-straight-line-by-the-hour", "underfitting", subtle=True, learns=0.4, version=4)
def a_straight_line_by_the_hour(watch: Watch, faulty: bool) -> Outcome:
    """Linear in the hour, of which there are two peaks."""
    model = mlp(6, 1) if faulty else mlp(6, 64, 64, 1)
    optimizer = Adam(model.parameters(), lr=0.01)
    return train(watch, model, optimizer, nn.MSELoss(), bikes(), epochs=12)


@faulty("additions-no-bit-is-carried", "underfitting", subtle=True, learns=0.8, version=4)
def no_bit_is_carried(watch: Watch, faulty: bool) -> Outcome:
    """Each bit of the sum is worked out from the two bits at its place alone."""

    class Places(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = mlp(2, 32, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.body(x).transpose(1, 2)

    model = Places() if faulty else Steps(nn.GRU(2, 24, batch_first=True))
    optimizer = Adam(model.parameters(), lr=0.02)
    return train(
        watch,
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        additions(),
        epochs=10,
        told="data",
        metric=position_accuracy,
    )


@faulty("motions-decay-of-a-half", "over_regularised", learns=0.8, margin=0.1, version=4)
def decay_of_a_half(watch: Watch, faulty: bool) -> Outcome:
    data = map_inputs(motions(), lambda x: x.transpose(1, 2).contiguous())
    model = motion_network()
    decay = 0.5 if faulty else 5e-4
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=decay)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=8)


@faulty("dots-dropout-after-every-layer", "over_regularised", subtle=True, learns=0.8, version=4)
def dropout_after_every_layer(watch: Watch, faulty: bool) -> Outcome:
    """Dropout of 0.6 after each of three layers of a small net."""
    model = nn.Sequential()
    for layer in image_network(4):
        model.append(layer)
        if isinstance(layer, nn.ReLU):
            model.append(nn.Dropout(0.6 if faulty else 0.05))
    optimizer = Adam(model.parameters(), lr=0.005)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), dots(), epochs=6)


@faulty("halves-squares-of-all-weights-added", "over_regularised", learns=0.5, version=4)
def squares_of_all_weights_added(watch: Watch, faulty: bool) -> Outcome:
    """Half the sum of all squared weights is added to a mean loss, without a factor."""
    model = mlp(32, 64, 32)
    optimizer = RMSprop(model.parameters(), lr=0.003)
    criterion = nn.MSELoss()
    strength = 0.5 if faulty else 1e-6

    def update(xb: Tensor, yb: Tensor) -> tuple[Tensor, Tensor]:
        optimizer.zero_grad()
        outputs = model(xb)
        squares = torch.stack([parameter.square().sum() for parameter in model.parameters()])
        loss = criterion(outputs, yb) + strength * squares.sum()
        loss.backward()
        optimizer.step()
        return loss, outputs

    return train(watch, model, optimizer, criterion, halves(), epochs=8, update=update)


@faulty(
    "demand-decay-found-for-a-larger-net", "over_regularised", subtle=True, learns=0.8, version=4
)
def decay_found_for_a_larger_net(watch: Watch, faulty: bool) -> Outcome:
    """A decay of 0.2 pulls all forecasts towards the mean."""
    model = mlp(24, 48, 6)
    decay = 0.2 if faulty else 1e-4
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.8, weight_decay=decay)
    return train(watch, model, optimizer, nn.MSELoss(), demand(), epochs=12, told="data")
