"""Batch statistics and modes of training and evaluation that are mixed up."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, RMSprop

from benchmarks.corpus.architectures import Tagger
from benchmarks.corpus.data import standardise_targets
from benchmarks.corpus.networks import mlp
from benchmarks.corpus.program import Outcome, Watch, faulty
from benchmarks.corpus.tasks import (
    applicants,
    houses,
    pairs,
    raw_houses,
    sensors,
    shells,
    spirals,
    tags,
)
from benchmarks.corpus.training import position_accuracy, train


class TwoKinds(nn.Module):
    """A tower for sketches and for photographs, which are far brighter; a norm for each, or one."""

    def __init__(self, shares: bool) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.BatchNorm1d(16) for _ in range(2)])
        self.tower, self.head = mlp(16, 24, 12), mlp(12, 16, 1)
        self.second = 0 if shares else 1

    def forward(self, x: Tensor) -> Tensor:
        sketch = self.tower(self.norms[0](x[:, 0]))
        photograph = self.tower(self.norms[self.second](x[:, 1]))
        return self.head((sketch - photograph).abs())


@faulty("pairs-one-norm-for-two-kinds-of-input", "batchnorm_misuse", learns=0.8, version=2)
def one_norm_for_two_kinds_of_input(watch: Watch, faulty: bool) -> Outcome:
    data = pairs()
    factor, offset = torch.tensor([[[1.0], [4.0]]]), torch.tensor([[[0.0], [6.0]]])
    x, x_valid = data.x * factor + offset, data.x_valid * factor + offset
    data = replace(data, x=x, x_valid=x_valid)
    model = TwoKinds(shares=faulty)
    optimizer = Adam(model.parameters(), lr=0.005)
    return train(watch, model, optimizer, nn.BCEWithLogitsLoss(), data, epochs=12)


@faulty(
    "shells-batchnorm-of-sorted-batches", "batchnorm_misuse", "no_shuffle", learns=0.7, version=2
)
def batchnorm_of_sorted_batches(watch: Watch, faulty: bool) -> Outcome:
    """Each batch has one class only, so that its statistics give the class away."""
    data = shells(classes=2)
    model = nn.Sequential(
        nn.Linear(4, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU()
    )
    model.append(nn.Linear(16, 2))
    optimizer = Adam(model.parameters(), lr=0.01)
    groups = [torch.where(data.y == kind)[0] for kind in (0, 1)]

    def one_class_a_batch(count: int) -> Tensor:
        batches = [
            batch
            for rows in groups
            for batch in rows[torch.randperm(len(rows))].split(30)
            if len(batch) == 30
        ]
        return torch.cat([batches[place] for place in torch.randperm(len(batches))])

    order = one_class_a_batch if faulty else torch.randperm
    loss_fn = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, loss_fn, data, epochs=12, batch_size=30, order=order)


@faulty(
    "houses-batchnorm-on-the-last-layer", "batchnorm_misuse", subtle=True, learns=0.8, version=2
)
def batchnorm_on_the_last_layer(watch: Watch, faulty: bool) -> Outcome:
    """The batch's own mean and deviation stand in for those of the prices."""
    model = mlp(5, 24, 24, 1)
    if faulty:
        model.append(nn.BatchNorm1d(1))
    optimizer = Adam(model.parameters(), lr=0.01)
    return train(watch, model, optimizer, nn.MSELoss(), houses(), epochs=4, batch_size=3)


@faulty(
    "shells-batchnorm-over-the-wrong-axis", "batchnorm_misuse", subtle=True, learns=0.8, version=2
)
def batchnorm_over_the_wrong_axis(watch: Watch, faulty: bool) -> Outcome:
    """Normalises each example alone and forgets its level, in the guise of batch statistics."""

    class Levels(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.norm = nn.Linear(4, 32), nn.BatchNorm1d(32)
            self.last = nn.Linear(32, 3)

        def forward(self, x: Tensor) -> Tensor:
            hidden = self.first(x)
            if faulty:
                own = nn.functional.batch_norm(hidden.T[None], None, None, training=True)
                hidden = own[0].T
                return self.last(torch.relu(hidden))
            return self.last(torch.relu(self.norm(hidden)))

    model = Levels()
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), shells(), epochs=10)


@faulty("applicants-dropout-when-it-predicts", "eval_mode_bug", learns=0.65, margin=0.03, version=2)
def dropout_when_it_predicts(watch: Watch, faulty: bool) -> Outcome:
    """`functional.dropout` without `training=self.training`."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.last = (
                nn.Linear(5, 64),
                nn.Linear(64, 32),
                nn.Linear(32, 1),
            )

        def forward(self, x: Tensor) -> Tensor:
            drops = self.training or faulty
            x = nn.functional.dropout(torch.relu(self.first(x)), 0.7, drops)
            x = nn.functional.dropout(torch.relu(self.second(x)), 0.8, drops)
            return self.last(x)

    model = Net()
    optimizer = Adam(model.parameters(), lr=0.005)
    return train(watch, model, optimizer, nn.BCEWithLogitsLoss(), applicants(), epochs=15)


@faulty("tags-eval-is-never-called", "eval_mode_bug", subtle=True, learns=0.6, version=2)
def eval_is_never_called(watch: Watch, faulty: bool) -> Outcome:
    model = Tagger(24, 4, dropout=0.5)
    optimizer = AdamW(model.parameters(), lr=0.01)

    def infer(x: Tensor) -> Tensor:
        model.train(faulty)
        return model(x)

    return train(
        watch,
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        tags(),
        epochs=9,
        told="data",
        metric=position_accuracy,
        infer=infer,
    )


class BackboneAndHead(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.85)
        )
        self.head = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.backbone(x))


@faulty("spirals-only-the-head-is-evaluated", "eval_mode_bug", learns=0.8, version=2)
def only_the_head_is_evaluated(watch: Watch, faulty: bool) -> Outcome:
    model = BackboneAndHead()
    optimizer = RMSprop(model.parameters(), lr=0.003)

    def infer(x: Tensor) -> Tensor:
        (model.head if faulty else model).eval()
        return model(x)

    loss_fn = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, loss_fn, spirals(), epochs=20, infer=infer)


@faulty("sensors-validated-by-fours-in-training-mode", "eval_mode_bug", learns=0.6, version=2)
def validated_by_fours_in_training_mode(watch: Watch, faulty: bool) -> Outcome:
    """Batches of four in training mode: statistics of four, of a model trained on 64."""
    model = nn.Sequential(nn.Linear(24, 32), nn.BatchNorm1d(32), nn.Tanh(), nn.Linear(32, 24))
    optimizer = Adam(model.parameters(), lr=0.01)

    def infer(x: Tensor) -> Tensor:
        model.train(faulty)
        return torch.cat([model(part) for part in x.split(4)])

    data = sensors()
    return train(watch, model, optimizer, nn.MSELoss(), data, epochs=15, batch_size=64, infer=infer)


@faulty(
    "houses-normalising-layer-in-evaluation-mode",
    "eval_mode_bug",
    "batchnorm_misuse",
    learns=0.8,
    version=2,
)
def normalising_layer_in_evaluation_mode(watch: Watch, faulty: bool) -> Outcome:
    """An early `model.eval()`, from a notebook: the layer that normalises lets all through."""
    data = standardise_targets(raw_houses())
    model = nn.Sequential(nn.BatchNorm1d(5, affine=False), mlp(5, 24, 24, 1))
    optimizer = Adam(model.parameters(), lr=0.01)
    before_epoch = model.eval if faulty else None
    loss_fn = nn.MSELoss()
    return train(watch, model, optimizer, loss_fn, data, epochs=15, before_epoch=before_epoch)
