"""The LSTM by the lecture's equations equals torch's."""

from __future__ import annotations

import torch
from torch import nn

from trainwell.nn.recurrent import EquationLstm, remember_at_first


def copy_weights(ours: EquationLstm, theirs: nn.LSTM) -> None:
    with torch.no_grad():
        theirs.weight_ih_l0.copy_(ours.cell.weight_input)
        theirs.weight_hh_l0.copy_(ours.cell.weight_hidden)
        theirs.bias_ih_l0.copy_(ours.cell.bias)
        theirs.bias_hh_l0.zero_()


def test_the_equations_give_the_outputs_and_gradients_of_torchs_lstm() -> None:
    torch.manual_seed(0)
    ours, theirs = EquationLstm(3, 7), nn.LSTM(3, 7, batch_first=True)
    copy_weights(ours, theirs)
    sequence = torch.randn(5, 20, 3)
    mine, reference = ours(sequence), theirs(sequence)[0]
    assert torch.allclose(mine, reference, atol=1e-6)
    mine.square().sum().backward()
    reference.square().sum().backward()
    assert torch.allclose(ours.cell.weight_hidden.grad, theirs.weight_hh_l0.grad, atol=1e-4)


def test_the_memory_is_a_highway_for_the_gradient_and_a_simple_network_has_none() -> None:
    torch.manual_seed(0)
    kept = {}
    for name, layer in (("rnn", nn.RNN(1, 32, batch_first=True)), ("lstm", nn.LSTM(1, 32))):
        if isinstance(layer, nn.LSTM):
            layer = nn.LSTM(1, 32, batch_first=True)
            remember_at_first(layer)
            with torch.no_grad():
                layer.bias_ih_l0[32:64] = 4.0
        sequence = torch.randn(8, 100, 1, requires_grad=True)
        layer(sequence)[0][:, -1].sum().backward()
        assert sequence.grad is not None
        kept[name] = float(sequence.grad[:, 0].norm())
    assert kept["lstm"] > 1e4 * kept["rnn"]


def test_a_fresh_lstm_remembers() -> None:
    lstm = nn.LSTM(2, 3, num_layers=2)
    remember_at_first(lstm)
    for layer in range(2):
        bias = getattr(lstm, f"bias_ih_l{layer}") + getattr(lstm, f"bias_hh_l{layer}")
        assert bias.tolist() == [0] * 3 + [1] * 3 + [0] * 6
