"""First weights that are alike, too small or too large."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from tests.watching.programs import Program, adam, blobs, mlp, waves
from tests.watching.rules.histories import (
    FACTS,
    NAMES,
    OUTPUTS,
    codes,
    falling,
    history,
    readings,
    stuck,
)
from tests.watching.rules.twins import Twins, assert_named, assert_silent
from trainwell.watching.readings import LayerReading

BLOBS = blobs()
HEALTHY = Program(lambda: mlp(20, 5), BLOBS, epochs=6)


def drawn(std: float) -> nn.Module:
    model = mlp(20, 5, depth=4)
    for layer in model:
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=std)
    return model


def alike() -> nn.Module:
    model = mlp(4, 1, activation=nn.Tanh)
    for parameter in model.parameters():
        nn.init.constant_(parameter, 0.1)
    return model


def normed(scale: float) -> nn.Module:
    """The scales of all normalisations begin with one number."""
    model = mlp(20, 5, depth=3, between=lambda: nn.LayerNorm(32))
    for layer in model:
        if isinstance(layer, nn.LayerNorm):
            nn.init.constant_(layer.weight, scale)
    return model


class Speller(nn.Module):
    """Reads symbols, whose vectors begin with a deviation."""

    def __init__(self, deviation: float) -> None:
        super().__init__()
        self.embedding, self.cells = nn.Embedding(9, 12), nn.GRU(12, 24, batch_first=True)
        self.head = nn.Linear(24, 2)
        nn.init.normal_(self.embedding.weight, std=deviation)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.cells(self.embedding(x))[0][:, -1])


def spellings() -> tuple[Tensor, Tensor]:
    """Whether there are more low symbols than high ones."""
    x = torch.randint(9, (500, 10), generator=torch.Generator().manual_seed(13))
    return x, ((x < 4).sum(1) > (x > 4).sum(1)).long()


CASES = {
    "all weights the same": Twins(
        "bad_init",
        Program(alike, waves(), nn.functional.mse_loss, epochs=6),
        Program(lambda: mlp(4, 1, activation=nn.Tanh), waves(), nn.functional.mse_loss, epochs=6),
    ),
    "weights of a thousandth": Twins("bad_init", Program(lambda: drawn(1e-3), BLOBS, epochs=4),
                                     HEALTHY),
    "scales of nought": Twins(
        "bad_init", Program(lambda: normed(0.0), BLOBS, epochs=6),
        Program(lambda: normed(1.0), BLOBS, epochs=6),
    ),
    "embeddings far apart": Twins(
        "bad_init", Program(lambda: Speller(40.0), spellings(), optimizer=adam(1e-2), epochs=5),
        Program(lambda: Speller(1.0), spellings(), optimizer=adam(1e-2), epochs=12),
    ),
    "weights of one": Twins("bad_init", Program(lambda: drawn(1.5), BLOBS, epochs=4), HEALTHY),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_fault_is_named(name: str) -> None:
    assert_named(CASES[name])


@pytest.mark.parametrize("name", CASES)
def test_its_healthy_twin_is_left_alone(name: str) -> None:
    assert_silent(CASES[name])


@pytest.mark.parametrize(
    ("gain", "found"), [(0.05, True), (0.3, False), (1.0, False), (2.0, False), (6.0, True)]
)
def test_only_a_gain_far_from_one_is_a_fault_of_a_training_that_is_stuck(
    gain: float, found: bool
) -> None:
    sizes = dict.fromkeys(NAMES, gain / 20**0.5)
    seen = stuck(facts=replace(FACTS, first_sizes=sizes))
    assert ("bad_init" in codes(seen)) == found


def test_an_unusual_gain_of_a_training_that_learns_well_is_no_fault() -> None:
    sizes = dict.fromkeys(NAMES, 0.05 / 20**0.5)
    assert codes(history(facts=replace(FACTS, first_sizes=sizes))) == []


def test_small_weights_before_normalisation_are_no_fault() -> None:
    torch.manual_seed(0)

    def normed() -> nn.Module:
        model = mlp(20, 5, depth=3, between=lambda: nn.BatchNorm1d(32))
        for layer in model:
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=0.01)
        return model

    program = Program(normed, BLOBS, epochs=6)
    assert_silent(Twins("bad_init", program, program))


def test_weights_of_one_sign_are_a_fault_of_a_training_that_is_stuck() -> None:
    facts = replace(FACTS, first_means=dict.fromkeys(NAMES, 0.13))
    assert "bad_init" in codes(stuck(facts=facts))
    assert codes(history(facts=facts)) == []


def test_a_signal_that_grows_from_layer_to_layer_is_a_fault() -> None:
    rows = tuple(LayerReading(name, "weights", 0.0, std) for name, std in (("0", 0.5), ("4", 90.0)))
    losses = [(0, 500.0), *falling(3.0, 0.9)[1:]]
    wrong = replace(OUTPUTS, accuracy=0.6, standard_loss=0.9)
    first = replace(readings()[0], layers=rows, outputs=replace(wrong, standard_loss=500.0))
    rest = tuple(replace(r, outputs=wrong) for r in readings()[1:])
    assert "bad_init" in codes(history(losses=losses, readings=(first, *rest)))
