"""Finds the first operation whose backward pass gives values that are not finite."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from trainwell.tracing.operations import Operation
from trainwell.tracing.origin import Origin
from trainwell.tracing.tensors import find_bad_rows, is_finite


def trace_gradient(loss: Tensor, nodes: Mapping[Any, Operation], batch: int) -> Origin | None:
    """Runs the backward pass and looks at each node of its graph; None where all are finite.

    Args:
        loss: A finite scalar with a graph.
        nodes: Which operation made each node.
        batch: Examples in the batch.
    """
    seen: list[tuple[Any, Tensor, Tensor | None]] = []

    def look(node: Any) -> Any:
        def hook(by_inputs: Any, by_outputs: Any) -> None:
            if not seen:
                bad = [g for g in by_inputs if isinstance(g, Tensor) and not is_finite(g)]
                if bad:
                    seen.append((node, bad[0], by_outputs[0] if by_outputs else None))

        return hook

    handles = [node.register_hook(look(node)) for node in _walk(loss.grad_fn)]
    try:
        loss.backward()
    finally:
        for handle in handles:
            handle.remove()
    if not seen:
        return None
    node, gradient, coming = seen[0]
    flat = gradient.reshape(-1)
    value = float(flat[~torch.isfinite(flat)][0])
    known = nodes.get(node)
    return Origin(
        "gradient",
        operation=known.name if known is not None else node.name(),
        place=known.place if known is not None else "the loss",
        rows=find_bad_rows(gradient, batch),
        value=value,
        line=known.line if known is not None else "",
        repeats=known.repeats if known is not None else 1,
        overflows=math.isinf(value) and _is_large(coming),
        half=gradient.dtype == torch.float16,
    )


def _is_large(gradient: Tensor | None) -> bool:
    """Whether a gradient was near the end of its range before."""
    if gradient is None or not gradient.numel():
        return False
    limit = torch.finfo(gradient.dtype).max
    return float(gradient.detach().abs().max()) > math.sqrt(limit)


def _walk(root: Any) -> list[Any]:
    found, waiting = {root: None}, [root]
    while waiting:
        for following, _ in waiting.pop().next_functions:
            if following is not None and following not in found:
                found[following] = None
                waiting.append(following)
    return list(found)
