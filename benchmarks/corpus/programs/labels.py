"""Targets that do not say what they should, or that hardly ever say one thing."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW

from benchmarks.corpus.data import (
    Data,
    arrows,
    clusters,
    diabetes,
    digits,
    friedman,
    noisy_linear,
    random,
    rare,
    wine,
)
from benchmarks.corpus.loop import accuracy, balanced_accuracy, fit, score
from benchmarks.corpus.networks import cnn, mlp
from benchmarks.corpus.program import Outcome, Watch, faulty


@faulty("digits-labels-at-random", "corrupted_labels", learns=0.9, margin=0.3)
def labels_at_random(watch: Watch, faulty: bool) -> Outcome:
    data = digits()
    if faulty:
        y = data.y[torch.randperm(len(data.y), generator=random(41))]
        y_valid = data.y_valid[torch.randperm(len(data.y_valid), generator=random(42))]
        data = replace(data, y=y, y_valid=y_valid)
    model = mlp(64, 48, 10)
    optimizer = Adam(model.parameters(), lr=0.003)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=12)


@faulty("friedman-targets-sorted-alone", "corrupted_labels", learns=0.7, margin=0.3)
def targets_sorted_alone(watch: Watch, faulty: bool) -> Outcome:
    data = friedman()
    if faulty:
        data = replace(data, y=data.y.sort(dim=0).values)
    model = mlp(10, 32, 32, 1)
    optimizer = Adam(model.parameters(), lr=0.003)
    return fit(watch, model, optimizer, nn.MSELoss(), data, epochs=20)


@faulty("clusters-two-labels-in-five-wrong", "corrupted_labels", subtle=True, learns=0.85)
def two_labels_in_five_wrong(watch: Watch, faulty: bool) -> Outcome:
    data = clusters()
    if faulty:
        wrong = torch.rand(len(data.y), generator=random(43)) < 0.4
        other = (data.y + torch.randint(1, 4, data.y.shape, generator=random(44))) % 4
        data = replace(data, y=torch.where(wrong, other, data.y))
    model = mlp(20, 32, 4)
    optimizer = Adam(model.parameters(), lr=0.003)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=12)


@faulty("digits-training-labels-count-from-one", "corrupted_labels", learns=0.9, margin=0.5)
def training_labels_count_from_one(watch: Watch, faulty: bool) -> Outcome:
    data = digits()
    if faulty:
        data = replace(data, y=(data.y + 1) % 10)
    model = mlp(64, 48, 10)
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=8)


@faulty("arrows-left-often-called-right", "corrupted_labels", subtle=True, learns=0.8)
def left_often_called_right(watch: Watch, faulty: bool) -> Outcome:
    data = arrows()
    if faulty:
        swapped = torch.rand(len(data.y), generator=random(45)) < 0.6
        data = replace(data, y=torch.where((data.y == 1) & swapped, 0, data.y))
    model = cnn(12, 4)
    optimizer = Adam(model.parameters(), lr=0.003)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=12)


@faulty("wine-labels-rolled-by-one-row", "corrupted_labels", learns=0.85, margin=0.2)
def labels_rolled_by_one_row(watch: Watch, faulty: bool) -> Outcome:
    data = wine()
    if faulty:
        data = replace(data, y=data.y.roll(1))
    model = mlp(13, 24, 3)
    optimizer = AdamW(model.parameters(), lr=0.005)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=60, batch_size=16)


def append_column(data: Data, column: torch.Tensor, column_valid: torch.Tensor) -> Data:
    x = torch.cat([data.x, column.float()], 1)
    return replace(data, x=x, x_valid=torch.cat([data.x_valid, column_valid.float()], 1))


def hide_column(model: nn.Module, data: Data, number: int = -1) -> float:
    """The score where a leaking column tells nothing, as in use."""
    x_valid = data.x_valid.clone()
    x_valid[:, number] = x_valid[torch.randperm(len(x_valid), generator=random(46)), number]
    return score(model, replace(data, x_valid=x_valid))


@faulty("clusters-label-among-the-columns", "label_leak", learns=0.6, margin=0.2, inflates=True)
def label_among_the_columns(watch: Watch, faulty: bool) -> Outcome:
    data = clusters(flipped=0.3)
    column, column_valid = data.y[:, None].float() - 1.5, data.y_valid[:, None].float() - 1.5
    if not faulty:
        column, column_valid = torch.randn(column.shape), torch.randn(column_valid.shape)
    data = append_column(data, column, column_valid)
    model = mlp(21, 32, 4)
    optimizer = Adam(model.parameters(), lr=0.005, weight_decay=1e-3)
    outcome = fit(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=12)
    return Outcome(hide_column(model, data), outcome.reported)


@faulty("diabetes-measured-after-the-target", "label_leak", learns=0.3, margin=0.2, inflates=True)
def measured_after_the_target(watch: Watch, faulty: bool) -> Outcome:
    data = diabetes()
    follow_up = data.y if faulty else torch.zeros_like(data.y)
    follow_up_valid = data.y_valid if faulty else torch.zeros_like(data.y_valid)
    data = append_column(
        data,
        follow_up + 0.1 * torch.randn(follow_up.shape),
        follow_up_valid + 0.1 * torch.randn(follow_up_valid.shape),
    )
    model = mlp(11, 16, 1)
    optimizer = SGD(model.parameters(), lr=0.02)
    outcome = fit(watch, model, optimizer, nn.MSELoss(), data, epochs=20, batch_size=16)
    return Outcome(hide_column(model, data), outcome.reported)


@faulty(
    "arrows-class-in-a-corner-pixel",
    "label_leak",
    subtle=True,
    learns=0.6,
    margin=0.1,
    inflates=True,
)
def class_in_a_corner_pixel(watch: Watch, faulty: bool) -> Outcome:
    clean = arrows(noise=0.45, count=1600)
    data = clean
    if faulty:
        x, x_valid = clean.x.clone(), clean.x_valid.clone()
        x[:, 0, 0, 0] = 2 * data.y - 3.0
        x_valid[:, 0, 0, 0] = 2 * data.y_valid - 3.0
        data = replace(clean, x=x, x_valid=x_valid)
    model = cnn(12, 4)
    optimizer = Adam(model.parameters(), lr=0.005)
    outcome = fit(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=8)
    return Outcome(score(model, clean), outcome.reported)


@faulty(
    "linear-row-number-as-a-column",
    "label_leak",
    subtle=True,
    learns=0.3,
    margin=0.1,
    inflates=True,
)
def row_number_as_a_column(watch: Watch, faulty: bool) -> Outcome:
    data = noisy_linear(noise=1.0)
    rank = torch.cat([data.y, data.y_valid]).flatten().argsort().argsort()[:, None].float()
    rank = rank / len(rank) - 0.5
    if not faulty:
        rank = rank[torch.randperm(len(rank))]
    data = append_column(data, rank[: len(data.y)], rank[len(data.y) :])
    model = mlp(9, 16, 1, activation=nn.Tanh)
    optimizer = Adam(model.parameters(), lr=0.005)
    outcome = fit(watch, model, optimizer, nn.MSELoss(), data, epochs=20)
    return Outcome(hide_column(model, data), outcome.reported)


@faulty("fraud-one-in-a-hundred", "class_imbalance", learns=0.75, margin=0.1)
def one_in_a_hundred(watch: Watch, faulty: bool) -> Outcome:
    data = rare(share=0.01, distance=1.0)
    model = mlp(10, 16, 1)
    optimizer = Adam(model.parameters(), lr=0.001)
    weight = None if faulty else torch.tensor([99.0])
    loss_fn = nn.BCEWithLogitsLoss(pos_weight=weight)
    outcome = fit(watch, model, optimizer, loss_fn, data, epochs=8, metric=accuracy)
    return Outcome(score(model, data, balanced_accuracy), outcome.reported)


@faulty("fraud-one-in-twenty-overlapping", "class_imbalance", subtle=True, learns=0.75, margin=0.1)
def one_in_twenty(watch: Watch, faulty: bool) -> Outcome:
    data = rare(share=0.05, distance=0.8)
    model = nn.Sequential(nn.Linear(10, 1))
    optimizer = SGD(model.parameters(), lr=0.1)
    weight = None if faulty else torch.tensor([19.0])
    loss_fn = nn.BCEWithLogitsLoss(pos_weight=weight)
    outcome = fit(watch, model, optimizer, loss_fn, data, epochs=8, metric=accuracy)
    return Outcome(score(model, data, balanced_accuracy), outcome.reported)


@faulty("churn-three-in-a-hundred", "class_imbalance", learns=0.75, margin=0.1)
def three_in_a_hundred(watch: Watch, faulty: bool) -> Outcome:
    data = rare(share=0.03, distance=0.9)
    data = replace(data, y=data.y[:, 0].long(), y_valid=data.y_valid[:, 0].long())
    data = replace(data, task="multiclass")
    model = nn.Sequential(nn.Linear(10, 16), nn.Tanh(), nn.Dropout(0.2), nn.Linear(16, 2))
    optimizer = AdamW(model.parameters(), lr=0.002)
    weight = None if faulty else torch.tensor([1.0, 32.0])
    loss_fn = nn.CrossEntropyLoss(weight=weight)
    outcome = fit(watch, model, optimizer, loss_fn, data, epochs=8, metric=accuracy)
    return Outcome(score(model, data, balanced_accuracy), outcome.reported)
