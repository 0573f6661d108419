"""A lottery ticket keeps the largest weights, rewound, and training leaves the others at zero."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from trainwell.errors import ModelError
from trainwell.nn.lottery_ticket import apply_ticket, find_ticket


def test_a_ticket_is_the_largest_weights_at_their_first_values() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 20), nn.ReLU())
    model.append(nn.Linear(20, 2))
    initial = copy.deepcopy(model.state_dict())
    for parameter in model.parameters():
        parameter.data += torch.randn_like(parameter)
    trained = copy.deepcopy(model)
    masks = find_ticket(trained, keep=0.2)
    hidden = torch.cat([masks["0.weight"].flatten(), masks["2.weight"].flatten()])
    assert float(hidden.mean()) == pytest.approx(0.2, abs=0.01)
    assert float(masks["4.weight"].mean()) == pytest.approx(0.6, abs=0.03)
    sizes = torch.cat([trained[0].weight.abs().flatten(), trained[2].weight.abs().flatten()])
    assert sizes[hidden.bool()].min() > sizes[~hidden.bool()].max()
    apply_ticket(model, masks, initial)
    kept = masks["0.weight"].bool()
    assert torch.equal(model[0].weight[kept], initial["0.weight"][kept])
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for _ in range(3):
        model(torch.randn(8, 10)).square().sum().backward()
        optimizer.step()
    model(torch.randn(1, 10))
    assert not model[0].weight[~kept].any()


def test_an_impossible_share_is_refused() -> None:
    with pytest.raises(ModelError, match="at most 1"):
        find_ticket(nn.Sequential(nn.Linear(2, 2)), keep=1.5)
