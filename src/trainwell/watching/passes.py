"""What a watcher sees of the forward passes of a model.

A hook shows the training's own pass. Compiled code has no hooks: one that is there when the model
is compiled becomes a part of it, and each one that comes or goes has it compiled again. There, the
batch of a read step goes through the layers once more, in a pass of the watcher's own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call

from trainwell.tracing.tensors import first_tensor
from trainwell.watching.activations import ForwardProbe
from trainwell.watching.facts import BATCH_NORM, DROPOUT
from trainwell.watching.guard import Guard
from trainwell.watching.hooks import ModuleHook
from trainwell.watching.undisturbed import copy_loss, untouched_randomness


@dataclass
class Call:
    """The newest forward pass with gradients.

    Attributes:
        args: What the model was called with.
        kwargs: Likewise.
        outputs: The first tensor that it gave, with its graph if the pass was read; else None.
        gradient: Of the loss by the outputs, `(N, ...)`; None before the backward pass.
        loss: With its graph; None where only the training has it.
        autocast: Kind of device and type that it was cast to; None without.
    """

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    outputs: Tensor | None = None
    gradient: Tensor | None = None
    loss: Tensor | None = None
    autocast: tuple[str, torch.dtype] | None = None


@dataclass
class Counts:
    """Forward passes so far.

    Attributes:
        with_gradient: Those of the training.
        in_evaluation: Without gradients, in evaluation mode.
        in_training: Without gradients, in training mode.
        occasions: Updates after which such passes were made: one of a validation, many in a GAN.
        relapses: Of them, those after a single pass in evaluation mode, of other examples.
        traced: Occasions on which `torch.jit.trace` recorded a pass in training mode.
    """

    with_gradient: int = 0
    in_evaluation: int = 0
    in_training: int = 0
    occasions: int = 0
    relapses: int = 0
    traced: int = 0

    def per_update(self, updates: int) -> float:
        """Passes with gradients for each update; 1 where none were seen."""
        return self.with_gradient / updates if self.with_gradient and updates else 1.0


class Passes(Protocol):
    """Where forward passes are seen.

    Attributes:
        call: The newest one with gradients.
        counts: Of all.
        is_fresh: Whether no pass with gradients was seen since the last update.
        evaluated: What the newest pass without gradients was called with; None: taken already.
    """

    call: Call
    counts: Counts
    is_fresh: bool
    evaluated: tuple[Any, ...] | None

    @property
    def was_training(self) -> bool:
        """Whether the newest pass with gradients was made in training mode."""
        ...

    @property
    def hears(self) -> bool:
        """Whether passes are seen; asked after an update."""
        ...

    def arm(self, step: int) -> None:
        """The passes of the coming step are read."""
        ...

    def disarm(self) -> None:
        """They have been."""
        ...

    def look(self, inputs: Any, outputs: Any, targets: Any) -> None:
        """The armed step was made, with these; None: unknown."""
        ...

    def detach(self) -> None:
        """Nothing is seen any more."""
        ...


class HookedPasses:
    """The training's own passes, seen by hooks.

    Args:
        model: Called by the training.
        forward: Reads its layers.
        guard: Calls what may fail.
    """

    def __init__(self, model: nn.Module, forward: ForwardProbe, guard: Guard) -> None:
        self.call, self.counts = Call(), Counts()
        self.is_fresh = True
        self.evaluated: tuple[Any, ...] | None = None
        self._model, self._forward, self._guard = model, forward, guard
        self._was_training = self._since_occasion = True
        self._evaluated_since, self._traced_after = 0, -1
        self._armed = False
        self._root_hooks: list[Any] = []
        self._differing = [m for m in model.modules() if isinstance(m, DROPOUT | BATCH_NORM)]
        hook = ModuleHook(model, self._enter)
        self._entry = guard("hooks", model.register_forward_pre_hook, hook, with_kwargs=True)

    @property
    def was_training(self) -> bool:
        """Whether the newest pass with gradients was made in training mode."""
        return self._was_training

    @property
    def hears(self) -> bool:
        """Whether hooks are called: not by a model that was compiled elsewhere."""
        return self.counts.with_gradient > 0

    def arm(self, step: int) -> None:
        """Takes hold of the layers."""
        self._armed = True
        self._guard("layers", self._forward.arm, step)
        hook = ModuleHook(self._model, self._leave)
        register = self._model.register_forward_hook
        handle = self._guard("hooks", register, hook, always_call=True)
        self._root_hooks = [handle] if handle is not None else []

    def disarm(self) -> None:
        """Lets go of the layers."""
        self._armed = False
        self._forward.disarm()
        while self._root_hooks:
            self._root_hooks.pop().remove()
        self.call.outputs = self.call.gradient = None

    def look(self, inputs: Any, outputs: Any, targets: Any) -> None:
        """Hooks have seen it."""

    def detach(self) -> None:
        """Takes all hooks away."""
        self.disarm()
        if self._entry is not None:
            self._entry.remove()
            self._entry = None

    def _enter(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if torch.jit.is_tracing():
            self._count_traced(module)
            return
        if not torch.is_grad_enabled():
            self._count_other(module, args)
            return
        self.is_fresh = False
        self._since_occasion, self._evaluated_since = True, 0
        self.counts.with_gradient += 1
        self._was_training = self._is_training(module)
        self.call = Call(args, kwargs, autocast=_read_autocast())
        if self._armed and not self._guard.has_given_up("layers"):
            self._guard("layers", self._forward.enter)

    def _count_traced(self, module: nn.Module) -> None:
        """Once after an update: a trace is checked by another one."""
        is_new = self.counts.with_gradient != self._traced_after
        if is_new and self._differing and self._is_training(module):
            self.counts.traced += 1
            self._traced_after = self.counts.with_gradient

    def _count_other(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        """A pass without gradients."""
        before, self.evaluated = self.evaluated, args
        if not self._is_training(module):
            self.counts.in_evaluation += 1
            self._evaluated_since += 1
            return
        self.counts.in_training += 1
        if self._since_occasion:
            self.counts.occasions += 1
            self.counts.relapses += self._evaluated_since == 1 and _goes_on(args, before)
        self._since_occasion = False

    def _is_training(self, module: nn.Module) -> bool:
        """A mode that is set on the model alone does not reach its layers."""
        return module.training or any(m.training for m in self._differing)

    def _leave(self, module: nn.Module, args: tuple[Any, ...], result: Any) -> None:
        if not torch.is_grad_enabled():
            return
        outputs = first_tensor(result)
        self._guard("layers", self._forward.leave, outputs)
        self.call.outputs = outputs
        if outputs is not None and outputs.requires_grad:
            outputs.register_hook(self._keep_gradient)

    def _keep_gradient(self, gradient: Tensor) -> None:
        self.call.gradient = gradient.detach()


class RepeatedPasses:
    """Passes of the watcher's own, for a model that runs as compiled code.

    Args:
        model: Compiled, or what was compiled.
        forward: Reads its layers.
        guard: Calls what may fail.
        loss_fn: Called with outputs and targets; None: what the loss is made of stays unknown.
    """

    def __init__(
        self,
        model: nn.Module,
        forward: ForwardProbe,
        guard: Guard,
        loss_fn: Callable[..., Any] | None,
    ) -> None:
        self.call, self.counts = Call(), Counts()
        self.is_fresh = True
        self.evaluated: tuple[Any, ...] | None = None
        self._model, self._forward, self._guard = model, forward, guard
        # What learns or remembers in it is not to hear of these passes.
        self._loss_fn = copy_loss(loss_fn)
        self._step = 0

    @property
    def was_training(self) -> bool:
        """Whether the model is in training mode."""
        return self._model.training

    @property
    def hears(self) -> bool:
        """Always: what is told is what is seen."""
        return True

    def arm(self, step: int) -> None:
        """Nothing is done until the step was made."""
        self._step = step

    def disarm(self) -> None:
        """Keeps nothing of it."""
        self.call = Call()

    def look(self, inputs: Any, outputs: Any, targets: Any) -> None:
        """Sends the batch through the layers, and the outputs through the loss."""
        self.call = Call((inputs,) if inputs is not None else ())
        if isinstance(outputs, Tensor) and isinstance(targets, Tensor):
            self._guard("the loss", self._repeat_loss, outputs, targets)
        if isinstance(inputs, Tensor):
            self._guard("layers", self._repeat_pass, inputs)

    def detach(self) -> None:
        """There are no hooks."""
        self._forward.disarm()

    def _repeat_loss(self, outputs: Tensor, targets: Tensor) -> None:
        self.call.outputs = outputs.detach()
        if self._loss_fn is None or not outputs.is_floating_point():
            return
        with untouched_randomness(), torch.enable_grad():
            outputs = outputs.detach().requires_grad_()
            loss = self._loss_fn(outputs, targets)
            (gradient,) = torch.autograd.grad(loss, outputs, retain_graph=True)
        self.call.outputs, self.call.gradient, self.call.loss = outputs, gradient, loss

    def _repeat_pass(self, inputs: Tensor) -> None:
        # Neither running statistics nor gradients of the model are touched.
        state = {name: p.detach() for name, p in self._model.named_parameters()}
        state |= {name: b.detach().clone() for name, b in self._model.named_buffers()}
        self._forward.arm(self._step)
        try:
            with (
                untouched_randomness(),
                torch.enable_grad(),
                torch.compiler.set_stance("force_eager"),
            ):
                self._forward.enter()
                self._forward.leave(functional_call(self._model, state, (inputs.detach(),)))
        finally:
            self._forward.disarm()


def run_eagerly(model: nn.Module) -> contextlib.AbstractContextManager[object]:
    """Inside, a compiled model runs as it was written, so that its operations are seen."""
    if not runs_compiled(model):
        return contextlib.nullcontext()
    return torch.compiler.set_stance("force_eager")


def _goes_on(args: tuple[Any, ...], before: tuple[Any, ...] | None) -> bool:
    """Whether a call is of the next batch after another call's: as many examples, but others."""
    one, other = first_tensor(args), first_tensor(before)
    if one is None or other is None or not one.ndim or one.shape != other.shape:
        return False
    return not torch.equal(one, other)


def _read_autocast() -> tuple[str, torch.dtype] | None:
    if torch.is_autocast_enabled("cuda"):
        return "cuda", torch.get_autocast_dtype("cuda")
    if torch.is_autocast_enabled("cpu"):
        return "cpu", torch.get_autocast_dtype("cpu")
    return None


def runs_compiled(model: nn.Module) -> bool:
    """Whether a model, or a part of it, is compiled in place or wrapped by `torch.compile`."""
    return any(
        isinstance(module, torch._dynamo.OptimizedModule)
        or getattr(module, "_compiled_call_impl", None) is not None
        for module in model.modules()
    )
