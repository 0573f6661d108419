"""Transfer: start from weights that were trained before, and train some layers less or later."""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from trainwell.errors import CheckpointError, ModelError, TrainwellError
from trainwell.models.catalogue import spec_of
from trainwell.nn.initialisation import shrink_outputs, zero_bias
from trainwell.training.checkpoint import newest_checkpoint
from trainwell.training.final_weights import final_weights
from trainwell.training.run_folder import RunFolder
from trainwell.training.tensor_file import decode_tensors

HEADS = (nn.Linear, nn.Conv2d)


@dataclass(frozen=True)
class Loaded:
    """What became of weights that were given to a model.

    Attributes:
        taken: Names of the model's tensors that were filled.
        left: Names of those that were not: nothing of that name, or of another shape.
        unused: Names of weights that the model has no place for.
    """

    taken: tuple[str, ...]
    left: tuple[str, ...]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        told = f"{len(self.taken)} tensors were taken"
        if self.left:
            told += f"; {', '.join(self.left)} start fresh"
        if self.unused:
            told += f"; {', '.join(self.unused)} had no place"
        return told


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """The weights that a run left, or those of a safetensors file.

    Args:
        path: A run folder, or a file.

    Raises:
        CheckpointError: There are none, or the file is not whole.
    """
    place = Path(path)
    if place.is_dir():
        found = newest_checkpoint(RunFolder.open(place).checkpoints)
        if found is None:
            raise CheckpointError("there is no checkpoint", where=str(place))
        return final_weights(found[0])
    try:
        return decode_tensors(place.read_bytes())
    except (OSError, ValueError, TrainwellError) as error:
        raise CheckpointError(
            f"no weights can be read: {error}",
            where=str(place),
            remedy="Give a run folder or a .safetensors file",
        ) from error


@torch.no_grad()
def load_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> Loaded:
    """Fills every tensor of a model for which there is one of the same name and shape.

    Args:
        model: Changed in place.
        weights: By name, as a `state_dict` has them.

    Raises:
        ModelError: Nothing fits.
    """
    state = model.state_dict()
    taken = [n for n, t in state.items() if n in weights and weights[n].shape == t.shape]
    if not taken:
        raise ModelError(
            "none of the weights fits the model by name and shape",
            remedy="Start from a model of the same kind",
        )
    for name in taken:
        state[name].copy_(weights[name])
    left = tuple(name for name in state if name not in taken)
    unused = tuple(name for name in weights if name not in taken)
    return Loaded(tuple(taken), left, unused)


def replace_head(model: nn.Module, outputs: int) -> nn.Module:
    """Gives a model a new last layer, with small random weights and no bias.

    Args:
        model: Changed in place, and given back. Its last linear or convolution layer must be what
            puts out the scores.
        outputs: Of the new layer.

    Raises:
        ModelError: There is no such layer.
    """
    names = [name for name, module in model.named_modules() if isinstance(module, HEADS)]
    if not names:
        raise ModelError(
            "the model has no linear or convolution layer to replace",
            remedy="Replace the layer yourself",
        )
    parent, _, child = names[-1].rpartition(".")
    old = model.get_submodule(names[-1])
    new = _like(old, outputs)
    setattr(model.get_submodule(parent), child, new)
    spec = spec_of(model)
    if spec is not None:
        changed = dataclasses.replace(spec, outputs=outputs)
        model.trainwell_spec = changed  # pyright: ignore[reportArgumentType]
    return model


def _like(old: nn.Module, outputs: int) -> nn.Module:
    has_bias = old.bias is not None
    if isinstance(old, nn.Linear):
        new: nn.Module = nn.Linear(old.in_features, outputs, bias=has_bias)
    else:
        assert isinstance(old, nn.Conv2d)
        new = nn.Conv2d(
            old.in_channels,
            outputs,
            old.kernel_size,  # pyright: ignore[reportArgumentType]
            old.stride,  # pyright: ignore[reportArgumentType]
            old.padding,  # pyright: ignore[reportArgumentType]
            bias=has_bias,
        )
    nn.init.kaiming_normal_(new.weight, nonlinearity="relu")  # pyright: ignore
    shrink_outputs(new)
    zero_bias(new)
    return new


def freeze(model: nn.Module, patterns: Sequence[str]) -> None:
    """Parameters whose names match are not trained.

    Args:
        model: Changed in place. A batch normalisation all of whose parameters are frozen keeps its
            statistics too; see `still_frozen`.
        patterns: As file names are matched: `"conv*"`, `"blocks.0.*"`, `"*.bias"`.

    Raises:
        ModelError: A pattern matches nothing.
    """
    names = [name for name, _ in model.named_parameters()]
    for pattern in patterns:
        matched = fnmatch.filter(names, pattern)
        if not matched:
            raise ModelError(
                f"no parameter is called like {pattern!r}",
                where="freeze",
                remedy=f"Names are such as {', '.join(names[:4])}",
            )
        for name in matched:
            model.get_parameter(name).requires_grad_(False)


def still_frozen(model: nn.Module) -> None:
    """Puts batch normalisation that is frozen into evaluation mode, where its statistics stay."""
    for module in model.modules():
        own = list(module.parameters(recurse=False))
        if isinstance(module, _BatchNorm) and own and not any(p.requires_grad for p in own):
            module.eval()


def depths_from_output(model: nn.Module) -> dict[str, int]:
    """For each parameter how many layers with weights lie behind its own, 0 for the last.

    Layers count in the order in which they were registered. What has no layer of its own kind, as
    normalisation, counts with the layer before it.
    """
    layers: list[str] = []
    places: dict[str, int] = {}
    for name, parameter in model.named_parameters():
        layer = name.rpartition(".")[0]
        if layer not in layers and (parameter.ndim > 1 or not layers):
            layers.append(layer)
        places[name] = len(layers) - 1
    return {name: len(layers) - 1 - place for name, place in places.items()}
