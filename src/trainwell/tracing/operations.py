"""Records the operations of a pass: those that gave values that are not finite, and their graph."""

from __future__ import annotations

import sys
from collections.abc import Iterable
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
        results: Its tensors that are not finite.
        arguments: All that it got; kept only where a result is not finite.
        before: Operations that gave what was not finite among its arguments.
        leaves: What was not finite among them and came from no operation.
    """

    name: str
    place: str
    line: str
    number: int
    repeats: int
    results: list[Tensor] = field(default_factory=list[Tensor])
    arguments: list[Any] = field(default_factory=list[Any])
    before: list[Operation] = field(default_factory=lambda: [])
    leaves: list[Tensor] = field(default_factory=list[Tensor])

    @property
    def is_nan(self) -> bool:
        """Whether a result is NaN, and not only infinite."""
        return any(map(has_nan, self.results))

    @property
    def key(self) -> tuple[str, str, str]:
        """What is the same for each repetition."""
        return self.name, self.place, self.line


class OperationRecorder(TorchFunctionMode):
    """Records what runs inside of it.

    Args:
        model: Hooks on its layers tell where an operation runs.

    Attributes:
        bad: Operations that gave a value that is not finite, in order.
        nodes: By node of autograd, the operation that made it.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.bad: list[Operation] = []
        self.nodes: dict[Any, Operation] = {}
        self._producers: dict[int, Operation] = {}
        self._writers: dict[int, Operation] = {}
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
        self._note(output, "", [], ())
        self._path.pop()

    def find_producer(self, tensor: Tensor) -> Operation | None:
        """The newest operation that gave a tensor, or wrote to its memory; None: it is a leaf."""
        return self._producers.get(id(tensor)) or self._writers.get(_memory_of(tensor))

    def __torch_function__(
        self, func: Any, types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        given = [*args, *(kwargs or {}).values()]
        # What a function of the user's own gave is an argument of the next.
        self._note(given, "", [], ())
        name = getattr(func, "__name__", str(func))
        writes = name == "__setitem__" or (name.endswith("_") and not name.endswith("__"))
        # Afterwards, an argument that is written to is no longer what it was.
        bad = _pick_bad(given) if writes else None
        result = func(*args, **(kwargs or {}))
        changed = [result, args[0]] if writes else [result]
        self._note(changed, name, given[::-1] if name in _REVERSED else given, bad)
        return result

    def _note(self, results: Any, name: str, given: Any, bad: Iterable[Tensor] | None) -> None:
        """Remembers who made the tensors; without a name, only those that nobody is known for."""
        tensors = [t for t in iterate_tensors(results) if t.is_floating_point()]
        if not name:
            tensors = [t for t in tensors if t.grad_fn is not None and t.grad_fn not in self.nodes]
        if not tensors:
            return
        nodes = [t.grad_fn for t in tensors if t.grad_fn is not None]
        operation = self._count_run(name or _name_of_node(nodes[0]))
        for node in nodes:
            self._own(node, operation)
        operation.results = _pick_bad(tensors)
        if operation.results:
            self._note_bad(operation, given, _pick_bad(given) if bad is None else bad)

    def _count_run(self, name: str) -> Operation:
        place, line = self.place, find_line()
        key = (name, place, line)
        self._runs[key] = self._runs.get(key, 0) + 1
        self._count += 1
        return Operation(_plain(name), place, line, self._count, self._runs[key])

    def _note_bad(self, operation: Operation, given: Any, bad: Iterable[Tensor]) -> None:
        operation.arguments = list(given)
        for tensor in bad:
            earlier = self.find_producer(tensor)
            if earlier is not None:
                operation.before.append(earlier)
            else:
                operation.leaves.append(tensor)
        self.bad.append(operation)
        for tensor in operation.results:
            self._producers[id(tensor)] = self._writers[_memory_of(tensor)] = operation

    def _own(self, root: Any, operation: Operation) -> None:
        """The nodes from a result down to those of earlier operations are this one's."""
        waiting = [root]
        while waiting:
            node = waiting.pop()
            if node in self.nodes:
                continue
            self.nodes[node] = operation
            waiting += [following for following, _ in node.next_functions if following is not None]


def _pick_bad(value: Any) -> list[Tensor]:
    return [t for t in iterate_tensors(value) if not is_finite(t)]


def _memory_of(tensor: Tensor) -> int:
    return 0 if tensor.is_sparse else tensor.untyped_storage().data_ptr()


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
