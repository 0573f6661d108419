"""Layers of version 4 that start wrongly, die, stick at their ends, or grow without a bound."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, Adagrad, Adam, AdamW, RMSprop

from benchmarks.corpus.data import digit_images, standardise, standardise_targets
from benchmarks.corpus.further_architectures import (
    GraphNetwork,
    NameReader,
    Patches,
    cell_network,
    image_network,
)
from benchmarks.corpus.further_tasks import (
    bikes,
    cells,
    chirps,
    demand,
    digit_rows,
    dots,
    groups,
    halves,
    names,
    papers,
    parity,
    raw_bikes,
    turned,
    xor,
)
from benchmarks.corpus.loop import probability_accuracy
from benchmarks.corpus.more_tasks import map_inputs
from benchmarks.corpus.networks import LastState, mlp
from benchmarks.corpus.program import Outcome, Watch, faulty
from benchmarks.corpus.training import label_f1, train


@faulty("xor-every-weight-a-half", "bad_init", learns=0.9, margin=0.1, version=4)
def every_weight_a_half(watch: Watch, faulty: bool) -> Outcome:
    """`constant_(weight, 0.5)`: sixteen hidden units that stay one."""
    model = mlp(2, 16, 1, activation=nn.Tanh)
    if faulty:
        for parameter in model.parameters():
            nn.init.constant_(parameter, 0.5)
    optimizer = Adam(model.parameters(), lr=0.02)
    loss_fn = nn.BCEWithLogitsLoss()
    return train(watch, model, optimizer, loss_fn, xor(), epochs=15, batch_size=20)


@faulty("digit-patches-places-left-empty", "bad_init", learns=0.75, margin=0.1, version=4)
def places_left_empty(watch: Watch, faulty: bool) -> Outcome:
    """`nn.Parameter(torch.empty(16, 24))` holds what the memory held: large numbers, here."""
    model = Patches()
    if faulty:
        nn.init.uniform_(model.places, -3e3, 3e3)
    optimizer = AdamW(model.parameters(), lr=0.005)
    loss_fn = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, loss_fn, digit_images(), epochs=5, batch_size=64)


@faulty("dots-kernels-of-deviation-one", "bad_init", subtle=True, learns=0.8, version=4)
def kernels_of_deviation_one(watch: Watch, faulty: bool) -> Outcome:
    """`normal_(weight)` for all layers, as `tf.random_normal` once did by default."""
    model = image_network(4)
    if faulty:
        for parameter in model.parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter)
    optimizer = Adam(model.parameters(), lr=0.005)
    loss_fn = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, loss_fn, dots(), epochs=8, told="batches")


@faulty("papers-glorot-with-a-gain-of-fifty", "bad_init", learns=0.7, version=4)
def glorot_with_a_gain_of_fifty(watch: Watch, faulty: bool) -> Outcome:
    """`xavier_uniform_(weight, 50)`, where the second argument is no size but a factor."""
    model = GraphNetwork(dropout=0.0)
    for layer in (model.first, model.second):
        nn.init.xavier_uniform_(layer.weight, 50.0 if faulty else 1.0)
    optimizer = Adagrad(model.parameters(), lr=0.05)
    loss_fn = nn.CrossEntropyLoss()
    data = papers()[0]
    return train(watch, model, optimizer, loss_fn, data, epochs=30, batch_size=100, told="data")


@faulty("bikes-counts-in-the-hundreds", "dying_relu", "lr_too_high", learns=0.25, version=4)
def counts_in_the_hundreds(watch: Watch, faulty: bool) -> Outcome:
    """Targets up to several hundreds: the first steps throw all units below nought."""
    data = standardise(raw_bikes())
    if not faulty:
        data = standardise_targets(data)
    model = mlp(6, 32, 32, 1)
    optimizer = SGD(model.parameters(), lr=0.001, momentum=0.9)
    return train(watch, model, optimizer, nn.MSELoss(), data, epochs=20)


@faulty("cells-rare-prior-in-every-layer", "dying_relu", "bad_init", learns=0.8, version=4)
def rare_prior_in_every_layer(watch: Watch, faulty: bool) -> Outcome:
    """The bias −4.6 of a detector's last layer (Lin et al., 2017) was given to all of them."""
    model = cell_network()
    for layer in list(model) if faulty else [model[-1]]:
        if isinstance(layer, nn.Conv2d) and layer.bias is not None:
            nn.init.constant_(layer.bias, -4.6)
    optimizer = Adam(model.parameters(), lr=0.01)
    return train(
        watch,
        model,
        optimizer,
        nn.BCEWithLogitsLoss(),
        cells(),
        epochs=7,
        batch_size=16,
        told="data",
        metric=label_f1,
    )


@faulty(
    "halves-pixels-through-a-relu",
    "dying_relu",
    "output_activation",
    subtle=True,
    learns=0.5,
    version=4,
)
def pixels_through_a_relu(watch: Watch, faulty: bool) -> Outcome:
    """Grey is never negative, so the last layer is a ReLU: some pixels stay black for good."""
    model = mlp(32, 64, 32)
    if faulty:
        model.append(nn.ReLU())
    optimizer = RMSprop(model.parameters(), lr=0.003)
    return train(watch, model, optimizer, nn.MSELoss(), halves(), epochs=8)


@faulty(
    "turned-rate-of-a-tenth-in-adam",
    "dying_relu",
    "lr_too_high",
    subtle=True,
    learns=0.6,
    version=4,
)
def rate_of_a_tenth_in_adam(watch: Watch, faulty: bool) -> Outcome:
    """Adam at SGD's 0.1: after some steps most units answer to no image."""
    model = image_network(4, side=8)
    optimizer = Adam(model.parameters(), lr=0.1 if faulty else 0.005)
    loss_fn = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, loss_fn, turned(), epochs=5, told="data")


@faulty("names-letters-far-apart", "saturated_units", "bad_init", learns=0.6, version=4)
def letters_far_apart(watch: Watch, faulty: bool) -> Outcome:
    """Embeddings of deviation 40 open or shut every gate of the GRU behind them."""
    model = NameReader()
    if faulty:
        nn.init.normal_(model.embedding.weight, std=40.0)
    optimizer = Adam(model.parameters(), lr=0.01)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), names(), epochs=6)


@faulty("digit-rows-state-drawn-too-wide", "saturated_units", "bad_init", learns=0.7, version=4)
def state_drawn_too_wide(watch: Watch, faulty: bool) -> Outcome:
    """Weights between states of deviation 1: the tanh units flip between −1 and 1."""
    model = LastState(nn.RNN(8, 48, batch_first=True), 10)
    if faulty:
        nn.init.normal_(model.recurrent.get_parameter("weight_hh_l0"))
        nn.init.normal_(model.recurrent.get_parameter("weight_ih_l0"))
    optimizer = Adam(model.parameters(), lr=0.003)
    loss_fn = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, loss_fn, digit_rows(), epochs=5, clip=1.0)


@faulty(
    "parity-bytes-into-sigmoids",
    "saturated_units",
    "unnormalised_inputs",
    "dtype_scale",
    learns=0.85,
    version=4,
)
def bytes_into_sigmoids(watch: Watch, faulty: bool) -> Outcome:
    """Sums over 64 pixels up to 255 leave each sigmoid at 0 or at 1."""
    data = parity()
    if faulty:
        data = map_inputs(data, lambda x: 255 * x)
    model = mlp(64, 48, 1, activation=nn.Sigmoid)
    optimizer = SGD(model.parameters(), lr=0.5, momentum=0.9)
    return train(watch, model, optimizer, nn.BCEWithLogitsLoss(), data, epochs=12)


class Gaze(nn.Module):
    """Weighs the hours by a softmax, whose scores may be divided by a small temperature."""

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.score, self.value = nn.Linear(24, 24), nn.Linear(24, 24)
        self.head, self.temperature = nn.Linear(24, 6), temperature

    def forward(self, x: Tensor) -> Tensor:
        share = torch.softmax(self.score(x) / self.temperature, 1)
        return self.head(24 * share * self.value(x))


@faulty("demand-temperature-of-a-hundredth", "saturated_units", subtle=True, learns=0.75, version=4)
def temperature_of_a_hundredth(watch: Watch, faulty: bool) -> Outcome:
    """A softmax at 0.01 looks at one hour only."""
    model = Gaze(0.01 if faulty else 1.0)
    optimizer = Adam(model.parameters(), lr=0.005)
    return train(watch, model, optimizer, nn.MSELoss(), demand(), epochs=10, told="data")


@faulty("groups-eight-sigmoid-layers", "vanishing_gradient", learns=0.7, margin=0.2, version=4)
def eight_sigmoid_layers(watch: Watch, faulty: bool) -> Outcome:
    activation = nn.Sigmoid if faulty else nn.ReLU
    model = mlp(2, *[24] * 8, 5, activation=activation)
    for layer in model:
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    optimizer = SGD(model.parameters(), lr=0.02, momentum=0.9)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), groups(), epochs=12)


@faulty("names-read-to-the-end-of-the-padding", "vanishing_gradient", learns=0.6, version=4)
def read_to_the_end_of_the_padding(watch: Watch, faulty: bool) -> Outcome:
    """Names are padded to 24 letters; the state is read after the padding, which it forgot by."""

    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(17, 12, padding_idx=0)
            self.recurrent = nn.RNN(12, 32, batch_first=True)
            self.head = nn.Linear(32, 3)

        def forward(self, x: Tensor) -> Tensor:
            states, _ = self.recurrent(self.embedding(functional.pad(x, (0, 16))))
            last = (x > 0).sum(1) - 1
            return self.head(states[:, -1] if faulty else states[torch.arange(len(x)), last])

    model = Plain()
    optimizer = Adam(model.parameters(), lr=0.01)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), names(), epochs=6)


@faulty("chirps-nine-tanh-convolutions", "vanishing_gradient", "bad_init", learns=0.7, version=4)
def nine_tanh_convolutions(watch: Watch, faulty: bool) -> Outcome:
    """Nine layers of kernels drawn with deviation 0.05, and nothing that leads past them."""
    layers: list[nn.Module] = [nn.Conv1d(1, 8, 5, stride=2, padding=2), nn.Tanh()]
    for _ in range(8):
        layers += [nn.Conv1d(8, 8, 3, padding=1), nn.Tanh()]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(256, 3))
    for layer in model:
        if isinstance(layer, nn.Conv1d):
            if faulty:
                nn.init.normal_(layer.weight, std=0.05)
            else:
                nn.init.xavier_normal_(layer.weight, nn.init.calculate_gain("tanh"))
    optimizer = Adam(model.parameters(), lr=0.002)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), chirps(), epochs=6)


@faulty("bikes-dozen-layers-for-a-table", "vanishing_gradient", learns=0.4, version=4)
def dozen_layers_for_a_table(watch: Watch, faulty: bool) -> Outcome:
    """Fourteen tanh layers with the default weights, where two do better."""
    model = mlp(6, *[32] * (14 if faulty else 2), 1, activation=nn.Tanh)
    optimizer = SGD(model.parameters(), lr=0.02, momentum=0.9)
    return train(watch, model, optimizer, nn.MSELoss(), bikes(), epochs=12)


@faulty("bikes-logarithm-of-a-forecast", "exploding_or_nan", learns=0.4, margin=0.3, version=4)
def logarithm_of_a_forecast(watch: Watch, faulty: bool) -> Outcome:
    """The squared logarithmic error, of a network that may forecast less than −1 bikes."""
    data = standardise(raw_bikes())
    data = type(data)(data.x, data.y / 100, data.x_valid, data.y_valid / 100, data.task)
    model = mlp(6, 64, 64, 1)
    optimizer = Adam(model.parameters(), lr=0.01)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        said = 100 * (outputs if faulty else functional.softplus(outputs))
        return ((torch.log1p(said) - torch.log1p(100 * targets)) ** 2).mean()

    def metric(outputs: Tensor, targets: Tensor) -> float:
        said = outputs if faulty else functional.softplus(outputs)
        missed = ((said - targets) ** 2).mean() / targets.var()
        return max(-1.0, 1 - missed.item()) if missed.isfinite() else -1.0

    return train(watch, model, optimizer, loss_fn, data, epochs=12, metric=metric, told="data")


@faulty("parity-own-entropy-without-a-floor", "exploding_or_nan", learns=0.85, version=4)
def own_entropy_without_a_floor(watch: Watch, faulty: bool) -> Outcome:
    """−y log p − (1 − y) log(1 − p): once a p is 1, 0 · log 0 is NaN."""
    data = map_inputs(parity(), lambda x: 4 * x)
    model = nn.Sequential(*mlp(64, 64, 1), nn.Sigmoid())
    optimizer = Adam(model.parameters(), lr=0.02)
    floor = 0.0 if faulty else 1e-6

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        outputs = outputs.clamp(floor, 1 - floor)
        yes, no = targets * torch.log(outputs), (1 - targets) * torch.log(1 - outputs)
        return -(yes + no).mean()

    return train(watch, model, optimizer, loss_fn, data, epochs=12, metric=probability_accuracy)


@faulty("demand-relu-state-without-clipping", "exploding_or_nan", "bad_init", learns=0.6, version=4)
def relu_state_without_clipping(watch: Watch, faulty: bool) -> Outcome:
    """A ReLU recurrence whose weights nearly double the state at each of 24 steps."""
    model = LastState(nn.RNN(1, 24, nonlinearity="relu", batch_first=True), 6)
    between = model.recurrent.get_parameter("weight_hh_l0")
    nn.init.eye_(between)
    if faulty:
        between.data.mul_(1.8)
    optimizer = RMSprop(model.parameters(), lr=0.002)
    data = map_inputs(demand(), lambda x: x[..., None])
    return train(watch, model, optimizer, nn.MSELoss(), data, epochs=8, told="batches")


@faulty("demand-change-since-nought", "exploding_or_nan", learns=0.7, margin=0.2, version=4)
def change_since_nought(watch: Watch, faulty: bool) -> Outcome:
    """Each hour's change relative to the last one, of a meter that stood at 0 for a while."""
    data = demand()
    use = data.x.clone() + 6
    use[100:103, 4:8] = 0.0
    floor = 0.0 if faulty else 0.5

    def change(x: Tensor) -> Tensor:
        relative = (x[:, 1:] - x[:, :-1]) / x[:, :-1].clamp(min=floor)
        return torch.cat([x - 6, 6 * relative], 1)

    data = type(data)(change(use), data.y, change(data.x_valid + 6), data.y_valid, data.task)
    model = mlp(47, 48, 6)
    optimizer = Adam(model.parameters(), lr=0.003)
    return train(watch, model, optimizer, nn.MSELoss(), data, epochs=10, told="data")
