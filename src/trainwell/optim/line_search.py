"""How far to go in a direction in which the loss falls."""

from __future__ import annotations

from collections.abc import Callable

SUFFICIENT = 1e-4
"""The share of the fall that the slope promises which must come true (Armijo 1966)."""
FLATTER = 0.1
"""The share of the first slope that may be left (Wolfe 1969). The usual 0.9 needs about twice the
steps of BFGS on a logistic regression, and no fewer evaluations."""
TRIALS = 40


def backtrack(loss_at: Callable[[float], float], loss: float, slope: float, start: float) -> float:
    """Halves a step until the loss falls enough (Armijo 1966).

    Args:
        loss_at: The loss after a step of a length; what is not finite is too far.
        loss: At length 0.
        slope: Derivative of the loss by the length at 0, below 0.
        start: The length that is tried first.

    Returns:
        The length that was tried last and is good, or 0 where none was.
    """
    length = start
    for _ in range(TRIALS):
        if loss_at(length) <= loss + SUFFICIENT * length * slope:
            return length
        length /= 2
    return 0.0


def search_wolfe(
    at: Callable[[float], tuple[float, float]], loss: float, slope: float, start: float
) -> float:
    """Doubles and bisects until the loss falls enough and flattens (Lewis & Overton 2013).

    Where it flattens, the change of the gradient has a positive product with the step, which
    quasi-Newton methods need.

    Args:
        at: Loss and slope after a step of a length; a loss that is not finite is too far.
        loss: At length 0.
        slope: Derivative of the loss by the length at 0, below 0.
        start: The length that is tried first.

    Returns:
        The length that was tried last and is good, or 0 where none was.
    """
    near, far, length = 0.0, None, start
    for _ in range(TRIALS):
        new_loss, new_slope = at(length)
        if not new_loss <= loss + SUFFICIENT * length * slope:
            far = length
        elif new_slope < FLATTER * slope:
            near = length
        else:
            return length
        length = 2 * length if far is None else (near + far) / 2
    return 0.0
