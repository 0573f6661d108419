"""Operations of a loss that may give what is not finite, by the names that autograd remembers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor

_POLES = {
    "LogBackward": "log",
    "Log2Backward": "log2",
    "Log10Backward": "log10",
    "Log1PBackward": "log1p",
    "SqrtBackward": "sqrt",
    "RsqrtBackward": "rsqrt",
    "DivBackward": "div",
    "ReciprocalBackward": "reciprocal",
    "PowBackward": "pow",
    "ExpBackward": "exp",
    "AcosBackward": "acos",
    "AsinBackward": "asin",
    "AtanhBackward": "atanh",
    "LinalgVectorNormBackward": "norm",
    "StdBackward": "std",
    "VarBackward": "var",
    "CumprodBackward": "cumprod",
    "ProdBackward": "prod",
    "NllLossBackward": "nll_loss",
    "MseLossBackward": "mse_loss",
    "BinaryCrossEntropyBackward": "binary_cross_entropy",
}


def name_poles(loss: Any, outputs: Tensor | None) -> tuple[str, ...]:
    """Names of such operations between the outputs and the loss, nearest to the outputs first.

    Args:
        loss: With its graph, before or after the backward pass.
        outputs: What the same model gave in another pass, with its graph: where the loss's graph
            goes on as theirs does, the model begins. None: unknown.
    """
    if not isinstance(loss, Tensor) or loss.grad_fn is None:
        return ()
    begin = outputs.grad_fn if outputs is not None else None
    ends = (begin.name(), _count(begin)) if begin is not None else None
    found: list[str] = []
    for node in _walk(loss.grad_fn):
        if ends is not None and (node.name(), _count(node)) == ends:
            break
        name = _POLES.get(node.name().rstrip("0123456789").rpartition("::")[2])
        if name is not None and name not in found:
            found.append(name)
    return tuple(reversed(found))


def _walk(root: Any, limit: int = 200) -> Iterator[Any]:
    """Nodes, nearest first."""
    waiting, seen = [root], {root}
    while waiting and limit > 0:
        node = waiting.pop(0)
        limit -= 1
        yield node
        for following, _ in node.next_functions:
            if following is not None and following not in seen:
                seen.add(following)
                waiting.append(following)


def _count(root: Any) -> int:
    return sum(1 for _ in _walk(root, 5000))
