"""What a loss is made of, read off its graph: autograd remembers the names of the operations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

_LOSSES = {
    "NllLossBackward": "nll",
    "NllLoss2DBackward": "nll",
    "NllLossNdBackward": "nll",
    "MseLossBackward": "mse",
    "BinaryCrossEntropyBackward": "bce",
    "BinaryCrossEntropyWithLogitsBackward": "bce_logits",
    "SmoothL1LossBackward": "smooth_l1",
    "HuberLossBackward": "huber",
    "KlDivBackward": "kl",
    "CtcLossBackward": "ctc",
    "MultiMarginLossBackward": "margin",
    "MultiLabelMarginLossBackward": "margin",
    "SoftMarginLossBackward": "margin",
}
_SAME_VALUES = (
    "View",
    "Reshape",
    "UnsafeView",
    "Squeeze",
    "Unsqueeze",
    "Expand",
    "Alias",
    "Clone",
    "ToCopy",
    "Transpose",
    "Permute",
    "TBackward",
    "Select",
    "Slice",
    "Contiguous",
    "Unbind",
    "Split",
)
_PARTS = ("Select", "Slice", "Unbind", "Split", "Index", "Gather")
_PICKS = ("IndexBackward", "GatherBackward")
_STAIRS = {
    "RoundBackward": "round",
    "FloorBackward": "floor",
    "CeilBackward": "ceil",
    "TruncBackward": "trunc",
    "SignBackward": "sign",
}
_PRODUCTS = ("AddmmBackward", "MmBackward", "BmmBackward", "ConvolutionBackward")
_SUMS = ("AddBackward", "SubBackward")
_MULTIPLES = (*_SUMS, "MulBackward", "DivBackward", "NegBackward")
_ACTIVATIONS = {
    "SoftmaxBackward": "softmax",
    "LogSoftmaxBackward": "log_softmax",
    "SigmoidBackward": "sigmoid",
    "TanhBackward": "tanh",
    "ReluBackward": "relu",
    "LogBackward": "log",
    "LogSigmoidBackward": "log_sigmoid",
}


@dataclass(frozen=True)
class LossGraph:
    """What was found between the loss and the model's parameters.

    Attributes:
        kind: `"cross_entropy"` (negative log-likelihood of a log-softmax), `"nll"`, `"mse"`,
            `"bce"`, `"bce_logits"`, `"smooth_l1"`, `"l1"`, `"huber"`, `"kl"`, `"ctc"`,
            `"margin"`, `"custom_cross_entropy"` (a log-softmax in other hands), or empty.
        around: Operations applied to the loss, outermost first, such as `"neg"`, `"sum"`, `"div"`.
        activation: What the loss gets: `"softmax"`, `"log_softmax"`, `"sigmoid"`, `"tanh"`,
            `"relu"`, `"log"`, `"log_sigmoid"` or empty for anything else.
        softmax_axis: Axis of that softmax; None where unknown.
        reduction: `"mean"`, `"sum"`, `"none"` or empty where unknown.
        expanded: Shape that was broadcast to that of the other argument; empty when none was.
        custom: Names of user-written autograd functions in the graph.
        empty: Whether the loss has no graph although it should.
        direct: Whether the loss gets the model's outputs as they are, but for their shape.
        named: Whether the loss is one of torch's own, not written out by hand.
        axes: Of the model's outputs; 0 where unknown.
        has_positions: Whether the loss itself gets a class for each of several positions.
        swapped: Whether the model's outputs are where the targets belong.
        adds_number: Whether something without a graph is added to the loss.
        parted: Whether the loss itself gets a part of the outputs, cut out by an index.
        picked: Whether that part is one output an example, picked by an index of its own.
        terms: What is added up in the loss, numbers without a graph apart.
        losses: How many of these hold a known loss.
        far: Whether the outputs are multiplied by matrices before the loss gets them, as by another
            network's.
        alone: Whether no other term that is added to the loss depends on the outputs.
        stairs: Name of the first function on the way that has no slope, such as `"round"`.
    """

    kind: str = ""
    around: tuple[str, ...] = ()
    activation: str = ""
    softmax_axis: int | None = None
    reduction: str = ""
    expanded: tuple[int, ...] = ()
    custom: tuple[str, ...] = ()
    empty: bool = False
    direct: bool = False
    named: bool = False
    axes: int = 0
    has_positions: bool = False
    swapped: bool = False
    adds_number: bool = False
    parted: bool = False
    picked: bool = False
    terms: int = 1
    losses: int = 0
    far: bool = False
    alone: bool = False
    stairs: str = ""

    @property
    def is_classification(self) -> bool:
        """Whether the loss is one for classes."""
        return self.kind in (
            "cross_entropy",
            "nll",
            "bce",
            "bce_logits",
            "custom_cross_entropy",
            "margin",
        )


def read_loss_graph(loss: Any, outputs: Any = None) -> LossGraph | None:
    """What the loss is made of; None when it is no tensor or carries no graph.

    Args:
        loss: A scalar, before or after its backward pass.
        outputs: What the model put out.
    """
    if not isinstance(loss, Tensor):
        return None
    if loss.grad_fn is None:
        return LossGraph(empty=True) if loss.requires_grad else None
    nodes = list(_walk(loss.grad_fn, 400))
    custom = tuple(sorted({_name(n) for n in nodes if _is_custom(n)}))
    stairs = next((_STAIRS[_name(n)] for n in nodes if _name(n) in _STAIRS), "")
    node, around = _find_loss(loss.grad_fn)
    if node is None:
        return replace(_read_unnamed(loss, around, custom), stairs=stairs)
    kind, terms = _LOSSES[_name(node)], _terms(loss.grad_fn)
    end = _output_node(outputs)
    inner, expanded = _skip_same(_first_input(node))
    direct = end is not None and inner is end
    activation = _ACTIVATIONS.get(_name(inner), "") if inner is not None else ""
    axis = _saved(inner, "_saved_dim") if "softmax" in activation else None
    if kind == "nll" and activation == "log_softmax":
        kind = "cross_entropy"
        inner, expanded = _skip_same(_first_input(inner))
        direct = direct or (end is not None and inner is end)
        activation = _ACTIVATIONS.get(_name(inner), "") if inner is not None else ""
        axis = _saved(inner, "_saved_dim") if "softmax" in activation else axis
    return LossGraph(
        kind=kind,
        around=around,
        activation=activation,
        softmax_axis=_signed_axis(axis),
        reduction={0: "none", 1: "mean", 2: "sum"}.get(_saved(node, "_saved_reduction"), ""),
        expanded=expanded,
        custom=custom,
        direct=direct,
        named=True,
        axes=getattr(outputs, "ndim", 0),
        has_positions=_name(node) in ("NllLoss2DBackward", "NllLossNdBackward"),
        swapped=kind == "bce_logits" and node.next_functions[0][0] is None,
        adds_number=_adds_number(loss.grad_fn),
        parted=_find_part(_first_input(node)) is not None,
        picked=_is_picked(_first_input(node)),
        terms=len(terms),
        losses=sum(_find_loss(term)[0] is not None for term in terms[:20]),
        far=not direct and end is not None and _is_far(node, end),
        alone=end is not None and sum(_reaches(term, end) for term in terms) == 1,
        stairs=stairs,
    )


def _output_node(outputs: Any) -> Any:
    node = getattr(outputs, "grad_fn", None)
    return _skip_same(node)[0] if node is not None else None


def _read_unnamed(loss: Tensor, around: tuple[str, ...], custom: tuple[str, ...]) -> LossGraph:
    """A loss that is written out by hand."""
    near = list(_walk(loss.grad_fn, 12))
    names = [_name(node) for node in near]
    kind = ""
    if "LogSoftmaxBackward" in names:
        kind = "custom_cross_entropy"
    elif "AbsBackward" in names[:4]:
        kind = "l1"
    elif "PowBackward" in names[:5] or "SquareBackward" in names[:5]:
        kind = "mse"
    activation = ""
    if kind == "custom_cross_entropy":
        inner, _ = _skip_same(_first_input(near[names.index("LogSoftmaxBackward")]))
        activation = _ACTIVATIONS.get(_name(inner), "") if inner is not None else ""
    reduction = "mean" if "mean" in around else "sum" if "sum" in around else ""
    return LossGraph(
        kind=kind,
        around=around,
        activation=activation,
        reduction=reduction,
        custom=custom,
        adds_number=_adds_number(loss.grad_fn),
        terms=len(_terms(loss.grad_fn)),
    )


def _find_loss(root: Any) -> tuple[Any, tuple[str, ...]]:
    """The nearest node of a known loss, and the operations on the way to it."""
    queue: list[tuple[Any, tuple[str, ...]]] = [(root, ())]
    seen: set[Any] = set()
    plain: tuple[str, ...] = ()
    while queue and len(seen) < 60:
        node, path = queue.pop(0)
        if node in seen:
            continue
        seen.add(node)
        name = _name(node)
        if name in _LOSSES:
            return node, path
        longer = (*path, name.removesuffix("Backward").lower())
        if len(longer) <= 6:
            plain = longer
        if len(path) < 8:
            queue += [(n, longer) for n, _ in node.next_functions if n is not None]
    return None, plain


def _adds_number(node: Any) -> bool:
    """Whether a sum that is the loss, or a multiple of it, has a term without a graph."""
    while node is not None and _name(node) in _MULTIPLES:
        terms = [term for term, _ in node.next_functions]
        if _name(node) in _SUMS and len(terms) > 1 and None in terms:
            return True
        node = next((term for term in terms if term is not None), None)
    return False


def _terms(root: Any) -> list[Any]:
    """What is added up in a loss."""
    if _name(root) not in _SUMS:
        return [root]
    return [t for term, _ in root.next_functions if term is not None for t in _terms(term)]


def _reaches(root: Any, end: Any) -> bool:
    return any(node is end for node in _walk(root, 400))


def _is_far(root: Any, end: Any) -> bool:
    """Whether there are products of matrices on the way from a node to the outputs."""
    queue, seen = [(root, False)], set[tuple[Any, bool]]()
    while queue and len(seen) < 400:
        node, multiplied = queue.pop(0)
        if node is end:
            return multiplied
        multiplied = multiplied or _name(node) in _PRODUCTS
        following = [(n, multiplied) for n, _ in node.next_functions if n is not None]
        queue += [found for found in following if found not in seen]
        seen.update(following)
    return False


def _find_part(node: Any) -> Any:
    """What cuts values out on the way from what made them, past a log-softmax."""
    while node is not None:
        name = _name(node)
        if any(word in name for word in _PARTS):
            return node
        if name != "LogSoftmaxBackward" and not any(word in name for word in _SAME_VALUES):
            return None
        node = _first_input(node)
    return None


def _is_picked(node: Any) -> bool:
    """Whether an index for each example picks its values, as `gather` does."""
    part = _find_part(node)
    while part is not None:
        if _name(part) in _PICKS:
            return True
        part = _find_part(_first_input(part))
    return False


def _skip_same(node: Any) -> tuple[Any, tuple[int, ...]]:
    """Past operations that leave values as they are; the shape that was broadcast on the way."""
    expanded: tuple[int, ...] = ()
    while node is not None and any(word in _name(node) for word in _SAME_VALUES):
        if _name(node) == "ExpandBackward":
            sizes = _saved(node, "_saved_self_sym_sizes")
            expanded = tuple(int(s) for s in sizes) if sizes else ()
        node = _first_input(node)
    return node, expanded


def _first_input(node: Any) -> Any:
    return next((n for n, _ in node.next_functions if n is not None), None)


def _walk(root: Any, limit: int) -> Iterator[Any]:
    """Nodes of the graph, nearest first."""
    queue, seen = [root], {root}
    while queue and limit > 0:
        node = queue.pop(0)
        limit -= 1
        yield node
        for following, _ in node.next_functions:
            if following is not None and following not in seen:
                seen.add(following)
                queue.append(following)


def _is_custom(node: Any) -> bool:
    # Functions written in Python are instances of a class made for them.
    return hasattr(type(node), "_forward_cls")


def _name(node: Any) -> str:
    return node.name().rstrip("0123456789").rpartition("::")[2]


def _saved(node: Any, name: str) -> Any:
    try:
        return getattr(node, name)
    except (AttributeError, RuntimeError):  # freed by the backward pass
        return None


def _signed_axis(axis: Any) -> int | None:
    if axis is None:
        return None
    # Negative axes are saved as large unsigned numbers.
    return int(axis) - 2**64 if int(axis) > 2**63 else int(axis)
