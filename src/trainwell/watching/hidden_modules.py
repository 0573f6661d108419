"""What a model uses but does not know of: layers in a list, tensors that are no parameters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from torch import Tensor, nn


def find_hidden(model: nn.Module, optimizer: Any, inputs: Iterable[object] = ()) -> tuple[str, ...]:
    """Attributes whose parameters got a gradient, but of which neither model nor optimiser knows.

    A teacher that is kept out of the model's parameters on purpose gets none.

    Args:
        model: Whose modules are looked through, one level of containers deep.
        optimizer: Any optimiser of torch.
        inputs: Of the newest call: tensors that are no parameters, though they have gradients.
    """
    groups = getattr(optimizer, "param_groups", [])
    known = {id(p) for p in (*model.parameters(), *inputs)} | {
        id(p) for g in groups for p in g["params"]
    }
    return tuple(
        f"{path}.{name}" if path else name
        for path, module in model.named_modules()
        for name, value in vars(module).items()
        if not name.startswith("_") and any(id(p) not in known for p in _parameters_in(value))
    )


def _parameters_in(value: object) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        # What was written to belongs to an optimiser of its own.
        if value.is_leaf and value.grad is not None and value._version == 0:
            yield value
        return
    if isinstance(value, Mapping):
        items: Iterable[object] = value.values()
    elif isinstance(value, list | tuple):
        items = value
    else:
        return
    for item in items:
        if isinstance(item, nn.Parameter):
            parameters: Iterable[nn.Parameter] = (item,)
        elif isinstance(item, nn.Module):
            parameters = item.parameters()
        else:
            continue
        yield from (p for p in parameters if p.grad is not None)
