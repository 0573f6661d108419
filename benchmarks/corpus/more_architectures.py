"""Networks of version 3: a U, readers of padded texts, tables with codes, a causal transformer."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.corpus.more_tasks import codes_of
from benchmarks.corpus.networks import mlp


class UNet(nn.Module):
    """Down once, up once, and across (Ronneberger et al., 2015); images of even sides."""

    def __init__(self, outputs: int = 1, width: int = 8, across: bool = True) -> None:
        super().__init__()
        self.enter = nn.Conv2d(1, width, 3, padding=1)
        self.down = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)
        self.inner = nn.Conv2d(2 * width, 2 * width, 3, padding=1)
        self.up = nn.ConvTranspose2d(2 * width, width, 2, stride=2)
        self.leave = nn.Conv2d((2 if across else 1) * width, outputs, 3, padding=1)
        self.across = across

    def forward(self, x: Tensor) -> Tensor:
        fine = torch.relu(self.enter(x))
        coarse = torch.relu(self.inner(torch.relu(self.down(fine))))
        raised = torch.relu(self.up(coarse))
        return self.leave(torch.cat([fine, raised], 1) if self.across else raised)


class Reader(nn.Module):
    """Embeds padded word numbers, reads them, and scores the mean state of the words."""

    def __init__(
        self, words: int = 40, outputs: int = 1, width: int = 24, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, 16, padding_idx=0)
        self.recurrent = nn.GRU(16, width, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.recurrent(self.embedding(x))
        seen = (x > 0).float()[..., None]
        return self.head(self.dropout((states * seen).sum(1) / seen.sum(1).clamp(min=1)))


class Table(nn.Module):
    """Embedded codes and plain columns of `orders`, into a multilayer perceptron."""

    def __init__(self, width: int = 4, hidden: int = 32, dropout: float = 0.0) -> None:
        super().__init__()
        self.embeddings = nn.ModuleList(nn.Embedding(kinds, width) for kinds in (12, 20, 7))
        self.dropout = nn.Dropout(dropout)
        self.body = mlp(3 * width + 4, hidden, 1)

    def forward(self, x: Tensor) -> Tensor:
        codes, numbers = codes_of(x)
        known = [each(codes[:, column]) for column, each in enumerate(self.embeddings)]
        return self.body(self.dropout(torch.cat([*known, numbers], 1)))


class CausalTransformer(nn.Module):
    """Foretells each next letter from those before: `(N, L)` to `(N, letters, L)`."""

    def __init__(
        self, alphabet: int, length: int, width: int = 24, layers: int = 1, causal: bool = True
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(alphabet, width)
        self.positions = nn.Parameter(0.1 * torch.randn(length, width))
        layer = nn.TransformerEncoderLayer(
            width, 2, 2 * width, 0.0, batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.head = nn.Linear(width, alphabet)
        self.causal = causal

    def forward(self, x: Tensor) -> Tensor:
        length = x.shape[1]
        mask = torch.full((length, length), float("-inf")).triu(1) if self.causal else None
        states = self.encoder(self.embedding(x) + self.positions[:length], mask=mask)
        return self.head(states).transpose(1, 2)


class Chooser(nn.Module):
    """Scores each of several offers with one network: `(N, offers, columns)` to `(N, offers)`."""

    def __init__(self, columns: int = 5, width: int = 24) -> None:
        super().__init__()
        self.score = mlp(columns, width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.score(x)[..., 0]


class Preference(nn.Module):
    """How much a user prefers the first of two items: `(N, 3)` to `(N, 1)`."""

    def __init__(self, users: int = 60, items: int = 40, width: int = 4) -> None:
        super().__init__()
        self.users, self.items = nn.Embedding(users, width), nn.Embedding(items, width)
        nn.init.normal_(self.users.weight, std=0.3)
        nn.init.normal_(self.items.weight, std=0.3)

    def forward(self, x: Tensor) -> Tensor:
        gap = self.items(x[:, 1]) - self.items(x[:, 2])
        return (self.users(x[:, 0]) * gap).sum(1, keepdim=True)


class Highway(nn.Module):
    """g · f(x) + (1 − g) · x (Srivastava et al., 2015)."""

    def __init__(self, width: int, bias: float = -1.0) -> None:
        super().__init__()
        self.change, self.gate = nn.Linear(width, width), nn.Linear(width, width)
        nn.init.constant_(self.gate.bias, bias)

    def forward(self, x: Tensor) -> Tensor:
        share = torch.sigmoid(self.gate(x))
        return share * torch.relu(self.change(x)) + (1 - share) * x


class Variational(nn.Module):
    """A variational autoencoder; `(N, columns)` to reconstruction, mean, log-variance."""

    def __init__(self, columns: int, code: int = 4, width: int = 32) -> None:
        super().__init__()
        self.encoder, self.decoder = mlp(columns, width, 2 * code), mlp(code, width, columns)

    def forward(self, x: Tensor) -> Tensor:
        mean, spread = self.encoder(x).chunk(2, 1)
        drawn = mean + torch.exp(0.5 * spread) * torch.randn_like(mean) if self.training else mean
        return torch.cat([self.decoder(drawn), mean, spread], 1)


def divergence(mean: Tensor, spread: Tensor) -> Tensor:
    """Of each row's normal distribution from the standard one."""
    return 0.5 * (mean**2 + spread.exp() - 1 - spread).sum(1)


def spot_network(outputs: int = 2, activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    """Convolutions and a dense head, for images of 12 × 12."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=2, padding=1),
        activation(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1),
        activation(),
        nn.Flatten(),
        nn.Linear(144, 32),
        activation(),
        nn.Linear(32, outputs),
    )


def colour_network(classes: int = 3, channels: int = 3) -> nn.Sequential:
    """Two convolutions and an average over the places."""
    return nn.Sequential(
        nn.Conv2d(channels, 12, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(12, 16, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Linear(16, classes),
    )


def frame_network(classes: int = 4) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(2, 12, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(12, 16, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(400, classes),
    )


def box_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """Is there a box, by its logit; and, where there is, the distance of its three numbers."""
    there = targets[:, :1]
    found = functional.binary_cross_entropy_with_logits(outputs[:, :1], there)
    missed = (outputs[:, 1:] - targets[:, 1:]).abs().mean(1, keepdim=True)
    return found + 5 * (missed * there).sum() / there.sum().clamp(min=1)


def box_score(outputs: Tensor, targets: Tensor) -> float:
    """1 less the mean error of boxes, over that of the mean box."""
    rows = targets[:, 0] > 0.5
    wanted = targets[rows, 1:]
    usual = (wanted - wanted.mean(0)).abs().mean()
    value = 1 - ((outputs[rows, 1:] - wanted).abs().mean() / usual).item()
    return value if value > -1 else -1.0
