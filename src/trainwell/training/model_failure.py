"""Errors of the user's model, loss or data while it is trained, told by step and not as a bug."""

from __future__ import annotations

import torch

from trainwell.data.workers import explain_dead_worker
from trainwell.errors import ModelError, TrainwellError, first_line
from trainwell.training.deterministic import explain_nondeterministic

DEAD_WORKER = "DataLoader worker"
NO_GRADIENT = "does not require grad"


def explain_failure(error: Exception, when: str) -> TrainwellError:
    """The error to raise in place of one that came out of a model or a loss.

    Args:
        error: Whatever was raised.
        when: Such as `"step 12"`.
    """
    refused = explain_nondeterministic(error)
    if refused is not None:
        return refused
    if isinstance(error, torch.OutOfMemoryError):
        return ModelError(
            f"the device is out of memory: {first_line(error)}",
            where=when,
            remedy="Use a smaller batch_size, and accumulate to make up for it",
        )
    # torch notices by a signal, which comes wherever the training happens to be.
    if isinstance(error, RuntimeError) and DEAD_WORKER in str(error):
        return explain_dead_worker(error)
    if NO_GRADIENT in str(error):
        return explain_cut_off(when)
    return ModelError(
        f"the model or its loss fails: {first_line(error)}",
        where=when,
        remedy="Mend the model, then resume the run with --allow-change",
    )


def explain_cut_off(when: str) -> ModelError:
    """The loss depends on no parameter."""
    return ModelError(
        "the loss does not depend on any parameter that is trained",
        where=when,
        remedy="Do not detach() the outputs, convert them, or compute them under no_grad()",
    )
