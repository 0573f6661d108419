"""TheDeepChecker (Braiek, Khomh, ACM TOSEM 2022): properties of data, weights, units and losses.

Before training, where the examples are told, it complains of

- inputs that neither go from 0 or −1 to 1 nor have mean 0 and deviation 1 (a table: each column);
  targets of a regression likewise;
- labels whose Shannon entropy is below 0.5 of the highest possible;
- weights of variance 0;
- a first loss that is away from ln(classes) by that size or more;
- a loss that doubles each time that the batch is repeated 2, 4, ... 32 times;
- 16 examples that 100 updates of a copy do not fit: over 5 % wrong, or an error above 0.001.

While training, every 10 updates, it complains of

- a loss that is NaN; that falls by less than 5 %, or doubles, at each of 5 readings; whose
  smoothness over 50 readings is below 0.5;
- dead units: 95 % of a unit's outputs are below 1e-5 in size, for more than half of a layer;
- saturated units: ρB (Rakitianskaia and Engelbrecht, 2015; 50 bins) above 0.85, for more than half;
- outputs of an activation whose deviation is outside 0.5 to 2;
- weights: 95 % of the entries below 1e-5 in size; a mean size above 1e8, or doubled at 5 readings;
- gradients: a mean size below 1e-7 or halved at 5 readings; above 1e8 or doubled at 5;
- updates: log₁₀ of update / weight (mean sizes), averaged, above −1 or below −4; none at all.

Numbers are those of the published code where it states them, else the defaults of the same checks
in its successor for reinforcement learning by the same group; the limits of the sizes of gradients
and updates were found in neither: they follow custom.

Chosen here, in the tool's favour: the tests of the weights against He's, Glorot's and LeCun's
initialisation are left out, as PyTorch's default is none of them, and so are those of zero biases.
A property must fail at 3 readings. Chosen otherwise: dead and saturated units are judged on the
last batch; the smoothness is the autocorrelation at lag one; the real training is watched (the
original trains on one batch); its checks of augmentation and of switching modes, which train again,
are left out. Findings of before training come first, then the others by how often they came.
"""

from __future__ import annotations

import copy
import math
from collections import Counter, defaultdict
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from benchmarks.corpus.references.observation import (
    BATCH_SIZE,
    Layer,
    Observation,
    share_right,
    tell,
)
from trainwell.findings import Code, Finding

PERIOD, WINDOW, READINGS = 10, 5, 3
LOWEST_BALANCE = 0.5
FITTED, FITTING_UPDATES, WRONG_SHARE, FITTING_ERROR = 16, 100, 0.05, 1e-3
DOUBLINGS = 5
DEAD_OUTPUT, DEAD_QUANTILE, UNIT_SHARE = 1e-5, 0.95, 0.5
SATURATION, BINS = 0.85, 50
LOWEST_DEVIATION, HIGHEST_DEVIATION = 0.5, 2.0
DEAD_WEIGHT, DEAD_WEIGHT_SHARE = 1e-5, 0.95
LARGEST, LOWEST_GRADIENT = 1e8, 1e-7
FASTEST, SLOWEST = -1.0, -4.0
DECREASE = 0.05
SMOOTHNESS, SMOOTHNESS_WINDOW = 0.5, 50

Complaint = tuple[Code, str]


class DeepChecker:
    """Checks what it is told before training, and then every tenth update."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        loss_fn: Any = None,
        train: Any = None,
        task: str | None = None,
        **_: Any,
    ) -> None:
        self.before: list[Complaint] = []
        self.complaints: Counter[Complaint] = Counter()
        if train is not None:
            inputs, targets = (torch.as_tensor(part) for part in train)
            self.before = check_data(inputs, targets, task)
            if loss_fn is not None:
                self.before += check_loss(model, loss_fn, inputs, targets, task)
                self.before += check_fitting(model, optimizer, loss_fn, inputs, targets, task)
        for name, weight in model.named_parameters():
            if weight.ndim > 1 and weight.numel() > 1 and weight.var().item() == 0:
                self.before.append(("bad_init", name))
        self.observation = Observation(model)
        self.steps = 0
        self.losses: list[float] = []
        self.recent: list[float] = []
        self.sizes: defaultdict[str, list[float]] = defaultdict(list)
        self.updates: defaultdict[str, list[float]] = defaultdict(list)
        self.past = {name: weight.detach().clone() for name, weight in self.observation.weights}

    def step(
        self, loss: Tensor, inputs: Any = None, outputs: Any = None, targets: Any = None
    ) -> None:
        self.steps += 1
        self.recent.append(float(loss.detach()))
        for name, weight in self.observation.weights:
            self._note_update(name, weight)
        if self.steps % PERIOD:
            return
        self.losses.append(sum(self.recent) / len(self.recent))
        self.recent = []
        self.complaints.update(check_curve(self.losses))
        for layer in self.observation.layers:
            self.complaints.update(check_units(layer))
        for name, weight in self.observation.weights:
            self.complaints.update(self._check_weight(name, weight))

    def epoch(self, **_: Any) -> None:
        """Epochs do not matter to this tool."""

    def findings(self) -> list[Finding]:
        often = [kind for kind, count in self.complaints.most_common() if count >= READINGS]
        codes: dict[Code, Finding] = {}
        for code, where in (*self.before, *often):
            codes.setdefault(code, tell(code, "A property that should hold does not.", where))
        return list(codes.values())

    def _note_update(self, name: str, weight: Tensor) -> None:
        size = self.past[name].abs().mean().item() if name in self.past else 0.0
        if size:
            update = (weight.detach() - self.past[name]).abs().mean().item()
            self.updates[name].append(math.log10(update / size) if update > 0 else 0.0)
        self.past[name] = weight.detach().clone()

    def _check_weight(self, name: str, weight: Tensor) -> list[Complaint]:
        if not bool(torch.isfinite(weight).all()):
            return [("exploding_or_nan", name)]
        found: list[Complaint] = []
        if (weight.abs() < DEAD_WEIGHT).float().mean().item() > DEAD_WEIGHT_SHARE:
            found.append(("over_regularised", name))
        found += self._check_growth(f"weight {name}", name, weight.abs().mean().item())
        if weight.grad is not None:
            size = weight.grad.abs().mean().item()
            if not math.isfinite(size):
                return [("exploding_or_nan", name)]
            if size < LOWEST_GRADIENT:
                found.append(("vanishing_gradient", name))
            found += self._check_growth(f"gradient {name}", name, size)
        return found + self._check_updates(name)

    def _check_growth(self, key: str, name: str, size: float) -> list[Complaint]:
        sizes = self.sizes[key]
        sizes.append(size)
        last = sizes[-WINDOW:]
        pairs = list(pairwise(last))
        is_full = len(last) == WINDOW
        if size > LARGEST or (is_full and all(b >= 2 * a > 0 for a, b in pairs)):
            return [("exploding_or_nan", name)]
        if key.startswith("gradient") and is_full and all(b <= a / 2 for a, b in pairs):
            return [("vanishing_gradient", name)]
        return []

    def _check_updates(self, name: str) -> list[Complaint]:
        updates, self.updates[name] = self.updates[name], []
        average = sum(updates) / len(updates) if updates else SLOWEST
        if updates and average == 0:
            return [("frozen_params", name)]
        if average > FASTEST:
            return [("lr_too_high", name)]
        return [("lr_too_low", name)] if average < SLOWEST else []


def check_data(inputs: Tensor, targets: Tensor, task: str | None) -> list[Complaint]:
    """Of inputs `(N, ...)` and targets as told."""
    found: list[Complaint] = []
    if inputs.is_floating_point() and not is_normalised(inputs):
        found.append(("unnormalised_inputs", ""))
    if task == "regression" and not is_normalised(targets):
        found.append(("dtype_scale", "targets"))
    if task in ("multiclass", "binary"):
        shares = torch.unique(targets, return_counts=True)[1] / len(targets)
        entropy = -(shares * shares.log()).sum().item()
        if len(shares) > 1 and entropy / math.log(len(shares)) < LOWEST_BALANCE:
            found.append(("class_imbalance", ""))
    return found


def is_normalised(values: Tensor) -> bool:
    """Whether they go from 0 or −1 to 1, or have mean 0 and deviation 1; tables by column."""
    columns = values.T if values.ndim == 2 else values.reshape(1, -1)
    low, high = columns.amin(1), columns.amax(1)
    in_range = is_near(high, 1) & (is_near(low, 0) | is_near(low, -1))
    standard = is_near(columns.mean(1), 0) & is_near(columns.std(1), 1)
    return bool((in_range | standard).all())


def is_near(values: Tensor, wanted: float) -> Tensor:
    return (values - wanted).abs() <= 0.01


def check_loss(
    model: nn.Module, loss_fn: Any, inputs: Tensor, targets: Tensor, task: str | None
) -> list[Complaint]:
    """Of the loss before training: its size, and whether it is a mean."""
    rows = slice(0, BATCH_SIZE)
    losses = []
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        outputs = copy.deepcopy(model)(inputs[rows])
        for power in range(DOUBLINGS + 1):
            repeated = outputs.repeat(2**power, *[1] * (outputs.ndim - 1))
            truth = targets[rows].repeat(2**power, *[1] * (targets.ndim - 1))
            losses.append(float(loss_fn(repeated, truth)))
    found: list[Complaint] = []
    ratios = [b / a if a else math.nan for a, b in pairwise(losses)]
    if all(math.isfinite(ratio) and round(ratio) == 2 for ratio in ratios):
        found.append(("loss_reduction", ""))
    if task in ("multiclass", "binary"):
        expected = math.log(targets.unique().numel())
        if not abs(losses[0] - expected) < expected:
            found.append(("bad_init", "first loss"))
    return found


def check_fitting(
    model: nn.Module,
    optimizer: Optimizer,
    loss_fn: Any,
    inputs: Tensor,
    targets: Tensor,
    task: str | None,
) -> list[Complaint]:
    """Whether a copy of the model fits a few examples with a copy of the optimiser."""
    replica = copy.deepcopy(model).train()
    copied = dict(zip(model.parameters(), replica.parameters(), strict=True))
    groups = [
        {**group, "params": [copied[p] for p in group["params"] if p in copied]}
        for group in optimizer.param_groups
    ]
    if not all(group["params"] for group in groups):
        return [("frozen_params", "")]
    again: Any = type(optimizer)
    again = again(groups, lr=groups[0]["lr"])
    with torch.random.fork_rng(devices=[]):
        best = fit_few(replica, again, loss_fn, inputs[:FITTED], targets[:FITTED])
    if not math.isfinite(best):
        return [("exploding_or_nan", "fitting")]
    limit = FITTING_ERROR if task not in ("multiclass", "binary") else WRONG_SHARE
    return [("underfitting", "fitting")] if best > limit else []


def fit_few(
    model: nn.Module, optimizer: Optimizer, loss_fn: Any, inputs: Tensor, targets: Tensor
) -> float:
    """The smallest share of wrong answers, or error; NaN where the loss is not finite."""
    best = math.inf
    for _ in range(FITTING_UPDATES):
        optimizer.zero_grad()
        outputs = model(inputs)
        loss = loss_fn(outputs, targets)
        if not bool(torch.isfinite(loss)):
            return math.nan
        loss.backward()
        optimizer.step()
        right = share_right(outputs, targets)
        best = min(best, float(loss.detach()) if right is None else 1 - right)
    return best


def check_curve(losses: list[float]) -> list[Complaint]:
    """Of the losses, one for ten updates."""
    if not math.isfinite(losses[-1]):
        return [("exploding_or_nan", "loss")]
    found: list[Complaint] = []
    last = losses[-WINDOW:]
    pairs = list(pairwise(last))
    if len(last) == WINDOW:
        if all(a - b < DECREASE * abs(a) for a, b in pairs):
            found.append(("not_learning", "loss"))
        if all(b >= 2 * a > 0 for a, b in pairs):
            found.append(("lr_too_high", "loss"))
    if len(losses) >= SMOOTHNESS_WINDOW:
        values = torch.tensor(losses[-SMOOTHNESS_WINDOW:])
        values = values - values.mean()
        smoothness = (values[1:] * values[:-1]).sum() / (values**2).sum().clamp(min=1e-12)
        if smoothness < SMOOTHNESS:
            found.append(("lr_too_high", "smoothness"))
    return found


def check_units(layer: Layer) -> list[Complaint]:
    """Of the outputs of an activation on the last batch."""
    outputs = layer.outputs
    bounded = isinstance(layer.module, nn.Sigmoid | nn.Tanh)
    if outputs is None or not (bounded or isinstance(layer.module, nn.ReLU | nn.LeakyReLU)):
        return []
    if not bool(torch.isfinite(outputs).all()):
        return [("exploding_or_nan", layer.name)]
    channels = outputs.shape[1] if outputs.ndim > 2 else outputs.shape[-1]
    units = (outputs.transpose(1, -1) if outputs.ndim > 2 else outputs).reshape(-1, channels)
    found: list[Complaint] = []
    if bounded:
        low = 0.0 if isinstance(layer.module, nn.Sigmoid) else -1.0
        if (measure_saturation(units, low) > SATURATION).float().mean() > UNIT_SHARE:
            found.append(("saturated_units", layer.name))
    else:
        major = units.abs().quantile(DEAD_QUANTILE, dim=0)
        if (major < DEAD_OUTPUT).float().mean() > UNIT_SHARE:
            found.append(("dying_relu", layer.name))
    if not LOWEST_DEVIATION <= units.std().item() <= HIGHEST_DEVIATION:
        found.append(("bad_init", layer.name))
    return found


def measure_saturation(units: Tensor, low: float) -> Tensor:
    """ρB of each unit `(units,)`: the mean size, in bins, of outputs scaled to −1 to 1."""
    scaled = 2 * (units - low) / (1 - low) - 1
    bins = ((scaled + 1) / 2 * BINS).long().clamp(0, BINS - 1)
    counts = torch.zeros(BINS, units.shape[1]).scatter_add_(0, bins, torch.ones_like(units))
    sums = torch.zeros(BINS, units.shape[1]).scatter_add_(0, bins, scaled)
    means = sums / counts.clamp(min=1)
    return (means.abs() * counts).sum(0) / counts.sum(0)
