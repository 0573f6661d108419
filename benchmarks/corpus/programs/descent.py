"""Updates of version 3 that do not descend: stale gradients, a turned sign, a wrong derivative."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional
from torch.optim import SGD, Adam, AdamW, NAdam, Optimizer, RMSprop

from benchmarks.corpus.loop import r_squared
from benchmarks.corpus.more_architectures import (
    Chooser,
    Preference,
    Reader,
    Table,
    UNet,
    Variational,
    box_score,
    divergence,
    spot_network,
)
from benchmarks.corpus.more_tasks import (
    boxes,
    choices,
    claims,
    fields,
    hastie,
    machines,
    melodies,
    orders,
    phases,
    reviews,
    searches,
    spots,
)
from benchmarks.corpus.networks import LastState, mlp
from benchmarks.corpus.program import Outcome, Watch, faulty
from benchmarks.corpus.tasks import sensors, shells
from benchmarks.corpus.training import Update, position_accuracy, train


@faulty("searches-zero-grad-without-parentheses", "missing_zero_grad", learns=0.55, version=3)
def zero_grad_without_parentheses(watch: Watch, faulty: bool) -> Outcome:
    """`optimizer.zero_grad` is named but not called."""
    model = Chooser()
    optimizer = SGD(model.parameters(), lr=0.2, momentum=0.8)
    loss_fn = nn.CrossEntropyLoss()

    def update(xb: Tensor, yb: Tensor) -> tuple[Tensor, Tensor]:
        optimizer.zero_grad if faulty else optimizer.zero_grad()
        outputs = model(xb)
        loss = loss_fn(outputs, yb)
        loss.backward()
        optimizer.step()
        return loss, outputs

    return train(watch, model, optimizer, loss_fn, searches(), epochs=12, update=update)


@faulty("spots-the-averaged-copy-is-zeroed", "missing_zero_grad", learns=0.8, version=3)
def the_averaged_copy_is_zeroed(watch: Watch, faulty: bool) -> Outcome:
    """The model that is kept as a running average is cleared instead of the one that learns."""
    model = spot_network()
    average = copy.deepcopy(model)
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    loss_fn = nn.MSELoss()

    def update(xb: Tensor, yb: Tensor) -> tuple[Tensor, Tensor]:
        (average if faulty else model).zero_grad()
        outputs = model(xb)
        loss = loss_fn(outputs, yb)
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for kept, parameter in zip(average.parameters(), model.parameters(), strict=True):
                kept.lerp_(parameter, 0.02)
        return loss, outputs

    return train(watch, model, optimizer, loss_fn, spots(), epochs=15, update=update)


@faulty(
    "orders-only-the-first-group-is-zeroed",
    "missing_zero_grad",
    subtle=True,
    learns=0.7,
    margin=0.03,
    version=3,
)
def only_the_first_group_is_zeroed(watch: Watch, faulty: bool) -> Outcome:
    """A loop of one's own clears `param_groups[0]`, where there are two groups."""
    model = Table()
    groups = [{"params": model.embeddings.parameters()}, {"params": model.body.parameters()}]
    optimizer = SGD(groups, lr=0.1, momentum=0.9)
    loss_fn = nn.BCEWithLogitsLoss()

    def update(xb: Tensor, yb: Tensor) -> tuple[Tensor, Tensor]:
        for group in optimizer.param_groups[: 1 if faulty else 2]:
            for parameter in group["params"]:
                parameter.grad = None
        outputs = model(xb)
        loss = loss_fn(outputs, yb)
        loss.backward()
        optimizer.step()
        return loss, outputs

    return train(watch, model, optimizer, loss_fn, orders(), epochs=8, update=update)


class ByHand(Optimizer):
    """Gradient descent with momentum, whose author wrote `zero_grad` too."""

    def __init__(self, parameters: Any, lr: float, forgets: bool) -> None:
        super().__init__(parameters, {"lr": lr})
        self.forgets = forgets

    def zero_grad(self, set_to_none: bool = True) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                gradient = parameter.grad
                if gradient is not None and self.forgets:
                    gradient = torch.zeros_like(gradient)
                elif gradient is not None:
                    gradient.zero_()

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                speed = self.state[parameter].setdefault("speed", torch.zeros_like(parameter))
                speed.mul_(0.8).add_(parameter.grad)
                parameter -= group["lr"] * speed


@faulty("machines-own-zero-grad-binds-a-name", "missing_zero_grad", learns=0.7, version=3)
def own_zero_grad_binds_a_name(watch: Watch, faulty: bool) -> Outcome:
    """`grad = torch.zeros_like(grad)` gives a local name to zeros and leaves the gradient."""
    model = LastState(nn.GRU(3, 16, batch_first=True), 1)
    optimizer = ByHand(model.parameters(), lr=0.1, forgets=faulty)
    return train(watch, model, optimizer, nn.MSELoss(), machines(), epochs=10, told="batches")


@faulty(
    "fields-cleared-less-often-than-stepped",
    "missing_zero_grad",
    subtle=True,
    learns=0.6,
    margin=0.03,
    version=3,
)
def cleared_less_often_than_stepped(watch: Watch, faulty: bool) -> Outcome:
    """Steps every second batch, but clears every fortieth: two counters that went apart."""
    model = UNet()
    optimizer = NAdam(model.parameters(), lr=0.01)
    loss_fn = nn.MSELoss()
    made = 0

    def update(xb: Tensor, yb: Tensor) -> tuple[Tensor, Tensor]:
        nonlocal made
        outputs = model(xb)
        loss = loss_fn(outputs, yb)
        (loss / 2).backward()
        made += 1
        if made % 2 == 0:
            optimizer.step()
        if made % (40 if faulty else 2) == 0:
            optimizer.zero_grad()
        return loss, outputs

    return train(
        watch, model, optimizer, loss_fn, fields(), epochs=12, batch_size=10, update=update
    )


@faulty("choices-log-sigmoid-of-the-gap", "gradient_ascent", learns=0.65, margin=0.3, version=3)
def log_sigmoid_of_the_gap(watch: Watch, faulty: bool) -> Outcome:
    """The pairwise log-likelihood of rankings is minimised: its minus was forgotten."""
    model = Preference()
    optimizer = Adam(model.parameters(), lr=0.01)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        likelihood = functional.logsigmoid((2 * targets - 1) * outputs).mean()
        return likelihood if faulty else -likelihood

    return train(watch, model, optimizer, loss_fn, choices(), epochs=5)


@faulty("boxes-overlap-is-minimised", "gradient_ascent", learns=0.3, margin=0.2, version=3)
def overlap_is_minimised(watch: Watch, faulty: bool) -> Outcome:
    """Intersection over union as the loss of boxes, instead of 1 less it."""
    model = spot_network(4)
    optimizer = AdamW(model.parameters(), lr=0.005)

    def overlap(one: Tensor, other: Tensor) -> Tensor:
        low = torch.maximum(one[:, :2], other[:, :2])
        high = torch.minimum(one[:, :2] + one[:, 2:], other[:, :2] + other[:, 2:])
        common = (high - low).clamp(min=0).prod(1)
        whole = one[:, 2].clamp(min=0) ** 2 + other[:, 2] ** 2
        return common / (whole - common + 1e-6)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        there = targets[:, 0] > 0.5
        found = functional.binary_cross_entropy_with_logits(outputs[:, 0], targets[:, 0])
        placed = torch.cat([outputs[:, 1:3], outputs[:, 3:].abs()], 1) * 0.5 + 0.25
        shared = overlap(placed[there], targets[there, 1:]).mean()
        near = functional.smooth_l1_loss(placed[there], targets[there, 1:])
        return found + near + 4 * (shared if faulty else 1 - shared)

    def metric(outputs: Tensor, targets: Tensor) -> float:
        placed = torch.cat([outputs[:, :3], outputs[:, 3:].abs()], 1) * 0.5 + 0.25
        return box_score(placed, targets)

    return train(
        watch, model, optimizer, loss_fn, boxes(), epochs=15, told="batches", metric=metric
    )


@faulty("phases-explained-variance-minimised", "gradient_ascent", learns=0.6, margin=0.3, version=3)
def explained_variance_minimised(watch: Watch, faulty: bool) -> Outcome:
    """The score R² was put where the loss belongs."""
    model = mlp(4, 24, 24, 1)
    optimizer = SGD(model.parameters(), lr=0.05)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        missed = ((outputs - targets) ** 2).mean() / targets.var()
        return 1 - missed if faulty else missed

    return train(watch, model, optimizer, loss_fn, phases(), epochs=12, told="data", clip=5.0)


@faulty("sensors-evidence-bound-minimised", "gradient_ascent", learns=0.5, margin=0.2, version=3)
def evidence_bound_minimised(watch: Watch, faulty: bool) -> Outcome:
    """A variational autoencoder minimises its bound on the evidence, which is to grow."""
    model = Variational(24)
    optimizer = Adam(model.parameters(), lr=0.005)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        made, mean, spread = outputs[:, :24], outputs[:, 24:28], outputs[:, 28:]
        fit = -10 * ((made - targets) ** 2).sum(1)
        bound = (fit - divergence(mean, spread.clamp(max=8))).mean() / 24
        return bound if faulty else -bound

    def metric(outputs: Tensor, targets: Tensor) -> float:
        return r_squared(outputs[:, :24], targets)

    return train(
        watch,
        model,
        optimizer,
        loss_fn,
        sensors(),
        epochs=15,
        told="batches",
        metric=metric,
        clip=5.0,
    )


@faulty(
    "reviews-embedding-group-left-maximising",
    "gradient_ascent",
    subtle=True,
    learns=0.75,
    version=3,
)
def embedding_group_left_maximising(watch: Watch, faulty: bool) -> Outcome:
    """`maximize=True` of one parameter group was left from an adversarial experiment."""
    model = Reader()
    rest = [*model.recurrent.parameters(), *model.head.parameters()]
    groups = [{"params": model.embedding.parameters(), "maximize": faulty}, {"params": rest}]
    optimizer = Adam(groups, lr=0.005)
    loss_fn = nn.BCEWithLogitsLoss()
    return train(watch, model, optimizer, loss_fn, reviews(), epochs=9)


class Step(Function):
    """1 above nought, else 0; a derivative that is passed within ±1 or, mistaken, beyond it."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, within: bool) -> Tensor:
        ctx.save_for_backward(inputs)
        ctx.within = within
        return (inputs > 0).float()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (inputs,) = ctx.saved_tensors
        near = inputs.abs() <= 1
        return gradient * (near if ctx.within else ~near), None


class Binary(nn.Module):
    def __init__(self, within: bool) -> None:
        super().__init__()
        self.within = within

    def forward(self, x: Tensor) -> Tensor:
        return Step.apply(x, self.within)


@faulty("shells-straight-through-outside-only", "wrong_backward", learns=0.7, version=3)
def straight_through_outside_only(watch: Watch, faulty: bool) -> Outcome:
    """The mask of a straight-through estimator is the wrong way round."""
    model = nn.Sequential(nn.Linear(4, 64), Binary(not faulty), nn.Linear(64, 3))
    optimizer = Adam(model.parameters(), lr=0.01)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), shells(), epochs=20)


class OwnHuber(Function):
    """Mean of Huber's (1964) loss; beyond the bend its derivative may lack the sign."""

    @staticmethod
    def forward(ctx: Any, outputs: Tensor, targets: Tensor, signed: bool) -> Tensor:
        missed = outputs - targets
        ctx.save_for_backward(missed)
        ctx.signed = signed
        far = missed.abs()
        return torch.where(far < 0.5, 0.5 * missed**2, 0.5 * (far - 0.25)).mean()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (missed,) = ctx.saved_tensors
        beyond = 0.5 * missed.sign() if ctx.signed else torch.full_like(missed, 0.5)
        slope = torch.where(missed.abs() < 0.5, missed, beyond)
        return gradient * slope / missed.numel(), None, None


@faulty("claims-own-huber-without-its-sign", "wrong_backward", learns=0.7, margin=0.2, version=3)
def own_huber_without_its_sign(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(6, 32, 32, 1)
    optimizer = RMSprop(model.parameters(), lr=0.002)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        return OwnHuber.apply(outputs, targets, not faulty)

    return train(watch, model, optimizer, loss_fn, claims(), epochs=12)


class Gated(Function):
    """a · σ(b); its two derivatives may be given back in the wrong order."""

    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor, ordered: bool) -> Tensor:
        ctx.save_for_backward(left, right)
        ctx.ordered = ordered
        return left * right.sigmoid()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        left, right = ctx.saved_tensors
        share = right.sigmoid()
        by_left, by_right = gradient * share, gradient * left * share * (1 - share)
        return (by_left, by_right, None) if ctx.ordered else (by_right, by_left, None)


class OwnGate(nn.Module):
    def __init__(self, ordered: bool) -> None:
        super().__init__()
        self.ordered = ordered

    def forward(self, x: Tensor) -> Tensor:
        left, right = x.chunk(2, 1)
        return Gated.apply(left, right, self.ordered)


@faulty("hastie-own-gate-swaps-derivatives", "wrong_backward", learns=0.85, version=3)
def own_gate_swaps_derivatives(watch: Watch, faulty: bool) -> Outcome:
    model = nn.Sequential(nn.Linear(10, 64), OwnGate(not faulty), nn.Linear(32, 1))
    optimizer = SGD(model.parameters(), lr=0.3, momentum=0.9)
    loss_fn = nn.BCEWithLogitsLoss()
    return train(watch, model, optimizer, loss_fn, hastie(), epochs=20, told="data")


def scaled_update(
    model: nn.Module, optimizer: Optimizer, loss_fn: Any, takes_sizes: bool
) -> Update:
    """Clears, derives, rescales each gradient by its largest entry, steps."""

    def update(xb: Tensor, yb: Tensor) -> tuple[Tensor, Tensor]:
        optimizer.zero_grad()
        outputs = model(xb)
        loss = loss_fn(outputs, yb)
        loss.backward()
        for parameter in model.parameters():
            if parameter.grad is not None:
                largest = parameter.grad.abs().max().clamp(min=1e-8)
                scaled = parameter.grad.abs() if takes_sizes else parameter.grad
                parameter.grad = scaled / largest
        optimizer.step()
        return loss, outputs

    return update


@faulty("melodies-gradients-by-their-size", "wrong_backward", learns=0.7, margin=0.2, version=3)
def gradients_by_their_size(watch: Watch, faulty: bool) -> Outcome:
    """A scaling of gradients that takes their absolute values keeps no sign."""
    model = nn.Sequential(nn.Embedding(6, 24), Neighbours(24), nn.Conv1d(72, 64, 1), nn.ReLU())
    model.append(nn.Conv1d(64, 6, 1))
    optimizer = SGD(model.parameters(), lr=0.02)
    loss_fn = nn.CrossEntropyLoss()
    return train(
        watch,
        model,
        optimizer,
        loss_fn,
        melodies(),
        epochs=15,
        told="data",
        metric=position_accuracy,
        update=scaled_update(model, optimizer, loss_fn, faulty),
    )


class Neighbours(nn.Module):
    """Each position's features with those of the last two: `(N, L, F)` to `(N, 3F, L)`."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, x: Tensor) -> Tensor:
        x = x.transpose(1, 2)
        last = functional.pad(x, (1, 0))[..., :-1]
        return torch.cat([x, last, functional.pad(x, (2, 0))[..., :-2]], 1)
