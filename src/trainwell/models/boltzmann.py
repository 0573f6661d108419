"""The restricted Boltzmann machine (Smolensky 1986; contrastive divergence: Hinton 2002)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainwell.errors import ModelError
from trainwell.models.entry import Entry
from trainwell.models.shapes import require_unit_range
from trainwell.nn.losses import Loss
from trainwell.nn.objective import follow

INITIAL_DEVIATION = 0.01
GIBBS_STEPS = 1000


def free_energy(visible: Tensor, weight: Tensor, visible_bias: Tensor, bias: Tensor) -> Tensor:
    """F(v) = −v·b_v − Σ softplus(W v + b_h), `(N,)`; low where the machine finds v likely.

    Args:
        visible: `(N, F)` in [0, 1].
        weight: `(H, F)`.
        visible_bias: `(F,)`.
        bias: Of the hidden units, `(H,)`.
    """
    hidden = functional.linear(visible, weight, bias)
    return -(visible @ visible_bias) - functional.softplus(hidden).sum(1)


def contrast(visible: Tensor, weight: Tensor, visible_bias: Tensor, bias: Tensor) -> Tensor:
    """A scalar whose gradient is one step of contrastive divergence on a batch `(N, F)`."""
    with torch.no_grad():
        model = gibbs_step(visible, weight, visible_bias, bias)
    parameters = (weight, visible_bias, bias)
    return (free_energy(visible, *parameters) - free_energy(model, *parameters)).mean()


@torch.no_grad()
def gibbs_step(visible: Tensor, weight: Tensor, visible_bias: Tensor, bias: Tensor) -> Tensor:
    """Hidden units drawn from visible ones, then visible ones from them, `(N, F)` of 0 and 1."""
    hidden = torch.bernoulli(torch.sigmoid(functional.linear(visible, weight, bias)))
    return torch.bernoulli(torch.sigmoid(hidden @ weight + visible_bias))


class RestrictedBoltzmannMachine(nn.Module):
    """Binary visible and hidden units; learns what its inputs are like, without targets.

    Inputs in [0, 1] are taken as probabilities. The loss shown is the squared error of the
    reconstruction; what is followed is the difference of free energies between the data and
    samples of the machine.

    Args:
        input_shape: Shape of one example; `(N, *input_shape)` goes in.
        outputs: The number of values of one example; `(N, outputs)` comes out.
        hidden: Hidden units.
        persistent: Chains of samples that go on from batch to batch (Tieleman 2008), such as 100;
            0: each batch starts them at the data (contrastive divergence, Hinton 2002).
        steps: Gibbs steps of an update, the k of CD-k.

    Raises:
        ModelError: No steps.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        outputs: int,
        hidden: int = 256,
        persistent: int = 0,
        steps: int = 1,
    ) -> None:
        super().__init__()
        if steps < 1 or persistent < 0:
            raise ModelError("rbm needs at least one Gibbs step, and no negative number of chains")
        self.input_shape, self.steps = tuple(input_shape), steps
        size = math.prod(input_shape)
        self.weight = nn.Parameter(INITIAL_DEVIATION * torch.randn(hidden, size))
        self.visible_bias = nn.Parameter(torch.zeros(size))
        self.bias = nn.Parameter(torch.zeros(hidden))
        self.register_buffer("chains", (torch.rand(persistent, size) < 0.5).float())
        self.prepared: Tensor
        self.register_buffer("prepared", torch.tensor(False))

    @property
    def energy_parameters(self) -> tuple[Tensor, Tensor, Tensor]:
        """Weight, visible bias and hidden bias."""
        return self.weight, self.visible_bias, self.bias

    @torch.no_grad()
    def prepare(self, inputs: Tensor) -> None:
        """Sets the visible bias to the log-odds of each input being on (Hinton 2010).

        Only once: a machine that was trained before goes on from there.

        Raises:
            ModelError: The inputs are not in [0, 1].
        """
        require_unit_range("rbm", inputs)
        if self.prepared:
            return
        self.prepared.fill_(True)
        share = inputs.flatten(1).mean(0).clamp(0.01, 0.99)
        self.visible_bias.copy_(torch.log(share / (1 - share)))

    def encode(self, inputs: Tensor) -> Tensor:
        """Probabilities of the hidden units, `(N, hidden)`."""
        return torch.sigmoid(functional.linear(inputs.flatten(1), self.weight, self.bias))

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.sigmoid(self.encode(inputs) @ self.weight + self.visible_bias)

    def measure(self, inputs: Tensor, targets: Tensor, loss: Loss) -> tuple[Tensor, Tensor]:
        visible = inputs.flatten(1)
        outputs = self(visible)
        shown = loss(outputs, targets)
        if not self.training:
            return outputs, shown
        sampled = self._sample(visible)
        data = free_energy(visible, *self.energy_parameters).mean()
        return outputs, follow(data - free_energy(sampled, *self.energy_parameters).mean(), shown)

    @torch.no_grad()
    def _sample(self, visible: Tensor) -> Tensor:
        chains = self.chains
        assert isinstance(chains, Tensor)
        sampled = chains if len(chains) else visible
        for _ in range(self.steps):
            sampled = gibbs_step(sampled, *self.energy_parameters)
        if len(chains):
            chains.copy_(sampled)
        return sampled

    @torch.no_grad()
    def generate(self, count: int) -> Tensor:
        """Samples after 1,000 Gibbs steps, as probabilities `(count, *input_shape)`.

        They start at the chains of the training where there are any, else at random.
        """
        chains = self.chains
        assert isinstance(chains, Tensor)
        if len(chains):
            visible = chains[torch.arange(count, device=chains.device) % len(chains)].clone()
        else:
            visible = torch.bernoulli(self.weight.new_full((count, self.weight.shape[1]), 0.5))
        for _ in range(GIBBS_STEPS):
            visible = gibbs_step(visible, *self.energy_parameters)
        return self(visible).reshape(count, *self.input_shape)


ENTRIES = {
    "rbm": Entry(
        RestrictedBoltzmannMachine,
        1986,
        "Smolensky",
        "Binary units, learns by contrastive divergence.",
        (1, 8, 8),
        64,
        recipe={
            "optimizer": "sgd",
            "learning_rate": 0.1,
            "momentum": 0.5,
            "weight_decay": 1e-4,
            "schedule": "linear",
        },
        task="reconstruction",
        preprocess=("unit_range",),
    )
}
