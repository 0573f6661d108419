"""A copy of a model in double precision, and evaluations of it that come out alike each time."""

from __future__ import annotations

import contextlib
import copy
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.overrides import TorchFunctionMode

from trainwell.errors import ModelError, first_line
from trainwell.training.randomness import RunRandomness

LOW = (torch.float32, torch.float16, torch.bfloat16)
LOWERING = {torch.Tensor.float, torch.Tensor.half, torch.Tensor.bfloat16}


class InDouble(TorchFunctionMode):
    """Context in which code that asks for single or half precision gets double precision."""

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        if func in LOWERING:
            return args[0].double()
        raised = {name: _raise(value) for name, value in (kwargs or {}).items()}
        return func(*(_raise(value) for value in args), **raised)


def _raise(value: Any) -> Any:
    return torch.float64 if isinstance(value, torch.dtype) and value in LOW else value


def as_double(values: Any) -> Any:
    """Floating tensors in double precision, within tuples, lists and dicts too; others as is."""
    if isinstance(values, Tensor):
        return values.detach().double() if values.is_floating_point() else values
    if isinstance(values, tuple | list):
        return type(values)(as_double(value) for value in values)
    if isinstance(values, dict):
        return {name: as_double(value) for name, value in values.items()}
    return values


def copy_module(module: nn.Module) -> nn.Module:
    """A copy to be changed at will, not compiled.

    Raises:
        ModelError: It cannot be copied.
    """
    try:
        return copy.deepcopy(getattr(module, "_orig_mod", module))
    except Exception as error:
        raise ModelError(
            f"the model cannot be copied, so its gradients cannot be checked: {first_line(error)}",
            remedy="Keep no tensors that were computed from others in it",
        ) from error


def make_double(module: nn.Module) -> None:
    """Turns parameters, buffers and tensors that are plain attributes to double precision."""
    module.double()
    for part in module.modules():
        for name, value in list(vars(part).items()):
            if isinstance(value, Tensor) and value.is_floating_point():
                setattr(part, name, value.detach().double())
        hooks = part._forward_pre_hooks.values()
        if isinstance(part, _SpectralNorm) or any(isinstance(h, SpectralNorm) for h in hooks):
            # While training it improves its singular vectors in every pass, but its gradient takes
            # them as constant; in evaluation mode they are.
            part.eval()


def not_compiled() -> contextlib.AbstractContextManager[object]:
    """Context in which compiled functions run as they were written."""
    # Where the compiler was never imported, which takes seconds, nothing is compiled.
    if "torch._dynamo" not in sys.modules:
        return contextlib.nullcontext()
    return torch.compiler.set_stance("force_eager")


class Replay:
    """Sets all that one evaluation leaves to the next back to where it was.

    Global random numbers, those of generators that modules hold, and buffers.

    Args:
        modules: That are evaluated.
        seed: Of the global random numbers.
        device: Where they run.
    """

    def __init__(self, modules: Sequence[nn.Module], seed: int, device: torch.device) -> None:
        self._randomness = RunRandomness(seed, device)
        self._buffers = [(b, b.detach().clone()) for m in modules for b in m.buffers()]
        held = [value for m in modules for part in m.modules() for value in vars(part).values()]
        self._set_back = [_rewinder(value) for value in held]

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Evaluations are made within; afterwards global settings are as they were found."""
        default = torch.get_default_dtype()
        fast_path = torch.backends.mha.get_fastpath_enabled()
        with self._randomness, not_compiled():
            self._start = self._randomness.capture()
            torch.set_default_dtype(torch.float64)
            # It fuses whole layers into one operation, in which no kink is seen.
            torch.backends.mha.set_fastpath_enabled(False)
            try:
                yield
            finally:
                torch.set_default_dtype(default)
                torch.backends.mha.set_fastpath_enabled(fast_path)

    def rewind(self) -> None:
        """Makes the next evaluation as the first."""
        self._randomness.restore(*self._start)
        with torch.no_grad():
            for buffer, value in self._buffers:
                buffer.copy_(value)
        for set_back in self._set_back:
            set_back()


def _rewinder(value: Any) -> Callable[[], object]:
    if isinstance(value, torch.Generator):
        state = value.get_state()
        return lambda: value.set_state(state)
    if isinstance(value, numpy.random.Generator):
        position = value.bit_generator.state
        return lambda: setattr(value.bit_generator, "state", position)
    if isinstance(value, random.Random):
        internal = value.getstate()
        return lambda: value.setstate(internal)
    return lambda: None
