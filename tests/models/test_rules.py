"""Models that learn by rules of their own: perceptron, ADALINE, MADALINE, Hopfield, map, RBM."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
from torch import nn

import trainwell as tw
from trainwell.errors import ModelError
from trainwell.models.boltzmann import RestrictedBoltzmannMachine, free_energy
from trainwell.models.hopfield import Hopfield
from trainwell.models.madaline import Madaline, VotingMadaline, choose_voters
from trainwell.models.perceptron import Adaline, Perceptron, classify
from trainwell.models.self_organising_map import SelfOrganisingMap
from trainwell.nn.losses import squared_error


def follow_rule(
    model: nn.Module, examples: list[tuple[list[float], int]], rate: float
) -> list[list[float]]:
    """Weights after each example, by the rule of the model, without a bias."""
    path = []
    for inputs, target in examples:
        model.zero_grad()
        batch = torch.tensor([inputs]), torch.tensor([target])
        model.measure(*batch, squared_error)[1].backward()
        with torch.no_grad():
            model.layer.weight.sub_(rate * model.layer.weight.grad)
        path.append(model.layer.weight[0].tolist())
    return path


def test_the_perceptron_follows_its_rule_as_by_hand() -> None:
    # X2, X3, X1, X3 from W = (0, 0), alpha 1: w += (d - y) x, y = 1 where w·x >= 0.
    x1, x2, x3 = ([2.0, 1.0], 1), ([-1.0, 2.0], 0), ([-1.0, -1.0], 1)
    model = Perceptron((2,), 1)
    path = follow_rule(model, [x2, x3, x1, x3], 1.0)
    # X2: 0 >= 0, y 1, d 0 -> (1, -2). X3: 1 >= 0, right. X1: 0 >= 0, right. X3: right.
    assert path == [[1.0, -2.0]] * 4


def test_a_perceptron_overshoots_and_comes_back() -> None:
    near, far = ([0.5, 0.1], 1), ([3.0, 0.0], 0)
    path = follow_rule(Perceptron((2,), 1), [far, near, far, near], 1.0)
    by_hand, weight = [], [0.0, 0.0]
    for inputs, d in (far, near, far, near):
        y = float(sum(w * x for w, x in zip(weight, inputs, strict=True)) >= 0)
        weight = [w + (d - y) * x for w, x in zip(weight, inputs, strict=True)]
        by_hand.append(weight)
    assert [w for row in path for w in row] == pytest.approx([w for row in by_hand for w in row])


def test_adaline_follows_least_mean_squares_as_by_hand() -> None:
    examples = [([1.0, 2.0], 1), ([2.0, -1.0], 0), ([0.5, 0.5], 1)]
    path = follow_rule(Adaline((2,), 1), examples, 0.1)
    weight = [0.0, 0.0]
    for (inputs, target), found in zip(examples, path, strict=True):
        error = (2 * target - 1) - sum(w * x for w, x in zip(weight, inputs, strict=True))
        weight = [w + 0.1 * error * x for w, x in zip(weight, inputs, strict=True)]
        assert found == pytest.approx(weight)


def test_the_perceptron_separates_what_a_line_separates() -> None:
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(200, 2, generator=generator)
    targets = (points[:, 0] - 2 * points[:, 1] > 0.3).long()
    points += 0.2 * (2 * targets - 1).unsqueeze(1) * torch.tensor([1.0, -2.0])
    model = Perceptron((2,), 1)
    optimizer = torch.optim.SGD(model.parameters(), 1.0)
    for _ in range(30):
        for index in range(200):
            optimizer.zero_grad()
            one = slice(index, index + 1)
            model.measure(points[one], targets[one], squared_error)[1].backward()
            optimizer.step()
    assert torch.equal(classify(model(points)), targets)


def test_rule_one_adapts_the_fewest_wrong_voters_nearest_to_zero() -> None:
    sums = torch.tensor([[[-0.1, -2.0, 0.3, -0.5, -1.0]], [[0.2, 1.0, 3.0, -0.1, -4.0]]])
    chosen = choose_voters(sums, torch.ones(2, 1, 1))
    # The first vote is 1 of 5: two must change, -0.1 and -0.5. The second is 3 of 5: right.
    assert chosen.tolist() == [[[1, 0, 0, 1, 0]], [[0, 0, 0, 0, 0]]]


def test_rule_two_flips_the_unit_that_disturbs_least_and_helps() -> None:
    model = Madaline((2,), 1, rule=2, hidden=2)
    with torch.no_grad():
        model.hidden.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
        model.hidden.bias.zero_()
        model.output.weight.copy_(torch.tensor([[1.0, 1.0]]))
        model.output.bias.fill_(0.5)
    # Both sums are negative: the output is -1.5, wrong. Flipping unit 1, nearer to zero, mends it.
    signs, flipped = model._flip_on_trial(torch.tensor([[-2.0, -0.1]]), torch.ones(1, 1))
    assert signs.tolist() == [[-1.0, 1.0]]
    assert flipped.tolist() == [[0.0, 1.0]]


def test_rule_three_is_backpropagation_by_measurement() -> None:
    torch.manual_seed(0)
    model = Madaline((5,), 3, rule=3, hidden=7).double()
    inputs, targets = torch.randn(6, 5).double(), torch.randint(3, (6,))
    model.measure(inputs, targets, squared_error)[1].backward()
    measured = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    desired = 2.0 * torch.nn.functional.one_hot(targets, 3).double() - 1
    (0.5 * (desired - model(inputs)).square().sum(1).mean()).backward()
    for name, parameter in model.named_parameters():
        assert torch.allclose(measured[name], parameter.grad, atol=1e-4), name


def test_rules_refuse_quantities_and_even_votes() -> None:
    with pytest.raises(ModelError, match="tells classes apart"):
        Perceptron((2,), 1).measure(torch.zeros(1, 2), torch.zeros(1), squared_error)
    with pytest.raises(ModelError, match="odd number"):
        VotingMadaline((2,), 1, voters=4)


def test_a_hopfield_network_completes_spoilt_patterns_and_lowers_its_energy() -> None:
    torch.manual_seed(0)
    patterns = torch.where(torch.rand(5, 100) < 0.5, -1.0, 1.0)
    model = Hopfield((100,), 100)
    for pattern in patterns:
        model.zero_grad()
        model.measure(pattern[None], pattern[None], squared_error)[1].backward()
        with torch.no_grad():
            model.weight.sub_(model.weight.grad)
    hebb = ((patterns.T @ patterns) / 100).fill_diagonal_(0)
    assert torch.allclose(model.weight, hebb, atol=1e-5)
    spoilt = patterns.clone()
    spoilt[:, :10] *= -1
    assert torch.equal(model(spoilt), patterns)
    assert (model.energy(patterns) < model.energy(spoilt)).all()


def test_recalling_never_raises_the_energy_and_ends_where_nothing_moves() -> None:
    torch.manual_seed(0)
    couplings = torch.randn(30, 30)
    model = Hopfield((30,), 30, sweeps=1)
    with torch.no_grad():
        model.weight.copy_(couplings + couplings.T)
    state = torch.where(torch.rand(200, 30) < 0.5, -1.0, 1.0)
    energies = [model.energy(state)]
    for _ in range(40):
        state = model(state)
        energies.append(model.energy(state))
    assert all((b <= a + 1e-3).all() for a, b in itertools.pairwise(energies))
    assert (energies[-1] < energies[0]).float().mean() > 0.95
    assert torch.equal(model(state), state)


def test_two_units_against_each_other_come_to_rest_instead_of_going_round() -> None:
    model = Hopfield((2,), 2)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[0.0, -1.0], [-1.0, 0.0]]))
    recalled = model(torch.ones(1, 2))
    assert recalled.tolist() == [[-1.0, 1.0]] and torch.equal(model(recalled), recalled)


def test_a_map_keeps_neighbours_together() -> None:
    torch.manual_seed(0)
    model = SelfOrganisingMap((2,), 2, rows=6, columns=6, shrink_steps=300)
    optimizer = torch.optim.SGD(model.parameters(), 0.5)
    before = None
    for _ in range(400):
        points = torch.rand(64, 2)
        optimizer.zero_grad()
        shown = model.measure(points, points, squared_error)[1]
        before = shown.item() if before is None else before
        shown.backward()
        optimizer.step()
    assert shown.item() < before / 4
    grid = model.prototypes.detach().reshape(6, 6, 2)
    beside = (grid[1:] - grid[:-1]).norm(dim=2).mean()
    anywhere = torch.pdist(grid.reshape(-1, 2)).mean()
    assert beside < 0.5 * anywhere


def test_free_energy_is_that_of_all_hidden_states() -> None:
    torch.manual_seed(0)
    weight, visible_bias, bias = torch.randn(3, 4), torch.randn(4), torch.randn(3)
    visible = torch.tensor([[1.0, 0.0, 1.0, 1.0]])
    states = torch.tensor(list(itertools.product((0.0, 1.0), repeat=3)))
    energies = -(states @ weight @ visible[0]) - states @ bias - visible[0] @ visible_bias
    expected = -torch.logsumexp(-energies, 0)
    assert torch.allclose(free_energy(visible, weight, visible_bias, bias), expected[None])


def test_long_chains_of_contrastive_divergence_give_the_gradient_of_the_likelihood() -> None:
    torch.manual_seed(0)
    model = RestrictedBoltzmannMachine((4,), 4, hidden=3, persistent=20_000, steps=50)
    with torch.no_grad():
        model.weight.normal_(0, 0.7)
    data = torch.tensor([[1.0, 1, 0, 0], [0, 0, 1, 1]])
    model.measure(data, data, squared_error)[1].backward()
    found = model.weight.grad.clone()
    model.zero_grad()
    every = torch.tensor(list(itertools.product((0.0, 1.0), repeat=4)))
    log_partition = torch.logsumexp(-free_energy(every, *model.energy_parameters), 0)
    (free_energy(data, *model.energy_parameters).mean() + log_partition).backward()
    assert torch.allclose(found, model.weight.grad, atol=0.02)


def test_contrastive_divergence_starts_each_chain_at_the_data() -> None:
    torch.manual_seed(0)
    model = RestrictedBoltzmannMachine((6,), 6, hidden=4)
    with torch.no_grad():
        # So sure of itself that a Gibbs step gives back what it was given.
        model.weight.zero_()
        model.weight[:4, :4].fill_diagonal_(200)
        model.bias.fill_(-100)
        model.visible_bias.copy_(torch.tensor([-100.0] * 4 + [100.0, -100.0]))
    data = torch.tensor([[1.0, 0, 1, 0, 1, 0], [0, 1, 1, 0, 1, 0]])
    model.measure(data, data, squared_error)[1].backward()
    assert model.chains.numel() == 0
    assert not model.weight.grad.any() and not model.visible_bias.grad.any()
    assert model.generate(3).shape == (3, 6)


@pytest.mark.parametrize("name", ["perceptron", "madaline_2", "rbm", "self_organising_map"])
def test_models_with_rules_resume_bit_identical(name: str, tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    class StopAfterAnEpoch:
        def started(self, progress: object) -> None: ...
        def stepped(self, reading: object) -> None: ...
        def ended(self, reason: str) -> None: ...
        def epoch_ended(self, reading: dict[str, object]) -> None:
            if reading["epoch"] == 2:
                raise Stop

    recipe = tw.Recipe(epochs=3, checkpoint_every=7, seed=3)
    whole = tw.fit(name, "digits", recipe, out=tmp_path / "whole")
    with pytest.raises(Stop):
        tw.fit(name, "digits", recipe, out=tmp_path / "cut", observers=[StopAfterAnEpoch()])
    resumed = tw.resume(tmp_path / "cut")
    assert resumed.weights_sha256 == whole.weights_sha256
    assert resumed.metrics == whole.metrics
    assert resumed.report().stat().st_size > 10_000
