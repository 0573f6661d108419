"""Records the operations of a pass: those that gave values that are not finite, and their graph."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from trainwell.tracing.calling_line import shorten
from trainwell.tracing.tensors import has_nan, is_finite, iterate_tensors

_TORCH = str(Path(torch.__file__).parent)
_HERE = str(Path(__file__).parent)
_PLAIN_NAMES = {
    "truediv": "div", "rtruediv": "div", "rdiv": "div", "itruediv": "div", "idiv": "div",
    "rpow": "pow", "ipow": "pow", "rsub": "sub", "isub": "sub", "radd": "add", "iadd": "add",
    "rmul": "mul", "imul": "mul", "rmatmul": "matmul", "linalg_norm": "norm",
    "linalg_vector_norm": "norm", "arccos": "acos", "arcsin": "asin", "arctanh": "atanh",
}  # fmt: skip
_REVERSED = frozenset((
    "__rdiv__", "__rtruediv__", "__rsub__", "__rpow__",
))  # fmt: skip


@dataclass
class Operation:
    """One call of a function of torch.

    Attributes:
        name: As the user writes it: `"log"`, `"div"`.
        place: `"layer 'NAME'"`, `"the model"` or `"the loss"`.
        line: File and line of the call.
        number: In the order of the pass.
        repeats: How often it had run at this place.
        results: Its tensors, kept only where one is not finite.
        arguments: All that it got, likewise.
    """

    name: str
    place: str
    line: str
    number: int
    repeats: int
    results: list[Tensor] = field(default_factory=list[Tensor])
    arguments: list[Any] = field(default_factory=list[Any])

    @property
    def is_nan(self) -> bool:
        """Whether a result is NaN, and not only infinite."""
        return any(map(has_nan, self.results))

    @property
    def key(self) -> tuple[str, str, str]:
        """What is the same for each repetition."""
        return self.name, self.place, self.line

    def bad_arguments(self) -> Iterator[Tensor]:
        """Tensors that it got and that were not finite already."""
        return (t for t in iterate_tensors(self.arguments) if not is_finite(t))


class OperationRecorder(TorchFunctionMode):
    """Records what runs inside of it.

    Args:
        model: Hooks on its layers tell where an operation runs.

    Attributes:
        bad: Operations that gave a value that is not finite, in order.
        producers: By the identity of a tensor, the operation of `bad` that gave it.
        nodes: By node of autograd, the operation that made it.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.bad: list[Operation] = []
        self.producers: dict[int, Operation] = {}
        self.nodes: dict[Any, Operation] = {}
        self._path: list[str] = []
        self._count = 0
        self._runs: dict[tuple[str, str, str], int] = {}
        self._handles: list[Any] = []
        for name, module in model.named_modules():
            self._handles += [
                module.register_forward_pre_hook(self._entering(name)),
                module.register_forward_hook(self._leaving),
            ]

    def release(self) -> None:
        """Takes the hooks away."""
        for handle in self._handles:
            handle.remove()

    @property
    def place(self) -> str:
        """Where the pass is."""
        if not self._path:
            return "the loss"
        return f"layer {self._path[-1]!r}" if self._path[-1] else "the model"

    def _entering(self, name: str) -> Any:
        def hook(module: nn.Module, args: Any) -> None:
            self._path.append(name)

        return hook

    def _leaving(self, module: nn.Module, args: Any, output: Any) -> None:
        # A function of the user's own in autograd is not seen itself, but its result is.
        self._note(output, "", args)
        self._path.pop()

    def __torch_function__(
        self, func: Any, types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        given = [*args, *(kwargs or {}).values()]
        # What a function of the user's own gave is an argument of the next.
        self._note(given, "", [])
        result = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", str(func))
        changed = [result]
        if name == "__setitem__" or (name.endswith("_") and not name.endswith("__")):
            changed.append(args[0])
        self._note(changed, name, given[::-1] if name in _REVERSED else given)
        return result

    def _note(self, results: Any, name: str, given: Any) -> None:
        """Remembers who made the tensors; without a name, only those that nobody is known for."""
        tensors = [t for t in iterate_tensors(results) if t.is_floating_point()]
        if not name:
            tensors = [t for t in tensors if t.grad_fn is not None and t.grad_fn not in self.nodes]
        if not tensors:
            return
        nodes = [t.grad_fn for t in tensors if t.grad_fn is not None]
        name = name or _name_of_node(nodes[0])
        place, line = self.place, find_line()
        key = (name, place, line)
        self._runs[key] = self._runs.get(key, 0) + 1
        self._count += 1
        operation = Operation(_plain(name), place, line, self._count, self._runs[key])
        for node in nodes:
            self._own(node, operation)
        bad = [t for t in tensors if not is_finite(t)]
        if bad:
            operation.results, operation.arguments = bad, list(given)
            self.bad.append(operation)
            for tensor in bad:
                self.producers[id(tensor)] = operation

    def _own(self, root: Any, operation: Operation) -> None:
        """The nodes from a result down to those of earlier operations are this one's."""
        waiting = [root]
        while waiting:
            node = waiting.pop()
            if node in self.nodes:
                continue
            self.nodes[node] = operation
            waiting += [following for following, _ in node.next_functions if following is not None]


def find_line() -> str:
    """File and line of the caller, past torch; empty where the pass itself is the caller."""
    frame = sys._getframe(1)
    while frame is not None:
        path = frame.f_code.co_filename
        if path.startswith(_HERE):
            if path != __file__:
                return ""
        elif not path.startswith(_TORCH):
            return f"{shorten(path)}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


def _name_of_node(node: Any) -> str:
    return node.name().rpartition("::")[2].rstrip("0123456789").removesuffix("Backward")


def _plain(name: str) -> str:
    plain = name.strip("_")
    return _PLAIN_NAMES.get(plain, plain)
