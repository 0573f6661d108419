"""What the first weights of a model get: inputs after whatever the model does to them itself."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from trainwell.checks.subject import Subject
from trainwell.errors import first_line
from trainwell.training.evaluation import evaluating

NORMALISATIONS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.LocalResponseNorm)
EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)
CHANNELS_FIRST = (
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)


@dataclass(frozen=True)
class FirstWeights:
    """What reaches the first weights.

    Attributes:
        kind: `"weights"` that multiply the values, `"normalisation"` that scales them itself, or an
            `"embedding"` that looks them up.
        columns: `(rows, F)`: features of vectors, channels of images and sequences; the inputs
            themselves where no module with weights was met.
        failure: Why the model cannot take the inputs; empty where it can.
    """

    kind: Literal["weights", "normalisation", "embedding"]
    columns: Tensor
    failure: str = ""


class _ReachedError(Exception):
    """Ends a forward pass at the first weights: no more of it is wanted."""


def find_first_weights(subject: Subject, inputs: Tensor) -> FirstWeights:
    """Runs inputs up to the first module that has weights, a normalisation or an embedding.

    Args:
        subject: Its model is run in evaluation mode, no further than needed.
        inputs: As `Subject.examples` gives them.
    """
    met: list[tuple[nn.Module, Any]] = []

    def stop(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        met.append((module, arguments[0] if arguments else None))
        raise _ReachedError

    failure = ""
    with _hooks(subject.model, stop), evaluating(subject.model), torch.inference_mode():
        try:
            subject.model(inputs)
        except _ReachedError:
            pass
        except Exception as error:
            failure = first_line(error)
    module, values = met[0] if met else (None, inputs)
    if not isinstance(values, Tensor):
        values = inputs
    if isinstance(module, EMBEDDINGS):
        return FirstWeights("embedding", _columns(values, module), failure)
    kind = "normalisation" if isinstance(module, NORMALISATIONS) else "weights"
    return FirstWeights(kind, _columns(values, module), failure)


def looks_up_tokens(subject: Subject, inputs: Tensor) -> bool:
    """Whether inputs are numbers of tokens, which an embedding looks up."""
    if inputs.is_floating_point():
        return False
    return any(isinstance(module, EMBEDDINGS) for module in subject.model.modules())


@contextlib.contextmanager
def _hooks(model: nn.Module, stop: Any) -> Iterator[None]:
    leaves = [m for m in model.modules() if not any(True for _ in m.children())]
    counted = [
        leaf
        for leaf in leaves
        if isinstance(leaf, NORMALISATIONS) or any(p.ndim > 1 for p in leaf.parameters())
    ]
    handles = [leaf.register_forward_pre_hook(stop) for leaf in counted]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _columns(values: Tensor, module: nn.Module | None) -> Tensor:
    if values.ndim < 2:
        return values.reshape(-1, 1).float()
    is_image = module is None and values.ndim == 4
    if (isinstance(module, CHANNELS_FIRST) or is_image) and values.ndim > 2:
        values = values.movedim(1, -1)
    return values.reshape(-1, values.shape[-1]).float()
