"""Which precision and memory layout a run uses: measured on the machine, never assumed."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import os
import platform
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.nn.losses import Loss
from trainwell.nn.objective import make_objective
from trainwell.training.recipe import Precision

TRIALS = 5
DECISIVE = 0.95
"""A candidate must take at most this share of the plain time: below it, noise would decide."""


@dataclass(frozen=True)
class Resolved:
    """What `"auto"` came to.

    Attributes:
        precision: `"float32"`, `"bfloat16"` or `"float16"`.
        memory_format: `"contiguous"` or `"channels_last"`.
        compiled: Whether full batches go through a model compiled with `torch.compile`.
    """

    precision: str
    memory_format: str = "contiguous"
    compiled: bool = False

    @property
    def autocast(self) -> torch.dtype | None:
        """The dtype of mixed precision; None for float32."""
        return None if self.precision == "float32" else getattr(torch, self.precision)

    def context(self, device: torch.device) -> contextlib.AbstractContextManager[object]:
        """The context in which forward passes run."""
        if self.autocast is None:
            return contextlib.nullcontext()
        return torch.autocast(device.type, self.autocast)

    @property
    def layout(self) -> torch.memory_format:
        """Torch's memory format."""
        if self.memory_format == "channels_last":
            return torch.channels_last
        return torch.contiguous_format

    def arrange(self, model: nn.Module) -> nn.Module:
        """Gives the weights of a model this layout, in place."""
        return model.to(memory_format=self.layout)  # pyright: ignore[reportCallIssue]

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return vars(self).copy()


PLAIN = Resolved("float32")


def resolve_precision(
    precision: Precision, model: nn.Module, loss: Loss, inputs: Tensor, targets: Tensor
) -> Resolved:
    """The precision and layout in which a forward and backward pass of the model is fastest.

    Only `"auto"` measures; the outcome is remembered for the machine, so that two runs of the
    same model on one machine compute alike.

    Args:
        precision: Of the recipe.
        model: Left as it is; copies are timed.
        loss: Mean over a batch.
        inputs: A batch as the model sees it.
        targets: Its targets.
    """
    if precision != "auto":
        return Resolved(precision)
    candidates = list_candidates(model, inputs)
    if len(candidates) == 1:
        return PLAIN
    key = describe_machine(model, inputs, PLAIN)
    known = read_memory().get(key)
    if known in [c.to_dict() for c in candidates]:
        return Resolved(**known)
    times = _time(candidates, model, loss, inputs, targets)
    seconds = dict(zip(candidates, times, strict=True))
    best = min(candidates, key=seconds.__getitem__)
    chosen = best if seconds[best] <= DECISIVE * seconds[PLAIN] else PLAIN
    remember(key, chosen.to_dict())
    return chosen


def list_candidates(model: nn.Module, inputs: Tensor) -> list[Resolved]:
    """What is worth timing: channels-last for convolutions, bfloat16 where the hardware has it."""
    has_convolutions = any(isinstance(m, nn.Conv2d) for m in model.modules())
    layouts = ["contiguous"]
    if has_convolutions and inputs.ndim == 4:
        layouts.append("channels_last")
    precisions = ["float32"]
    if has_bfloat16(inputs.device):
        precisions.append("bfloat16")
    return [Resolved(p, layout) for p in precisions for layout in layouts]


def has_bfloat16(device: torch.device) -> bool:
    """Whether the hardware multiplies bfloat16; emulated, it is many times slower."""
    if device.type == "cpu":
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def _time(
    candidates: list[Resolved], model: nn.Module, loss: Loss, inputs: Tensor, targets: Tensor
) -> list[float]:
    copies = [c.arrange(copy.deepcopy(model)) for c in candidates]
    batches = [inputs.contiguous(memory_format=c.layout) for c in candidates]
    seconds: list[list[float]] = [[] for _ in candidates]
    for _ in range(TRIALS + 1):
        for index, candidate in enumerate(candidates):
            began = time.perf_counter()
            _pass(candidate, copies[index], loss, batches[index], targets)
            wait_for(inputs.device)
            seconds[index].append(time.perf_counter() - began)
    # The first pass of each pays for set-up.
    return [statistics.median(times[1:]) for times in seconds]


def _pass(
    candidate: Resolved, model: nn.Module, loss: Loss, inputs: Tensor, targets: Tensor
) -> None:
    with candidate.context(inputs.device):
        _, value = make_objective(model, loss)(inputs, targets)
    model.zero_grad(set_to_none=True)
    value.backward()


def wait_for(device: torch.device) -> None:
    """Waits until the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def describe_machine(model: nn.Module, inputs: Tensor, resolved: Resolved) -> str:
    """A key for what was measured: the machine, the model, its inputs and how it computes."""
    facts: Iterable[Any] = (
        resolved,
        model,
        tuple(inputs.shape),
        inputs.device,
        torch.__version__,
        torch.get_num_threads(),
        torch.backends.cpu.get_cpu_capability(),
        platform.processor(),
        torch.cuda.get_device_name(inputs.device) if inputs.device.type == "cuda" else "",
    )
    return hashlib.sha256("\n".join(map(str, facts)).encode()).hexdigest()[:32]


def _memory_path() -> Path:
    base = os.environ.get("TRAINWELL_CACHE") or (
        Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trainwell"
    )
    return Path(base) / "precision.json"


def read_memory() -> dict[str, Any]:
    """What was measured on this machine before."""
    try:
        memory = json.loads(_memory_path().read_text())
    except (OSError, ValueError):
        return {}
    return memory if isinstance(memory, dict) else {}


def remember(key: str, measured: Any) -> None:
    """Keeps what was measured, as JSON types."""
    path = _memory_path()
    # Losing this file costs a second at the next start; it must never stop a run.
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{path.name}.{os.getpid()}")
        temporary.write_text(json.dumps({**read_memory(), key: measured}))
        temporary.replace(path)
