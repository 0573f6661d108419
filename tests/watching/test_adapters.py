"""The watcher inside other people's trainers: it sees what is wrong, and changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

EXAMPLES = 256


def blobs() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(EXAMPLES) % 3
    centres = torch.tensor([[2.0, 0.0], [-1.0, 2.0], [-1.0, -2.0]])
    return centres[labels] + torch.randn(EXAMPLES, 2, generator=generator) * 0.5, labels


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 3))


def hooks_of(model: nn.Module) -> Iterator[Any]:
    for module in model.modules():
        yield from module._forward_hooks.values()
        yield from module._forward_pre_hooks.values()
        yield from module._backward_hooks.values()


def codes(callback: Any) -> list[str]:
    return [finding.code for finding in callback.findings() if finding.severity != "note"]


def train_with_lightning(rate: float, folder: Path, *, watched: bool) -> tuple[Any, nn.Module]:
    lightning = pytest.importorskip("lightning.pytorch")
    from trainwell.watching.adapters.lightning import WatchCallback

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = network()

        def forward(self, inputs: Tensor) -> Tensor:
            return self.network(inputs)

        def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
            loss = nn.functional.cross_entropy(self(batch[0]), batch[1])
            self.log("train_loss", loss, on_epoch=True)
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=rate)

    callback, module = WatchCallback(), Module()
    trainer = lightning.Trainer(
        max_epochs=25,
        callbacks=[callback] if watched else [],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
        default_root_dir=folder,
    )
    torch.manual_seed(1)
    trainer.fit(module, DataLoader(TensorDataset(*blobs()), batch_size=16, shuffle=True))
    return callback, module.network


def train_with_skorch(rate: float, folder: Path, *, watched: bool) -> tuple[Any, nn.Module]:
    skorch = pytest.importorskip("skorch")
    from trainwell.watching.adapters.skorch import WatchCallback

    callback = WatchCallback()
    net = skorch.NeuralNetClassifier(
        network(),
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.SGD,
        lr=rate,
        batch_size=16,
        max_epochs=25,
        iterator_train__shuffle=True,
        callbacks=[("watch", callback)] if watched else [],
        verbose=0,
    )
    torch.manual_seed(1)
    inputs, labels = blobs()
    net.fit(inputs.numpy(), labels.numpy())
    seen = dict(net.callbacks_)["watch"] if watched else callback
    return seen, net.module_


def train_with_transformers(rate: float, folder: Path, *, watched: bool) -> tuple[Any, nn.Module]:
    transformers = pytest.importorskip("transformers")
    from transformers.modeling_outputs import SequenceClassifierOutput

    from trainwell.watching.adapters.transformers import WatchCallback

    class Classifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network()

        def forward(self, inputs: Tensor, labels: Tensor) -> SequenceClassifierOutput:
            logits = self.network(inputs)
            return SequenceClassifierOutput(nn.functional.cross_entropy(logits, labels), logits)

    inputs, labels = blobs()
    rows = [{"inputs": x, "labels": y} for x, y in zip(inputs, labels, strict=True)]
    callback, model = WatchCallback(), Classifier()
    arguments = transformers.TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=25,
        per_device_train_batch_size=16,
        learning_rate=rate,
        optim="sgd",
        lr_scheduler_type="constant",
        report_to=[],
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        use_cpu=True,
        seed=1,
        max_grad_norm=0.0,
    )
    trainer = transformers.Trainer(
        model=model,
        args=arguments,
        train_dataset=rows,
        callbacks=[callback] if watched else [],
    )
    trainer.train()
    return callback, model.network


TRAINERS = [train_with_lightning, train_with_skorch, train_with_transformers]
NAMES = ["lightning", "skorch", "transformers"]


@pytest.mark.parametrize("train", TRAINERS, ids=NAMES)
def test_a_healthy_training_stays_silent_and_keeps_its_weights(train: Any, tmp_path: Path) -> None:
    callback, watched = train(0.1, tmp_path, watched=True)
    _, alone = train(0.1, tmp_path, watched=False)
    assert codes(callback) == []
    for mine, other in zip(watched.parameters(), alone.parameters(), strict=True):
        assert torch.equal(mine, other)
    assert not list(hooks_of(watched))


@pytest.mark.parametrize("train", TRAINERS, ids=NAMES)
def test_a_rate_that_is_far_too_high_is_named(train: Any, tmp_path: Path) -> None:
    callback, _ = train(1000.0, tmp_path, watched=True)
    assert {"lr_too_high", "exploding_or_nan"} & set(codes(callback))
