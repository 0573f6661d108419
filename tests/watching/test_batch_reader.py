"""What is read of a step where the loop tells of other inputs than the model got."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

import trainwell as tw
from tests.watching.programs import blobs, mlp

INPUTS, LABELS = blobs()


@pytest.mark.parametrize(("rows", "expected"), [(50, 100.0), (25, 0.0)])
def test_what_the_model_got_counts_unless_it_is_a_part_of_the_batch(
    rows: int, expected: float
) -> None:
    torch.manual_seed(0)
    model = mlp(20, 5)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
    watcher = tw.watch(model, optimizer, on_finding=lambda finding: None)
    for _ in range(8):
        optimizer.zero_grad()
        outputs = model(INPUTS[:rows] + 100)
        loss = functional.cross_entropy(outputs, LABELS[:rows])
        loss.backward()
        optimizer.step()
        watcher.step(loss, inputs=INPUTS[:50], outputs=outputs, targets=LABELS[:50])
    watcher.findings()
    seen = watcher._recorder.readings[-1].inputs
    assert seen is not None
    assert seen.mean == pytest.approx(expected, abs=1.0)
