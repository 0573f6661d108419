"""Scale and type of inputs and targets."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from tests.watching.programs import (
    Program,
    Recurrent,
    adam,
    blobs,
    echoes,
    mlp,
    sgd,
    stripes,
    waves,
)
from tests.watching.rules.histories import INPUTS, codes, history, readings, stuck
from tests.watching.rules.twins import Twins, assert_named, assert_silent
from trainwell.watching.data_facts import DataFacts, look_at_data

BLOBS = blobs()
HEALTHY = Program(lambda: mlp(20, 5), BLOBS, epochs=6)


def as_bytes() -> tuple[Tensor, Tensor]:
    x, y = stripes()
    flat = x.flatten(1)
    return (127 + 40 * flat).round().clamp(0, 255), y


def uneven() -> tuple[Tensor, Tensor]:
    x, y = BLOBS
    return x * torch.logspace(-2, 3, 20), y


def sensors(scale: float) -> tuple[Tensor, Tensor]:
    """Sequences, of which one feature may be in another unit than the others."""
    x, y = echoes()
    return x * torch.tensor([1.0, 1.0, scale]) + torch.tensor([0.0, 0.0, 100 * (scale - 1)]), y


CASES = {
    "raw bytes": Twins(
        "dtype_scale", Program(lambda: mlp(144, 4), as_bytes(), optimizer=sgd(0.01), epochs=6),
        Program(lambda: mlp(144, 4), (stripes()[0].flatten(1), stripes()[1]), epochs=6),
    ),
    "sequences with one sensor in pascal": Twins(
        "unnormalised_inputs",
        Program(Recurrent, sensors(1000.0), optimizer=adam(1e-2), epochs=8),
        Program(Recurrent, sensors(1.0), optimizer=adam(1e-2), epochs=16),
    ),
    "scaled twice": Twins(
        "dtype_scale", Program(lambda: mlp(20, 5), (BLOBS[0] / 1000, BLOBS[1]), epochs=6), HEALTHY
    ),
    "all inputs the same": Twins(
        "dtype_scale", Program(lambda: mlp(20, 5), (0 * BLOBS[0] + 1, BLOBS[1]), epochs=3), HEALTHY
    ),
    "validation prepared in another way": Twins(
        "dtype_scale",
        Program(lambda: mlp(20, 5), BLOBS, valid=(BLOBS[0] * 50, BLOBS[1]), epochs=4),
        Program(lambda: mlp(20, 5), BLOBS, valid=blobs(), epochs=4),
    ),
    "targets far from zero": Twins(
        "dtype_scale",
        Program(lambda: mlp(4, 1), (waves()[0], 500 + 60 * waves()[1]), nn.functional.mse_loss,
                adam(1e-3), epochs=4, tell="all"),
        Program(lambda: mlp(4, 1), waves(), nn.functional.mse_loss, adam(1e-2), epochs=6,
                tell="all"),
    ),
    "features of different scales": Twins(
        "unnormalised_inputs", Program(lambda: mlp(20, 5), uneven(), optimizer=adam(1e-3)),
        HEALTHY,
    ),
    "inputs far from zero": Twins(
        "unnormalised_inputs",
        Program(lambda: mlp(20, 5), (BLOBS[0] + 100, BLOBS[1]), optimizer=adam(1e-3)), HEALTHY,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_fault_is_named(name: str) -> None:
    assert_named(CASES[name])


@pytest.mark.parametrize("name", CASES)
def test_its_healthy_twin_is_left_alone(name: str) -> None:
    assert_silent(CASES[name])


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"widest": 100.0, "narrowest": 1.0}, True),
        ({"widest": 100.0, "narrowest": 20.0}, False),
        ({"mean": 60.0}, True),
        ({"mean": 3.0, "offset": 3.0}, False),
        ({"std": 50.0, "widest": 50.0, "narrowest": 40.0, "maximum": 150.0}, True),
        ({"std": 5.0, "widest": 5.0, "narrowest": 4.0, "maximum": 15.0}, False),
    ],
)
def test_only_scales_far_from_one_are_named(change: dict[str, float], found: bool) -> None:
    seen = history(readings=readings(inputs=replace(INPUTS, **change)))
    assert ("unnormalised_inputs" in codes(seen)) == found


@pytest.mark.parametrize(
    ("mean", "std", "found"), [(-1.4, 0.002, True), (-1.4, 0.2, False), (1.4, 0.002, False)]
)
def test_inputs_that_hardly_differ_below_zero_were_scaled_twice(
    mean: float, std: float, found: bool
) -> None:
    around = replace(
        INPUTS, mean=mean, std=std, minimum=mean - std, maximum=mean + 3 * std, widest=std,
        narrowest=std / 2,
    )  # fmt: skip
    seen = history(readings=readings(inputs=around))
    assert ("dtype_scale" in codes(seen)) == found


def test_one_odd_batch_is_no_fault_of_the_inputs() -> None:
    odd = readings(inputs=replace(INPUTS, widest=1e4, std=1e3))
    mixed = (*readings()[:7], odd[7], *readings()[8:])
    assert codes(history(readings=mixed)) == []


@pytest.mark.parametrize(("features", "found"), [(64, True), (13, False)])
def test_whole_numbers_are_the_bytes_of_a_picture_where_there_are_enough_of_them(
    features: int, found: bool
) -> None:
    whole = replace(INPUTS, mean=90.0, std=60.0, minimum=0.0, maximum=255.0, whole=1.0)
    seen = history(readings=readings(inputs=whole), data=DataFacts(features=features))
    assert ("dtype_scale" in codes(seen)) == found


def test_pixels_from_zero_to_one_are_no_fault() -> None:
    pixels = replace(INPUTS, mean=0.3, std=0.3, minimum=0.0, maximum=1.0, widest=0.4, narrowest=0.1)
    assert codes(history(readings=readings(inputs=pixels))) == []


@pytest.mark.parametrize("rounds", [False, True])
def test_standardised_features_that_were_cast_to_integers_are_known(rounds: bool) -> None:
    x = torch.randn(800, 12, generator=torch.Generator().manual_seed(1))
    cut = x.round() if rounds else x.trunc()
    assert look_at_data((cut, None), None, classes=False).cut_columns > 0.8
    assert look_at_data((x, None), None, classes=False).cut_columns == 0


def test_features_that_were_cast_to_integers_are_a_fault_where_little_is_learned() -> None:
    data = DataFacts(examples=400, features=12, cut_columns=0.9)
    assert "dtype_scale" in codes(stuck(data=data))
    assert "dtype_scale" not in codes(history(data=data))


@pytest.mark.parametrize("low", [0.0, -1.0])
def test_counts_and_signs_are_whole_numbers_by_nature(low: float) -> None:
    g = torch.Generator().manual_seed(1)
    x = torch.randint(int(low), 2 if low else 5, (400, 12), generator=g).float()
    data = look_at_data((x, None), None, classes=False)
    assert data.cut_columns == 0
