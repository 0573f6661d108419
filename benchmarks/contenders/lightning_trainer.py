"""Lightning, as its "Lightning in 15 minutes" writes it."""

from __future__ import annotations

import logging
import tempfile

import lightning
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.contenders.plain_loop import predict
from benchmarks.questions import Question
from benchmarks.turns import Turn

# It says which devices it found, and advertises.
logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)


class Classifier(lightning.LightningModule):
    def __init__(self, network: nn.Module, learning_rate: float, momentum: float) -> None:
        super().__init__()
        self.network, self.learning_rate, self.momentum = network, learning_rate, momentum

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        inputs, targets = batch
        loss = functional.cross_entropy(self.network(inputs), targets)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        inputs, targets = batch
        right = self.network(inputs).argmax(1) == targets
        self.log("valid_accuracy", right.float().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=self.learning_rate, momentum=self.momentum)


class TurnTaker(lightning.Callback):
    def __init__(self, turn: Turn) -> None:
        self.turn = turn

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        self.turn.start()

    def on_validation_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        if not trainer.sanity_checking:
            self.turn.trained()

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        self.turn.epoch_ended()


def train(question: Question, turn: Turn) -> Tensor:
    torch.manual_seed(question.seed)
    model = Classifier(question.build_model(), question.learning_rate, question.momentum)
    train_set = TensorDataset(question.train.inputs, question.train.targets)
    valid_set = TensorDataset(question.valid.inputs, question.valid.targets)
    with tempfile.TemporaryDirectory(prefix="lightning-bench-") as folder:
        trainer = lightning.Trainer(
            max_epochs=question.epochs, default_root_dir=folder, callbacks=[TurnTaker(turn)]
        )
        trainer.fit(
            model,
            DataLoader(train_set, batch_size=question.batch_size, shuffle=True),
            DataLoader(valid_set, batch_size=question.batch_size),
        )
    return predict(model.network, question.test.inputs)
