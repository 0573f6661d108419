"""Where the first value that is not finite came from: the batch is run again on a snapshot."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from trainwell.training.calling_line import find_calling_line
from trainwell.watching.batch_readings import first_tensor
from trainwell.watching.history import NanOrigin
from trainwell.watching.undisturbed import replicate, untouched_randomness


@dataclass(frozen=True)
class SeenBatch:
    """A batch by reference.

    Attributes:
        step: In which it was used, from 0.
        args: What the model was called with.
        kwargs: Likewise.
        targets: None where unknown.
    """

    step: int
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    targets: Tensor | None = None


def find_nan_origin(
    model: nn.Module,
    batch: SeenBatch | None,
    snapshots: Sequence[Mapping[str, Tensor]],
    loss_fn: Callable[..., Any] | None,
    step: int,
) -> NanOrigin:
    """Names the inputs, the operation, the loss or the weights that were the first.

    Args:
        model: As it is now, maybe spoilt by an update.
        batch: The one whose loss was not finite; None when it is not known.
        snapshots: States of the model from before, newest last.
        loss_fn: If known.
        step: Whose loss was not finite, from 0.
    """
    if batch is not None:
        found = _look_at_batch(batch, step)
        if found is not None:
            return found
        with untouched_randomness():
            found = _run_again(model, batch, snapshots, loss_fn, step)
        if found is not None:
            return found
    spoilt = [name for name, p in model.named_parameters() if not _is_finite(p)]
    return NanOrigin(step, spoilt[0] if spoilt else "", source="weights" if spoilt else "")


def _look_at_batch(batch: SeenBatch, step: int) -> NanOrigin | None:
    inputs = first_tensor((batch.args, dict(batch.kwargs)))
    for source, values in (("inputs", inputs), ("targets", batch.targets)):
        if values is not None and not _is_finite(values):
            return NanOrigin(step, f"the {source}", _bad_rows(values), source)
    return None


def _run_again(
    model: nn.Module,
    batch: SeenBatch,
    snapshots: Sequence[Mapping[str, Tensor]],
    loss_fn: Callable[..., Any] | None,
    step: int,
) -> NanOrigin | None:
    replica = replicate(model)
    whole = next((s for s in reversed(snapshots) if all(map(_is_finite, s.values()))), None)
    if replica is None:
        return None
    spoilt = [name for name, p in model.named_parameters() if not _is_finite(p)]
    if spoilt:
        if whole is None:
            return None
        replica.load_state_dict(whole)
    elif whole is None:
        whole = replica.state_dict()
    finder = _Finder(replica)
    with torch.no_grad(), finder:
        outputs = first_tensor(replica(*batch.args, **batch.kwargs))
    finder.release()
    if finder.where:
        return NanOrigin(step, finder.where, finder.rows, "layer", finder.line)
    if outputs is not None and batch.targets is not None and loss_fn is not None:
        with torch.no_grad():
            loss = loss_fn(outputs, batch.targets)
        if not _is_finite(loss):
            return NanOrigin(step, "the loss", source="loss")
    return None


class _Finder(TorchFunctionMode):
    """Finds the first operation with finite arguments whose result is not finite."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.where = ""
        self.rows: tuple[int, ...] = ()
        self.line = ""
        self._model = model
        self._path: list[str] = []
        self._handles: list[Any] = []
        for name, module in model.named_modules():
            self._handles.append(module.register_forward_pre_hook(self._entering(name)))
            self._handles.append(module.register_forward_hook(self._leaving()))

    def release(self) -> None:
        """Takes the hooks away."""
        for handle in self._handles:
            handle.remove()

    def _entering(self, name: str) -> Any:
        def hook(module: nn.Module, args: Any) -> None:
            self._path.append(name)

        return hook

    def _leaving(self) -> Any:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            self._path.pop()

        return hook

    def __torch_function__(
        self, func: Any, types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        values = first_tensor(result)
        if not self.where and values is not None and not _is_finite(values):
            layer = self._path[-1] if self._path else ""
            name = getattr(func, "__name__", str(func)).strip("_")
            self.where = f"{name} in layer {layer!r}" if layer else name
            self.rows = _bad_rows(values)
            self.line = find_calling_line(self._model)
        return result


def _is_finite(values: Tensor) -> bool:
    if not values.is_floating_point():
        return True
    return bool(torch.isfinite(values.detach()).all())


def _bad_rows(values: Tensor) -> tuple[int, ...]:
    if values.ndim == 0:
        return ()
    bad = ~torch.isfinite(values.detach().float()).reshape(len(values), -1).all(1)
    return tuple(bad.nonzero().reshape(-1)[:10].tolist())
