"""Trains a copy on from a snapshot until it breaks as the training did, and names the place."""

from __future__ import annotations

import copy
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from trainwell.tracing.origin import Origin
from trainwell.tracing.tensors import is_finite
from trainwell.tracing.tracing import Pass, trace
from trainwell.watching.snapshots import State

MOST_STEPS = 300
MOST_SECONDS = 3.0


def relive(
    model: nn.Module, optimizer: Any, state: State, passes: Sequence[Pass]
) -> tuple[Origin, nn.Module] | None:
    """The origin in a repetition of the training, and the copy as it was before it broke.

    The optimiser begins without its momentum, and sees the last batches only: not what the
    training did, but what it does with these.

    Args:
        model: Is copied.
        optimizer: Of torch; is copied with it.
        state: To start from.
        passes: Taken in turns; each with a loss.

    Returns:
        None where it does not break within 300 steps or three seconds.
    """
    replica, own = copy.deepcopy((model, optimizer))
    replica.load_state_dict(dict(state))
    own.state = defaultdict(dict)
    end = time.monotonic() + MOST_SECONDS
    for number in range(MOST_STEPS):
        made = passes[number % len(passes)]
        if time.monotonic() > end:
            return None
        before = {name: v.detach().clone() for name, v in replica.state_dict().items()}
        own.zero_grad()
        with made.context(), torch.enable_grad():
            loss = made.measure(made.run(replica))
        if loss is None:
            return None
        if is_finite(loss):
            loss.backward()
        gradients = [p.grad for p in replica.parameters() if p.grad is not None]
        if not is_finite(loss) or not all(map(is_finite, gradients)):
            replica.load_state_dict(before)
            found = trace(replica, made)
            return (found, replica) if found is not None else None
        own.step()
        spoilt = [name for name, p in replica.named_parameters() if not is_finite(p)]
        if spoilt:
            replica.load_state_dict(before)
            return Origin("update", place=spoilt[0]), replica
    return None
