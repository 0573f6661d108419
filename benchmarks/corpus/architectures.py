"""Networks of other kinds than those of networks.py: residual, recurrent, attending, embedding."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """x + W₂ · ReLU(W₁ · norm(x))."""

    def __init__(self, width: int, dropout: float = 0.0, norm: bool = True) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width) if norm else nn.Identity()
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(self.dropout(torch.relu(self.first(self.norm(x)))))


def residual_mlp(inputs: int, width: int, outputs: int, blocks: int = 2) -> nn.Sequential:
    layers = [ResidualBlock(width) for _ in range(blocks)]
    return nn.Sequential(nn.Linear(inputs, width), *layers, nn.Linear(width, outputs))


class ResidualImage(nn.Module):
    """A stem, a residual block of convolutions with batch normalisation, and an average."""

    def __init__(self, channels: int, classes: int, width: int = 12) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, width, 3, stride=2, padding=1)
        self.block = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.BatchNorm2d(width),
        )
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem(x))
        return self.head(torch.relu(x + self.block(x)).mean((2, 3)))


class Tagger(nn.Module):
    """Embeds words, reads them in both directions, scores tags: `(N, L)` to `(N, tags, L)`."""

    def __init__(self, words: int, kinds: int, width: int = 16, dropout: float = 0.0) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, width)
        self.reader = nn.GRU(width, width, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(2 * width, kinds)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.reader(self.embedding(x))
        return self.head(self.dropout(states)).transpose(1, 2)


class LetterModel(nn.Module):
    """An LSTM that foretells the next letter: `(N, L)` to `(N, letters, L)`."""

    def __init__(self, alphabet: int, width: int = 32) -> None:
        super().__init__()
        self.embedding = nn.Embedding(alphabet, 16)
        self.reader = nn.LSTM(16, width, batch_first=True)
        self.head = nn.Linear(width, alphabet)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.reader(self.embedding(x))
        return self.head(states).transpose(1, 2)


class Transformer(nn.Module):
    """An encoder over word numbers, positions learned; averages, or scores each position."""

    def __init__(
        self,
        words: int,
        classes: int,
        length: int,
        width: int = 24,
        layers: int = 1,
        each: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, width)
        self.positions = nn.Parameter(0.1 * torch.randn(length, width))
        layer = nn.TransformerEncoderLayer(
            width, 2, 2 * width, dropout, batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.head = nn.Linear(width, classes)
        self.each = each

    def forward(self, x: Tensor) -> Tensor:
        states = self.encoder(self.embedding(x) + self.positions)
        if self.each:
            return self.head(states).transpose(1, 2)
        return self.head(states.mean(1))


class Siamese(nn.Module):
    """One tower for two inputs `(N, 2, columns)`; a score `(N, 1)` of their being alike."""

    def __init__(self, tower: nn.Module) -> None:
        super().__init__()
        self.tower = tower
        self.scale, self.offset = nn.Parameter(torch.tensor(-1.0)), nn.Parameter(torch.tensor(1.0))

    def forward(self, x: Tensor) -> Tensor:
        left, right = self.tower(x[:, 0]), self.tower(x[:, 1])
        return self.scale * (left - right).square().sum(1, keepdim=True) + self.offset


class Factors(nn.Module):
    """Products of embedded users and items, as in matrix factorisation; `(N, 2)` to `(N, 1)`."""

    def __init__(
        self, users: int, items: int, width: int = 4, sparse: bool = False, deviation: float = 0.3
    ) -> None:
        super().__init__()
        self.users = nn.Embedding(users, width, sparse=sparse)
        self.items = nn.Embedding(items, width, sparse=sparse)
        nn.init.normal_(self.users.weight, std=deviation)
        nn.init.normal_(self.items.weight, std=deviation)

    def forward(self, x: Tensor) -> Tensor:
        return (self.users(x[:, 0]) * self.items(x[:, 1])).sum(1, keepdim=True)


def mask_network(width: int = 8) -> nn.Sequential:
    """Convolutions that keep the size: a logit for each pixel."""
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(width, width, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(width, 1, 3, padding=1),
    )


def segment_network(width: int = 12, kinds: int = 3) -> nn.Sequential:
    """Convolutions along a signal: `(N, 1, L)` to `(N, kinds, L)`."""
    return nn.Sequential(
        nn.Conv1d(1, width, 5, padding=2),
        nn.ReLU(),
        nn.Conv1d(width, width, 5, padding=2),
        nn.ReLU(),
        nn.Conv1d(width, kinds, 1),
    )


def signal_network(classes: int, width: int = 8) -> nn.Sequential:
    """Convolutions and pooling along `(N, L, 1)`."""
    return nn.Sequential(
        ToChannels(),
        nn.Conv1d(1, width, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool1d(3),
        nn.Conv1d(width, 2 * width, 5, padding=2),
        nn.ReLU(),
        nn.AdaptiveMaxPool1d(4),
        nn.Flatten(),
        nn.Linear(8 * width, classes),
    )


class ToChannels(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2)
