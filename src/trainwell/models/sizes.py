"""What a model costs: parameters, multiply-adds and memory for activations.

`sizes.json` beside this file holds the figures of the catalogue, so that listing it builds nothing.
`python -m trainwell.models.sizes` writes it again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from trainwell.models.catalogue import CATALOGUE
from trainwell.models.entry import Entry
from trainwell.nn.losses import squared_error
from trainwell.nn.objective import make_objective

EXAMPLES = 2
"""Batch normalisation needs more than one."""


def _count_vector_product(matrix: Sequence[int], *others: Any, **options: Any) -> int:
    return 2 * math.prod(matrix)


def _count_distances(
    first: Sequence[int], second: Sequence[int], *others: Any, **options: Any
) -> int:
    return 2 * math.prod(first) * second[-2]


ALSO_COUNTED = {
    torch.ops.aten.mv: _count_vector_product,
    torch.ops.aten._cdist_forward: _count_distances,
    torch.ops.aten._euclidean_dist: _count_distances,
}
"""Products that torch's counter does not know."""


@dataclass(frozen=True)
class Size:
    """What a model costs on inputs of the shape that its entry names.

    Attributes:
        parameters: Numbers that are trained.
        multiply_adds: Of the forward pass of one example, in linear and convolution layers and in
            products of matrices.
        activation_bytes: Kept from the forward for the backward pass, float32, for one example.
    """

    parameters: int
    multiply_adds: int
    activation_bytes: int


def measure_size(entry: Entry) -> Size:
    """The costs of a model, found on torch's meta device: nothing is computed."""
    with torch.device("meta"):
        model = entry.build(entry.input_shape, entry.outputs).train()
        inputs = torch.empty(EXAMPLES, *entry.input_shape)
    parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
    with FlopCounterMode(display=False, custom_mapping=ALSO_COUNTED) as counter:
        model(inputs)
    # torch counts a multiplication and an addition as two.
    multiply_adds = counter.get_total_flops() // 2 // EXAMPLES
    return Size(parameters, multiply_adds, _count_kept_bytes(model, inputs, entry) // EXAMPLES)


def _count_kept_bytes(model: nn.Module, inputs: Tensor, entry: Entry) -> int:
    """Bytes that autograd saves, each storage once, weights and inputs left out."""
    known = {id(t.untyped_storage()) for t in (*model.parameters(), *model.buffers())}
    known_sizes = {math.prod(p.shape) for p in model.parameters()}
    kept: dict[int, int] = {}
    alive: list[Tensor] = []

    def look(tensor: Tensor) -> Tensor:
        # Meta tensors share no addresses: a saved weight is known by being a leaf.
        is_weight = tensor.is_leaf and tensor.requires_grad and tensor.numel() in known_sizes
        if not is_weight and id(tensor.untyped_storage()) not in known:
            alive.append(tensor)
            kept[tensor.untyped_storage()._cdata] = tensor.untyped_storage().nbytes()
        return tensor

    targets = torch.empty(EXAMPLES, entry.outputs, device="meta")
    with saved_tensors_hooks(look, lambda tensor: tensor):
        make_objective(_Plain(model), squared_error)(inputs, targets)
    return sum(kept.values())


class _Plain(nn.Module):
    """A model without an objective of its own: rules draw numbers, which meta tensors have not."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor) -> Tensor:
        return self.model(inputs)


@cache
def _read_sizes() -> Mapping[str, Any]:
    return json.loads(files("trainwell.models").joinpath("sizes.json").read_text("utf-8"))


def size_of(name: str, entry: Entry) -> Size:
    """The costs of a model: from the list where it is in it, else measured."""
    known = _read_sizes().get(name)
    return Size(**known) if known else measure_size(entry)


def _write_sizes() -> None:
    sizes = {name: asdict(measure_size(entry)) for name, entry in CATALOGUE.items()}
    path = Path(__file__).with_name("sizes.json")
    path.write_text(json.dumps(sizes, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    _write_sizes()
