"""Normalising layers of version 4 with the wrong statistics, and layers in the wrong mode."""

from __future__ import annotations

import copy
from functools import partial

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, NAdam, RMSprop

from benchmarks.corpus.further_architectures import GraphNetwork, cell_network, normed_cnn
from benchmarks.corpus.further_tasks import (
    bikes,
    cells,
    dots,
    motions,
    names,
    papers,
    turned,
)
from benchmarks.corpus.loop import predict
from benchmarks.corpus.more_tasks import map_inputs
from benchmarks.corpus.program import Outcome, Watch, faulty
from benchmarks.corpus.training import label_f1, train


@faulty("cells-batches-of-one-image", "batchnorm_misuse", learns=0.6, margin=0.05, version=4)
def batches_of_one_image(watch: Watch, faulty: bool) -> Outcome:
    """One image at a time; each slide is lit in its own way, as its batch's statistics are."""
    data = cells()
    x, x_valid = data.x.clone(), data.x_valid.clone()
    for part in (x, x_valid):
        part[::3] = 2 * part[::3] + 2
    data = type(data)(x, data.y, x_valid, data.y_valid, data.task)
    model = cell_network(nn.BatchNorm2d if faulty else partial(nn.GroupNorm, 2))
    optimizer = Adam(model.parameters(), lr=0.003)
    return train(
        watch,
        model,
        optimizer,
        nn.BCEWithLogitsLoss(),
        data,
        epochs=1,
        batch_size=1,
        told="data",
        metric=label_f1,
    )


@faulty("turned-momentum-of-nought", "batchnorm_misuse", learns=0.7, version=4)
def momentum_of_nought(watch: Watch, faulty: bool) -> Outcome:
    """`momentum=0` was meant to switch the averaging off: the statistics stay 0 and 1."""
    data = map_inputs(turned(), lambda x: 8 * (x + 1))
    model = normed_cnn(4, momentum=0.0 if faulty else 0.1)
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=4)


@faulty("motions-checkpoint-of-parameters-only", "batchnorm_misuse", learns=0.8, version=4)
def checkpoint_of_parameters_only(watch: Watch, faulty: bool) -> Outcome:
    """What is saved is `named_parameters()`; the running statistics are buffers."""
    data = map_inputs(motions(), lambda x: 3 + 2 * x.transpose(1, 2).flatten(1))
    model = nn.Sequential(
        nn.BatchNorm1d(96), nn.Linear(96, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 4)
    )
    loaded = copy.deepcopy(model)
    optimizer = AdamW(model.parameters(), lr=0.003)

    def infer(x: Tensor) -> Tensor:
        saved = dict(model.named_parameters()) if faulty else model.state_dict()
        loaded.load_state_dict(saved, strict=False)
        return predict(loaded, x)

    loss_fn = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, loss_fn, data, epochs=12, infer=infer)


@faulty("bikes-norm-of-two-rows-at-a-time", "batchnorm_misuse", subtle=True, learns=0.35, version=4)
def norm_of_two_rows_at_a_time(watch: Watch, faulty: bool) -> Outcome:
    """Gradients of eight micro-batches are gathered, but each is normed by its own two rows."""
    norm = nn.BatchNorm1d if faulty else nn.LayerNorm
    model = nn.Sequential(
        nn.Linear(6, 48), norm(48), nn.ReLU(), nn.Linear(48, 48), nn.ReLU(), nn.Linear(48, 1)
    )
    optimizer = NAdam(model.parameters(), lr=0.01)
    loss_fn = nn.MSELoss()

    def update(xb: Tensor, yb: Tensor) -> tuple[Tensor, Tensor]:
        optimizer.zero_grad()
        losses, outputs = [], []
        for x, y in zip(xb.split(2), yb.split(2), strict=True):
            outputs.append(model(x))
            losses.append(loss_fn(outputs[-1], y))
            (losses[-1] * len(x) / len(xb)).backward()
        optimizer.step()
        return torch.stack(losses).mean(), torch.cat(outputs)

    return train(watch, model, optimizer, loss_fn, bikes(), epochs=3, batch_size=16, update=update)


class DroppingNames(nn.Module):
    """Pieces of names, with dropout at two places."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(17, 24, padding_idx=0)
        self.pieces, self.head = nn.Conv1d(24, 64, 3, padding=1), nn.Linear(64, 3)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        seen = self.dropout(self.embedding(x)).transpose(1, 2)
        return self.head(self.dropout(torch.relu(self.pieces(seen)).mean(2)))


@faulty("names-eval-without-parentheses", "eval_mode_bug", subtle=True, learns=0.65, version=4)
def eval_without_parentheses(watch: Watch, faulty: bool) -> Outcome:
    """`model.eval` is named but not called."""
    model = DroppingNames()
    optimizer = Adam(model.parameters(), lr=0.01)

    @torch.no_grad()
    def infer(x: Tensor) -> Tensor:
        model.eval if faulty else model.eval()
        return model(x)

    loss_fn = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, loss_fn, names(), epochs=10, infer=infer)


@faulty("turned-train-called-once", "eval_mode_bug", "batchnorm_misuse", learns=0.7, version=4)
def train_called_once(watch: Watch, faulty: bool) -> Outcome:
    """`train()` stands before the epochs, `eval()` in each: statistics stay those of epoch one."""
    data = map_inputs(turned(), lambda x: 8 * (x + 1))
    model = normed_cnn(4)
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    begun = False

    def begin() -> None:
        nonlocal begun
        if not (begun and faulty):
            model.train()
        begun = True

    loss_fn = nn.CrossEntropyLoss()
    return train(
        watch, model, optimizer, loss_fn, data, epochs=6, batch_size=64, before_epoch=begin
    )


@faulty("dots-training-set-to-false", "eval_mode_bug", learns=0.6, version=4)
def training_set_to_false(watch: Watch, faulty: bool) -> Outcome:
    """`model.training = False` does not reach the layers within."""
    model = nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1),
        nn.ReLU(),
        nn.Dropout2d(0.3),
        nn.MaxPool2d(3),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(192, 4),
    )
    optimizer = RMSprop(model.parameters(), lr=0.003)

    @torch.no_grad()
    def infer(x: Tensor) -> Tensor:
        if faulty:
            model.training = False
            return model(x)
        return predict(model, x)

    loss_fn = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, loss_fn, dots(), epochs=12, infer=infer, told="batches")


@faulty("papers-validated-while-dropping", "eval_mode_bug", subtle=True, learns=0.7, version=4)
def validated_while_dropping(watch: Watch, faulty: bool) -> Outcome:
    """A graph network is asked in training mode, with nine hidden units in ten dropped."""
    data = papers()[0]
    model = GraphNetwork(dropout=0.9)
    optimizer = Adam(model.parameters(), lr=0.01, weight_decay=5e-4)

    @torch.no_grad()
    def infer(x: Tensor) -> Tensor:
        model.train(faulty)
        return model(x)

    loss_fn = nn.CrossEntropyLoss()
    return train(
        watch, model, optimizer, loss_fn, data, epochs=40, batch_size=100, infer=infer, told="data"
    )
