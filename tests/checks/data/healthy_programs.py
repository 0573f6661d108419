"""Hand-written programs that are healthy, for faults to be planted in."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import torch
from sklearn import datasets
from sklearn.model_selection import train_test_split
from torch import Generator, Tensor, nn

from trainwell.checks.given import subject_of
from trainwell.checks.subject import Subject
from trainwell.checks.suite import NamedCheck, run_checks
from trainwell.checks.verdict import CheckReport
from trainwell.data.dataset import Task

LOSSES = {
    "multiclass": nn.CrossEntropyLoss,
    "binary": nn.BCEWithLogitsLoss,
    "regression": nn.MSELoss,
    "reconstruction": nn.MSELoss,
}


@dataclass(frozen=True)
class Program:
    """What a program has before its loop begins."""

    model: nn.Module
    inputs: Tensor
    targets: Tensor
    valid_inputs: Tensor
    valid_targets: Tensor
    task: Task

    def with_(self, **changes: object) -> Program:
        return replace(self, **changes)

    def subject(self, **options: object) -> Subject:
        given = {"loss_fn": LOSSES[self.task](), "task": self.task, "batch_size": 32} | options
        valid = (self.valid_inputs, self.valid_targets)
        return subject_of(self.model, (self.inputs, self.targets), valid=valid, **given)


def codes(check, subject: Subject) -> list[tuple[str, str]]:
    """Code and severity of what a check finds at `error` or `warning`; it must not be skipped."""
    report = look(check, subject)
    assert not [verdict.skipped for verdict in report.verdicts if verdict.skipped]
    return [(f.code, f.severity) for f in report.findings if f.severity != "note"]


def look(check, subject: Subject) -> CheckReport:
    return run_checks(subject, [NamedCheck("check", check)])


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=Generator().manual_seed(seed))


def mlp(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, 16), nn.ReLU(), nn.Linear(16, outputs))


class Tokens(nn.Module):
    """Means of embeddings, and scores from them."""

    def __init__(self, known: int, outputs: int) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(known, 8), nn.Linear(8, outputs)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.embedding(tokens).mean(1))


class Recurrent(nn.Module):
    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.cell, self.head = nn.LSTM(width, 8, batch_first=True), nn.Linear(8, outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.cell(inputs)[0][:, -1])


def _standardise(values: Tensor) -> Tensor:
    deviation = values.std(0)
    return (values - values.mean(0)) / torch.where(deviation > 0, deviation, 1.0)


def _program(inputs: Tensor, targets: Tensor, task: Task, model: nn.Module) -> Program:
    stratified = None if task == "regression" else targets.flatten()
    train, valid = train_test_split(
        torch.arange(len(inputs)), test_size=0.25, random_state=0, stratify=stratified
    )
    return Program(model, inputs[train], targets[train], inputs[valid], targets[valid], task)


@functools.cache
def program(name: str) -> Program:
    """A healthy program by name; the names are those of `HEALTHY`."""
    return HEALTHY[name]()


def _digits() -> Program:
    bunch = datasets.load_digits()
    inputs = torch.from_numpy(bunch.data).float() / 16
    return _program(inputs, torch.from_numpy(bunch.target), "multiclass", mlp(64, 10))


def _digit_images() -> Program:
    bunch = datasets.load_digits()
    inputs = torch.from_numpy(bunch.images).float().unsqueeze(1) / 16
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
    return _program(inputs, torch.from_numpy(bunch.target), "multiclass", model)


def _table(loader, task: Task) -> Program:
    bunch = loader()
    inputs = _standardise(torch.from_numpy(bunch.data).float())
    targets = torch.from_numpy(bunch.target)
    if task == "multiclass":
        return _program(inputs, targets, task, mlp(inputs.shape[1], 3))
    column = targets.float().unsqueeze(1)
    column = _standardise(column) if task == "regression" else column
    return _program(inputs, column, task, mlp(inputs.shape[1], 1))


def _blobs() -> Program:
    inputs, targets = datasets.make_blobs(500, n_features=6, centers=4, random_state=1)
    inputs = _standardise(torch.from_numpy(inputs).float())
    return _program(inputs, torch.from_numpy(targets), "multiclass", mlp(6, 4))


def _teacher() -> Program:
    inputs = random(500, 12)
    return _program(inputs, (inputs @ random(12, 4, seed=1)).argmax(1), "multiclass", mlp(12, 4))


def _line() -> Program:
    inputs = random(500, 8)
    targets = inputs @ random(8, 1, seed=1) + 0.1 * random(500, 1, seed=2)
    return _program(inputs, targets, "regression", mlp(8, 1))


def _waves() -> Program:
    generator = Generator().manual_seed(0)
    targets = torch.randint(0, 3, (400,), generator=generator)
    time = torch.linspace(0, 6.28, 40) * (targets.unsqueeze(1) + 1)
    phase = 6.28 * torch.rand(400, 1, generator=generator)
    inputs = ((time + phase).sin() + 0.1 * random(400, 40)).unsqueeze(2)
    return _program(inputs, targets, "multiclass", Recurrent(1, 3))


def _words() -> Program:
    generator = Generator().manual_seed(0)
    targets = torch.randint(0, 3, (400,), generator=generator)
    tokens = torch.randint(0, 90, (400, 12), generator=generator)
    topical = targets.unsqueeze(1) * 30 + torch.randint(0, 30, (400, 12), generator=generator)
    is_topical = torch.rand(400, 12, generator=generator) < 0.5
    tokens = torch.where(is_topical, topical, tokens)
    return _program(tokens, targets, "multiclass", Tokens(90, 3))


HEALTHY = {
    "digits": _digits,
    "digit images": _digit_images,
    "iris": lambda: _table(datasets.load_iris, "multiclass"),
    "wine": lambda: _table(datasets.load_wine, "multiclass"),
    "breast cancer": lambda: _table(datasets.load_breast_cancer, "binary"),
    "diabetes": lambda: _table(datasets.load_diabetes, "regression"),
    "blobs": _blobs,
    "teacher": _teacher,
    "line": _line,
    "waves": _waves,
    "words": _words,
}
VECTORS = [name for name in HEALTHY if name not in ("digit images", "waves", "words")]
CLASSES = [name for name in HEALTHY if name not in ("diabetes", "line")]
