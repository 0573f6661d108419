"""Models of version 3 that know examples by heart, cannot say what is asked, or are held back."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, NAdam, RMSprop

from benchmarks.corpus.data import random
from benchmarks.corpus.loop import r_squared
from benchmarks.corpus.more_architectures import (
    Chooser,
    Preference,
    Reader,
    UNet,
    Variational,
    divergence,
)
from benchmarks.corpus.more_tasks import (
    choices,
    claims,
    fields,
    hastie,
    machines,
    melodies,
    reviews,
    scenes,
    searches,
)
from benchmarks.corpus.networks import LastState, mlp
from benchmarks.corpus.program import Outcome, Watch, faulty
from benchmarks.corpus.tasks import sensors
from benchmarks.corpus.training import position_accuracy, train


def thing_accuracy(outputs: Tensor, targets: Tensor) -> float:
    """Share of right classes where there is something."""
    return (outputs.argmax(1) == targets)[targets > 0].float().mean().item()


@faulty("scenes-six-images-by-heart", "overfitting", learns=0.4, margin=0.05, version=3)
def six_images_by_heart(watch: Watch, faulty: bool) -> Outcome:
    """A wide U learns six noisy scenes down to the pixel."""
    data = scenes(noise=0.6)
    model = UNet(3, width=16 if faulty else 8)
    if faulty:
        data = data.head(6)
    optimizer = Adam(model.parameters(), lr=0.005)
    epochs, size = (60, 2) if faulty else (12, 32)
    return train(
        watch,
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        data,
        epochs=epochs,
        batch_size=size,
        told="data",
        metric=thing_accuracy,
    )


@faulty("reviews-eighty-texts-by-heart", "overfitting", learns=0.75, margin=0.1, version=3)
def eighty_texts_by_heart(watch: Watch, faulty: bool) -> Outcome:
    data = reviews()
    if faulty:
        data = data.head(80)
    model = Reader(width=32)
    optimizer = Adam(model.parameters(), lr=0.005)
    epochs = 60 if faulty else 6
    loss_fn = nn.BCEWithLogitsLoss()
    return train(watch, model, optimizer, loss_fn, data, epochs=epochs, batch_size=32)


@faulty(
    "claims-powers-of-every-column", "overfitting", subtle=True, learns=0.55, margin=0.1, version=3
)
def powers_of_every_column(watch: Watch, faulty: bool) -> Outcome:
    """Few rows, and products of all columns up to the third degree, through a wide net."""
    data = claims().head(110)
    pairs_of = torch.combinations(torch.arange(6), 3, with_replacement=True)

    def widen(x: Tensor) -> Tensor:
        bounded = torch.tanh(x)
        return torch.cat([x, x[:, pairs_of].prod(2), bounded[:, pairs_of].prod(2)], 1)

    if faulty:
        data = replace(data, x=widen(data.x), x_valid=widen(data.x_valid))
    model = mlp(data.x.shape[1], 64, 1) if faulty else mlp(6, 8, 1)
    optimizer = Adam(model.parameters(), lr=0.01, weight_decay=0.0 if faulty else 1e-2)
    epochs = 60
    return train(watch, model, optimizer, nn.MSELoss(), data, epochs=epochs, batch_size=22)


@faulty(
    "machines-long-after-the-best", "overfitting", subtle=True, learns=0.6, margin=0.05, version=3
)
def long_after_the_best(watch: Watch, faulty: bool) -> Outcome:
    """Sixty noisy machines, and ten times as many epochs as do any good."""
    data = machines().head(60)
    noise = 0.6 * torch.randn(data.y.shape, generator=random(362))
    data = replace(data, y=data.y + noise)
    model = LastState(nn.GRU(3, 32, batch_first=True), 1)
    optimizer = Adam(model.parameters(), lr=0.01)
    epochs = 120 if faulty else 25
    return train(watch, model, optimizer, nn.MSELoss(), data, epochs=epochs, batch_size=30)


@faulty("searches-fifty-lists-by-heart", "overfitting", learns=0.65, margin=0.1, version=3)
def fifty_lists_by_heart(watch: Watch, faulty: bool) -> Outcome:
    """A wide net reads every offer of fifty lists as one long row."""
    data = searches()
    model: nn.Module = Chooser()
    if faulty:
        data = data.head(50)
        model = nn.Sequential(nn.Flatten(), mlp(30, 256, 6))
    optimizer = Adam(model.parameters(), lr=0.005)
    epochs, size = (80, 10) if faulty else (8, 32)
    loss_fn = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, loss_fn, data, epochs=epochs, batch_size=size)


@faulty("hastie-one-weight-for-each-column", "underfitting", learns=0.85, margin=0.2, version=3)
def one_weight_for_each_column(watch: Watch, faulty: bool) -> Outcome:
    """A logistic regression is asked whether points lie far out."""
    model = nn.Sequential(nn.Linear(10, 1)) if faulty else mlp(10, 64, 1)
    optimizer = SGD(model.parameters(), lr=0.2, momentum=0.9)
    return train(watch, model, optimizer, nn.BCEWithLogitsLoss(), hastie(), epochs=12)


class BagOfWords(nn.Module):
    """A weight for each word, in whatever order."""

    def __init__(self) -> None:
        super().__init__()
        self.worth = nn.Embedding(40, 1, padding_idx=0)

    def forward(self, x: Tensor) -> Tensor:
        return self.worth(x).sum(1)


@faulty("reviews-order-of-words-ignored", "underfitting", subtle=True, learns=0.75, version=3)
def order_of_words_ignored(watch: Watch, faulty: bool) -> Outcome:
    """A sum of word scores knows no "not"."""
    model = BagOfWords() if faulty else Reader()
    optimizer = AdamW(model.parameters(), lr=0.03 if faulty else 0.01)
    loss_fn = nn.BCEWithLogitsLoss()
    return train(watch, model, optimizer, loss_fn, reviews(), epochs=7, told="data")


@faulty("melodies-hidden-state-of-two", "underfitting", learns=0.8, margin=0.1, version=3)
def hidden_state_of_two(watch: Watch, faulty: bool) -> Outcome:
    """Two numbers of state cannot keep two notes of six."""

    class Notes(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.embedding = nn.Embedding(6, 16)
            self.recurrent, self.head = nn.GRU(16, width, batch_first=True), nn.Linear(width, 6)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.recurrent(self.embedding(x))[0]).transpose(1, 2)

    model = Notes(2 if faulty else 48)
    optimizer = Adam(model.parameters(), lr=0.01)
    return train(
        watch,
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        melodies(),
        epochs=18,
        told="data",
        metric=position_accuracy,
    )


@faulty(
    "searches-sums-of-columns-only", "underfitting", subtle=True, learns=0.65, margin=0.1, version=3
)
def sums_of_columns_only(watch: Watch, faulty: bool) -> Outcome:
    """A linear score of offers, where what counts is squares and products."""
    model = Chooser()
    if faulty:
        model.score = mlp(5, 1)
    optimizer = NAdam(model.parameters(), lr=0.01)
    return train(
        watch, model, optimizer, nn.CrossEntropyLoss(), searches(), epochs=10, told="batches"
    )


@faulty(
    "reviews-nine-words-in-ten-dropped", "over_regularised", learns=0.75, margin=0.05, version=3
)
def nine_words_in_ten_dropped(watch: Watch, faulty: bool) -> Outcome:
    share = 0.9 if faulty else 0.05

    class Dropping(Reader):
        def forward(self, x: Tensor) -> Tensor:
            if self.training:
                x = torch.where(torch.rand(x.shape) < share, 0, x)
            return super().forward(x)

    model = Dropping()
    optimizer = Adam(model.parameters(), lr=0.005)
    return train(watch, model, optimizer, nn.BCEWithLogitsLoss(), reviews(), epochs=8)


@faulty("sensors-divergence-weighs-too-much", "over_regularised", learns=0.6, margin=0.2, version=3)
def divergence_weighs_too_much(watch: Watch, faulty: bool) -> Outcome:
    """A β of 100: all codes become the standard normal distribution, and say nothing."""
    model = Variational(24)
    optimizer = AdamW(model.parameters(), lr=0.005)
    weight = 100.0 if faulty else 0.1

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        made, mean, spread = outputs[:, :24], outputs[:, 24:28], outputs[:, 28:]
        fit = 10 * ((made - targets) ** 2).sum(1)
        return (fit + weight * divergence(mean, spread)).mean() / 24

    def metric(outputs: Tensor, targets: Tensor) -> float:
        return r_squared(outputs[:, :24], targets)

    return train(
        watch, model, optimizer, loss_fn, sensors(), epochs=12, told="batches", metric=metric
    )


@faulty(
    "choices-tastes-decay-away", "over_regularised", subtle=True, learns=0.6, margin=0.03, version=3
)
def tastes_decay_away(watch: Watch, faulty: bool) -> Outcome:
    """Adam's decay of the embeddings also shrinks those that a batch does not show."""
    model = Preference()
    decay = 0.03 if faulty else 1e-4
    optimizer = Adam(model.parameters(), lr=0.01, weight_decay=decay)
    loss_fn = nn.BCEWithLogitsLoss()
    return train(watch, model, optimizer, loss_fn, choices(), epochs=6, told="batches")


@faulty(
    "fields-absolute-penalty-on-kernels", "over_regularised", learns=0.8, margin=0.05, version=3
)
def absolute_penalty_on_kernels(watch: Watch, faulty: bool) -> Outcome:
    """An L1 penalty of 0.3 for the sum over all of a U's kernels."""
    model = UNet()
    strength = 0.3 if faulty else 1e-6
    optimizer = Adam(model.parameters(), lr=0.005)
    criterion = nn.MSELoss()

    def update(xb: Tensor, yb: Tensor) -> tuple[Tensor, Tensor]:
        optimizer.zero_grad()
        outputs = model(xb)
        size = torch.stack([parameter.abs().sum() for parameter in model.parameters()]).sum()
        loss = criterion(outputs, yb) + strength * size
        loss.backward()
        optimizer.step()
        return loss, outputs

    return train(watch, model, optimizer, criterion, fields(), epochs=10, update=update)


@faulty("hastie-adamw-decay-of-eight", "over_regularised", learns=0.8, margin=0.05, version=3)
def adamw_decay_of_eight(watch: Watch, faulty: bool) -> Outcome:
    """A decay of 8 that was tuned for a rate a hundred times smaller."""
    model = mlp(10, 64, 1)
    optimizer = AdamW(model.parameters(), lr=0.01, weight_decay=8.0 if faulty else 0.01)
    return train(watch, model, optimizer, nn.BCEWithLogitsLoss(), hastie(), epochs=10, told="data")


@faulty(
    "machines-norms-held-too-small",
    "over_regularised",
    subtle=True,
    learns=0.75,
    margin=0.05,
    version=3,
)
def norms_held_too_small(watch: Watch, faulty: bool) -> Outcome:
    """After each step the norm of each row of weights is held to 0.15 at most."""
    model = LastState(nn.GRU(3, 16, batch_first=True), 1)
    optimizer = RMSprop(model.parameters(), lr=0.003)
    most = 0.15 if faulty else 5.0

    @torch.no_grad()
    def hold() -> None:
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.copy_(torch.renorm(parameter, 2, 0, most))

    return train(watch, model, optimizer, nn.MSELoss(), machines(), epochs=8, after_batch=hold)
