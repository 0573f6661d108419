"""Names with options, such as `rotate(degrees=15)`, as recipes write what they choose by name."""

from __future__ import annotations

import ast
import difflib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from trainwell.errors import RecipeError


@dataclass(frozen=True)
class NamedCall:
    """A name and the options in the brackets behind it.

    Attributes:
        name: Such as `"rotate"`.
        positional: Options given without their names, in order.
        options: Options by name.
    """

    name: str
    positional: tuple[Any, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


def parse_call(text: str, what: str) -> NamedCall:
    """The name and options in a text; nothing is run.

    Args:
        text: `"flip"`, `"rotate(15)"` or `"rotate(degrees=15)"`; options are plain numbers, texts,
            true or false, or tuples of them.
        what: The recipe field, for the message.

    Raises:
        RecipeError: The text is of another form.
    """
    try:
        node = ast.parse(text.strip(), mode="eval").body
        if isinstance(node, ast.Name):
            return NamedCall(node.id)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            positional = tuple(_read_value(argument) for argument in node.args)
            options = {k.arg: _read_value(k.value) for k in node.keywords if k.arg is not None}
            if len(options) == len(node.keywords):
                return NamedCall(node.func.id, positional, options)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        pass
    raise RecipeError(
        f"{what} cannot be {text!r}",
        where="recipe",
        remedy="Write a name, or a name with options such as name(option=0.5)",
    )


def _read_value(node: ast.expr) -> Any:
    """A literal; `true` and `false` as TOML writes them are the same as Python's."""
    if isinstance(node, ast.Name) and node.id in ("true", "false"):
        return node.id == "true"
    return ast.literal_eval(node)


def build_named(text: str, known: Mapping[str, Callable[..., Any]], what: str) -> Any:
    """What the named function of `known` makes with the options in the text.

    Args:
        text: As `parse_call` takes it.
        known: Functions by name; their parameters are the options.
        what: The recipe field, for messages.

    Raises:
        RecipeError: No such name or option (the near miss is named), or an impossible value.
    """
    call = parse_call(text, what)
    require_name(what, call.name, known)
    function = known[call.name]
    parameters = inspect.signature(function).parameters
    for option in call.options:
        if option not in parameters:
            remedy = _hint(option, parameters)
            raise RecipeError(f"{call.name} has no option {option!r}", where=what, remedy=remedy)
    try:
        return function(*call.positional, **call.options)
    except (TypeError, ValueError) as error:
        raise RecipeError(
            f"{text!r} is impossible: {error}", where=what, remedy=_hint("", parameters)
        ) from error


def require_name(what: str, name: str, known: Mapping[str, Any] | tuple[str, ...]) -> None:
    """Checks that a name is known.

    Raises:
        RecipeError: It is not; the near miss is named.
    """
    if name in known:
        return
    near = difflib.get_close_matches(name, list(known), n=1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    raise RecipeError(
        f"{what} cannot be {name!r}", where="recipe", remedy=f"{hint}Known: {', '.join(known)}"
    )


def _hint(option: str, parameters: Mapping[str, inspect.Parameter]) -> str:
    if not parameters:
        return "It has no options"
    near = difflib.get_close_matches(option, list(parameters), n=1)
    guess = f"Did you mean {near[0]!r}? " if near else ""
    shown = ", ".join(
        name if p.default is p.empty else f"{name}={p.default!r}" for name, p in parameters.items()
    )
    return f"{guess}Options: {shown}"


def split_calls(text: str) -> list[str]:
    """`"flip, rotate(5, 0.5)"` as `["flip", "rotate(5, 0.5)"]`: commas within brackets stay."""
    parts, depth = [""], 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts if part.strip()]
