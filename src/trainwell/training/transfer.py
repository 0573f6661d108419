"""Transfer: start from weights that were trained before, and train some layers less or later."""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from trainwell.errors import CheckpointError, ModelError, TrainwellError
from trainwell.models.catalogue import ModelSpec, rebuild, spec_of
from trainwell.nn.initialisation import shrink_outputs, zero_bias
from trainwell.training.checkpoint import newest_checkpoint
from trainwell.training.final_weights import final_weights
from trainwell.training.run_folder import RunFolder
from trainwell.training.tensor_file import decode_tensors

HEADS = (nn.Linear, nn.Conv2d)
FROZEN = "trainwell_frozen"
"""Where a model keeps the names that a recipe froze."""


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
        ModelError: Less than half of the model's parameters would be filled: it is another model.
    """
    state = model.state_dict()
    taken = [n for n, t in state.items() if n in weights and weights[n].shape == t.shape]
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    filled = sum(sizes.get(name, 0) for name in taken)
    if 2 * filled < sum(sizes.values()) or not taken:
        share = filled / max(1, sum(sizes.values()))
        raise ModelError(
            f"only {share:.0%} of the model's weights fit by name and shape",
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
        ModelError: There is no such layer, or the outputs depend on more than it.
    """
    names = [name for name, module in model.named_modules() if isinstance(module, HEADS)]
    if not names or not names[-1]:
        raise ModelError(
            "the model has no linear or convolution layer within it to replace",
            remedy="Replace the layer yourself",
        )
    spec = spec_of(model)
    changed = dataclasses.replace(spec, outputs=outputs) if spec else None
    parent, _, child = names[-1].rpartition(".")
    new = _like(model.get_submodule(names[-1]), outputs)
    if changed is not None:
        _refuse_other_shapes(model, changed, names[-1], new)
        model.trainwell_spec = changed  # pyright: ignore[reportArgumentType]
    setattr(model.get_submodule(parent), child, new)
    return model


def _refuse_other_shapes(model: nn.Module, spec: ModelSpec, head: str, new: nn.Module) -> None:
    """Compares what the model would be with what the catalogue builds for so many outputs."""
    with torch.device("meta"):
        expected = {name: t.shape for name, t in rebuild(spec).state_dict().items()}
    found = {name: t.shape for name, t in model.state_dict().items()}
    found |= {f"{head}.{name}": t.shape for name, t in new.state_dict().items()}
    if found != expected:
        raise ModelError(
            f"{spec.name} has no single layer that puts out its scores",
            remedy=f"Create {spec.name} for {spec.outputs} outputs and load the weights that fit",
        )


def _like(old: nn.Module, outputs: int) -> nn.Module:
    assert isinstance(old, HEADS)
    place = {"device": old.weight.device, "dtype": old.weight.dtype}
    if isinstance(old, nn.Linear):
        new: nn.Module = nn.Linear(old.in_features, outputs, old.bias is not None, **place)
    else:
        new = _convolution_like(old, outputs, place)
    nn.init.kaiming_normal_(new.weight, nonlinearity="relu")  # pyright: ignore
    shrink_outputs(new)
    zero_bias(new)
    return new


def _convolution_like(old: nn.Conv2d, outputs: int, place: Mapping[str, Any]) -> nn.Conv2d:
    if outputs % old.groups:
        raise ModelError(
            f"the last convolution has {old.groups} groups, which do not divide {outputs} outputs",
            remedy="Replace the layer yourself",
        )
    return nn.Conv2d(
        old.in_channels,
        outputs,
        old.kernel_size,  # pyright: ignore[reportArgumentType]
        old.stride,  # pyright: ignore[reportArgumentType]
        old.padding,  # pyright: ignore[reportArgumentType]
        old.dilation,  # pyright: ignore[reportArgumentType]
        old.groups,
        old.bias is not None,
        old.padding_mode,  # pyright: ignore[reportArgumentType]
        **place,
    )


def freeze(model: nn.Module, patterns: Sequence[str]) -> None:
    """Parameters whose names match are not trained.

    What an earlier call froze, and no pattern names now, is trained again: a recipe freezes for its
    own run. What the user froze stays frozen.

    Args:
        model: Changed in place. A batch normalisation all of whose parameters are frozen keeps its
            statistics too; see `still_frozen`.
        patterns: As file names are matched: `"conv*"`, `"blocks.0.*"`, `"*.bias"`.

    Raises:
        ModelError: A pattern matches nothing.
    """
    for name in getattr(model, FROZEN, ()):
        model.get_parameter(name).requires_grad_(True)
    names = [name for name, _ in model.named_parameters()]
    frozen: list[str] = []
    for pattern in patterns:
        matched = fnmatch.filter(names, pattern)
        if not matched:
            raise ModelError(
                f"no parameter is called like {pattern!r}",
                where="freeze",
                remedy=f"Names are such as {', '.join(names[:4])}",
            )
        frozen += [name for name in matched if model.get_parameter(name).requires_grad]
    for name in frozen:
        model.get_parameter(name).requires_grad_(False)
    setattr(model, FROZEN, tuple(frozen))


def still_frozen(model: nn.Module, unfrozen: int | None = None) -> None:
    """Puts batch normalisation that is frozen into evaluation mode, where its statistics stay.

    Args:
        model: Changed in place.
        unfrozen: With gradual unfreezing, the depth from the output up to which layers are trained
            now, as `depths_from_output` counts; None: all.
    """
    depths = depths_from_output(model)
    for prefix, module in model.named_modules():
        own = dict(module.named_parameters(recurse=False))
        if not isinstance(module, _BatchNorm) or not own:
            continue
        depth = depths.get(f"{prefix}.{next(iter(own))}".removeprefix("."), 0)
        is_later = unfrozen is not None and depth > unfrozen
        if is_later or not any(p.requires_grad for p in own.values()):
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
