"""A model layer by layer: shapes, parameters, receptive field and scale at the start."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

EXAMPLES = 8


@dataclass(frozen=True)
class Layer:
    """One module without children, as it met a batch of standard normal inputs.

    Attributes:
        name: Within the model.
        kind: Of module.
        output_shape: Of one example; of a recurrent layer that of its hidden values.
        parameters: Numbers that are trained.
        receptive_field: Pixels of the input along the longer side, or steps of a sequence, that one
            output sees; None: all of them, or the layer sees neither image nor sequence.
        weight_deviation: Standard deviation of its weights; None: it has none.
        output_deviation: Standard deviation of its outputs.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
    receptive_field: int | None
    weight_deviation: float | None
    output_deviation: float | None

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {**vars(self), "output_shape": list(self.output_shape)}


@torch.no_grad()
def describe_layers(model: nn.Module, input_shape: Sequence[int], seed: int = 0) -> list[Layer]:
    """Every layer in the order in which a forward pass reaches it.

    Args:
        model: Run once in training mode, on a batch of standard normal inputs; its buffers and
            modes are restored.
        input_shape: Of one example.
        seed: Of the inputs.
    """
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(EXAMPLES, *input_shape, generator=generator)
    names = {id(module): name for name, module in model.named_modules()}
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    was_training = model.training
    seen: dict[str, Layer] = {}

    def look(module: nn.Module, args: Any, output: Any) -> None:
        name = names[id(module)]
        seen.setdefault(name, _describe(name, module, output))

    leaves = [m for m in model.modules() if not list(m.children())]
    handles = [leaf.register_forward_hook(look) for leaf in leaves]
    try:
        with torch.random.fork_rng(devices=[]), FieldTracker(inputs):
            model.train()(inputs)
    finally:
        for handle in handles:
            handle.remove()
        model.train(was_training)
        for name, buffer in model.named_buffers():
            buffer.copy_(buffers[name])
    return list(seen.values())


def _describe(name: str, module: nn.Module, output: Any) -> Layer:
    # Recurrent layers put out their hidden values first, and then their state.
    first = output[0] if isinstance(output, tuple) else output
    weights = [p.flatten() for p in module.parameters() if p.ndim > 1 and p.numel() > 1]
    is_spread = first.ndim in (3, 4)
    return Layer(
        name,
        type(module).__name__,
        tuple(first.shape[1:]),
        sum(p.numel() for p in module.parameters() if p.requires_grad),
        _shown(FieldTracker.field_of(first)) if is_spread else None,
        float(torch.cat(weights).std()) if weights else None,
        float(first.float().std()) if first.numel() > 1 else None,
    )


def _shown(field: tuple[float, float] | None) -> int | None:
    return None if field is None or math.isinf(field[0]) else round(field[0])


Field = tuple[float, float]
"""Pixels of the input that one value sees, and how many of them lie between two neighbours."""

EVERYTHING: Field = (math.inf, math.inf)


class FieldTracker(TorchFunctionMode):
    """Follows receptive fields through every function of torch that is called within.

    A convolution or pooling of width k widens the field by (k − 1) times the present stride; what
    joins several tensors sees as much as the widest of them (Araujo et al. 2019).

    Args:
        inputs: Images `(N, C, H, W)`, of which each pixel sees itself.
    """

    def __init__(self, inputs: Tensor) -> None:
        super().__init__()
        inputs._receptive_field = (1.0, 1.0)  # pyright: ignore[reportAttributeAccessIssue]

    @staticmethod
    def field_of(value: Any) -> Field | None:
        """The field of a tensor that came out of a function within the tracker."""
        return getattr(value, "_receptive_field", None)

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        options = dict(kwargs or {})
        output = func(*args, **options)
        fields = [f for f in map(self.field_of, _tensors((*args, *options.values()))) if f]
        if fields and isinstance(output, Tensor):
            widest = (max(f[0] for f in fields), max(f[1] for f in fields))
            widen = WIDENED_BY.get(func)
            output._receptive_field = (  # pyright: ignore[reportAttributeAccessIssue]
                widen(widest, args, options) if widen else widest
            )
        return output


def _tensors(values: Sequence[Any]) -> list[Tensor]:
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += _tensors(value)
    return found


def _longest(value: Any) -> int:
    return max(value) if isinstance(value, list | tuple) else int(value)


def _option(args: Sequence[Any], options: Mapping[str, Any], place: int, name: str) -> Any:
    return args[place] if len(args) > place else options.get(name)


def _convolve(field: Field, args: Sequence[Any], options: Mapping[str, Any]) -> Field:
    kernel = _longest(tuple(args[1].shape[2:]))
    stride = _longest(_option(args, options, 3, "stride") or 1)
    spread = _longest(_option(args, options, 5, "dilation") or 1)
    return field[0] + (kernel - 1) * spread * field[1], field[1] * stride


def _pool(field: Field, args: Sequence[Any], options: Mapping[str, Any]) -> Field:
    kernel = _longest(_option(args, options, 1, "kernel_size"))
    stride = _longest(_option(args, options, 2, "stride") or kernel)
    return field[0] + (kernel - 1) * field[1], field[1] * stride


def _take_everything(field: Field, args: Sequence[Any], options: Mapping[str, Any]) -> Field:
    return EVERYTHING


WIDENED_BY: dict[Any, Callable[[Field, Sequence[Any], Mapping[str, Any]], Field]] = {
    functional.conv1d: _convolve,
    functional.conv2d: _convolve,
    functional.max_pool1d: _pool,
    functional.avg_pool1d: _pool,
    functional.max_pool2d: _pool,
    functional.avg_pool2d: _pool,
    functional.conv_transpose1d: _take_everything,
    functional.conv_transpose2d: _take_everything,
    functional.linear: _take_everything,
    functional.adaptive_avg_pool2d: _take_everything,
    Tensor.mean: _take_everything,
}
