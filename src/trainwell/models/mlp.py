"""Multi-layer perceptrons."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from torch import nn

from trainwell.models.entry import Entry
from trainwell.nn.activations import PIECES, make_activation
from trainwell.nn.initialisation import initialise, initialise_he, shrink_outputs
from trainwell.nn.normalisation import make_normalisation


def mlp(
    input_shape: tuple[int, ...],
    outputs: int,
    sizes: Sequence[int] | int = (256, 128),
    activation: str = "relu",
    dropout: float = 0.0,
    normalisation: str = "none",
    initial: str | None = None,
    slope: float | None = None,
) -> nn.Module:
    """Fully connected layers with a non-linearity between them (Rumelhart, Hinton & Williams 1986).

    Args:
        input_shape: Shape of one example; `(N, *input_shape)` goes in.
        outputs: `(N, outputs)` comes out.
        sizes: Units of each hidden layer.
        activation: Of `nn.activations.ACTIVATIONS`. Maxout doubles the weights of its layer.
        dropout: Probability with which each hidden unit is dropped in training.
        normalisation: Of `nn.normalisation.NORMALISATIONS`, before the activation.
        initial: Of `nn.initialisation.SCHEMES`; None: He for ReLU and its kin, Glorot for the
            S-shaped, with outputs near zero.
        slope: Of leaky ReLU, PReLU at first, or alpha of ELU; None: the usual one.

    Raises:
        ModelError: An unknown name, or an activation that has no slope.
    """
    hidden = (sizes,) if isinstance(sizes, int) else tuple(sizes)
    pieces = PIECES.get(activation, 1)
    layers: list[nn.Module] = [nn.Flatten()]
    for fan_in, fan_out in itertools.pairwise((math.prod(input_shape), *hidden)):
        layers.append(nn.Linear(fan_in, pieces * fan_out))
        if normalisation != "none":
            layers.append(make_normalisation(normalisation, pieces * fan_out, 0))
        layers.append(make_activation(activation, slope))
        if dropout:
            layers.append(nn.Dropout(dropout))
    last = hidden[-1] if hidden else math.prod(input_shape)
    model = nn.Sequential(*layers, nn.Linear(last, outputs))
    if initial is not None:
        initialise(model, initial)
    elif activation == "relu":
        initialise_he(model)
    else:
        initialise(model, "auto")
        shrink_outputs(model, 0.1)
    return model


ENTRIES = {
    "mlp": Entry(mlp, 1986, "Rumelhart, Hinton & Williams", "Fully connected layers.", (1, 28, 28))
}
