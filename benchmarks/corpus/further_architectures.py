"""Networks of version 4: letters, patches, graphs, small photographs, several steps ahead."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks.corpus.further_tasks import papers


class NameReader(nn.Module):
    """Reads a padded name and scores languages by the state after its last letter."""

    def __init__(self, letters: int = 17, classes: int = 3, width: int = 24) -> None:
        super().__init__()
        self.embedding = nn.Embedding(letters, 12, padding_idx=0)
        self.recurrent = nn.GRU(12, width, batch_first=True)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.recurrent(self.embedding(x))
        last = (x > 0).sum(1) - 1
        return self.head(states[torch.arange(len(x)), last])


class NamePieces(nn.Module):
    """Scores a padded name by the strongest of its pieces of three letters."""

    def __init__(self, classes: int = 3, width: int = 32) -> None:
        super().__init__()
        self.embedding = nn.Embedding(17, 12, padding_idx=0)
        self.pieces = nn.Conv1d(12, width, 3, padding=1)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        pieces = torch.relu(self.pieces(self.embedding(x).transpose(1, 2)))
        return self.head(pieces.mean(2))


class Patches(nn.Module):
    """A transformer over the sixteen patches of a digit (Dosovitskiy et al., 2021)."""

    def __init__(self, classes: int = 10, width: int = 24, layers: int = 1) -> None:
        super().__init__()
        self.cut = nn.Conv2d(1, width, 2, stride=2)
        self.places = nn.Parameter(0.1 * torch.randn(16, width))
        layer = nn.TransformerEncoderLayer(
            width, 2, 2 * width, 0.0, batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        seen = self.cut(x).flatten(2).transpose(1, 2) + self.places
        return self.head(self.encoder(seen).mean(1))


class GraphNetwork(nn.Module):
    """Two graph convolutions (Kipf and Welling, 2017) over `papers`; `(N, 1)` numbers."""

    words: Tensor
    links: Tensor

    def __init__(self, width: int = 24, dropout: float = 0.3) -> None:
        super().__init__()
        _, words, links = papers()
        self.register_buffer("words", words)
        self.register_buffer("links", links)
        self.first, self.second = nn.Linear(16, width), nn.Linear(width, 4)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.dropout(torch.relu(self.links @ self.first(self.words)))
        return (self.links @ self.second(hidden))[x[:, 0]]


class Steps(nn.Module):
    """Scores two classes of each position: `(N, L, 2)` to `(N, 2, L)`."""

    def __init__(self, recurrent: nn.RNNBase) -> None:
        super().__init__()
        self.recurrent, self.head = recurrent, nn.Linear(recurrent.hidden_size, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.recurrent(x)[0]).transpose(1, 2)


def normed_cnn(classes: int, side: int = 8, momentum: float = 0.1) -> nn.Sequential:
    """Convolutions with batch normalisation, for grey images."""
    return nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1, bias=False),
        nn.BatchNorm2d(12, momentum=momentum),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(12, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16, momentum=momentum),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16 * (side // 2) ** 2, classes),
    )


def sound_network(classes: int = 3, activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    """Strided convolutions along `(N, 1, 64)`."""
    return nn.Sequential(
        nn.Conv1d(1, 12, 7, stride=2, padding=3),
        activation(),
        nn.Conv1d(12, 16, 5, stride=2, padding=2),
        activation(),
        nn.Conv1d(16, 16, 5, stride=2, padding=2),
        activation(),
        nn.Flatten(),
        nn.Linear(128, classes),
    )


def motion_network(classes: int = 4) -> nn.Sequential:
    """Convolutions along `(N, 3, 32)`."""
    return nn.Sequential(
        nn.Conv1d(3, 12, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool1d(2),
        nn.Conv1d(12, 16, 5, padding=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(16, classes),
    )


def image_network(outputs: int, channels: int = 8, side: int = 12) -> nn.Sequential:
    """A small LeNet for grey images: two convolutions with pooling and two linear layers."""
    return nn.Sequential(
        nn.Conv2d(1, channels, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(channels, 2 * channels, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(2 * channels * (side // 4) ** 2, 32),
        nn.ReLU(),
        nn.Linear(32, outputs),
    )


def cell_network(norm: Callable[[int], nn.Module] | None = None) -> nn.Sequential:
    """Convolutions, perhaps with a norm of channels; a logit for each pixel."""
    model = nn.Sequential()
    for inputs in (1, 8):
        model.append(nn.Conv2d(inputs, 8, 3, padding=1))
        if norm is not None:
            model.append(norm(8))
        model.append(nn.ReLU())
    return model.append(nn.Conv2d(8, 1, 3, padding=1))
