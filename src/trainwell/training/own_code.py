"""What a user's own code says, as text: a run that goes on notices that it was changed."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from trainwell.training.digest import digest_weights

PLAIN = (bool, int, float, str, type(None))
LIBRARIES = ("torch", "trainwell", "builtins")
"""Their versions are compared, so their sources need not be."""
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def describe_code(thing: Any) -> str:
    """Name, source and plain settings of a function, a class or a callable object."""
    if isinstance(thing, functools.partial):
        settings = (_describe_value(thing.args), _describe_value(thing.keywords))
        return "\n".join((describe_code(thing.func), *settings))
    if inspect.ismethod(thing):
        return "\n".join((describe_code(thing.__func__), describe_code(thing.__self__)))
    if inspect.isroutine(thing) or inspect.isclass(thing):
        closed = [cell.cell_contents for cell in getattr(thing, "__closure__", None) or ()]
        return "\n".join((_read_source(thing), _describe_value(closed)))
    return "\n".join((_read_source(type(thing)), _describe_settings(thing)))


def describe_model(model: nn.Module) -> str:
    """The layers of a model with their options, and the source of every class of the user's own."""
    kinds = {kind for module in model.modules() for kind in type(module).__mro__}
    own = [kind for kind in kinds if kind.__module__.partition(".")[0] not in LIBRARIES]
    return "\n".join((ADDRESS.sub("", repr(model)), *sorted(map(_read_source, own))))


def name_of(thing: Any) -> str:
    """How people call a function, a class or a callable object."""
    if isinstance(thing, functools.partial):
        return name_of(thing.func)
    return getattr(thing, "__qualname__", type(thing).__qualname__)


def _read_source(thing: Any) -> str:
    """Not the module: a script is `__main__`, and the same code imported is not."""
    name = name_of(thing)
    try:
        return f"{name}\n{inspect.getsource(thing)}"
    except (OSError, TypeError):
        return f"{getattr(thing, '__module__', '')}.{name}"


def _describe_settings(thing: Any) -> str:
    settings = _describe_value(
        {k: v for k, v in getattr(thing, "__dict__", {}).items() if not k.startswith("_")}
    )
    if isinstance(thing, nn.Module):
        return f"{settings} {ADDRESS.sub('', repr(thing))} {digest_weights(thing.state_dict())}"
    return settings


def _describe_value(value: Any) -> str:
    """A setting as text; of what has no text that means anything, only the kind."""
    if isinstance(value, PLAIN):
        return repr(value)
    if isinstance(value, Tensor):
        return digest_weights({"": value})
    if isinstance(value, Mapping):
        return str({str(key): _describe_value(entry) for key, entry in value.items()})
    if isinstance(value, Sequence):
        return str([_describe_value(entry) for entry in value])
    return _read_source(value) if inspect.isroutine(value) else type(value).__qualname__
