"""Numbers that wait on the device and come over in one transfer a window."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class Ledger:
    """Collects numbers by step and label; `take` reads all of them at once."""

    def __init__(self) -> None:
        self._entries: list[tuple[int, str, Sequence[Tensor]]] = []

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, step: int, label: str, values: Sequence[Tensor]) -> None:
        """Keeps tensors of one or more numbers where they are; none of them may carry a graph."""
        self._entries.append((step, label, values))

    def take(self) -> dict[int, dict[str, list[float]]]:
        """All numbers by step and label; waits for the device once for each device."""
        entries, self._entries = self._entries, []
        waiting = [value for _, _, values in entries for value in values]
        numbers = _transfer(waiting)
        taken: dict[int, dict[str, list[float]]] = {}
        position = 0
        for step, label, values in entries:
            row: list[float] = []
            for _ in values:
                row += numbers[position]
                position += 1
            taken.setdefault(step, {})[label] = row
        return taken


def _transfer(tensors: Sequence[Tensor]) -> list[list[float]]:
    """The numbers of each tensor."""
    found: list[list[float]] = [[] for _ in tensors]
    groups: dict[torch.device, list[int]] = {}
    for k, tensor in enumerate(tensors):
        if tensor.device.type == "cpu":  # there is nothing to wait for
            numbers = tensor.tolist()
            found[k] = numbers if isinstance(numbers, list) else [numbers]
            continue
        groups.setdefault(tensor.device, []).append(k)
    for places in groups.values():
        flat = [tensors[k].reshape(-1).float() for k in places]
        numbers = torch.cat(flat).tolist()
        position = 0
        for k, values in zip(places, flat, strict=True):
            found[k] = numbers[position : position + len(values)]
            position += len(values)
    return found
