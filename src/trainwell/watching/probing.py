"""What a few extra passes on a copy of the model say; never made inside of a training step."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from trainwell.watching.bounds import share_at_bound
from trainwell.watching.consistency import measure_foresight, measure_variation
from trainwell.watching.derivatives import check_derivative
from trainwell.watching.evaluation_calls import NOTHING_HEARD, EvaluationCalls, listen_in_evaluation
from trainwell.watching.facts import BATCH_NORM
from trainwell.watching.scores import ROWS, UNKNOWN, Score, score
from trainwell.watching.time_gradients import compare_times
from trainwell.watching.twins import count_twins
from trainwell.watching.undisturbed import replicate, untouched_randomness

ROWS_HEARD = 16
"""Enough to hear which functions are called."""


@dataclass(frozen=True)
class Probe:
    """What was found.

    Attributes:
        train: On examples seen in training, in evaluation mode.
        as_trained: On some of them, in training mode.
        on_train: On the training data given, in evaluation mode.
        valid: On validation examples, in evaluation mode.
        valid_at_first: On them with the running statistics that batch norms begin with.
        derivative_error: Relative error of a directional derivative from the backward pass,
            against a centred difference; not-a-number where it was not looked at.
        numeric_derivative: That difference.
        time_ratio: Of a model of sequences, the gradient at the first time step over that at the
            last; not-a-number where it does not apply.
        twins: Share of hidden units that have the very weights of another unit of their layer.
        bound: Share of its numbers that have exactly the largest size, or of its units whose
            weights have exactly the largest norm.
        evaluation: What the model calls in evaluation mode.
        variation: Of outputs in evaluation mode between two passes, over their deviation.
        foresight: Change of outputs with the symbols that they are to predict, likewise.
    """

    train: Score = UNKNOWN
    as_trained: Score = UNKNOWN
    valid: Score = UNKNOWN
    on_train: Score = UNKNOWN
    valid_at_first: Score = UNKNOWN
    derivative_error: float = math.nan
    numeric_derivative: float = math.nan
    time_ratio: float = math.nan
    twins: float = math.nan
    bound: float = math.nan
    evaluation: EvaluationCalls = NOTHING_HEARD
    variation: float = math.nan
    foresight: float = math.nan


def probe(
    model: nn.Module,
    kind: str,
    train: tuple[Tensor, Tensor] | None,
    given: tuple[Any, Any],
    loss_fn: Callable[..., Any] | None,
    check_gradient: bool,
    recurrent: bool,
) -> Probe:
    """Makes the passes.

    Args:
        model: Is copied.
        kind: Of the loss, as `LossGraph.kind` says it.
        train: Examples as the model saw them, with targets.
        given: Training and validation data of the user as `(X, y)`, where that is what the model
            sees; each None without.
        loss_fn: The loss of the training, if known.
        check_gradient: Whether the backward pass is to be compared with differences.
        recurrent: Whether the inputs are sequences `(N, T, F)` for a recurrent layer.
    """
    found = Probe(twins=count_twins(model))
    replica = replicate(model)
    if replica is None or train is None:
        return found
    with untouched_randomness():
        x, y = train
        x, y = x[:ROWS], y[:ROWS]
        replica.train()
        as_trained = score(replica, x, y, kind)
        # Batch statistics were moved by that pass.
        replica.load_state_dict(model.state_dict())
        replica.eval()
        found = replace(found, train=score(replica, x, y, kind), as_trained=as_trained)
        heard = listen_in_evaluation(replica, x[:ROWS_HEARD])
        # A model may put its weights into bounds when it is called.
        found = replace(found, evaluation=heard, bound=share_at_bound(replica))
        scores = [
            UNKNOWN if data is None or data[1] is None else score(replica, data[0], data[1], kind)
            for data in given
        ]
        found = replace(
            found,
            on_train=scores[0],
            valid=scores[1],
            variation=measure_variation(replica, x),
            foresight=measure_foresight(replica, x, y),
        )
        if recurrent:
            found = replace(found, time_ratio=compare_times(replica, x))
        if check_gradient:
            error, numeric = check_derivative(replica, x, y, loss_fn)
            found = replace(found, derivative_error=error, numeric_derivative=numeric)
        valid = given[1]
        if valid is not None and valid[1] is not None and _begin_anew(replica):
            found = replace(found, valid_at_first=score(replica, valid[0], valid[1], kind))
    return found


def _begin_anew(model: nn.Module) -> bool:
    """Gives batch norms the running statistics that they begin with; whether there are any."""
    norms = [m for m in model.modules() if isinstance(m, BATCH_NORM) and m.track_running_stats]
    for norm in norms:
        norm.reset_running_stats()
    return bool(norms)
