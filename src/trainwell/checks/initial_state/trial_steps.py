"""A few steps of a replica, to see which weights cannot leave where they start."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from trainwell.checks.initial_state.first_pass import BOTH_WAYS, first_pass
from trainwell.checks.subject import Subject
from trainwell.errors import ModelError

STEPS = 4
STEP_SIZE = 0.02
"""Each parameter moves by so much, root mean square, in each step along its gradient."""
ALIKE = 1e-3
EXAMPLES = 64


@dataclass(frozen=True)
class Trial:
    """What a few steps showed.

    Attributes:
        stuck: Names of weights whose gradient was exactly zero in every step.
        symmetric: Names of weights whose units were alike before and after.
        constant: Names of weights whose units are alike before, and not zero.
        is_made: Whether any steps were made that were needed; without, nothing is known.
    """

    stuck: tuple[str, ...]
    symmetric: tuple[str, ...]
    constant: tuple[str, ...]
    is_made: bool = True


def trial_steps(subject: Subject) -> Trial:
    """Moves a replica along its gradients where weights look as if they could not; else nothing.

    Weights that are zero on purpose, as in the last layer of a residual branch (Zhang et al. 2019,
    Goyal et al. 2017), move after a step or two; others never do. Steps that would take longer than
    all checks may are not made.

    Args:
        subject: Asked by `subject.once(trial_steps)`.
    """
    first = subject.once(first_pass)
    share = min(1.0, EXAMPLES / max(1, len(first.inputs)))
    if STEPS * BOTH_WAYS * share * first.seconds > subject.seconds:
        return Trial((), (), (), is_made=False)
    gradients = first.gradients
    still = [n for n, p in _weights(first.model).items() if gradients.get(n) == 0 and p.numel() > 1]
    alike = [n for n, p in _weights(first.model).items() if has_alike_units(p)]
    if not still and not alike:
        return Trial((), (), ())
    model = subject.replica()
    for module in model.modules():
        # Units that dropout tells apart are alike all the same.
        if isinstance(module, _DropoutNd):
            module.eval()
    inputs, targets = first.inputs[:EXAMPLES], first.targets[:EXAMPLES]
    stuck = set(still)
    for _ in range(STEPS):
        stuck -= _step(subject, model, inputs, targets)
    after = _weights(model)
    before = _weights(first.model)
    return Trial(
        tuple(name for name in still if name in stuck),
        tuple(n for n in alike if _is_still_alike(before[n], after[n])),
        tuple(n for n in alike if bool(before[n].any())),
    )


def has_alike_units(weight: Tensor) -> bool:
    """Whether all units of a layer have the same weights.

    Args:
        weight: `(units, ...)`.
    """
    if weight.ndim < 2 or len(weight) < 2 or weight[0].numel() < 2:
        return False
    return torch.equal(weight, weight[:1].expand_as(weight))


def _is_still_alike(before: Tensor, after: Tensor) -> bool:
    between_units = (after - after.mean(0)).abs().max()
    return bool(between_units <= ALIKE * (after - before).abs().max())


def _weights(model: nn.Module) -> dict[str, Tensor]:
    """Trainable parameters of two or more dimensions by name, without those of embeddings."""
    embeddings = (nn.Embedding, nn.EmbeddingBag)
    tables = {id(m.weight) for m in model.modules() if isinstance(m, embeddings)}
    return {
        name: p.detach()
        for name, p in model.named_parameters()
        if p.requires_grad and p.ndim > 1 and id(p) not in tables
    }


def _step(subject: Subject, model: nn.Module, inputs: Tensor, targets: Tensor) -> set[str]:
    """Moves all parameters; returns the names of those that had a gradient."""
    model.zero_grad()
    with torch.enable_grad():
        _, loss = subject.measure(model, inputs, targets)
        if not loss.requires_grad:
            raise ModelError("no parameter has a part in the loss")
        loss.sum().backward()
    moved = set()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            gradient = parameter.grad
            if gradient is None or not bool(gradient.any()):
                continue
            moved.add(name)
            size = gradient.square().mean().sqrt()
            parameter -= STEP_SIZE * gradient / size
    return moved
