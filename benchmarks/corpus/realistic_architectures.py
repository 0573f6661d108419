"""Networks of version 5: sets, graphs, sounds, tickets, films, roads; and how they are judged."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.corpus.data import Data
from benchmarks.corpus.loop import Metric, metric_of
from benchmarks.corpus.program import Watcher


class PointSet(nn.Module):
    """Looks at each point, pools, and scores the set (Zaheer et al., 2017)."""

    def __init__(self, width: int = 32, classes: int = 4, pool: str = "mean") -> None:
        super().__init__()
        self.point = nn.Sequential(
            nn.Linear(2, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()
        )
        self.head = nn.Linear(width, classes)
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        seen = self.point(x)
        return self.head(seen.amax(1) if self.pool == "max" else seen.mean(1))


class Bonds(nn.Module):
    """Passes messages along the bonds of `molecules`, and adds the atoms up."""

    def __init__(self, width: int = 24, rounds: int = 2, share: bool = True) -> None:
        super().__init__()
        self.first = nn.Linear(4, width)
        self.message = nn.ModuleList(nn.Linear(width, width) for _ in range(rounds))
        self.head = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1))
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        atoms, bound = x[..., :4], x[..., 4:]
        degree = bound.sum(2, keepdim=True).clamp(min=1)
        hidden = torch.relu(self.first(atoms))
        for layer in self.message:
            heard = bound @ layer(hidden)
            hidden = torch.relu(hidden + (heard / degree.sqrt() if self.share else heard))
        return self.head(hidden).sum(1)


class TicketReader(nn.Module):
    """Averages the vectors of a ticket's words, and scores departments."""

    def __init__(self, words: int = 61, width: int = 24, classes: int = 4) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, width, padding_idx=0)
        self.hidden = nn.Linear(width, width)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        known = (x > 0).float()[..., None]
        mean = (self.embedding(x) * known).sum(1) / known.sum(1).clamp(min=1)
        return self.head(torch.relu(self.hidden(mean)))


class Towers(nn.Module):
    """A vector for each user and film, whose product and fame say whether it is watched."""

    def __init__(self, users: int = 60, items: int = 50, width: int = 6) -> None:
        super().__init__()
        self.users, self.items = nn.Embedding(users, width), nn.Embedding(items, width)
        self.fame = nn.Embedding(items, 1)
        self.start = nn.Parameter(torch.zeros(1))
        for table in (self.users, self.items, self.fame):
            nn.init.normal_(table.weight, std=0.3)

    def forward(self, x: Tensor) -> Tensor:
        user, item = self.users(x[:, 0]), self.items(x[:, 1])
        return (user * item).sum(1, keepdim=True) + self.fame(x[:, 1]) + self.start


class PathReader(nn.Module):
    """Reads a path `(N, L, 2)` with a recurrent network, and scores by its last state."""

    def __init__(self, width: int = 24, classes: int = 4) -> None:
        super().__init__()
        self.recurrent = nn.GRU(2, width, batch_first=True)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.recurrent(x)[0][:, -1])


class GlyphNet(nn.Module):
    """Two convolutions, pooling between them, and a head with a layer of its own."""

    def __init__(self, classes: int = 5, width: int = 8, dropout: float = 0.0) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, 2 * width, 3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.dropout = nn.Dropout(dropout)
        self.fc1 = nn.Linear(2 * width * 25, 32)
        self.fc2 = nn.Linear(32, classes)

    def features(self, x: Tensor) -> Tensor:
        hidden = self.pool(torch.relu(self.conv1(x)))
        hidden = torch.relu(self.conv2(hidden)).flatten(1)
        return torch.relu(self.fc1(self.dropout(hidden)))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.features(x))


def vowel_network(
    classes: int = 4, activation: type[nn.Module] = nn.ReLU, norm: bool = False
) -> nn.Sequential:
    """Convolutions along `(N, 1, 80)`, with batch normalisation or without, and an average."""
    layers: list[nn.Module] = []
    for inputs, width, stride in ((1, 12, 2), (12, 16, 2), (16, 24, 2)):
        layers.append(nn.Conv1d(inputs, width, 7, stride=stride, padding=3))
        if norm:
            layers.append(nn.BatchNorm1d(width))
        layers.append(activation())
    return nn.Sequential(*layers, nn.AdaptiveAvgPool1d(2), nn.Flatten(), nn.Linear(2 * 24, classes))


def road_network(width: int = 10) -> nn.Sequential:
    """Convolutions that keep the size: a logit for each pixel."""
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(width, width, 3, padding=2, dilation=2),
        nn.ReLU(),
        nn.Conv2d(width, 1, 3, padding=1),
    )


class Coder(nn.Module):
    """An autoencoder of spectra."""

    def __init__(self, code: int = 6, width: int = 24) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(32, width), nn.ReLU(), nn.Linear(width, code))
        self.decoder = nn.Sequential(nn.Linear(code, width), nn.ReLU(), nn.Linear(width, 32))

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.encoder(x))


class OfferScorer(nn.Module):
    """Scores each offer of a list with one network: `(N, offers, 6)` to `(N, offers)`."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(6, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()
        )
        self.head = nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))[..., 0]


def load(data: Data, size: int = 32, shuffle: bool = True) -> DataLoader[tuple[Tensor, ...]]:
    """Batches of the training examples."""
    return DataLoader(TensorDataset(data.x, data.y), batch_size=size, shuffle=shuffle)


@torch.no_grad()
def evaluate(
    model: nn.Module, loss_fn: Any, x: Tensor, y: Tensor, metric: Metric
) -> tuple[float, float]:
    """Loss and score in evaluation mode."""
    model.eval()
    outputs = model(x)
    return loss_fn(outputs, y).item(), metric(outputs, y)


def report(
    watcher: Watcher,
    model: nn.Module,
    loss_fn: Any,
    data: Data,
    losses: list[float],
    metric: Metric | None = None,
) -> float:
    """Ends an epoch as most loops do: both losses are told, and accuracies of classes."""
    metric = metric or metric_of(data.task)
    valid_loss, score = evaluate(model, loss_fn, data.x_valid, data.y_valid, metric)
    train_loss = sum(losses) / len(losses)
    if data.task in ("multiclass", "binary"):
        train_metric = evaluate(model, loss_fn, data.x, data.y, metric)[1]
        watcher.epoch(
            train_loss=train_loss,
            valid_loss=valid_loss,
            train_metric=train_metric,
            valid_metric=score,
        )
    else:
        watcher.epoch(train_loss=train_loss, valid_loss=valid_loss)
    return score
