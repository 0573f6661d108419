"""Where the first value that is not finite came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "inputs", "targets", "parameter", "operation", "gradient", "loss", "update", "rate", "weights"
]


@dataclass(frozen=True)
class Origin:
    """The first place at which a value was not finite although all before it were.

    Attributes:
        kind: `"inputs"` or `"targets"`: the batch; `"parameter"`: a weight from the start;
            `"operation"`: of the forward pass; `"gradient"`: an operation whose backward pass is
            not finite although its forward pass is; `"loss"`: of the operations named, one;
            `"update"`: of the optimiser; `"rate"`: the learning rate; `"weights"`: spoilt, by
            what is not known.
        operation: Its name, such as `"log"`; empty where it is none.
        place: `"layer 'NAME'"`, `"the model"` (outside of its named layers), `"the loss"`, or the
            name of a parameter.
        rows: Of the batch, from 0; empty where it is not a matter of rows.
        arguments: Numbers that the operation got at the first bad place.
        value: What it gave there.
        line: File and line that called it; empty where unknown.
        repeats: How often it had run at this place in the same pass: 17 in the 17th time step.
        overflows: Whether finite numbers grew too large for their type.
        meant: Whether what it got had −inf that were put there, as a mask does.
        half: Whether it computed in float16.
    """

    kind: Kind
    operation: str = ""
    place: str = ""
    rows: tuple[int, ...] = ()
    arguments: tuple[float, ...] = ()
    value: float = 0.0
    line: str = ""
    repeats: int = 1
    overflows: bool = False
    meant: bool = False
    half: bool = False

    @property
    def where(self) -> str:
        """In a few words, such as `"log in layer 'head'"`."""
        if self.kind in ("inputs", "targets"):
            return f"the {self.kind}"
        if self.kind == "rate":
            return "the learning rate"
        if self.operation and self.place:
            return f"{self.operation} in {self.place}"
        return self.operation or self.place
