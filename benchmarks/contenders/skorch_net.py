"""skorch, as its quick start writes it."""

from __future__ import annotations

from typing import Any

import torch
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback
from skorch.dataset import Dataset
from skorch.helper import predefined_split
from torch import Tensor, nn

from benchmarks.contenders.plain_loop import predict
from benchmarks.questions import Question
from benchmarks.turns import Turn


class TurnTaker(Callback):
    def __init__(self, turn: Turn) -> None:
        self.turn = turn

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **_: Any) -> None:  # noqa: N803
        self.turn.start()

    def on_batch_end(
        self, net: Any, batch: Any = None, training: bool | None = False, **_: Any
    ) -> None:
        if training:
            self.turn.trained()

    def on_epoch_end(
        self, net: Any, dataset_train: Any = None, dataset_valid: Any = None, **_: Any
    ) -> None:
        self.turn.epoch_ended()


def train(question: Question, turn: Turn) -> Tensor:
    torch.manual_seed(question.seed)
    valid = Dataset(question.valid.inputs.numpy(), question.valid.targets.numpy())
    net = NeuralNetClassifier(
        question.build_model(),
        criterion=nn.CrossEntropyLoss,
        max_epochs=question.epochs,
        optimizer=torch.optim.SGD,
        optimizer__momentum=question.momentum,
        lr=question.learning_rate,
        batch_size=question.batch_size,
        iterator_train__shuffle=True,
        train_split=predefined_split(valid),
        callbacks=[TurnTaker(turn)],
    )
    net.fit(question.train.inputs.numpy(), question.train.targets.numpy())
    return predict(net.module_, question.test.inputs)
