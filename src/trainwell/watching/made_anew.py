"""Layers that a forward pass makes by itself: no optimiser ever sees them twice."""

from __future__ import annotations

import weakref
from typing import Any

from torch import nn

MOST_NODES = 4000
ENOUGH = 4
"""Steps whose losses are looked at."""


class MadeAnew:
    """Parameters that take part in the loss of a step and are gone when the next one is looked at.

    What a discriminator or a learned loss has lives on, though the watcher does not know it.

    Args:
        model: Whose own parameters are known.
        optimizer: Whose parameters are known too.

    Attributes:
        count: The most parameters of one step that were gone.
    """

    def __init__(self, model: nn.Module, optimizer: Any) -> None:
        groups = getattr(optimizer, "param_groups", [])
        self.count = 0
        self._known = {id(p) for p in model.parameters()} | {
            id(p) for group in groups for p in group["params"]
        }
        self._seen: list[weakref.ref[nn.Parameter]] = []
        self._looks = 0

    def look(self, loss: Any) -> None:
        """One step was made with this loss, whose graph may be freed."""
        self.count = max(self.count, sum(known() is None for known in self._seen))
        self._seen = []
        node = getattr(loss, "grad_fn", None)
        if node is None or self._looks >= ENOUGH:
            return
        self._looks += 1
        taking_part = _find_parameters(node)
        strangers = [p for p in taking_part if id(p) not in self._known]
        # A copy of the whole model, as in meta-learning, is made for its own sake.
        if len(strangers) < len(taking_part):
            self._seen = [weakref.ref(parameter) for parameter in strangers]


def _find_parameters(root: Any) -> list[nn.Parameter]:
    """Those that a graph ends in."""
    queue, seen, found = [root], {root}, list[nn.Parameter]()
    while queue and len(seen) < MOST_NODES:
        node = queue.pop()
        variable = getattr(node, "variable", None)
        if isinstance(variable, nn.Parameter):
            found.append(variable)
        for following, _ in node.next_functions:
            if following is not None and following not in seen:
                seen.add(following)
                queue.append(following)
    return found
