"""Examples of a training: those the user gave, and some that the model was seen with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from trainwell.watching.arrays import is_in_memory, to_arrays
from trainwell.watching.data_facts import DataFacts, look_at_data
from trainwell.watching.shared_examples import count_shared_rows
from trainwell.watching.undisturbed import untouched_randomness

MOST_SEEN = 768
ROWS_A_STEP = 48
MOST_NUMBERS = 4_000_000


class Examples:
    """Keeps a few of the examples that pass, and looks at those that were given.

    Args:
        train: Training data as the user gave it.
        valid: Validation data likewise.
    """

    def __init__(self, train: Any, valid: Any) -> None:
        self._train, self._valid = train, valid
        self._kept: list[tuple[Tensor, Tensor | None, Tensor]] = []
        self._count = 0
        self._given: tuple[Any, Any] | None = None
        self._facts: dict[bool, DataFacts | None] = {}
        self._looked_at = 0

    def keep(self, inputs: Tensor, targets: Tensor | None, whole: Tensor) -> None:
        """Keeps copies of some rows, as long as there is room.

        Args:
            inputs: `(N, ...)`.
            targets: `(N, ...)`; None where unknown.
            whole: Whether the outputs for them were finite; says later whether they count.
        """
        if targets is not None and len(targets) != len(inputs):
            targets = None
        room = min(ROWS_A_STEP, MOST_SEEN - self._count)
        if room <= 0 or self._count * inputs[0].numel() > MOST_NUMBERS:
            return
        stride = max(1, len(inputs) // room)
        rows = slice(0, stride * room, stride)
        own = targets[rows].detach().clone() if targets is not None else None
        self._kept.append((inputs[rows].detach().clone(), own, whole))
        self._count += len(self._kept[-1][0])

    def seen(self) -> tuple[Tensor, Tensor] | None:
        """Kept examples with targets, as the model saw them; None without."""
        pairs = [(x, y) for x, y, whole in self._kept if y is not None and bool(whole)]
        if not pairs:
            return None
        shape, kind = pairs[-1][0].shape[1:], pairs[-1][1].shape[1:]
        alike = [(x, y) for x, y in pairs if x.shape[1:] == shape and y.shape[1:] == kind]
        return torch.cat([x for x, _ in alike]), torch.cat([y for _, y in alike])

    def _distinct(self) -> tuple[Tensor, Tensor] | None:
        """Those of them that differ; an example comes again in each epoch."""
        seen = self.seen()
        if seen is None:
            return None
        keys = [row.tobytes() for row in seen[0].cpu().flatten(1).contiguous().numpy()]
        rows = list({key: k for k, key in enumerate(keys)}.values())
        return seen[0][rows], seen[1][rows]

    def as_seen(self) -> tuple[Any, Any]:
        """Training and validation data, where the former is what the model sees; else None."""
        train, valid = self._arrays()
        seen = self.seen()
        if train is None or seen is None:
            return None, None
        x, known = train[0].float(), seen[0].float()
        if x.shape[1:] != known.shape[1:]:
            return None, None
        spread = float(x.std()) + 1e-12
        same = abs(float(x.mean() - known.mean())) < 0.2 * spread
        if not (same and 0.7 < float(known.std()) / spread < 1.4):
            return None, None
        kind = seen[0].dtype
        own = (train[0].to(kind), train[1])
        return own, (valid[0].to(kind), valid[1]) if valid is not None else None

    def look(self, task: str, classes: bool | None) -> DataFacts | None:
        """Facts of the data given, else of the examples seen; looks once for each."""
        train, valid = self._arrays()
        source = train
        if source is None:
            seen = self._distinct()
            if seen is None or len(seen[0]) < 200:
                return None
            source = seen
        is_classes = self._are_classes(source[1], task, classes)
        if is_classes not in self._facts:
            facts = look_at_data(source, valid, is_classes)
            if train is not None and valid is not None and self._is_in_memory():
                shared, looked = count_shared_rows(self._train, self._valid)
                facts = replace(facts, shared=shared, valid_examples=looked or len(valid[0]))
            if train is not None:
                facts = replace(facts, changed=self._count_changed())
            self._facts[is_classes] = facts
        return self._facts[is_classes]

    def _arrays(self) -> tuple[Any, Any]:
        if self._given is None:
            # Items of a dataset may draw random numbers.
            with untouched_randomness():
                self._given = to_arrays(self._train), to_arrays(self._valid)
        return self._given

    def _is_in_memory(self) -> bool:
        return is_in_memory(self._train) and is_in_memory(self._valid)

    def _count_changed(self) -> float:
        """Share of the examples seen that are none of the training data's."""
        everything = to_arrays(self._train, 50_000) if is_in_memory(self._train) else None
        seen = self.seen()
        if everything is None or seen is None or everything[0].numel() > 50_000_000:
            return float("nan")
        x, known = everything[0].float().flatten(1).cpu(), seen[0].float().flatten(1).cpu()
        if x.shape[1] != known.shape[1] or len(x) == 50_000:
            return float("nan")
        rows = {row.tobytes() for row in x.contiguous().numpy()}
        return sum(row.tobytes() not in rows for row in known.contiguous().numpy()) / len(known)

    def _are_classes(self, targets: Tensor | None, task: str, classes: bool | None) -> bool:
        if task:
            return task in ("multiclass", "binary")
        if classes is not None:
            return classes
        return targets is not None and not targets.is_floating_point()
