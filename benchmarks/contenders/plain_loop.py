"""The loop that everybody writes first: float32, sliced tensors, nothing else."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.questions import Question
from benchmarks.turns import Turn


def train(question: Question, turn: Turn) -> Tensor:
    model, size = question.build_model(), question.batch_size
    inputs, targets = question.train.inputs, question.train.targets
    optimizer = torch.optim.SGD(
        model.parameters(), lr=question.learning_rate, momentum=question.momentum
    )
    generator = torch.Generator().manual_seed(question.seed)
    turn.start()
    for _ in range(question.epochs):
        model.train()
        order = torch.randperm(len(inputs), generator=generator)
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            loss = functional.cross_entropy(model(inputs[rows]), targets[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        turn.trained()
        measure_accuracy(model, question.valid.inputs, question.valid.targets, size)
        turn.epoch_ended()
    return predict(model, question.test.inputs)


def measure_accuracy(model: nn.Module, inputs: Tensor, targets: Tensor, size: int) -> float:
    """Share of right answers, in batches of `size`."""
    model.eval()
    right = 0
    with torch.no_grad():
        for start in range(0, len(inputs), size):
            outputs = model(inputs[start : start + size])
            right += (outputs.argmax(1) == targets[start : start + size]).sum().item()
    return right / len(inputs)


def predict(model: nn.Module, inputs: Tensor) -> Tensor:
    """Predicted classes `(N,)` of a module that any contender has trained."""
    model.eval()
    with torch.inference_mode():
        return torch.cat([model(batch).argmax(1) for batch in inputs.split(256)])
