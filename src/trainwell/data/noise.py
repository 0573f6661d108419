"""Noise on inputs of any kind."""

from __future__ import annotations

from trainwell.data.draw import Augmentation


def noise(deviation: float = 0.1) -> Augmentation:
    """Adds normal noise to every input.

    Args:
        deviation: Its standard deviation, in the unit of the preprocessed inputs: by the usual
            preprocessing, standard deviations of the training split.
    """
    if not 0 <= deviation < float("inf"):
        raise ValueError(f"deviation must be at least 0, not {deviation:g}")
    return lambda inputs, draw: inputs + deviation * draw.normal(*inputs.shape[1:])
