"""Which tensors of a problem have a wrong gradient, found with few evaluations.

Several tensors are moved together; where that does not come out right, each by itself; where it is
slightly off or crosses a kink, single numbers of it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from trainwell.checks.gradients.central_difference import Comparer, Comparison
from trainwell.checks.gradients.report import GradientOf

MOST_NARROWED = 3
"""Tensors in which the wrong number is searched for by halving: each takes tens of evaluations."""


def examine(comparer: Comparer, dimensions: int, allowed: float) -> tuple[GradientOf, ...]:
    """How the gradient of each tensor comes out, in the order of the problem.

    Args:
        comparer: Of the problem.
        dimensions: Single numbers of a tensor that are tried where a direction through all of it
            cannot decide: half those with the largest gradient, half at random.
        allowed: Relative error that passes.
    """
    found: dict[str, GradientOf] = {}
    doubtful: list[str] = []
    for names in gather(comparer):
        together = comparer.compare(comparer.along(names))
        if together.outcome in ("agrees", "too small"):
            for name in names:
                found[name] = GradientOf(name, together.outcome, together, together=len(names))
        else:
            doubtful += names
    slight: list[GradientOf] = []
    for name in doubtful:
        one = comparer.compare({name: comparer.direction(name)})
        found[name] = GradientOf(name, one.outcome, one)
        if one.outcome == "kinked":
            found[name] = _settle(comparer, name, dimensions, allowed)
        elif one.outcome == "differs" and one.is_within(allowed):
            slight.append(found[name])
    slight.sort(key=lambda gradient: gradient.error, reverse=True)
    for number, gradient in enumerate(slight):
        name = gradient.name
        if number < MOST_NARROWED:
            found[name] = _narrow(comparer, name, allowed)
        else:
            found[name] = GradientOf(name, "agrees", gradient.comparison)
    return tuple(found[name] for name in comparer.problem.tensors)


def gather(comparer: Comparer) -> list[list[str]]:
    """Tensors to be moved together: those with gradients of about one size, √n in a group."""
    names = sorted(comparer.problem.tensors, key=comparer.slope)
    size = max(1, math.isqrt(len(names)))
    return [names[start : start + size] for start in range(0, len(names), size)]


def _settle(comparer: Comparer, name: str, dimensions: int, allowed: float) -> GradientOf:
    """What single numbers say of a tensor that crosses kinks when all of it is moved."""
    places = choose_places(comparer, name, dimensions)
    tried = [(place, comparer.compare(comparer.single(name, place))) for place in places]
    smooth = [(place, one) for place, one in tried if one.outcome not in ("kinked", "too small")]
    if not smooth:
        whole = comparer.compare({name: comparer.direction(name)})
        return GradientOf(name, "kinked", whole)
    place, worst = max(smooth, key=lambda pair: pair[1].error)
    return _of_number(comparer, name, place, worst, allowed)


def choose_places(comparer: Comparer, name: str, dimensions: int) -> list[int]:
    """Numbers of a tensor: half with the largest gradient, half at random, in their order."""
    tensor, gradient = comparer.problem.tensors[name], comparer.gradients[name]
    count = min(dimensions, tensor.numel())
    chosen: list[int] = []
    if gradient is not None:
        chosen = gradient.abs().flatten().topk(count - count // 2).indices.tolist()
    drawn = torch.randperm(tensor.numel(), generator=comparer.generator(f"places of {name}"))
    others = [place for place in drawn[: 2 * count].tolist() if place not in chosen]
    return sorted(chosen + others[: count - len(chosen)])


def _narrow(comparer: Comparer, name: str, allowed: float) -> GradientOf:
    """The number of a tensor of which a slight disagreement comes, found by halving."""
    direction = comparer.direction(name)
    places = torch.arange(direction.numel(), device=direction.device)
    step = comparer.compare({name: direction}).step
    while len(places) > 1:
        halves = places.tensor_split(2)
        gaps = [abs(comparer.measure({name: _keep(direction, half)}, step).gap) for half in halves]
        places = halves[0] if gaps[0] >= gaps[1] else halves[1]
    place = int(places)
    return _of_number(
        comparer, name, place, comparer.compare(comparer.single(name, place)), allowed
    )


def _keep(direction: Tensor, places: Tensor) -> Tensor:
    kept = torch.zeros_like(direction)
    kept.view(-1)[places] = direction.reshape(-1)[places]
    return kept


def _of_number(
    comparer: Comparer, name: str, place: int, found: Comparison, allowed: float
) -> GradientOf:
    shape = comparer.problem.tensors[name].shape
    where = tuple(int(index) for index in torch.unravel_index(torch.tensor(place), shape))
    passes = found.outcome == "differs" and found.is_within(allowed)
    return GradientOf(name, "agrees" if passes else found.outcome, found, where)
