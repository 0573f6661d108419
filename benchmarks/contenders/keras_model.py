"""Keras on PyTorch, as its "Introduction to Keras for engineers" writes it."""

from __future__ import annotations

import os

os.environ["KERAS_BACKEND"] = "torch"  # read when keras is imported

import keras
import torch
from keras import layers
from torch import Tensor

from benchmarks.questions import Question
from benchmarks.turns import Turn


class TurnTaker(keras.callbacks.Callback):
    def __init__(self, turn: Turn) -> None:
        super().__init__()
        self.turn = turn

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self.turn.start()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self.turn.trained()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.turn.epoch_ended()


def train(question: Question, turn: Turn) -> Tensor:
    keras.utils.set_random_seed(question.seed)
    build = {"mlp": build_mlp, "resnet20": build_resnet20}[question.model]
    # Keras has channels last.
    train, valid, test = (
        part.inputs.permute(0, 2, 3, 1).contiguous().numpy()
        for part in (question.train, question.valid, question.test)
    )
    model = build(train.shape[1:], len(question.data.classes))
    model.compile(
        loss=keras.losses.SparseCategoricalCrossentropy(),
        optimizer=keras.optimizers.SGD(question.learning_rate, momentum=question.momentum),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="acc")],
    )
    model.fit(
        train,
        question.train.targets.numpy(),
        batch_size=question.batch_size,
        epochs=question.epochs,
        validation_data=(valid, question.valid.targets.numpy()),
        callbacks=[TurnTaker(turn)],
    )
    return torch.from_numpy(model.predict(test).argmax(1))


def build_mlp(input_shape: tuple[int, ...], classes: int) -> keras.Model:
    return keras.Sequential(
        [
            keras.Input(input_shape),
            layers.Flatten(),
            layers.Dense(256, activation="relu"),
            layers.Dense(128, activation="relu"),
            layers.Dense(classes, activation="softmax"),
        ]
    )


def build_resnet20(input_shape: tuple[int, ...], classes: int) -> keras.Model:
    inputs = keras.Input(input_shape)
    hidden = layers.Conv2D(16, 3, padding="same", use_bias=False)(inputs)
    hidden = layers.Activation("relu")(layers.BatchNormalization()(hidden))
    for stage, channels in enumerate((16, 32, 64)):
        for position in range(3):
            stride = 2 if stage and not position else 1
            hidden = add_block(hidden, channels, stride)
    hidden = layers.GlobalAveragePooling2D()(hidden)
    return keras.Model(inputs, layers.Dense(classes, activation="softmax")(hidden))


def add_block(inputs: keras.KerasTensor, channels: int, stride: int) -> keras.KerasTensor:
    """Two convolutions around a shortcut that has no weights, as in the torch network."""
    hidden = layers.Conv2D(channels, 3, stride, padding="same", use_bias=False)(inputs)
    hidden = layers.Activation("relu")(layers.BatchNormalization()(hidden))
    hidden = layers.Conv2D(channels, 3, padding="same", use_bias=False)(hidden)
    hidden = layers.BatchNormalization()(hidden)
    shortcut = inputs
    if stride > 1:
        new = channels - inputs.shape[-1]
        kept = inputs[:, ::stride, ::stride, :]
        shortcut = keras.ops.pad(kept, ((0, 0), (0, 0), (0, 0), (new // 2, new - new // 2)))
    return layers.Activation("relu")(layers.Add()([hidden, shortcut]))
