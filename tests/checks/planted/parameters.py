"""Faults of parameters that are not trained."""

from __future__ import annotations

import copy
import itertools
import re

import torch
from torch import Tensor, nn

from tests.checks.planted.datasets import (
    WORDS,
    customers,
    digit_pictures,
    digit_rows,
    reviews,
    segments,
    standard_houses,
    standard_stripes,
    standardise,
    tumours,
    waves,
    wine,
)
from tests.checks.planted.fault import Arguments, Family
from tests.checks.planted.models import Recurrent, TextRecurrent, adam, cnn, mlp, sgd

PARAMETERS = Family("parameters")


class Stack(nn.Module):
    """Hidden layers kept in whatever `hold` makes of the list."""

    def __init__(self, sizes: tuple[int, ...], outputs: int, registered: bool) -> None:
        super().__init__()
        layers = [nn.Linear(a, b) for a, b in itertools.pairwise(sizes)]
        self.hidden = nn.ModuleList(layers) if registered else layers
        self.head = nn.Linear(sizes[-1], outputs)

    def forward(self, rows: Tensor) -> Tensor:
        for layer in self.hidden:
            rows = torch.relu(layer(rows))
        return self.head(rows)


@PARAMETERS.plant("frozen_params")
def layers_in_a_list(faulty: bool) -> Arguments:
    """Hidden layers are held in a Python list, where neither the model nor the optimiser sees
    them."""
    data = digit_rows()
    model = Stack((64, 64, 64), 10, registered=not faulty)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model), 32)


@PARAMETERS.plant("frozen_params")
def towers_in_a_dictionary(faulty: bool) -> Arguments:
    """Convolutions are held in a plain dictionary instead of a `ModuleDict`."""

    class Towers(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            towers = {
                str(size): nn.Conv2d(3, 8, size, padding=size // 2, stride=2) for size in (3, 5)
            }
            self.towers = towers if faulty else nn.ModuleDict(towers)
            self.head = nn.Linear(16 * 64, 4)

        def forward(self, images: Tensor) -> Tensor:
            found = [torch.relu(tower(images)) for tower in self.towers.values()]
            return self.head(torch.cat(found, 1).flatten(1))

    data = standard_stripes()
    model = Towers()
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model), 32)


@PARAMETERS.plant("frozen_params")
def weights_that_are_no_parameters(faulty: bool) -> Arguments:
    """A hand-written layer has plain tensors with `requires_grad` instead of `nn.Parameter`."""

    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            weight = 0.2 * torch.randn(16, 64)
            self.weight = weight.requires_grad_() if faulty else nn.Parameter(weight)
            self.head = nn.Linear(64, 5)

        def forward(self, rows: Tensor) -> Tensor:
            return self.head(torch.tanh(rows @ self.weight))

    data = segments()
    model = Own()
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), sgd(model, 0.02), 64)


@PARAMETERS.plant("frozen_params")
def only_the_head_is_optimised(faulty: bool) -> Arguments:
    """The optimiser got the last layer's parameters alone, although nothing is frozen."""
    data = digit_pictures()
    model = cnn(1, 8, 10)
    parameters = model[-1].parameters() if faulty else model.parameters()
    optimizer = torch.optim.Adam(parameters, lr=1e-3)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), optimizer, 32)


@PARAMETERS.plant("frozen_params")
def head_replaced_after_the_optimiser(faulty: bool) -> Arguments:
    """The last layer was replaced for other classes after the optimiser was made."""
    data = standardise(wine())
    model = mlp(13, 32, 10)
    early = sgd(model, 0.02)
    model[-1] = nn.Linear(32, 3)
    optimizer = early if faulty else sgd(model, 0.02)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), optimizer, 16)


@PARAMETERS.plant("frozen_params")
def optimiser_of_another_copy(faulty: bool) -> Arguments:
    """The optimiser holds the parameters of a model that was copied afterwards."""
    data = standard_houses()
    first = mlp(6, 64, 1)
    model = copy.deepcopy(first)
    optimizer = adam(first if faulty else model, 3e-3)
    return Arguments(model, data.train, data.valid, nn.MSELoss(), optimizer, 32)


@PARAMETERS.plant("frozen_params")
def everything_frozen(faulty: bool) -> Arguments:
    """`requires_grad` was set to False on the body, and on the new head too; the twin's head
    trains on a body that was frozen on purpose."""
    data = digit_rows()
    model = mlp(64, 128, 10)
    for parameter in model[0].parameters():
        parameter.requires_grad_(False)
    optimizer = torch.optim.Adam(model[-1].parameters(), lr=3e-3)
    if faulty:
        model.requires_grad_(False)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), optimizer, 32)


@PARAMETERS.plant("frozen_params")
def cell_matches_no_pattern_of_the_groups(faulty: bool) -> Arguments:
    """Parameters were put into groups by name for weight decay, and those of the recurrent cell
    match neither pattern."""
    data = waves()
    model = Recurrent(nn.GRU, 1, 32, 3)
    named = dict(model.named_parameters())
    weight, bias = (r"weight$", r"bias$") if faulty else (r"weight", r"bias")
    decayed = [p for name, p in named.items() if re.search(weight, name)]
    plain = [p for name, p in named.items() if re.search(bias, name)]
    groups = [{"params": decayed, "weight_decay": 1e-4}, {"params": plain}]
    optimizer = torch.optim.Adam(groups, lr=3e-3)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), optimizer, 32)


@PARAMETERS.plant("frozen_params")
def embedding_in_a_list(faulty: bool) -> Arguments:
    """The word vectors are held in a Python list, from code for several languages."""

    class Texts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            vectors = [nn.Embedding(WORDS, 32)]
            self.vectors = vectors if faulty else nn.ModuleList(vectors)
            self.head = nn.Linear(32, 4)

        def forward(self, words: Tensor) -> Tensor:
            return self.head(self.vectors[0](words).mean(1))

    data = reviews()
    model = Texts()
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model, 3e-3), 32)


@PARAMETERS.plant("frozen_params", "lr_too_low")
def a_group_at_rate_zero(faulty: bool) -> Arguments:
    """The body's group has the rate 0, left from a warm-up of the head."""
    data = reviews()
    model = TextRecurrent(WORDS, 4)
    body = [*model.embedding.parameters(), *model.cell.parameters()]
    groups = [
        {"params": body, "lr": 0.0 if faulty else 3e-3},
        {"params": model.head.parameters(), "lr": 3e-3},
    ]
    optimizer = torch.optim.Adam(groups)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), optimizer, 32)


@PARAMETERS.plant("detach_inplace", "frozen_params")
def a_layer_that_is_not_called(faulty: bool) -> Arguments:
    """The forward uses the first hidden layer twice and never the second."""

    class Forgotten(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.into = nn.Linear(12, 32)
            self.first, self.second = nn.Linear(32, 32), nn.Linear(32, 32)
            self.head = nn.Linear(32, 1)

        def forward(self, rows: Tensor) -> Tensor:
            hidden = torch.relu(self.into(rows))
            hidden = torch.relu(self.first(hidden))
            again = self.first if faulty else self.second
            return self.head(torch.relu(again(hidden)))

    data = customers()
    model = Forgotten()
    return Arguments(model, data.train, data.valid, nn.BCEWithLogitsLoss(), adam(model), 32)


@PARAMETERS.plant("frozen_params", "detach_inplace")
def new_layers_made_in_forward(faulty: bool) -> Arguments:
    """The first layer is made anew in each forward, with other random weights."""

    class Anew(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(30, 32)
            self.head = nn.Linear(32, 1)

        def forward(self, rows: Tensor) -> Tensor:
            first = nn.Linear(30, 32) if faulty else self.first
            return self.head(torch.relu(first(rows)))

    data = standardise(tumours())
    model = Anew()
    return Arguments(model, data.train, data.valid, nn.BCEWithLogitsLoss(), adam(model, 3e-3), 32)
