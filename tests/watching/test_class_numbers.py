"""Classes that are to be ignored, classes of positions, and numbers that are no classes."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset

import trainwell as tw
from trainwell.watching.arrays import spread, to_arrays
from trainwell.watching.data_facts import look_at_data


def test_positions_that_are_to_be_ignored_are_no_class() -> None:
    """A masked language model, of whose positions most have no target."""
    g = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(12, 16), nn.Linear(16, 12))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    watcher = tw.watch(model, optimizer, on_finding=lambda finding: None)
    for _ in range(150):
        x = torch.randint(12, (16, 20), generator=g)
        wanted = torch.rand(16, 20, generator=g) < 0.15
        y = torch.where(wanted, (x * 5 + 1) % 12, torch.tensor(-100))
        out = model(x)
        loss = functional.cross_entropy(out.transpose(1, 2), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        watcher.step(loss, inputs=x, outputs=out, targets=y)
    found = [f.code for f in watcher.findings() if f.severity != "note"]
    watcher.detach()
    assert found == []


def test_a_language_model_that_ends_in_logarithms_of_shares_is_left_alone() -> None:
    g = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(12, 16), nn.Linear(16, 12), nn.LogSoftmax(-1))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    watcher = tw.watch(model, optimizer, on_finding=lambda finding: None)
    for _ in range(100):
        x = torch.randint(12, (16, 20), generator=g)
        out = model(x)
        loss = functional.nll_loss(out.view(-1, 12), ((x * 5 + 1) % 12).view(-1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        watcher.step(loss)
    found = [f.code for f in watcher.findings() if f.severity != "note"]
    watcher.detach()
    assert found == []


def test_large_numbers_as_targets_are_no_classes() -> None:
    x, y = torch.randn(400, 3), torch.randint(10**9, (400,))
    assert look_at_data((x, y), (x, y), classes=True).class_counts == ()


def test_examples_without_a_class_leave_the_classes_of_the_data_unknown() -> None:
    x, y = torch.randn(400, 3), torch.randint(3, (400,))
    y[::4] = -100
    assert look_at_data((x, y), None, classes=True).class_counts == ()


def test_rows_of_more_than_floats_can_count_stay_within() -> None:
    rows = spread(20_000_264, 1024)
    assert int(rows[-1]) == 20_000_263
    assert len(rows.unique()) == 1024


class Noisy(Dataset[tuple[Tensor, Tensor]]):
    """Draws from a generator of its own."""

    def __init__(self) -> None:
        self.generator = np.random.default_rng(0)

    def __len__(self) -> int:
        return 60

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        return torch.from_numpy(self.generator.normal(size=3)).float(), torch.tensor(row % 2)


def test_looking_at_a_dataset_draws_nothing_from_its_own_generator() -> None:
    looked_at, left_alone = Noisy(), Noisy()
    assert to_arrays(looked_at) is not None
    torch.testing.assert_close(looked_at[0][0], left_alone[0][0])


def test_a_mapping_is_no_dataset() -> None:
    assert to_arrays({"x": torch.zeros(3), "y": torch.zeros(3)}) is None


class LSTM(nn.Module):
    """Someone's own, whose bias is a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.zeros(4, 4)), nn.Parameter(torch.zeros(4))

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight, self.bias)


def test_a_layer_with_the_name_of_torchs_and_one_of_whole_numbers_can_be_watched() -> None:
    model = nn.Sequential(LSTM(), nn.Linear(4, 2))
    whole = torch.ones(3, 3, dtype=torch.int8)
    model.register_parameter("quantised", nn.Parameter(whole, requires_grad=False))
    model.register_parameter("empty", nn.Parameter(torch.zeros(0, 4)))
    watcher = tw.watch(model, torch.optim.SGD(model.parameters(), lr=0.1))
    loss = model(torch.zeros(3, 4)).sum()
    loss.backward()
    watcher.step(loss)
    watcher.findings()
    watcher.detach()
