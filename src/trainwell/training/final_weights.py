"""The weights that a training leaves."""

from __future__ import annotations

from torch import Tensor

from trainwell.training.checkpoint import Checkpoint


def final_weights(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """The weights that a training leaves, from its checkpoint: best, averaged or trained."""
    tensors = checkpoint.tensors
    if tensors.get("early_stop"):
        return dict(tensors["early_stop"])
    if "average" in tensors:
        averaged = tensors["average"].items()
        return {k.removeprefix("module."): v for k, v in averaged if k.startswith("module.")}
    return dict(tensors["weights"])
