"""The weights that a training leaves."""

from __future__ import annotations

from torch import Tensor

from trainwell.training.checkpoint import Checkpoint


def final_weights(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """The weights that a training leaves, from its checkpoint: best, averaged or trained."""
    tensors = checkpoint.tensors
    for kept in ("selection", "early_stop", "average"):
        if tensors.get(kept):
            return dict(tensors[kept])
    return dict(tensors["weights"])
