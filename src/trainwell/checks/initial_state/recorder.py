"""What happens within a forward pass: the functions that are called, and the signals of layers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

RECTIFIERS = ("relu", "relu_", "relu6", "threshold", "threshold_")
SQUASHERS = {"sigmoid": "sigmoid", "sigmoid_": "sigmoid", "tanh": "tanh", "tanh_": "tanh"}
DROPOUTS = (
    *("dropout", "dropout_", "dropout1d", "dropout2d", "dropout3d"),
    *("alpha_dropout", "feature_alpha_dropout", "feature_dropout"),
)
RANDOM = (
    *("rand", "randn", "rand_like", "randn_like", "randint", "randint_like", "randperm"),
    *("normal", "normal_", "uniform_", "bernoulli", "bernoulli_", "multinomial", "rsample"),
    *("exponential_", "gumbel_softmax"),
)
NORMALISATIONS = ("batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm")
CUTS = ("detach", "detach_", "argmax", "item", "numpy", "tolist", "round", "sign", "floor", "ceil")
SATURATED = 0.02
"""Slope of a squashing function, as a share of its largest, below which it hardly passes on
anything: |x| above 5.3 for the sigmoid, above 2.6 for tanh."""


@dataclass
class Layer:
    """A layer with weights, as it was called.

    Attributes:
        name: Of the module.
        module: Itself, of the replica.
        input_scale: Root mean square of what came in.
        input_spread: Root mean square, over its units, of the deviation between examples.
        scale: Root mean square of what came out.
        spread: As `input_spread`, of what came out.
        is_normalised: Whether a normalisation takes the scale out of what came out.
        gradient: Root mean square of the loss's gradient by what came out, once it is known.
    """

    name: str
    module: nn.Module
    input_scale: float
    input_spread: float
    scale: float
    spread: float
    is_normalised: bool = False
    gradient: Tensor | None = None


@dataclass(frozen=True)
class Activation:
    """A non-linearity, as it was called.

    Attributes:
        function: `"relu"`, `"sigmoid"` or `"tanh"`.
        where: Name of its module, or of the layer behind which it is called.
        units: Units, or channels of feature maps.
        dead: Share of the units that are zero for all examples; of ReLU.
        saturated: Share of the values where the slope is nearly zero; of sigmoid and tanh.
    """

    function: str
    where: str
    units: int
    dead: float = 0.0
    saturated: float = 0.0


@dataclass(frozen=True)
class Dropping:
    """A dropout, as it was called: where, with which probability, and whether it dropped."""

    where: str
    probability: float
    is_active: bool


@dataclass
class Record:
    """What was recorded of one forward pass.

    Attributes:
        layers: In the order of the calls.
        activations: Likewise.
        dropouts: Likewise.
        random: Functions that drew random numbers, with where they did and for how many values.
        cuts: Functions through which no gradient comes, with where they were called.
        parameters: All parameters that a function was given.
        used: The `id` of each.
        called: Names of all modules that were called.
    """

    layers: list[Layer] = field(default_factory=list)
    activations: list[Activation] = field(default_factory=list)
    dropouts: list[Dropping] = field(default_factory=list)
    random: list[tuple[str, str, int]] = field(default_factory=list)
    cuts: list[tuple[str, str]] = field(default_factory=list)
    parameters: list[Tensor] = field(default_factory=list)
    used: set[int] = field(default_factory=set)
    called: set[str] = field(default_factory=set)


class _Recorder(TorchFunctionMode):
    """Notes each function of torch that the model calls."""

    def __init__(self, record: Record) -> None:
        super().__init__()
        self.record = record
        self.stack: list[str] = []
        self.last_layer = ""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Calls the function and notes it."""
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        # Getting or setting an attribute is no use of a parameter.
        reads_data = name == "__get__" and getattr(func, "__self__", None) is Tensor.data
        if reads_data and isinstance(args[0], nn.Parameter):
            self.record.cuts.append((".data", self.where))
        if reads_data or name not in ("__get__", "__set__", "dim", "size"):
            self._note_parameters((*args, *kwargs.values()))
        if name in RECTIFIERS or (name == "clamp" and _clamps_at_zero(args, kwargs)):
            self._note_rectifier(args[0])
        result = func(*args, **kwargs)
        self._note(name, args, kwargs, result)
        return result

    @property
    def where(self) -> str:
        inside = self.stack[-1] if self.stack else ""
        return inside or (f"after {self.last_layer}" if self.last_layer else "")

    def _note(self, name: str, args: Any, kwargs: Any, result: Any) -> None:
        if name in SQUASHERS:
            if _is_hidden(result):
                slope = _relative_slope(SQUASHERS[name], result.detach())
                share = float((slope < SATURATED).float().mean())
                units = result.shape[-1]
                activation = Activation(SQUASHERS[name], self.where, units, saturated=share)
                self.record.activations.append(activation)
        elif name in DROPOUTS:
            self._note_dropout(args, kwargs)
        elif name in NORMALISATIONS and self.record.layers:
            self.record.layers[-1].is_normalised = True
        elif name in RANDOM:
            count = result.numel() if isinstance(result, Tensor) else 0
            self.record.random.append((name, self.where, count))
        elif name in CUTS:
            self.record.cuts.append((name.rstrip("_"), self.where))
        elif name == "_set_grad_enabled" and args and args[0] is False:
            self.record.cuts.append(("no_grad", self.where))

    def _note_rectifier(self, sums: Any) -> None:
        """Before it is called, since it may overwrite them."""
        if not _is_hidden(sums):
            return
        values = sums.detach()
        # Feature maps have their channels in front, sequences their units behind.
        places = (1, 2) if values.ndim == 3 else (1,)
        dead, units = max((_dead_share(values, place), values.shape[place]) for place in places)
        self.record.activations.append(Activation("relu", self.where, units, dead=dead))

    def _note_dropout(self, args: Any, kwargs: Any) -> None:
        probability = kwargs.get("p", args[1] if len(args) > 1 else 0.5)
        is_active = kwargs.get("training", args[2] if len(args) > 2 else True)
        self.record.dropouts.append(Dropping(self.where, float(probability), bool(is_active)))

    def _note_parameters(self, values: Sequence[Any]) -> None:
        for value in values:
            if isinstance(value, Tensor):
                # Of a parametrised weight the leaf itself is not what comes in; it was noted where
                # it was made into the weight.
                if value.is_leaf and value.requires_grad and id(value) not in self.record.used:
                    self.record.used.add(id(value))
                    self.record.parameters.append(value)
            elif isinstance(value, list | tuple):
                self._note_parameters(value)


@contextlib.contextmanager
def recording(model: nn.Module) -> Iterator[Record]:
    """Within, each forward pass of the model is recorded.

    Args:
        model: A replica; its hooks are taken off afterwards.
    """
    record = Record()
    recorder = _Recorder(record)
    handles = []
    for name, module in model.named_modules():

        def enter(module: nn.Module, inputs: Any, name: str = name) -> None:
            recorder.stack.append(name)
            record.called.add(name)

        def leave(module: nn.Module, inputs: Any, output: Any, name: str = name) -> None:
            recorder.stack.pop()
            if is_layer(module):
                recorder.last_layer = name
                _note_layer(record, name, module, inputs, output)

        handles.append(module.register_forward_pre_hook(enter))
        handles.append(module.register_forward_hook(leave))
    try:
        with recorder:
            yield record
    finally:
        for handle in handles:
            handle.remove()


def is_layer(module: nn.Module) -> bool:
    """Whether a module has weights of its own with two or more dimensions."""
    return any(p.ndim > 1 for p in module.parameters(recurse=False))


def first_tensor(values: Any) -> Tensor | None:
    """The first floating-point tensor of an output that may be a tuple, a list or a dictionary."""
    if isinstance(values, Tensor):
        return values if values.is_floating_point() else None
    if isinstance(values, dict):
        values = list(values.values())
    if isinstance(values, list | tuple):
        return next((t for t in map(first_tensor, values) if t is not None), None)
    return None


@torch.no_grad()
def _note_layer(record: Record, name: str, module: nn.Module, inputs: Any, output: Any) -> None:
    result = first_tensor(output)
    if result is None or result.ndim < 2:
        return
    given = first_tensor(inputs)
    values = result.detach()
    layer = Layer(
        name,
        module,
        *((1.0, 1.0) if given is None else _measure(given.detach())),
        *_measure(values),
    )
    record.layers.append(layer)
    if result.requires_grad:

        def note_gradient(gradient: Tensor) -> None:
            layer.gradient = gradient.detach().float().square().mean().sqrt()

        result.register_hook(note_gradient)


def _measure(values: Tensor) -> tuple[float, float]:
    """Root mean square of values, and of their differences from the mean of the examples."""
    if not values.numel():
        return 0.0, 0.0
    exact = values.float()
    between = (exact - exact.mean(0, keepdim=True)).square().mean()
    return float(exact.square().mean().sqrt()), float(between.sqrt())


def _is_hidden(values: Any) -> bool:
    return isinstance(values, Tensor) and values.is_floating_point() and values.ndim > 1


def _relative_slope(function: str, values: Tensor) -> Tensor:
    """Slope of a squashing function where it has these values, as a share of its largest."""
    return 4 * values * (1 - values) if function == "sigmoid" else 1 - values.square()


def _dead_share(sums: Tensor, place: int) -> float:
    """Of units whose sums are negative for all examples; zero padding is no unit."""
    by_unit = sums.transpose(0, place).flatten(1)
    return float(((by_unit.amax(1) <= 0) & (by_unit.amin(1) < 0)).float().mean())


def _clamps_at_zero(args: Any, kwargs: Any) -> bool:
    low = kwargs.get("min", args[1] if len(args) > 1 else None)
    high = kwargs.get("max", args[2] if len(args) > 2 else None)
    is_zero = isinstance(low, int | float) and low == 0
    return is_zero and high is None
