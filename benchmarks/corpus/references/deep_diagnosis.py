"""DeepDiagnosis (Wardat, Dantas Cruz, Le, Rajan, ICSE 2022): eight symptoms, and a tree of causes.

The symptoms, in the order in which the published code looks for them at the end of an epoch, with
its thresholds:

- out of range, at the first epoch: targets lie outside what the last activation can give, or the
  span of linear outputs is more than ten times that of the targets;
- numerical error: the mean of a layer's outputs, a weight or a gradient is NaN, infinite or 0;
- saturated activation, every 5th epoch: over 50 % of a sigmoid's or tanh's inputs are beyond ±5;
- unchanged tensor: the mean of a layer's outputs, a weight or a gradient is the same in 5 epochs;
- invalid loss: NaN or infinite;
- loss not decreasing, accuracy not increasing: the same in 5 epochs, in 20 epochs;
- vanishing gradient: the mean of a weight's absolute gradient is below 1e-7;
- dead nodes, at the end: at least 70 % of a ReLU's outputs are 0.

The first symptom ends the search. Its cause is the first of these that holds: training inputs
outside −1 to 1; the variance of a weight below 1e-5 or above 10; learning rate × gradient / weight
(norms) above 0.1 or below 1e-5; else the symptom's own, most often an activation function. Not
every symptom asks all of them, nor in this order: see `CAUSES`.

Chosen here: a linear last layer under a cross-entropy is right in PyTorch, whose loss has the
softmax in it. The variance is that of the weights, as the paper says (the code takes it of their
mean, which never has one). A gradient is 0 where its mean size is: under a softmax of two classes
the mean itself is always 0. A watcher that is not told the training examples looks at the inputs of
the first batch. "Change the optimizer" names no root cause, so it is `not_learning`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from benchmarks.corpus.references.observation import ACTIVATIONS, Layer, Observation, tell
from trainwell.findings import Code, Finding

DEAD_SHARE = 0.7
SATURATED_BEYOND, SATURATED_SHARE = 5.0, 0.5
VANISHING = 1e-7
LOWEST_VARIANCE, HIGHEST_VARIANCE = 1e-5, 10.0
LOWEST_UPDATE, HIGHEST_UPDATE = 1e-5, 1e-1
SPAN = 10
WINDOW, ACCURACY_WINDOW = 5, 20
RANGES = {nn.Sigmoid: (0.0, 1.0), nn.Tanh: (-1.0, 1.0), nn.ReLU: (0.0, math.inf)}
CAUSES: dict[str, tuple[str, ...]] = {
    "numerical error": ("weights", "inputs", "rate"),
    "numerical error of a gradient": (),
    "dead nodes": ("inputs", "weights", "rate"),
    "saturated activation": ("inputs", "weights", "rate"),
    "unchanged tensor": ("weights", "rate"),
    "invalid loss": ("rate",),
    "loss not decreasing": ("weights", "inputs", "rate"),
    "vanishing gradient": ("rate",),
}
OWN: dict[str, Code] = {
    "numerical error": "exploding_or_nan",
    "numerical error of a gradient": "exploding_or_nan",
    "dead nodes": "dying_relu",
    "saturated activation": "saturated_units",
    "unchanged tensor": "not_learning",
    "invalid loss": "exploding_or_nan",
    "loss not decreasing": "not_learning",
    "vanishing gradient": "vanishing_gradient",
}


class DeepDiagnosis:
    """Looks at the last batch of each epoch."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        loss_fn: Any = None,
        train: Any = None,
        **_: Any,
    ) -> None:
        self.observation = Observation(model)
        self.optimizer = optimizer
        self.is_cross_entropy = isinstance(loss_fn, nn.CrossEntropyLoss)
        self.train_inputs = None if train is None else torch.as_tensor(train[0])
        self.past: defaultdict[str, list[float]] = defaultdict(list)
        self.batch: tuple[Tensor, Tensor] | None = None
        self.last_loss = math.nan
        self.epochs = 0
        self.found: list[Finding] = []

    def step(
        self, loss: Tensor, inputs: Any = None, outputs: Any = None, targets: Any = None
    ) -> None:
        self.last_loss = float(loss.detach())
        if inputs is not None and self.train_inputs is None:
            self.train_inputs = inputs
        if outputs is not None and targets is not None:
            self.batch = outputs.detach(), targets

    def epoch(
        self,
        train_loss: float | None = None,
        train_metric: float | None = None,
        valid_loss: float | None = None,
        valid_metric: float | None = None,
    ) -> None:
        self.epochs += 1
        if self.found:
            return
        loss = self.last_loss if train_loss is None else train_loss
        symptom = self._find_symptom(loss, train_metric)
        if symptom is not None:
            self.found = [self._find_cause(*symptom)]

    def findings(self) -> list[Finding]:
        if not self.found:
            for layer in self.observation.layers:
                outputs = layer.outputs
                if not isinstance(layer.module, nn.ReLU) or outputs is None:
                    continue
                if (outputs <= 0).float().mean().item() >= DEAD_SHARE:
                    self.found = [self._find_cause("dead nodes", layer.name)]
                    break
        return self.found

    def _find_symptom(self, loss: float, accuracy: float | None) -> tuple[str, str] | None:
        if self.epochs == 1 and self._is_out_of_range():
            return "out of range", ""
        for layer in self.observation.layers:
            if layer.outputs is None:
                continue
            mean = layer.outputs.float().mean().item()
            if is_numerical_error(mean):
                return "numerical error", layer.name
            if self.epochs % WINDOW == 0 and is_saturated(layer):
                return "saturated activation", layer.name
            if self._stays(f"outputs {layer.name}", mean, WINDOW):
                return "unchanged tensor", layer.name
        if not math.isfinite(loss):
            return "invalid loss", ""
        if self._stays("loss", loss, WINDOW):
            return "loss not decreasing", ""
        if accuracy is not None and self._stays("accuracy", accuracy, ACCURACY_WINDOW):
            return "loss not decreasing", ""
        return self._find_symptom_of_weights()

    def _find_symptom_of_weights(self) -> tuple[str, str] | None:
        for name, weight in reversed(self.observation.weights):
            if weight.grad is not None:
                if is_numerical_error(weight.grad.abs().mean().item()):
                    return "numerical error of a gradient", name
                if weight.grad.abs().mean().item() < VANISHING:
                    return "vanishing gradient", name
                if self._stays(f"gradient {name}", weight.grad.mean().item(), WINDOW):
                    return "unchanged tensor", name
            if is_numerical_error(weight.mean().item()):
                return "numerical error", name
            if self._stays(f"weight {name}", weight.mean().item(), WINDOW):
                return "unchanged tensor", name
        return None

    def _stays(self, key: str, value: float, window: int) -> bool:
        """Whether a number was the same in all epochs of a window, at the window's end."""
        values = self.past[key]
        values.append(value)
        if len(values) < window:
            return False
        is_same = len(set(values)) == 1
        values.clear()
        return is_same

    def _is_out_of_range(self) -> bool:
        if self.batch is None or not self.observation.layers:
            return False
        outputs, targets = self.batch
        last = self.observation.layers[-1].module
        if self.is_cross_entropy:
            return isinstance(last, nn.ReLU)
        if type(last) in RANGES:
            low, high = RANGES[type(last)]
            return bool(targets.min() < low or targets.max() > high)
        if isinstance(last, ACTIVATIONS) or not targets.is_floating_point():
            return False
        return span(outputs) > SPAN * span(targets)

    def _find_cause(self, symptom: str, where: str) -> Finding:
        if symptom == "out of range":
            return tell("output_activation", "The last activation cannot give the targets.")
        for asked in CAUSES[symptom]:
            code = self._ask(asked)
            if code is not None:
                return tell(code, f"It explains this symptom: {symptom}.", where)
        return tell(OWN[symptom], f"Seen: {symptom}.", where)

    def _ask(self, asked: str) -> Code | None:
        weights = [weight for _, weight in self.observation.weights]
        if asked == "inputs":
            inputs = self.train_inputs
            if inputs is not None and bool((inputs < -1).any() or (inputs > 1).any()):
                return "unnormalised_inputs"
            return None
        if asked == "weights":
            variances = [weight.var().item() for weight in weights if weight.numel() > 1]
            inside = (LOWEST_VARIANCE <= variance <= HIGHEST_VARIANCE for variance in variances)
            return None if all(inside) else "bad_init"
        rate = self.optimizer.param_groups[0]["lr"]
        for weight in weights:
            if weight.grad is None:
                continue
            update = rate * weight.grad.norm().item() / max(weight.norm().item(), 1e-12)
            if update > HIGHEST_UPDATE:
                return "lr_too_high"
            if update < LOWEST_UPDATE:
                return "lr_too_low"
        return None


def is_numerical_error(value: float) -> bool:
    return not math.isfinite(value) or value == 0


def is_saturated(layer: Layer) -> bool:
    if not isinstance(layer.module, nn.Sigmoid | nn.Tanh) or layer.inputs is None:
        return False
    beyond = (layer.inputs.abs() >= SATURATED_BEYOND).float().mean().item()
    return beyond > SATURATED_SHARE


def span(values: Tensor) -> float:
    return (values.max() - values.min()).item()
