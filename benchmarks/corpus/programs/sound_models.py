"""Healthy trainings whose network looks suspicious: sparse, frozen, tied, sharp or idle parts."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, Adam, AdamW, RMSprop

from benchmarks.corpus.architectures import Factors, ResidualBlock, Tagger
from benchmarks.corpus.data import Data, sentences
from benchmarks.corpus.networks import LastState, mlp
from benchmarks.corpus.program import Outcome, Watch, healthy
from benchmarks.corpus.tasks import (
    adding,
    bitmaps,
    gaps,
    houses,
    iris,
    letters,
    masks,
    ratings,
    sensors,
    shapes,
    shells,
    spirals,
    swiss_roll,
    tags,
)
from benchmarks.corpus.training import label_f1, position_accuracy, train


class Bag(nn.Module):
    """Nothing but word vectors, one for each class, and their mean."""

    def __init__(self, words: int, classes: int) -> None:
        super().__init__()
        self.scores = nn.EmbeddingBag(words, classes, mode="sum")

    def forward(self, x: Tensor) -> Tensor:
        return self.scores(x)


@healthy("sentences-nothing-but-word-scores", learns=0.75, version=2)
def nothing_but_word_scores(watch: Watch, faulty: bool) -> Outcome:
    model = Bag(60, 3)
    optimizer = Adam(model.parameters(), lr=0.02)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), sentences(), epochs=8)


class TiedLetters(nn.Module):
    """Scores letters with the very vectors that it reads them with (Press and Wolf, 2017)."""

    def __init__(self, alphabet: int, width: int = 32) -> None:
        super().__init__()
        self.embedding = nn.Embedding(alphabet, width)
        self.reader = nn.GRU(width, width, batch_first=True)
        self.head = nn.Linear(width, alphabet)
        self.head.weight = self.embedding.weight
        nn.init.normal_(self.embedding.weight, std=0.3)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.reader(self.embedding(x))
        return self.head(states).transpose(1, 2)


@healthy("letters-tied-weights", learns=0.4, version=2)
def tied_weights(watch: Watch, faulty: bool) -> Outcome:
    model = TiedLetters(12)
    optimizer = Adam(model.parameters(), lr=0.005)
    return train(
        watch,
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        letters(),
        epochs=15,
        batch_size=16,
        told="data",
        metric=position_accuracy,
    )


@healthy("shells-in-double-precision", learns=0.85, version=2)
def in_double_precision(watch: Watch, faulty: bool) -> Outcome:
    data = shells()
    data = Data(data.x.double(), data.y, data.x_valid.double(), data.y_valid, data.task)
    model = mlp(4, 32, 32, 3).double()
    optimizer = Adam(model.parameters(), lr=0.005)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=12)


class Gated(nn.Module):
    """Half of the sums open or shut the other half (Dauphin et al., 2017)."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Linear(12, 64), nn.Linear(32, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(functional.glu(self.first(x)))


@healthy("gaps-gated-units", learns=0.85, version=2)
def gated_units(watch: Watch, faulty: bool) -> Outcome:
    model = Gated()
    optimizer = Adam(model.parameters(), lr=0.01)
    return train(watch, model, optimizer, nn.BCEWithLogitsLoss(), gaps(), epochs=15)


@healthy("bitmaps-sparse-code", learns=0.7, version=2)
def sparse_code(watch: Watch, faulty: bool) -> Outcome:
    """A penalty on a wide ReLU code: nearly all of it is 0 for each drawing, as it should be."""
    encoder, decoder = nn.Sequential(nn.Linear(144, 192), nn.ReLU()), nn.Linear(192, 144)
    model = nn.Sequential(encoder, decoder)
    optimizer = Adam(model.parameters(), lr=0.003)
    criterion = nn.BCEWithLogitsLoss()

    def update(xb: Tensor, yb: Tensor) -> tuple[Tensor, Tensor]:
        optimizer.zero_grad()
        code = encoder(xb)
        outputs = decoder(code)
        loss = criterion(outputs, yb) + 2e-3 * code.abs().mean(0).sum() / 4
        loss.backward()
        optimizer.step()
        return loss, outputs

    return train(
        watch,
        model,
        optimizer,
        criterion,
        bitmaps(),
        epochs=15,
        told="batches",
        metric=label_f1,
        update=update,
    )


class Sine(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(x)


@healthy("spirals-sines-for-activations", learns=0.85, version=2)
def sines_for_activations(watch: Watch, faulty: bool) -> Outcome:
    """Sitzmann et al. (2020): first-layer weights are large, and signals run through many waves."""
    model = mlp(2, 48, 48, 3, activation=Sine)
    model[0].weight.data *= 4
    optimizer = Adam(model.parameters(), lr=0.003)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), spirals(), epochs=20)


@healthy("houses-says-how-sure-it-is", learns=0.8, version=2)
def says_how_sure_it_is(watch: Watch, faulty: bool) -> Outcome:
    """A mean and a deviation (Nix and Weigend, 1994): the loss goes far below 0."""
    model = mlp(5, 32, 32, 2)
    optimizer = Adam(model.parameters(), lr=0.003)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        mean, spread = outputs.chunk(2, 1)
        return functional.gaussian_nll_loss(mean, targets, functional.softplus(spread) + 1e-3)

    def metric(outputs: Tensor, targets: Tensor) -> float:
        return 1 - (((outputs[:, :1] - targets) ** 2).mean() / targets.var()).item()

    return train(
        watch, model, optimizer, loss_fn, houses(), epochs=15, told="batches", metric=metric
    )


@healthy("adding-lstm-that-forgets-nothing", learns=0.8, version=2)
def lstm_that_forgets_nothing(watch: Watch, faulty: bool) -> Outcome:
    """Forget gates start wide open, at a bias of 5, and so stay near their end."""
    model = LastState(nn.LSTM(2, 24, batch_first=True), 1)
    model.recurrent.bias_ih_l0.data[24:48] = 5.0
    optimizer = Adam(model.parameters(), lr=0.02)
    return train(watch, model, optimizer, nn.MSELoss(), adding(8), epochs=16, clip=1.0)


@healthy("shapes-each-channel-alone", learns=0.75, version=2)
def each_channel_alone(watch: Watch, faulty: bool) -> Outcome:
    """Depthwise and pointwise convolutions, group normalisation, the largest of each channel."""
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.GroupNorm(4, 16),
        nn.SiLU(),
        nn.Conv2d(16, 16, 3, padding=1, groups=16),
        nn.Conv2d(16, 24, 1),
        nn.GroupNorm(4, 24),
        nn.SiLU(),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Linear(24, 4),
    )
    optimizer = AdamW(model.parameters(), lr=0.01)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), shapes(), epochs=8)


class Scorer(nn.Module):
    """Scores of two things, `(N, 2, columns)`; says which of the two is the better one."""

    def __init__(self) -> None:
        super().__init__()
        self.value = mlp(5, 24, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.value(x[:, 0]) - self.value(x[:, 1])


@healthy("houses-which-of-two-is-dearer", learns=0.85, version=2)
def which_of_two_is_dearer(watch: Watch, faulty: bool) -> Outcome:
    """Ranks pairs (Burges et al., 2005); the last bias cancels out and never has a gradient."""
    data = houses()
    order, order_valid = torch.randperm(len(data.x)), torch.randperm(len(data.x_valid))
    data = Data(
        torch.stack([data.x, data.x[order]], 1),
        (data.y > data.y[order]).float(),
        torch.stack([data.x_valid, data.x_valid[order_valid]], 1),
        (data.y_valid > data.y_valid[order_valid]).float(),
        "binary",
    )
    model = Scorer()
    optimizer = RMSprop(model.parameters(), lr=0.003)
    return train(watch, model, optimizer, nn.BCEWithLogitsLoss(), data, epochs=12)


class Experts(nn.Module):
    """Eight experts of which each example asks its best two; some are hardly ever asked."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(2, 8)
        self.experts = nn.ModuleList([mlp(2, 12, 3) for _ in range(8)])

    def forward(self, x: Tensor) -> Tensor:
        scores = self.gate(x)
        best = scores.topk(2, 1)
        shares = torch.zeros_like(scores).scatter(1, best.indices, best.values.softmax(1))
        said = torch.stack([expert(x) for expert in self.experts], 1)
        return (shares[..., None] * said).sum(1)


@healthy("spirals-asks-two-of-eight-experts", learns=0.75, version=2)
def asks_two_of_eight_experts(watch: Watch, faulty: bool) -> Outcome:
    model = Experts()
    optimizer = Adam(model.parameters(), lr=0.015)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), spirals(), epochs=20)


@healthy("swiss-roll-random-features-stay-random", learns=0.8, version=2)
def random_features_stay_random(watch: Watch, faulty: bool) -> Outcome:
    """Rahimi and Recht (2007): the cosines' weights are drawn and never learned."""

    class Cosines(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("weight", 1.5 * torch.randn(3, 200))
            self.register_buffer("phase", 6.3 * torch.rand(200))
            self.head = nn.Linear(200, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(torch.cos(x @ self.weight + self.phase))

    model = Cosines()
    optimizer = Adam(model.head.parameters(), lr=0.02)
    return train(watch, model, optimizer, nn.MSELoss(), swiss_roll(), epochs=15)


class WithBiases(nn.Module):
    """Factors with a bias for each user and item, all of which start at 0."""

    def __init__(self) -> None:
        super().__init__()
        self.factors = Factors(50, 40, deviation=0.1)
        self.of_user, self.of_item = nn.Embedding(50, 1), nn.Embedding(40, 1)
        nn.init.zeros_(self.of_user.weight)
        nn.init.zeros_(self.of_item.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.factors(x) + self.of_user(x[:, 0]) + self.of_item(x[:, 1])


@healthy("ratings-biases-start-at-nought", learns=0.6, version=2)
def biases_start_at_nought(watch: Watch, faulty: bool) -> Outcome:
    model = WithBiases()
    optimizer = AdamW(model.parameters(), lr=0.02)
    return train(watch, model, optimizer, nn.MSELoss(), ratings(), epochs=12)


@healthy("iris-one-linear-layer", learns=0.85, version=2)
def one_linear_layer(watch: Watch, faulty: bool) -> Outcome:
    model = nn.Linear(4, 3)
    optimizer = SGD(model.parameters(), lr=0.3, momentum=0.5)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), iris(), epochs=30, batch_size=21)


class Variational(nn.Module):
    """Kingma and Welling (2014); outputs, means and log-variances side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = mlp(24, 32, 8), mlp(4, 32, 24)

    def forward(self, x: Tensor) -> Tensor:
        mean, spread = self.encoder(x).chunk(2, 1)
        noise = torch.randn_like(mean) * torch.exp(0.5 * spread) if self.training else 0.0
        return torch.cat([self.decoder(mean + noise), mean, spread], 1)


@healthy("sensors-variational", learns=0.6, version=2)
def variational(watch: Watch, faulty: bool) -> Outcome:
    model = Variational()
    optimizer = Adam(model.parameters(), lr=0.005)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        made, mean, spread = outputs.split([24, 4, 4], 1)
        divergence = 0.5 * (mean**2 + spread.exp() - 1 - spread).sum(1).mean()
        return functional.mse_loss(made, targets) + 0.005 * divergence

    def metric(outputs: Tensor, targets: Tensor) -> float:
        return 1 - (((outputs[:, :24] - targets) ** 2).mean() / targets.var()).item()

    data = sensors()
    return train(watch, model, optimizer, loss_fn, data, epochs=20, told="batches", metric=metric)


@healthy("masks-starts-from-the-share-of-pixels", learns=0.75, version=2)
def starts_from_the_share_of_pixels(watch: Watch, faulty: bool) -> Outcome:
    """The last layer's weights are 0 and its bias the logit of the share (Lin et al., 2017)."""
    model = nn.Sequential(
        nn.Conv2d(1, 12, 5, padding=2), nn.LeakyReLU(0.1), nn.Conv2d(12, 1, 5, padding=2)
    )
    nn.init.zeros_(model[2].weight)
    nn.init.constant_(model[2].bias, -2.1)
    optimizer = Adam(model.parameters(), lr=0.01)
    loss_fn = nn.BCEWithLogitsLoss()
    return train(watch, model, optimizer, loss_fn, masks(), epochs=12, told="data", metric=label_f1)


@healthy("sentences-fixed-word-vectors", learns=0.75, version=2)
def fixed_word_vectors(watch: Watch, faulty: bool) -> Outcome:
    """Wide random vectors that are kept, as vectors trained elsewhere would be."""
    embedding = nn.EmbeddingBag.from_pretrained(torch.randn(60, 64), mode="mean")
    model = nn.Sequential(embedding, nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 3))
    optimizer = Adam([p for p in model.parameters() if p.requires_grad], lr=0.005)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), sentences(), epochs=8)


@healthy("shells-sixteen-residual-blocks", learns=0.8, version=2)
def sixteen_residual_blocks(watch: Watch, faulty: bool) -> Outcome:
    blocks = [ResidualBlock(16) for _ in range(16)]
    for block in blocks:
        nn.init.zeros_(block.second.weight)
    model = nn.Sequential(nn.Linear(4, 16), *blocks, nn.LayerNorm(16), nn.Linear(16, 3))
    optimizer = AdamW(model.parameters(), lr=0.002)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), shells(), epochs=8)


@healthy("tags-strong-dropout-of-states", learns=0.75, version=2)
def strong_dropout_of_states(watch: Watch, faulty: bool) -> Outcome:
    """Half of the states are dropped: validation is better than training all the way."""
    model = Tagger(24, 4, width=24, dropout=0.5)
    optimizer = Adam(model.parameters(), lr=0.01)
    return train(
        watch,
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        tags(),
        epochs=8,
        told="data",
        metric=position_accuracy,
    )


class Rounded(nn.Module):
    """Weights of −1 and 1 with straight-through gradients (Courbariaux et al., 2015)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(0.1 * torch.randn(outputs, inputs))
        self.scale = inputs**-0.5

    def forward(self, x: Tensor) -> Tensor:
        signs = self.weight + (self.weight.sign() - self.weight).detach()
        return self.scale * functional.linear(x, signs)


@healthy("shapes-weights-of-one-bit", learns=0.6, version=2)
def weights_of_one_bit(watch: Watch, faulty: bool) -> Outcome:
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        Rounded(288, 64),
        nn.BatchNorm1d(64),
        nn.ReLU(),
        nn.Linear(64, 4),
    )
    optimizer = Adam(model.parameters(), lr=0.003)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), shapes(), epochs=10)
