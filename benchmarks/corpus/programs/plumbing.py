"""Parameters of version 3 that never move, and derivatives that never reach them."""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, Adam, AdamW, RAdam, RMSprop

from benchmarks.corpus.more_architectures import Reader, Table, colour_network, spot_network
from benchmarks.corpus.more_tasks import (
    frames,
    hastie,
    leaves,
    machines,
    map_inputs,
    orders,
    reviews,
    ribbon,
    spots,
)
from benchmarks.corpus.networks import mlp
from benchmarks.corpus.program import Outcome, Watch, faulty
from benchmarks.corpus.tasks import sensors, shells, spirals
from benchmarks.corpus.training import bit_accuracy, train


class Coder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = mlp(24, 32, 3), mlp(3, 32, 24)

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.encoder(x))


@faulty("sensors-decoder-named-twice", "frozen_params", learns=0.8, version=3)
def decoder_named_twice(watch: Watch, faulty: bool) -> Outcome:
    """Of encoder and decoder, the optimiser is given the decoder alone: a slip of copying."""
    model = Coder()
    learned = list(model.decoder.parameters())
    if not faulty:
        learned += list(model.encoder.parameters())
    optimizer = Adam(learned, lr=0.01)
    return train(watch, model, optimizer, nn.MSELoss(), sensors(), epochs=15)


@faulty("leaves-body-rate-is-nought", "frozen_params", subtle=True, learns=0.8, version=3)
def body_rate_is_nought(watch: Watch, faulty: bool) -> Outcome:
    """The configuration has a rate for the body, left at 0 since the last fine-tuning."""
    model = colour_network()
    groups = [
        {"params": model[:6].parameters(), "lr": 0.0 if faulty else 0.005},
        {"params": model[7].parameters()},
    ]
    optimizer = AdamW(groups, lr=0.005)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), leaves(), epochs=12)


@faulty("reviews-unfrozen-too-late-for-the-optimizer", "frozen_params", learns=0.75, version=3)
def unfrozen_too_late(watch: Watch, faulty: bool) -> Outcome:
    """Only the head trains at first; the rest is unfrozen, but the optimiser has never seen it."""
    model = Reader()
    for parameter in (*model.embedding.parameters(), *model.recurrent.parameters()):
        parameter.requires_grad = False
    seen = [p for p in model.parameters() if p.requires_grad or not faulty]
    optimizer = Adam(seen, lr=0.01)
    epoch = 0

    def before_epoch() -> None:
        nonlocal epoch
        model.train()
        epoch += 1
        if epoch == 2:
            for parameter in model.parameters():
                parameter.requires_grad = True

    loss_fn = nn.BCEWithLogitsLoss()
    return train(watch, model, optimizer, loss_fn, reviews(), epochs=10, before_epoch=before_epoch)


@faulty("spirals-state-assigned-after-the-optimizer", "frozen_params", learns=0.85, version=3)
def state_assigned_after_the_optimizer(watch: Watch, faulty: bool) -> Outcome:
    """`load_state_dict(assign=True)` puts in new parameters; the optimiser holds the old ones."""
    model = mlp(2, 48, 48, 3)
    start = copy.deepcopy(model.state_dict())
    optimizer = RAdam(model.parameters(), lr=0.01)
    model.load_state_dict(start, assign=faulty)
    loss_fn = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, loss_fn, spirals(), epochs=20, told="batches")


class Rezero(nn.Module):
    """x + α · f(x), where α starts at 0 (Bachlechner et al., 2021) and may be a mere tensor."""

    def __init__(self, width: int, registers: bool) -> None:
        super().__init__()
        self.inner = mlp(width, width, width)
        share = torch.zeros(1, requires_grad=True)
        self.share = nn.Parameter(share.detach()) if registers else share

    def forward(self, x: Tensor) -> Tensor:
        return x + self.share * self.inner(x)


@faulty("shells-share-is-no-parameter", "frozen_params", subtle=True, learns=0.8, version=3)
def share_is_no_parameter(watch: Watch, faulty: bool) -> Outcome:
    """A tensor with `requires_grad=True` as an attribute is not among `parameters()`."""
    blocks = [Rezero(24, registers=not faulty) for _ in range(3)]
    model = nn.Sequential(nn.Linear(4, 24), *blocks, nn.Linear(24, 3))
    optimizer = Adam(model.parameters(), lr=0.01)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), shells(), epochs=15, told="data")


class Remembering(nn.Module):
    """A body whose features of known examples are kept, to save time; and a head."""

    def __init__(self, body: nn.Module, head: nn.Module, keeps: bool) -> None:
        super().__init__()
        self.body, self.head, self.keeps = body, head, keeps
        self.kept: dict[float, Tensor] = {}

    def forward(self, x: Tensor) -> Tensor:
        if not self.keeps:
            return self.head(self.body(x))
        keys = x.flatten(1).double().sum(1).tolist()
        if any(key not in self.kept for key in keys):
            with torch.no_grad():
                self.kept |= dict(zip(keys, self.body(x), strict=True))
        return self.head(torch.stack([self.kept[key] for key in keys]))


@faulty("spots-features-kept-from-the-first-epoch", "detach_inplace", learns=0.8, version=3)
def features_kept_from_the_first_epoch(watch: Watch, faulty: bool) -> Outcome:
    """Features are cached without a graph, of a body that has learned nothing yet."""
    whole = spot_network()
    body = whole[:4]
    for layer in (body[0], body[2]):
        nn.init.normal_(layer.weight, std=0.05)
    model = Remembering(body, whole[4:], keeps=faulty)
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    return train(watch, model, optimizer, nn.MSELoss(), spots(), epochs=12)


class Shared(nn.Module):
    """A body shared by what is asked first and what is asked next."""

    def __init__(self, spares: bool) -> None:
        super().__init__()
        self.body = mlp(10, 24, 24)
        self.first, self.second = nn.Linear(24, 1), nn.Linear(24, 1)
        self.spares = spares

    def forward(self, x: Tensor) -> Tensor:
        features = torch.relu(self.body(x))
        other = features.detach() if self.spares else features
        return torch.cat([self.first(features), self.second(other)], 1)


@faulty(
    "hastie-second-task-does-not-reach-the-body",
    "detach_inplace",
    subtle=True,
    learns=0.8,
    margin=0.05,
    version=3,
)
def second_task_does_not_reach_the_body(watch: Watch, faulty: bool) -> Outcome:
    """Two tasks with one body: the features are detached for the one that needs it to learn."""
    model = Shared(spares=faulty)
    optimizer = AdamW(model.parameters(), lr=0.01)

    data = hastie()
    first, first_valid = ((x[:, :1] > x[:, 1:2]).float() for x in (data.x, data.x_valid))
    data = replace(
        data,
        y=torch.cat([first, data.y], 1),
        y_valid=torch.cat([first_valid, data.y_valid], 1),
    )
    return train(
        watch,
        model,
        optimizer,
        nn.BCEWithLogitsLoss(),
        data,
        epochs=15,
        told="data",
        metric=bit_accuracy,
    )


class Shifted(nn.Module):
    """Reads the difference of two frames at learned offsets, whole numbers or fractions."""

    def __init__(self, rounds: bool) -> None:
        super().__init__()
        self.offset = nn.Parameter(torch.zeros(4, 2))
        self.score = nn.Linear(4, 4)
        self.rounds = rounds

    def forward(self, x: Tensor) -> Tensor:
        offset = self.offset.round() if self.rounds else self.offset
        rows = []
        for shift in offset / 5:
            move = torch.eye(2, 3)
            move = torch.cat([move[:, :2], shift[:, None]], 1)
            grid = functional.affine_grid(
                move.expand(len(x), 2, 3), [len(x), 1, 10, 10], align_corners=False
            )
            moved = functional.grid_sample(x[:, :1], grid, align_corners=False)
            rows.append(((moved - x[:, 1:]) ** 2).mean((1, 2, 3)))
        return self.score(torch.stack(rows, 1))


@faulty("frames-offsets-are-rounded", "detach_inplace", learns=0.7, margin=0.2, version=3)
def offsets_are_rounded(watch: Watch, faulty: bool) -> Outcome:
    """Learned offsets are rounded to whole steps, which have no derivative."""
    data = map_inputs(frames(), lambda x: (x - 105) / 30)
    model = Shifted(rounds=faulty)
    nn.init.normal_(model.offset, std=0.25)
    optimizer = Adam(model.parameters(), lr=0.05)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=12)


class Collected(nn.Module):
    """States of a cell, put one by one into a tensor made before; perhaps by their `.data`."""

    def __init__(self, cuts: bool) -> None:
        super().__init__()
        self.cell, self.head, self.cuts = nn.GRUCell(3, 16), mlp(16, 16, 1), cuts

    def forward(self, x: Tensor) -> Tensor:
        state = x.new_zeros(len(x), 16)
        states = x.new_zeros(len(x), x.shape[1], 16)
        for step in range(x.shape[1]):
            state = self.cell(x[:, step], state)
            states[:, step] = state.data if self.cuts else state
        return self.head(states.mean(1))


@faulty("machines-states-collected-by-their-data", "detach_inplace", learns=0.8, version=3)
def states_collected_by_their_data(watch: Watch, faulty: bool) -> Outcome:
    model = Collected(cuts=faulty)
    nn.init.normal_(model.cell.weight_ih, std=0.03)
    optimizer = RMSprop(model.parameters(), lr=0.003)
    loss_fn = nn.MSELoss()
    return train(watch, model, optimizer, loss_fn, machines(), epochs=10, told="batches")


class ByDraws(nn.Module):
    """Chooses one of sixteen prototypes: by a drawn number, or by its soft shares."""

    def __init__(self, draws: bool) -> None:
        super().__init__()
        self.choice = mlp(3, 16)
        self.worth = nn.Linear(16, 1)
        self.draws = draws

    def forward(self, x: Tensor) -> Tensor:
        shares = (3 * self.choice(x)).softmax(1)
        if self.draws:
            chosen = torch.multinomial(shares, 1) if self.training else shares.argmax(1, True)
            shares = functional.one_hot(chosen[:, 0], 16).float()
        return self.worth(shares)


@faulty("ribbon-chooses-by-drawing", "detach_inplace", subtle=True, learns=0.8, version=3)
def chooses_by_drawing(watch: Watch, faulty: bool) -> Outcome:
    """`multinomial` has no derivative; the network that chooses stays as it was drawn."""
    model = ByDraws(draws=faulty)
    optimizer = Adam(model.parameters(), lr=0.03)
    return train(watch, model, optimizer, nn.MSELoss(), ribbon(), epochs=20)


@faulty(
    "orders-embeddings-frozen-for-an-export",
    "frozen_params",
    subtle=True,
    learns=0.78,
    version=3,
)
def embeddings_frozen_for_an_export(watch: Watch, faulty: bool) -> Outcome:
    """`requires_grad_(False)` of all embeddings, made for an export, was never taken back."""
    model = Table()
    model.embeddings.requires_grad_(not faulty)
    for each in model.embeddings:
        nn.init.normal_(each.weight, std=0.1)
    optimizer = Adam(model.parameters(), lr=0.005)
    return train(watch, model, optimizer, nn.BCEWithLogitsLoss(), orders(), epochs=10)
