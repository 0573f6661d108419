"""Highway gates and gated memory."""

from __future__ import annotations

import torch
from torch import nn

from trainwell.nn.gates import CARRY_BIAS, GatedMemory, HighwayGate, update_memory


def test_a_binary_gate_writes_the_lectures_memory() -> None:
    gate = torch.tensor([0, 1, 0, 0, 0, 1])
    memory = update_memory(gate, torch.arange(10, 16), torch.tensor([8, 9, 3, 7, 5, 8]))
    assert memory.tolist() == [8, 11, 3, 7, 5, 15]


def test_a_soft_gate_is_learned() -> None:
    torch.manual_seed(0)
    memory = GatedMemory(4)
    optimizer = torch.optim.Adam(memory.parameters(), 0.05)
    new, old = torch.randn(2, 64, 4)
    wanted = update_memory(torch.tensor([1.0, 0.0, 1.0, 0.0]), new, old)
    for _ in range(300):
        optimizer.zero_grad()
        loss = (memory(new, old) - wanted).square().mean()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.01


def test_a_highway_layer_is_its_equation_and_mostly_carries_at_first() -> None:
    transform = nn.Sequential(nn.Linear(5, 5), nn.ReLU())
    layer = HighwayGate(transform, nn.Linear(5, 5))
    inputs = torch.randn(7, 5)
    share = torch.sigmoid(layer.gate(inputs))
    expected = share * transform(inputs) + (1 - share) * inputs
    assert torch.allclose(layer(inputs), expected, atol=1e-6)
    assert layer.gate.bias.tolist() == [CARRY_BIAS] * 5


def test_gates_stay_nearly_shut_when_a_model_is_drawn() -> None:
    import trainwell as tw

    for name, shape in (("highway_mlp", (6,)), ("highway19", (3, 8, 8))):
        model = tw.models.create(name, input_shape=shape, classes=2, seed=0)
        gates = [m for m in model.modules() if isinstance(m, HighwayGate)]
        assert gates and all(bool((g.gate.bias == CARRY_BIAS).all()) for g in gates)
