"""Examples as tensors, of whatever they come in."""

from __future__ import annotations

import time

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

import trainwell as tw
from trainwell.watching.arrays import MOST_ITEMS, MOST_SECONDS, is_in_memory, to_arrays

X, Y = torch.randn(40, 3), torch.arange(40)


class Items(Dataset[tuple[Tensor, Tensor]]):
    """Counts how often it is read; an item may take its time."""

    def __init__(self, count: int, seconds: float = 0.0) -> None:
        self.count, self.seconds, self.read = count, seconds, 0

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        self.read += 1
        time.sleep(self.seconds)
        return torch.full((3,), float(row)), torch.tensor(row % 2)


@pytest.mark.parametrize(
    "data", [(X, Y), (X.numpy(), Y.numpy()), TensorDataset(X, Y), DataLoader(TensorDataset(X, Y))]
)
def test_examples_in_memory_come_as_they_are(data: object) -> None:
    found = to_arrays(data)
    assert found is not None
    assert found[1] is not None
    assert is_in_memory(data)
    torch.testing.assert_close(found[0], X)
    torch.testing.assert_close(found[1], Y)


def test_items_of_a_slow_dataset_are_read_for_a_short_time_and_stay_in_order() -> None:
    items = Items(10_000, seconds=0.01)
    start = time.monotonic()
    found = to_arrays(items)
    assert time.monotonic() - start < MOST_SECONDS + 2
    assert found is not None
    assert not is_in_memory(items)
    rows = found[0][:, 0]
    assert 1 <= len(rows) < MOST_ITEMS
    assert bool((rows[1:] > rows[:-1]).all())
    assert float(rows[-1] - rows[0]) > 2_000  # spread over the whole, not the first ones


def test_items_of_several_shapes_are_not_looked_at() -> None:
    items = [(torch.zeros(k + 1), torch.tensor(0)) for k in range(5)]
    assert to_arrays(items) is None


def test_a_dataset_is_read_once_however_often_one_asks() -> None:
    items = Items(2_000)
    model = nn.Linear(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    watcher = tw.watch(model, optimizer, train=items, valid=items, task="multiclass")
    for row in range(40):
        x, y = items[row]
        loss = nn.functional.cross_entropy(model(x[None]), y[None])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        watcher.step(loss, inputs=x[None], targets=y[None])
        watcher.findings()
    watcher.detach()
    assert items.read <= 40 + 2 * MOST_ITEMS
