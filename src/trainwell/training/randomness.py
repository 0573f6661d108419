"""Random numbers that the run owns: torch's, NumPy's and Python's global generators, borrowed.

Dropout and the user's own code draw from the global generators. The run sets them to states of its
own while it trains and gives back those it found, so it neither depends on the user's seeds nor
disturbs them.
"""

from __future__ import annotations

import random
from typing import Any

import numpy
import torch
from torch import Tensor

from trainwell.data.seeding import derive_seed


class RunRandomness:
    """Context in which all global generators are the run's.

    Args:
        seed: The run's.
        device: Where the model is; its generator is borrowed too.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self.seed, self.device = seed, device

    def __enter__(self) -> RunRandomness:
        self.found = self.capture()
        random.seed(derive_seed(self.seed, "python"))
        numpy.random.seed(derive_seed(self.seed, "numpy") % 2**32)
        torch.default_generator.manual_seed(derive_seed(self.seed, "torch"))
        if self.device.type == "cuda":
            with torch.cuda.device(self.device):
                torch.cuda.manual_seed(derive_seed(self.seed, "cuda"))
        return self

    def __exit__(self, *error: object) -> None:
        self.restore(*self.found)

    def capture(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The present state of every generator."""
        tensors = {"torch": torch.get_rng_state()}
        if self.device.type == "cuda":
            tensors["cuda"] = torch.cuda.get_rng_state(self.device)
        version, internal, gauss = random.getstate()
        _, keys, position, has_gauss, cached = numpy.random.get_state()
        tensors["numpy"] = torch.from_numpy(numpy.asarray(keys, dtype=numpy.int64))
        fields = {
            "python": [version, list(internal), gauss],
            "numpy": [position, has_gauss, cached],
        }
        return tensors, fields

    def restore(self, tensors: dict[str, Tensor], fields: dict[str, Any]) -> None:
        """Sets every generator to a captured state."""
        torch.set_rng_state(tensors["torch"])
        if "cuda" in tensors:
            torch.cuda.set_rng_state(tensors["cuda"], self.device)
        keys = tensors["numpy"].numpy().astype(numpy.uint32)
        numpy.random.set_state(("MT19937", keys, *fields["numpy"]))
        version, internal, gauss = fields["python"]
        random.setstate((version, tuple(internal), gauss))
