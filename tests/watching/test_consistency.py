"""Two passes of one model, and passes of sequences that differ at their end."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from trainwell.watching.consistency import measure_foresight, measure_variation

X = torch.randint(5, (30, 9), generator=torch.Generator().manual_seed(0))
INPUTS, NEXT = X[:, :-1], X[:, 1:]


class Sequence(nn.Module):
    """A recurrent layer over symbols, in one direction or in both."""

    def __init__(self, both: bool, channels_first: bool) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 6)
        self.cells = nn.GRU(6, 6, batch_first=True, bidirectional=both)
        self.head, self.channels_first = nn.Linear(12 if both else 6, 5), channels_first

    def forward(self, x: Tensor) -> Tensor:
        scores = self.head(self.cells(self.embedding(x))[0])
        return scores.transpose(1, 2) if self.channels_first else scores


@pytest.mark.parametrize("channels_first", [False, True])
def test_a_layer_of_both_directions_sees_ahead(channels_first: bool) -> None:
    assert measure_foresight(Sequence(True, channels_first), INPUTS, NEXT) > 0.01


@pytest.mark.parametrize("channels_first", [False, True])
def test_a_layer_of_one_direction_does_not(channels_first: bool) -> None:
    assert measure_foresight(Sequence(False, channels_first), INPUTS, NEXT) == 0


def test_targets_that_are_not_the_next_inputs_may_depend_on_all_of_them() -> None:
    assert math.isnan(measure_foresight(Sequence(True, False), INPUTS, INPUTS.flip(1)))


def test_two_passes_of_a_model_without_chance_do_not_differ() -> None:
    assert measure_variation(nn.Linear(4, 3), torch.randn(20, 4)) == 0


def test_dropout_in_training_mode_differs_from_pass_to_pass() -> None:
    model = nn.Sequential(nn.Linear(4, 64), nn.Dropout(0.5), nn.Linear(64, 3))
    assert measure_variation(model.train(), torch.randn(20, 4)) > 0.1
    assert measure_variation(model.eval(), torch.randn(20, 4)) == 0


class Remembering(nn.Module):
    """Adds up what it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = torch.zeros(4)

    def forward(self, x: Tensor) -> Tensor:
        self.seen = self.seen + x.mean(0)
        return x + self.seen


def test_a_model_that_remembers_is_not_taken_for_one_of_chance() -> None:
    assert math.isnan(measure_variation(Remembering(), torch.randn(20, 4)))


def test_targets_that_are_the_inputs_themselves_are_not_the_next_ones() -> None:
    padded = torch.zeros(30, 12, dtype=torch.long)
    padded[:, :2] = X[:, :2]
    assert math.isnan(measure_foresight(Sequence(True, False), padded, padded))


def test_a_model_that_does_not_take_the_examples_tells_nothing() -> None:
    assert math.isnan(measure_variation(nn.Linear(4, 3), torch.randn(20, 5)))
