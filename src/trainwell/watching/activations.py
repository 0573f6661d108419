"""Readings of what layers put out, taken inside of one forward pass.

Activations are seen through a torch function mode, since most programs call them as functions
and not as modules.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from trainwell.tracing.calling_line import find_calling_line
from trainwell.watching.cuts import Cuts
from trainwell.watching.facts import BATCH_NORM
from trainwell.watching.hooks import ModuleHook
from trainwell.watching.ledger import Ledger
from trainwell.watching.readings import UnitReading
from trainwell.watching.source_kinds import CALL, CUT

MAX_LAYERS = 48
MAX_CALLS = 96
MAX_VALUES = 1 << 15
"""Of one layer that are looked at on one step; rows beyond are left out evenly."""

_KINDS: dict[Any, str] = {
    functional.relu: "relu",
    functional.relu_: "relu",
    torch.relu: "relu",
    torch.relu_: "relu",
    Tensor.relu: "relu",
    Tensor.relu_: "relu",
    functional.sigmoid: "sigmoid",
    torch.sigmoid: "sigmoid",
    Tensor.sigmoid: "sigmoid",
    functional.tanh: "tanh",
    torch.tanh: "tanh",
    Tensor.tanh: "tanh",
    functional.softmax: "softmax",
    torch.softmax: "softmax",
    Tensor.softmax: "softmax",
}
_READ_DATA = Tensor.data.__get__  # pyright: ignore
_ENDS = {"sigmoid": (0.03, 0.97), "tanh": (-0.94, 0.94)}
"""Where the slope is about a tenth of the steepest or less."""
SURE = 0.99
"""A share of a softmax that leaves next to nothing to the others."""


@dataclass
class _Units:
    low: Tensor
    high: Tensor
    examples: int = 0


class ForwardProbe:
    """Reads layers of a model while it is armed.

    Args:
        model: Is looked at, never changed.
        ledger: Takes the numbers.
    """

    def __init__(self, model: nn.Module, ledger: Ledger) -> None:
        leaves = [(n, m) for n, m in model.named_modules() if not any(m.children())]
        self._model = model
        self._weighted = _choose([x for x in leaves if _has_weights(x[1])], MAX_LAYERS)
        self._norms = _choose([x for x in leaves if isinstance(x[1], BATCH_NORM)], MAX_LAYERS)
        self._ledger = ledger
        self._handles: list[Any] = []
        self._mode: _Mode | None = None
        self._layer = ""
        self._pending: list[tuple[str, str, Any]] = []
        self._units: dict[str, _Units] = {}
        self.step = 0
        self.spent = 0.0
        self.called: set[str] = set()
        self.detached: dict[str, int] = {}
        self.straight_through = False
        self.repeated_cuts = 0
        self._cuts = Cuts()
        self.lines: dict[tuple[str, str], str] = {}
        self._calls = 0
        self._norm_calls: dict[str, int] = {}

    def arm(self, step: int) -> None:
        """Takes hold of the layers for the passes of one step."""
        self.step = step
        for name, module in self._weighted:
            hook = ModuleHook(module, self._reader(name))
            self._handles.append(module.register_forward_hook(hook))
        for name, module in self._norms:
            hook = ModuleHook(module, self._norm_reader(name))
            self._handles.append(module.register_forward_pre_hook(hook))

    def disarm(self) -> None:
        """Lets go of all layers."""
        self.leave()
        while self._handles:
            self._handles.pop().remove()

    def enter(self) -> None:
        """The forward pass of the whole model begins."""
        self.leave()
        self._pending, self._calls, self._norm_calls = [], 0, {}
        self._mode = _Mode(self)
        self._mode.__enter__()

    def leave(self, outputs: object = None) -> None:
        """It has ended; what was seen is read now, out of the way of the functions' observer.

        The activation that made the outputs is none of a hidden layer.
        """
        mode, self._mode = self._mode, None
        if mode is not None:
            mode.__exit__(None, None, None)
        start = time.thread_time()
        pending, self._pending = self._pending, []
        cuts, self._cuts = self._cuts, Cuts()  # which would keep tensors of the pass alive
        self.repeated_cuts = max(self.repeated_cuts, cuts.count())
        with torch.no_grad():
            for kind, layer, values in pending:
                if kind == "weights":
                    self._read_layer(layer, values)
                elif not _makes(values, outputs):
                    self._read_activation(kind, layer, values)
        self.spent += time.thread_time() - start

    def take_units(self) -> list[UnitReading]:
        """Units over all examples since the last call; waits for the device."""
        units, self._units = self._units, {}
        readings: list[UnitReading] = []
        for key, seen in units.items():
            kind, _, name = key.partition("|")
            if kind == "relu":
                stuck = seen.high <= 0
            else:
                bottom, top = _ENDS[kind]
                stuck = (seen.high < bottom) | (seen.low > top)
            share = float(stuck.float().mean())
            readings.append(UnitReading(name, kind, seen.high.numel(), share, seen.examples))
        return readings

    def called_function(
        self, function: Any, args: tuple[Any, ...], kwargs: Any, result: Any
    ) -> None:
        """One torch function was called inside of the model."""
        if function is Tensor.detach or function == _READ_DATA:
            if args[0].requires_grad and not isinstance(args[0], nn.Parameter):
                # What is cut from x + (f(x) - x).detach() is the difference (Bengio et al. 2013).
                self.straight_through |= _is_difference(args[0])
                self.detached[self._layer] = self.detached.get(self._layer, 0) + 1
                self._note_line(CUT, self._layer)
                if isinstance(result, Tensor):
                    self._cuts.open(result, self._layer)
            return
        self._cuts.follow(function, args, result)
        kind = _KINDS.get(function)
        if kind is not None and self._calls < MAX_CALLS and isinstance(result, Tensor):
            self._calls += 1
            if kind == "softmax":
                axis = (kwargs or {}).get("dim", args[1] if len(args) > 1 else None)
                result = result.movedim(-1 if axis is None else axis, -1)
            self._pending.append((kind, self._layer, result))
            self._note_line(kind, self._layer)

    def _note_line(self, kind: str, layer: str) -> None:
        """Keeps the line of the user's code that is being run; looked for once."""
        if (kind, layer) not in self.lines:
            self.lines[kind, layer] = find_calling_line(self._model)

    def _reader(self, name: str) -> Any:
        def read(module: nn.Module, args: Any, output: Any) -> None:
            self._layer = name
            self.called.add(name)
            self._note_line(CALL, name)
            if self._mode is not None:
                self._pending.append(
                    ("weights", name, output[0] if isinstance(output, tuple) else output)
                )

        return read

    def _norm_reader(self, name: str) -> Any:
        def read(module: Any, args: Any) -> None:
            x = args[0]
            self._note_line(CALL, name)
            if not torch.is_grad_enabled() or module.running_mean is None or x.ndim < 2:
                return
            start = time.thread_time()
            with torch.no_grad(), torch._C.DisableTorchFunction():
                self._read_norm(name, module, x)
            self.spent += time.thread_time() - start

        return read

    def _read_norm(self, name: str, module: Any, x: Tensor) -> None:
        """Before the running statistics move."""
        values = x.float().transpose(0, 1).flatten(1)
        count = values.shape[1]
        share = float("nan") if module.momentum is None else module.momentum
        call = self._norm_calls[name] = self._norm_calls.get(name, 0) + 1
        label = f"norm|{name}|{count}|{int(module.training)}|{share}|{call}"
        if count < 2:
            self._ledger.put(self.step, label, (x.new_full((2,), float("nan")),))
            return
        values = values[:, :: max(1, values.numel() // MAX_VALUES)]
        variance, mean = torch.var_mean(values, dim=1, correction=0)
        variance = variance + module.eps
        gap = (mean - module.running_mean).abs() / variance.sqrt()
        ratio = (variance / (module.running_var + module.eps)).log().abs()
        self._ledger.put(self.step, label, (gap.median(), ratio.median()))

    def _read_layer(self, layer: str, values: Any) -> None:
        if isinstance(values, Tensor) and values.is_floating_point() and values.ndim > 1:
            few = _thin(values)
            std, mean = torch.std_mean(few, correction=0)
            unknown = torch.full_like(mean, float("nan"))
            spread = few.std(0, correction=0).mean() if len(few) > 1 else unknown
            self._ledger.put(self.step, f"layer|weights|{layer}", (mean, std, unknown, spread))

    def _read_activation(self, kind: str, layer: str, values: Tensor) -> None:
        if values.ndim < 2 or not values.is_floating_point() or not values.numel():
            return
        few = _thin(values)
        std, mean = torch.std_mean(few, correction=0)
        if kind == "softmax":
            # One of two or more has it all: the others get no gradient.
            certain = few.amax(-1) > SURE if few.shape[-1] > 1 else torch.zeros_like(few[..., 0])
            self._ledger.put(
                self.step, f"layer|{kind}|{layer}", (mean, std, certain.float().mean())
            )
            return
        if kind == "relu":
            share = 1 - few.sign().mean()
        else:
            bottom, top = _ENDS[kind]
            share = ((few < bottom) | (few > top)).float().mean()
        self._ledger.put(self.step, f"layer|{kind}|{layer}", (mean, std, share))
        self._accumulate(f"{kind}|{layer}", few)

    def _accumulate(self, key: str, values: Tensor) -> None:
        # Channels are on axis 1 of pictures; features of sequences and tables come last.
        axes = [0, *range(2, values.ndim)] if values.ndim >= 4 else list(range(values.ndim - 1))
        high = values.amax(axes)
        low = high if key.startswith("relu") else values.amin(axes)
        known = self._units.get(key)
        if known is None or known.high.shape != high.shape:
            self._units[key] = _Units(low, high, len(values))
            return
        known.high = torch.maximum(known.high, high)
        known.low = known.high if low is high else torch.minimum(known.low, low)
        known.examples += len(values)


class _Mode(TorchFunctionMode):
    """Sees each torch function that a model calls."""

    def __init__(self, probe: ForwardProbe) -> None:
        super().__init__()
        self._probe = probe

    def __torch_function__(
        self, func: Any, types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        # Whatever goes wrong in looking at it is no matter of the model.
        with contextlib.suppress(Exception):
            self._probe.called_function(func, args, kwargs, result)
        return result


def _makes(values: Any, outputs: object) -> bool:
    """Whether the outputs are these values, maybe in another shape."""
    if not isinstance(outputs, Tensor):
        return False
    return values is outputs or (
        values.numel() == outputs.numel() and values.data_ptr() == outputs.data_ptr()
    )


def _has_weights(module: nn.Module) -> bool:
    if isinstance(module, nn.RNNBase):
        return True
    return getattr(getattr(module, "weight", None), "ndim", 0) > 1


def _choose(items: list[tuple[str, nn.Module]], most: int) -> list[tuple[str, nn.Module]]:
    """So many items, spread evenly, the first and the last among them."""
    if len(items) <= most:
        return items
    return [items[round(k * (len(items) - 1) / (most - 1))] for k in range(most)]


def _thin(values: Tensor) -> Tensor:
    """Rows of a tensor, spread evenly, so that about `MAX_VALUES` numbers are left."""
    values = values.detach()
    stride = -(-values.numel() // MAX_VALUES)
    return values[:: min(stride, len(values))] if stride > 1 else values


def _is_difference(values: Tensor) -> bool:
    return values.grad_fn is not None and values.grad_fn.name().startswith("SubBackward")
