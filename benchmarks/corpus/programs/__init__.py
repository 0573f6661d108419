"""The programs, one family a file; importing this package registers them."""

from benchmarks.corpus.program import PROGRAMS
from benchmarks.corpus.programs import (
    capacity,
    feeding,
    gradients,
    healthy_data,
    healthy_models,
    healthy_training,
    inputs,
    labels,
    losses,
    modes,
    parameters,
    rates,
    signals,
)

__all__ = [
    "PROGRAMS",
    "capacity",
    "feeding",
    "gradients",
    "healthy_data",
    "healthy_models",
    "healthy_training",
    "inputs",
    "labels",
    "losses",
    "modes",
    "parameters",
    "rates",
    "signals",
]
