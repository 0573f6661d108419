"""Healthy trainings whose networks look suspicious."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, Adam, AdamW

from benchmarks.corpus.data import (
    arrows,
    as_reconstruction,
    cancer,
    clusters,
    diabetes,
    digit_images,
    digits,
    friedman,
    moons,
    recall,
    sentences,
    waves,
    wine,
)
from benchmarks.corpus.loop import fit, probability_accuracy
from benchmarks.corpus.networks import LastState, mlp
from benchmarks.corpus.program import Outcome, Watch, healthy


@healthy("digits-sparse-relu-units", learns=0.92)
def sparse_relu_units(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(64, 96, 10)
    nn.init.constant_(model[0].bias, -0.15)
    optimizer = Adam(model.parameters(), lr=0.003)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), digits(), epochs=10)


@healthy("cancer-sigmoid-and-bce", learns=0.93)
def sigmoid_and_bce(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(30, 12, 1).append(nn.Sigmoid())
    optimizer = Adam(model.parameters(), lr=0.005)
    return fit(
        watch, model, optimizer, nn.BCELoss(), cancer(), epochs=10, metric=probability_accuracy
    )


@healthy("wine-log-softmax-and-nll", learns=0.85)
def log_softmax_and_nll(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(13, 16, 3).append(nn.LogSoftmax(1))
    optimizer = Adam(model.parameters(), lr=0.01)
    return fit(watch, model, optimizer, nn.NLLLoss(), wine(), epochs=40)


@healthy("digits-sigmoid-pixels-reproduced", learns=0.5)
def sigmoid_pixels_reproduced(watch: Watch, faulty: bool) -> Outcome:
    data = as_reconstruction(digits())
    model = mlp(64, 24, 64).append(nn.Sigmoid())
    optimizer = Adam(model.parameters(), lr=0.01)
    return fit(watch, model, optimizer, nn.BCELoss(), data, epochs=12)


class TiedAutoencoder(nn.Module):
    """One matrix codes and decodes, and one hidden layer is used in both."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.hidden = nn.Linear(64, 24), nn.Linear(24, 24)
        self.bias = nn.Parameter(torch.zeros(64))

    def forward(self, x: Tensor) -> Tensor:
        code = torch.tanh(self.hidden(torch.tanh(self.encoder(x))))
        return functional.linear(torch.tanh(self.hidden(code)), self.encoder.weight.T, self.bias)


@healthy("digits-tied-autoencoder", learns=0.5)
def tied_autoencoder(watch: Watch, faulty: bool) -> Outcome:
    data = as_reconstruction(digits())
    model = TiedAutoencoder()
    optimizer = Adam(model.parameters(), lr=0.005)
    return fit(watch, model, optimizer, nn.MSELoss(), data, epochs=12, told="batches")


@healthy("recall-saturated-gates", learns=0.95)
def saturated_gates(watch: Watch, faulty: bool) -> Outcome:
    model = LastState(nn.LSTM(5, 24, batch_first=True), 4)
    for bias in (model.recurrent.bias_ih_l0, model.recurrent.bias_hh_l0):
        bias.data[24:48] = 2.0
    optimizer = Adam(model.parameters(), lr=0.01)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), recall(length=15), epochs=8)


class Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.first, self.second = (
            nn.LayerNorm(width),
            nn.Linear(width, width),
            nn.Linear(width, width),
        )
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(functional.gelu(self.first(self.norm(x))))


@healthy("clusters-residual-blocks-start-at-zero", learns=0.85)
def residual_blocks_start_at_zero(watch: Watch, faulty: bool) -> Outcome:
    blocks = [Residual(32) for _ in range(6)]
    model = nn.Sequential(nn.Linear(20, 32), *blocks, nn.Linear(32, 4))
    optimizer = AdamW(model.parameters(), lr=0.003)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), clusters(), epochs=8)


@healthy("digits-output-layer-starts-at-zero", learns=0.92)
def output_layer_starts_at_zero(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(64, 48, 10)
    nn.init.zeros_(model[-1].weight)
    nn.init.zeros_(model[-1].bias)
    optimizer = SGD(model.parameters(), lr=0.2, momentum=0.9)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), digits(), epochs=8)


@healthy("arrows-batchnorm-in-a-small-net", learns=0.75)
def batchnorm_in_a_small_net(watch: Watch, faulty: bool) -> Outcome:
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(3),
        nn.Flatten(),
        nn.Linear(144, 4),
    )
    optimizer = Adam(model.parameters(), lr=0.005)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), arrows(), epochs=8, batch_size=16)


@healthy("diabetes-validation-better-because-of-dropout", learns=0.3)
def validation_better_because_of_dropout(watch: Watch, faulty: bool) -> Outcome:
    model = nn.Sequential(nn.Linear(10, 64), nn.ReLU(), nn.Dropout(0.5), nn.Linear(64, 1))
    optimizer = Adam(model.parameters(), lr=0.005)
    return fit(watch, model, optimizer, nn.MSELoss(), diabetes(), epochs=20)


@healthy("digit-images-dropout-and-batchnorm", learns=0.92)
def dropout_and_batchnorm(watch: Watch, faulty: bool) -> Outcome:
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.4),
        nn.Linear(576, 10),
    )
    optimizer = Adam(model.parameters(), lr=0.002)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), digit_images(), epochs=8)


@healthy("moons-tanh-at-its-ends-when-sure", learns=0.95)
def tanh_at_its_ends_when_sure(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(2, 16, 16, 1, activation=nn.Tanh)
    optimizer = Adam(model.parameters(), lr=0.03)
    return fit(watch, model, optimizer, nn.BCEWithLogitsLoss(), moons(noise=0.1), epochs=25)


@healthy("clusters-one-sigmoid-layer", learns=0.85)
def one_sigmoid_layer(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(20, 48, 4, activation=nn.Sigmoid)
    optimizer = Adam(model.parameters(), lr=0.01)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), clusters(), epochs=12)


class Attending(nn.Module):
    """A small transformer over words; one head of four may look nowhere in particular."""

    def __init__(self, words: int, classes: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, 16)
        self.block = nn.TransformerEncoderLayer(16, 4, 32, dropout=0.1, batch_first=True)
        self.head = nn.Linear(16, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.block(self.embedding(x)).mean(1))


@healthy("sentences-small-transformer", learns=0.75)
def small_transformer(watch: Watch, faulty: bool) -> Outcome:
    model = Attending(60, 3)
    optimizer = AdamW(model.parameters(), lr=0.002)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), sentences(), epochs=8)


class TwoHeads(nn.Module):
    """A network whose second head is kept for a later task and has no part in the loss."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(64, 48), nn.ReLU())
        self.heads = nn.ModuleDict({"now": nn.Linear(48, 10), "later": nn.Linear(48, 3)})
        self.heads["later"].requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        return self.heads["now"](self.trunk(x))


@healthy("digits-second-head-is-for-later", learns=0.92)
def second_head_is_for_later(watch: Watch, faulty: bool) -> Outcome:
    model = TwoHeads()
    optimizer = Adam([p for p in model.parameters() if p.requires_grad], lr=0.003)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), digits(), epochs=8)


class Copying(nn.Module):
    """The target of one branch is the detached output of another, on purpose."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Linear(64, 32), nn.ReLU())
        self.head = nn.Linear(32, 10)
        self.probe = nn.Linear(32, 2)

    def forward(self, x: Tensor) -> Tensor:
        features = self.features(x)
        return torch.cat([self.head(features), self.probe(features.detach())], 1)


@healthy("digits-probe-on-detached-features", learns=0.9)
def probe_on_detached_features(watch: Watch, faulty: bool) -> Outcome:
    model = Copying()
    optimizer = Adam(model.parameters(), lr=0.003)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        main = functional.cross_entropy(outputs[:, :10], targets)
        return main + 0.5 * functional.cross_entropy(outputs[:, 10:], targets % 2)

    def metric(outputs: Tensor, targets: Tensor) -> float:
        return (outputs[:, :10].argmax(1) == targets).float().mean().item()

    return fit(watch, model, optimizer, loss_fn, digits(), epochs=8, metric=metric)


class Rounded(torch.autograd.Function):
    """Rounds; the derivative is that of the identity, on purpose (straight-through)."""

    @staticmethod
    def forward(ctx: object, inputs: Tensor) -> Tensor:
        return inputs.round()

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        return gradient


class Quantised(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return Rounded.apply(4 * x) / 4


@healthy("digits-straight-through-rounding", learns=0.9)
def straight_through_rounding(watch: Watch, faulty: bool) -> Outcome:
    model = nn.Sequential(nn.Linear(64, 48), nn.Tanh(), Quantised(), nn.Linear(48, 10))
    optimizer = Adam(model.parameters(), lr=0.005)
    loss_fn = nn.CrossEntropyLoss()
    return fit(watch, model, optimizer, loss_fn, digits(), epochs=8, told="batches")


@healthy("waves-one-dimensional-convolutions", learns=0.85)
def one_dimensional_convolutions(watch: Watch, faulty: bool) -> Outcome:
    model = nn.Sequential(
        nn.Flatten(),
        nn.Unflatten(1, (1, 40)),
        nn.Conv1d(1, 16, 7, stride=2),
        nn.LeakyReLU(0.1),
        nn.Conv1d(16, 16, 5, stride=2),
        nn.LeakyReLU(0.1),
        nn.AdaptiveMaxPool1d(1),
        nn.Flatten(),
        nn.Linear(16, 3),
    )
    optimizer = Adam(model.parameters(), lr=0.003)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), waves(), epochs=12)


@healthy("friedman-positive-outputs-through-softplus", learns=0.8)
def positive_outputs_through_softplus(watch: Watch, faulty: bool) -> Outcome:
    data = friedman()
    low = min(data.y.min().item(), data.y_valid.min().item())
    shifted = type(data)(data.x, data.y - low, data.x_valid, data.y_valid - low, data.task)
    model = mlp(10, 48, 1).append(nn.Softplus())
    optimizer = Adam(model.parameters(), lr=0.005)
    return fit(watch, model, optimizer, nn.MSELoss(), shifted, epochs=20)


@healthy("digits-wide-net-of-two-layers", learns=0.93)
def wide_net_of_two_layers(watch: Watch, faulty: bool) -> Outcome:
    model = nn.Sequential(nn.Linear(64, 512), nn.ReLU(), nn.Linear(512, 10))
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), digits(), epochs=8)
