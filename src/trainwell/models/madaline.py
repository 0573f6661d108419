"""MADALINE: layers of ADALINEs, with the three rules (Widrow & Lehr 1990 tell their history)."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor, nn

from trainwell.errors import ModelError
from trainwell.models.entry import Entry
from trainwell.models.perceptron import RULE_RECIPE, desired_outputs
from trainwell.nn.losses import Loss
from trainwell.nn.objective import follow

PERTURBATION = 1e-2


def sign(sums: Tensor) -> Tensor:
    """1 where the sum is at least 0, else −1."""
    return torch.where(sums >= 0, 1.0, -1.0).to(sums.dtype)


class VotingMadaline(nn.Module):
    """Rule I (Widrow & Hoff 1960): adaptive units, and a fixed majority vote of them.

    Each output has a group of units of its own. Where a vote is wrong, just as many of its wrong
    voters as it takes, those whose sums are nearest to zero, adapt by LMS towards the right sign:
    the least disturbance.

    Args:
        input_shape: Shape of one example; `(N, *input_shape)` goes in.
        outputs: `(N, outputs)` comes out, the mean vote plus a small share of the mean sum.
        voters: Units of each group, odd.

    Raises:
        ModelError: The number of voters is even.
    """

    def __init__(self, input_shape: tuple[int, ...], outputs: int, voters: int = 5) -> None:
        super().__init__()
        if voters < 1 or voters % 2 == 0:
            raise ModelError(f"a vote needs an odd number of voters, not {voters}")
        self.voters = voters
        self.layer = nn.Linear(math.prod(input_shape), outputs * voters)

    def sums(self, inputs: Tensor) -> Tensor:
        """The weighted sums of all units, `(N, outputs, voters)`."""
        return self.layer(inputs.flatten(1)).unflatten(1, (-1, self.voters))

    def forward(self, inputs: Tensor) -> Tensor:
        return count_votes(self.sums(inputs))

    def measure(self, inputs: Tensor, targets: Tensor, loss: Loss) -> tuple[Tensor, Tensor]:
        sums = self.sums(inputs)
        desired = desired_outputs(targets, sums.shape[1], -1.0).unsqueeze(2)
        chosen = choose_voters(sums.detach(), desired)
        rule = (chosen * 0.5 * (desired - sums).square()).sum((1, 2)).mean()
        return count_votes(sums.detach()), rule


def count_votes(sums: Tensor) -> Tensor:
    """Mean votes `(N, outputs)`; the mean sums, squashed, break ties between classes.

    Args:
        sums: `(N, outputs, voters)`.
    """
    return sign(sums).mean(2) + 0.5 / sums.shape[2] * torch.tanh(sums.mean(2))


def choose_voters(sums: Tensor, desired: Tensor) -> Tensor:
    """Which units adapt, as 0 and 1 `(N, outputs, voters)`.

    Args:
        sums: `(N, outputs, voters)`.
        desired: ±1, `(N, outputs, 1)`.
    """
    wrong = sign(sums) != desired
    # The vote is right when at most (voters − 1) / 2 are wrong.
    needed = (wrong.sum(2, keepdim=True) - sums.shape[2] // 2).clamp(min=0)
    disturbance = torch.where(wrong, sums.abs(), math.inf)
    rank = disturbance.argsort(2).argsort(2)
    return ((rank < needed) & wrong).to(sums.dtype)


class Madaline(nn.Module):
    """Two adaptive layers of threshold units (rule II) or of S-shaped units (rule III).

    Rule II (Winter & Widrow 1988): hidden units, in the order of how near to zero their sums are,
    are flipped on trial; a flip that leaves fewer outputs wrong is kept, and the unit adapts
    towards it by LMS. Then the outputs that are wrong adapt. Rule III (Andes et al. 1990): each sum
    is perturbed a little, and adapts against what that does to the squared error; with S-shaped
    units it is backpropagation by measurement.

    Args:
        input_shape: Shape of one example; `(N, *input_shape)` goes in.
        outputs: `(N, outputs)` comes out: sums of the output units.
        rule: 2 or 3.
        hidden: Units of the hidden layer.

    Raises:
        ModelError: There is no such rule.
    """

    def __init__(
        self, input_shape: tuple[int, ...], outputs: int, rule: int = 2, hidden: int = 32
    ) -> None:
        super().__init__()
        if rule not in (2, 3):
            raise ModelError(f"there is no rule {rule} here", remedy="Rules are 2 and 3")
        self.rule = rule
        self.hidden = nn.Linear(math.prod(input_shape), hidden)
        self.output = nn.Linear(hidden, outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.output(self._squash(self.hidden(inputs.flatten(1))))

    def measure(self, inputs: Tensor, targets: Tensor, loss: Loss) -> tuple[Tensor, Tensor]:
        desired = desired_outputs(targets, self.output.out_features, -1.0)
        sums = self.hidden(inputs.flatten(1))
        if self.rule == 3:
            return self._follow_perturbations(sums, desired)
        return self._disturb_least(sums, desired)

    def _squash(self, sums: Tensor) -> Tensor:
        return sign(sums) if self.rule == 2 else torch.tanh(sums)

    def _disturb_least(self, sums: Tensor, desired: Tensor) -> tuple[Tensor, Tensor]:
        signs, flipped = self._flip_on_trial(sums.detach(), desired)
        rule = (flipped * 0.5 * (signs - sums).square()).sum(1).mean()
        outputs = self.output(signs)
        wrong = (sign(outputs.detach()) != desired).to(sums.dtype)
        rule = rule + (wrong * 0.5 * (desired - outputs).square()).sum(1).mean()
        before = self.output(sign(sums.detach()))
        return before.detach(), follow(rule, _squared_error(before, desired))

    @torch.no_grad()
    def _flip_on_trial(self, sums: Tensor, desired: Tensor) -> tuple[Tensor, Tensor]:
        """The signs after all kept flips, and which were flipped, `(N, hidden)` each."""
        signs = sign(sums)
        order = sums.abs().argsort(1)
        errors = (sign(self.output(signs)) != desired).sum(1)
        for place in range(sums.shape[1]):
            unit = order[:, place : place + 1]
            trial = signs.scatter(1, unit, -signs.gather(1, unit))
            after = (sign(self.output(trial)) != desired).sum(1)
            better = (after < errors).unsqueeze(1)
            signs = torch.where(better, trial, signs)
            errors = torch.minimum(errors, after)
        return signs, (signs != sign(sums)).to(sums.dtype)

    def _follow_perturbations(self, sums: Tensor, desired: Tensor) -> tuple[Tensor, Tensor]:
        outputs = self.output(torch.tanh(sums.detach()))
        slopes = self._slopes(sums.detach(), desired)
        error = _squared_error(outputs, desired)
        rule = (slopes * sums).sum(1).mean() + error
        return outputs, follow(rule, error)

    @torch.no_grad()
    def _slopes(self, sums: Tensor, desired: Tensor) -> Tensor:
        """Change of each example's squared error for a change of each hidden sum, `(N, hidden)`."""
        units = sums.shape[1]
        nudges = PERTURBATION * torch.eye(units, dtype=sums.dtype, device=sums.device)

        def errors(nudged: Tensor) -> Tensor:
            outputs = self.output(torch.tanh(nudged))
            return 0.5 * (desired.unsqueeze(1) - outputs).square().sum(2)

        ahead, behind = (errors(sums.unsqueeze(1) + s * nudges) for s in (1, -1))
        return (ahead - behind) / (2 * PERTURBATION)


def _squared_error(outputs: Tensor, desired: Tensor) -> Tensor:
    return 0.5 * (desired - outputs).square().sum(1).mean()


ENTRIES = {
    "madaline": Entry(
        VotingMadaline,
        1960,
        "Widrow & Hoff",
        "ADALINEs with a fixed majority vote, rule I.",
        (64,),
        recipe=RULE_RECIPE,
    ),
    "madaline_2": Entry(
        partial(Madaline, rule=2),
        1988,
        "Winter & Widrow",
        "Two layers of threshold units, rule II: least disturbance.",
        (64,),
        recipe=RULE_RECIPE,
    ),
    "madaline_3": Entry(
        partial(Madaline, rule=3),
        1990,
        "Andes et al.",
        "Two layers of S-shaped units, rule III: measured gradients.",
        (64,),
        recipe=RULE_RECIPE,
    ),
}
