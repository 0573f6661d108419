"""Ways to train the same network on the same data; one file each.

Each has `train(question, turn)`, which trains for `question.epochs` epochs, tells `turn` where it
is, and gives the classes that it predicts for `question.test_inputs`, `(N,)`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

from torch import Tensor

from benchmarks.questions import Question
from benchmarks.turns import Turn

Contender = Callable[[Question, Turn], Tensor]

CONTENDERS = {
    "hand-written loop": "benchmarks.contenders.plain_loop:train",
    "trainwell, same settings": "benchmarks.contenders.trainwell_fit:train_like_the_loop",
    "trainwell, defaults": "benchmarks.contenders.trainwell_fit:train_by_default",
    "trainwell, defaults, compiled": "benchmarks.contenders.trainwell_fit:train_compiled",
    "Lightning": "benchmarks.contenders.lightning_trainer:train",
    "skorch": "benchmarks.contenders.skorch_net:train",
    "Keras on PyTorch": "benchmarks.contenders.keras_model:train",
}
LOOP = "hand-written loop"


def find_contender(name: str) -> Contender:
    """Imports a contender; the packages of the others need not be there."""
    module, _, function = CONTENDERS[name].partition(":")
    return getattr(importlib.import_module(module), function)
