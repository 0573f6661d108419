"""Healthy trainings of version 3 whose model looks suspicious."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm, weight_norm
from torch.optim import SGD, Adam, AdamW, NAdam, RMSprop

from benchmarks.corpus.data import digit_images, digits, recall
from benchmarks.corpus.loop import probability_accuracy, r_squared
from benchmarks.corpus.more_architectures import (
    CausalTransformer,
    Highway,
    Reader,
    Table,
    UNet,
    Variational,
    colour_network,
    divergence,
    frame_network,
    spot_network,
)
from benchmarks.corpus.more_tasks import (
    claims,
    fields,
    frames,
    hastie,
    leaves,
    machines,
    map_inputs,
    orders,
    phases,
    reviews,
    ribbon,
    scenes,
    spots,
)
from benchmarks.corpus.networks import LastState, mlp
from benchmarks.corpus.program import Outcome, Watch, healthy
from benchmarks.corpus.tasks import letters, pairs, sensors, series, shells
from benchmarks.corpus.training import position_accuracy, train


@healthy("hastie-nine-units-in-ten-at-rest", learns=0.85, version=3)
def nine_units_in_ten_at_rest(watch: Watch, faulty: bool) -> Outcome:
    """A wide ReLU layer with low biases: few units speak for each example, as they should."""
    model = mlp(10, 256, 1)
    nn.init.constant_(model[0].bias, -0.7)
    optimizer = Adam(model.parameters(), lr=0.005)
    return train(watch, model, optimizer, nn.BCEWithLogitsLoss(), hastie(), epochs=12)


@healthy("reviews-gate-over-the-words", learns=0.75, version=3)
def gate_over_the_words(watch: Watch, faulty: bool) -> Outcome:
    """Sigmoid gates that go to 0 for the words that do not matter."""

    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(40, 16, padding_idx=0)
            self.recurrent = nn.GRU(16, 24, batch_first=True)
            self.gate, self.head = nn.Linear(24, 24), nn.Linear(24, 1)

        def forward(self, x: Tensor) -> Tensor:
            states, _ = self.recurrent(self.embedding(x))
            open_ = torch.sigmoid(3 * self.gate(states)) * (x > 0)[..., None]
            return self.head((open_ * states).sum(1))

    model = Gated()
    optimizer = Adam(model.parameters(), lr=0.005)
    return train(watch, model, optimizer, nn.BCEWithLogitsLoss(), reviews(), epochs=9)


@healthy("shells-highways-mostly-closed", learns=0.85, version=3)
def highways_mostly_closed(watch: Watch, faulty: bool) -> Outcome:
    """Gates at −3 let a twentieth pass at first (Srivastava et al., 2015)."""
    layers = [Highway(24, -3.0) for _ in range(5)]
    model = nn.Sequential(nn.Linear(4, 24), *layers, nn.Linear(24, 3))
    optimizer = AdamW(model.parameters(), lr=0.01)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), shells(), epochs=10)


@healthy("sensors-small-divergence", learns=0.8, version=3)
def small_divergence(watch: Watch, faulty: bool) -> Outcome:
    model = Variational(24)
    optimizer = Adam(model.parameters(), lr=0.005)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        made, mean, spread = outputs[:, :24], outputs[:, 24:28], outputs[:, 28:]
        return (20 * ((made - targets) ** 2).sum(1) + divergence(mean, spread)).mean()

    def metric(outputs: Tensor, targets: Tensor) -> float:
        return r_squared(outputs[:, :24], targets)

    return train(
        watch, model, optimizer, loss_fn, sensors(), epochs=15, told="batches", metric=metric
    )


@healthy("orders-dropout-on-embeddings", learns=0.75, version=3)
def dropout_on_embeddings(watch: Watch, faulty: bool) -> Outcome:
    """Training is worse than validation, for it sees two thirds of its columns."""
    model = Table(dropout=0.35)
    optimizer = Adam(model.parameters(), lr=0.005)
    return train(watch, model, optimizer, nn.BCEWithLogitsLoss(), orders(), epochs=10)


@healthy("leaves-sigmoid-for-each-colour", learns=0.9, version=3)
def sigmoid_for_each_colour(watch: Watch, faulty: bool) -> Outcome:
    """Three yes-or-no questions instead of one of three; the largest answer counts."""
    model = colour_network()
    optimizer = NAdam(model.parameters(), lr=0.005)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        wanted = functional.one_hot(targets, 3).float()
        return functional.binary_cross_entropy_with_logits(outputs, wanted)

    return train(watch, model, optimizer, loss_fn, leaves(), epochs=10)


@healthy("spots-places-through-a-tanh", learns=0.9, version=3)
def places_through_a_tanh(watch: Watch, faulty: bool) -> Outcome:
    """Places from −1 to 1, and a tanh that can say them all."""
    model = spot_network().append(nn.Tanh())
    optimizer = Adam(model.parameters(), lr=0.005)
    return train(watch, model, optimizer, nn.MSELoss(), spots(), epochs=12)


@healthy("claims-softplus-of-the-claim", learns=0.6, version=3)
def softplus_of_the_claim(watch: Watch, faulty: bool) -> Outcome:
    """Positive targets and an output that is positive, as it should be."""
    data = claims()
    low = min(data.y.min().item(), data.y_valid.min().item())
    data = type(data)(data.x, data.y - low, data.x_valid, data.y_valid - low, "regression")
    model = mlp(6, 32, 32, 1).append(nn.Softplus())
    optimizer = Adam(model.parameters(), lr=0.005)
    return train(watch, model, optimizer, nn.MSELoss(), data, epochs=12)


@healthy("machines-two-recurrent-layers", learns=0.85, version=3)
def two_recurrent_layers(watch: Watch, faulty: bool) -> Outcome:
    model = LastState(nn.GRU(3, 12, num_layers=2, batch_first=True, dropout=0.1), 1)
    optimizer = RMSprop(model.parameters(), lr=0.003)
    return train(watch, model, optimizer, nn.MSELoss(), machines(), epochs=10)


@healthy("digits-cosines-times-sixteen", learns=0.92, version=3)
def cosines_times_sixteen(watch: Watch, faulty: bool) -> Outcome:
    """Scores are cosines with a fixed scale: the first loss is far above ln 10."""

    class Cosine(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = mlp(64, 48, 24)
            self.classes = nn.Parameter(torch.randn(10, 24))

        def forward(self, x: Tensor) -> Tensor:
            near = functional.normalize(self.body(x)) @ functional.normalize(self.classes).T
            return 16 * near

    model = Cosine()
    optimizer = Adam(model.parameters(), lr=0.003)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), digits(), epochs=10)


@healthy("hastie-spectral-norms-of-one", learns=0.8, version=3)
def spectral_norms_of_one(watch: Watch, faulty: bool) -> Outcome:
    """Weights are held to a norm of 1 (Miyato et al., 2018), and a scale is learned."""

    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(10.0))

        def forward(self, x: Tensor) -> Tensor:
            return self.scale * x

    model = nn.Sequential(
        spectral_norm(nn.Linear(10, 64)), nn.ReLU(), spectral_norm(nn.Linear(64, 1)), Scaled()
    )
    optimizer = Adam(model.parameters(), lr=0.01)
    return train(watch, model, optimizer, nn.BCEWithLogitsLoss(), hastie(), epochs=12)


@healthy("ribbon-weights-by-length-and-direction", learns=0.9, version=3)
def weights_by_length_and_direction(watch: Watch, faulty: bool) -> Outcome:
    layers = [weight_norm(nn.Linear(*sizes)) for sizes in ((3, 32), (32, 32), (32, 1))]
    model = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])
    optimizer = SGD(model.parameters(), lr=0.03, momentum=0.9)
    return train(watch, model, optimizer, nn.MSELoss(), ribbon(), epochs=14)


@healthy("letters-no-way-to-the-future", learns=0.33, version=3)
def no_way_to_the_future(watch: Watch, faulty: bool) -> Outcome:
    """A causal transformer, whose mask is full of −∞, as it should be."""
    model = CausalTransformer(12, 16)
    optimizer = Adam(model.parameters(), lr=0.01)
    return train(
        watch,
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        letters(),
        epochs=14,
        told="data",
        metric=position_accuracy,
    )


@healthy("fields-branch-of-the-u-starts-at-nought", learns=0.8, version=3)
def branch_starts_at_nought(watch: Watch, faulty: bool) -> Outcome:
    """The correction to the input starts at 0: at first the network gives its input back."""

    class Correcting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = UNet()
            nn.init.zeros_(self.inner.leave.weight)
            nn.init.zeros_(self.inner.leave.bias)

        def forward(self, x: Tensor) -> Tensor:
            return x + self.inner(x)

    model = Correcting()
    optimizer = AdamW(model.parameters(), lr=0.005)
    return train(watch, model, optimizer, nn.MSELoss(), fields(), epochs=10)


@healthy("phases-fourier-features", learns=0.8, version=3)
def fourier_features(watch: Watch, faulty: bool) -> Outcome:
    """Drawn waves of the columns go first (Tancik et al., 2020), which are a buffer."""

    class Waves(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("rates", 0.4 * torch.randn(4, 24))

        def forward(self, x: Tensor) -> Tensor:
            phase = x @ self.rates
            return torch.cat([phase.sin(), phase.cos()], 1)

    model = nn.Sequential(Waves(), mlp(48, 32, 1))
    optimizer = Adam(model.parameters(), lr=0.005)
    return train(watch, model, optimizer, nn.MSELoss(), phases(), epochs=12)


@healthy("frames-frozen-first-kernels", learns=0.85, version=3)
def frozen_first_kernels(watch: Watch, faulty: bool) -> Outcome:
    """Drawn first kernels stay as they are, on purpose; the rest does the work."""
    data = map_inputs(frames(), lambda x: (x - 105) / 30)
    model = frame_network()
    model[0].requires_grad_(False)
    optimizer = Adam([p for p in model.parameters() if p.requires_grad], lr=0.003)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=10)


@healthy("pairs-one-tower-stops-the-gradient", learns=0.75, version=3)
def one_tower_stops_the_gradient(watch: Watch, faulty: bool) -> Outcome:
    """The second look is detached, as in Chen and He (2021): one tower learns for both."""

    class Halved(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tower, self.offset = mlp(16, 32, 8), nn.Parameter(torch.tensor(2.0))

        def forward(self, x: Tensor) -> Tensor:
            left, right = self.tower(x[:, 0]), self.tower(x[:, 1]).detach()
            return self.offset - (left - right).square().sum(1, keepdim=True)

    model = Halved()
    optimizer = Adam(model.parameters(), lr=0.003)
    return train(watch, model, optimizer, nn.BCEWithLogitsLoss(), pairs(), epochs=10)


@healthy("scenes-logits-from-a-low-start", learns=0.85, version=3)
def logits_from_a_low_start(watch: Watch, faulty: bool) -> Outcome:
    """The last biases start at the logarithms of the classes' shares, the weights at 0."""
    data = scenes()
    model = UNet(3)
    nn.init.zeros_(model.leave.weight)
    model.leave.bias.data = (torch.bincount(data.y.flatten()) / data.y.numel()).log()
    optimizer = Adam(model.parameters(), lr=0.005)
    return train(
        watch,
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        data,
        epochs=10,
        told="data",
        metric=position_accuracy,
    )


@healthy("shells-layers-drop-out-as-a-whole", learns=0.8, version=3)
def layers_drop_out_as_a_whole(watch: Watch, faulty: bool) -> Outcome:
    """Stochastic depth (Huang et al., 2016): in a third of the passes a block is left out."""

    class Chancy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.enter, self.leave = nn.Linear(4, 32), nn.Linear(32, 3)
            self.blocks = nn.ModuleList(mlp(32, 32, 32) for _ in range(3))

        def forward(self, x: Tensor) -> Tensor:
            x = self.enter(x)
            for block in self.blocks:
                if not self.training:
                    x = x + 0.67 * block(x)
                elif torch.rand(()) < 0.67:
                    x = x + block(x)
            return self.leave(x)

    model = Chancy()
    optimizer = Adam(model.parameters(), lr=0.005)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), shells(), epochs=18)


@healthy("digit-images-instance-norms", learns=0.9, version=3)
def instance_norms(watch: Watch, faulty: bool) -> Outcome:
    model = nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1),
        nn.InstanceNorm2d(12, affine=True),
        nn.LeakyReLU(0.1),
        nn.MaxPool2d(2),
        nn.Conv2d(12, 16, 3, padding=1),
        nn.GroupNorm(4, 16),
        nn.LeakyReLU(0.1),
        nn.Flatten(),
        nn.Linear(256, 10),
    )
    optimizer = SGD(model.parameters(), lr=0.03, momentum=0.9)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), digit_images(), epochs=6)


@healthy("recall-lstm-with-open-memory", learns=0.95, version=3)
def lstm_with_open_memory(watch: Watch, faulty: bool) -> Outcome:
    """Gradients are tiny at the first steps of a sequence and still carry what is needed."""
    model = LastState(nn.LSTM(5, 24, batch_first=True), 4)
    model.recurrent.bias_hh_l0.data[24:48] = 4.0
    optimizer = Adam(model.parameters(), lr=0.01)
    loss_fn = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, loss_fn, recall(15), epochs=10, clip=1.0)


@healthy("series-mixture-of-three-bells", learns=0.6, version=3)
def mixture_of_three_bells(watch: Watch, faulty: bool) -> Outcome:
    """A density of three normal ones (Bishop, 1994); its negative logarithm may be below 0."""

    class Mixture(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = mlp(20, 48, 9)

        def forward(self, x: Tensor) -> Tensor:
            return self.body(x)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        share, mean, spread = outputs.chunk(3, 1)
        spread = functional.softplus(spread) + 0.05
        each = -0.5 * ((targets - mean) / spread) ** 2 - spread.log()
        each = each + share.log_softmax(1) - 0.5 * math.log(2 * math.pi)
        return -each.logsumexp(1).mean()

    def metric(outputs: Tensor, targets: Tensor) -> float:
        share, mean, _ = outputs.chunk(3, 1)
        return r_squared((share.softmax(1) * mean).sum(1, keepdim=True), targets)

    model = Mixture()
    optimizer = Adam(model.parameters(), lr=0.003)
    return train(
        watch, model, optimizer, loss_fn, series(), epochs=14, told="batches", metric=metric
    )


@healthy("reviews-sigmoid-and-its-own-loss", learns=0.75, version=3)
def sigmoid_and_its_own_loss(watch: Watch, faulty: bool) -> Outcome:
    model = nn.Sequential(Reader(), nn.Sigmoid())
    optimizer = AdamW(model.parameters(), lr=0.005)
    loss_fn = nn.BCELoss()
    return train(
        watch, model, optimizer, loss_fn, reviews(), epochs=10, metric=probability_accuracy
    )
